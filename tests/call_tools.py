"""Streams of single system calls, with what each must return, and running them."""

from functools import cache

import numpy as np

from lockscape.experiments.run import settle
from lockscape.experiments.sample import kernel_steps
from lockscape.experiments.trials import Trial, run_trial
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
from lockscape.kernel.signals import HANDLE, IGNORE
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.program.assemble import assemble
from lockscape.workloads import fsck, stress, user
from lockscape.workloads.families import fork
from lockscape.workloads.load import COLUMNS, Stream, load
from lockscape.workloads.user import FIRST_CALL
from trial_tools import kernel

TERMINATE = 15


def call(number, *arguments, gives=None, think=0):
    """Return the row of a call; a process whose call does not return what it `gives` ends there."""
    path, name, length = (*arguments, 0, 0, 0)[:3]
    return (FIRST_CALL + number, path, name, length, 0 if gives is None else gives + 1, think)


def rows(*parts):
    """Return the rows of calls, and of rows."""
    return np.concatenate([np.array(part, np.int64).reshape(-1, COLUMNS) for part in parts])


@cache
def kernel_for(name, **options):
    built = port(load_plan(name), [user, stress], **options)
    table = CostTable(preset("pentium4"), kernel_steps(), built.plan.costs)
    return built, table, assemble(built.program, table)


def ran(name, *streams, cpus=1, **options):
    """Run processes to their end; return the machine, its end in cycles, and which rows each context has left."""
    built, table, binary = kernel_for(name, **options)
    streams = [Stream(each) for each in streams]
    machine = load(built, table, cpus, streams, binary=binary, program=stress.PROGRAM, together=True)
    state = machine.state
    stopped = execute(state, 1 << 36)
    assert stopped.reason == at.REASON_DONE, stopped.text
    end = int(state.m[at.H_TIME])
    left = [int(state.m[c + at.C_WORK_END] - state.m[c + at.C_WORK]) for c in machine.contexts]
    settle(state)
    assert fsck.check(machine, emptied=False) == []
    return machine, end, left


def fault_in_streams(name, streams, cpus):
    """Return what is wrong in a plan's trial of these streams, under the fault detector, or nothing."""
    trial = Trial("calls", tuple(Stream(each) for each in streams), cpus, True, 2)
    return run_trial(kernel(name), trial, Detector)[1]


# --- drawn streams ------------------------------------------------------------------------------------------


def drawn_pipes(seed):
    """Return processes that make pipes, and children who write and read with sizes below and above the buffer's."""
    draw = np.random.Generator(np.random.PCG64(seed))
    size, most = (int(draw.choice([1, 100, 3000, 4096, 9000, 70_000])) for _ in range(2))
    think = int(draw.choice([0, 500, 20_000]))
    writers, readers, times = int(draw.integers(1, 4)), int(draw.integers(0, 2)), int(draw.integers(1, 4))
    writing = rows(call(CLOSE, 0, gives=0), [call(WRITE, 1, size, think=think)] * times)
    reading = rows(call(CLOSE, 1, gives=0), [call(READ, 0, max(most, size // 4), think=think)] * 12)
    return rows(
        call(PIPE, gives=0),
        *[fork(writing) for _ in range(writers)],
        *[fork(reading) for _ in range(readers)],
        reading,
        call(CLOSE, 0, gives=0),
        [call(WAIT)] * (writers + readers),
    )


def drawn_signals(seed):
    """Return processes that send each other signals while they sleep, wait, write and make others.

    Some end in the middle of something, some wait for what never comes: `reapers` end these.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    paused = rows([call(SIGNAL, 10, HANDLE)] * int(draw.integers(0, 2)), call(PAUSE), _acts(draw, 3, 1))
    return rows(
        [call(SIGNAL, 10, HANDLE), call(SIGNAL, 12, HANDLE)][: int(draw.integers(1, 3))],
        call(PIPE),
        fork(paused),
        _acts(draw, 4, 2),
        call(KILL, -1, 10, think=30_000),
        call(KILL, -1, 9, think=30_000),
        _acts(draw, 5, 2),
        [call(CLOSE, fd) for fd in range(4)],
        [call(WAIT)] * 2,
    )


def _acts(draw, times, deep):
    found = []
    for _ in range(times):
        think, other = int(draw.choice([0, 500, 20_000, 150_000])), int(draw.choice([0, -1, 1, 2, 3, 4]))
        number, fd, kind = int(draw.choice([10, 12, 17])), int(draw.integers(0, 4)), int(draw.integers(0, 10))
        choices = (
            [call(SLEEP, int(draw.choice([0, 1, 50, 200])), think=think)],
            [call(KILL, other, number, think=think)],
            [call(SIGNAL, number, int(draw.integers(0, 3)))],
            [call(PIPE), call(WRITE, 1, 5000), call(READ, 0, 100), call(CLOSE, 0), call(CLOSE, 1)],
            [call(WAIT, think=think)],
            [call(OPEN, 0, 1, CREATING), call(WRITE, fd, 500), call(CLOSE, fd)],
            [call(TIME, 0, think=think)],
            [call(KILL, 0 if deep < 2 else -1, 9, think=think)],
            [call(EXEC, 0, 1, 2)],
        )
        if kind < len(choices):
            found.append(rows(choices[kind]))
        elif deep:
            found.append(fork(_acts(draw, 3, deep - 1)))
    return rows(call(TIME, 0), *found)


def reapers(count=4):
    """Return processes that end all others of their kernel after a while, by a signal that they ignore."""
    ignored = [call(SIGNAL, number, IGNORE) for number in (10, 12, TERMINATE)]
    round_ = [call(KILL, number, TERMINATE) for number in range(60, 0, -1)]
    return [rows(ignored, call(SLEEP, 1500), *[rows(round_, call(SLEEP, 300))] * 4)] * count
