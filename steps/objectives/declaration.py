"""A method is a declaration: a title and the weighted loss terms that it sums, or the method whose
trained models it joins to an ensemble.

Each file of ``steps/objectives/methods`` defines one ``METHOD``; its file name is the method's
name in an experiment file. No other code knows a method by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module

from steps.config.schema import Experiment
from steps.errors import UserError, nearest
from steps.objectives.registry import ensemble_base, method_names, sections_read
from steps.objectives.term import Term


@dataclass(frozen=True)
class Weighted:
    """A loss term and its weight."""

    weight: float
    term: Term


@dataclass(frozen=True)
class Method:
    """A reward-model objective, or an ensemble of another method; either `terms` or `ensemble_of`.

    Attributes:
        title: how tables and figures call it.
        description: one sentence for the documentation and the run card.
        terms: builds the weighted terms, afresh for every training run, from the experiment.
        reads: the sections of the experiment, besides ``training``, that `terms` and
            `lm_gradient_scale` read; they see no other, so a change there trains nothing again.
            Written as a plain tuple of strings, which `registry.sections_read` reads.
        lm_gradient_scale: factor of the LM terms' gradient into the backbone.
        ensemble_of: name of the method whose models of all seeds are the members; nothing is
            trained. Written as a plain string, which `registry.ensemble_base` reads.
        needs_ratings: whether a term has `Need.MARGINS`. Written as a plain True, which
            `registry.needs_ratings` reads, so that unrated data are refused before any job.
    """

    title: str
    description: str
    terms: Callable[[Experiment], list[Weighted]] | None = None
    reads: tuple[str, ...] = ()
    lm_gradient_scale: Callable[[Experiment], float] = lambda e: e.training.lm_gradient_scale
    ensemble_of: str | None = None
    needs_ratings: bool = False


@cache
def load_method(name: str) -> Method:
    """Return the declaration of ``name``.

    Raises:
        UserError: there is no such method, or its file declares none that can be used.
    """
    if name not in method_names():
        raise UserError(f"unknown method '{name}'; {nearest(name, method_names())}")
    file = f"steps/objectives/methods/{name}.py"
    try:
        module = import_module(f"steps.objectives.methods.{name}")
    except Exception as error:  # whatever the user's code raises
        raise UserError(
            f"{file} cannot be imported ({type(error).__name__}: {error}); correct it"
        ) from error
    method = getattr(module, "METHOD", None)
    if not isinstance(method, Method):
        raise UserError(f"{file} defines no METHOD; declare one there")
    check_method(method, file, ensemble_base(name))
    if method.reads != sections_read(name):
        raise UserError(f"{file}: write `reads` as a plain tuple of strings in METHOD")
    return _limited(method, file)


def _limited(method: Method, file: str) -> Method:
    """Return ``method`` with functions that see only the sections which it declares."""

    def limited(function: Callable) -> Callable:
        return lambda experiment: function(_Sections(experiment, method.reads, file))

    return replace(
        method,
        terms=method.terms and limited(method.terms),
        lm_gradient_scale=limited(method.lm_gradient_scale),
    )


class _Sections:
    """An experiment of which a method sees ``training`` and the sections that it declares."""

    def __init__(self, experiment: Experiment, reads: tuple[str, ...], file: str):
        self._experiment, self._reads, self._file = experiment, reads, file

    def __getattr__(self, name: str):
        if name not in ("training", *self._reads):
            raise UserError(
                f"{self._file}: METHOD reads `{name}` of the experiment; add it to its `reads`, so "
                "that a change there trains the method again"
            )
        return getattr(self._experiment, name)


def check_method(method: Method, file: str, base: str | None) -> None:
    """Check that ``method`` is either terms or an ensemble of a method that is trained.

    Args:
        base: what `registry.ensemble_base` reads in ``file``.

    Raises:
        UserError: it is neither or both, or the base cannot be used.
    """
    if (method.terms is None) == (method.ensemble_of is None):
        raise UserError(f"{file}: METHOD needs either `terms` or `ensemble_of`; give one of them")
    if method.ensemble_of != base:
        raise UserError(f'{file}: write `ensemble_of="<method>"` as a plain string in METHOD')
    if base is None:
        return
    trained = [name for name in method_names() if ensemble_base(name) is None]
    if base not in trained:
        raise UserError(f"{file}: ensemble_of: '{base}' is not trained; {nearest(base, trained)}")
