"""Requests to stop, inside a job of a cluster: from the Snakemake that it starts to its step.

Most clusters track processes by cgroups and signal only the one that they have started: the job's
own Snakemake. By itself that waits for the step, which never hears of it, until both are killed,
and calls a step that ended well in between a failed one, whose output is then deleted.
"""

import contextlib
import signal
from typing import Any

import psutil

from steps.stop import SIGNALS


def pass_on_signals() -> None:
    """Hand requests to stop on to the step, and go by how that ends."""
    from snakemake.scheduling.job_scheduler import JobScheduler  # elsewhere in other versions

    # Snakemake sets its own handler of SIGTERM, this method, after it has read the rules.
    JobScheduler.exit_gracefully = staticmethod(_pass_on)
    for number in SIGNALS:
        signal.signal(number, _pass_on)


def _pass_on(number: int, _frame: Any) -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            # Not to srun, which would end the step without leaving it time to save; shells and
            # `tee` do not listen (workflow/rules/common.smk).
            if process.name().startswith("python"):
                process.send_signal(number)
