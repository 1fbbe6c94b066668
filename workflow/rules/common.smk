# The experiment, and names that every stage uses.
from steps.code import method_hash
from steps.config.workflow import (
    depends,
    downloads,
    generator_files,
    model_files,
    raw_data,
    read_experiment,
    reference_options,
)
from steps.objectives.registry import sections_read

# What is asked for, and the experiment of its data and reward models: the same, unless it extends
# another one, whose results are then gone on from.
OWN_NAME, OWN_FILE, OWN = read_experiment(config)
NAME, FILE, EXPERIMENT = (
    read_experiment({"experiment": OWN.extends}) if OWN.extends else (OWN_NAME, OWN_FILE, OWN)
)
RESULTS = f"results/{NAME}"
BACKBONE_FILES = model_files(EXPERIMENT.backbone)
GENERATOR_FILES = generator_files(EXPERIMENT, RESULTS)
EVALUATION_SETS = EXPERIMENT.evaluation_sets
SETS = ["train", *EVALUATION_SETS]

# `python` in a rule is the interpreter that runs Snakemake.
shell.prefix(f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH; ")


wildcard_constraints:
    set="|".join(SETS),
    method="|".join(EXPERIMENT.trained_methods),
    seed=r"\d+",
