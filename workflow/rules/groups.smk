# Stage 2: prompt groups; all of them first, then those that fit the experiment's budget.
SAMPLED = EXPERIMENT.sampled_sets

if SAMPLED:

    # Of the data section only the set's problems: nothing else there samples all solutions again.
    rule problems:
        input:
            unpack(lambda wildcards: problem_files(EXPERIMENT, wildcards.set)),
        output:
            f"{RESULTS}/problems/{{set}}.parquet",
        log:
            f"{RESULTS}/logs/problems-{{set}}.log",
        wildcard_constraints:
            set="|".join(SAMPLED),
        conda:
            "../../environment.yml"
        resources:
            **ask("problems"),
        params:
            depends=depends(EXPERIMENT, [], ["groups"]),
            problems=lambda wildcards: SAMPLED[wildcards.set].problems.model_dump(),
            first=lambda wildcards: SAMPLED[wildcards.set].first,
            experiment=FILE,
            raw=lambda wildcards, input: f"--raw {input.raw}" if input.raw else "",
            card=f"{RESULTS}/cards/problems-{{set}}.json",
        shell:
            "python -m steps.groups problems --experiment {params.experiment} --set {wildcards.set}"
            " {params.raw} --output {output} --card {params.card} 2>&1 | tee {log}"

    rule sample_solutions:
        input:
            model=lambda wildcards: model_files(SAMPLED[wildcards.set].model),
            # Written anew when code changes; the same problems are not worth all solutions again.
            problems=ancient(rules.problems.output),
        output:
            f"{RESULTS}/solutions/{{set}}.parquet",
        log:
            f"{RESULTS}/logs/sample_solutions-{{set}}.log",
        wildcard_constraints:
            set="|".join(SAMPLED),
        conda:
            "../../environment.yml"
        threads: EXPERIMENT.threads
        resources:
            **ask("sample_solutions"),
        params:
            depends=depends(EXPERIMENT, ["threads"], [".", "sample"]),
            sampling=lambda wildcards: SAMPLED[wildcards.set].sampling.model_dump(),
            problems=lambda wildcards: SAMPLED[wildcards.set].problems.model_dump(),
            first=lambda wildcards: SAMPLED[wildcards.set].first,
            content=lambda wildcards: content_of(problem_files(EXPERIMENT, wildcards.set)["own"]),
            experiment=FILE,
            work=f"{RESULTS}/unfinished/solutions-{{set}}",
            card=f"{RESULTS}/cards/sample_solutions-{{set}}.json",
        shell:
            "python -m steps.sample --experiment {params.experiment} --use solutions"
            " --set {wildcards.set} --model {input.model[0]:q} --groups {input.problems}"
            " --output {output} --work {params.work} --card {params.card} 2>&1 | tee {log}"


rule prepare_groups:
    input:
        **raw_data(EXPERIMENT),
        solutions=expand(f"{RESULTS}/solutions/{{set}}.parquet", set=SAMPLED),
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
        solutions=lambda wildcards, input: (
            f"--solutions {input.solutions}" if input.solutions else ""
        ),
        card=f"{RESULTS}/cards/prepare_groups.json",
    shell:
        "python -m steps.groups prepare --experiment {params.experiment} {params.raw}"
        " {params.solutions}"
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
