"""A method's file with a mistake is reported before any job starts."""

from pathlib import Path

import pytest

from steps.config import Experiment, load_experiment
from steps.errors import UserError
from steps.objectives import check, declaration, registry
from tests.conftest import ROOT

DECLARED = "from steps.objectives.declaration import Method\nMETHOD = Method('t', 'd')\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a file `mine.py` among the methods, and an experiment that lists it."""
    monkeypatch.setattr(registry, "METHODS", tmp_path)

    def write(text: str) -> Path:
        (tmp_path / "mine.py").write_text(text)
        experiment = tmp_path / "mine.yaml"
        lines = (ROOT / "config/tiny.yaml").read_text().splitlines()
        lines = ["methods: [mine]" if x.startswith("methods:") else x for x in lines]
        experiment.write_text("\n".join(lines))
        return experiment

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("METHOD = Method(", r"mine\.py, line 1, is not valid Python \('\(' was never closed\)"),
        (DECLARED.replace("METHOD =", "METHODS ="), r"mine\.py defines no METHOD"),
        (
            f"from steps.objectives.consistncy import Consistency\n{DECLARED}",
            r"line 1: there is no steps\.objectives\.consistncy; did you mean "
            r"'steps\.objectives\.consistency'",
        ),
        (
            f"{DECLARED}from steps.objectives.consistency import Consistenzy\n",
            r"line 3: steps\.objectives\.consistency has no 'Consistenzy'; did you mean 'Consis",
        ),
        (
            DECLARED.replace("'d'", "'d', reads=('consistenzy',)"),
            r"mine\.py: reads: there is no section 'consistenzy'; did you mean 'consistency'",
        ),
    ],
)
def test_a_mistake_is_named_when_the_experiment_is_read(write, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_experiment(write(text))


def test_whatever_else_fails_is_named_when_the_method_is_loaded(
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_experiment(write(f"{DECLARED}A = 1 / 0\n"))

    def fail(_: str) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(declaration, "import_module", fail)
    declaration.load_method.cache_clear()  # another test may have loaded a method of this name
    with pytest.raises(UserError, match=r"methods/mine\.py cannot be imported \(ZeroDivisionErr"):
        declaration.load_method("mine")


@pytest.mark.parametrize("name", registry.method_names())
def test_every_method_passes(name: str) -> None:
    check.check_declaration(name, list(Experiment.model_fields))
