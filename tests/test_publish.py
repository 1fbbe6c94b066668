"""``make publish``: the files that are published, made anew, and no others."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(folder: Path, names: list[str], text: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_is_published_is_copied_where_it_was_made(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    published = tmp_path / "results/published"
    write(published, ["comparison/tables/main.csv", "comparison/figures/lengths.png"], "old")
    write(published, ["quickstart_policy/best_of_n/tables/scores.csv"], "old")
    write(published, ["quickstart/tables/main.md"], "old")
    results = tmp_path / "results"
    write(results / "comparison", ["tables/main.csv", "tables/main.json", "models/m"], "new")
    policy = ["best_of_n/tables/scores.csv", "samples/pairs/reference.parquet"]
    write(results / "quickstart_policy/policy", policy, "new")
    # The tests may run under make, whose children say where they are.
    command = ["make", "--no-print-directory", "publish"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert files(published) == {
        "comparison/figures/lengths.png": "old",
        "comparison/tables/main.csv": "new",
        "quickstart/tables/main.md": "old",
        "quickstart_policy/best_of_n/tables/scores.csv": "new",
    }
    stays = [line.partition(":")[0] for line in made.stdout.splitlines()]
    assert stays == [
        "no results/quickstart",
        "no results/comparison/figures/lengths.png",
        "no results/champ_best_of_32",
        "no results/quickstart_benchmarks",
    ]


def test_every_published_experiment_is_one_of_the_makefile() -> None:
    (names,) = re.findall(r"^PUBLISHED = (.*)$", (ROOT / "Makefile").read_text(), re.M)
    folders = {path.name for path in (ROOT / "results/published").iterdir()}
    assert {*names.split(), "benchmarks"} == folders  # that one is written by `make bench`
