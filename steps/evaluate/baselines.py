"""Rules that need no training; a reward model should beat them."""

import numpy as np

from steps.evaluate.load import EvaluationSet

# In table order. A difference is given against all but the oracle, which knows the answers.
BASELINES = ("generator", "longest", "shortest", "random", "oracle")
NO_SEED = -1  # of a rule that is not trained
REFERENCES = ("random", "longest", "shortest", "generator")


def baseline_rewards(eval_set: EvaluationSet) -> dict[str, np.ndarray]:
    """Return rewards [R] that stand for a rule.

    generator: mean log-probability per token under the generator. random: all equal, so that every
    pick is equally probable. oracle: 1 for a right response, else 0.
    """
    scores = eval_set.any_scores
    n_tokens = scores["n_tokens"].to_numpy(np.float64)
    log_probs = [np.asarray(row, dtype=np.float64).mean() for row in scores["token_log_probs"]]
    return {
        "generator": np.array(log_probs, dtype=np.float64),
        "longest": n_tokens,
        "shortest": -n_tokens,
        "random": np.zeros(len(n_tokens)),
        "oracle": np.array([r.correct is True for r in eval_set.responses], dtype=np.float64),
    }
