"""Contexts of processes that are made in a run: taken from an instance's spare ones, and given back.

All contexts are there before the run (`State.spare_contexts`), so that a trace knows them; one is used again
when its process has ended and its processor has switched away from it for good.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.tracing import note
from lockscape.program.layout import OBJECT_WORDS


@compiled
def spawn(m: Any, trace: Any, r: int, v: int, t: int, process: int, rows: int) -> int:
    """Give a process a spare context, with the next rows of the running context's workload.

    Return 1, or 0 if there is none, or -1 - reason.
    """
    if process <= 0:
        return -1 - at.REASON_NULL
    instance = m[v + at.V_INSTANCE]
    parent = m[v + at.V_CONTEXT]
    first = m[parent + at.C_WORK]
    if rows < 0 or first + rows > m[parent + at.C_WORK_END]:
        return -1 - at.REASON_RANGE
    new = m[instance + at.I_SPARE]
    if new == 0:
        return 0
    m[instance + at.I_SPARE] = m[new + at.C_SPARE]
    begin_anew(m, new, m[instance + at.I_TEMPLATE])
    m[new + at.C_SPARE] = at.SPAWNED
    m[new + at.C_PROCESS] = process
    m[new + at.C_WORK] = first
    m[new + at.C_WORK_END] = first + rows
    m[parent + at.C_WORK] = first + rows
    m[process + OBJECT_WORDS] = new
    m[at.H_LIVE] += 1
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SPAWN, process, at.NONE, new)
    return 1


@compiled
def begin_anew(m: Any, new: int, template: int) -> None:
    """Make a context as its template is, but for the statistics of its calls."""
    moved = new - template
    m[new + at.C_PC] = m[template + at.C_PC]
    m[new + at.C_FRAME] = m[template + at.C_FRAME] + moved
    m[new + at.C_MASK] = m[template + at.C_MASK]
    m[new + at.C_ATOMIC] = 0
    m[new + at.C_MODE] = m[template + at.C_MODE]
    m[new + at.C_DONE] = 0
    m[new + at.C_WOKEN] = m[new + at.C_CAUSE] = 0
    for word in range(at.C_STACK, m[template + at.C_FRAME] - template):
        m[new + word] = m[template + word]
    below = m[m[template + at.C_FRAME] - 2]
    m[m[new + at.C_FRAME] - 2] = below + moved if below else 0


@compiled
def retire(m: Any, v: int, ctx: int) -> None:
    """A processor has switched away from a context: if its process has ended, it is free for a new one."""
    if m[ctx + at.C_DONE] and m[ctx + at.C_SPARE] == at.SPAWNED:
        instance = m[v + at.V_INSTANCE]
        m[ctx + at.C_SPARE] = m[instance + at.I_SPARE]
        m[instance + at.I_SPARE] = ctx
