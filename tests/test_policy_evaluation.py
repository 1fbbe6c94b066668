"""Policies compared: wins by hand, length taken out, one family of tests, independent judges."""

import argparse
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit
from scipy.stats import binomtest
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from steps.backbone import load_tokenizer
from steps.config import Experiment
from steps.config.dpo import Dpo, PolicyEvaluation
from steps.config.policy import Policy
from steps.config.sampling import Sampling
from steps.config.schema import Evaluation
from steps.download.tiny import make_tiny
from steps.errors import UserError
from steps.files import sha256, write_json
from steps.groups.schema import PromptGroup, Response, read_groups, write_groups
from steps.policy.compare import comparison_rows, holm, policy_rows
from steps.policy.divergence import write_log_ratios
from steps.policy.duels import duels, per_prompt
from steps.policy.evaluate import evaluate_policies
from steps.policy.independence import check_judge
from steps.policy.judge import write_judged
from steps.policy.length_control import length_controlled
from steps.policy.log_ratios import read_log_ratios
from steps.policy.names import REFERENCE, policy_name
from steps.report import policies as policies_report
from steps.report import reward_kl_figure
from steps.report.policies import read_evaluation, write_policy_report
from steps.report.policy_table import policies_latex
from steps.sample.written import read_written, write_samples
from tests.conftest import ROOT

SAMPLED = Sampling(samples=2, max_new_tokens=16)
FIGURES = ("policy_lengths", "reward_kl")


@pytest.fixture
def compared(experiment: Experiment) -> Experiment:
    policy = Policy(
        held_out="out_of_distribution",
        sampling={"policies": SAMPLED},
        dpo=Dpo(),
        evaluation=PolicyEvaluation.model_validate(
            {"judges": {"own": {"source": "trained", "seed": 9, "train_on": "in_distribution"}}}
        ),
    )
    evaluation = Evaluation(bootstrap_samples=200)
    changes = {"policy": policy, "methods": ["orm", "icrm"], "evaluation": evaluation}
    return experiment.model_copy(update=changes)


def answers(policy: str, scores: dict[str, list[float]], tokens: int = 5) -> pd.DataFrame:
    rows = [
        {"policy": policy, "group_id": g, "sample": k, "score": s, "n_tokens": tokens}
        for g, row in scores.items()
        for k, s in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_answers_meet_those_of_other_numbers() -> None:
    first = answers("a", {"p": [1.0, 3.0], "q": [0.0]}, tokens=7)
    second = answers("b", {"p": [2.0, 3.0, 0.0], "q": [5.0]})
    met = duels(first, second)
    assert (met["length_difference"] == 2).all()
    shares = per_prompt(met)
    # 1 meets 3 and 0, 3 meets 2 and 0: those of the same number share their random numbers.
    np.testing.assert_allclose(shares.loc["p", ["win", "tie", "lose"]], [3 / 4, 0, 1 / 4])
    np.testing.assert_allclose(shares.loc["p", ["win_rate", "score_difference"]], [3 / 4, 3 / 4])
    assert list(shares.loc["q"]) == [0, 0, 1, 0, -5]


def test_length_control_recovers_the_rate_at_equal_length() -> None:
    """Longer answers win more often; taken out, what was simulated is left."""
    random = np.random.default_rng(0)
    lengths = random.normal(30, 40, 20_000)
    chance = expit(-0.4 + 1.5 * np.tanh(lengths / lengths.std()))
    met = pd.DataFrame(
        {
            "group_id": np.arange(len(lengths)) // 2,
            "outcome": (random.random(len(lengths)) < chance).astype(float),
            "length_difference": lengths,
        }
    )
    found = length_controlled(met, 0.95)
    assert met["outcome"].mean() > 0.52
    assert found.ci_low < expit(-0.4) < found.ci_high
    assert found.value == pytest.approx(expit(-0.4), abs=0.02)


def test_length_control_of_equal_lengths_is_the_raw_rate() -> None:
    outcomes = [1.0, 0.0, 0.5, 1.0]
    met = pd.DataFrame(
        {"group_id": list("abcd"), "outcome": outcomes, "length_difference": [0.0] * 4}
    )
    assert length_controlled(met, 0.95).value == pytest.approx(np.mean(outcomes))


@pytest.mark.parametrize("outcomes", [[1.0] * 4, [0.0, 0.0, 1.0, 1.0]], ids=["all", "by length"])
def test_length_control_is_undefined_where_wins_are_separated(outcomes) -> None:
    met = pd.DataFrame(
        {"group_id": list("abcd"), "outcome": outcomes, "length_difference": [-2, -1, 1, 2]}
    )
    assert math.isnan(length_controlled(met, 0.95).value)


def test_the_tests_are_exact_and_corrected_over_all(compared: Experiment) -> None:
    """A policy that wins k of n prompts: the sign test; four tests, so Holm takes four times it."""
    one_seed = compared.model_copy(update={"seeds": [0], "methods": ["orm"]})
    wins, prompts = 6, 7
    scores = {f"p{k}": [1.0 if k < wins else -1.0] for k in range(prompts)}
    judged = pd.concat(
        [answers("orm-seed0", scores), answers(REFERENCE, {g: [0.0] for g in scores})]
    )
    rows = comparison_rows(judged, "j", one_seed) + comparison_rows(judged, "k", one_seed)
    table = holm(pd.DataFrame(rows)).set_index(["judge", "metric"])
    expected = binomtest(wins, prompts).pvalue
    for metric in ("win_rate", "score_difference"):
        assert table.loc[("j", metric), "p_value"] == pytest.approx(expected)
        assert table.loc[("j", metric), "p_holm"] == pytest.approx(4 * expected)
    assert table.loc[("j", "win"), "value"] == pytest.approx(wins / prompts, abs=1e-9)
    assert table["p_value"].notna().sum() == 4
    equal = judged.assign(score=0.0)
    row = pd.DataFrame(comparison_rows(equal, "j", one_seed)).set_index("metric").loc["win_rate"]
    assert (row["value"], row["ci_low"], row["p_value"]) == (0.5, 0.5, 1.0)


def test_rows_say_their_own_prompts_and_seeds(compared: Experiment) -> None:
    """The reference was not trained: it neither counts as a seed nor lowers a method's number."""
    runs = [REFERENCE, *(policy_name(*run) for run in compared.policy_runs)]
    judged = pd.concat(answers(run, {g: [0.0, 1.0] for g in "pqr"}) for run in runs)
    some = judged[judged["group_id"] != "r"]
    rows = comparison_rows(judged, "all", compared) + comparison_rows(some, "some", compared)
    table = holm(pd.DataFrame(rows))
    assert (table["seeds"] == 2).all()
    policies, _ = policy_rows(judged, "own", "score", "score", compared)
    assert {row["policy"]: row["seeds"] for row in policies} == {
        "reference": 0,
        "orm": 2,
        "icrm": 2,
    }
    means = pd.DataFrame(policies)
    text = policies_latex(compared, {"policies": {"comparisons": table, "policies": means}})
    ends = [
        line.split(" & ")[-2:] for line in text.splitlines() if line.startswith(("all", "some"))
    ]
    assert ends == [["3", r"2 \\"]] * 3 + [["2", r"2 \\"]] * 3
    scores = [line.split(" & ") for line in text.splitlines() if line.startswith("own")]
    assert [(cells[1], cells[-4][:5]) for cells in scores] == [
        ("starting policy", "0.500"),
        ("ORM", "0.500"),
        ("ICRM", "0.500"),
    ]


def sampled(policy: str, shift: int, names: str = "ghi") -> list[PromptGroup]:
    """Two answers of a policy to each of three prompts."""
    return [
        PromptGroup(
            name,
            "test",
            "sums",
            f"What is {k} + 1?",
            tuple(
                Response(
                    f"It is {k + shift + j}.",
                    correct=shift + j == 1,
                    model=policy,
                    finish_reason="length" if j else "stop",
                    n_tokens=4 + shift,
                    sample=j,
                )
                for j in range(2)
            ),
            str(k + 1),
        )
        for k, name in enumerate(names)
    ]


@pytest.fixture
def samples(tmp_path, compared) -> list[Path]:
    names = [REFERENCE, *(policy_name(*run) for run in compared.policy_runs)]
    paths = [tmp_path / f"{name}.parquet" for name in names]
    for shift, (name, path) in enumerate(zip(names, paths, strict=True)):
        made = sampled(name, shift % 2)
        tokens = [[[7] * response.n_tokens for response in group.responses] for group in made]
        write_samples(path, made, tokens)
    return paths


def judge(compared, model: Path, samples: list[Path], output: Path) -> pd.DataFrame:
    arguments = argparse.Namespace(
        judge="own", model=model, samples=samples, output=output, card=output.with_suffix(".json")
    )
    write_judged(arguments, compared)
    return pd.read_parquet(output)


def measure_divergence(compared, policy: Path, reference: Path, samples: Path) -> Path:
    """Write the log-probabilities of a policy's samples beside them; return the file."""
    output = samples.with_name(f"kl-{samples.name}")
    arguments = argparse.Namespace(
        experiment=Path("x.yaml"),
        use="policies",
        model=policy,
        reference_model=reference,
        samples=samples,
        output=output,
        card=None,
    )
    write_log_ratios(arguments, compared)
    return output


def run_evaluation(compared, samples, judged, log_ratios, folder: Path) -> dict:
    groups = samples[0].with_name("asked.parquet")
    write_groups(groups, sampled("nobody", 0))
    arguments = argparse.Namespace(
        use="policies",
        groups=groups,
        samples=samples,
        judged=judged,
        log_ratios=log_ratios,
        output=folder,
        card=None,
    )
    evaluate_policies(arguments, compared)
    return {p.stem: pd.read_csv(p) for p in folder.iterdir()}


def test_the_whole_evaluation(compared, backbone, samples, reward_model, tmp_path) -> None:
    """Judge, divergence and tables."""
    judged = tmp_path / "own.parquet"
    judge(compared, reward_model, samples, judged)
    ratios = [measure_divergence(compared, backbone, backbone, path) for path in samples[1:]]
    tables = run_evaluation(compared, samples, [judged], ratios, tmp_path / "tables")
    policies = tables["policies"].set_index(["policy", "metric"])
    kl = policies.loc[(slice(None), "kl"), "value"]
    assert len(kl) == 2 and (kl == 0).all()  # the policies are the reference itself here
    assert (policies.loc[(slice(None), "finished"), "value"] == 0.5).all()
    exact = tables["comparisons"].query("judge == 'exact' and opponent == 'reference'")
    wins = exact[exact["metric"] == "win_rate"].set_index("policy")["value"]
    # Each policy and the reference have one right answer of two, whatever the prompt.
    assert (wins == 0.5).all()
    assert set(tables["comparisons"]["judge"]) == {"own", "exact"}
    assert len(tables["seeds"]) == 5 * 3 + 5 * 2 + 4  # lengths, finished, empty, two judges, kl
    assert len(pd.read_parquet(judged)) == 5 * 3 * 2

    write_policy_report(
        compared, {"policies": read_evaluation(tmp_path / "tables")}, tmp_path / "t3"
    )
    assert {p.name for p in (tmp_path / "t3").iterdir()} == {
        *(f"policies.{suffix}" for suffix in ("csv", "md", "tex")),
        *(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")),
    }
    text = (tmp_path / "t3/policies.md").read_text()
    assert "ICRM against ORM" in text and "ICRM against starting policy" in text
    assert "| exact | ICRM against ORM" in " ".join(text.split())
    assert "- KL: a policy's divergence" in text and "may fall below zero" in text
    sampling = "2 samples, temperature 1:\n\n- After Holm's correction for these 12 comparisons"
    assert sampling in text.partition("## What can and cannot be concluded")[2]


def tokens_of(folder: Path, prompt: str, text: str, finished: bool = True) -> tuple[list, list]:
    """Return the tokens of a prompt and of its answer, as transformers alone encodes them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turn = [{"role": "user", "content": prompt}]
    header = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return header, ids + [tokenizer.eos_token_id] * finished


def log_probability(folder: Path, prompt: str, ids: list[int]) -> float:
    """Return the log-probability of the tokens that were drawn for a prompt."""
    header, _ = tokens_of(folder, prompt, "")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.tensor([header + ids])).logits[0, len(header) - 1 : -1]
    return torch.log_softmax(logits.double(), -1)[range(len(ids)), ids].sum().item()


@pytest.mark.parametrize("instruction", [None, "Box the sum."])
def test_the_divergence_is_log_policy_less_log_reference(
    instruction, compared, backbone, samples, tmp_path
) -> None:
    """Of two models, by hand, on the tokens in the file of samples."""
    sampling = SAMPLED.model_copy(update={"instruction": instruction})
    policy = compared.policy.model_copy(update={"sampling": {"policies": sampling}})
    told = compared.model_copy(update={"policy": policy, "methods": ["orm"], "seeds": [0]})
    moved = tmp_path / "moved"
    make_tiny(compared.backbone.model_copy(update={"seed": 1}), moved)
    path = samples[1]
    ratios = measure_divergence(told, moved, backbone, path)
    groups = read_groups(path)

    asked = "{}" if instruction is None else f"{{}}\n\n{instruction}"
    expected = {
        (answer.model, group.group_id, k): [
            log_probability(folder, asked.format(group.prompt), own[k])
            for folder in (moved, backbone)
        ]
        for group, own in zip(groups, read_written(path, groups), strict=True)
        for k, answer in enumerate(group.responses)
    }
    found = read_log_ratios(ratios).set_index(["policy", "group_id", "response"])
    assert list(found.index) == list(expected)
    by_hand = np.array(list(expected.values()))
    np.testing.assert_allclose(found[["log_policy", "log_reference"]], by_hand, atol=1e-4)

    tables = run_evaluation(told, samples[:2], [], [ratios], tmp_path / "tables")
    kl = tables["policies"].query("metric == 'kl'").set_index("policy")["value"]
    mean = (by_hand[:, 0] - by_hand[:, 1]).mean()
    assert abs(mean) > 0.1
    assert kl.to_dict() == {"orm": pytest.approx(mean, abs=1e-3)}


def test_a_judges_scores_are_the_rewards_of_its_model(
    compared, samples, reward_model, tmp_path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    expected = {}
    for path in samples[:2]:
        for group in read_groups(path):
            for k, answer in enumerate(group.responses):
                header, ids = tokens_of(reward_model, group.prompt, answer.text)
                with torch.no_grad():
                    reward = model(torch.tensor([header + ids])).logits.item()
                expected[answer.model, group.group_id, k] = reward
    judged = judge(compared, reward_model, samples[:2], tmp_path / "own.parquet")
    scores = judged.set_index(["policy", "group_id", "response"])["score"]
    assert scores.to_dict() == pytest.approx(expected, abs=1e-5)
    assert scores.nunique() > len(scores) / 2 and scores.std() > 0.01


def test_a_judge_that_needs_code_of_its_own_is_named(
    compared, samples, reward_model, tmp_path
) -> None:
    """A class of transformers is enough, whatever code comes with the model."""
    theirs = {"source": "hub", "id": "some/judge", "revision": "0" * 40}
    evaluation = PolicyEvaluation.model_validate({"judges": {"theirs": theirs}})
    policy = compared.policy.model_copy(update={"evaluation": evaluation})
    judging = compared.model_copy(update={"policy": policy})
    arguments = argparse.Namespace(
        judge="theirs",
        model=reward_model,
        samples=samples[:1],
        output=tmp_path / "theirs.parquet",
        card=None,
    )
    path = reward_model / "config.json"
    code = {"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"}
    config = json.loads(path.read_text()) | {"auto_map": code}
    write_json(path, config)
    write_judged(arguments, judging)
    assert arguments.output.is_file()
    write_json(path, config | {"model_type": "their-own"})
    consent = r"set policy\.evaluation\.judges\.theirs\.trust_remote_code: true"
    with pytest.raises(UserError, match=f"the judge some/judge can only be loaded .*{consent}"):
        write_judged(arguments, judging)


def test_a_folder_that_is_no_entry_of_the_sampling_is_named(tmp_path, monkeypatch) -> None:
    flags = ["--experiment", ROOT / "config/tiny_policy.yaml", "--output", tmp_path / "t3"]
    flags += ["--evaluations", tmp_path / "polices"]
    monkeypatch.setattr(sys, "argv", ["policies", *map(str, flags)])
    with pytest.raises(UserError, match=r"polices is not called as an .* did you mean 'policies'"):
        policies_report.main()


def test_missing_policies_and_unjudged_answers_are_named(compared, samples, tmp_path) -> None:
    with pytest.raises(UserError, match="the policy 'icrm-seed1' has no samples"):
        run_evaluation(compared, samples[:-1], [], [], tmp_path / "x")
    write_groups(tmp_path / "other.parquet", sampled("grm-seed0", 0))
    with pytest.raises(UserError, match="'grm-seed0' is not of the experiment"):
        run_evaluation(compared, [*samples, tmp_path / "other.parquet"], [], [], tmp_path / "x")
    judged = pd.DataFrame([("reference", "g", 0, 1.0)], columns=JUDGED_COLUMNS)
    judged.to_parquet(tmp_path / "own.parquet")
    with pytest.raises(UserError, match=r"own\.parquet lacks rewards of the policy"):
        run_evaluation(compared, samples, [tmp_path / "own.parquet"], [], tmp_path / "x")
    write_groups(samples[1], sampled("orm-seed0", 0, names="abc"))
    with pytest.raises(UserError, match="'orm-seed0' has a sample 0 of 'a', which was not asked"):
        run_evaluation(compared, samples, [], [], tmp_path / "x")
    assert not (tmp_path / "x").exists()


JUDGED_COLUMNS = ["policy", "group_id", "response", "score"]


def test_an_empty_answer_loses_against_all_and_ties_with_an_empty_one(
    compared, samples, tmp_path, capsys
) -> None:
    """orm leaves the prompt g empty, and one answer to h; the reference leaves g empty too."""
    groups = {path.stem: read_groups(path) for path in samples}
    groups["orm-seed0"] = [g for g in groups["orm-seed0"] if g.group_id != "g"]
    cut = groups["orm-seed0"][0]
    groups["orm-seed0"][0] = replace(cut, responses=cut.responses[1:])  # sample 1 is left
    groups[REFERENCE] = groups[REFERENCE][1:]
    for path in samples:
        write_groups(path, groups[path.stem])
    one_seed = compared.model_copy(update={"seeds": [0]})
    used = [path for path in samples if "seed1" not in path.stem]
    judged = tmp_path / "own.parquet"
    rows = [
        (r.model, g.group_id, k, float(r.sample))  # sample 1 is better than 0, whoever wrote it
        for path in used
        for g in read_groups(path)
        for k, r in enumerate(g.responses)
    ]
    pd.DataFrame(rows, columns=JUDGED_COLUMNS).to_parquet(judged)
    tables = run_evaluation(one_seed, used, [judged], [], tmp_path / "tables")
    assert "orm-seed0: 3 of 6 answers are empty" in capsys.readouterr().err

    met = tables["comparisons"].set_index(["judge", "policy", "opponent", "metric"]).sort_index()
    own = met.loc[("own", "orm", REFERENCE)]
    # g: empty ties with empty. h: empty loses, 1 beats 0. i: 0 loses against 1, 1 beats 0.
    assert own.loc[["win", "tie", "lose"], "value"].tolist() == pytest.approx([1 / 3] * 3, abs=1e-5)
    assert own.loc["win_rate", "n"] == 3 and own.loc["score_difference", "n"] == 2
    assert own.loc["score_difference", "value"] == pytest.approx((1 + 0) / 2)
    assert met.loc[("own", "icrm", REFERENCE, "win"), "value"] == pytest.approx((1 + 0.5 + 0.5) / 3)

    orm = tables["policies"].query("policy == 'orm'")
    assert orm.query("metric == 'empty'")["value"].item() == 0.5
    scores = orm.query("metric == 'score'").set_index("judge")
    assert scores["n"].to_dict() == {"own": 2, "exact": 3}
    assert scores.loc["own", "value"] == (1 + 0.5) / 2
    assert scores.loc["exact", "value"] == pytest.approx(0.5 / 3, abs=1e-5)  # sample 0 is right


def test_no_judge_at_all_is_an_error(compared, samples, tmp_path) -> None:
    for path in samples:
        unknown = [
            replace(g, responses=tuple(replace(r, correct=None) for r in g.responses))
            for g in read_groups(path)
        ]
        write_groups(path, unknown)
    with pytest.raises(UserError, match="there is no judge and no answer that can be checked"):
        run_evaluation(compared, samples, [], [], tmp_path / "x")


def test_greedy_answers_tell_no_divergence(compared) -> None:
    greedy = Sampling(samples=1, temperature=0.0, max_new_tokens=16)
    policy = compared.policy.model_copy(update={"sampling": {"policies": greedy}})
    arguments = argparse.Namespace(experiment=Path("x.yaml"), use="policies")
    with pytest.raises(UserError, match="not sampled at temperature 1 and top_p 1"):
        write_log_ratios(arguments, compared.model_copy(update={"policy": policy}))


# --- independence of judges


@pytest.fixture
def reward_model(backbone, experiment, tmp_path) -> Path:
    return make_reward_model(backbone, experiment, tmp_path / "model", seed=0)


def make_reward_model(backbone: Path, experiment: Experiment, folder: Path, seed: int) -> Path:
    from steps.backbone import load_reward_model
    from steps.train.save import save_reward_model

    torch.manual_seed(seed)
    model = load_reward_model(backbone, experiment)
    facts = {"method": "orm", "seed": seed, "mode": "full"}
    save_reward_model(model, load_tokenizer(backbone, experiment), None, folder, facts)
    return folder


CANDIDATES = ("first", "second")


class Bench:
    """A judge and two candidates, each with its groups and the card of its training."""

    def __init__(self, backbone: Path, experiment: Experiment, folder: Path):
        self.backbone, self.experiment, self.folder = backbone, experiment, folder
        self.judge = self.model("judge", seed=9)
        self.candidates = {name: self.model(name, seed) for seed, name in enumerate(CANDIDATES)}
        self.judge_groups = self.groups("judge", "What is 8 + 8?")
        self.groups_of_candidates = self.groups("candidates", "What is 1 + 1?")
        self.asked = self.groups("asked", "Where is Rome?")
        self.seeds = {"judge": 9, "first": 0, "second": 1}

    def model(self, name: str, seed: int) -> Path:
        return make_reward_model(self.backbone, self.experiment, self.folder / name, seed)

    def groups(self, name: str, prompt: str) -> Path:
        path = self.folder / f"{name}.parquet"
        write_groups(path, [PromptGroup("g", "test", "", prompt, (Response("It is."),))])
        return path

    def card(self, name: str, model: Path, groups: Path) -> Path:
        path = self.folder / f"{name}.json"
        facts = {"seed": self.seeds[name], "inputs": {"groups": sha256(groups)}}
        write_json(path, facts | {"outputs": {"model": sha256(model)}})
        return path

    def check(self) -> dict:
        judge = self.card("judge", self.judge, self.judge_groups)
        return self.check_with(judge, *self.candidate_cards())

    def candidate_cards(self) -> list[Path]:
        groups = self.groups_of_candidates
        return [self.card(name, model, groups) for name, model in self.candidates.items()]

    def check_with(self, judge_card: Path, *candidate_cards: Path) -> dict:
        output = self.folder / "report.json"
        arguments = argparse.Namespace(
            judge=self.judge,
            judge_card=judge_card,
            judge_groups=self.judge_groups,
            candidates=list(self.candidates.values()),
            candidate_cards=list(candidate_cards),
            candidate_groups=self.groups_of_candidates,
            prompts=[self.groups_of_candidates, self.asked],
            backbone=self.backbone,
            output=output,
            card=None,
        )
        check_judge(arguments, self.experiment)
        return json.loads(output.read_text())


@pytest.fixture
def bench(backbone, experiment, tmp_path) -> Bench:
    return Bench(backbone, experiment, tmp_path)


def test_an_independent_judge_passes(bench: Bench) -> None:
    """All have the backbone's layers, which none of them has trained."""
    report = bench.check()
    assert report["seed"] == 9
    near = [each["near_duplicate_prompts"] for each in report["prompts"].values()]
    assert sorted(near) == [0, 1]  # sums with other numbers are reported, not refused


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_judge_of_a_candidates_seed_is_refused(candidate: str, bench: Bench) -> None:
    seed = bench.seeds["judge"] = bench.seeds[candidate]
    words = rf"was trained with seed {seed}, as the candidate \S*/{candidate} was"
    with pytest.raises(UserError, match=words):
        bench.check()


@pytest.mark.parametrize("other", ["What is 1 + 1?", "where is  Rome?"])
def test_a_judge_of_the_same_prompts_is_refused(other: str, bench: Bench) -> None:
    bench.judge_groups = bench.groups("judge", other)
    with pytest.raises(UserError, match=r"was trained on 1 prompts of .*, for example 'g'"):
        bench.check()


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_judge_with_a_candidates_weight_is_refused(candidate: str, bench: Bench) -> None:
    file = bench.judge / "model.safetensors"
    theirs = load_file(bench.candidates[candidate] / "model.safetensors")
    head = {"score.weight": theirs["score.weight"]}
    save_file(load_file(file) | head, file, metadata={"format": "pt"})
    words = rf"shares the trained weight 'score\.weight' with the candidate \S*/{candidate};"
    with pytest.raises(UserError, match=words):
        bench.check()


def test_a_card_of_another_model_or_of_other_prompts_is_refused(bench: Bench) -> None:
    other = bench.model("other", seed=4)
    own = bench.candidate_cards()
    with pytest.raises(UserError, match=r"judge\.json is not the run card of"):
        bench.check_with(bench.card("judge", other, bench.judge_groups), *own)
    with pytest.raises(UserError, match=r"does not name .* as the training groups"):
        bench.check_with(bench.card("judge", bench.judge, bench.asked), *own)
    bench.card("second", other, bench.groups_of_candidates)
    with pytest.raises(UserError, match=r"second\.json is not the run card of"):
        bench.check_with(bench.card("judge", bench.judge, bench.judge_groups), *own)


def test_every_candidate_needs_its_card(bench: Bench) -> None:
    card = bench.card("judge", bench.judge, bench.judge_groups)
    first, _ = bench.candidate_cards()
    with pytest.raises(UserError, match="names 2 models, but --candidate-cards 1 cards; give"):
        bench.check_with(card, first)


# --- figures


def test_policies_that_coincide_are_all_seen(compared, tmp_path, monkeypatch) -> None:
    """Open markers, each method's smaller than that of the method before it."""
    rows = [(REFERENCE, 0, "score", 0.0)]
    rows += [(name, 0, metric, 1.0) for name in compared.methods for metric in ("score", "kl")]
    seeds = pd.DataFrame(rows, columns=["policy", "seed", "metric", "value"]).assign(judge="own")
    drawn = []
    monkeypatch.setattr(reward_kl_figure, "save", lambda figure, *_: drawn.append(figure))
    reward_kl_figure.save_reward_kl(seeds, compared, tmp_path)
    points = [line for line in drawn[0].axes[0].lines if line.get_marker() != "None"]
    assert len(points) == len(compared.methods)
    assert {line.get_markerfacecolor() for line in points} == {"none"}
    assert points[0].get_markersize() > points[1].get_markersize()
