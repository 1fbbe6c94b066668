"""Two processes train what one trains: twenty steps of every method, through torchrun; they
continue where two processes were interrupted, and save and go on together. So do two that share the
model between them.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from steps.groups.schema import write_groups
from steps.pairs.schema import write_pairs
from tests.conftest import ROOT
from tests.process_runs import RESUMED, RUNS, SHARDED, save_a_model, train_all
from tests.training import make_cache, make_pairs


@pytest.fixture(scope="module")
def folder(backbone, experiment, groups, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    cache = make_cache(backbone, experiment, groups, folder)
    write_groups(folder / "groups.parquet", groups)
    write_pairs(folder / "pairs.parquet", make_pairs(groups).assign(same_model=False))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", "-m", "tests.process_runs", str(folder), str(backbone)]
    with (folder / "output.txt").open("w") as output:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        inputs = (backbone, experiment, cache, groups)
        train_all(inputs, folder / "one")
        save_a_model(folder, inputs, "one", fsdp=False)
        code = child.wait(timeout=600)
    assert code == 0, (folder / "output.txt").read_text()[-3000:]
    return folder


@pytest.mark.parametrize(("mode", "method"), RUNS)
def test_two_processes_equal_one(mode, method, folder) -> None:
    assert_same_training(*(folder / count / f"{mode}-{method}" for count in ("one", "two")))


@pytest.mark.parametrize(("mode", "method"), SHARDED)
def test_two_sharded_processes_equal_one(mode, method, folder) -> None:
    assert_same_training(*(folder / kind / f"{mode}-{method}" for kind in ("one", "sharded")))


def assert_same_training(one: Path, two: Path) -> None:
    """Logs and weights are the same to 1e-5."""
    log, again = (
        pd.read_csv(path / "log.csv").drop(columns="padding_share", errors="ignore")
        for path in (one, two)
    )
    assert len(log) >= 20
    np.testing.assert_allclose(log, again, rtol=1e-5, atol=1e-5)
    weights, others = (
        load_file(path / f"checkpoint-{len(log)}/trained.safetensors") for path in (one, two)
    )
    for name, value in weights.items():
        assert (value - others[name]).abs().max() <= 1e-5, name


def test_two_processes_continue_where_they_stopped(folder) -> None:
    """Seven steps, a new start and thirteen more: the bytes of twenty."""
    whole, resumed = folder / f"two/upper_layers-{RESUMED}", folder / "two/resumed"
    for name in ("log.csv", "checkpoint-20/trained.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_sharded_processes_continue_where_they_stopped(folder) -> None:
    whole = folder / f"sharded/full-{RESUMED}"
    for name in ("log.csv", "checkpoint-21/trained.safetensors"):
        assert (whole / name).read_bytes() == (folder / "sharded/resumed" / name).read_bytes()


def test_a_sharded_model_is_saved_as_any_other(folder) -> None:
    one, two = (load_file(folder / kind / "model/model.safetensors") for kind in ("one", "sharded"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert (value - two[name]).abs().max() <= 1e-6, name


def test_two_processes_that_are_asked_to_stop_go_on_with_the_same_numbers(folder) -> None:
    whole, stopped = (
        pd.read_csv(folder / "two" / name / "log.csv") for name in ("whole", "stopped")
    )
    assert len(whole) == 6
    pd.testing.assert_frame_equal(whole, stopped, check_exact=True)
