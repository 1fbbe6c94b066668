# Benchmarks of reward models. Their groups, caches and scores lie below results/<name>/benchmarks as
# those of the evaluation sets lie below results/<name>, and the same rules make them. They may be
# those of an experiment that extends another one, which has the reward models.
EXTENDED = OWN.benchmarks != EXPERIMENT.benchmarks
SCORED_NAME, SCORED_FILE, BENCHMARKS = (
    (OWN_NAME, OWN_FILE, OWN.benchmarks) if EXTENDED else (NAME, FILE, EXPERIMENT.benchmarks)
)
REFERENCES = EXPERIMENT.reference_models
BENCHMARK_RESULTS = f"results/{SCORED_NAME}/benchmarks"
BENCHMARK_CARDS = f"results/{SCORED_NAME}/cards"
BENCHMARK_LOGS = f"results/{SCORED_NAME}/logs"
BENCHMARK_NUMBERS = expand(f"{BENCHMARK_RESULTS}/numbers/{{benchmark}}", benchmark=BENCHMARKS)
BENCHMARK_DOWNLOADS = {b.rows.name: b for b in BENCHMARKS.values() if b.source == "hub"}
BENCHMARK_FILES = [b for b in BENCHMARKS.values() if b.source == "files"]
REBUILT = {str(b.rows): b.rebuild for b in BENCHMARK_FILES if b.rebuild}
BENCHMARK_SCORES = f"{BENCHMARK_RESULTS}/scores/{{{{method}}}}/seed{{{{seed}}}}/{{set}}.parquet"


if BENCHMARK_DOWNLOADS:

    rule download_benchmark:
        output:
            directory("resources/benchmarks/{rows}"),
        log:
            "resources/benchmarks/{rows}.log",
        wildcard_constraints:
            rows="|".join(map(re.escape, BENCHMARK_DOWNLOADS)),
        localrule: True
        conda:
            "../../environment.yml"
        params:
            benchmark=lambda wildcards: BENCHMARK_DOWNLOADS[wildcards.rows].benchmark,
            revision=lambda wildcards: (
                f"--revision {revision}"
                if (revision := BENCHMARK_DOWNLOADS[wildcards.rows].revision)
                else ""
            ),
            card="resources/benchmarks/{rows}.card.json",
        shell:
            "python -m steps.download benchmark --benchmark {params.benchmark} {params.revision}"
            " --output {output} --card {params.card} 2>&1 | tee {log}"


if REBUILT:

    rule rebuild_benchmark:
        input:
            lambda wildcards: [str(file) for file in REBUILT[wildcards.rows].files],
        output:
            "{rows}",
        log:
            "{rows}.log",
        wildcard_constraints:
            rows="|".join(map(re.escape, REBUILT)),
        group:
            "benchmark_data"
        conda:
            "../../environment.yml"
        resources:
            **ask("rebuild_benchmark"),
        params:
            depends=depends(OWN, [], [".", "benchmarks", "groups"]),
            folders=lambda wildcards: REBUILT[wildcards.rows].folders,
            subsets=lambda wildcards: REBUILT[wildcards.rows].subsets,
            card="{rows}.card.json",
        shell:
            "python -m steps.benchmarks.rebuild --folders {params.folders:q}"
            " --subsets {params.subsets} --output {output:q} --card {params.card:q}"
            " 2>&1 | tee {log:q}"


if BENCHMARKS:

    rule benchmark_groups:
        input:
            rows=lambda wildcards: str(BENCHMARKS[wildcards.set].rows),
            backbone=BACKBONE_FILES,
        output:
            f"{BENCHMARK_RESULTS}/groups/{{set}}.parquet",
        log:
            f"{BENCHMARK_LOGS}/benchmark-groups-{{set}}.log",
        wildcard_constraints:
            set="|".join(BENCHMARKS),
        group:
            "benchmark_data"
        conda:
            "../../environment.yml"
        resources:
            **ask("benchmark_groups"),
        params:
            depends=depends(EXPERIMENT, [], [".", "benchmarks", "groups"]),
            experiment=SCORED_FILE,
            benchmark=lambda wildcards: BENCHMARKS[wildcards.set].benchmark,
            kind=lambda wildcards: "raw" if BENCHMARKS[wildcards.set].source == "hub" else "rows",
            card=f"{BENCHMARK_CARDS}/benchmark-groups-{{set}}.json",
        shell:
            "python -m steps.benchmarks groups --benchmark {params.benchmark}"
            " --{params.kind} {input.rows:q} --experiment {params.experiment}"
            " --backbone {input.backbone[0]:q} --output {output} --card {params.card}"
            " 2>&1 | tee {log}"

    use rule cache as cache_benchmark with:
        input:
            groups=f"{BENCHMARK_RESULTS}/groups/{{set}}.parquet",
            backbone=BACKBONE_FILES,
            generator=GENERATOR_FILES,
        output:
            directory(f"{BENCHMARK_RESULTS}/cache/{{set}}"),
        log:
            f"{BENCHMARK_LOGS}/benchmark-cache-{{set}}.log",
        wildcard_constraints:
            set="|".join(BENCHMARKS),
        resources:
            **ask("cache_benchmark"),
        params:
            experiment=SCORED_FILE,
            work=f"results/{SCORED_NAME}/unfinished/benchmark-cache-{{set}}",
            card=f"{BENCHMARK_CARDS}/benchmark-cache-{{set}}.json",

    use rule score as score_benchmarks with:
        input:
            model=f"{RESULTS}/models/{{method}}/seed{{seed}}",
            groups=expand(f"{BENCHMARK_RESULTS}/groups/{{set}}.parquet", set=BENCHMARKS),
            cache=expand(f"{BENCHMARK_RESULTS}/cache/{{set}}", set=BENCHMARKS),
        output:
            expand(BENCHMARK_SCORES, set=BENCHMARKS),
        log:
            f"{BENCHMARK_LOGS}/benchmark-score-{{method}}-seed{{seed}}.log",
        resources:
            **ask("score_benchmarks"),
        params:
            experiment=SCORED_FILE,
            sets=list(BENCHMARKS),
            keep=" --keep-not-finite",
            card=f"{BENCHMARK_CARDS}/benchmark-score-{{method}}-seed{{seed}}.json",

    rule benchmark_items:
        input:
            groups=f"{BENCHMARK_RESULTS}/groups/{{benchmark}}.parquet",
            scores=expand(
                "{folder}/{{benchmark}}.parquet",
                folder=[
                    *(f"{BENCHMARK_RESULTS}/scores/{m}/seed{s}" for m, s in EXPERIMENT.runs),
                    *(f"{BENCHMARK_RESULTS}/scores/{model}" for model in REFERENCES),
                ],
            ),
        output:
            directory(f"{BENCHMARK_RESULTS}/items/{{benchmark}}"),
        log:
            f"{BENCHMARK_LOGS}/benchmark-items-{{benchmark}}.log",
        wildcard_constraints:
            benchmark="|".join(BENCHMARKS),
        group:
            "benchmark"
        conda:
            "../../environment.yml"
        resources:
            **ask("benchmark_items"),
        params:
            depends=depends(EXPERIMENT, ["methods", "seeds"], [".", "benchmarks"]),
            experiment=SCORED_FILE,
            results=BENCHMARK_RESULTS,
            card=f"{BENCHMARK_CARDS}/benchmark-items-{{benchmark}}.json",
        shell:
            "python -m steps.benchmarks.runs --experiment {params.experiment}"
            " --name {wildcards.benchmark} --results {params.results} --output {output}"
            " --card {params.card} 2>&1 | tee {log}"

    rule benchmark_numbers:
        input:
            rules.benchmark_items.output,
        output:
            directory(f"{BENCHMARK_RESULTS}/numbers/{{benchmark}}"),
        log:
            f"{BENCHMARK_LOGS}/benchmark-numbers-{{benchmark}}.log",
        wildcard_constraints:
            benchmark="|".join(BENCHMARKS),
        group:
            "benchmark"
        conda:
            "../../environment.yml"
        resources:
            **ask("benchmark_numbers"),
        params:
            depends=depends(EXPERIMENT, ["evaluation"], [".", "benchmarks", "evaluate"]),
            experiment=SCORED_FILE,
            card=f"{BENCHMARK_CARDS}/benchmark-numbers-{{benchmark}}.json",
        shell:
            "python -m steps.benchmarks.compare --experiment {params.experiment}"
            " --name {wildcards.benchmark} --items {input} --output {output}"
            " --card {params.card} 2>&1 | tee {log}"


if BENCHMARKS and EXPERIMENT.ensembles:

    use rule score_ensemble as score_benchmark_ensemble with:
        input:
            lambda wildcards: expand(
                f"{BENCHMARK_RESULTS}/scores/{{base}}/seed{{seed}}/{{set}}.parquet",
                base=EXPERIMENT.ensembles[wildcards.method],
                seed=EXPERIMENT.seeds,
                set=BENCHMARKS,
            ),
        output:
            expand(
                f"{BENCHMARK_RESULTS}/scores/{{{{method}}}}/seed{EXPERIMENT.seeds[0]}/{{set}}.parquet",
                set=BENCHMARKS,
            ),
        log:
            f"{BENCHMARK_LOGS}/benchmark-score-{{method}}.log",
        resources:
            **ask("score_benchmark_ensemble"),
        params:
            experiment=SCORED_FILE,
            sets=list(BENCHMARKS),
            card=f"{BENCHMARK_CARDS}/benchmark-score-{{method}}.json",


# A reward model of others: all its sets in one process, which continues where it was interrupted.
if REFERENCES:

    rule score_reference:
        input:
            model=lambda wildcards: model_files(REFERENCES[wildcards.reference]),
            groups=[
                *expand(f"{RESULTS}/groups/{{set}}.parquet", set=EVALUATION_SETS),
                *expand(f"{BENCHMARK_RESULTS}/groups/{{set}}.parquet", set=BENCHMARKS),
            ],
        output:
            expand(f"{RESULTS}/scores/{{{{reference}}}}/{{set}}.parquet", set=EVALUATION_SETS),
            expand(
                f"{BENCHMARK_RESULTS}/scores/{{{{reference}}}}/{{set}}.parquet",
                set=BENCHMARKS,
            ),
        log:
            f"{RESULTS}/logs/score-{{reference}}.log",
        wildcard_constraints:
            reference="|".join(REFERENCES),
        conda:
            "../../environment.yml"
        threads: EXPERIMENT.threads
        resources:
            **ask("score_reference"),
        params:
            depends=depends(EXPERIMENT, ["threads"], [".", "score"]),
            settings=lambda wildcards: reference_options(EXPERIMENT, wildcards.reference),
            experiment=FILE,
            card=f"{RESULTS}/cards/score-{{reference}}.json",
        shell:
            "python -m steps.score --model {input.model[0]:q} --input {input.groups}"
            " --output {output} --truncate --on-error skip --threads {threads} {params.settings}"
            " --card {params.card} --experiment {params.experiment} 2>&1 | tee {log}"
