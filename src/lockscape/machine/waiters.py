"""Who waits for a lock: its queue of waiters, and how a spin lock passes to the next of them."""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.ahead import goes_on_at, hand_on, is_ahead, let_go
from lockscape.machine.compiled import compiled, variant
from lockscape.machine.events import set_event
from lockscape.program.layout import ROW

FREES = False
"""Whether a run has free locks: a constant where `release_spinners` is compiled, as in the engine."""


@compiled
def queue_waiter(m: Any, lock: int, w: int, shared: int) -> None:
    """Put a wait (a context's spinning or its sleeping one) at the end of a lock's waiters."""
    last = m[lock + at.L_LAST]
    m[w + at.W_PREVIOUS] = last
    m[w + at.W_NEXT] = 0
    if last:
        m[last + at.W_NEXT] = w
    else:
        m[lock + at.L_FIRST] = w
    m[lock + at.L_LAST] = w
    m[lock + at.L_WAITERS] += 1
    m[w + at.W_LOCK] = lock
    m[w + at.W_SHARED] = shared


@compiled
def drop_waiter(m: Any, w: int) -> None:
    """Take a wait out of its lock's waiters."""
    lock = m[w + at.W_LOCK]
    before = m[w + at.W_PREVIOUS]
    behind = m[w + at.W_NEXT]
    if before:
        m[before + at.W_NEXT] = behind
    else:
        m[lock + at.L_FIRST] = behind
    if behind:
        m[behind + at.W_PREVIOUS] = before
    else:
        m[lock + at.L_LAST] = before
    m[lock + at.L_WAITERS] -= 1
    m[w + at.W_LOCK] = 0


@compiled
def go_on(m: Any, v: int, p: int, clock: int, when: int, now: int) -> None:
    """Let a processor that spun go on: its next turn is `when`, or that of an interrupt, from `now` on."""
    m[v + at.V_STATE] = at.RUNNING
    m[v + at.V_TIME] = clock
    if m[v + at.V_MASK] == 0 and m[v + at.V_NEXT] < when:
        when = max(m[v + at.V_NEXT], now)
    root = m[m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS + at.P_ROOT]
    if root != v and m[root + at.V_NEXT] < when:
        when = max(m[root + at.V_NEXT], now)
    leaf = p + m[at.H_DEVICES]
    set_event(m, leaf, (when << at.LEAF_BITS) | leaf)


@compiled
def release_spinners(m: Any, code: Any, lock: int, a: int, t: int, seen: int) -> None:
    """Give a spin lock to the processor that waits first, or with a reader to all waiting readers.

    It goes on when it has read the lock's line again, which every further waiter delays, for all read it
    (Anderson 1990); it then shares the line and need only take it from the others to write. If an interrupt
    comes first an unfair lock goes to the next (`give_way`), which sees it free at the time `seen`
    (negative: only now does the line start). Nothing happens while it is held. `a`: the attributes of its
    class; `t`: on the clock of who released it.
    """
    w = m[lock + at.L_FIRST]
    if w == 0 or m[lock + at.L_OWNER] or (m[lock + at.L_READERS] and m[w + at.W_SHARED] == 0):
        return
    if seen < 0:
        seen = t
        if not FREES or m[a + at.A_FREE] == 0:
            seen += m[at.H_TRANSFER] + m[at.H_HANDOVER] * (m[lock + at.L_WAITERS] - 1)
    m[lock + at.L_SINCE] = seen
    seen = max(seen, t)
    now = m[at.H_NOW] if FREES else t
    shared = m[w + at.W_SHARED]
    while w:
        behind = m[w + at.W_NEXT]
        if m[w + at.W_SHARED] == shared:
            ctx = m[w + at.W_CONTEXT]
            v = m[ctx + at.C_VIRTUAL]
            p = m[v + at.V_PROCESSOR]
            drop_waiter(m, w)
            m[w + at.W_GRANTED] = lock
            m[lock + at.L_SHARERS] |= 1 << (p >> m[at.H_SHARER_SHIFT])
            if not m[a + at.A_FAIR]:
                m[w + at.W_SHARED] = 2 + shared
            if shared:
                m[lock + at.L_READERS] += 1
            else:
                m[lock + at.L_OWNER] = v if m[a + at.A_PROCESSOR] else ctx
                m[lock + at.L_DEPTH] = 1
            clock = goes_on_at(m, v, w, a, seen, now) if FREES else seen
            go_on(m, v, p, clock, now if FREES and is_ahead(m, v) else clock, now)
            if not shared:
                if FREES:
                    hand_on(m, code, lock, a, now)
                return
        w = behind


release_spinners_ahead = compiled(variant(release_spinners, "release_spinners_ahead", FREES=True))
"""`release_spinners` in a run with free locks."""


@compiled
def give_way(m: Any, code: Any, ctx: int, t: int) -> int:
    """Let a context that spins, or to which an unfair lock was given, be interrupted; return 1 if it was one.

    It asks for the lock again afterwards, at the end of the waiters. What it no longer claims goes to others.
    """
    w = ctx + at.C_SPINS
    lock = m[w + at.W_LOCK]
    seen = -1
    a = m[at.H_LOCK] + code[m[ctx + at.C_PC] * ROW + 3] * at.ATTRIBUTE_WORDS
    if lock:
        drop_waiter(m, w)
    elif m[w + at.W_GRANTED] and m[w + at.W_SHARED] & 2:
        lock = m[w + at.W_GRANTED]
        if m[w + at.W_SHARED] & 1:
            m[lock + at.L_READERS] -= 1
        else:
            if m[at.H_FREE]:
                let_go(m, lock, a, m[lock + at.L_SINCE])
            m[lock + at.L_OWNER] = 0
            m[lock + at.L_DEPTH] = 0
        m[w + at.W_GRANTED] = 0
        seen = m[lock + at.L_SINCE]
    else:
        return 0
    if m[at.H_FREE]:
        release_spinners_ahead(m, code, lock, a, t, seen)
    else:
        release_spinners(m, code, lock, a, t, seen)
    return 1
