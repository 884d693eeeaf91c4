"""The trace: rows of what happened, for the fault detector."""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.program.layout import ROW

MOST_ROWS = 8
"""Rows that an instruction, or an interrupt, writes at most."""


@compiled
def note(m: Any, trace: Any, t: int, v: int, r: int, kind: int, place: int, offset: int, value: int) -> None:
    """Write one row of the trace, on the instruction whose first word is `r`."""
    k = m[at.H_TRACED] * at.TRACE_COLUMNS
    trace[k] = t
    trace[k + 1] = m[v + at.V_INDEX]
    trace[k + 2] = m[v + at.V_CONTEXT]
    trace[k + 3] = r // ROW
    trace[k + 4] = kind
    trace[k + 5] = place
    trace[k + 6] = offset
    trace[k + 7] = value
    m[at.H_TRACED] += 1


@compiled
def room(m: Any) -> int:
    """Return how many instructions can be executed before the trace may be full; many if there is none."""
    if m[at.H_TRACE] == 0:
        return at.INFINITY
    free: int = m[at.H_TRACE_END] - m[at.H_TRACED]
    return free // MOST_ROWS - 1
