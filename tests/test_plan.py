"""The plan: its counts are those of the real jobs, its arithmetic is that of a sheet of paper."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from steps.config import Experiment, load_experiment
from steps.config.hub_data import UnifiedFeedbackData
from steps.config.load import load_extended
from steps.config.schema import FineTuning, Generator, Lora, SmolLM2Backbone
from steps.errors import UserError
from steps.files import write_json
from steps.objectives.declaration import load_method
from steps.objectives.objective import Objective
from steps.plan import timing
from steps.plan.__main__ import main
from steps.plan.architecture import Shape, read_config, shape_of
from steps.plan.hours import job_seconds
from steps.plan.jobs import list_jobs
from steps.plan.machine import Machine
from steps.plan.make import make_plan
from steps.plan.memory import Memory, cache_memory, training_memory
from steps.plan.parameters import (
    LM_NEEDS,
    Parameters,
    generator_parameters,
    model_parameters,
    reward_model_parameters,
)
from steps.plan.probe import Rates, measure_rates
from steps.plan.report import report
from steps.plan.resources import resources
from steps.plan.runs import training_runs
from steps.plan.tasks import check_fits, list_tasks
from steps.plan.tokens import COUNTS, SetTokens, largest_batch, largest_micro_batch, read_set_tokens
from steps.train.assemble import assemble
from tests.benchmark_sources import write_sources
from tests.conftest import ROOT
from tests.hub import COMMIT, Repository, serve
from tests.training import UPPER, with_settings

CPU = Machine("the CPU", gpu=False, cores=2, memory=2**40, process=100)
FULL = UPPER.model_copy(update={"mode": "full", "trained_layers": None})
LORA = UPPER.model_copy(update={"mode": "lora", "trained_layers": None, "lora": Lora(r=4)})
MODES = {"upper_layers": UPPER, "full": FULL, "lora": LORA}
SETS = ["train", "in_distribution", "out_of_distribution", "first_wrong_step"]


def counted(name: str, tokens: int = 1000, prompts: int = 10) -> SetTokens:
    return SetTokens(name, tokens, 2 * tokens, 200, 400, prompts, counted=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["orm", "icrm"])
@pytest.mark.parametrize(("lm_head", "reward_head"), [("copy", "linear"), ("tied", "mlp")])
def test_parameters_are_those_of_the_assembled_module(
    mode, method, lm_head, reward_head, backbone: Path, experiment: Experiment
) -> None:
    settings = MODES[mode].model_copy(update={"lm_head": lm_head, "reward_head": reward_head})
    needs = Objective(load_method(method).terms(experiment)).needs
    module = assemble(with_settings(experiment, settings), backbone, None, needs, 1.0, 0).module
    parameters = list(module.parameters())
    found = reward_model_parameters(read_config(experiment.backbone), settings, needs)
    assert found == Parameters(
        total=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in parameters if p.requires_grad),
        weight_bytes=sum(p.numel() * p.element_size() for p in parameters),
    )


@pytest.mark.parametrize("lm_head", ["tied", "copy"])
def test_an_lm_head_that_is_not_the_embedding_is_there_once(lm_head, experiment) -> None:
    config = read_config(experiment.backbone)
    settings = UPPER.model_copy(update={"lm_head": lm_head})
    tied = reward_model_parameters(config, settings, LM_NEEDS)
    config.tie_word_embeddings = False
    untied = reward_model_parameters(config, settings, LM_NEEDS)
    head = config.vocab_size * config.hidden_size
    assert untied.total - tied.total == (head if lm_head == "tied" else 0)
    assert untied.trained == tied.trained


@pytest.mark.parametrize("lora", [None, Lora(r=4)])
def test_the_generators_parameters_are_those_of_its_module(
    lora, backbone: Path, experiment: Experiment
) -> None:
    from steps.train.generator import _assemble, training_settings

    tuning = FineTuning(groups_per_step=2, learning_rate=1e-3, lora=lora, lm_head="copy")
    settings = training_settings(tuning)
    objective = Objective([])
    module = _assemble(backbone, experiment, settings, None, objective, 0)
    # No term asks for the head here, yet the module is built around it.
    parameters = list(module.parameters())
    found = generator_parameters(read_config(experiment.backbone), settings)
    assert found.total == sum(p.numel() for p in parameters)
    assert found.trained == sum(p.numel() for p in parameters if p.requires_grad)


def test_the_known_size_of_smollm2(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where it has not been downloaded
    config = read_config(SmolLM2Backbone(source="smollm2"))
    assert model_parameters(config, torch.float32).total == 134_515_008


def test_of_a_model_of_the_hub_only_the_configuration_is_fetched(
    tmp_path: Path, experiment: Experiment
) -> None:
    config = read_config(experiment.backbone)
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    content["backbone"] = {"source": "hub", "id": "own/model", "revision": COMMIT}
    content["training"]["learning_rate"] = 3e-3  # plain YAML reads 3e-3 as a string
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump(content))
    command = ["steps.plan", "--experiment", str(tmp_path / "hub.yaml"), "--no-probe"]
    with serve() as hub:
        missing = hub.run(tmp_path, *command)
        repository = Repository({"config.json": config.to_json_string().encode()})
        hub.repositories["models/own/model"] = repository
        found = hub.run(tmp_path, *command)
        asked = {line.split("/")[-1] for line in hub.asked}
    assert missing.returncode == 1 and not missing.stdout
    assert "error: the size of own/model is not known here: " in missing.stderr
    assert found.returncode == 0, found.stderr
    assert "8,864" in found.stdout  # trained by icrm
    assert asked == {"config.json"}


def test_training_memory_by_hand() -> None:
    """D 2, I 5, heads of 2 and 1, 3 layers, V 7; 10 tokens; 4 of 6 parameters trained."""
    shape = Shape(hidden=2, intermediate=5, attention=2, key_value=1, layers=3, vocabulary=7)
    parameters = Parameters(total=6, trained=4, weight_bytes=24)
    layer = 4 * (6 * 2) + 4 * (3 * 2 + 2 * 1 + 4 * 5)  # 160 bytes a token
    found = training_memory(shape, parameters, FULL, 10, False, CPU)
    assert found == Memory(100, 24, 16, 32, activations=10 * 4 * layer)
    assert found.total == 100 + 24 + 16 + 32 + 6400

    logits = 3 * (4 * 512 * 7) + 10 * 3 * 4 * 2 + 4 * 7 * 2
    found = training_memory(shape, parameters, FULL, 10, True, CPU)
    assert found.logits == logits

    saving = FULL.model_copy(update={"gradient_checkpointing": True})
    found = training_memory(shape, parameters, saving, 10, False, CPU)
    assert found.activations == 10 * (3 * 4 * 2 + 2 * layer)

    upper = training_memory(shape, parameters, UPPER, 10, False, CPU)
    assert upper.activations == 10 * 3 * layer  # two trained layers and one more


def test_training_memory_of_a_gpu_by_hand() -> None:
    """Half-wide activations and copies of weights; the optimiser's step beside no activation."""
    shape = Shape(hidden=2, intermediate=5, attention=2, key_value=1, layers=3, vocabulary=7)
    gpu = replace(CPU, gpu=True)
    half = FULL.model_copy(update={"precision": "bf16"})
    found = training_memory(shape, Parameters(6, 4, 24), half, 1, False, gpu)
    assert found == Memory(0, 24 + 12, 16, 32, activations=4 * (4 * 12 + 2 * 28), step=16)
    few = training_memory(shape, Parameters(600, 400, 2400), half, 1, False, gpu)
    assert few.total == 2400 + 1200 + 1600 + 3200 + 1600


def test_cache_memory_by_hand() -> None:
    shape = Shape(hidden=2, intermediate=5, attention=2, key_value=1, layers=3, vocabulary=7)
    layers = 10 * 4 * (3 * 5 + 4 * 2)
    found = cache_memory(shape, 24, 10, Generator(), CPU)
    assert found.total == 100 + 24 + layers + 3 * 4 * 512 * 7 + 10 * 2 * 4 * 2
    nucleus = cache_memory(shape, 24, 10, Generator(top_p=0.9), CPU)
    assert nucleus.total == 100 + 24 + layers + 9 * 4 * 512 * 7 + 10 * 2 * 4 * 2


def test_a_job_that_does_not_fit_names_its_need_and_the_knobs(experiment: Experiment) -> None:
    runs = training_runs(experiment)
    small = replace(CPU, memory=2**20)
    tasks = list_tasks(experiment, runs, [counted(name) for name in SETS], small)
    with pytest.raises(UserError, match=r"'cache train' needs .* but the CPU has 1 MiB of memory"):
        check_fits(tasks, small)
    trainings = [task for task in tasks if task.rule == "train"]
    lasting = max(task.memory.lasting for task in trainings)
    with pytest.raises(UserError, match=r"smaller training.tokens_per_batch \(now 4096\) or "):
        check_fits(trainings, replace(small, memory=lasting))
    with pytest.raises(UserError, match=r"; try fewer training.trained_layers \(now 2\) or a sm"):
        check_fits(trainings, replace(small, memory=1))
    check_fits(trainings, replace(small, memory=max(task.memory.total for task in trainings)))


def test_sets_are_bounded_by_the_budget_and_then_counted(
    experiment: Experiment, tmp_path: Path
) -> None:
    selection = experiment.selection.model_copy(update={"token_budget": {"train": 500}})
    budgeted = experiment.model_copy(update={"selection": selection})
    sets = read_set_tokens(budgeted, tmp_path)
    assert [part.tokens for part in sets] == [500, None, None, None]
    assert not any(part.counted for part in sets)

    sizes = dict(zip(COUNTS, (1000, 2000, 200, 400, 10), strict=True))
    write_json(tmp_path / "groups/selection.json", {"sets": {name: sizes for name in SETS}})
    assert read_set_tokens(budgeted, tmp_path) == [counted(name) for name in SETS]

    write_json(tmp_path / "groups/selection.json", {"sets": {"train": sizes}})
    with pytest.raises(UserError, match=r"selection.json .*in_distribution.*delete it"):
        read_set_tokens(budgeted, tmp_path)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("gemma2b_uf40k", (42_400, 0)),
        ("gemma2b_uf400k", (424_000, 0)),
        ("llama3_8b_skywork", (0.9 * 77_000 + 42_400, 0.1 * 77_000)),
        ("qwen1_5b_math", (0.9 * 39_700 / 2, 0.1 * 39_700 / 2, 500 * 64 / 2)),
    ],
)
def test_sets_of_the_paper_are_bounded_before_they_are_there(name, rows, tmp_path: Path) -> None:
    """Two responses a row, each as long as the cut-off; at most, but not much more."""
    experiment = load_experiment(ROOT / f"config/{name}.yaml")
    for part, known in zip(read_set_tokens(experiment, tmp_path), rows, strict=True):
        tokens = 2 * known * experiment.selection.max_tokens
        assert tokens <= part.tokens == part.row_tokens
        assert part.tokens <= 1.02 * tokens or not known
        assert not part.counted


def test_hours_before_the_tokens_are_counted_are_marked(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = UnifiedFeedbackData(source="unified_feedback", every=20)
    plan = make_plan(experiment.model_copy(update={"data": data}), "uf", CPU, probe=False)
    names = [run.name for run in plan.runs]
    rates = Rates(1e-3, 1e-3, dict.fromkeys(names, 1e-3), dict.fromkeys(names, 0.0))
    text = report(replace(plan, rates=rates))
    assert f"train       {2 * 42_500 * experiment.selection.max_tokens:,}  at most" in text
    assert re.search(r"\nIn total: at most [\d.,]+ \w+ \(one job after the other\)", text)
    whole = replace(plan, rates=rates, sets=[counted(part.name) for part in plan.sets])
    assert "at most" not in report(whole)


def test_the_largest_batch() -> None:
    known = counted("train")  # groups of up to 200 tokens, 400 in rows
    assert largest_batch([known], 300) == 300
    assert largest_batch([known], 150) == 200  # a longer group stands alone
    assert largest_batch([known], 150, padded=True) == 400
    assert largest_batch([known], 4096) == 1000  # no more than there is
    assert largest_micro_batch(known, 4096, groups_per_step=2, padded=False) == 400
    assert largest_micro_batch(SetTokens("train", None), 4096, 2, padded=False) == 4096


def rules_of_policies() -> set[str]:
    """The rules whose jobs are not planned."""
    files = (ROOT / f"workflow/rules/{stem}.smk" for stem in ("policy", "judges", "best_of_n"))
    heads = r"^ *(?:rule (\w+)|use rule \w+ as (\w+) with):"
    return {"".join(names) for file in files for names in re.findall(heads, file.read_text(), re.M)}


@pytest.mark.parametrize("name", ["tiny", "tiny_policy", "quickstart_benchmarks", "qwen1_5b_math"])
def test_jobs_are_those_that_snakemake_plans(tmp_path: Path, name: str) -> None:
    from tests.pipeline_runs import fresh_tree, run

    path = ROOT / f"config/{name}.yaml"
    experiment = load_experiment(path)
    write_sources(fresh_tree(tmp_path))
    result = run(tmp_path, "--dry-run", "--quiet", "host", experiment=name)
    assert result.returncode == 0, result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))
    planned = {rule: int(count) for rule, count in counts.items() if rule not in ("all", "total")}
    listed = {
        jobs.rule: jobs.count for jobs in list_jobs(experiment, load_extended(path, experiment))
    }
    policies = planned.keys() & rules_of_policies()
    assert listed == {rule: count for rule, count in planned.items() if rule not in policies}
    assert bool(policies) == (experiment.policy is not None)
    # Where the plan tells the user to have the tokens counted.
    assert f"results/{experiment.extends or name}/groups/selection.json" in result.stdout


def test_an_extension_has_the_tokens_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    extension = load_experiment(ROOT / "config/tiny_policy.yaml")
    plan = make_plan(extension, "tiny_policy", CPU, probe=False)
    target = "results/tiny/groups/selection.json"
    assert f"snakemake {target} --config experiment=tiny_policy" in report(plan)
    sizes = dict(zip(COUNTS, (1000, 2000, 200, 400, 10), strict=True))
    write_json(Path(target), {"sets": {name: sizes for name in SETS}})
    plan = make_plan(extension, "tiny_policy", CPU, probe=False)
    assert plan.sets == [counted(name) for name in SETS]


def test_an_ensemble_trains_nothing_but_its_base(experiment: Experiment) -> None:
    both = experiment.model_copy(update={"methods": ["orm", "orm_ensemble"]})
    alone = experiment.model_copy(update={"methods": ["orm_ensemble"]})
    for changed in (both, alone):
        counts = {jobs.rule: jobs.count for jobs in list_jobs(changed)}
        assert (counts["train"], counts["score"], counts["score_ensemble"]) == (2, 2, 1)
        assert [run.name for run in training_runs(changed)] == ["train orm"]


def test_a_need_that_is_not_met_names_the_method(experiment: Experiment) -> None:
    pointwise = with_settings(experiment, UPPER.model_copy(update={"labels": "pointwise"}))
    with pytest.raises(UserError, match=r"^method 'orm_margin': training\.labels is pointwise"):
        training_runs(pointwise.model_copy(update={"methods": ["orm", "orm_margin"]}))


def test_hours_by_hand(experiment: Experiment) -> None:
    """1,000 tokens and 10 groups; two epochs of three steps (4 groups each)."""
    runs = training_runs(experiment)
    tasks = list_tasks(experiment, runs, [counted(name) for name in SETS], CPU)
    names = [run.name for run in runs]
    rates = Rates(0.1, 0.01, dict.fromkeys(names, 0.5), dict.fromkeys(names, 1e-3))
    seconds = {task.name: job_seconds(task, rates) for task in tasks}
    assert seconds["cache train"] == pytest.approx(100)
    assert seconds["score"] == pytest.approx(30)
    trained = runs[0].parameters.trained
    assert seconds["train orm"] == pytest.approx(2 * 1000 * 0.5 + 6 * trained * 1e-3)
    tuning = FineTuning(groups_per_step=2, learning_rate=1e-3, every=4)
    tuned = experiment.model_copy(update={"generator": Generator(fine_tuning=tuning)})
    generator = list_tasks(tuned, training_runs(tuned), [counted(name) for name in SETS], CPU)[0]
    assert (generator.tokens, generator.steps) == (250, 2)  # 3 of the 10 groups
    unknown = list_tasks(experiment, runs, [SetTokens(name, None) for name in SETS], CPU)
    assert {job_seconds(task, rates) for task in unknown} == {None}


def test_time_grows_linearly_with_the_layers() -> None:
    asked = []

    def measure(layers: int) -> np.ndarray:
        asked.append(layers)
        return np.array([2.0 + 3.0 * layers])

    assert timing.extrapolate(measure, 30) == pytest.approx(92.0)
    assert asked == [3, 1]
    assert timing.extrapolate(measure, 2) == pytest.approx(8.0)
    assert asked == [3, 1, 2]


def test_passes_double_until_they_can_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "timed", lambda compute, wanted: (wanted * 1e-3, compute(wanted)))
    asked = []

    def compute(tokens: int) -> int:
        asked.append(tokens)
        return tokens

    assert timing.seconds_per_token(compute, 4096) == pytest.approx(1e-3)
    assert asked == [96, 96, 192, 384, 768]
    asked.clear()
    timing.seconds_per_token(compute, 100)
    assert asked == [96, 96, 100]


@pytest.mark.parametrize("mode", [*MODES, "padded"])
def test_the_probe_measures_every_kind_of_job(
    mode, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    padded = FULL.model_copy(update={"layout": "padded", "labels": "pointwise"})
    settings = MODES.get(mode, padded).model_copy(update={"gradient_checkpointing": mode == "full"})
    tuning = FineTuning(groups_per_step=2, learning_rate=1e-3)
    generator = Generator(fine_tuning=tuning, entropy=True)
    changed = with_settings(experiment, settings, generator=generator)
    runs = training_runs(changed)
    rates = measure_rates(changed, runs, read_config(changed.generator_model))
    names = {"train the generator", "train orm", "train grm_release", "train icrm"}
    assert set(rates.train) == set(rates.optimiser) == names
    values = [rates.cache, rates.score, *rates.train.values(), *rates.optimiser.values()]
    assert all(np.isfinite(values)) and min(values) > 0


def test_the_command_without_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, experiment: Experiment
) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing has been computed
    arguments = ["--experiment", str(ROOT / "config/tiny.yaml"), "--no-probe"]
    monkeypatch.setattr(sys, "argv", ["plan", *arguments, "--output", "plan.json"])
    main()
    text = capsys.readouterr().out
    assert "snakemake results/tiny/groups/selection.json --config experiment=tiny" in text
    assert "TIME: not measured" in text
    trained = sum(run.count * run.parameters.trained for run in training_runs(experiment))
    assert f"In total: {trained:,}" in text
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["experiment"] == "tiny"
    assert set(plan["rules"]) == {jobs.rule for jobs in list_jobs(experiment)}
    train = plan["rules"]["train"]
    assert (train["jobs"], train["cpus"], train["runtime_minutes"]) == (6, 1, None)
    assert train["mem_mb"] > 0
    assert plan["rules"]["evaluate"]["mem_mb"] is None
    # Benchmarks are not counted: a batch of theirs is as large as a batch may be, the time open.
    for rule in ("cache_benchmark", "score_benchmarks"):
        assert plan["rules"][rule]["mem_mb"] > 0
        assert plan["rules"][rule]["runtime_minutes"] is None


def test_resources_are_the_largest_of_a_rule(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(experiment, "tiny", CPU, probe=False)
    names = [run.name for run in plan.runs]
    rates = Rates(0.3, 0.3, dict.fromkeys(names, 0.3), dict.fromkeys(names, 0.0))
    sizes = dict(zip(SETS, (1000, 200, 600, 400), strict=True))
    sets = [counted(name, tokens) for name, tokens in sizes.items()]
    tasks = list_tasks(experiment, plan.runs, sets, CPU)
    rules = resources(replace(plan, rates=rates, tasks=tasks))["rules"]
    assert rules["cache"]["runtime_minutes"] == 3
    assert rules["cache_train"]["runtime_minutes"] == 5
    assert rules["train"]["runtime_minutes"] == 10
    peak = max(task.memory.total for task in tasks if task.rule == "train")
    assert rules["train"]["mem_mb"] == -(-peak // 2**20)
    assert rules["train"]["gpu"] == rules["train"]["gpu_mem_mb"] == 0
    assert rules["score_benchmarks"]["mem_mb"] > rules["score"]["mem_mb"]  # a full batch
    assert rules["score_benchmarks"]["runtime_minutes"] is None


def test_shape_of_heads(experiment: Experiment) -> None:
    found = shape_of(read_config(experiment.backbone))
    assert found == Shape(16, 32, attention=16, key_value=8, layers=3, vocabulary=found.vocabulary)
