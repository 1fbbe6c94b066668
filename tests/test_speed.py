"""The comparisons of speed run and compare equal things; no time is asserted."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import benchmarks.__main__
from benchmarks import caching, gpu, growth_in_rows, training_against_trl
from benchmarks.__main__ import CPU, main
from benchmarks.growth_in_length import growth_in_length
from benchmarks.methods import icrm_over_grm_and_orm
from benchmarks.orchestration import dry_run, overhead, quickstart_overhead
from benchmarks.reward_model import write_reward_model
from benchmarks.rows import LeftOut, Row, add_rows
from benchmarks.scoring_pairs import against_rewardbench
from benchmarks.setting import Setting, small_setting, tiny_backbone
from benchmarks.texts import training_pairs
from benchmarks.timing import against_fastest, check_equal, in_rotation, in_turns
from steps.errors import UserError
from steps.report.figure_style import figure_style, new_figure

OTHERS_PROGRAMS = {dry_run, quickstart_overhead, against_rewardbench}  # see below


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory):
    with small_setting(tmp_path_factory.mktemp("benchmarks")) as made:
        yield made


def check_row(row: Row) -> None:
    assert np.isfinite([row.ours, row.peer, row.share_of_peak, row.peer_share_of_peak]).all()
    assert row.ratio_range[0] <= row.ratio <= row.ratio_range[1]
    if row.n == 1:
        assert row.ratio == pytest.approx(row.ours / row.peer)


@pytest.mark.parametrize(
    "comparison", [c for c in CPU if c not in OTHERS_PROGRAMS], ids=lambda c: c.__name__
)
def test_both_sides_compute_the_same(comparison, setting: Setting) -> None:
    """Each comparison checks that before it times them."""
    made = comparison(setting)
    rounds = 3 if comparison is icrm_over_grm_and_orm else 1
    for row in made if isinstance(made, list) else [made]:
        assert row.n == rounds
        check_row(row)


def test_a_peer_that_computes_something_else_gives_no_row(setting, monkeypatch) -> None:
    plain = caching.plain
    monkeypatch.setattr(caching, "plain", lambda *a: plain(*a) + 1e-3)
    with pytest.raises(UserError, match=r"caching .* differ by [0-9.]+e-04"):
        caching.against_plain_caching(setting)
    rewards = training_against_trl.trl_rewards
    monkeypatch.setattr(training_against_trl, "trl_rewards", lambda *a: rewards(*a).flip(0))
    with pytest.raises(UserError, match=r"rewards before the first step: .* differ"):
        training_against_trl.against_trl(setting)


@pytest.mark.parametrize(
    ("values", "what"),
    [([1.0, 2.0001], "differ by"), ([1.0, np.nan], "differ by nan"), ([1.0], "values")],
)
def test_other_values_are_refused(values, what) -> None:
    check_equal("same", [1.0, 2.0], [1.0, 2.000001])
    with pytest.raises(UserError, match=what):
        check_equal("other", values, [1.0, 2.0])


def test_runs_take_turns_and_the_first_round_is_not_counted() -> None:
    order = []

    def run(name: str):
        def work() -> float:
            order.append(name)
            return float(len(order))

        return work

    seconds = in_turns(run("ours"), run("peer"), 2)
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert seconds.ours.tolist() == [4.0, 5.0] and seconds.peer.tolist() == [3.0, 6.0]

    order.clear()
    seconds = in_rotation([run("a"), run("b"), run("c")], 2)
    assert "".join(order) == "abcbcacab"
    assert seconds.tolist() == [[6.0, 8.0], [4.0, 9.0], [5.0, 7.0]]


def test_the_peer_runs_in_its_best_setting() -> None:
    """First rounds do not count, and of the two best tries the better in the rotation is taken."""
    taken = {"slow": [1, 9], "often": [9, 4, 9, 6, 6], "once": [9, 3, 9, 7, 7]}
    made = []

    def make(name: str):
        made.append(name)
        return lambda: float(taken[name].pop(0))

    ways = {name: partial(make, name) for name in taken}
    seconds, best = against_fastest(lambda: 2.0, ways, 2)
    assert best == "often" and seconds.peer.tolist() == [6, 6] and seconds.ours.tolist() == [2, 2]
    assert made == ["slow", "often", "once", "once", "often"]


def test_trl_runs_at_its_best_on_the_same_tokens(setting: Setting) -> None:
    groups = training_pairs(setting)
    assert len({group.group_id for group in groups}) == len(groups) == 8
    store = training_against_trl.MemoryStore(
        training_against_trl.encode_groups(groups, setting.chat)
    )
    ours = training_against_trl.make_trainer(setting, "orm", store, groups)
    rows = training_against_trl.pair_rows(ours)
    ends = (rows[0]["chosen_ids"][-1], setting.chat.end_of_turn)
    assert len(rows) == 8 and ends[0] == ends[1]
    theirs = training_against_trl.trl_trainer(setting, ours, rows, 2)
    assert theirs.args.activation_checkpointing is False and theirs.args.bf16 is False
    assert theirs.args.optim == "adamw_torch_fused" and theirs.args.max_length is None
    (first, *_) = theirs.get_train_dataloader()
    lengths = [len(row[key]) for key in ("chosen_ids", "rejected_ids") for row in rows[:2]]
    assert first["attention_mask"].sum(1).tolist() == lengths
    assert theirs.args.gradient_accumulation_steps * 2 == setting.size.pairs


def test_rows_replace_those_of_their_name(tmp_path, setting: Setting) -> None:
    row = caching.against_plain_caching(setting)
    add_rows(tmp_path, [row, replace(row, name="other"), LeftOut("absent", "no")], {"commit": "a1"})
    left_out = [LeftOut("other", "a row stays"), LeftOut("absent", "why")]
    add_rows(tmp_path, [replace(row, ours=7.0), *left_out], {"commit": "b2"})
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    kept = [(r["name"], r["ours"], r["commit"]) for r in found["rows"]]
    assert kept == [("other", row.ours, "a1"), (row.name, 7.0, "b2")]
    assert found["left_out"] == [{"name": "absent", "reason": "why"}]
    table = (tmp_path / "benchmarks.md").read_text()
    assert f"| {row.name} |" in table and "Not measured: absent: why." in table
    add_rows(tmp_path, [replace(row, name="absent")], {"commit": "c3"})
    assert json.loads((tmp_path / "benchmarks.json").read_text())["left_out"] == []


def test_an_output_that_cannot_be_written_is_named_before_it_is_measured(
    tmp_path, setting: Setting, monkeypatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(benchmarks.__main__, "small_setting", lambda output: nullcontext(setting))
    monkeypatch.setattr(benchmarks.__main__, "RunCard", None)  # opened with each comparison
    monkeypatch.setattr(sys, "argv", ["x", "cpu", "--small", f"--output={tmp_path / 'file'}"])
    with pytest.raises(OSError, match="file"):
        main()


def test_growth_in_length(setting: Setting) -> None:
    rows = growth_in_length(setting)
    assert len(rows) == 6 and all(row.ours > 0 and row.peer is None for row in rows)
    assert {path.name for path in setting.output.glob("growth_in_length.*")} == {
        "growth_in_length.png",
        "growth_in_length.pdf",
    }


def test_growth_in_rows(setting: Setting, monkeypatch) -> None:
    """Every stage's command runs; the next number of rows is made up."""
    points = growth_in_rows._measure(setting, write_reward_model(setting), 20)
    assert [point.stage for point in points] == list(growth_in_rows.STAGES)
    assert (setting.work / "rows-20/scores.parquet").is_file()
    assert all(p.memory > 2**20 for p in points)
    more = [replace(p, rows=40, seconds=2 * p.seconds) for p in points]
    row = growth_in_rows._row(setting, [points[3], more[3]])
    assert row.name == "growth in rows: cache" and row.ratio == pytest.approx(1)
    with figure_style():
        figure = new_figure(2.6)
    monkeypatch.setattr(growth_in_rows, "new_figure", lambda height: figure)
    growth_in_rows._draw(setting, points + more)
    assert (setting.output / "growth_in_rows.png").is_file()
    panels = figure.axes
    ticks = [t.get_text() for p in panels for t in p.get_xticklabels() + p.get_yticklabels()]
    assert ticks[:2] == ["20", "40"] and not any("$" in tick for tick in ticks)


def test_overhead_is_what_lies_between_the_steps(setting: Setting) -> None:
    card = {"commit": "a", "seconds": 50.0, "started": "2026-01-01T00:00:00Z"}
    cards = [
        card | {"step": "cache"},
        card | {"step": "train", "started": "2026-01-01T00:00:10Z"},
        card | {"step": "figures", "started": "2026-01-01T00:01:10Z"},
    ]
    row = overhead(setting, cards, jobs=2)
    assert row.work == "3 steps, 2 at once, at a"
    assert (row.ours, row.peer) == (240.0, 150.0)
    later = cards[0] | {"step": "export", "started": "2026-01-02T00:00:00Z", "commit": "b"}
    assert overhead(setting, [*cards, later], jobs=2) == row
    assert isinstance(overhead(setting, cards[:2], jobs=2), LeftOut)
    assert isinstance(overhead(setting, [*cards, card | {"commit": "b", "step": "x"}], 2), LeftOut)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_its_suite_is_refused(tmp_path) -> None:
    with (
        pytest.raises(UserError, match="torch finds no GPU here; run `make bench-gpu` on"),
        gpu.gpu_setting(tmp_path),
    ):
        pass


class Gpu:
    """A GPU's memory, as torch tells it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = self.peak = 5e9  # of something else
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: self.held)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: self.peak)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)

    def reset(self) -> None:
        self.peak = self.held

    def training(self, size: float):
        """Its activations come and go; its optimiser's states, as large, stay from then on."""

        def run() -> None:
            self.peak = max(self.peak, self.held + size)
            self.held = 5e9 + size

        return run


def test_the_suite_of_the_gpu_on_a_cpu(setting: Setting, monkeypatch) -> None:
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    small |= {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}
    monkeypatch.setattr(gpu, "LLAMA", small)
    monkeypatch.setattr(gpu, "memory_of", lambda make: (make()(), 2.0)[1])
    monkeypatch.setattr(gpu, "_most_pairs", lambda make, pairs: make(pairs)() and pairs)
    # A batch may be larger than a training step, as in `gpu.SIZE`: that size is for scoring.
    assert max(gpu.SIZE.batch_sizes) > gpu.SIZE.pairs and setting.size.pairs == 4
    setting = replace(setting, size=replace(setting.size, batch_sizes=(1, 2, 8)))
    rows = [row for suite in gpu.GPU for row in suite(setting)]
    assert len({row.name for row in rows}) == len(rows) == 8
    for row in rows:
        assert row.ratio > 0 and row.name.endswith("GPU")


def test_a_model_that_does_not_fit_leaves_the_others_rows(setting, tmp_path, monkeypatch) -> None:
    def measure(own: Setting) -> list[Row]:
        if own.backbone != setting.backbone:
            raise torch.OutOfMemoryError("too large")
        return [gpu.against_padded_scoring(own, 64)]

    monkeypatch.setattr(gpu, "random_llama", lambda setting: tiny_backbone(setting.work / "other"))
    row, left_out = gpu._of_each_model(setting, measure, gpu.PADDED)
    assert isinstance(row, Row) and row.name == f"{gpu.PADDED}; SmolLM2-135M, GPU"
    assert left_out == LeftOut(f"{gpu.PADDED}; random Llama 1.07B, GPU", "too large")


def test_rewards_that_differ_stop_the_gpus_suite(setting: Setting) -> None:
    def measure(own: Setting) -> list[Row]:
        check_equal("rewards", [1.0], [2.0])

    with pytest.raises(UserError, match="values differ by"):
        gpu._of_each_model(setting, measure, gpu.PADDED)


def test_the_gpus_suite_has_no_small_form(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "gpu", "--small"])
    with pytest.raises(UserError, match="--small: the suite of the GPU has no small form"):
        main()


def test_memory_is_that_of_a_later_step_alone(monkeypatch) -> None:
    memory = Gpu(monkeypatch)
    assert gpu.memory_of(lambda: memory.training(2e9)) == pytest.approx(4)


def test_the_largest_batch_is_the_last_that_fits(monkeypatch) -> None:
    memory, tried = Gpu(monkeypatch), []

    def make(pairs: int):
        def run() -> None:
            tried.append(pairs)
            memory.held = 5e9
            if pairs > 25:
                raise torch.OutOfMemoryError

        return run

    assert gpu._most_pairs(make, 4) == 24
    assert tried == [4, 4, 8, 8, 16, 16, 32, 24, 24, 28]
    with pytest.raises(torch.OutOfMemoryError, match="a step of 28 pairs does not fit"):
        gpu._most_pairs(make, 28)


def test_sizes_of_the_peer_that_do_not_fit_are_not_taken() -> None:
    def runs_out() -> float:
        raise torch.OutOfMemoryError

    ways = {1: lambda: lambda: 3.0, 2: lambda: lambda: 2.0, 4: lambda: runs_out}
    seconds, best = against_fastest(lambda: 1.0, ways, rounds=2)
    assert best == 2 and seconds.peer.tolist() == [2.0, 2.0]
    with pytest.raises(torch.OutOfMemoryError, match="none of the peer's settings"):
        against_fastest(lambda: 1.0, dict.fromkeys((2, 4, 8), lambda: runs_out), rounds=2)


def test_of_trainers_that_do_not_fit_at_once_the_best_runs_alone() -> None:
    def both(seconds: float, other: list, own: list):
        own.append(seconds)
        if len(own) == 2 and len(other) == 2:
            raise torch.OutOfMemoryError
        return lambda: seconds

    fast, slow = [], []
    ways = {"slow": partial(both, 2.0, fast, slow), "fast": partial(both, 1.0, slow, fast)}
    ways["slowest"] = lambda: lambda: 3.0
    seconds, best = against_fastest(lambda: 4.0, ways, rounds=2)
    assert best == "fast" and seconds.peer.tolist() == [1.0, 1.0]
    assert (len(fast), len(slow)) == (3, 2)  # each tried, both in the rotation, the best once more
