# Stage 2: prompt groups; all of them first, then those that fit the experiment's budget.
rule prepare_groups:
    input:
        **raw_data(EXPERIMENT),
    output:
        directory(f"{RESULTS}/prepared"),
    log:
        f"{RESULTS}/logs/prepare_groups.log",
    group:
        "data"
    conda:
        "../../environment.yml"
    resources:
        **ask("prepare_groups"),
    params:
        depends=depends(EXPERIMENT, ["data"], [".", "groups"]),
        experiment=FILE,
        raw=lambda wildcards, input: f"--raw {input.raw}" if input.raw else "",
        card=f"{RESULTS}/cards/prepare_groups.json",
    shell:
        "python -m steps.groups prepare --experiment {params.experiment} {params.raw}"
        " --output {output} --card {params.card} 2>&1 | tee {log}"


rule select_groups:
    input:
        prepared=rules.prepare_groups.output,
        backbone=BACKBONE_FILES,
    output:
        expand(f"{RESULTS}/groups/{{set}}.parquet", set=SETS),
        f"{RESULTS}/groups/selection.json",
    log:
        f"{RESULTS}/logs/select_groups.log",
    group:
        "data"
    conda:
        "../../environment.yml"
    resources:
        **ask("select_groups"),
    params:
        depends=depends(EXPERIMENT, ["selection"], [".", "groups"]),
        labels=EXPERIMENT.training.labels,
        experiment=FILE,
        folder=lambda wildcards, output: Path(output[0]).parent,
        card=f"{RESULTS}/cards/select_groups.json",
    shell:
        "python -m steps.groups select --experiment {params.experiment}"
        " --prepared {input.prepared} --backbone {input.backbone[0]:q} --output {params.folder}"
        " --card {params.card} 2>&1 | tee {log}"
