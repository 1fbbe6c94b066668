"""The rows of the benchmarks, from the hub's layout to prompt groups."""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.benchmarks.__main__ import main
from steps.benchmarks.benchmark import Benchmark
from steps.benchmarks.left_out import LeftOut, read_left_out_rows, write_whole_groups
from steps.benchmarks.registry import BENCHMARKS
from steps.benchmarks.rmbench import STYLES
from steps.benchmarks.rows import benchmark_groups
from steps.errors import UserError
from steps.groups.schema import PromptGroup, check_groups, read_groups
from tests.hub import COMMIT, Hub, Repository, card, parquet, serve
from tests.reference_data import reference_data

# Of the last row of each set below: right before wrong, and the styles of RM-Bench in their order.
LAST_TEXTS = {
    "rewardbench": ["right", "wrong"],
    "rewardbench2": ["right 0", "right 1", "right 2", "wrong 0", "wrong 1", "wrong 2"],
    "rmbench": [f"{style} {what}" for what in ("right", "wrong") for style in STYLES],
}


def rewardbench_rows() -> list[dict]:
    """The columns of the data set's card, as many rows as are published."""
    core = {n: s for n, s in BENCHMARKS["rewardbench"].subsets.items() if s.core}
    return [
        {
            "prompt": f"{name} prompt {k}",
            "chosen": "right",
            "chosen_model": "human",
            "rejected": "wrong",
            "rejected_model": "unknown",
            "subset": name,
            "id": k,
        }
        for name, subset in core.items()
        for k in range(subset.rows)
    ]


def rewardbench2_rows() -> list[dict]:
    rows = []
    for name, subset in BENCHMARKS["rewardbench2"].subsets.items():
        for k in range(subset.rows):
            right = 1 + 2 * (name == "Ties" and k % 2)
            rows.append(
                {
                    "id": f"{('ref', 'tied')[k % 2]}:{k // 2}" if name == "Ties" else str(k),
                    "prompt": f"{name} prompt {k}",
                    "chosen": [f"right {i}" for i in range(right)],
                    "rejected": [f"wrong {i}" for i in range(3)],
                    "num_correct": right,
                    "num_incorrect": 3,
                    "total_completions": right + 3,
                    "models": ["human"] * (right + 3),
                    "subset": name,
                    "additional_metadata": {"category": None, "index": float(k)},
                }
            )
    return rows


def rmbench_rows() -> list[dict]:
    return [
        {
            "id": k,
            "prompt": f"{name} prompt {k}",
            "chosen": [f"{style} right" for style in ("concise", "plain", "markdown")],
            "rejected": [f"{style} wrong" for style in ("concise", "plain", "markdown")],
            "domain": name,
        }
        for name, subset in BENCHMARKS["rmbench"].subsets.items()
        for k in range(subset.rows)
    ]


def repositories() -> dict[str, Repository]:
    """Small copies of the three data sets, in the layouts of the hub."""
    first = card(default={"raw": "data/raw-*", "filtered": "data/filtered-*"})
    second = card(default={"test": "data/test-*"})
    rows = rewardbench_rows()
    filtered, raw = parquet(rows), parquet(rows[:3])
    return {
        "datasets/allenai/reward-bench": Repository(
            {
                "README.md": first,
                "data/filtered-00000-of-00001.parquet": filtered,
                "data/raw-00000-of-00001.parquet": raw,
            }
        ),
        "datasets/allenai/reward-bench-2": Repository(
            {
                "README.md": second,
                "data/test-00000-of-00001.parquet": parquet(rewardbench2_rows()),
            }
        ),
        "datasets/THU-KEG/RM-Bench": Repository(
            {
                "README.md": b"---\nlicense: odc-by\n---\n# RM-Bench\n",
                "total_dataset.json": json.dumps(rmbench_rows(), indent=4).encode(),
            }
        ),
    }


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


def download(hub: Hub, folder: Path, name: str, *more: str):
    arguments = ["benchmark", "--benchmark", name, *more, "--output", str(folder / "raw")]
    card_ = ["--card", str(folder / "card.json")]
    return hub.run(folder, "steps.download", *arguments, *card_)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_from_the_hub_to_groups(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hub.repositories.update(repositories())
    # The pinned commit is the real one, which this hub does not have.
    pin = ["--revision", COMMIT] if BENCHMARKS[name].revision else []
    result = download(hub, tmp_path, name, *pin)
    assert result.returncode == 0, result.stderr
    assert ("to pin it" in result.stdout) == (not pin)
    assert json.loads((tmp_path / "card.json").read_text())["revision"] == COMMIT
    output = tmp_path / "groups.parquet"
    command = ["groups", "--benchmark", name, "--raw", str(tmp_path / "raw")]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *command, "--output", str(output)])
    main()
    groups = read_groups(output)
    core = {n: s for n, s in BENCHMARKS[name].subsets.items() if s.core}
    assert Counter(g.category for g in groups) == {n: s.rows for n, s in core.items()}
    for group in groups:
        correct = [response.correct for response in group.responses]
        assert correct == sorted(correct, reverse=True)  # the right ones come first
        subset = core[group.category]
        assert subset.responses in (None, len(correct))
        assert subset.correct in (None, sum(correct))
    assert [response.text for response in groups[-1].responses] == LAST_TEXTS[name]


def test_a_pinned_commit_that_is_gone_and_another_layout_are_one_sentence(
    hub: Hub, tmp_path: Path
) -> None:
    hub.repositories.update(repositories())
    gone = download(hub, tmp_path, "rewardbench2")
    assert gone.returncode == 1 and "no such revision" in gone.stderr
    rows = [{"question": row.pop("prompt")} | row for row in rewardbench2_rows()]
    files = hub.repositories["datasets/allenai/reward-bench-2"].files
    files["data/test-00000-of-00001.parquet"] = parquet(rows)
    changed = download(hub, tmp_path, "rewardbench2", "--revision", COMMIT)
    assert changed.returncode == 1 and "no column 'prompt'" in changed.stderr
    assert "Traceback" not in gone.stderr + changed.stderr
    assert not (tmp_path / "raw").exists()


def read(
    folder: Path, benchmark: Benchmark, rows: list[dict]
) -> tuple[list[PromptGroup], list[LeftOut]]:
    (folder / f"{benchmark.split}.parquet").write_bytes(parquet(rows))
    return benchmark_groups(benchmark, folder)


def with_row(rows: list[dict], **changes) -> list[dict]:
    return [rows[0] | changes, *rows[1:]]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("rewardbench", lambda r: r[1:], "'alpacaeval-easy' has 99 rows instead of 100"),
        (
            "rewardbench",
            lambda r: [row for row in r if row["subset"] != "hep-js"],
            "'hep-js' has 0 rows instead of 164",
        ),
        ("rewardbench", lambda r: with_row(r, subset="hep-perl"), "'hep-perl' is no subset"),
        ("rewardbench", lambda r: with_row(r, chosen=None), "row 0: 'chosen' is not a text"),
        ("rewardbench", lambda r: with_row(r, id=1), "(group 'alpacaeval-easy/1'): the group_id"),
        ("rewardbench2", lambda r: with_row(r, num_correct=2), "has 1 chosen and 3 rejected"),
        ("rmbench", lambda r: with_row(r, chosen=["a", "b"]), "'chosen' has 2 texts instead of 3"),
        (
            "rmbench",
            lambda r: [row | {"rejected": "wrong"} for row in r],
            "row 0: 'rejected' is not a list of texts",
        ),
        (
            "rmbench",
            lambda r: [{k: v for k, v in row.items() if k != "domain"} for row in r],
            "the column 'domain' is missing",
        ),
    ],
)
def test_other_data_is_refused_in_one_sentence(
    tmp_path: Path, name: str, change, words: str
) -> None:
    made = {"rewardbench": rewardbench_rows, "rewardbench2": rewardbench2_rows}
    rows = change(made.get(name, rmbench_rows)())
    with pytest.raises(UserError) as error:
        read(tmp_path, BENCHMARKS[name], rows)
    assert words in str(error.value)
    remedies = ("fetch another `--revision`", "steps.download benchmark", "give each its own")
    assert any(remedy in str(error.value) for remedy in remedies)


@pytest.mark.parametrize(
    ("name", "change", "subset", "reason"),
    [
        ("rewardbench", {"chosen": " "}, "alpacaeval-easy", "response 0 is empty"),
        ("rewardbench", {"prompt": ""}, "alpacaeval-easy", "the prompt is empty"),
        ("rewardbench2", {"rejected": ["a", "", "c"]}, "Factuality", "response 2 is empty"),
        ("rmbench", {"chosen": ["a", "b", "\n"]}, "chat", "response 2 is empty"),
    ],
)
def test_a_row_with_an_empty_text_is_left_out_and_listed(
    tmp_path: Path, name: str, change: dict, subset: str, reason: str
) -> None:
    made = {"rewardbench": rewardbench_rows, "rewardbench2": rewardbench2_rows}
    rows = made.get(name, rmbench_rows)()
    groups, left_out = read(tmp_path, BENCHMARKS[name], with_row(rows, **change))
    assert len(groups) == len(rows) - 1
    assert left_out == [LeftOut(f"{subset}/0", subset, reason)]
    path = tmp_path / "groups.parquet"
    write_whole_groups(path, groups, left_out)
    assert read_groups(path) == groups
    assert read_left_out_rows(path) == left_out


def test_groups_of_no_row_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"every row is left out; the first one, 'a/0', because it"):
        write_whole_groups(tmp_path / "groups.parquet", [], [LeftOut("a/0", "a", "it is empty")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("folder", "subsets"), [("llmbar", 5), ("humanevalpack", 6)])
def test_subsets_rebuilt_from_their_sources_have_the_published_counts(
    folder: str, subsets: int
) -> None:
    benchmark = BENCHMARKS["rewardbench"]
    with gzip.open(reference_data(folder) / "pairs.jsonl.gz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    groups = [
        benchmark.group(pair | {"chosen_model": None, "rejected_model": None}, f"row {number}")
        for number, pair in enumerate(pairs)
    ]
    check_groups(groups, folder)
    found = Counter(group.category for group in groups)
    assert len(found) == subsets
    assert found == {name: benchmark.subsets[name].rows for name in found}
    assert all(
        group.responses[0].text == p["chosen"] for group, p in zip(groups, pairs, strict=True)
    )
