# Stage 1: language models and raw data, which experiments share. What each sets otherwise is derived
# from `output`: such a parameter Snakemake does not compare, so nothing is fetched again for another
# experiment.
MODEL_ROLES = downloads(OWN)

if MODEL_ROLES:

    rule download_model:
        output:
            directory("resources/models/{folder}"),
        log:
            f"results/{OWN_NAME}/logs/download-{{folder}}.log",
        wildcard_constraints:
            folder="|".join(map(re.escape, MODEL_ROLES)),
        localrule: True
        conda:
            "../../environment.yml"
        params:
            depends=depends(OWN, [], ["download"]),
            experiment=lambda wildcards, output: OWN_FILE,
            role=lambda wildcards, output: MODEL_ROLES[wildcards.folder],
            card=lambda wildcards, output: (
                f"results/{OWN_NAME}/cards/download-{wildcards.folder}.json"
            ),
        shell:
            "python -m steps.download model --experiment {params.experiment}"
            " --role {params.role} --output {output} --card {params.card} 2>&1 | tee {log}"


rule download_champ:
    output:
        "resources/champ/v0.json",
    log:
        "resources/champ/download.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        card="resources/champ/card.json",
    shell:
        "python -m steps.download champ --output {output} --card {params.card} 2>&1 | tee {log}"


# The sets of the hub that the experiment needs, each into a folder that names its revision.
if EXPERIMENT.hub_sets:
    HUB_SETS = {str(hub_set.folder): hub_set.kind for hub_set in EXPERIMENT.hub_sets}

    rule download_data:
        output:
            directory("resources/{folder}"),
        log:
            "resources/{folder}.log",
        wildcard_constraints:
            folder="|".join(re.escape(Path(folder).name) for folder in HUB_SETS),
        localrule: True
        conda:
            "../../environment.yml"
        params:
            experiment=lambda wildcards, output: FILE,
            kind=lambda wildcards: HUB_SETS[f"resources/{wildcards.folder}"],
            card="resources/{folder}.card.json",
        shell:
            "python -m steps.download data --experiment {params.experiment} --set {params.kind}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"
