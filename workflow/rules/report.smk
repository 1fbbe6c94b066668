# Stage 8: tables and figures.
TABLES = expand(f"{RESULTS}/tables/{{name}}", name=["main.csv", "main.md", "main.tex"])
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
        TABLES,
    params:
        experiment=FILE,
        title=EXPERIMENT.title,
        results=RESULTS,
        folder=f"{RESULTS}/tables",
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.report tables --experiment {params.experiment}"
        " --results {params.results} --output {params.folder} 2>&1 | tee {log}"


rule draw_figures:
    input:
        evaluation=rules.evaluate.output,
        scores=SCORES,
        training=expand(
            f"{RESULTS}/training/{{method}}/seed{{seed}}.csv",
            method=EXPERIMENT.methods,
            seed=EXPERIMENT.seeds,
        ),
    output:
        FIGURES,
    params:
        experiment=FILE,
        title=EXPERIMENT.title,
        results=RESULTS,
        folder=f"{RESULTS}/figures",
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m steps.report figures --experiment {params.experiment}"
        " --results {params.results} --output {params.folder} 2>&1 | tee {log}"


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,
