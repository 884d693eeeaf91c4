"""How long interrupts and processes wait: counted where the machine enters handlers and switches contexts.

An interrupt waits from when it is due until its handler begins, which others' masking delays; and until it is
handled: until the handler returns, or gives the processor to another process. That includes what the handler
waits for. A process waits from being woken until it runs. Who was woken by an interrupt has *responded* to it
when it is back in user mode, whatever it waited for on the way.

Times are counted in a histogram whose buckets are as narrow as a time is short: below 32 cycles one for each
number of cycles, above that sixteen for each power of two.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.program.layout import FRAME_HEAD

BEGUN, HANDLED, RUNS, RESPONDED = 0, 8, 16, 17
"""Numbers of what is counted; an interrupt's vector is added to the first two."""


@compiled
def bucket(cycles: int) -> int:
    """Return the number of the bucket that a time belongs to."""
    shift = 0
    while cycles >= 2 << at.EXACT_BITS:
        cycles >>= 1
        shift += 1
    return (shift << at.EXACT_BITS) + cycles


@compiled
def count_time(m: Any, k: int, cycles: int) -> None:
    """Add a time to the histogram at an address."""
    m[k + at.E_TOTAL] += cycles
    m[k + at.E_MOST] = max(m[k + at.E_MOST], cycles)
    m[k + at.E_BUCKETS + bucket(cycles)] += 1


@compiled
def waited(m: Any, v: int, number: int, cycles: int) -> None:
    """Count a wait of a kind on a virtual processor."""
    if m[m[v + at.V_INSTANCE] + at.I_NUMBER]:
        number += at.EVENT_KINDS
    count_time(m, m[at.H_EVENTS] + number * at.HISTOGRAM_WORDS, cycles)


@compiled
def woken(m: Any, ctx: int, t: int) -> int:
    """A process is woken: it waits from now on, unless it runs or waits already. Return 1 if so."""
    if ctx > 0 and m[ctx + at.C_VIRTUAL] == 0 and m[ctx + at.C_WOKEN] == 0:
        m[ctx + at.C_WOKEN] = t + 1
        return 1
    return 0


@compiled
def called(m: Any, v: int, fp: int, ctx: int, t: int) -> None:
    """A process is woken by a call in a frame of what runs on `v`: by the interrupt that this is part of.

    What an interrupt woke passes it on: a process of the kernel that does the rest of the work. A message of
    another instance is no interrupt that anybody responds to.
    """
    if woken(m, ctx, t):
        k = entry_frame(m, fp)
        if m[k - FRAME_HEAD] < 2 * at.ENTERED:
            m[ctx + at.C_CAUSE] = m[m[v + at.V_CONTEXT] + at.C_CAUSE]
        elif (m[m[v + at.V_INSTANCE] + at.I_MESSAGES] >> m[k - FRAME_HEAD - 2]) & 1:
            m[ctx + at.C_CAUSE] = 0
        else:
            m[ctx + at.C_CAUSE] = m[k - FRAME_HEAD - 1]


@compiled
def responded(m: Any, v: int, ctx: int, t: int) -> None:
    """A context is back in user mode; one that does another's calls has not responded by that."""
    if m[ctx + at.C_CAUSE] and m[ctx + at.C_CALLS]:
        waited(m, v, RESPONDED, t + 1 - m[ctx + at.C_CAUSE])
        m[ctx + at.C_CAUSE] = 0


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
