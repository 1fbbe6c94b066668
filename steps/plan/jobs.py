"""How many jobs each rule of the workflow has, and what they wait for."""

from dataclasses import dataclass

from steps.config.schema import ChampData, Experiment, model_folder


@dataclass(frozen=True)
class Jobs:
    """The jobs of one rule when nothing has been computed yet.

    Attributes:
        rule: its name in ``workflow/rules``.
        count: how many.
        waits_for: what has to be finished before, in a few words.
    """

    rule: str
    count: int
    waits_for: str


def list_jobs(experiment: Experiment, extended: Experiment | None = None) -> list[Jobs]:
    """Return the jobs of all rules, in the order of the method; rules without a job are left out.

    The download of a generator, sampler, reference model or judge that is another model counts as a
    download of a model. The other jobs of a part `policy` are not among them.

    Args:
        extended: the experiment that this one extends.
    """
    models = experiment.models.values()
    downloads = len({model_folder(model) for model in models if model.source != "local"})
    evaluation = len(experiment.evaluation_sets)
    runs = len(experiment.trained_methods) * len(experiment.seeds)
    frozen = experiment.training.mode == "upper_layers"
    tuned = experiment.generator.fine_tuning is not None
    sampled = len(experiment.sampled_sets)
    generator = ", the generator" if tuned else ""
    jobs = [
        Jobs("download_model", downloads, "nothing"),
        Jobs("download_champ", int(isinstance(experiment.data, ChampData)), "nothing"),
        Jobs("download_data", len(experiment.hub_sets), "nothing"),
        Jobs("problems", sampled, "raw data"),
        Jobs("sample_solutions", sampled, "its problems, its model"),
        Jobs("prepare_groups", 1, "raw data" + ", solutions" * bool(sampled)),
        Jobs("select_groups", 1, "prepared groups, the backbone"),
        Jobs("make_pairs", 1 + evaluation, "selected groups"),
        Jobs("train_generator", int(tuned), "training pairs, the generator's model"),
        Jobs("cache_train", 1, f"selected groups, the backbone{generator}"),
        Jobs("cache", evaluation, f"selected groups, the backbone{generator}"),
        Jobs("frozen_layers", int(frozen), "the backbone"),
        Jobs("train", runs, "training pairs, the training cache" + ", frozen layers" * frozen),
        Jobs("score", runs, "its model, all caches of evaluation sets"),
        Jobs("score_ensemble", len(experiment.ensembles), "the scores of its members"),
        *_benchmark_jobs(experiment, runs),
        Jobs("evaluate", 1, "all scores"),
        *_table_jobs(experiment, extended),
        Jobs("draw_figures", 1, "the evaluation, all scores"),
    ]
    return [job for job in jobs if job.count]


def _table_jobs(experiment: Experiment, extended: Experiment | None) -> list[Jobs]:
    """Benchmarks that the extended experiment has not are drawn by a job of their own."""
    own = extended is not None and experiment.benchmarks != extended.benchmarks
    with_benchmarks = ", all benchmarks" * (bool(experiment.benchmarks) and not own)
    return [
        Jobs("draw_tables", 1, "the evaluation" + with_benchmarks),
        Jobs("draw_benchmarks", int(own), "all benchmarks"),
    ]


def _benchmark_jobs(experiment: Experiment, runs: int) -> list[Jobs]:
    benchmarks = len(experiment.benchmarks)
    downloads = {b.rows for b in experiment.benchmarks.values() if b.source == "hub"}
    own_files = [b for b in experiment.benchmarks.values() if b.source == "files"]
    rebuilt = {b.rows for b in own_files if b.rebuild}
    some = bool(benchmarks)
    return [
        Jobs("download_benchmark", len(downloads), "nothing"),
        Jobs("rebuild_benchmark", len(rebuilt), "nothing"),
        Jobs("benchmark_groups", benchmarks, "the benchmark's rows, the backbone"),
        Jobs("cache_benchmark", benchmarks, "the benchmark's groups, the backbone, the generator"),
        Jobs("score_benchmarks", runs * some, "its model, all caches of benchmarks"),
        Jobs(
            "score_benchmark_ensemble",
            len(experiment.ensembles) * some,
            "the benchmark scores of its members",
        ),
        Jobs("score_reference", len(experiment.reference_models), "its model, all groups"),
        Jobs("benchmark_items", benchmarks, "all scores of the benchmark"),
        Jobs("benchmark_numbers", benchmarks, "the benchmark's items"),
    ]
