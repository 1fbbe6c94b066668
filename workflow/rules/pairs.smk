# Stage 3: preference pairs.
# Pairwise training needs pairs; the evaluation sets need none.
NEED_PAIRS = ["train"] if EXPERIMENT.training.labels == "pairwise" else []


rule make_pairs:
    input:
        f"{RESULTS}/groups/{{set}}.parquet",
    output:
        f"{RESULTS}/pairs/{{set}}.parquet",
    log:
        f"{RESULTS}/logs/pairs-{{set}}.log",
    group:
        "data"
    conda:
        "../../environment.yml"
    resources:
        **ask("make_pairs"),
    params:
        depends=depends(EXPERIMENT, [], [".", "pairs"]),
        empty=lambda wildcards: "" if wildcards.set in NEED_PAIRS else "--allow-empty",
        experiment=FILE,
        card=f"{RESULTS}/cards/pairs-{{set}}.json",
    shell:
        "python -m steps.pairs --groups {input} --output {output} {params.empty}"
        " --card {params.card} --experiment {params.experiment} 2>&1 | tee {log}"
