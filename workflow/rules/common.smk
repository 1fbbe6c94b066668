# The experiment, and names that every stage uses.
from snakemake.exceptions import WorkflowError

from steps.config.load import check_overrides, load_experiment
from steps.errors import UserError


def read_experiment():
    """Validate `--config` and the experiment file before any job is planned."""
    try:
        check_overrides(config)
        name = config.get("experiment", "quickstart")
        file = Path(f"config/{name}.yaml")
        return name, file, load_experiment(file)
    except UserError as error:
        raise WorkflowError(str(error)) from None


NAME, FILE, EXPERIMENT = read_experiment()
RESULTS = f"results/{NAME}"
BACKBONE = str(EXPERIMENT.backbone_folder())
EVALUATION_SETS = EXPERIMENT.evaluation_sets
SETS = ["train", *EVALUATION_SETS]


def settings(*sections):
    """The parts of the experiment that a rule depends on: a change reruns it, and only it."""
    whole = EXPERIMENT.model_dump(mode="json")
    return {section: whole[section] for section in sections}


# `python` in a rule is the interpreter that runs Snakemake.
shell.prefix(f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH; ")


wildcard_constraints:
    set="|".join(SETS),
    method="|".join(EXPERIMENT.methods),
    seed=r"\d+",
