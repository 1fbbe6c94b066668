# Stage 2: prompt groups; all of them first, then those that fit the experiment's budget.
def raw_data(wildcards):
    match EXPERIMENT.data.source:
        case "champ":
            return {"raw": "resources/champ/v0.json"}
        case "files":
            return {
                f"file{number}": path
                for number, path in enumerate(
                    [EXPERIMENT.data.train, *EXPERIMENT.data.evaluation.values()]
                )
            }
        case _:
            return {}


rule prepare_groups:
    input:
        unpack(raw_data),
    output:
        directory(f"{RESULTS}/prepared"),
    params:
        settings=settings("data"),
        experiment=FILE,
        raw=lambda wildcards, input: f"--raw {input.raw}" if hasattr(input, "raw") else "",
        card=f"{RESULTS}/cards/prepare_groups.json",
    log:
        f"{RESULTS}/logs/prepare_groups.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.groups prepare --experiment {params.experiment} {params.raw}"
        " --output {output} --card {params.card} 2>&1 | tee {log}"


rule select_groups:
    input:
        prepared=rules.prepare_groups.output,
        backbone=BACKBONE,
    output:
        expand(f"{RESULTS}/groups/{{set}}.parquet", set=SETS),
        f"{RESULTS}/groups/selection.json",
    params:
        settings=settings("selection"),
        experiment=FILE,
        folder=f"{RESULTS}/groups",
        card=f"{RESULTS}/cards/select_groups.json",
    log:
        f"{RESULTS}/logs/select_groups.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.groups select --experiment {params.experiment}"
        " --prepared {input.prepared} --backbone {input.backbone} --output {params.folder}"
        " --card {params.card} 2>&1 | tee {log}"
