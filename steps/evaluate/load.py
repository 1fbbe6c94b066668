"""Reading groups, pairs and scores of one evaluation set, aligned response by response."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from steps.config import Experiment
from steps.config.schema import ANNOTATED_SET
from steps.errors import UserError
from steps.groups.schema import PromptGroup, Response, read_groups
from steps.pairs.schema import read_pairs
from steps.score.schema import Origin, read_left_out, read_origin, read_rewards, read_scores

SCORE_AGAIN = "run the score step again for these groups"


@dataclass(frozen=True)
class EvaluationSet:
    """One evaluation set with the scores of every run: a trained model, or an ensemble of them.

    All responses of the set are numbered 0 ... R-1 in the order of ``groups``; every array of
    rewards in this stage has shape [R] and that order.

    Attributes:
        pairs: columns of `steps.pairs.schema.PAIRS`; zero rows for a set without pairs.
        scores: for each (method, seed) the columns of `steps.score.schema.SCORES`, R rows.
        references: for each reference model its rewards [R].
        models: for each (method, seed) the SHA-256 of the model that gave the scores.
    """

    name: str
    groups: list[PromptGroup]
    pairs: pd.DataFrame
    scores: dict[tuple[str, int], pd.DataFrame]
    references: dict[str, np.ndarray] = field(default_factory=dict)
    models: dict[tuple[str, int], str] = field(default_factory=dict)

    @property
    def compares(self) -> bool:
        """Whether the set was made to compare responses: it has pairs and is not the annotated one,
        whose few single responses are neither balanced nor all free of hints.
        """
        return self.name != ANNOTATED_SET and len(self.pairs) > 0

    @cached_property
    def starts(self) -> dict[str, int]:
        """The number of the first response of every group."""
        sizes = [len(group.responses) for group in self.groups]
        first = np.cumsum([0, *sizes])
        return {group.group_id: int(first[k]) for k, group in enumerate(self.groups)}

    def rows(self, group: PromptGroup) -> slice:
        """The numbers of the responses of ``group``."""
        start = self.starts[group.group_id]
        return slice(start, start + len(group.responses))

    @cached_property
    def responses(self) -> list[Response]:
        """All R responses."""
        return [response for group in self.groups for response in group.responses]

    @cached_property
    def problems(self) -> np.ndarray:
        """The group_id of each response, [R]."""
        return np.array([g.group_id for g in self.groups for _ in g.responses], dtype=object)

    @property
    def any_scores(self) -> pd.DataFrame:
        """Scores of the first model, for what no model changes: lengths, generator, token ends."""
        return next(iter(self.scores.values()))

    def rewards(self, method: str, seed: int) -> np.ndarray:
        """Final rewards [R] of one run."""
        return self.scores[method, seed]["reward"].to_numpy(np.float64)


def read_evaluation_sets(experiment: Experiment, results: Path) -> list[EvaluationSet]:
    """Read every evaluation set of an experiment.

    Raises:
        UserError: a file is missing or damaged, scores do not fit the groups, those of a run come
            from several models, or no set has a group.
    """
    sets = [_read_set(experiment, results, name) for name in experiment.evaluation_sets]
    _check_one_model_per_run(sets, results)
    if not any(each.groups for each in sets):
        raise UserError(
            f"{results / 'groups'}: no evaluation set has a single group; raise the selection's "
            "max_tokens or token_budget, or give other data"
        )
    return sets


def _read_set(experiment: Experiment, results: Path, name: str) -> EvaluationSet:
    groups = read_groups(results / "groups" / f"{name}.parquet")
    pairs = read_pairs(results / "pairs" / f"{name}.parquet", groups)
    scores: dict[tuple[str, int], pd.DataFrame] = {}
    models: dict[tuple[str, int], str] = {}
    for method, seed in experiment.runs:
        path = score_path(results, method, seed, name)
        scores[method, seed] = align_scores(read_scores(path), groups, path)
        models[method, seed] = check_origin(path, method, seed).sha256
        _check_same_tokens(scores[method, seed], next(iter(scores.values())), path)
    references = {
        model: _reference_rewards(reference_path(results, model, name), groups)
        for model in experiment.reference_models
    }
    return EvaluationSet(name, groups, pairs, scores, references, models)


def _check_one_model_per_run(sets: list[EvaluationSet], results: Path) -> None:
    """A model that was trained again may have been scored again on some of the sets only."""
    for each in sets[1:]:
        for (method, seed), model in each.models.items():
            if model != sets[0].models[method, seed]:
                raise UserError(
                    f"{score_path(results, method, seed, each.name)} has the scores of another "
                    f"model than '{sets[0].name}' has; run the score step of {method} seed {seed} "
                    "again"
                )


def _reference_rewards(path: Path, groups: list[PromptGroup]) -> np.ndarray:
    scores = read_rewards(path)
    left_out = read_left_out(path)
    if left_out:
        group, reason = next(iter(left_out.items()))
        raise UserError(
            f"{path}: {len(left_out)} prompts could not be scored, among them '{group}': {reason}, "
            "or take the model out of reference_models"
        )
    scores = align_scores(scores, groups, path)
    if scores["truncated"].any():
        raise UserError(
            f"{path}: {scores['truncated'].sum()} responses were cut to the model's context; lower "
            "selection.max_tokens, or take the model out of reference_models"
        )
    return scores["reward"].to_numpy(np.float64)


def score_path(results: Path, method: str, seed: int, eval_set: str) -> Path:
    """Where the score step leaves the scores of one run and set."""
    return results / "scores" / method / f"seed{seed}" / f"{eval_set}.parquet"


def reference_path(results: Path, model: str, eval_set: str) -> Path:
    """Where the score step leaves the scores of a reference model."""
    return results / "scores" / model / f"{eval_set}.parquet"


def input_files(experiment: Experiment, results: Path) -> list[Path]:
    """Return every file that the evaluation reads."""
    sets = experiment.evaluation_sets
    return [
        *(results / kind / f"{name}.parquet" for kind in ("groups", "pairs") for name in sets),
        *(
            score_path(results, method, seed, name)
            for method, seed in experiment.runs
            for name in sets
        ),
        *(reference_path(results, m, name) for m in experiment.reference_models for name in sets),
    ]


def align_scores(scores: pd.DataFrame, groups: list[PromptGroup], path: Path) -> pd.DataFrame:
    """Return the rows of ``scores`` in the order of the responses of ``groups``.

    Raises:
        UserError: naming ``path`` and the response that has no score, or the row that scores a
            response which is not among the groups.
    """
    keys = zip(scores["group_id"], scores["response"], strict=True)
    row_of = {(group, int(response)): row for row, (group, response) in enumerate(keys)}
    wanted = [(group.group_id, k) for group in groups for k in range(len(group.responses))]
    for group, response in wanted:
        if (group, response) not in row_of:
            raise UserError(
                f"{path}: response {response} of group '{group}' has no score; {SCORE_AGAIN}"
            )
    unknown = sorted(row_of.keys() - set(wanted))
    if unknown:
        group, response = unknown[0]
        raise UserError(
            f"{path}: row {row_of[group, response]}: response {response} of group '{group}' is not "
            f"among the groups; {SCORE_AGAIN}"
        )
    return scores.iloc[[row_of[key] for key in wanted]].reset_index(drop=True)


def check_origin(path: Path, method: str, seed: int) -> Origin:
    """Return the model of a file of scores, which must be of this method and seed.

    A file that was copied or renamed would give one method the numbers of another.
    """
    origin = read_origin(path)
    if (origin.method, origin.seed) != (method, seed):
        raise UserError(
            f"{path} holds the scores of {origin.method} with seed {origin.seed}, not of {method} "
            f"with seed {seed}; {SCORE_AGAIN}"
        )
    return origin


def _check_same_tokens(scores: pd.DataFrame, first: pd.DataFrame, path: Path) -> None:
    """All models of an experiment read the same tokens; other numbers come from another run."""
    if not scores["n_tokens"].equals(first["n_tokens"]):
        raise UserError(
            f"{path}: n_tokens differs from that of the other models; {SCORE_AGAIN} with one "
            "experiment file"
        )
