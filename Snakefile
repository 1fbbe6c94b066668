# The ICRM pipeline. `snakemake --config experiment=<name>` runs config/<name>.yaml.
# Targets: all (default), tables, figures. One rules file per stage, in the order of the method.
from pathlib import Path
import re
import sys

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, workflow.basedir)


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/groups.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/generator.smk"
include: "workflow/rules/cache.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/policy.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/best_of_n.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        POLICY_TARGETS,
