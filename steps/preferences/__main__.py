"""``python -m steps.preferences``: a DPO pair of each sampled prompt, as a reward model prefers.

Prompts that equal, or are near-duplicates of, an evaluation prompt are left out first; the report
says which, and what each prompt without a pair lacked.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from steps.config import load_experiment
from steps.errors import UserError, run_command
from steps.files import write_json
from steps.groups.leaks import drop_matching_prompts
from steps.groups.schema import read_groups
from steps.outputs import check_outputs
from steps.policy.schema import write_policy_pairs
from steps.preferences.rewards import read_rewards
from steps.preferences.select import select_pairs
from steps.provenance import RunCard
from steps.sample.settings import asked, sampling_for


def main() -> None:
    arguments = _parser().parse_args()
    read = [arguments.experiment, arguments.groups, arguments.scores, *arguments.evaluation]
    check_outputs([arguments.output, arguments.report, arguments.card], read)
    experiment = load_experiment(arguments.experiment)
    sampling = sampling_for(experiment, "pairs")
    settings = experiment.policy.pairs
    card = RunCard(
        "preferences",
        settings.model_dump(),
        settings.seed,
        path=arguments.card,
        inputs=[arguments.groups, arguments.scores, *arguments.evaluation],
        experiment=experiment,
    )
    groups = read_groups(arguments.groups)
    scored = read_rewards(arguments.scores, groups)
    rewards_of = {g.group_id: each.rewards for g, each in zip(groups, scored, strict=True)}
    evaluation = {str(path): read_groups(path) for path in arguments.evaluation}
    kept, report = drop_matching_prompts(groups, evaluation, settings.drop_near_duplicates)
    equal, near = map(len, report["dropped"].values())
    if not kept:
        raise UserError(
            f"{arguments.groups}: no prompt is left to make pairs of: {equal:,} equal a prompt of "
            f"the evaluation sets, {near:,} are near-duplicates of one; "
            + ("set policy.pairs.drop_near_duplicates: false, or " if near else "")
            + "give other prompts"
        )
    pairs, counts, unfinished = select_pairs(
        kept, [rewards_of[g.group_id] for g in kept], settings, partial(asked, sampling=sampling)
    )
    write_policy_pairs(arguments.output, pairs)
    report |= {"pairs": len(pairs), "unfinished_pairs": unfinished, "without_pair": counts}
    write_json(arguments.report, report)
    print(
        f"{arguments.output}: {len(pairs):,} pairs of {len(groups):,} prompts; left out: "
        f"{equal:,} that equal a prompt of the evaluation sets, {near:,} near-duplicates of one"
    )
    if unfinished:
        print(
            f"{arguments.output}: {unfinished / len(pairs):.0%} of the pairs have a response that "
            "was cut at max_new_tokens",
            file=sys.stderr,
        )
    for what, count in counts.items():
        print(f"{arguments.groups}: {count:,} {what}", file=sys.stderr)
    card.write([arguments.output, arguments.report])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steps.preferences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument("--groups", type=Path, required=True, help="sampled groups (parquet)")
    parser.add_argument("--scores", type=Path, required=True, help="their rewards (parquet)")
    parser.add_argument(
        "--evaluation",
        type=Path,
        nargs="+",
        required=True,
        help="groups of every evaluation set, whose prompts must not be trained on",
    )
    parser.add_argument("--output", type=Path, required=True, help="pairs to write (parquet)")
    parser.add_argument("--report", type=Path, required=True, help="report to write (JSON)")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


if __name__ == "__main__":
    run_command(main)
