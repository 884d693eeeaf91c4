"""How long interrupts and processes wait: counted where the machine enters handlers and switches contexts.

An interrupt waits from when it is due until its handler begins, which others' masking delays; and until it is
handled: until the handler returns, or gives the processor to another process. That includes what the handler
waits for. A process waits from being woken until it runs.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.program.layout import FRAME_HEAD

BEGUN, HANDLED, RUNS = 0, 8, 16
"""Numbers of what is counted; an interrupt's vector is added."""


@compiled
def waited(m: Any, v: int, number: int, cycles: int) -> None:
    """Count a wait of a kind on a virtual processor."""
    if m[m[v + at.V_INSTANCE] + at.I_NUMBER]:
        number += at.LATENCY_KINDS
    k = at.H_LATENCY + number * at.LATENCY_COLUMNS
    m[k] += 1
    m[k + 1] += cycles
    m[k + 2] = max(m[k + 2], cycles)


@compiled
def woken(m: Any, ctx: int, t: int) -> None:
    """A process is woken: it waits from now on, unless it runs or waits already."""
    if ctx > 0 and m[ctx + at.C_VIRTUAL] == 0 and m[ctx + at.C_WOKEN] == 0:
        m[ctx + at.C_WOKEN] = t + 1


@compiled
def runs(m: Any, v: int, ctx: int, t: int) -> None:
    """A process goes on, on a virtual processor."""
    if m[ctx + at.C_WOKEN]:
        waited(m, v, RUNS, t + 1 - m[ctx + at.C_WOKEN])
        m[ctx + at.C_WOKEN] = 0


@compiled
def entry_frame(m: Any, fp: int) -> int:
    """Return the frame by which the kernel was last entered, from a frame downwards; else the lowest."""
    k = fp
    while m[k - FRAME_HEAD] < at.ENTERED and m[k - 2]:
        k = m[k - 2]
    return k


@compiled
def handled(m: Any, v: int, fp: int, t: int) -> None:
    """Control leaves a context whose running function has this frame, or a handler ends."""
    k = entry_frame(m, fp)
    since = k - FRAME_HEAD - 1
    if m[k - FRAME_HEAD] >= 2 * at.ENTERED and m[since]:
        waited(m, v, HANDLED + m[since - 1], t + 1 - m[since])
        m[since] = 0
