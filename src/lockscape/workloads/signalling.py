"""Processes to find faults with that sleep and send each other signals."""

import numpy as np

from lockscape.kernel.entry import (
    CLOSE,
    EXEC,
    KILL,
    OPEN,
    PAUSE,
    PIPE,
    READ,
    SIGNAL,
    SLEEP,
    TIME,
    WAIT,
    WRITE,
)
from lockscape.kernel.files import CREATING
from lockscape.kernel.signals import HANDLE, IGNORE, SIGCHLD, SIGKILL
from lockscape.workloads.families import Rows, call, fork

USER1, USER2, TERMINATE = 10, 12, 15
"""Signals whose meaning is the processes' own, and the one that asks to end."""

FOR_EVER = 1 << 40
"""Cycles of computation that nothing but a signal ends."""

IGNORED_TICKS = 20
"""How long the first signal is waited for: by then `reapers`, which one may be sent to in a kernel of few
processes, have had their turn and ignore it."""


def signalling(seed: int) -> Rows:
    """Return a process that sends signals to others while they sleep, wait, write and make others.

    Each wakes its first child, which waits for a signal and then sleeps, several times. Some end in the
    middle of something, some wait for what never comes: `reapers` end these.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    handled = [call(SIGNAL, USER1, HANDLE)] * int(draw.integers(1, 3))
    child = np.concatenate([*handled, call(PAUSE), call(SLEEP, 200), _acts(draw, 3, 1)])
    return np.concatenate([
        call(SLEEP, IGNORED_TICKS),
        *[call(SIGNAL, USER1, HANDLE), call(SIGNAL, USER2, HANDLE)][: int(draw.integers(1, 3))],
        call(PIPE), fork(child), *[call(KILL, -1, USER1, think_cycles=40_000)] * 4, _acts(draw, 4, 2),
        call(KILL, -1, USER1, think_cycles=30_000), call(KILL, -1, SIGKILL, think_cycles=30_000),
        _acts(draw, 5, 2), *[call(CLOSE, fd) for fd in range(4)], *[call(WAIT)] * 2,
    ])  # fmt: skip


def _acts(draw: np.random.Generator, times: int, deep: int) -> Rows:
    return np.concatenate([call(TIME, 0), *(_act(draw, deep) for _ in range(times))])


def _act(draw: np.random.Generator, deep: int) -> Rows:
    """Return one thing that a process does, or a child that does some, with up to `deep` generations."""
    think, other = int(draw.choice([0, 500, 20_000, 150_000])), int(draw.choice([0, -1, 1, 2, 3, 4]))
    number, fd, kind = (
        int(draw.choice([USER1, USER2, SIGCHLD])),
        int(draw.integers(0, 4)),
        int(draw.integers(10)),
    )
    choices = (
        [call(SLEEP, int(draw.choice([0, 1, 50, 200])), think_cycles=think)],
        [call(KILL, other, number, think_cycles=think)],
        [call(SIGNAL, number, int(draw.integers(0, 3)))],
        [call(PIPE), call(WRITE, 1, 5000), call(READ, 0, 100), call(CLOSE, 0), call(CLOSE, 1)],
        [call(WAIT, think_cycles=think)],
        [call(OPEN, 0, 1, CREATING), call(WRITE, fd, 500), call(CLOSE, fd)],
        [call(TIME, 0, think_cycles=think)],
        [call(KILL, 0 if deep < 2 else -1, SIGKILL, think_cycles=think)],
        [call(EXEC, 0, 1, 2)],
    )
    if kind < len(choices):
        return np.concatenate(choices[kind])
    return fork(_acts(draw, 3, deep - 1)) if deep else call(TIME, 0)


def _ends_all() -> list[Rows]:
    """Return calls that ask every process of a kernel to end, those made last first."""
    return [call(KILL, number, TERMINATE) for number in range(60, 0, -1)]


def killed(number: int) -> list[Rows]:
    """Return so many processes that compute for ever, and as many that end all others of their kernel."""
    killer = [call(SIGNAL, TERMINATE, IGNORE), call(TIME, 0, think_cycles=500_000), *_ends_all()]
    return [*[call(TIME, 0, think_cycles=FOR_EVER)] * number, *[np.concatenate(killer)] * number]


def reapers(count: int = 4) -> list[Rows]:
    """Return processes that end all others of their kernel after a while, by a signal that they ignore."""
    ignored = [call(SIGNAL, number, IGNORE) for number in (USER1, USER2, TERMINATE)]
    turn = [*_ends_all(), call(SLEEP, 300)]
    return [np.concatenate([*ignored, call(SLEEP, 1500), *turn * 4])] * count
