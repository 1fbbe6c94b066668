# After the policies: judges, comparison, tables and figure of the policies.
POLICY_TARGETS = []

if OWN.policy is not None:
    JUDGES = OWN.policy.evaluation.judges
    OWN_JUDGES = {name: judge for name, judge in JUDGES.items() if judge.source == "trained"}
    HUB_JUDGES = OWN.policy.evaluation.hub_judges
    JUDGE_FOLDERS = {
        name: f"{POLICY}/judges/{judge.train_on}/{judge.method}/seed{judge.seed}"
        for name, judge in OWN_JUDGES.items()
    } | {name: str(model_folder(judge)) for name, judge in HUB_JUDGES.items()}
    JUDGE_METHODS = "|".join(judge.method for judge in OWN_JUDGES.values()) or "none"

    SCORED_BY = {
        name: expand(
            f"{POLICY}/judged/{{use}}/{name}.parquet", use=set(OWN.policy.sampling) - {"pairs"}
        )
        for name in HUB_JUDGES
    }

    onstart:
        # A dry run shows the plan without it.
        check_pinned(HUB_JUDGES)
        check_loadable(SCORED_BY, OWN_FILE)

    wildcard_constraints:
        judge="|".join(JUDGES) or "none",

    # Judges of the experiment's own kind: trained on an evaluation set, with a seed of their own.
    use rule train as train_judge with:
        input:
            backbone=BACKBONE_FILES,
            groups=f"{RESULTS}/groups/{{set}}.parquet",
            pairs=f"{RESULTS}/pairs/{{set}}.parquet",
            cache=f"{RESULTS}/cache/{{set}}",
            frozen=FROZEN,
        output:
            model=directory(f"{POLICY}/judges/{{set}}/{{method}}/seed{{seed}}"),
            log=f"{POLICY}/judges/{{set}}/{{method}}/seed{{seed}}.csv",
        log:
            f"{POLICY_LOGS}/judge-{{set}}-{{method}}-seed{{seed}}.log",
        wildcard_constraints:
            method=JUDGE_METHODS,
        params:
            depends=rules.train.params.depends,
            method=lambda wildcards: method_hash(wildcards.method),
            experiment=FILE,
            frozen=f"--frozen {FROZEN[0]}" if FROZEN else "",
            work=f"results/{OWN_NAME}/unfinished/judge-{{set}}-{{method}}-seed{{seed}}",
            card=f"{POLICY_CARDS}/judge-{{set}}-{{method}}-seed{{seed}}.json",

    rule check_judge:
        input:
            judge=f"{POLICY}/judges/{{set}}/{{method}}/seed{{seed}}",
            groups=f"{RESULTS}/groups/{{set}}.parquet",
            candidates=[f"{RESULTS}/models/{method}/seed{seed}" for method, seed in OWN.policy_runs],
            train=f"{RESULTS}/groups/train.parquet",
            # Where policies have prompts of their own, those of the pairs are others.
            prompts=sorted({f"{RESULTS}/groups/train.parquet", PAIR_PROMPTS, HELD_OUT}),
            backbone=BACKBONE_FILES,
        output:
            f"{POLICY}/judges/{{set}}/{{method}}/seed{{seed}}.json",
        log:
            f"{POLICY_LOGS}/check-judge-{{set}}-{{method}}-seed{{seed}}.log",
        wildcard_constraints:
            method=JUDGE_METHODS,
        conda:
            "../../environment.yml"
        resources:
            **ask("check_judge"),
        params:
            depends=depends(OWN, [], [".", "policy"]),
            experiment=OWN_FILE,
            judge_card=f"{POLICY_CARDS}/judge-{{set}}-{{method}}-seed{{seed}}.json",
            cards=[
                f"{RESULTS}/cards/train-{method}-seed{seed}.json"
                for method, seed in OWN.policy_runs
            ],
            card=f"{POLICY_CARDS}/check-judge-{{set}}-{{method}}-seed{{seed}}.json",
        shell:
            "python -m steps.policy check-judge --experiment {params.experiment}"
            " --judge {input.judge} --judge-card {params.judge_card} --judge-groups {input.groups}"
            " --candidates {input.candidates} --candidate-cards {params.cards}"
            " --candidate-groups {input.train} --prompts {input.prompts}"
            " --backbone {input.backbone[0]:q} --output {output} --card {params.card} 2>&1 | tee {log}"

    rule judge:
        input:
            model=lambda wildcards: JUDGE_FOLDERS[wildcards.judge],
            check=lambda wildcards: (
                f"{JUDGE_FOLDERS[wildcards.judge]}.json" if wildcards.judge in OWN_JUDGES else []
            ),
            # Best-of-N picks among the answers of one policy.
            samples=lambda wildcards: expand(
                f"{POLICY}/samples/{wildcards.use}/{{policy}}.parquet",
                policy=["reference", *(POLICY_RUNS if wildcards.use != "best_of_n" else [])],
            ),
        output:
            f"{POLICY}/judged/{{use}}/{{judge}}.parquet",
        log:
            f"{POLICY_LOGS}/judge-{{use}}-{{judge}}.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("judge"),
        params:
            depends=depends(OWN, ["threads"], [".", "policy", "score"]),
            judge=lambda wildcards: OWN.policy.evaluation.judges[wildcards.judge].model_dump(),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/judge-{{use}}-{{judge}}.json",
        shell:
            "python -m steps.policy judge --experiment {params.experiment}"
            " --judge {wildcards.judge} --model {input.model} --samples {input.samples}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"


if OWN.policy is not None and OWN.policy.dpo is not None:
    JUDGED_USES = [use for use in OWN.policy.sampling if use.startswith("policies")]
    POLICY_TABLES = {}
    if JUDGED_USES:
        POLICY_TABLES |= {"policies": ["csv", "md", "tex"], "policy_lengths": ["png", "pdf"]}
    # Divergences are measured where the policies sample.
    if "policies_sampled" in JUDGED_USES:
        POLICY_TABLES["reward_kl"] = ["png", "pdf"]
    POLICY_TARGETS = [
        f"{POLICY}/tables/{name}.{suffix}"
        for name, suffixes in POLICY_TABLES.items()
        for suffix in suffixes
    ]

    rule evaluate_policies:
        input:
            samples=expand(
                f"{POLICY}/samples/{{{{use}}}}/{{policy}}.parquet",
                policy=["reference", *POLICY_RUNS],
            ),
            groups=HELD_OUT,
            judged=expand(f"{POLICY}/judged/{{{{use}}}}/{{judge}}.parquet", judge=JUDGES),
            log_ratios=lambda wildcards: (
                expand(f"{POLICY}/kl/{{run}}.parquet", run=POLICY_RUNS)
                if wildcards.use == "policies_sampled"
                else []
            ),
        output:
            directory(f"{POLICY}/evaluation/{{use}}"),
        log:
            f"{POLICY_LOGS}/evaluate-{{use}}.log",
        group:
            "policies"
        conda:
            "../../environment.yml"
        resources:
            **ask("evaluate_policies"),
        params:
            depends=depends(OWN, ["evaluation"], [".", "policy", "evaluate"]),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/evaluate-{{use}}.json",
        shell:
            "python -m steps.policy evaluate --experiment {params.experiment}"
            " --use {wildcards.use} --groups {input.groups}"
            " --samples {input.samples} --judged {input.judged} --log-ratios {input.log_ratios}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"

    rule draw_policies:
        input:
            expand(f"{POLICY}/evaluation/{{use}}", use=JUDGED_USES),
        output:
            *[
                report(
                    f"{POLICY}/tables/{name}.{suffixes[0]}",
                    category="Policies",
                    caption=f"../report/policy/{name}.rst",
                )
                for name, suffixes in POLICY_TABLES.items()
            ],
            *[path for path in POLICY_TARGETS if not path.endswith((".csv", ".png"))],
        log:
            f"{POLICY_LOGS}/tables.log",
        group:
            "policies"
        conda:
            "../../environment.yml"
        resources:
            **ask("draw_policies"),
        params:
            depends=depends(OWN, ["title"], [".", "report"]),
            experiment=OWN_FILE,
            folder=f"{POLICY}/tables",
            card=f"{POLICY_CARDS}/tables.json",
        shell:
            "python -m steps.report.policies --experiment {params.experiment}"
            " --evaluations {input} --output {params.folder} --card {params.card} 2>&1 | tee {log}"
