# Stage 5: reward models, one job per method and seed. Checkpoints lie outside the declared output,
# which Snakemake deletes when a job is killed; the next run continues from the last one.
FROZEN = []

if EXPERIMENT.training.mode == "upper_layers":
    FROZEN = [f"{RESULTS}/models/frozen.safetensors"]

    rule frozen_layers:
        input:
            backbone=BACKBONE_FILES,
        output:
            FROZEN,
        log:
            f"{RESULTS}/logs/frozen.log",
        group:
            "data"
        conda:
            "../../environment.yml"
        resources:
            **ask("frozen_layers"),
        params:
            depends=depends(EXPERIMENT, [], [".", "train"]),
            layers=EXPERIMENT.training.trained_layers,
            experiment=FILE,
            card=f"{RESULTS}/cards/frozen.json",
        shell:
            "python -m steps.train frozen --experiment {params.experiment} --backbone {input.backbone[0]:q}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"


rule train:
    input:
        backbone=BACKBONE_FILES,
        groups=f"{RESULTS}/groups/train.parquet",
        pairs=f"{RESULTS}/pairs/train.parquet",
        cache=f"{RESULTS}/cache/train",
        frozen=FROZEN,
    output:
        model=directory(f"{RESULTS}/models/{{method}}/seed{{seed}}"),
        log=f"{RESULTS}/training/{{method}}/seed{{seed}}.csv",
    log:
        f"{RESULTS}/logs/train-{{method}}-seed{{seed}}.log",
    priority: 5
    conda:
        "../../environment.yml"
    threads: EXPERIMENT.threads
    resources:
        **ask("train"),
    params:
        depends=lambda wildcards: depends(
            EXPERIMENT,
            ["training", *sections_read(wildcards.method), "threads"],
            [".", "train", "objectives", "cache"],
        ),
        method=lambda wildcards: method_hash(wildcards.method),
        experiment=FILE,
        frozen=f"--frozen {FROZEN[0]}" if FROZEN else "",
        work=f"{RESULTS}/unfinished/train-{{method}}-seed{{seed}}",
        card=f"{RESULTS}/cards/train-{{method}}-seed{{seed}}.json",
    shell:
        "{resources.launch} steps.train model --experiment {params.experiment} --backbone {input.backbone[0]:q}"
        " --method {wildcards.method} --seed {wildcards.seed}{resources.fsdp} --groups {input.groups}"
        " --pairs {input.pairs} --cache {input.cache} {params.frozen}"
        " --work {params.work} --output {output.model} --training-log {output.log} --card {params.card} 2>&1 | tee {log}"
