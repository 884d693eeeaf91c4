"""Ways into the kernel and back: calls that the machine makes, interrupts, system calls.

The running context's next row and frame are in its memory (C_PC, C_FRAME) before and after each of these.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.attempts import give_up
from lockscape.machine.compiled import compiled
from lockscape.machine.events import account, earliest
from lockscape.machine.latency import BEGUN, count_time, entry_frame, handled, responded, waited
from lockscape.machine.tracing import note
from lockscape.machine.waiters import give_way
from lockscape.program.layout import FRAME_HEAD, ROW

MARGIN = 64
"""Registers that the stack must have free beyond a new frame."""


@compiled
def enter_frame(m: Any, ctx: int, end: int, size: int, mode: int, remaining: int) -> int:
    """Push a frame on a context's stack, from `end` on; return its address."""
    new: int = end + FRAME_HEAD
    m[new - 1] = m[ctx + at.C_PC]
    m[new - 2] = m[ctx + at.C_FRAME]
    m[new - 3] = -1
    m[new - 4] = size
    m[new - 5] = remaining
    m[new - 6] = mode
    m[ctx + at.C_FRAME] = new
    return new


@compiled
def call_hook(m: Any, v: int, hook: int) -> int:
    """Call a function of the kernel: `hook` is I_BLOCK or I_WAKE. Return its frame, 0 for want of stack."""
    ctx = m[v + at.V_CONTEXT]
    word = m[v + at.V_INSTANCE] + hook
    fp = m[ctx + at.C_FRAME]
    end = fp + m[fp - 4]
    if end + m[word + 1] + FRAME_HEAD + MARGIN >= m[ctx + at.C_LIMIT]:
        return 0
    new: int = enter_frame(m, ctx, end, m[word + 1], at.NONE, at.NONE)
    m[ctx + at.C_PC] = m[word]
    return new


@compiled
def due_vector(m: Any, v: int) -> int:
    """Return the vector that is due first."""
    vector = 0
    while m[v + at.V_DUE + vector] != m[v + at.V_NEXT]:
        vector += 1
    return vector


@compiled
def interrupt(m: Any, code: Any, trace: Any, v: int, now: int) -> int:
    """Enter the handler of the vector that is due. Return the reason for which that cannot be, or -1."""
    ctx = m[v + at.V_CONTEXT]
    if m[v + at.V_TRY]:
        give_up(m, trace, m[ctx + at.C_PC] * ROW, v, now)
        m[v + at.V_TIME] = now
    fp = m[ctx + at.C_FRAME]
    pc = m[ctx + at.C_PC]
    vector = due_vector(m, v)
    due = m[v + at.V_NEXT]
    handler = m[v + at.V_INSTANCE] + at.I_VECTOR + 2 * vector
    size = m[handler + 1]
    k = fp + m[fp - 4]
    if m[handler] < 0 or k + at.INTERRUPT_WORDS + FRAME_HEAD + size + MARGIN >= m[ctx + at.C_LIMIT]:
        m[at.H_FAULT_PC] = pc
        m[at.H_FAULT_VIRTUAL] = v
        m[at.H_FAULT_VALUE] = vector
        return at.REASON_STACK if m[handler] >= 0 else at.REASON_RANGE
    if vector == 0 and m[v + at.V_PERIOD]:
        m[v + at.V_DUE] += m[v + at.V_PERIOD]
    else:
        m[v + at.V_DUE + vector] = at.INFINITY
    earliest(m, v)
    remaining = m[v + at.V_TIME] - now
    mode = m[v + at.V_MODE]
    if m[v + at.V_STATE] == at.HALTED:
        remaining = 0
        mode = at.KERNEL
    elif give_way(m, code, ctx, now):
        remaining = 0
    if m[at.H_TRACE]:
        note(m, trace, now, v, pc * ROW, at.T_INTERRUPT, vector, at.NONE, mode)
    # below the handler's frame: the wait that it came into, for it may wait for locks itself
    m[k] = m[ctx + at.C_SPINS + at.W_GRANTED]
    m[k + 1] = m[ctx + at.C_SPINS + at.W_SINCE]
    m[k + 2] = m[ctx + at.C_MODE]
    m[k + 3] = vector
    m[k + 4] = due + 1
    waited(m, v, BEGUN + vector, now - due)
    m[ctx + at.C_SPINS + at.W_GRANTED] = 0
    m[ctx + at.C_SPINS + at.W_SINCE] = 0
    enter_frame(m, ctx, k + at.INTERRUPT_WORDS, size, mode + 2 * at.ENTERED, remaining)
    m[ctx + at.C_PC] = m[handler]
    m[v + at.V_STATE] = at.RUNNING
    m[v + at.V_MASK] = 1
    account(m, v, at.INTERRUPT, now)
    return -1


@compiled
def system_call(m: Any, code: Any, trace: Any, r: int, v: int, t: int) -> int:
    """Enter the kernel from user mode. Return 0, or -1 - reason."""
    ctx = m[v + at.V_CONTEXT]
    fp = m[ctx + at.C_FRAME]
    new = fp + code[r + 2]
    hook = m[v + at.V_INSTANCE]
    if new + m[hook + at.I_ENTRY_FRAME] + MARGIN >= m[ctx + at.C_LIMIT]:
        return -1 - at.REASON_STACK
    m[new - 1] = m[ctx + at.C_PC]
    m[new - 2] = fp
    m[new - 3] = code[r + 3]
    m[new - 4] = m[hook + at.I_ENTRY_FRAME]
    m[new - 5] = t + 1
    m[new - 6] = m[v + at.V_MODE] + at.ENTERED
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_CALL, m[new], at.NONE, m[v + at.V_MODE])
    m[ctx + at.C_FRAME] = new
    m[ctx + at.C_PC] = m[hook + at.I_ENTRY]
    account(m, v, at.KERNEL, t)
    return 0


@compiled
def return_from_entry(m: Any, code: Any, trace: Any, r: int, v: int, t: int) -> int:
    """Go back to user mode, or to what was interrupted; return the cycles that this still has to compute."""
    ctx = m[v + at.V_CONTEXT]
    fp = m[ctx + at.C_FRAME]
    result = code[r + 1] if code[r + 2] else m[fp + code[r + 1]]
    mode = m[fp - 6]
    interrupted = mode >= 2 * at.ENTERED
    target = m[fp - 3]
    delay = 0
    if interrupted:
        delay = m[fp - 5]
        handled(m, v, fp, t)
        k = fp - FRAME_HEAD - at.INTERRUPT_WORDS
        m[ctx + at.C_SPINS + at.W_GRANTED] = m[k]
        m[ctx + at.C_SPINS + at.W_SINCE] = m[k + 1]
        m[ctx + at.C_MODE] = m[k + 2]
        m[v + at.V_MASK] -= 1
    else:
        count_call(m, ctx, m[fp], m[fp - 5], t)
        if mode & (at.ENTERED - 1) == at.USER:
            responded(m, v, ctx, t)
    m[ctx + at.C_PC] = m[fp - 1]
    m[ctx + at.C_FRAME] = m[fp - 2]
    if target >= 0 and not interrupted:
        m[m[fp - 2] + target] = result
    account(m, v, mode & (at.ENTERED - 1), t)
    if m[at.H_TRACE]:
        kind = at.T_RETURN if interrupted else at.T_CALL_END
        note(m, trace, t, v, r, kind, at.NONE, at.NONE, mode & (at.ENTERED - 1))
    return delay


@compiled
def count_call(m: Any, ctx: int, number: int, began: int, t: int) -> None:
    """Add a system call that ends to what its kind took. `began`: its time + 1, 0 for what is no call."""
    if began > 0 and number >= 0 and number < at.CALL_KINDS and m[ctx + at.C_CALLS]:
        count_time(m, m[at.H_CALLS] + number * at.HISTOGRAM_WORDS, t + 1 - began)


@compiled
def entered_from_user(m: Any, fp: int) -> int:
    """Return 1 if the entry that a frame lies above came from user mode."""
    k = entry_frame(m, fp)
    return 1 if m[k - 6] & (at.ENTERED - 1) == at.USER else 0
