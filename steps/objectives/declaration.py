"""A method is a declaration: a name, a title and the weighted loss terms that it sums.

Each file of ``steps/objectives/methods`` defines one ``METHOD``; its file name is the method's
name in an experiment file. No other code knows a method by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from steps.config.schema import Experiment
from steps.errors import UserError, nearest
from steps.objectives.registry import method_names
from steps.objectives.term import Term


@dataclass(frozen=True)
class Weighted:
    """A loss term and its weight."""

    weight: float
    term: Term


@dataclass(frozen=True)
class Method:
    """A reward-model objective.

    Attributes:
        title: how tables and figures call it.
        description: one sentence for the documentation and the run card.
        terms: builds the weighted terms, afresh for every training run, from the experiment.
    """

    title: str
    description: str
    terms: Callable[[Experiment], list[Weighted]]


@cache
def load_method(name: str) -> Method:
    """Return the declaration of ``name``.

    Raises:
        UserError: there is no such method.
    """
    if name not in method_names():
        raise UserError(f"unknown method '{name}'; {nearest(name, method_names())}")
    method = getattr(import_module(f"steps.objectives.methods.{name}"), "METHOD", None)
    if not isinstance(method, Method):
        raise UserError(f"steps/objectives/methods/{name}.py defines no METHOD; declare one there")
    return method
