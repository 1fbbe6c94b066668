"""The experiment: one YAML file in ``config/``, typed and strict."""

from steps.config.load import load_experiment
from steps.config.schema import Experiment

__all__ = ["Experiment", "load_experiment"]
