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
from steps.benchmarks.rows import refuse_more_rows
from steps.config.benchmarks import PAIRS_FILE, missing_source
from steps.errors import UserError, run_command
from steps.files import atomic_path
from steps.groups.files import read_rows
from steps.outputs import check_ending, check_outputs
from steps.provenance import RunCard

KEYS = ("subset", "prompt", "chosen", "rejected")


def rebuild(folders: list[Path], subsets: list[str]) -> list[dict]:
    """Return the rows of ``subsets``, as `steps.benchmarks.rows.local_groups` reads them.

    Raises:
        UserError: a file is missing, damaged or given twice, a row lacks a key or is repeated, or a
            subset has no row or more than are published.
    """
    files = [folder / PAIRS_FILE for folder in folders]
    _refuse_repeated_files(files)
    found: Counter = Counter()
    places: dict[tuple[str, ...], str] = {}
    rows = []
    for path in files:
        for number, row in read_rows(path):
            place = f"{path}: row {number}"
            for key in KEYS:
                if not isinstance(row, dict) or not isinstance(row.get(key), str):
                    raise UserError(f"{place}: '{key}' is not a text; correct the row")
            subset = row["subset"]
            if subset not in subsets:
                continue
            first = places.setdefault(tuple(row[key] for key in KEYS), place)
            if first != place:
                raise UserError(f"{place} is the same pair as {first}; remove one of the two")
            rows.append({"id": found[subset]} | {key: row[key] for key in KEYS})
            found[subset] += 1
    refuse_more_rows(found, REBUILT, ", ".join(map(str, files)))
    for subset in subsets:
        if not found[subset]:
            given = ", ".join(map(str, folders))
            raise UserError(
                f"no row of '{subset}' is in {given}; give its folder too, or name the wanted "
                "subsets (`subsets` beside the folders, on the command line --subsets)"
            )
    return rows


def _refuse_repeated_files(files: list[Path]) -> None:
    """Refuse a file that is missing, or is given twice by whatever names."""
    seen: set[Path] = set()
    for path in files:
        if not path.is_file():
            raise UserError(missing_source(path))
        if path.resolve() in seen:
            raise UserError(f"{path} is given twice; name each folder once")
        seen.add(path.resolve())


def marks(rows: list[dict]) -> list[str]:
    """Return a sentence for each subset that has fewer rows than are published."""
    found = Counter(row["subset"] for row in rows)
    return [
        f"'{subset}' has {count} rows instead of {REBUILT[subset]}"
        for subset, count in found.items()
        if count < REBUILT[subset]
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
    check_ending(arguments.output, ".jsonl.gz")
    read = [folder / PAIRS_FILE for folder in arguments.folders]
    check_outputs([arguments.output, arguments.card], read)

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
