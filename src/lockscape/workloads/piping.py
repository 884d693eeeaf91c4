"""Processes to find faults with that pass bytes through pipes to their children and back."""

import numpy as np

from lockscape.kernel.entry import CLOSE, PIPE, READ, WAIT, WRITE
from lockscape.workloads.families import Rows, call, fork

SIZES = (1, 100, 3000, 4096, 9000, 70_000)
"""What is written or read at once: below and above what a pipe's buffer takes."""


def piping(seed: int) -> Rows:
    """Return a process that makes a pipe and children who write to it and read from it, as it does itself."""
    draw = np.random.Generator(np.random.PCG64(seed))
    size, most = (int(draw.choice(SIZES)) for _ in range(2))
    think = int(draw.choice([0, 500, 20_000]))
    writers, readers, times = int(draw.integers(1, 4)), int(draw.integers(0, 2)), int(draw.integers(1, 4))
    writes = [call(WRITE, 1, size, think_cycles=think)] * times
    reads = [call(READ, 0, max(most, size // 4), think_cycles=think)] * 12
    writing = np.concatenate([call(CLOSE, 0, result=0), *writes])
    reading = np.concatenate([call(CLOSE, 1, result=0), *reads])
    children = [fork(writing)] * writers + [fork(reading)] * readers
    waits = [call(WAIT)] * len(children)
    return np.concatenate([call(PIPE, result=0), *children, reading, call(CLOSE, 0, result=0), *waits])
