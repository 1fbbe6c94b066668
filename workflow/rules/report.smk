# Stage 8: tables and figures.
TABLES = expand(
    f"{RESULTS}/tables/{{name}}",
    name=["main.csv", "main.md", "main.tex", "differences.csv", "differences.md"],
)
FIGURES = expand(
    f"{RESULTS}/figures/{{name}}.{{suffix}}",
    name=["best_of_n", "token_rewards", "training_curves"],
    suffix=["png", "pdf"],
)


rule draw_tables:
    input:
        evaluation=rules.evaluate.output,
        selection=f"{RESULTS}/groups/selection.json",
    output:
        report(
            f"{RESULTS}/tables/main.csv",
            category="Tables",
            caption="../report/main.rst",
        ),
        report(
            f"{RESULTS}/tables/differences.csv",
            category="Tables",
            caption="../report/differences.rst",
        ),
        f"{RESULTS}/tables/main.md",
        f"{RESULTS}/tables/main.tex",
        f"{RESULTS}/tables/differences.md",
    log:
        f"{RESULTS}/logs/tables.log",
    group:
        "tables"
    conda:
        "../../environment.yml"
    resources:
        **ask("draw_tables"),
    params:
        experiment=FILE,
        depends=depends(EXPERIMENT, ["title"], [".", "report"]),
        methods=[method_hash(method) for method in EXPERIMENT.methods],
        results=lambda wildcards, input: Path(input.evaluation[0]).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        card=f"{RESULTS}/cards/tables.json",
    shell:
        "python -m steps.report tables --experiment {params.experiment}"
        " --results {params.results} --output {params.folder}"
        " --card {params.card} 2>&1 | tee {log}"


rule draw_figures:
    input:
        evaluation=rules.evaluate.output,
        scores=SCORES,
        training=expand(
            f"{RESULTS}/training/{{method}}/seed{{seed}}.csv",
            method=EXPERIMENT.trained_methods,
            seed=EXPERIMENT.seeds,
        ),
    output:
        report(
            f"{RESULTS}/figures/best_of_n.png",
            category="Figures",
            caption="../report/best_of_n.rst",
        ),
        report(
            f"{RESULTS}/figures/token_rewards.png",
            category="Figures",
            caption="../report/token_rewards.rst",
        ),
        report(
            f"{RESULTS}/figures/training_curves.png",
            category="Figures",
            caption="../report/training_curves.rst",
        ),
        f"{RESULTS}/figures/best_of_n.pdf",
        f"{RESULTS}/figures/token_rewards.pdf",
        f"{RESULTS}/figures/training_curves.pdf",
    log:
        f"{RESULTS}/logs/figures.log",
    group:
        "tables"
    conda:
        "../../environment.yml"
    resources:
        **ask("draw_figures"),
    params:
        experiment=FILE,
        depends=depends(EXPERIMENT, ["title"], [".", "report"]),
        methods=[method_hash(method) for method in EXPERIMENT.methods],
        results=lambda wildcards, input: Path(input.evaluation[0]).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        card=f"{RESULTS}/cards/figures.json",
    shell:
        "python -m steps.report figures --experiment {params.experiment}"
        " --results {params.results} --output {params.folder}"
        " --card {params.card} 2>&1 | tee {log}"


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,
