"""The file of published scores."""

import re
from pathlib import Path

import pytest

from steps.benchmarks.registry import BENCHMARKS
from steps.config.load import PUBLISHED_SCORES
from steps.errors import UserError
from steps.report.published import NOT_CITED, published_rows, read_published
from tests.conftest import ROOT
from tests.pipeline_runs import fresh_tree, run

FILE = ROOT / PUBLISHED_SCORES
ROW = """\
scores:
  - {benchmark: rewardbench, backbone: b, method: m, values: {Chat: 95.0}, source: s, table: t,
     data: d, date: 2024-06-14}
"""


def test_every_published_number_is_one_of_its_benchmark():
    for row in read_published(FILE).scores:
        benchmark = BENCHMARKS[row.benchmark]
        known = {number.name for number in benchmark.numbers(set())}
        assert row.values.keys() <= known


def test_the_published_score_is_the_mean_of_its_sections():
    """As published: rounded to one digit, like its parts."""
    for row in published_rows("rewardbench", "gemma-2b-it", FILE):
        sections = [row.values[name] for name in ("Chat", "Chat Hard", "Safety", "Reasoning")]
        assert row.values["Score"] == pytest.approx(sum(sections) / 4, abs=0.051)


def test_rows_are_found_by_benchmark_and_backbone(tmp_path: Path):
    path = tmp_path / "published.yaml"
    path.write_text(ROW)
    (row,) = published_rows("rewardbench", "b", path)
    assert (row.cell("Chat"), row.cell("Safety")) == ("95.0", NOT_CITED)
    assert row.citation == "m: s, table 't', read on 2024-06-14; training data: d"
    assert published_rows("rewardbench", "other", path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROW.replace("table: t,", ""), r"scores\.0\.table: Field required"),
        (ROW.replace("method: m", "method: m, note: n"), r"scores\.0\.note: Extra inputs"),
        (ROW.replace("95.0", "high"), r"scores\.0\.values\.Chat: Input should be a valid number"),
        (ROW + ROW.partition("\n")[2], "m stands twice for rewardbench and b"),
        (ROW.replace("95.0}", "95.0, Chat: 1.0}"), "the key 'Chat' stands twice"),
        ("scores: [", "is not valid YAML"),
        ("", "the file: Input should be"),
    ],
)
def test_a_broken_file_is_named_with_its_place(tmp_path: Path, text: str, words: str):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"published\.yaml.*{words}.*correct it"):
        read_published(path)


def test_the_tables_of_benchmarks_are_made_of_it(tmp_path: Path):
    folder = fresh_tree(tmp_path)
    (folder / PUBLISHED_SCORES).unlink()
    result = run(folder, "--dry-run", "tables")
    assert result.returncode != 0
    assert re.search(rf"rule draw_tables.*{PUBLISHED_SCORES}", result.stdout + result.stderr, re.S)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.yaml is not there"):
        read_published(tmp_path / "none.yaml")
