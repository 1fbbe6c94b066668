# The experiment, and names that every stage uses.
import shlex
from functools import partial

from steps.code import method_hash
from steps.config.backbones import model_folder
from steps.config.job_signals import pass_on_signals
from steps.config.resources import read_plan, rule_resources
from steps.config.workflow import (
    check_loadable,
    check_pinned,
    content_of,
    depends,
    downloads,
    drop_secrets,
    generator_files,
    model_files,
    problem_files,
    raw_data,
    read_experiment,
    reference_options,
)
from steps.objectives.registry import sections_read

if workflow.remote_exec:
    drop_secrets()
    pass_on_signals()

# What is asked for, and the experiment of its data and reward models: the same, unless it extends
# another one, whose results are then gone on from.
OWN_NAME, OWN_FILE, OWN, CLUSTER = read_experiment(config)
NAME, FILE, EXPERIMENT = (
    read_experiment({"experiment": OWN.extends})[:3] if OWN.extends else (OWN_NAME, OWN_FILE, OWN)
)
RESULTS = f"results/{NAME}"
BACKBONE_FILES = model_files(EXPERIMENT.backbone)
GENERATOR_FILES = generator_files(EXPERIMENT, RESULTS)
EVALUATION_SETS = EXPERIMENT.evaluation_sets
SETS = ["train", *EVALUATION_SETS]

# What a rule asks of a cluster: `resources: **ask("name of the rule")`.
ask = partial(
    rule_resources,
    experiment=EXPERIMENT,
    cluster=CLUSTER,
    planned=read_plan(RESULTS, EXPERIMENT),
)

# Some clusters signal every process of a job that shall end. The shell and `tee` leave it to the step,
# which saves first; a step that does not listen ends on its own or by the kill that follows.
# `python` in a rule is the interpreter that runs Snakemake.
shell.prefix(
    "trap '' TERM USR1; set -euo pipefail; "
    f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
)


# On a cluster a group's steps run one after another, so that its job needs the memory of one. Said
# here and not in the profile, which the Snakemake inside a job does not read.
resource_scopes:
    steps_at_once="local",  # of each job, not of all jobs together


if "cluster" in config:
    workflow.register_resource("steps_at_once", 1)


wildcard_constraints:
    set="|".join(SETS),
    method="|".join(EXPERIMENT.trained_methods),
    seed=r"\d+",
