"""What is declared; read without heavy imports, so that Snakemake starts fast."""

import ast
from pathlib import Path

METHODS = Path(__file__).parent / "methods"


def method_names() -> list[str]:
    """Return the names of all methods: the files of ``steps/objectives/methods``."""
    return sorted(p.stem for p in METHODS.glob("*.py") if not p.stem.startswith("_"))


def ensemble_base(name: str) -> str | None:
    """Return the method whose models the method ``name`` joins, or None where it is trained."""
    base = _declared(name, "ensemble_of")
    return base if isinstance(base, str) else None


def needs_ratings(name: str) -> bool:
    """Return whether the method ``name`` trains on the ratings of the responses."""
    return _declared(name, "needs_ratings") is True


def sections_read(name: str) -> tuple[str, ...]:
    """Return the sections of an experiment, besides ``training``, that ``name`` is trained by."""
    return _declared(name, "reads") or ()


def _declared(name: str, key: str) -> object:
    file = METHODS / f"{name}.py"
    return read_declared(file.read_text(encoding="utf-8"), file.name, key)


def read_declared(source: str, file: str, key: str) -> object:
    """Return the plain value that ``METHOD = Method(..., key=value)`` gives ``key``, or None.

    Read from the text of the declaration, since importing it would import torch.

    Args:
        file: where the source is from, for a syntax error.
    """
    for statement in ast.parse(source, file).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="METHOD")], value=ast.Call(keywords=keywords)):
                for keyword in keywords:
                    match keyword:
                        case ast.keyword(arg=arg, value=ast.Constant(value=value)) if arg == key:
                            return value
                        case ast.keyword(arg=arg, value=ast.Tuple(elts=parts)) if arg == key:
                            return tuple(p.value for p in parts if isinstance(p, ast.Constant))
    return None
