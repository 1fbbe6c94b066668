"""What is free in the heap goes back to the system."""

import subprocess
import sys

# Small blocks that stay between large ones that go; in a process of its own, whose heap is known.
GAPS = """
import ctypes
from pathlib import Path
from steps import heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD: large blocks lie in the heap too
large = []
for _ in range(50):
    block = ctypes.c_void_p(library.malloc(ctypes.c_size_t(2**20)))
    ctypes.memset(block, 1, 2**20)
    large.append(block)
    library.malloc(ctypes.c_size_t(2**14))
for block in large:
    library.free(block)
before = resident()
heap.give_back_memory()
soon = resident()
heap.EVERY = 0
heap.give_back_memory()
print(before - soon, before - resident())
"""


def test_gaps_between_small_blocks_are_given_back_when_it_is_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GAPS], capture_output=True, text=True, timeout=60, check=True
    )
    soon, later = map(float, done.stdout.split())
    assert soon < 5 and later > 40  # MiB of 50
