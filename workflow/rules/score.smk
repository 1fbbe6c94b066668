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
    params:
        settings=settings("threads"),
        experiment=FILE,
        sets=EVALUATION_SETS,
        groups=f"{RESULTS}/groups",
        cache=f"{RESULTS}/cache",
        output=f"{RESULTS}/scores/{{method}}/seed{{seed}}",
        card=f"{RESULTS}/cards/score-{{method}}-seed{{seed}}.json",
    log:
        f"{RESULTS}/logs/score-{{method}}-seed{{seed}}.log",
    threads: EXPERIMENT.threads
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.score --experiment {params.experiment} --model {input.model}"
        " --groups {params.groups} --cache {params.cache} --sets {params.sets}"
        " --output {params.output} --card {params.card} 2>&1 | tee {log}"
