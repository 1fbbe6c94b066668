"""The names of the declared methods; free of heavy imports, so that Snakemake starts fast."""

from pathlib import Path


def method_names() -> list[str]:
    """Return the names of all methods: the files of ``steps/objectives/methods``."""
    folder = Path(__file__).parent / "methods"
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
