# Stage 2: prompt groups; all of them first, then those that fit the experiment's budget.
SOLUTIONS = solutions_to_sample(EXPERIMENT)

if SOLUTIONS is not None:

    # Of the data section only the problems: nothing else there samples all solutions again.
    rule problems:
        input:
            raw=hub_folders(EXPERIMENT),
            own=problem_files(EXPERIMENT),
        output:
            f"{RESULTS}/solutions/problems.parquet",
        log:
            f"{RESULTS}/logs/problems.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("problems"),
        params:
            depends=depends(EXPERIMENT, [], ["groups"]),
            problems=EXPERIMENT.data.problems.model_dump(),
            first=EXPERIMENT.data.first,
            experiment=FILE,
            raw=lambda wildcards, input: f"--raw {input.raw}" if input.raw else "",
            card=f"{RESULTS}/cards/problems.json",
        shell:
            "python -m steps.groups problems --experiment {params.experiment} {params.raw}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"

    rule sample_solutions:
        input:
            model=model_files(EXPERIMENT.generator_model),
            # Written anew when code changes; the same problems are not worth all solutions again.
            problems=ancient(rules.problems.output),
        output:
            f"{RESULTS}/solutions/solutions.parquet",
        log:
            f"{RESULTS}/logs/sample_solutions.log",
        conda:
            "../../environment.yml"
        threads: EXPERIMENT.threads
        resources:
            **ask("sample_solutions"),
        params:
            depends=depends(EXPERIMENT, ["threads"], [".", "sample"]),
            sampling=SOLUTIONS.model_dump(),
            of=[EXPERIMENT.data.problems.model_dump(), EXPERIMENT.data.first],
            content=content_of(problem_files(EXPERIMENT)),
            experiment=FILE,
            work=f"{RESULTS}/unfinished/sample-solutions",
            card=f"{RESULTS}/cards/sample_solutions.json",
        shell:
            "python -m steps.sample --experiment {params.experiment} --use solutions"
            " --model {input.model[0]:q} --groups {input.problems}"
            " --output {output} --work {params.work} --card {params.card} 2>&1 | tee {log}"


rule prepare_groups:
    input:
        **raw_data(EXPERIMENT),
        solutions=rules.sample_solutions.output if SOLUTIONS else [],
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
        solutions=f"--solutions {rules.sample_solutions.output}" if SOLUTIONS else "",
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
