"""``python -m steps.sample``: a language model's answers to the prompts of a groups file."""

import argparse
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
import transformers

from steps.backbone import context_length, load_tokenizer, weights_hash
from steps.chat import ChatFormat
from steps.code import package_hash
from steps.config import Experiment, load_experiment
from steps.config.sampling import Sampling
from steps.device import best_device, working_dtype
from steps.errors import run_command
from steps.files import remove
from steps.groups.schema import read_groups
from steps.lock import only_writer
from steps.outputs import check_outputs
from steps.provenance import RunCard
from steps.sample.backend import Backend, Request, plan_batches
from steps.sample.requests import make_requests
from steps.sample.responses import sampled_groups
from steps.sample.run import complete_batches
from steps.sample.settings import Use, check_ended, sampling_for
from steps.sample.written import write_samples, written_tokens
from steps.stop import leave, stop_requests
from steps.unfinished import work_folder

CODE = (".", "sample")


@stop_requests()
def main() -> None:
    arguments = _parser().parse_args()
    read = [arguments.experiment, arguments.model, arguments.groups]
    check_outputs([arguments.output, arguments.card], read)
    experiment = load_experiment(arguments.experiment)
    sampling = sampling_for(experiment, arguments.use, arguments.set)
    torch.set_num_threads(experiment.threads)
    card = RunCard(
        "sample",
        sampling.model_dump(),
        sampling.seed,
        path=arguments.card,
        inputs=[arguments.model, arguments.groups],
        experiment=experiment,
    )
    groups = read_groups(arguments.groups)
    chat = ChatFormat(load_tokenizer(arguments.model, experiment))
    context = context_length(arguments.model, experiment)
    requests = make_requests(groups, chat, sampling, context)
    batches = plan_batches(requests, sampling.max_new_tokens, sampling.tokens_per_batch)
    work = work_folder(arguments.work, arguments.output)
    with only_writer(work), stop_requests() as asked_to_stop:
        backend = _backend(arguments.model, experiment, sampling, chat.control_ids)
        plan = _plan(arguments.model, chat, sampling, requests, experiment.threads)
        title = f"sample {arguments.output.stem}"
        completions = complete_batches(backend, batches, plan, work, title, asked_to_stop)
        author = arguments.name or arguments.model.name
        made, counts = sampled_groups(groups, completions, chat, author)
        check_ended(counts, arguments.use, author, arguments.output)
        counts["tokens"] = sum(len(each.ids) for each in completions)
        write_samples(arguments.output, made, written_tokens(groups, completions, made))
        card.write([arguments.output], tokens=counts["tokens"], counts=counts)
        # A cluster calls a job that it has stopped failed whatever it wrote, and its output is
        # deleted: the samples must outlive it.
        if asked_to_stop():
            leave(title)
        remove(work)
    for what, count in counts.items():
        print(f"{arguments.output}: {count:,} {what}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m steps.sample", description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="config/<name>.yaml")
    parser.add_argument(
        "--use",
        choices=get_args(Use),
        required=True,
        help="whose settings: an entry of policy.sampling, or solutions for those of --set",
    )
    parser.add_argument(
        "--set",
        default="train",
        help="with --use solutions: an entry of data.evaluation (default: train, data.sampling)",
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the language model")
    parser.add_argument(
        "--groups",
        type=Path,
        required=True,
        help="groups whose prompts are answered (parquet); their own responses are not read",
    )
    parser.add_argument("--output", type=Path, required=True, help="groups to write (parquet)")
    parser.add_argument("--name", help="author of the responses (default: the model's folder)")
    parser.add_argument(
        "--work", type=Path, help="folder for unfinished work (default: OUTPUT.work)"
    )
    parser.add_argument("--card", type=Path, help="run card to write (provenance)")
    return parser


def _plan(
    model: Path, chat: ChatFormat, sampling: Sampling, requests: list[Request], threads: int
) -> dict[str, Any]:
    """Everything that the samples depend on."""
    prompts = json.dumps([[*request.prompt, request.key] for request in requests])
    return {
        "weights": weights_hash(model),
        "chat_format": chat.fingerprint(),
        "sampling": sampling.model_dump(),
        "requests": hashlib.sha256(prompts.encode()).hexdigest(),
        "device": best_device().type,
        "dtype": str(working_dtype(sampling.precision)),
        "threads": threads,
        "code": {package: package_hash(package) for package in CODE},
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "vllm": version("vllm") if sampling.backend == "vllm" else None,
    }


def _backend(
    model: Path, experiment: Experiment, sampling: Sampling, stops: frozenset[int]
) -> Backend:
    # Imported where it is chosen: vLLM is optional, and slow to import.
    if sampling.backend == "vllm":
        from steps.sample.vllm_backend import VllmBackend

        return VllmBackend(model, sampling, stops)
    from steps.sample.transformers_backend import TransformersBackend

    return TransformersBackend(model, experiment, sampling, stops)


if __name__ == "__main__":
    run_command(main)
