"""What can be told of a method's file without importing it, which would import torch."""

import ast
from pathlib import Path

from steps.errors import UserError, nearest
from steps.objectives import registry

ROOT = Path(__file__).resolve().parents[2]


def check_declaration(name: str, sections: list[str]) -> None:
    """Check a method's file before any job starts.

    Args:
        sections: of an experiment, which the method may read.
    Raises:
        UserError: it cannot be parsed, imports from our code what is not there, defines no METHOD
            or reads a section that is not there.
    """
    file = f"steps/objectives/methods/{name}.py"
    try:
        tree = ast.parse((registry.METHODS / f"{name}.py").read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(
            f"{file}, line {error.lineno}, is not valid Python ({error.msg}); correct it"
        ) from None
    if "METHOD" not in _names(tree):
        raise UserError(f"{file} defines no METHOD; declare one there")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("steps."):
            _check_import(node, f"{file}, line {node.lineno}")
    for section in registry.sections_read(name):
        if section not in sections:
            raise UserError(
                f"{file}: reads: there is no section '{section}'; {nearest(section, sections)}"
            )


def _check_import(node: ast.ImportFrom, place: str) -> None:
    path = ROOT.joinpath(*node.module.split("."))
    if path.is_dir():
        known = {file.stem for file in path.iterdir()}
    elif path.with_suffix(".py").is_file():
        known = _names(ast.parse(path.with_suffix(".py").read_text(encoding="utf-8")))
    else:
        files = (file.relative_to(ROOT) for file in (ROOT / "steps").rglob("*.py"))
        modules = [".".join(file.with_suffix("").parts) for file in files]
        raise UserError(f"{place}: there is no {node.module}; {nearest(node.module, modules)}")
    for alias in node.names:
        if alias.name not in known:
            raise UserError(
                f"{place}: {node.module} has no '{alias.name}'; {nearest(alias.name, known)}"
            )


def _names(tree: ast.Module) -> set[str]:
    """Return the names that a module defines or imports, at its top or deeper."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return names
