"""How many tokens each set has: counted once it is selected, before that bounded by its budget or
by the known number of its responses, each as long as the cut-off.
"""

from dataclasses import dataclass
from pathlib import Path

from steps.config import Experiment
from steps.config.hub_data import HubData
from steps.errors import UserError
from steps.files import read_json


@dataclass(frozen=True)
class SetTokens:
    """The size of one set; what is not known is None.

    Attributes:
        tokens: of all groups, each prompt counted once.
        row_tokens: with every response in a row of its own, after its prompt.
        largest_group: tokens of the largest group.
        largest_group_in_rows: the same with a row for every response.
        prompts: number of groups.
        counted: read from the selected groups; otherwise the numbers are bounds.
    """

    name: str
    tokens: int | None
    row_tokens: int | None = None
    largest_group: int | None = None
    largest_group_in_rows: int | None = None
    prompts: int | None = None
    counted: bool = False


COUNTS = ("tokens", "row_tokens", "largest_group", "largest_group_in_rows", "prompts")


def read_set_tokens(experiment: Experiment, results: Path) -> list[SetTokens]:
    """Return the sizes of the training set and of all evaluation sets.

    Args:
        results: folder that holds the experiment's groups, ``results/<name>``.

    Raises:
        UserError: the selection lies there but does not say these sizes.
    """
    path = results / "groups" / "selection.json"
    names = ["train", *experiment.evaluation_sets]
    if not path.is_file():
        return [_bounded(experiment, name) for name in names]
    try:
        sets = read_json(path)["sets"]
        return [
            SetTokens(name, counted=True, **{key: int(sets[name][key]) for key in COUNTS})
            for name in names
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} does not hold the size of every set (no {error}); delete it and run the "
            "selection again"
        ) from None


def _bounded(experiment: Experiment, name: str) -> SetTokens:
    budget = experiment.selection.token_budget.get(name)
    if not isinstance(experiment.data, HubData):
        return SetTokens(name, budget)
    most = experiment.data.most().get(name)
    if most is None:  # a file of the user's
        return SetTokens(name, budget)
    rows = most.responses * experiment.selection.max_tokens
    tokens = rows if budget is None else min(budget, rows)
    return SetTokens(name, tokens, row_tokens=rows, prompts=most.groups)


def largest_batch(sets: list[SetTokens], tokens_per_batch: int, padded: bool = False) -> int:
    """Return the tokens of the largest batch that is cut from any of ``sets``.

    A group that exceeds ``tokens_per_batch`` is a batch by itself. Before the groups are selected
    their sizes are not known, and batches are taken to keep within ``tokens_per_batch``.
    """
    return max(_largest_batch(part, tokens_per_batch, padded) for part in sets)


def _largest_batch(part: SetTokens, tokens_per_batch: int, padded: bool) -> int:
    largest = part.largest_group_in_rows if padded else part.largest_group
    total = part.row_tokens if padded else part.tokens
    batch = max(tokens_per_batch, largest or 0)
    return batch if total is None else min(batch, total)


def largest_micro_batch(
    part: SetTokens, tokens_per_batch: int, groups_per_step: int, padded: bool
) -> int:
    """Return the tokens of training's largest micro-batch: never more than an optimiser step."""
    batch = _largest_batch(part, tokens_per_batch, padded)
    largest = part.largest_group_in_rows if padded else part.largest_group
    return batch if largest is None else min(batch, groups_per_step * largest)
