"""The ICRM pipeline: one sub-package per stage, in the order of the method.

download -> groups -> pairs -> cache -> train -> score -> evaluate -> report

Stages meet only in files with a written schema. Each stage is a set of importable functions with a
thin command line, ``python -m steps.<stage> --help``; Snakemake only wires them together.
"""

__version__ = "0.1.0"
