"""Tables and figures from a synthetic evaluation."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steps.config import Experiment, load_experiment
from steps.config.schema import Evaluation, LocalBackbone
from steps.errors import UserError
from steps.evaluate.evaluate import evaluate
from steps.evaluate.load import EvaluationSet, read_evaluation_sets
from steps.evaluate.tables import write_tables
from steps.files import write_json
from steps.objectives.registry import method_names
from steps.report.__main__ import main
from steps.report.accuracy_table import accuracy_markdown
from steps.report.conclusions import UNSEEN, needed, summary, verdict
from steps.report.figure_style import figure_style, line_of, new_figure, save
from steps.report.holm import CORRECTED
from steps.report.latex import escape
from steps.report.load import read_evaluation
from steps.report.main_table import main_table
from steps.report.markdown import grid
from steps.report.names import metric_title
from steps.report.tables import write_report_tables
from steps.report.token_rewards_figure import example_pair, token_rewards_figure
from steps.report.training_curves_figure import smooth, training_curves_figure
from tests.synthetic_scores import make_group, make_pairs, make_scores, write_experiment


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return evaluated(tmp_path_factory.mktemp("report"), seeds=(0, 1))


def evaluated(folder: Path, **sizes) -> tuple[Path, Path]:
    """An experiment file and a results folder with an evaluation."""
    yaml, results = write_experiment(folder, **sizes)
    experiment = load_experiment(yaml)
    sets = read_evaluation_sets(experiment, results)
    tables = evaluate(experiment, sets)
    write_tables(results / "evaluation", tables, experiment, sets[0].models)
    sentences = {"summary": ["train: 5 prompts, 40 responses, 999 tokens"]}
    write_json(results / "groups" / "selection.json", sentences)
    return yaml, results


def run(monkeypatch: pytest.MonkeyPatch, kind: str, paths: tuple[Path, Path], output: Path) -> None:
    arguments = [kind, "--experiment", paths[0], "--results", paths[1], "--output", output]
    card = ["--card", output.with_suffix(".json")]
    monkeypatch.setattr("sys.argv", ["report", *map(str, [*arguments, *card])])
    main()


def test_tables_hold_the_evaluation_and_what_it_shows(
    synthetic: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run(monkeypatch, "tables", synthetic, tmp_path / "one")
    run(monkeypatch, "tables", synthetic, tmp_path / "two")
    names = [
        *("analyses.csv", "analyses.md", "analysis_differences.csv", "best_of_n.md"),
        *("differences.csv", "differences.md", "main.csv", "main.json", "main.md", "main.tex"),
        "mcnemar.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    metrics = synthetic[1] / "evaluation" / "metrics.csv"
    assert (tmp_path / "one/main.csv").read_bytes() == metrics.read_bytes()
    numbers = json.loads((tmp_path / "one/main.json").read_text())
    for row in pd.read_csv(metrics).dropna(subset=["value"]).itertuples():
        assert numbers[row.eval_set][row.method][row.metric] == row.value

    text = (tmp_path / "one/main.md").read_text()
    assert "train: 5 prompts, 40 responses, 999 tokens" in text
    assert "ICRM - ORM, pair accuracy, in distribution: " in text
    assert "best-of-4 accuracy, all sets together" in text
    assert "Single seeds, pair accuracy, in distribution: ORM " in text
    assert "†" not in text
    titles = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert titles[2:] == [
        *("ORM", "GRM (release form)", "ICRM", "Generator log-probability"),
        *("Longest", "Shortest", "Random", "Oracle", "n"),
    ]


def test_the_wide_table_shows_the_numbers_of_the_csv(synthetic: tuple[Path, Path]):
    experiment = load_experiment(synthetic[0])
    table = main_table(read_evaluation(synthetic[1] / "evaluation", experiment), experiment.methods)
    assert table.columns[2] == ("in_distribution", "best_of_4")
    assert table.columns[-1] == ("first_wrong_step", "first_wrong_step")
    metrics = pd.read_csv(synthetic[1] / "evaluation" / "metrics.csv")
    first = metrics.set_index(["method", "eval_set", "metric"]).sort_index()
    row = first.loc[("icrm", "in_distribution", "pair_accuracy")]
    title, seeds, cells = table.rows[2]
    assert (title, seeds) == ("ICRM", "2")
    interval, spread = f"[{row.ci_low:.3f}, {row.ci_high:.3f}]", f"±{row.t_half_width:.3f}"
    assert str(cells[0]) == f"{row.value:.3f} {interval} {spread}"
    assert table.counts[0] == "24"
    oracle, seeds, cells = table.rows[-1]
    # It needs no training, and has a best-of-N but no pair accuracy.
    assert (oracle, seeds, str(cells[0])) == ("Oracle", "–", "–")
    assert str(cells[2]) == "1.000 [1.000, 1.000]"


def test_best_of_n_has_a_column_for_every_n(synthetic: tuple[Path, Path]) -> None:
    experiment = load_experiment(synthetic[0])
    evaluation = read_evaluation(synthetic[1] / "evaluation", experiment)
    text = accuracy_markdown(evaluation, experiment)
    tables = text.split("\n## ")[1:]
    assert len(tables) == len(evaluation.pair_sets)
    drawn = evaluation.best_of(evaluation.pair_sets[0])
    lines = [line for line in tables[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["method", "seeds", *(f"N = {number}" for number in drawn)]
    (icrm,) = (row for row in cells if row[0] == "ICRM")
    for number, cell in zip(drawn, icrm[2:], strict=True):
        row = evaluation.cell("icrm", evaluation.pair_sets[0], f"best_of_{number}")
        assert cell.startswith(f"{row['value']:.3f} [{row['ci_low']:.3f}, ")
    assert "±: half of the" in text and "†" not in text


def test_a_single_run_is_marked(tmp_path: Path):
    yaml, results = evaluated(tmp_path, seeds=(3,), samples=100)
    write_report_tables(load_experiment(yaml), results, tmp_path / "tables")
    text = (tmp_path / "tables/main.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| ORM "))
    assert row.count("†") == 7
    (row,) = (line for line in text.splitlines() if line.startswith("| Random "))
    assert "†" not in row
    assert "† one run only" in text
    assert "±" not in text
    latex = (tmp_path / "tables/main.tex").read_text()
    assert r"$^\dagger$ one run only" in latex


def test_latex_has_as_many_cells_in_every_row(synthetic: tuple[Path, Path], tmp_path: Path):
    write_report_tables(load_experiment(synthetic[0]), synthetic[1], tmp_path / "tables")
    lines = (tmp_path / "tables/main.tex").read_text().splitlines()
    rows = [line for line in lines if line.endswith(r" \\") and "multicolumn" not in line]
    assert len(rows) == 2 + 2 * 8
    assert {line.count("&") for line in rows} == {8}
    assert lines[1] == r"\begin{tabular}{lrccccccc}"
    assert lines[-1] == r"\end{tabular}"


def test_escaping():
    assert escape(r"a_b & 5% {x} \y ~") == (
        r"a\_b \& 5\% \{x\} \textbackslash{}y \textasciitilde{}"
    )
    assert r"a\|b" in grid(["x"], [["a|b"]])


def test_readings_never_claim_more_than_the_interval():
    assert [verdict(0.1, 0.01, 0.2), verdict(-0.1, -0.2, -0.01)] == ["higher", "lower"]
    assert [verdict(0.1, 0.0, 0.2), verdict(-0.1, -0.2, 0.0)] == [UNSEEN] * 2
    assert verdict(0.0, 0.0, 0.0) == UNSEEN
    assert "no interval" in verdict(0.1, np.nan, np.nan)
    assert "no interval" in verdict(0.0, np.nan, np.nan)


def test_what_is_shown_as_nothing_is_no_difference():
    assert verdict(2e-4, 1e-6, 4e-4) == verdict(-2e-4, -4e-4, -1e-6) == UNSEEN
    assert verdict(5e-4, 4e-4, 6e-4) == "higher"
    names = {"method": "icrm", "reference": "orm", "number": "pair accuracy"}
    family = pd.DataFrame([{**names, "value": value, CORRECTED: 0.001} for value in (2e-4, 0.1)])
    nothing, something = (summary(family.iloc[k : k + 1], Evaluation())[0] for k in (0, 1))
    assert "nothing can be concluded" in nothing
    assert something.endswith("(1 of 1): pair accuracy: ICRM higher than ORM.")


def test_the_needed_number_of_problems():
    # Half-width 0.1 for a difference of 0.1: (1 + 0.8416 / 1.96)^2 = 2.04 times as many.
    assert "about 2.0 times" in needed(0.1, -0.0, 0.2, 0.95)
    assert "more than 100 times" in needed(0.001, -0.1, 0.1, 0.95)
    assert needed(0.1, 0.05, 0.15, 0.95) == needed(0.0, -0.1, 0.1, 0.95) == ""


def test_metric_titles():
    assert metric_title("best_of_16") == "best-of-16 accuracy"
    assert metric_title("pair_accuracy[Number-Theory]") == "pair accuracy, Number-Theory"


def png_size(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")


def test_figures_are_written_with_the_same_bytes_twice(
    synthetic: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run(monkeypatch, "figures", synthetic, tmp_path / "one")
    run(monkeypatch, "figures", synthetic, tmp_path / "two")
    stems = (
        *("best_of_n", "lengths", "over_optimisation", "prefixes"),
        *("reliability", "token_changes", "token_rewards", "training_curves"),
    )
    names = sorted(f"{stem}.{suffix}" for stem in stems for suffix in ("pdf", "png"))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes()
        assert b"CreationDate" not in content
        if name.endswith("png"):
            assert png_size(tmp_path / "one" / name)[0] == 1350  # 6.75 inches at 200 dpi


def test_no_text_of_a_figure_is_smaller_than_eight_points(synthetic: tuple[Path, Path]):
    experiment = load_experiment(synthetic[0])
    with figure_style():
        figure = training_curves_figure(experiment, synthetic[1])
        figure.draw_without_rendering()
        from matplotlib.text import Text

        assert min(text.get_fontsize() for text in figure.findobj(Text)) >= 8


def test_lines_of_many_methods_differ_and_their_legend_fits(synthetic: tuple[Path, Path]):
    assert len({str(line_of(place)) for place in range(36)}) == 36
    # In grey the marker tells methods apart, for as many as there are.
    assert len({line_of(place)["marker"] for place in range(12)}) == 12
    methods = {"methods": method_names()}
    experiment = load_experiment(synthetic[0]).model_copy(update=methods)
    with figure_style():
        figure = token_rewards_figure([pair_set(experiment, {"p": 30})], experiment)
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == len(method_names()) + 1  # and the annotated step
    assert figure.bbox.x0 <= legend.get_window_extent().x0
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    # The legend makes the figure taller, not the panels flatter.
    assert figure.axes[0].get_window_extent().height > 1.6 * figure.dpi


def test_only_trained_methods_have_curves(synthetic: tuple[Path, Path]):
    methods = {"methods": ["orm_ensemble", "icrm"]}
    experiment = load_experiment(synthetic[0]).model_copy(update=methods)
    with figure_style():
        figure = training_curves_figure(experiment, synthetic[1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ICRM", "ORM"]
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == [line_of(1)["color"], line_of(2)["color"]]  # 0 is the ensemble's elsewhere


def pair_set(experiment: Experiment, lengths: dict[str, int]) -> EvaluationSet:
    groups = [make_group(name, "c", 4, words, annotated=True) for name, words in lengths.items()]
    draw = np.random.default_rng(0)
    scores = {(m, s): make_scores(groups, 1, draw) for m in experiment.methods for s in (0, 1)}
    return EvaluationSet("in_distribution", groups, make_pairs(groups), scores)


def test_the_example_pair_has_the_median_length_and_one_author(synthetic: tuple[Path, Path]):
    experiment = load_experiment(synthetic[0])
    each = pair_set(experiment, {"long": 50, "short": 10, "median": 20})
    empty = replace(each, pairs=make_pairs([]))
    chosen_set, pair, rule = example_pair([empty, each])
    assert chosen_set is each
    assert (pair["group_id"], rule) == ("median", "the same-model pair of median length")
    assert pair["same_model"]
    other = replace(each, pairs=each.pairs.assign(same_model=False))
    assert example_pair([other])[2] == "the pair of median length"
    assert example_pair([empty]) is None


def test_an_annotated_step_of_the_rejected_response_is_shaded(
    synthetic: tuple[Path, Path], tmp_path: Path
):
    experiment = load_experiment(synthetic[0])
    with figure_style():
        figure = token_rewards_figure([pair_set(experiment, {"p": 30})], experiment)
        save(figure, tmp_path, "shaded")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["ORM", "GRM (release form)", "ICRM", "First wrong step (annotated)"]
    rewards = figure.axes[1]
    (span,) = (patch for patch in rewards.patches if patch.get_label().startswith("First"))
    # Words 2 and 3 (counted from 0) are the third and the fourth token.
    assert span.get_x() == 2.5 and span.get_x() + span.get_width() == 4.5


def test_figures_without_pairs_say_so(synthetic: tuple[Path, Path]):
    experiment = load_experiment(synthetic[0])
    each = pair_set(experiment, {"p": 10})
    figure = token_rewards_figure([replace(each, pairs=make_pairs([]))], experiment)
    assert "no example pair" in figure.texts[0].get_text()
    assert new_figure(1.0).get_figwidth() == 6.75


def test_smoothing_is_a_centred_mean():
    log = pd.DataFrame({"loss": [0.0, 3.0, 6.0, 0.0]}, index=[1, 2, 3, 4])
    assert smooth(log, 3)["loss"].tolist() == pytest.approx([1.5, 3, 3, 3])


def cut_in_half(text: str) -> str:
    return text[: len(text) // 2]


def lose_a_row(text: str) -> str:
    return text[: text.rindex("\n", 0, -1) + 1]


def lose_a_digit(text: str) -> str:
    return text.rstrip("\n")


def without_a_field(text: str) -> str:
    lines = text.splitlines()
    lines[2] = lines[2].rpartition(",")[0]
    return "\n".join(lines) + "\n"


def in_value(new: str):
    def change(text: str) -> str:
        lines = [line.split(",") for line in text.splitlines()]
        lines[2][lines[0].index("value")] = new
        return "\n".join(map(",".join, lines)) + "\n"

    return change


@pytest.mark.parametrize("name", ["metrics.csv", "differences.csv", "seeds.csv"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_in_half, r": line \d+ (has \d+ fields instead of|is cut off)"),
        (lose_a_row, r" ends after row \d+, but has \d+ rows"),
        (lose_a_digit, r": line \d+ is cut off"),
        (without_a_field, r": line 3 has \d+ fields instead of \d+"),
        (in_value("high"), r": line 3: 'high' in the column 'value' is no number"),
        (in_value("0.123"), " has changed since it was written"),
        (lambda text: "", ": the column 'method' is missing"),
    ],
)
def test_a_damaged_evaluation_is_noticed(
    synthetic: tuple[Path, Path], tmp_path: Path, name: str, damage, words: str
):
    folder = tmp_path / "evaluation"
    shutil.copytree(synthetic[1] / "evaluation", folder)
    path = folder / name
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=f"{re.escape(str(path))}{words}.*; delete "):
        read_evaluation(folder, load_experiment(synthetic[0]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["orm", "icrm"]}, "methods orm, grm_release, icrm, the experiment has orm, "),
        ({"seeds": [0]}, "seeds 0, 1, the experiment has 0;"),
        (
            {"reference_models": {"other": LocalBackbone(source="local", path="models/other")}},
            r"reference_models \(none\), the experiment has other;",
        ),
        ({"evaluation": Evaluation(confidence=0.9)}, "evaluation .* has .*confidence=0.9;"),
    ],
)
def test_an_evaluation_of_another_experiment_is_refused(
    synthetic: tuple[Path, Path], changes: dict, words: str
):
    experiment = load_experiment(synthetic[0]).model_copy(update=changes)
    with pytest.raises(UserError, match=f"has the {words}.*run the evaluate step again"):
        read_evaluation(synthetic[1] / "evaluation", experiment)


def test_the_order_of_methods_and_seeds_does_not_matter(synthetic: tuple[Path, Path]):
    experiment = load_experiment(synthetic[0])
    changes = {"methods": experiment.methods[::-1], "seeds": experiment.seeds[::-1]}
    reordered = experiment.model_copy(update=changes)
    assert len(read_evaluation(synthetic[1] / "evaluation", reordered).metrics)


def test_bad_input_is_named(tmp_path: Path):
    yaml, results = evaluated(tmp_path, seeds=(0,), samples=100)
    experiment = load_experiment(yaml)
    log = results / "training/icrm/seed0.csv"
    log.write_text("step,loss\n1,0.5\n")
    with pytest.raises(UserError, match=r"icrm/seed0\.csv: the column 'pair_accuracy' is missing"):
        training_curves_figure(experiment, results)
    log.write_text("step,loss,pair_accuracy\n1,0.5,0.6\n2,none,0.7\n")
    with pytest.raises(UserError, match=r"icrm/seed0\.csv: line 3: 'none' in the column 'loss'"):
        training_curves_figure(experiment, results)
    manifest = results / "evaluation/manifest.json"
    whole = manifest.read_text()
    write_json(manifest, {**json.loads(whole), "files": []})
    with pytest.raises(UserError, match=r"manifest\.json does not describe metrics\.csv"):
        write_report_tables(experiment, results, tmp_path / "tables")
    manifest.write_text(whole)
    (results / "evaluation/seeds.csv").unlink()
    with pytest.raises(UserError, match=r"seeds\.csv is not there"):
        write_report_tables(experiment, results, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
