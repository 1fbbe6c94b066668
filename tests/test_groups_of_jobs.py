"""What SLURM is asked for by a job of several steps, as Snakemake computes it."""

from collections.abc import Iterable

import pytest
from snakemake.api import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    ResourceSettings,
    SnakemakeApi,
)
from snakemake.resources import GroupResources
from snakemake.settings.enums import Quietness

from steps.config.cluster_rules import GROUPED
from steps.config.resources import SNAKEMAKE_MINUTES
from tests.conftest import ROOT

SHIPPED = ["quickstart_policy", "gemma2b_uf40k_policy", "tiny", "methods"]


def groups(experiment: str, cores: int, **cluster: int) -> Iterable[tuple[list[str], dict]]:
    """Yield the rules of each group and its resources.

    Args:
        cores: of the login node.
    """
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            ResourceSettings(cores=cores),
            ConfigSettings(config={"experiment": experiment, "cluster": cluster}),
            snakefile=ROOT / "Snakefile",
            workdir=ROOT,
        )
        workflow.dag(DAGSettings(targets={"all"}, forceall=True)).execute_workflow("dryrun")
        inner = workflow._workflow
        for group in set(inner.dag._group.values()):
            asked = GroupResources.basic_layered(
                group.toposorted, inner.global_resources, run_local=False
            )
            yield [job.rule.name for job in group.jobs], asked


@pytest.mark.parametrize("cores", [1, 64])
@pytest.mark.parametrize("experiment", SHIPPED)
def test_a_group_asks_for_the_memory_of_one_step_and_the_time_of_all(
    experiment: str, cores: int
) -> None:
    given = {"memory_mb": 72000, "cpu_memory_mb": 700, "cpu_runtime_minutes": 9}
    made = list(groups(experiment, cores, snakemake_mb=50, **given))
    assert len(made) > 1
    for rules, asked in made:
        assert set(rules) <= set(GROUPED)
        assert asked["mem_mb"] == (72050 if "frozen_layers" in rules else 750)
        assert asked["runtime"] == len(rules) * (9 + SNAKEMAKE_MINUTES)


@pytest.mark.parametrize("cores", [1, 64])
@pytest.mark.parametrize("experiment", SHIPPED)
def test_no_group_asks_for_more_than_the_cluster_has(experiment: str, cores: int) -> None:
    limits = {"largest_memory_mb": 4000, "longest_minutes": 60}
    wanted = {"memory_mb": 9000, "cpu_memory_mb": 5000, "cpu_runtime_minutes": 50}
    for rules, asked in groups(experiment, cores, **limits, **wanted):
        assert asked["mem_mb"] <= 4000, rules
        assert asked["runtime"] <= 60, rules
