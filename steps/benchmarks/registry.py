"""The benchmarks by name."""

from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.rewardbench import REWARDBENCH
from steps.benchmarks.rewardbench2 import rewardbench2
from steps.benchmarks.rmbench import RMBENCH
from steps.benchmarks.ties import TiesRule
from steps.config import Experiment
from steps.errors import UserError, nearest

BENCHMARKS = {each.name: each for each in (REWARDBENCH, rewardbench2(), RMBENCH)}


def benchmark_of(experiment: Experiment, name: str) -> Benchmark:
    """Return the benchmark of the entry ``name`` of an experiment."""
    if name not in experiment.benchmarks:
        hint = nearest(name, list(experiment.benchmarks))
        raise UserError(f"no entry of the experiment's benchmarks is called '{name}'; {hint}")
    return BENCHMARKS[experiment.benchmarks[name].benchmark]


def with_ties_rule(benchmark: Benchmark, rule: TiesRule | None) -> Benchmark:
    """Return the benchmark with another rule for Ties, if one is given."""
    if rule is None:
        return benchmark
    if benchmark.name != "rewardbench2":
        raise UserError(f"--ties-rule: {benchmark.title} has no subset Ties; leave the option out")
    return rewardbench2(rule)
