"""Processors and contexts: switching, halting, and virtual processors that a hypervisor runs.

The running context's next row and frame are in its memory (C_PC, C_FRAME) before and after each of these.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.events import account
from lockscape.machine.latency import handled, runs
from lockscape.machine.looking import look_for
from lockscape.machine.spawning import retire
from lockscape.machine.tracing import note
from lockscape.program.layout import OBJECT_WORDS, ROW

EXIT_INTERRUPT, EXIT_HALT = 1, 2
"""Why a virtual processor left to its hypervisor; a trap gives its own reason."""


@compiled
def switch(m: Any, trace: Any, r: int, v: int, t: int, process: int) -> int:
    """Let a virtual processor go on with the context of another process. Return 0, or -1 - reason."""
    if process <= 0:
        return -1 - at.REASON_NULL
    ctx = m[v + at.V_CONTEXT]
    new = m[process + OBJECT_WORDS]
    if new <= 0 or (new != ctx and m[new + at.C_VIRTUAL]):
        m[at.H_FAULT_VALUE] = process
        return -1 - (at.REASON_RUNNING if new > 0 else at.REASON_NULL)
    if new == ctx:
        return 0
    handled(m, v, m[ctx + at.C_FRAME], t)
    runs(m, v, new, t)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SWITCH, process, at.NONE, new)
    m[ctx + at.C_MASK] = m[v + at.V_MASK]
    m[ctx + at.C_ATOMIC] = m[v + at.V_ATOMIC]
    m[ctx + at.C_MODE] = m[v + at.V_MODE]
    m[ctx + at.C_VIRTUAL] = 0
    m[v + at.V_CONTEXT] = new
    m[new + at.C_VIRTUAL] = v
    m[v + at.V_MASK] = m[new + at.C_MASK]
    m[v + at.V_ATOMIC] = m[new + at.C_ATOMIC]
    account(m, v, m[new + at.C_MODE], t)
    retire(m, v, ctx)
    look_for(m, ctx, t, m[v + at.V_PROCESSOR])
    return 0


@compiled
def halt(m: Any, code: Any, trace: Any, r: int, v: int, root: int, t: int) -> int:
    """Wait for an interrupt; a guest's hypervisor takes the processor. Return the cycles: INFINITY, or 0."""
    m[v + at.V_MASK] = 0
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_HALT, at.NONE, at.NONE, at.NONE)
    m[v + at.V_STATE] = at.HALTED
    if root == v:
        account(m, v, at.IDLE, t)
        return at.INFINITY
    m[v + at.V_REMAINING] = -1
    leave_guest(m, code, v, root, t, EXIT_HALT)
    return 0


@compiled
def leave_guest(m: Any, code: Any, v: int, root: int, t: int, reason: int) -> None:
    """Take the processor from a virtual processor and let its hypervisor go on after its `run`."""
    ctx = m[v + at.V_CONTEXT]
    if m[v + at.V_MODE] != at.SPIN:
        m[ctx + at.C_MODE] = m[v + at.V_MODE]
    account(m, v, at.STOLEN, t)
    m[v + at.V_STATE] = at.AWAY
    m[m[at.H_PROCESSOR] + m[v + at.V_PROCESSOR] * at.PROCESSOR_WORDS + at.P_RUNS] = root
    m[v + at.V_PROCESSOR] = -1
    ctx = m[root + at.V_CONTEXT]
    account(m, root, m[ctx + at.C_MODE], t)
    m[m[ctx + at.C_FRAME] + code[(m[ctx + at.C_PC] - 1) * ROW + 1]] = reason
    m[root + at.V_STATE] = at.RUNNING
    m[root + at.V_TIME] = t


@compiled
def run_guest(m: Any, trace: Any, r: int, v: int, root: int, t: int, number: int) -> int:
    """Let a virtual processor go on. Return the cycles that it still computes, or -1 - reason."""
    if root != v or number < 0 or number >= m[at.H_VIRTUALS]:
        return -1 - (at.REASON_RANGE if root == v else at.REASON_ILLEGAL)
    guest = m[at.H_VIRTUAL] + number * at.VIRTUAL_WORDS
    if m[guest + at.V_STATE] != at.AWAY:
        return -1 - at.REASON_RUNNING
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_RUN, guest, at.NONE, m[guest + at.V_INDEX])
    m[m[v + at.V_CONTEXT] + at.C_MODE] = m[v + at.V_MODE]
    account(m, v, at.GUEST, t)
    p = m[v + at.V_PROCESSOR]
    m[m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS + at.P_RUNS] = guest
    m[guest + at.V_PROCESSOR] = p
    remaining: int = m[guest + at.V_REMAINING]
    if remaining < 0:
        m[guest + at.V_STATE] = at.HALTED
        account(m, guest, at.IDLE, t)
        return at.INFINITY
    m[guest + at.V_STATE] = at.RUNNING
    account(m, guest, m[m[guest + at.V_CONTEXT] + at.C_MODE], t)
    return remaining


@compiled
def trap(m: Any, code: Any, trace: Any, r: int, v: int, root: int, t: int, reason: int) -> int:
    """Let a virtual processor leave to its hypervisor, for a reason of its own. Return 0, or -1 - reason."""
    if root == v:
        return -1 - at.REASON_ILLEGAL
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_TRAP, root, at.NONE, m[root + at.V_INDEX])
    m[v + at.V_REMAINING] = 0
    leave_guest(m, code, v, root, t, reason)
    return 0
