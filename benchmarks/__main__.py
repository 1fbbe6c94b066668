"""``python -m benchmarks cpu|growth|gpu``: measure how fast the steps are, beside others' tools.

``make bench`` makes the data first. Rows are added to benchmarks.json and benchmarks.md of the
output folder, in the place of those of the same name. Nothing else should run on the machine.
"""

import argparse
import gc
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.best_of_n import best_of_long_prompts, best_of_short_prompts
from benchmarks.caching import against_plain_caching
from benchmarks.gpu import GPU, gpu_setting
from benchmarks.growth_in_length import growth_in_length
from benchmarks.growth_in_rows import growth_in_rows
from benchmarks.live_generator import cached_in_full_training, cached_with_lora
from benchmarks.methods import icrm_over_grm_and_orm, upper_layers_over_full
from benchmarks.orchestration import dry_run, quickstart_overhead
from benchmarks.rows import LeftOut, Row, add_rows
from benchmarks.scoring_pairs import against_rewardbench
from benchmarks.setting import Setting, real_setting, small_setting
from benchmarks.training_against_trl import against_trl, against_trl_with_groups
from steps.errors import UserError, nearest, run_command
from steps.provenance import RunCard

Comparison = Callable[[Setting], Row | LeftOut | list[Row]]
CPU: list[Comparison] = [
    dry_run,
    quickstart_overhead,
    against_plain_caching,
    best_of_short_prompts,
    best_of_long_prompts,
    against_rewardbench,
    icrm_over_grm_and_orm,
    cached_in_full_training,
    cached_with_lora,
    upper_layers_over_full,
    against_trl,
    against_trl_with_groups,
]
GROWTH: list[Comparison] = [growth_in_length, growth_in_rows]
SUITES = {"cpu": CPU, "growth": GROWTH, "gpu": GPU}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", choices=list(SUITES))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some comparisons of the suite")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    parser.add_argument(
        "--small", action="store_true", help="a random model and a few sums: seconds, for tests"
    )
    arguments = parser.parse_args()
    chosen = _chosen(SUITES[arguments.suite], arguments.only)
    if arguments.small and arguments.suite == "gpu":
        raise UserError("--small: the suite of the GPU has no small form; leave it out")
    if arguments.suite == "gpu":
        opened = gpu_setting(arguments.output)
    else:
        opened = (small_setting if arguments.small else real_setting)(arguments.output)
    with opened as setting:
        add_rows(arguments.output, [], {})  # what cannot be written to is named before the hours
        for comparison in chosen:
            settings = {"suite": arguments.suite, "small": arguments.small}
            name = f"{arguments.suite}-{comparison.__name__}.json"
            card = RunCard("benchmark", settings, path=arguments.output / "cards" / name)
            print(f"{comparison.__name__} ...", file=sys.stderr, flush=True)
            made = comparison(setting)
            made = made if isinstance(made, list) else [made]
            outputs = add_rows(arguments.output, made, {"commit": card.facts["commit"]})
            figures = sorted(arguments.output.glob(f"{comparison.__name__}.*"))
            card.write([*outputs, *figures])
            gc.collect()  # a trainer and its callbacks hold each other, and gigabytes
    print((arguments.output / "benchmarks.md").read_text())


def _chosen(suite: list[Comparison], names: list[str] | None) -> list[Comparison]:
    known = {comparison.__name__: comparison for comparison in suite}
    for name in names or []:
        if name not in known:
            raise UserError(f"--only: no comparison is called '{name}'; {nearest(name, [*known])}")
    return [known[name] for name in names or known]


if __name__ == "__main__":
    run_command(main)
