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
CPU_RULES = (
    *("problems", "prepare_groups", "select_groups", "make_pairs", "frozen_layers"),
    *("score_ensemble", "score_benchmark_ensemble", "rebuild_benchmark", "benchmark_groups"),
    *("benchmark_items", "benchmark_numbers", "evaluate", "draw_tables", "draw_benchmarks"),
    *("draw_figures", "export"),
    *("release_prompts", "select_policy_pairs", "check_judge", "evaluate_policies"),
    *("draw_policies", "best_of_n", "draw_best_of_n"),
)
RULES = MODEL_RULES + CPU_RULES
