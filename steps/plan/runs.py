"""The training runs of an experiment: each method's, and the generator's where it is fine-tuned."""

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedConfig

from steps.config import Experiment
from steps.config.schema import Training
from steps.objectives.declaration import Weighted, load_method
from steps.objectives.likelihood import Likelihood
from steps.objectives.needs import check_objective
from steps.objectives.objective import Objective
from steps.objectives.term import Need
from steps.plan.architecture import read_config
from steps.plan.parameters import (
    LM_NEEDS,
    Parameters,
    generator_parameters,
    reward_model_parameters,
)
from steps.train.generator import training_settings


@dataclass(frozen=True)
class Run:
    """Training jobs that differ in their seed only.

    Attributes:
        rule: of ``workflow/rules``.
        name: for people, such as ``train icrm``.
        count: how many jobs.
        section: of the experiment file, where its settings stand.
        config: of the model that is trained.
        make_objective: builds the objective afresh.
        every: how many training prompts there are for each that it takes.
    """

    rule: str
    name: str
    count: int
    section: str
    config: PreTrainedConfig
    settings: Training
    make_objective: Callable[[], Objective]
    parameters: Parameters
    every: int = 1

    @property
    def lm_needs(self) -> frozenset[Need]:
        """Of which responses the terms read LM log-probabilities."""
        return self.make_objective().needs & LM_NEEDS


def training_runs(experiment: Experiment) -> list[Run]:
    """Return the generator's run, if there is one, and those of all methods.

    Raises:
        UserError: a model's size is not known, or a method cannot have what it needs.
    """
    runs = [_method_run(experiment, method) for method in experiment.trained_methods]
    tuned = experiment.generator.fine_tuning is not None
    return [_generator_run(experiment), *runs] if tuned else runs


def _generator_run(experiment: Experiment) -> Run:
    tuning = experiment.generator.fine_tuning
    config, settings = read_config(experiment.generator_model), training_settings(tuning)
    return Run(
        rule="train_generator",
        name="train the generator",
        count=1,
        section="generator.fine_tuning",
        config=config,
        settings=settings,
        make_objective=lambda: Objective([Weighted(1.0, Likelihood(tuning.rejected_length))]),
        parameters=generator_parameters(config, settings),
        every=tuning.every,
    )


def _method_run(experiment: Experiment, name: str) -> Run:
    config, settings = read_config(experiment.backbone), experiment.training
    method = load_method(name)
    objective = Objective(method.terms(experiment))
    check_objective(name, objective, experiment)
    return Run(
        rule="train",
        name=f"train {name}",
        count=len(experiment.seeds),
        section="training",
        config=config,
        settings=settings,
        make_objective=lambda: Objective(method.terms(experiment)),
        parameters=reward_model_parameters(config, settings, objective.needs),
    )
