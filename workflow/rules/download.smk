# Stage 1: the backbone and the raw data.
if EXPERIMENT.backbone.source != "local":

    rule download_model:
        output:
            directory(BACKBONE),
        params:
            settings=settings("backbone"),
            experiment=FILE,
            card=f"{RESULTS}/cards/download_model.json",
        log:
            f"{RESULTS}/logs/download_model.log",
        conda:
            "../../environment.yml"
        shell:
            "python -m steps.download model --experiment {params.experiment}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"


rule download_champ:
    output:
        "resources/champ/v0.json",
    params:
        card="resources/champ/card.json",
    log:
        "resources/champ/download.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.download champ --output {output} --card {params.card} 2>&1 | tee {log}"
