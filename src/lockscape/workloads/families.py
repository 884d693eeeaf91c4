"""Processes that a stream makes: the rows behind a fork are the child's, as many as the row says.

So a stream has its descendants' work inside it, and the parent goes on behind that. A row `FORK` has the
number of the child's rows as its first argument.
"""

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.kernel.entry import CLOSE, EXEC, FAULT, FORK, KILL, OPEN, SIGNAL, WAIT, WRITE
from lockscape.kernel.files import CREATING
from lockscape.kernel.signals import SIGCHLD
from lockscape.workloads.user import FIRST_CALL, KIND, PATH

Rows = NDArray[np.int64]
"""Operations, one a row."""


def call(number: int, *arguments: int, think_cycles: int = 0, result: int | None = None) -> Rows:
    """Return the row of one system call with up to three arguments, after so many cycles of computation.

    A process whose call does not have the `result` that is said, if one is, does no more.
    """
    path, name, length = (*arguments, 0, 0, 0)[:3]
    expected = 0 if result is None else result + 1
    return np.array([[FIRST_CALL + number, path, name, length, expected, think_cycles]], np.int64)


def fork(child: Rows, think_cycles: int = 0) -> Rows:
    """Return the rows of a parent that makes a child with this work: the fork and, behind it, the work."""
    return np.concatenate([call(FORK, len(child), think_cycles=think_cycles), child])


def most_descendants(rows: Rows) -> int:
    """Return how many descendants of a stream's process can be there at once, at most.

    One that has been waited for may still be on its processor, so there is one more than the forks and waits
    tell. Where signals may come, also that of a child's end, a wait may end without a child, and every fork
    counts. Raises `InputError` for a fork of more rows than there are.
    """
    kinds = rows[:, KIND] - FIRST_CALL
    signals = bool(((kinds == KILL) | ((kinds == SIGNAL) & (rows[:, PATH] == SIGCHLD))).any())
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


PROGRAMS, RANGES = 3, 3
"""What drawn families execute: files of these numbers, with so many fresh ranges."""


def family(seed: int, children: int = 4) -> Rows:
    """Return a process of a workload to find faults with: it makes programs and children that execute them.

    Children use the memory that they share with their parent, open files and leave them open, and have
    children themselves; some of these are waited for and some are not. All is drawn with the seed.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    parts = [_program(int(number)) for number in range(1, PROGRAMS + 1)]
    parts += [call(EXEC, 0, 1, RANGES), *(call(FAULT, 2, index) for index in range(3)), call(OPEN, 0, 1)]
    left = 0
    for _ in range(children):
        parts += [
            fork(_child(draw, 1), int(draw.integers(0, 9000))),
            call(FAULT, 2, int(draw.integers(0, 3))),
        ]
        left += 1
        if draw.integers(0, 2):
            parts.append(call(WAIT))
            left -= 1
    parts += [call(WAIT)] * int(draw.integers(0, left + 2))
    return np.concatenate(parts)


def _program(number: int) -> Rows:
    """Return what makes a file of a few pages."""
    length = 3000 * number
    return np.concatenate([call(OPEN, 0, number, CREATING), call(WRITE, 0, length), call(CLOSE, 0)])


def _child(draw: np.random.Generator, deep: int) -> Rows:
    parts = [call(FAULT, 2, int(draw.integers(0, 3)), think_cycles=int(draw.integers(0, 5000)))]
    if draw.integers(0, 2):
        parts.append(call(EXEC, 0, int(draw.integers(1, PROGRAMS + 2)), RANGES))
        parts += [call(FAULT, 1, 0), call(FAULT, 1, 1)]
    parts += [
        call(FAULT, int(draw.integers(2, RANGES + 2)), index) for index in range(int(draw.integers(0, 4)))
    ]
    if draw.integers(0, 2):
        parts += [call(OPEN, 0, int(draw.integers(1, PROGRAMS + 1)), CREATING), call(WRITE, 1, 3000)]
    if deep and draw.integers(0, 2):
        parts.append(fork(_child(draw, deep - 1)))
        if draw.integers(0, 2):
            parts.append(call(WAIT))
    return np.concatenate(parts)
