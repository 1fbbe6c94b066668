"""The action ``frozen``: the lower layers that all models of an experiment share."""

import argparse

from steps.backbone import frozen_layers, load_reward_model
from steps.config import Experiment
from steps.errors import UserError
from steps.provenance import RunCard
from steps.train.save import write_frozen


def write_frozen_layers(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Write the weights below the first trained layer.

    Raises:
        UserError: the experiment trains in another mode.
    """
    layers = experiment.training.trained_layers
    if layers is None:
        raise UserError(
            f"{arguments.experiment}: training.mode is {experiment.training.mode}; only "
            "upper_layers has frozen layers to share"
        )
    card = RunCard(
        "frozen",
        {"trained_layers": layers},
        path=arguments.card,
        inputs=[arguments.backbone],
        experiment=experiment,
    )
    model = load_reward_model(arguments.backbone, experiment)
    write_frozen(model, frozen_layers(model, layers), arguments.output)
    card.write([arguments.output])
