# Stage 8: tables and figures.
from steps.config.load import PUBLISHED_SCORES

REPORTED_TABLES = ["main", "differences", "mcnemar", "analyses", "analysis_differences"]
TABLES = [
    *expand(f"{RESULTS}/tables/{{name}}.csv", name=REPORTED_TABLES),
    *expand(f"{RESULTS}/tables/{{name}}.md", name=["main", "best_of_n", "differences", "analyses"]),
    f"{RESULTS}/tables/main.tex",
    f"{RESULTS}/tables/main.json",
]
REPORTED_FIGURES = [
    *("best_of_n", "token_rewards", "training_curves", "reliability"),
    *("lengths", "over_optimisation", "prefixes", "token_changes"),
]
BENCHMARK_TABLES = expand(
    f"results/{SCORED_NAME}/tables/benchmark_{{benchmark}}.{{suffix}}",
    benchmark=BENCHMARKS,
    suffix=["csv", "md", "tex"],
)

BENCHMARK_REPORTS = [
    *map(
        partial(report, category="Tables", caption="../report/benchmark.rst"),
        [table for table in BENCHMARK_TABLES if table.endswith(".csv")],
    ),
    *[table for table in BENCHMARK_TABLES if not table.endswith(".csv")],
]
FIGURES = expand(
    f"{RESULTS}/figures/{{name}}.{{suffix}}", name=REPORTED_FIGURES, suffix=["png", "pdf"]
)


rule draw_tables:
    input:
        evaluation=rules.evaluate.output,
        selection=f"{RESULTS}/groups/selection.json",
        benchmarks=[] if EXTENDED else BENCHMARK_NUMBERS,
        published=PUBLISHED_SCORES if BENCHMARKS and not EXTENDED else [],
    output:
        *[
            report(
                f"{RESULTS}/tables/{name}.csv",
                category="Tables",
                caption=f"../report/{name}.rst",
            )
            for name in REPORTED_TABLES
        ],
        *[table for table in TABLES if not table.endswith(".csv")],
        [] if EXTENDED else BENCHMARK_REPORTS,
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


if EXTENDED:

    rule draw_benchmarks:
        input:
            numbers=BENCHMARK_NUMBERS,
            published=PUBLISHED_SCORES,
        output:
            BENCHMARK_REPORTS,
        log:
            f"{BENCHMARK_LOGS}/tables.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("draw_benchmarks"),
        params:
            experiment=SCORED_FILE,
            depends=depends(OWN, ["title"], [".", "report"]),
            results=f"results/{SCORED_NAME}",
            folder=lambda wildcards, output: Path(output[0]).parent,
            card=f"{BENCHMARK_CARDS}/tables.json",
        shell:
            "python -m steps.report benchmarks --experiment {params.experiment}"
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
        *[
            report(
                f"{RESULTS}/figures/{name}.png",
                category="Figures",
                caption=f"../report/{name}.rst",
            )
            for name in REPORTED_FIGURES
        ],
        *[figure for figure in FIGURES if figure.endswith(".pdf")],
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
        BENCHMARK_TABLES,


rule figures:
    input:
        FIGURES,
