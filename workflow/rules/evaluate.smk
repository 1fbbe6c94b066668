# Stage 7: metrics with intervals, and paired differences.
SCORES = expand(
    f"{RESULTS}/scores/{{method}}/seed{{seed}}/{{set}}.parquet",
    method=EXPERIMENT.methods,
    seed=EXPERIMENT.seeds,
    set=EVALUATION_SETS,
)


rule evaluate:
    input:
        scores=SCORES,
        groups=expand(f"{RESULTS}/groups/{{set}}.parquet", set=EVALUATION_SETS),
        pairs=expand(f"{RESULTS}/pairs/{{set}}.parquet", set=EVALUATION_SETS),
    output:
        directory(f"{RESULTS}/evaluation"),
    params:
        settings=settings("evaluation", "methods", "seeds"),
        experiment=FILE,
        results=RESULTS,
        card=f"{RESULTS}/cards/evaluate.json",
    log:
        f"{RESULTS}/logs/evaluate.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.evaluate --experiment {params.experiment} --results {params.results}"
        " --output {output} --card {params.card} 2>&1 | tee {log}"
