"""Processes that a stream makes: the rows behind a fork are the child's, as many as the row says.

So a stream has its descendants' work inside it, and the parent goes on behind that. A row `FORK` has the
number of the child's rows as its first argument.
"""

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.kernel.entry import FORK, KILL, SIGNAL, WAIT
from lockscape.workloads.user import FIRST_CALL, KIND, PATH

Rows = NDArray[np.int64]


def fork(child: Rows, think_cycles: int = 0) -> Rows:
    """Return the rows of a parent that makes a child with this work: the fork and, behind it, the work."""
    row = np.array([[FIRST_CALL + FORK, len(child), 0, 0, 0, think_cycles]], np.int64)
    return np.concatenate([row, child])


def most_descendants(rows: Rows) -> int:
    """Return how many descendants of a stream's process can be there at once, at most.

    One that has been waited for may still be on its processor, so there is one more than the forks and waits
    tell. Where there are signals a wait may end without a child, and every fork counts. Raises `InputError`
    for a fork of more rows than there are.
    """
    kinds = rows[:, KIND] - FIRST_CALL
    signals = bool(np.isin(kinds, (KILL, SIGNAL)).any())
    marks = np.flatnonzero((kinds == FORK) | ((kinds == WAIT) & (not signals)))
    if not len(marks):
        return 0
    events = [(int(k), int(kinds[k]) == FORK, int(rows[k, PATH])) for k in marks]
    found, rest = _most(events, 0, len(rows))
    assert rest == len(events)
    return found


def _most(events: list[tuple[int, bool, int]], first: int, end: int) -> tuple[int, int]:
    """Return the most descendants that the rows before `end` make, and the first event behind them."""
    alive: list[int] = []
    most, now = 0, first
    forks = False
    while now < len(events) and events[now][0] < end:
        row, is_fork, length = events[now]
        if is_fork:
            if row + 1 + length > end:
                left = end - row - 1
                raise InputError(f"row {row} makes a process with {length:,} rows: there are {left:,}")
            inside, now = _most(events, now + 1, row + 1 + length)
            alive.append(1 + inside)
            most, forks = max(most, sum(alive)), True
        else:
            now += 1
            if alive:
                alive.remove(min(alive))
    return most + forks, now
