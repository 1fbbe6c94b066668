"""The Snakemake inside a job hands a request to stop on to its step, and to that alone."""

import inspect
import signal
import subprocess
import sys

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

# As in a rule: a shell and `tee`, which do not listen, and a step of Python, which saves and ends.
STEP = """
import signal, sys, time
def save(*_):
    print("saved", flush=True)
    sys.exit(75)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, save)
print("started", flush=True)
time.sleep(60)
"""
JOB = """
import subprocess, sys
from snakemake.scheduling.job_scheduler import JobScheduler
from steps.config.job_signals import pass_on_signals

class Scheduler(JobScheduler):  # what its constructor does of the signals
    def __init__(self):
        import signal
        signal.signal(signal.SIGTERM, self.exit_gracefully)

pass_on_signals()
Scheduler()
line = "trap '' TERM USR1; set -o pipefail; {python} -c '{step}' 2>&1 | tee /dev/null"
line = line.format(python=sys.executable, step=sys.argv[1])
sys.exit(subprocess.run(["bash", "-c", line]).returncode)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_request_to_snakemake_alone_reaches_the_step(number: int) -> None:
    handler = "signal.signal(signal.SIGTERM, self.exit_gracefully)"
    assert handler in inspect.getsource(JobScheduler.__init__)  # so the class below does it, too
    command = [sys.executable, "-c", JOB, STEP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "started\n"
        job.send_signal(number)
        assert job.stdout.read() == "saved\n"
        assert job.wait() == 75  # of the step; Snakemake itself goes on
