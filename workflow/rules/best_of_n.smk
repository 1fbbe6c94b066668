# Best-of-N with the reward models' picks among the backbone's answers to held-out prompts.
if OWN.policy is not None and "best_of_n" in OWN.policy.sampling:
    BEST_OF_N = f"{POLICY}/best_of_n"
    PICK_TABLES = {
        "scores": "scores",
        "comparisons": "comparisons",
        "pick_lengths": "pick_lengths_table",
    }
    PICK_FIGURES = ["best_of_n_judged", "over_optimisation", "pick_lengths"]
    POLICY_TARGETS += [
        *expand(f"{BEST_OF_N}/tables/{{name}}.csv", name=PICK_TABLES),
        *expand(f"{BEST_OF_N}/tables/best_of_n.{{suffix}}", suffix=["md", "tex"]),
        f"{BEST_OF_N}/tables/best_of_n_comparisons.tex",
        *expand(
            f"{BEST_OF_N}/figures/{{name}}.{{suffix}}", name=PICK_FIGURES, suffix=["png", "pdf"]
        ),
    ]

    rule best_of_n:
        input:
            groups=f"{POLICY}/samples/best_of_n/reference.parquet",
            rewards=expand(f"{POLICY}/scores/best_of_n/{{run}}.parquet", run=POLICY_RUNS),
            judges=expand(f"{POLICY}/judged/best_of_n/{{judge}}.parquet", judge=JUDGES),
        output:
            *[
                report(
                    f"{BEST_OF_N}/tables/{name}.csv",
                    category="Best-of-N",
                    caption=f"../report/policy/{caption}.rst",
                )
                for name, caption in PICK_TABLES.items()
            ],
            f"{BEST_OF_N}/tables/best_of_n.md",
            f"{BEST_OF_N}/tables/best_of_n.tex",
            f"{BEST_OF_N}/tables/best_of_n_comparisons.tex",
        log:
            f"{POLICY_LOGS}/best_of_n.log",
        group:
            "best_of_n"
        conda:
            "../../environment.yml"
        resources:
            **ask("best_of_n"),
        params:
            depends=depends(OWN, ["title", "evaluation"], [".", "best_of_n", "evaluate", "report"]),
            experiment=OWN_FILE,
            folder=f"{BEST_OF_N}/tables",
            card=f"{POLICY_CARDS}/best_of_n.json",
        shell:
            "python -m steps.best_of_n tables --experiment {params.experiment}"
            " --groups {input.groups} --rewards {input.rewards} --judges {input.judges}"
            " --output {params.folder} --card {params.card} 2>&1 | tee {log}"

    rule draw_best_of_n:
        input:
            rules.best_of_n.output,
        output:
            *[
                report(
                    f"{BEST_OF_N}/figures/{name}.png",
                    category="Best-of-N",
                    caption=f"../report/policy/{name}.rst",
                )
                for name in PICK_FIGURES
            ],
            *expand(f"{BEST_OF_N}/figures/{{name}}.pdf", name=PICK_FIGURES),
        log:
            f"{POLICY_LOGS}/draw_best_of_n.log",
        group:
            "best_of_n"
        conda:
            "../../environment.yml"
        resources:
            **ask("draw_best_of_n"),
        params:
            depends=depends(OWN, ["title"], [".", "best_of_n", "report"]),
            experiment=OWN_FILE,
            tables=rules.best_of_n.params.folder,
            folder=f"{BEST_OF_N}/figures",
            card=f"{POLICY_CARDS}/draw_best_of_n.json",
        shell:
            "python -m steps.best_of_n figures --experiment {params.experiment}"
            " --tables {params.tables} --output {params.folder} --card {params.card} 2>&1 | tee {log}"
