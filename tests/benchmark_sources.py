"""Made-up sources that a benchmark's rows are rebuilt from."""

import gzip
import json
from pathlib import Path

from steps.benchmarks.rewardbench_subsets import REBUILT
from steps.config.benchmarks import PAIRS_FILE


def pair(subset: str, number: int, **changes) -> dict:
    texts = {"prompt": f"{subset} {number}", "chosen": "right", "rejected": "wrong"}
    return {"id": number, "subset": subset} | texts | changes


def write_source(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / PAIRS_FILE).write_bytes(gzip.compress(lines.encode()))
    return folder


def write_sources(tree: Path) -> list[Path]:
    """Write the two sources of `quickstart_benchmarks`, a pair for each subset."""
    prefixes = {"llmbar": "llmbar-", "humanevalpack": "hep-"}
    return [
        write_source(
            tree / "resources" / name, [pair(n, 0) for n in REBUILT if n.startswith(prefix)]
        )
        for name, prefix in prefixes.items()
    ]
