# Stage 7: metrics with intervals, and paired differences.
SCORES = [
    f"{RESULTS}/scores/{method}/seed{seed}/{eval_set}.parquet"
    for method, seed in EXPERIMENT.runs
    for eval_set in EVALUATION_SETS
]
REFERENCE_SCORES = expand(
    f"{RESULTS}/scores/{{model}}/{{set}}.parquet", model=REFERENCES, set=EVALUATION_SETS
)


rule evaluate:
    input:
        scores=SCORES,
        references=REFERENCE_SCORES,
        groups=expand(f"{RESULTS}/groups/{{set}}.parquet", set=EVALUATION_SETS),
        pairs=expand(f"{RESULTS}/pairs/{{set}}.parquet", set=EVALUATION_SETS),
    output:
        directory(f"{RESULTS}/evaluation"),
    log:
        f"{RESULTS}/logs/evaluate.log",
    group:
        "tables"
    conda:
        "../../environment.yml"
    resources:
        **ask("evaluate"),
    params:
        depends=depends(EXPERIMENT, ["evaluation", "methods", "seeds"], [".", "evaluate"]),
        experiment=FILE,
        results=lambda wildcards, output: Path(output[0]).parent,
        card=f"{RESULTS}/cards/evaluate.json",
    shell:
        "python -m steps.evaluate --experiment {params.experiment} --results {params.results}"
        " --output {output} --card {params.card} 2>&1 | tee {log}"
