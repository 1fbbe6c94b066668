"""Whether an experiment can give its terms what they need, before anything is computed."""

from steps.config.schema import Experiment
from steps.errors import UserError
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.objectives.term import Need


def check_methods(experiment: Experiment) -> None:
    """Check that the experiment can train each of its methods.

    Raises:
        UserError: naming the method and the first key that leaves a need unmet.
    """
    for name in experiment.methods:
        terms = load_method(name).terms
        if terms is not None:
            check_objective(name, Objective(terms(experiment)), experiment)


def check_objective(method: str, objective: Objective, experiment: Experiment) -> None:
    """Check that the experiment can train the objective of a method.

    Raises:
        UserError: naming the method and the first key that leaves a need unmet.
    """
    try:
        check_needs(objective.needs, experiment)
    except UserError as error:
        raise UserError(f"method '{method}': {error}") from None


def check_needs(needs: frozenset[Need], experiment: Experiment) -> None:
    """Check what the configuration alone can tell.

    Raises:
        UserError: naming the first key that leaves a need unmet.
    """
    training = experiment.training
    if Need.PAIRS in needs and training.labels == "pointwise":
        raise UserError(
            "training.labels is pointwise, but this method compares pairs; "
            "set training.labels: pairwise or take it out of methods"
        )
    if Need.PADDED_ROWS in needs and training.labels == "pointwise":
        raise UserError(
            "consistency.reference_mean is padded_row, but with training.labels: pointwise there "
            "is no opposite response whose mean is taken; set consistency.reference_mean: response"
        )
    if Need.PADDED_ROWS in needs and training.layout == "packed":
        raise UserError(
            "consistency.reference_mean is padded_row, but training.layout: packed has no padding; "
            "set training.layout: padded or consistency.reference_mean: response"
        )
    if Need.REFERENCE in needs:
        _check_reference(experiment)


def _check_reference(experiment: Experiment) -> None:
    """The stored log-probabilities must be those of the untrained backbone itself."""
    generator = experiment.generator
    unlike = {
        "model": generator.model not in (None, experiment.backbone),
        "fine_tuning": generator.fine_tuning is not None,
        "temperature": generator.temperature != 1,
        "top_p": generator.top_p != 1,
    }
    for key, differs in unlike.items():
        if differs:
            raise UserError(
                f"generator.{key} makes the generator another model than the backbone, which the "
                f"reference of grm.form: dpo must be; take generator.{key} out or set "
                "grm.form: dpo_reference_free"
            )
