# Benchmarks of reward models. Their groups, caches and scores lie below results/<name>/benchmarks as
# those of the evaluation sets lie below results/<name>, and the same rules make them.
BENCHMARKS = EXPERIMENT.benchmarks
BENCHMARK_RESULTS = f"{RESULTS}/benchmarks"
REFERENCES = EXPERIMENT.reference_models
BENCHMARK_ROWS = {
    str(b.rows): b for b in BENCHMARKS.values() if b.source == "hub"
}


wildcard_constraints:
    benchmark="|".join(BENCHMARKS),
    reference="|".join(REFERENCES),
