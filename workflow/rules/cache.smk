# Stage 4: generator probabilities and hidden states. Unfinished work lies outside the declared
# output, which Snakemake deletes when a job is killed; the next run continues from there.
rule cache:
    input:
        groups=f"{RESULTS}/groups/{{set}}.parquet",
        backbone=BACKBONE_FILES,
    output:
        directory(f"{RESULTS}/cache/{{set}}"),
    log:
        f"{RESULTS}/logs/cache-{{set}}.log",
    wildcard_constraints:
        set="|".join(EVALUATION_SETS),
    conda:
        "../../environment.yml"
    threads: EXPERIMENT.threads
    params:
        depends=depends(EXPERIMENT, ["cache", "generator", "threads"], [".", "cache"]),
        layers=EXPERIMENT.training.trained_layers,
        experiment=FILE,
        work=f"{RESULTS}/unfinished/cache-{{set}}",
        card=f"{RESULTS}/cards/cache-{{set}}.json",
    shell:
        "python -m steps.cache build --experiment {params.experiment}"
        " --backbone {input.backbone[0]:q} --groups {input.groups} --output {output}"
        " --work {params.work} --card {params.card} 2>&1 | tee {log}"


# All trainings wait for this one, so it goes first.
use rule cache as cache_train with:
    wildcard_constraints:
        set="train",
    priority: 10
