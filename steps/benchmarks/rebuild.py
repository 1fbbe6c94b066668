"""``python -m steps.benchmarks.rebuild``: some subsets of RewardBench without the hub.

LLMBar (MIT) and HumanEvalPack (MIT) hold the same pairs as eleven of RewardBench's subsets; the
prompts of the hep subsets may be worded differently there. A source is a folder with the file
``pairs.jsonl.gz``, whose rows have the keys `KEYS`, the subset under RewardBench's name. Rows keep
their order; their id is their place in their subset.
"""

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

from steps.benchmarks.rewardbench_subsets import REBUILT
from steps.config.benchmarks import PAIRS_FILE, missing_source
from steps.errors import UserError, run_command
from steps.files import atomic_path
from steps.groups.files import read_rows
from steps.provenance import RunCard

KEYS = ("subset", "prompt", "chosen", "rejected")


def rebuild(folders: list[Path], subsets: list[str]) -> list[dict]:
    """Return the rows of ``subsets``, as `steps.benchmarks.rows.local_groups` reads them.

    Raises:
        UserError: a file is missing or damaged, a row lacks a key, or a subset has no row.
    """
    found: Counter = Counter()
    rows = []
    for path in (folder / PAIRS_FILE for folder in folders):
        if not path.is_file():
            raise UserError(missing_source(path))
        for number, row in read_rows(path):
            for key in KEYS:
                if not isinstance(row, dict) or not isinstance(row.get(key), str):
                    raise UserError(f"{path}: row {number}: '{key}' is not a text; correct the row")
            subset = row["subset"]
            if subset in subsets:
                rows.append({"id": found[subset]} | {key: row[key] for key in KEYS})
                found[subset] += 1
    for subset in subsets:
        if not found[subset]:
            given = ", ".join(map(str, folders))
            raise UserError(
                f"no row of '{subset}' is in {given}; give its folder too, or name the wanted "
                "subsets (`subsets` beside the folders, on the command line --subsets)"
            )
    return rows


def marks(rows: list[dict]) -> list[str]:
    """Return a sentence for each subset that has another number of rows than is published."""
    found = Counter(row["subset"] for row in rows)
    return [
        f"'{subset}' has {count} rows instead of {REBUILT[subset]}"
        for subset, count in found.items()
        if count != REBUILT[subset]
    ]


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write the rows as gzipped JSONL, atomically; the same rows give the same bytes."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(lines.encode(), mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m steps.benchmarks.rebuild",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="the sources")
    parser.add_argument("--subsets", nargs="+", choices=REBUILT, default=list(REBUILT))
    parser.add_argument("--output", type=Path, required=True, help="file of rows (.jsonl.gz)")
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    arguments = parser.parse_args()

    files = [folder / PAIRS_FILE for folder in arguments.folders]
    settings = {"subsets": arguments.subsets}
    card = RunCard("benchmarks rebuild", settings, path=arguments.card, inputs=files)
    rows = rebuild(arguments.folders, arguments.subsets)
    write_rows(arguments.output, rows)
    card.write([arguments.output], marks=marks(rows))
    print(f"{arguments.output}: {len(rows)} rows of {len(arguments.subsets)} subsets")
    for mark in marks(rows):
        print(f"marked: {mark}")


if __name__ == "__main__":
    run_command(main)
