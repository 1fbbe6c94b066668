# Best-of-N with the reward models' picks among the backbone's answers to held-out prompts.
if OWN.policy is not None and "best_of_n" in OWN.policy.sampling:
    POLICY_TARGETS += [f"{POLICY}/best_of_n/tables", f"{POLICY}/best_of_n/figures"]

    rule best_of_n:
        input:
            groups=f"{POLICY}/samples/best_of_n/reference.parquet",
            rewards=expand(f"{POLICY}/scores/best_of_n/{{run}}.parquet", run=POLICY_RUNS),
            judges=expand(f"{POLICY}/judged/best_of_n/{{judge}}.parquet", judge=JUDGES),
        output:
            directory(f"{POLICY}/best_of_n/tables"),
        log:
            f"{POLICY_LOGS}/best_of_n.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("best_of_n"),
        params:
            depends=depends(OWN, ["evaluation"], [".", "best_of_n", "evaluate"]),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/best_of_n.json",
        shell:
            "python -m steps.best_of_n tables --experiment {params.experiment}"
            " --groups {input.groups} --rewards {input.rewards} --judges {input.judges}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"

    rule draw_best_of_n:
        input:
            rules.best_of_n.output,
        output:
            directory(f"{POLICY}/best_of_n/figures"),
        log:
            f"{POLICY_LOGS}/draw_best_of_n.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("draw_best_of_n"),
        params:
            depends=depends(OWN, ["title"], [".", "best_of_n", "report"]),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/draw_best_of_n.json",
        shell:
            "python -m steps.best_of_n figures --experiment {params.experiment}"
            " --tables {input} --output {output} --card {params.card} 2>&1 | tee {log}"
