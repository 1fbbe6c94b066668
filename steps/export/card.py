"""The model card: what the model is, how it was made, how good it is and what it is not for."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from huggingface_hub import EvalResult, ModelCardData

from steps.config import Experiment
from steps.export.parts import Part, parts
from steps.export.published import published_loss
from steps.objectives.declaration import load_method
from steps.report.names import metric_title, set_title

_SECTIONS = {"backbone", "data", "selection", "generator", "training"}
_SECTIONS |= {"consistency", "bradley_terry", "grm"}
_PATHS = {  # of the machine that trained; a card is public
    "backbone": {"path"},
    "data": {"train", "evaluation", "samples", "problems"},
    "generator": {"model": {"path"}},
}
_INTRODUCTION = """\
A reward model: it gives a conversation that ends with an answer one number, the higher the better
the answer. Trained and exported by the ICRM pipeline, which compares objectives of reward models
under equal conditions."""
_USE = """\
```python
from transformers import AutoTokenizer, pipeline

tokenizer = AutoTokenizer.from_pretrained(MODEL)
rewards = pipeline("text-classification", model=MODEL, tokenizer=tokenizer)
messages = [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]
text = tokenizer.apply_chat_template(messages, tokenize=False)
print(rewards(text, function_to_apply="none"))  # the raw reward, not a probability
```

The reward is read at the token that ends the assistant's turn. The chat template ends there and
spells out the BOS, the tokenizer adds nothing, and the padding token is neither: batches of any
padding, with or without `add_special_tokens`, give the same reward."""
_LIMITS = """\
For ranking responses to one and the same prompt: best-of-N, preference accuracy, research on reward
models. A reward has no unit, and rewards of different prompts are not comparable unless the
training labels were pointwise. It says what the training labels rewarded, not what is true, safe or
kind; it can be gamed by optimising against it and must not decide about people. Length, style and
language of the training data shape it; other domains are untested unless listed above."""


@dataclass(frozen=True)
class Origin:
    """Where a model comes from; what was not given is None, and the card says so."""

    facts: dict[str, Any]  # reward_model.json
    experiment: Experiment | None
    scores: pd.DataFrame | None  # of `steps.export.scores`, never without the experiment
    provenance: dict[str, Any]


def model_card(origin: Origin) -> str:
    """Return the README.md of an exported model."""
    title = _title(origin)
    sections = {
        "Use": _USE,
        "Method": _method(origin),
        "Training": _training(origin),
        "Scores": _scores(origin),
        "Intended use and limits": _limits(origin),
        "Licences of the parts": _licences(origin),
        "Provenance": _provenance(origin.provenance),
    }
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    return f"---\n{_front_matter(origin, title)}\n---\n\n# {title}\n\n{_INTRODUCTION}\n\n{body}\n"


def _title(origin: Origin) -> str:
    method = load_method(origin.facts["method"]).title
    where = f", {origin.experiment.title}" if origin.experiment else ""
    return f"{method} reward model, seed {origin.facts['seed']}{where}"


def _made_of(origin: Origin) -> list[Part]:
    return parts(origin.experiment) if origin.experiment else []


def _front_matter(origin: Origin, title: str) -> str:
    """Return the YAML head that the hub reads; a model stands under its backbone's licence."""
    backbone, *data = _made_of(origin) or [Part("backbone", "unknown")]
    known = [part.hub_id for part in data if part.hub_id]
    results = [] if origin.scores is None else _results(origin.scores)
    head = ModelCardData(
        license=backbone.licence or "other",
        base_model=backbone.hub_id,
        datasets=known or None,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["reward-model", "rlhf", origin.facts["method"]],
        model_name=title if results else None,
        eval_results=results or None,
    )
    return head.to_yaml().strip()


def _results(scores: pd.DataFrame) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=row.eval_set,
            dataset_name=set_title(row.eval_set),
            metric_type="accuracy",
            metric_name=metric_title(row.metric),
            metric_value=row.this_model,
        )
        for row in scores.dropna(subset="this_model").itertuples()
    ]


def _method(origin: Origin) -> str:
    name = origin.facts["method"]
    method = load_method(name)
    lines = [f"`{name}`: {origin.facts['description']}."]
    if published := published_loss(name):
        lines.append(f"\nLoss: {published.loss}  \nSource: {published.source}")
    if origin.experiment and method.terms:
        terms = method.terms(origin.experiment)
        summed = " + ".join(f"{w.weight:g} {w.term.name}" for w in terms)
        lines.append(f"\nTerms as trained: {summed}.")
    lines.append("\nSymbols and all equations: `docs/methods.md` of the pipeline.")
    return "\n".join(lines)


def _training(origin: Origin) -> str:
    lines = [f"Seed {origin.facts['seed']}. What was trained: `{origin.facts.get('mode')}`."]
    if origin.experiment is None:
        return lines[0] + " The experiment file was not given to the export."
    data = "; ".join(part.name for part in _made_of(origin)[1:])
    settings = origin.experiment.model_dump(mode="json", include=_SECTIONS, exclude=_PATHS)
    dumped = yaml.safe_dump(settings, sort_keys=True, allow_unicode=True).strip()
    return f"{lines[0]} Data: {data}.\n\n```yaml\n{dumped}\n```"


def _scores(origin: Origin) -> str:
    if origin.scores is None:
        return "The export was given no evaluation."
    if origin.scores.empty:
        return "This method was not evaluated by itself."
    percent = 100 * origin.experiment.evaluation.confidence
    lines = [
        f"| set | metric | this model | mean over seeds | {percent:g} % interval | n | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in origin.scores.itertuples():
        own = "–" if pd.isna(row.this_model) else f"{row.this_model:.3f}"
        interval = f"[{row.ci_low:.3f}, {row.ci_high:.3f}]"
        cells = [set_title(row.eval_set), metric_title(row.metric), own, f"{row.value:.3f}"]
        lines.append("| " + " | ".join([*cells, interval, str(row.n), str(row.seeds)]) + " |")
    note = "The interval is a bootstrap over prompts of the mean over seeds; n counts its items."
    return "\n".join(lines) + f"\n\n{note}"


def _limits(origin: Origin) -> str:
    if origin.experiment is None:
        return _LIMITS
    tokens = origin.experiment.selection.max_tokens
    return f"{_LIMITS}\nIt saw no conversation of more than {tokens} tokens in training."


def _licences(origin: Origin) -> str:
    made_of = _made_of(origin)
    if not made_of:
        return "Not known: the experiment file was not given to the export."
    rows = [f"| {p.role} | {p.name} | {p.licence or 'not known, see its page'} |" for p in made_of]
    return "\n".join(["| part | name | licence |", "|---|---|---|", *rows])


def _provenance(provenance: dict[str, Any]) -> str:
    lines = []
    for step in ("training", "export"):
        facts = provenance.get(step)
        if facts is None:
            lines.append(f"- {step}: its run card was not given to the export")
            continue
        changed = ", with uncommitted changes" if facts["uncommitted_changes"] else ""
        versions = ", ".join(f"{p} {facts['versions'][p]}" for p in ("torch", "transformers"))
        lines.append(f"- {step}: commit {facts['commit']}{changed}; {versions}")
    return "\n".join([*lines, "- hashes of all inputs and of the weights: `provenance.json`"])
