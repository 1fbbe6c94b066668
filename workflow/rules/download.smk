# Stage 1: the backbone and the raw data.
if EXPERIMENT.backbone.source != "local":

    rule download_model:
        output:
            directory(BACKBONE),
        log:
            f"{RESULTS}/logs/download_model.log",
        conda:
            "../../environment.yml"
        params:
            depends=depends(EXPERIMENT, ["backbone"], ["download"]),
            experiment=FILE,
            card=f"{RESULTS}/cards/download_model.json",
        shell:
            "python -m steps.download model --experiment {params.experiment}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"


rule download_champ:
    output:
        "resources/champ/v0.json",
    log:
        "resources/champ/download.log",
    conda:
        "../../environment.yml"
    params:
        card="resources/champ/card.json",
    shell:
        "python -m steps.download champ --output {output} --card {params.card} 2>&1 | tee {log}"
