"""Per-token rewards of an example pair, above the generator's probability of every token."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steps.config import Experiment
from steps.evaluate.first_wrong_step import tokens_inside
from steps.evaluate.load import EvaluationSet
from steps.report.figure_style import (
    GREY,
    legend_below,
    message_figure,
    method_lines,
    new_figure,
)
from steps.report.names import method_title, set_title

SPAN_COLOUR = "0.85"
MARKERS_PER_LINE = 8


def example_pair(sets: list[EvaluationSet]) -> tuple[EvaluationSet, pd.Series, str] | None:
    """Choose the pair to show by a rule that does not look at any reward.

    It is the pair whose two responses together have the median number of tokens among the
    same-model pairs of the first set that has some (among all pairs if no set has); of an even
    number the shorter of the two in the middle, equal lengths in the order of group and response.

    Returns:
        The set, the row of its pairs, and the rule in words; None if no set has pairs.
    """
    for same_model in (True, False):
        for eval_set in sets:
            pairs = eval_set.pairs
            pairs = pairs[pairs["same_model"].fillna(False)] if same_model else pairs
            if not len(pairs):
                continue
            lengths = eval_set.any_scores["n_tokens"].to_numpy()
            first = pairs["group_id"].map(eval_set.starts)
            total = lengths[first + pairs["chosen"]] + lengths[first + pairs["rejected"]]
            order = ["total", "group_id", "chosen", "rejected"]
            ranked = pairs.assign(total=total).sort_values(order, ignore_index=True)
            kind = "same-model pair" if same_model else "pair"
            return eval_set, ranked.iloc[(len(ranked) - 1) // 2], f"the {kind} of median length"
    return None


def token_rewards_figure(sets: list[EvaluationSet], experiment: Experiment) -> Figure:
    """Draw chosen and rejected side by side; rewards above, probabilities below."""
    example = example_pair(sets)
    if example is None:
        return message_figure("No evaluation set has pairs: no example pair")
    eval_set, pair, rule = example
    figure = new_figure(3.73)
    panels = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=[3, 1])
    for column, role in enumerate(("chosen", "rejected")):
        number = eval_set.starts[pair["group_id"]] + pair[role]
        _draw_rewards(panels[0, column], eval_set, experiment, number)
        _draw_probabilities(panels[1, column], eval_set, number)
        _shade_error(panels[:, column], eval_set, number)
        panels[0, column].set_title(f"{role.capitalize()} response")
        panels[1, column].set_xlabel("Token of the response")
    panels[0, 0].set_ylabel("Reward")
    panels[1, 0].set_ylabel("Generator\nprobability")
    legend_below(figure, panels[0], columns=4)
    figure.suptitle(
        f"Problem {pair['group_id']}: {rule} ({set_title(eval_set.name)}), "
        f"models of seed {experiment.seeds[0]}"
        + (", ensembles of all" if experiment.ensembles else "")
    )
    return figure


def _positions(count: int) -> np.ndarray:
    return np.arange(1, count + 1)


def _draw_rewards(
    panel: Axes, eval_set: EvaluationSet, experiment: Experiment, number: int
) -> None:
    panel.axhline(0, color=GREY, lw=0.6)
    lines = method_lines(experiment)
    for place, method in enumerate(experiment.methods):
        (seed, *_) = experiment.seeds_of(method)
        rewards = eval_set.scores[method, seed]["token_rewards"][number]
        every = max(1, len(rewards) // MARKERS_PER_LINE)
        panel.plot(
            _positions(len(rewards)),
            rewards,
            label=method_title(method),
            # Staggered, so that the markers of lines that lie together stay visible.
            markevery=(place * every // len(experiment.methods), every),
            lw=1.0,
            **lines[method],
        )


def _draw_probabilities(panel: Axes, eval_set: EvaluationSet, number: int) -> None:
    probabilities = np.exp(np.asarray(eval_set.any_scores["token_log_probs"][number], float))
    positions = _positions(len(probabilities))
    panel.bar(positions, probabilities, width=1.0, color="0.45", lw=0)
    panel.set_ylim(0, 1)
    panel.set_xlim(0.5, len(probabilities) + 0.5)


def _shade_error(panels: np.ndarray, eval_set: EvaluationSet, number: int) -> None:
    """Shade the tokens of the annotated first wrong step, if there is one."""
    response = eval_set.responses[number]
    if response.error_start is None:
        return
    ends = np.concatenate([[0], eval_set.any_scores["token_ends"][number]])
    inside = np.flatnonzero(tokens_inside(ends, response.error_start, response.error_end))
    if len(inside):
        for panel in panels:
            panel.axvspan(
                inside[0] + 0.5,
                inside[-1] + 1.5,
                color=SPAN_COLOUR,
                lw=0,
                zorder=0,
                label="First wrong step (annotated)",
            )
