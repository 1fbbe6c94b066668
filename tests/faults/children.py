"""Which steps of the pipeline a running workflow has started."""

from pathlib import Path


def running_steps(session: int) -> list[str]:
    """Return the steps (such as ``steps.train``) that run in a session of processes."""
    steps = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text().split("\0")
        except OSError:  # ended in the meantime
            continue
        state, of_session = fields[0], int(fields[3])
        if of_session == session and state != "Z" and "-m" in words[1:2]:
            steps += [word for word in words[2:3] if word.startswith("steps.")]
    return sorted(steps)
