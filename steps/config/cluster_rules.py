"""The rules whose jobs a cluster runs, by the names that they call ``ask`` with."""

# One job of several processes, where the cluster's file says so.
TRAININGS = ("train_generator", "train")
# They use a GPU.
MODEL_RULES = (
    *TRAININGS,
    *("cache_train", "cache", "score", "cache_benchmark", "score_benchmarks", "score_reference"),
    *("sample_solutions", "sample", "score_samples", "judge", "reference_log_probabilities"),
    *("train_policy", "divergence"),
)
# Of those the ones that save when SLURM signals that the time is nearly over.
LISTENING = (
    *(*TRAININGS, "cache_train", "cache", "cache_benchmark", "sample_solutions", "sample"),
    "train_policy",
)
# Small steps that are one job with those before and after them, see `steps.config.resources`.
GROUPED = (
    *("prepare_groups", "select_groups", "make_pairs", "frozen_layers"),
    *("rebuild_benchmark", "benchmark_groups"),
    *("benchmark_items", "benchmark_numbers"),
    *("score_ensemble", "score_benchmark_ensemble", "evaluate", "draw_tables", "draw_figures"),
    *("evaluate_policies", "draw_policies"),
    *("best_of_n", "draw_best_of_n"),
)
CPU_RULES = (
    *GROUPED,
    *("problems", "draw_benchmarks", "release_prompts", "select_policy_pairs", "check_judge"),
    "export",
)
# Of those without a GPU the ones that hold a model's weights.
LOADING = ("frozen_layers", "check_judge", "export")
RULES = MODEL_RULES + CPU_RULES
