"""Processes to find faults with that use more and more memory, and what they have again and again."""

import numpy as np

from lockscape.kernel.areas import RANGE_PAGES
from lockscape.kernel.entry import CLOSE, EXEC, FAULT, OPEN, WAIT, WRITE
from lockscape.kernel.files import APPENDING, CREATING
from lockscape.workloads.families import RANGES, Rows, call, fork

BECOME_PROGRAM = (
    call(OPEN, 0, 1, CREATING + APPENDING), call(WRITE, 0, 9000), call(CLOSE, 0), call(EXEC, 0, 1, RANGES),
)  # fmt: skip
"""Become a program with fresh ranges, from number 2 on."""

TIMES = 10
"""How often a process asks for more."""


def growing(seed: int, forks: bool = True, times: int = TIMES) -> Rows:
    """Return a process that uses more and more pages of its program, so many `times`; if it `forks` it has
    children."""
    draw = np.random.Generator(np.random.PCG64(seed))
    rows, have = [*BECOME_PROGRAM], [0] * RANGES
    for _ in range(times):
        area = int(draw.integers(0, RANGES))
        more = min(int(draw.integers(5, 22)), RANGE_PAGES - have[area])
        rows += [call(FAULT, 2 + area, have[area] + k) for k in range(more)]
        have[area] += more
        rows += [_again(draw, have) for _ in range(int(draw.integers(0, 12)))]
        if forks and not draw.integers(0, 5):
            rows.append(fork(np.concatenate([_again(draw, have) for _ in range(int(draw.integers(1, 20)))])))
            rows += [call(WAIT)] * int(draw.integers(0, 2))
    return np.concatenate(rows)


def _again(draw: np.random.Generator, have: list[int]) -> Rows:
    """Return the use of a page that a process has."""
    area = int(draw.choice([k for k, pages in enumerate(have) if pages]))
    return call(FAULT, 2 + area, int(draw.integers(have[area])), think_cycles=int(draw.integers(2000)))
