"""Runs a machine to its end: budget after budget, growing memory, reading the trace, reporting faults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import LockscapeError
from lockscape.machine import layout as at
from lockscape.machine.compiled import PLAIN, prepare
from lockscape.machine.engine import run, run_free
from lockscape.machine.state import State
from lockscape.program.assemble import row_text

BUDGET = 200_000 if PLAIN else 20_000_000
"""Instructions between two looks at the outside."""

MOST_AT_ONCE = 2 * BUDGET
"""More instructions at one point of time are taken for a loop."""

MOST_WORDS = 1 << 27
"""One gigabyte of memory: a run that needs more is refused."""

_WHY = {
    at.REASON_STUCK: "no processor has anything left to do, yet not all processes are done",
    at.REASON_NULL: "an object that does not exist was used",
    at.REASON_STACK: "a context's stack is full",
    at.REASON_RUNNING: "a processor switched to a process that another one runs",
    at.REASON_ILLEGAL: "an instruction that means nothing here",
    at.REASON_DIVISION: "a division by zero",
    at.REASON_NOT_HELD: "a lock was released that nobody held",
    at.REASON_RANGE: "a number outside its range: a bit, time, operand, object, processor or vector",
    at.REASON_BUSY: "a device was asked for service while it serves",
    at.REASON_UNBALANCED: "interrupts or preemption were switched on more often than off",
}


class RunError(LockscapeError):
    """A simulated run could not go on."""


@dataclass(frozen=True)
class Stopped:
    """Why a run stopped: `reason` is one of machine.layout's ``REASON_…``; `text` says it in words."""

    reason: int
    text: str
    pc: int


TraceReader = Callable[[NDArray[np.int64]], None]
"""Takes rows of the trace, an array of shape (rows, `TRACE_COLUMNS`), as they come."""


def execute(
    state: State,
    until: int = at.INFINITY,
    reader: TraceReader | None = None,
    progress: Callable[[State], None] | None = None,
    trace_rows: int = 1 << 16,
) -> Stopped:
    """Run a machine until all its processes are done, or `until` (cycles), or it cannot go on.

    `reader` is given the rows of the trace, in order, int64 of shape (rows, TRACE_COLUMNS); `progress` is
    called after each budget. Raises `RunError` when memory would exceed one gigabyte.
    """
    m: Any
    m, code, work = state.flat()
    engine = run_free if m[at.H_FREE] else run
    prepare(engine)
    trace = np.zeros(trace_rows * at.TRACE_COLUMNS if reader else at.TRACE_COLUMNS, np.int64)
    buffer = trace.tolist() if PLAIN else trace
    m[at.H_TRACE], m[at.H_TRACE_END] = int(reader is not None), trace_rows
    columns = state.work.shape[1] if state.work.ndim == 2 else 1
    last_time, last_steps = -1, 0
    while True:
        reason = int(engine(m, code, work, columns, buffer, BUDGET, until))
        if reader is not None:
            rows = np.array(buffer[: int(m[at.H_TRACED]) * at.TRACE_COLUMNS], np.int64)
            reader(rows.reshape(-1, at.TRACE_COLUMNS))
            m[at.H_TRACED] = 0
        state.m = np.array(m, np.int64) if PLAIN else m
        if progress is not None:
            progress(state)
        if reason not in (at.REASON_MEMORY, at.REASON_BUDGET, at.REASON_TRACE):
            return _stopped(state, reason)
        if reason == at.REASON_MEMORY:
            m = _grown(m)
            state.m = np.array(m, np.int64) if PLAIN else m
        if int(m[at.H_TIME]) != last_time:
            last_time, last_steps = int(m[at.H_TIME]), int(m[at.H_STEPS])
        elif int(m[at.H_STEPS]) - last_steps > MOST_AT_ONCE:
            pc = _next_row(state)
            text = f"a loop that costs no time never ends ({row_text(state.binary, pc)})"
            return Stopped(at.REASON_STUCK, text, pc)


def _grown(m: Any) -> Any:
    size = 2 * len(m)
    bigger = m + [0] * len(m) if PLAIN else np.concatenate([m, np.zeros(len(m), np.int64)])
    if size > MOST_WORDS:
        raise RunError("the run needs more than one gigabyte: fewer processes or files")
    bigger[at.H_SIZE] = size - 4096
    return bigger


def _next_row(state: State) -> int:
    """Return the row of code that the processor whose turn it is executes next."""
    m = state.m
    leaf = int(m[m[at.H_TREE] + 1]) & ((1 << at.LEAF_BITS) - 1)
    processor = int(m[at.H_PROCESSOR]) + (leaf - int(m[at.H_DEVICES])) * at.PROCESSOR_WORDS
    return int(m[m[m[processor + at.P_RUNS] + at.V_CONTEXT] + at.C_PC])


def _stopped(state: State, reason: int) -> Stopped:
    if reason in (at.REASON_DONE, at.REASON_TIME):
        return Stopped(reason, "", 0)
    pc = int(state.m[at.H_FAULT_PC])
    return Stopped(reason, f"{_WHY[reason]} ({row_text(state.binary, pc)})", pc)
