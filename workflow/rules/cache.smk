# Stage 4: generator probabilities and hidden states. Unfinished work lies outside the declared
# output, which Snakemake deletes when a job is killed; the next run continues from there.
rule cache:
    input:
        groups=f"{RESULTS}/groups/{{set}}.parquet",
        backbone=BACKBONE_FILES,
        generator=GENERATOR_FILES,
    output:
        directory(f"{RESULTS}/cache/{{set}}"),
    log:
        f"{RESULTS}/logs/cache-{{set}}.log",
    wildcard_constraints:
        set="|".join(EVALUATION_SETS),
    conda:
        "../../environment.yml"
    threads: EXPERIMENT.threads
    resources:
        **ask("cache"),
    params:
        depends=depends(EXPERIMENT, ["cache", "generator", "threads"], [".", "cache"]),
        layers=EXPERIMENT.training.trained_layers,
        experiment=FILE,
        generator=f"--generator {GENERATOR_FILES[0]}" if GENERATOR_FILES else "",
        shared="resources/cache",
        work=f"{RESULTS}/unfinished/cache-{{set}}",
        card=f"{RESULTS}/cards/cache-{{set}}.json",
    shell:
        "python -m steps.cache build --experiment {params.experiment}"
        " --backbone {input.backbone[0]:q} {params.generator} --groups {input.groups}"
        " --output {output} --work {params.work} --shared {params.shared} --card {params.card} 2>&1 | tee {log}"


# All trainings wait for this one, so it goes first.
use rule cache as cache_train with:
    wildcard_constraints:
        set="train",
    priority: 10
    resources:
        **ask("cache_train"),
