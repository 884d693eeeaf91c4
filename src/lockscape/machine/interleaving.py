"""What the parties of a fault did around it, row by row of the trace."""

import numpy as np
from numpy.typing import NDArray

from lockscape.machine import layout as at
from lockscape.machine.findings import Fault
from lockscape.machine.places import Place, Places
from lockscape.machine.state import State

_DEEDS = {
    at.T_READ: "reads", at.T_WRITE: "writes", at.T_ACQUIRE: "takes", at.T_RELEASE: "releases",
    at.T_WAIT: "waits for", at.T_BLOCK: "sleeps for", at.T_NEW: "allocates", at.T_FREE: "frees",
}  # fmt: skip


def interleaving(state: State, rows: NDArray[np.int64], fault: Fault, around: int) -> list[str]:
    """Return what the parties of a fault did within `around` cycles of it, a line for each row of the trace.

    `rows`: the trace, or the part of it around the fault, int64 of shape (rows, TRACE_COLUMNS). A line tells
    time, processor, process, deed, and the listing's line.
    """
    places = Places(state)
    times = [t for t in fault.times_cycles if t >= 0]
    near = np.zeros(len(rows), bool)
    for time in times:
        near |= np.abs(rows[:, 0] - time) <= around
    chosen = rows[near & np.isin(rows[:, 2], fault.contexts)]
    lines: list[str] = []
    last: tuple[int, int, Place, str] | None = None
    for time, virtual, ctx, pc, kind, place, offset, value in chosen.tolist():
        what = _deed(places, kind, place, offset, value)
        here = (virtual, ctx, places.place(pc), what)
        if here != last:
            lines.append(f"{time:>12}  processor {virtual}  {places.context(ctx)}  {here[2]}{what}")
        last = here
    return lines


def _deed(places: Places, kind: int, place: int, offset: int, value: int) -> str:
    """Return what a row of the trace says beyond its line of the listing."""
    if kind in (at.T_READ, at.T_WRITE):
        return f"  {_DEEDS[kind]} {places.part(place, offset)}"
    if kind in (at.T_ACQUIRE, at.T_RELEASE, at.T_WAIT, at.T_BLOCK):
        return f"  {_DEEDS[kind]} {places.lock(place, offset)}"
    if kind in (at.T_NEW, at.T_FREE):
        return f"  {_DEEDS[kind]} {places.object(place)}"
    if kind == at.T_SWITCH:
        return f"  switches to {places.context(value)}"
    return "  is interrupted" if kind == at.T_INTERRUPT else ""
