# Stage 6: rewards of every token, all evaluation sets of one model in one process.
rule score:
    input:
        model=f"{RESULTS}/models/{{method}}/seed{{seed}}",
        groups=expand(f"{RESULTS}/groups/{{set}}.parquet", set=EVALUATION_SETS),
        cache=expand(f"{RESULTS}/cache/{{set}}", set=EVALUATION_SETS),
    output:
        expand(
            f"{RESULTS}/scores/{{{{method}}}}/seed{{{{seed}}}}/{{set}}.parquet",
            set=EVALUATION_SETS,
        ),
    log:
        f"{RESULTS}/logs/score-{{method}}-seed{{seed}}.log",
    conda:
        "../../environment.yml"
    threads: EXPERIMENT.threads
    resources:
        **ask("score"),
    params:
        depends=depends(EXPERIMENT, ["threads"], [".", "score", "cache"]),
        experiment=FILE,
        sets=EVALUATION_SETS,
        keep="",  # a reward that is not a finite number stops the job
        groups=lambda wildcards, input: Path(input.groups[0]).parent,
        cache=lambda wildcards, input: Path(input.cache[0]).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        card=f"{RESULTS}/cards/score-{{method}}-seed{{seed}}.json",
    shell:
        "python -m steps.score.cached_sets --experiment {params.experiment} --model {input.model}"
        " --groups {params.groups} --cache {params.cache} --sets {params.sets}"
        " --output {params.folder}{params.keep} --card {params.card} 2>&1 | tee {log}"


# An ensemble has no model of its own: it reduces the scores of another method's models.
if EXPERIMENT.ensembles:

    rule score_ensemble:
        input:
            lambda wildcards: expand(
                f"{RESULTS}/scores/{{base}}/seed{{seed}}/{{set}}.parquet",
                base=EXPERIMENT.ensembles[wildcards.method],
                seed=EXPERIMENT.seeds,
                set=EVALUATION_SETS,
            ),
        output:
            expand(
                f"{RESULTS}/scores/{{{{method}}}}/seed{EXPERIMENT.seeds[0]}/{{set}}.parquet",
                set=EVALUATION_SETS,
            ),
        log:
            f"{RESULTS}/logs/score-{{method}}.log",
        wildcard_constraints:
            method="|".join(EXPERIMENT.ensembles),
        group:
            "tables"
        conda:
            "../../environment.yml"
        resources:
            **ask("score_ensemble"),
        params:
            depends=depends(EXPERIMENT, ["ensemble"], [".", "score", "objectives"]),
            experiment=FILE,
            members=lambda wildcards, input: list(dict.fromkeys(Path(p).parent for p in input)),
            sets=EVALUATION_SETS,
            folder=lambda wildcards, output: Path(output[0]).parent,
            card=f"{RESULTS}/cards/score-{{method}}.json",
        shell:
            "python -m steps.score.ensemble --experiment {params.experiment}"
            " --members {params.members} --method {wildcards.method} --sets {params.sets}"
            " --output {params.folder} --card {params.card} 2>&1 | tee {log}"
