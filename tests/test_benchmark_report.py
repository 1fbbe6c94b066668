"""A benchmark's tables for people: what is shown, refused and said beside it."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from steps.benchmarks.compare import compare
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.rewardbench_subsets import ROWS
from steps.config import Experiment, load_experiment
from steps.report.benchmark_table import BenchmarkResult, read_results
from steps.report.main_table import MISSING
from steps.report.tables import benchmark_files
from tests.benchmark_items import leave_out, make_table, random_rows
from tests.conftest import ROOT

REWARDBENCH = BENCHMARKS["rewardbench"]


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    tiny = load_experiment(ROOT / "config/tiny.yaml")
    reference = {"other-rm": {"source": "local", "path": "models/other"}}
    changes = {"reference_models": reference, "methods": ["orm", "orm_ensemble"]}
    return Experiment.model_validate(tiny.model_dump() | changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, experiment: Experiment) -> Path:
    """Numbers of random items of one section and of one subset more."""
    folder = tmp_path_factory.mktemp("results")
    runs = [("orm", 0), ("orm", 1), ("orm_ensemble", 0), ("other-rm", None), ("generator", None)]
    runs += [("random", 0), ("random", 1)]
    wanted = {*ROWS["Chat Hard"], "hep-go"}
    items = {}
    for place, run in enumerate(runs):
        rows = random_rows(REWARDBENCH, np.random.default_rng(place), most_rows=3)
        items[run] = make_table(REWARDBENCH, [row for row in rows if row[1] in wanted])
        # hep-go/0 to nobody, mt-bench-hard/0 to one more.
        (place,) = np.flatnonzero(items[run]["id"] == "hep-go/0")
        items[run] = leave_out(items[run], place, "response 1 is empty")
    other = leave_out(items["other-rm", None], 0, "too long; shorten it")
    other.loc[1:2, "truncated"] = True
    items["other-rm", None] = other
    numbers = folder / "benchmarks/numbers/example"
    numbers.mkdir(parents=True)
    for name, table in compare(items, REWARDBENCH, experiment).items():
        table.to_csv(numbers / name, index=False)
    return folder


@pytest.fixture(scope="module")
def result(results: Path, experiment: Experiment) -> BenchmarkResult:
    (only,) = read_results(experiment, results)
    return only


def test_sections_come_first_and_what_is_missing_stays_empty(result, experiment) -> None:
    table = result.main_table(experiment)
    assert [number for _, number in table.columns] == [*ROWS, "Score"]
    assert table.counts[1] == "18"
    rows = {title: (seeds, cells) for title, seeds, cells in table.rows}
    assert list(rows)[2:] == ["other-rm", "Generator log-probability", "Random"]
    seeds, cells = rows["ORM"]
    found = result.methods.set_index(["method", "number"]).loc[("orm", "Chat Hard")]
    shown = (found["value"], found["ci_low"], found["ci_high"], found["t_half_width"])
    assert seeds == "2"
    assert str(cells[1]) == "{:.1f} [{:.1f}, {:.1f}] ±{:.1f}".format(*(100 * x for x in shown))
    assert [str(cells[k]) for k in (0, 2, 3, 4)] == ["–"] * 4
    # A trained number that rests on one run is marked; what is not trained here is not.
    marks = {title: cells[1].mark for title, _, cells in table.rows}
    assert [bool(mark) for mark in marks.values()] == [False, True, False, False, False]
    # Draws of a rule are no seeds of training.
    untrained = [(seeds, cells[1].spread) for seeds, cells in list(rows.values())[2:]]
    assert untrained == [(MISSING, "")] * 3


def test_parts_are_shown_where_nothing_above_them_is(result, experiment, results) -> None:
    methods = result.methods[~result.methods["number"].isin(["Chat Hard"])]
    changed = dataclasses.replace(result, methods=methods)
    assert changed.shown_first(experiment) == result.parts
    hub = {"source": "hub", "id": "google/gemma-2b-it"}
    theirs = Experiment.model_validate(experiment.model_dump() | {"backbone": hub})
    assert changed.shown_first(theirs) == list(REWARDBENCH.headline)
    files = benchmark_files(changed, experiment, results)
    assert "## Parts" not in files["benchmark_example.md"]
    assert len(re.findall(r"^\| llmbar-natural ", files["benchmark_example.md"], re.M)) == 1
    assert "llmbar-natural" in files["benchmark_example.tex"]


def test_the_text_says_what_is_refused_marked_and_cut(result, experiment, results) -> None:
    files = benchmark_files(result, experiment, results)
    assert list(files) == [f"benchmark_example.{suffix}" for suffix in ("csv", "md", "tex")]
    text = files["benchmark_example.md"]
    assert "- Chat: refused: no item of 'alpacaeval-easy', " in text
    assert "- Reasoning: refused: no item of 'math-prm', 'hep-cpp', " in text
    assert "- Score: refused, it needs these too.\n" in text
    assert "- Marked: 'mt-bench-hard' has 3 items instead of 37; 'llmbar-natural' has 3 " in text
    assert text.count("'mt-bench-hard' has 3 items") == 1
    assert "- other-rm: 2 items truncated.\n" in text and "ORM: 0 items" not in text
    # What all methods lack is said once, with how many are counted; what one lacks with its name.
    assert "2 of 3 items of 'hep-go' count (1 left out, the first: 'hep-go/0', response 1" in text
    own = (
        "2 of 3 items of 'mt-bench-hard' count (1 left out, the first: 'mt-bench-hard/0', too long)"
    )
    assert f"- other-rm: {own}.\n" in text
    assert "| hep-go | 2 of 3 " in re.sub(" +", " ", text)
    assert "| mt-bench-hard | 3 " in re.sub(" +", " ", text)


def conclusions_of(text: str, family: str) -> list[str]:
    """The sentences of a family."""
    (found,) = re.findall(rf"^{family} \(.*\):\n\n((?:- .*\n)+)", text, re.M)
    return found.splitlines()


def test_every_trained_method_has_a_sentence_on_all_that_stand_in_the_table(
    result, experiment, results
) -> None:
    text = benchmark_files(result, experiment, results)["benchmark_example.md"]
    assert "\nAgainst rules that need no training (Chat Hard):\n" in text
    summary, *sentences = conclusions_of(text, "Against rules that need no training")
    assert "for these 4 comparisons at a level of 0.05" in summary
    assert [sentence.partition(":")[0] for sentence in sentences] == ["- ORM", "- ORM ensemble"]
    assert all("random" in each and "generator" in each for each in sentences)
    # The reference model counts other items of Chat Hard, so its parts are compared.
    summary, *_ = conclusions_of(text, "Against the reference models")
    assert "for these 12 comparisons" in summary  # two methods, six subsets with the same items
    assert "- ORM ensemble: " in conclusions_of(text, "Between the trained methods")[1]


def test_every_difference_has_its_interval_n_and_seeds(result, experiment, results) -> None:
    text = benchmark_files(result, experiment, results)["benchmark_example.md"]
    (line,) = re.findall(r"^\| ORM - Random +\|.*$", text, re.M)
    _, _, seeds, chat_hard, *others = (cell.strip() for cell in line.split("|")[:-1])
    keys = ["method", "reference", "number"]
    row = result.differences.set_index(keys).loc[("orm", "random", "Chat Hard")]
    shown = (row["value"], row["ci_low"], row["ci_high"])
    interval = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in shown))
    assert seeds == "2" and chat_hard == f"{interval} ±{100 * row['t_half_width']:.1f}"
    assert set(others) == {MISSING}
    (line,) = re.findall(r"^\| ORM ensemble - Random +\|.*$", text, re.M)
    assert line.split("|")[3].strip().endswith("†") and "† one run only" in text
    (line,) = re.findall(r"^\| n +\|.*$", text.partition("| difference ")[2], re.M)
    assert [cell.strip() for cell in line.split("|")[3:5]] == ["18", "3"]


def test_a_difference_says_whether_it_stands_and_what_qualifies_it(
    result, experiment, results
) -> None:
    def text(**columns) -> str:
        better = {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "t_half_width": 0.15}
        differences = result.differences.assign(**better | columns)
        changed = dataclasses.replace(result, differences=differences)
        return benchmark_files(changed, experiment, results)["benchmark_example.md"]

    said = text(p_value=0.001)
    assert "- ORM: better than random in Chat Hard (p 0.001, corrected 0.004), generator" in said
    assert "this can be concluded (4 of 4): Chat Hard: ORM higher than random, " in said
    assert "| +20.0* [+10.0, +30.0] ±15.0 " in said
    said = text(p_value=0.04)
    assert "- ORM: by itself, not after correction, better than random in Chat Hard " in said
    assert "nothing can be concluded; what looks like a difference is a hint" in said
    said = text(p_value=0.001, t_half_width=0.25)
    assert "corrected 0.004, within the spread over seeds)" in said
    said = text(p_value=0.5, ci_low=-0.1)
    assert "- ORM: cannot be told from random, generator log-probability.\n" in said
    assert "+20.0*" not in said


@pytest.mark.parametrize("kept", [["orm"], []])
def test_one_trained_method_alone_has_conclusions_and_none_says_why(
    result, experiment, results, kept
) -> None:
    differences = result.differences
    own = differences[differences["method"].isin(kept) & (differences["reference"] != "orm")]
    changed = dataclasses.replace(result, differences=own)
    text = benchmark_files(changed, experiment, results)["benchmark_example.md"]
    assert "Between the trained methods" not in text
    section = text.partition("## What can and cannot be concluded\n\n")[2]
    assert section.startswith("Against rules that need" if kept else "Nothing: no number is given")


def test_latex_has_as_many_cells_in_every_row(result, experiment, results) -> None:
    lines = benchmark_files(result, experiment, results)["benchmark_example.tex"].splitlines()
    rows = [line for line in lines if line.endswith(r" \\") and "multicolumn" not in line]
    assert {line.count("&") for line in rows} == {6}


def test_published_scores_of_the_backbone_stand_below_with_their_source(
    result, experiment, results
) -> None:
    gemma = {"source": "hub", "id": "google/gemma-2b-it"}
    changed = Experiment.model_validate(experiment.model_dump() | {"backbone": gemma})
    files = benchmark_files(result, changed, results)
    text = files["benchmark_example.md"]
    (row,) = (line for line in text.splitlines() if line.startswith("| GRM-Gemma-2B-sftreg "))
    assert [cell.strip() for cell in row.split("|")[3:8]] == [
        "95.5",
        "48.7",
        "80.0",
        "76.8",
        "75.3",
    ]
    assert "- Published: GRM-Gemma-2B-sftreg: " in text and "not cited" not in text
    text = benchmark_files(result, experiment, results)["benchmark_example.md"]
    assert "Published: " not in text
    assert "published_scores.yaml has no number of others for this backbone." in text
