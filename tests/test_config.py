"""Experiment files: every mistake is one sentence that names the key and the remedy."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from snakemake.exceptions import WorkflowError

from steps.benchmarks.registry import BENCHMARKS, benchmark_of
from steps.config.benchmarks import BenchmarkName
from steps.config.load import (
    BASELINE_NAMES,
    check_overrides,
    experiment_files,
    load_experiment,
)
from steps.config.messages import _PATTERNS
from steps.config.schema import Experiment
from steps.config.workflow import (
    check_pinned,
    downloads,
    problem_files,
    raw_data,
    reference_options,
)
from steps.errors import UserError
from steps.evaluate.baselines import BASELINES
from tests.conftest import ROOT

SHIPPED = [p.stem for p in experiment_files(ROOT / "config")]


def broken(tmp_path: Path, change) -> Path:
    content = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    content["training"]["learning_rate"] = 3e-3  # plain YAML reads 3e-3 as a string
    change(content)
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def rename(section: str | None, old: str, new: str):
    def change(content: dict) -> None:
        part = content[section] if section else content
        part[new] = part.pop(old)

    return change


def put(section: str | None, key: str, value):
    def change(content: dict) -> None:
        (content[section] if section else content)[key] = value

    return change


def rebuilt(benchmark: str, path: str, **more):
    """Set a benchmark whose file is rebuilt from a source."""
    entry = {"benchmark": benchmark, "source": "files", "path": path}
    return put(None, "benchmarks", {"mine": entry | {"rebuild": {"folders": ["a"]} | more}})


HUB_PROBLEMS = {"source": "hub", "id": "a/b", "file": "c"}
SOLUTIONS = {"samples": 4, "max_new_tokens": 64}


def prm800k(problems: dict) -> dict:
    return {"source": "prm800k", "problems": problems, "samples": "samples.jsonl"}


def further(**keys):
    """An evaluation set whose solutions are sampled."""
    section = {"model": {"source": "tiny"}, "sampling": SOLUTIONS} | keys
    return put(None, "data", prm800k(HUB_PROBLEMS) | {"evaluation": {"math": section}})


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_experiments_are_valid(name: str) -> None:
    experiment = load_experiment(ROOT / f"config/{name}.yaml")
    assert experiment.evaluation_sets


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename(None, "seeds", "seed"), ["unknown key 'seed'", "'seeds'"]),
        (rename("training", "epochs", "epohcs"), ["'training.epohcs'", "'epochs'"]),
        (rename("backbone", "layers", "layres"), ["'backbone.layres'", "'layers'"]),
        (rename("data", "problems", "problem"), ["'data.problem'", "'problems'"]),
        (put("training", "epochs", "two"), ["training.epochs", "integer", "'two'"]),
        (put("training", "epochs", 2.5), ["training.epochs", "integer", "2.5"]),
        (put("training", "learning_rate", -1.0), ["training.learning_rate", "greater than 0"]),
        (put("training", "lm_head", "tide"), ["training.lm_head", "'copy' or 'tied'"]),
        (put("training", "lora", {"targets": []}), ["training.lora.targets", "all-linear"]),
        (put("backbone", "source", "tyni"), ["backbone.source", "'tiny'"]),
        (rename("backbone", "source", "sorce"), ["'backbone.source' is missing", "by 'sorce'"]),
        (put("selection", "token_budget", {"trian": 9}), ["'trian'", "'train'"]),
        (put(None, "methods", ["orm", "icmr"]), ["unknown method 'icmr'", "'icrm'"]),
        (put(None, "methods", ["orm", "orm"]), ["twice"]),
        (put(None, "seeds", []), ["seeds", "at least 1"]),
        (
            lambda c: c.update(methods=["orm_ensemble"], seeds=[3]),
            ["seeds has one entry", "'orm_ensemble'", "'orm'", "at least two seeds"],
        ),
        (
            lambda c: c.update(methods=["orm", "orm_margin"], data={"source": "champ"}),
            ["'orm_margin' needs rated responses", "data.source: champ", "take it out"],
        ),
        (lambda c: c.pop("title"), ["'title' is missing"]),
        (put("training", "trained_layers", 4), ["training.trained_layers is 4", "only 3 layers"]),
        (put(None, "backbone", {"source": "local", "path": "no/model"}), ["no/model"]),
        (
            put(None, "data", {"source": "files", "train": "no.jsonl", "evaluation": {"t": "x"}}),
            ["no.jsonl", "'train'"],
        ),
        (
            put(None, "data", {"source": "files", "train": "a", "evaluation": {"all": "x"}}),
            ["'all'", "rename"],
        ),
        (
            put(None, "data", {"source": "unified_feedback", "evry": 20}),
            ["unknown key 'data.evry'", "'every'"],
        ),
        (
            put(None, "data", {"source": "unified_feedback", "every": 2, "revision": "main"}),
            ["data.revision must be the full hash of a commit, 40 hexadecimal", "'main'"],
        ),
        (
            put(None, "data", {"source": "skywork", "unified_feedback_revision": "0" * 40}),
            ["unified_feedback_revision needs `unified_feedback_every`"],
        ),
        (
            put(None, "data", prm800k({"source": "hub", "id": "a/b", "fil": "c"})),
            ["unknown key 'data.problems.fil'", "'file'"],
        ),
        (
            put(None, "data", prm800k(HUB_PROBLEMS) | {"samples": None}),
            ["data", "either `sampling` or `samples`"],
        ),
        (
            put(None, "data", prm800k(HUB_PROBLEMS) | {"sampling": SOLUTIONS}),
            ["data", "either `sampling` or `samples`"],
        ),
        (
            put(None, "data", prm800k(HUB_PROBLEMS) | {"evaluation": {"validation": "v.jsonl"}}),
            ["data", "'validation' is made of the solutions"],
        ),
        (
            put(None, "data", prm800k({"source": "local", "path": "no.jsonl"})),
            ["data.problems.path", "no.jsonl", "phase2_train.jsonl"],
        ),
        (
            further(first=6, problems=HUB_PROBLEMS | {"fil": "c"}),
            ["unknown key 'data.evaluation.math.problems.fil'", "'file'"],
        ),
        (further(problems=HUB_PROBLEMS), ["the key 'data.evaluation.math.first' is missing"]),
        (
            further(first=6, problems=HUB_PROBLEMS, model={"source": "tyni"}),
            ["data.evaluation.math.model.source", "'tiny'"],
        ),
        (
            put(None, "data", prm800k(HUB_PROBLEMS) | {"evaluation": {"math": 5}}),
            ["data.evaluation.math must be a section of keys and values (it is 5)"],
        ),
        (
            put(None, "backbone", {"source": "hub", "id": "a/b", "trust_remote_code": True}),
            ["revision", "commit hash"],
        ),
        (
            put(None, "benchmarks", {"mine": {"source": "hub", "revison": "0" * 40}}),
            ["unknown key 'benchmarks.mine.revison'", "'revision'"],
        ),
        (
            put(None, "benchmarks", {"rewardbnch": {"source": "hub"}}),
            ["benchmarks.rewardbnch.benchmark must be", "'rewardbench'", "(it is 'rewardbnch')"],
        ),
        (put(None, "benchmarks", {"mine": "hub"}), ["benchmarks.mine must be a section"]),
        (
            rebuilt("rmbench", "rows.jsonl.gz"),
            ["benchmarks.mine: `rebuild` makes rows of rewardbench alone; leave it out"],
        ),
        (rebuilt("rewardbench", "rows.jsonl"), ["benchmarks.mine: `path` must end with .jsonl.gz"]),
        (
            rebuilt("rewardbench", "rows.jsonl.gz", subsets=["hep-goo"]),
            ["benchmarks.mine.rebuild.subsets: 'hep-goo' cannot be", "did you mean 'hep-go'?"],
        ),
        (
            put(None, "reference_models", {"icrm": {"source": "hub", "id": "a/b"}}),
            ["reference_models: 'icrm' is the name of a method", "rename"],
        ),
        (
            put(None, "reference_models", {"a": {"source": "local", "path": "no/model"}}),
            ["reference_models.a.path", "no/model"],
        ),
        (
            put(
                None,
                "reference_models",
                {"a": {"source": "hub", "id": "a/b", "trust_remote_code": True}},
            ),
            ["reference_models.a", "commit hash"],
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change, words: list[str]) -> None:
    path = broken(tmp_path, change)
    with pytest.raises(UserError) as error:
        load_experiment(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    for word in words:
        assert word in message


def files(**evaluation) -> dict:
    return {"source": "files", "train": "train.jsonl", "evaluation": evaluation}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put(None, "threads", True), "threads must be an integer (it is true)"),
        (put(None, "title", 2024), "title must be text (it is 2024); put it in quotes"),
        (put(None, "title", None), "title must be text (it is empty)"),
        (put(None, "methods", "orm"), "methods must be a list such as [a, b] (it is 'orm')"),
        (put(None, "methods", ["orm", 1]), "methods: entry 2 must be text (it is 1); put it in"),
        (put(None, "seeds", [2**32]), "seeds: entry 1 must be less than 4294967296"),
        (put(None, "training", None), "training must be a section of keys and values (it is empty"),
        (put(None, "backbone", "tiny"), "backbone must be a section of keys and values with the"),
        (put(None, "backbone", {}), "the key 'backbone.source' is missing"),
        (put(None, "backbone", {"source": None}), "backbone.source is empty"),
        (put(None, "backbone", {"source": "hub", "id": 7}), "backbone.id must be text (it is 7)"),
        (put("training", "warmup_share", float("inf")), "training.warmup_share must be a finite"),
        (put("selection", "max_tokens", 7), "selection.max_tokens must be at least 8 (it is 7)"),
        (
            put(None, "data", files(**{"my set": "x"})),
            "data.evaluation: the name 'my set' must consist of the letters A-Z and a-z, digits, "
            "_ and -, and not start with -",
        ),
        (put(None, "data", files(files=None)), "data.evaluation.files must be text (it is empty)"),
        (
            put("selection", "token_budget", {1: 3}),
            "selection.token_budget: the name '1' must be text; put it in quotes",
        ),
        (put("backbone", "tiny", 1), "unknown key 'backbone.tiny'; known: hidden_size"),
        (put("training", 5, 1), "the key 5 must be text"),
        (
            put("training", "lora", {"targets": "everything"}),
            "training.lora.targets must be 'all-linear' or be a list such as [a, b] (it is 'every",
        ),
        (
            put("training", "lora", {"targets": {"q_proj": 1}}),
            "training.lora.targets must be 'all-linear' or be a list such as [a, b] (it is a sect",
        ),
        (
            put("training", "lora", {"targets": ["q_proj", 1]}),
            "training.lora.targets: entry 2 must be text (it is 1)",
        ),
        (
            put(None, "data", prm800k(HUB_PROBLEMS | {"id": "math"})),
            "data.problems.id must be an id of the hub such as owner/name (it is 'math')",
        ),
    ],
)
def test_sentences_are_in_plain_words(tmp_path: Path, change, sentence: str) -> None:
    path = broken(tmp_path, change)
    with pytest.raises(UserError) as error:
        load_experiment(path)
    assert str(error.value).startswith(f"{path}: {sentence}")


def patterns_of(schema: Any) -> set[str]:
    """All patterns that a JSON schema asks of texts."""
    if isinstance(schema, list):
        return set().union(*map(patterns_of, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    return own.union(*map(patterns_of, schema.values()))


def test_every_pattern_is_put_into_words() -> None:
    assert patterns_of(Experiment.model_json_schema()) == set(_PATTERNS)


def local_backbone(folder: Path, config: str) -> dict:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    return {"source": "local", "path": str(folder)}


def test_more_trained_layers_than_a_backbone_has_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def experiment(backbone: dict, layers: int) -> Path:
        def change(content: dict) -> None:
            content["backbone"] = backbone
            content["training"]["trained_layers"] = layers

        return broken(tmp_path, change)

    local = local_backbone(tmp_path / "model", '{"num_hidden_layers": 2}')
    load_experiment(experiment(local, 2))
    with pytest.raises(UserError, match="trained_layers is 3, but the backbone has only 2 layers"):
        load_experiment(experiment(local, 3))
    with pytest.raises(UserError, match="give at most 30"):
        load_experiment(experiment({"source": "smollm2"}, 31))
    # A model of the hub has a number of layers once it is there.
    monkeypatch.chdir(tmp_path)
    path = experiment({"source": "hub", "id": "a/b"}, 3)
    load_experiment(path)
    local_backbone(Path("resources/models/a--b@main"), '{"num_hidden_layers": 2}')
    with pytest.raises(UserError, match="give at most 2"):
        load_experiment(path)


def test_the_step_that_loads_a_damaged_model_reports_it(tmp_path: Path) -> None:
    damaged = local_backbone(tmp_path / "model", '{"num_hid')
    load_experiment(broken(tmp_path, put(None, "backbone", damaged)))


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = (ROOT / "config/tiny.yaml").read_text()
    budget = "  token_budget: {<<: &b {train: 900, first_wrong_step: 80}, train: &n 100}\n"
    path = tmp_path / "merged.yaml"
    path.write_text(text.replace("  max_tokens: 200\n", f"{budget}  max_tokens: *n\n"))
    selection = load_experiment(path).selection
    assert selection.token_budget == {"train": 100, "first_wrong_step": 80}
    assert selection.max_tokens == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: *c\n", "line 2: found undefined alias 'c'"),
        ("a: {<<: 3}\n", "line 1: expected a mapping"),
        ("a:\n\t- b\n", r"line 2: found character '\\t'"),
        ("a: 2024-13-01\n", "month must be in 1..12"),
        ("a: {b: 1, b: 2}\n", "line 1: the key 'b' stands twice"),
    ],
)
def test_broken_yaml_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"is not valid YAML: {words}") as error:
        load_experiment(path)
    assert "\n" not in str(error.value)


def test_a_missing_experiment_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        load_experiment(ROOT / "config/quikstart.yaml")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text((ROOT / "config/tiny.yaml").read_text() + "\nseeds: [5]\n")
    with pytest.raises(UserError, match="'seeds' stands twice"):
        load_experiment(path)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [1\n"])
def test_no_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"odd\.yaml"):
        load_experiment(path)


def test_config_overrides() -> None:
    check_overrides({"experiment": "tiny"})
    with pytest.raises(UserError, match="did you mean 'experiment'"):
        check_overrides({"experimnet": "tiny"})


def test_folders_of_the_hub_name_the_revision() -> None:
    first, second = load_experiment(ROOT / "config/llama3_8b_skywork.yaml").hub_sets
    assert first.folder == Path(f"resources/skywork@{first.revision}")
    assert second.folder == Path("resources/unified_feedback@main")
    raw = raw_data(load_experiment(ROOT / "config/llama3_8b_skywork.yaml"))
    assert raw == {"raw": [str(first.folder), str(second.folder)], "own": []}


def test_names_that_the_configuration_repeats_are_those_of_the_code() -> None:
    assert get_args(BenchmarkName) == tuple(BENCHMARKS)
    assert set(BASELINE_NAMES) == set(BASELINES)


def test_a_benchmark_goes_by_the_name_of_its_entry(tmp_path: Path) -> None:
    entries = {
        "rewardbench": {"source": "hub"},
        "mine": {"benchmark": "rmbench", "source": "files", "path": "rows.jsonl"},
    }
    experiment = load_experiment(broken(tmp_path, put(None, "benchmarks", entries)))
    assert [benchmark_of(experiment, name).name for name in entries] == ["rewardbench", "rmbench"]
    rows = [str(experiment.benchmarks[name].rows) for name in entries]
    assert rows == ["resources/benchmarks/rewardbench@default", "rows.jsonl"]
    with pytest.raises(UserError, match=r"benchmarks\.mine\.path: rows\.jsonl is not there"):
        experiment.benchmarks["mine"].check_rows("mine")
    with pytest.raises(UserError, match="did you mean 'mine'"):
        benchmark_of(experiment, "mien")


def test_reference_models_are_downloaded_and_scored_as_they_say(tmp_path: Path) -> None:
    model = {"source": "hub", "id": "a/b", "revision": "0" * 40, "trust_remote_code": True}
    models = {"theirs": model, "plain": {"source": "hub", "id": "c/d", "max_length": 2048}}
    experiment = load_experiment(broken(tmp_path, put(None, "reference_models", models)))
    assert downloads(experiment) == {
        "c--d@main": "reference_models.plain",
        f"a--b@{'0' * 40}": "reference_models.theirs",
        "tiny-16x3-seed0": "backbone",
    }
    options = reference_options(experiment, "theirs")
    assert options == "--precision fp32 --tokens-per-batch 4096 --trust-remote-code"
    plain = "--precision fp32 --tokens-per-batch 4096 --max-length 2048"
    assert reference_options(experiment, "plain") == plain


def test_snakemake_names_the_missing_samples(tmp_path: Path) -> None:
    data = prm800k(HUB_PROBLEMS) | {"samples": str(tmp_path / "s")}
    experiment = load_experiment(broken(tmp_path, put(None, "data", data)))
    with pytest.raises(WorkflowError, match=r"data\.samples: .* is not there; correct the path"):
        raw_data(experiment)
    (tmp_path / "s").touch()
    assert raw_data(experiment) == {
        "raw": ["resources/a--b--c@main"],
        "own": [str(tmp_path / "s")],
    }


def test_further_sets_do_not_sample_the_solutions_again(tmp_path: Path) -> None:
    """What the sampled problems are made of; the evaluation's file is read when groups are made."""
    for name in ("problems.jsonl", "math.jsonl"):
        (tmp_path / name).touch()
    problems = {"source": "local", "path": str(tmp_path / "problems.jsonl")}
    data = {"source": "prm800k", "problems": problems, "sampling": SOLUTIONS}
    data["evaluation"] = {"math": str(tmp_path / "math.jsonl")}
    experiment = load_experiment(broken(tmp_path, put(None, "data", data)))
    assert problem_files(experiment, "train") == {"raw": [], "own": [problems["path"]]}
    assert set(raw_data(experiment)["own"]) == {problems["path"], data["evaluation"]["math"]}
    (tmp_path / "math.jsonl").unlink()
    with pytest.raises(WorkflowError, match=r"data\.evaluation\.math: .*math\.jsonl is not there"):
        raw_data(experiment)


def extended(tmp_path: Path, change) -> Path:
    """Write the shipped policies of the tiny experiment, changed, beside what they extend."""
    (tmp_path / "tiny.yaml").write_text((ROOT / "config/tiny.yaml").read_text())
    content = yaml.safe_load((ROOT / "config/tiny_policy.yaml").read_text())
    content["policy"]["dpo"]["learning_rate"] = 1e-3  # plain YAML reads 1e-3 as a string
    change(content)
    path = tmp_path / "tiny_policy.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def judge(key: str, value):
    def change(content: dict) -> None:
        content["policy"]["evaluation"]["judges"]["own"][key] = value

    return change


def test_an_extension_has_all_but_title_and_policy_of_the_other(tmp_path: Path) -> None:
    own = load_experiment(extended(tmp_path, lambda content: None))
    base = load_experiment(ROOT / "config/tiny.yaml")
    assert own.title != base.title and own.policy is not None
    changed = {"title": base.title, "extends": None, "policy": None}
    assert own.model_copy(update=changed) == base


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(None, "seeds", [7]), ["'seeds' is set by the experiment that is extended"]),
        (put(None, "benchmarks", {}), ["'benchmarks' is set by the experiment that is extended"]),
        (put(None, "extends", "tiny_policy"), ["'tiny_policy' extends another one itself"]),
        (put(None, "extends", "tinny"), ["there is no experiment file", "did you mean 'tiny'"]),
        (put("policy", "held_out", "in_distributoin"), ["policy.held_out", "'in_distribution'"]),
        (put("policy", "held_out", "first_wrong_step"), ["policy.held_out: unknown set"]),
        (put("policy", "methods", ["grm"]), ["policy.methods: 'grm' is no method of the"]),
        (put("policy", "seeds", [5]), ["policy.seeds", "no reward model has the seed 5"]),
        (judge("seed", 0), ["judges.own.seed: 0 is the seed of candidates too"]),
        (
            judge("train_on", "out_of_distribution"),
            ["judges.own.train_on", "not an evaluation set"],
        ),
        (judge("train_on", "train"), ["judges.own.train_on: 'train' is not an evaluation set"]),
        (judge("method", "orm_ensemble"), ["judges.own.method", "no method with a model"]),
        (put("policy", "prompts", {"source": "release"}), ["either `held_out`", "or `prompts`"]),
        (put("policy", "samling", {}), ["unknown key 'policy.samling'", "'sampling'"]),
    ],
)
def test_mistakes_in_the_policy_part(tmp_path: Path, change, words: list[str]) -> None:
    path = extended(tmp_path, change)
    with pytest.raises(UserError) as error:
        load_experiment(path)
    for word in words:
        assert word in str(error.value)


def test_a_judge_of_the_hub_needs_a_pinned_commit(tmp_path: Path) -> None:
    hub = {"source": "hub", "id": "some/judge", "trust_remote_code": True, "revision": "main"}

    def change(content: dict) -> None:
        content["policy"]["evaluation"]["judges"] = {"qrm": hub}

    with pytest.raises(UserError, match=r"judges\.qrm\.revision"):
        load_experiment(extended(tmp_path, change))
    # Without one the plan can be shown, but nothing starts.
    hub["revision"] = None
    judges = load_experiment(extended(tmp_path, change)).policy.evaluation.judges
    with pytest.raises(WorkflowError, match=r"judges\.qrm\.revision is not set; give the full"):
        check_pinned(judges)
    hub["revision"] = "0" * 40
    experiment = load_experiment(extended(tmp_path, change))
    check_pinned(experiment.policy.evaluation.hub_judges)
    role = "policy.evaluation.judges.qrm"
    assert downloads(experiment)[f"some--judge@{'0' * 40}"] == role
