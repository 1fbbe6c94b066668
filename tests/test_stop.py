"""Long jobs that are asked to stop save, end with a code of their own, and go on from there."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from steps.cache import build as build_module
from steps.stop import STOPPED, stop_requests
from steps.train.run import run_to_the_end
from tests.test_cache import contents
from tests.training import UPPER, make_cache, make_trainer, with_settings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_request_is_noted_and_afterwards_the_signal_is_as_before(number: int) -> None:
    before = signal.getsignal(number)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
    assert signal.getsignal(number) == before


def test_a_cache_goes_on_after_a_request(
    backbone, experiment, groups, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(
        "tests.training.build_cache",
        lambda models, encoded, key, _, work, output: build_module.build_cache(
            models, encoded, key, 1, work, output
        ),
    )
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = make_cache(backbone, experiment, groups, tmp_path / "whole")
    compute, computed = build_module.compute_batch, []

    def ask(*arguments):
        computed.append(1)
        if len(computed) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(*arguments)

    monkeypatch.setattr(build_module, "compute_batch", ask)
    with pytest.raises(SystemExit) as end:
        make_cache(backbone, experiment, groups, tmp_path / "stopped")
    assert end.value.code == STOPPED
    assert not (tmp_path / "stopped/cache").exists()
    cache = make_cache(backbone, experiment, groups, tmp_path / "stopped")
    assert len(computed) == len(groups)  # no batch was computed twice
    assert contents(cache.folder) == contents(whole.folder)


class Ask(TrainerCallback):
    """Asks for a stop in a step that would not be saved otherwise."""

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGUSR1)


def test_a_training_goes_on_after_a_request(backbone, experiment, groups, tmp_path: Path) -> None:
    cache = make_cache(backbone, experiment, groups, tmp_path)
    changed = with_settings(
        experiment, UPPER.model_copy(update={"epochs": 5, "checkpoint_steps": 100})
    )

    def train(name: str, *callbacks: TrainerCallback, late: bool = False) -> dict[str, Any]:
        work, output = tmp_path / name, {}
        trainer = make_trainer("icrm", backbone, changed, cache, groups, work, list(callbacks))
        module = trainer.accelerator.unwrap_model(trainer.model)

        def write() -> None:
            output.update({n: p.detach().clone() for n, p in module.named_parameters()})
            output["rows"] = trainer.rows()
            if late:
                os.kill(os.getpid(), signal.SIGTERM)

        run_to_the_end(trainer, work, lambda: {"method": "icrm"}, write)
        return output

    whole = train("whole")
    with pytest.raises(SystemExit) as end:
        train("stopped", Ask())
    assert end.value.code == STOPPED
    assert load_file(tmp_path / "stopped/checkpoint-5/trained.safetensors")
    # While the result is written: the cluster may discard it, so the last checkpoint stays.
    with pytest.raises(SystemExit) as end:
        train("stopped", late=True)
    assert end.value.code == STOPPED
    again = train("stopped")
    assert not (tmp_path / "stopped").exists()
    assert again.pop("rows") == whole.pop("rows")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
