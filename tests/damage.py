"""What happens to files on a disk."""

import os
import random
from pathlib import Path


def cut(path: Path) -> None:
    """Take the second half away."""
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Change one bit at a random place."""
    content = bytearray(path.read_bytes())
    place = random.Random(path.name).randrange(len(content))
    content[place] ^= 1 << 4
    with path.open("r+b") as file:  # in place: the file's other names see it, too
        file.write(content)
