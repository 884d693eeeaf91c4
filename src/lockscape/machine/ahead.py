"""Locks that cost nothing: whoever asks for one that is held has its holder finish at that instant.

A lock class may be *free* (`LockClass.free`): a bound for what-ifs. To take and to release it costs nothing,
and nobody waits for it while its holder can go on. Its sections are done one after the other, as the data
need it, but their time passes side by side: who asks for the lock has the holder *run ahead*. At that very
instant it executes all that it does until it has released the lock, on a clock of its own that is then ahead
of the others', and goes on only when time has come there. A holder whom nobody asks does not run ahead.

All other locks cost what they cost. Who runs ahead and needs one that is held has its holder run ahead,
too, and goes on, on its own clock, when the holder's clock releases it. Who asks for a lock at a time at
which others who ran ahead have had it already waits until the last of them has released it, on its clock
(L_BUSY, L_UNTIL): the lock is as busy as it would be, only that who ran ahead came first.

Readers of a free lock run ahead from the start, for nobody could tell who they are. These run ahead no more,
and then others wait for a free lock, which its statistics show: who looks again and again until something
changes, who ends its process or halts, who is far ahead (MOST_AHEAD); and holders cannot run ahead
who sleep, are a hypervisor's guests, or wait for readers of a lock that is not free.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.events import set_event
from lockscape.program.layout import ROW


@compiled
def is_ahead(m: Any, v: int) -> int:
    """Return for how many locks a virtual processor runs ahead."""
    count: int = m[v + at.V_AHEAD] + m[m[v + at.V_CONTEXT] + at.C_AHEAD]
    return count


@compiled
def stay(m: Any, v: int) -> None:
    """Let a virtual processor run ahead no more: it goes on when time has come to its clock."""
    m[v + at.V_AHEAD] = 0
    m[m[v + at.V_CONTEXT] + at.C_AHEAD] = 0


@compiled
def time_of(m: Any, v: int, t: int) -> int:
    """Return what time it is for all when it is `t` on the clock of the virtual processor that executes."""
    time: int = m[at.H_NOW] if is_ahead(m, v) else t
    return time


@compiled
def hurry(m: Any, code: Any, lock: int, a: int, now: int) -> int:
    """Have the holder of a lock run ahead until it has released it, and those whom it waits for itself.

    Return 1 if that lets somebody go on who did not run ahead before.
    """
    while lock and m[lock + at.L_OWNER]:
        owner = m[lock + at.L_OWNER]
        v = owner if m[a + at.A_PROCESSOR] else m[owner + at.C_VIRTUAL]
        word = owner + (at.V_AHEAD if m[a + at.A_PROCESSOR] else at.C_AHEAD)
        if v == 0 or m[v + at.V_PROCESSOR] < 0 or (m[lock + at.L_HURRIED] and m[word]):
            return 0
        p = m[v + at.V_PROCESSOR]
        if m[m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS + at.P_ROOT] != v:
            return 0
        m[lock + at.L_HURRIED] = 1
        m[word] += 1
        if m[v + at.V_STATE] == at.RUNNING:
            leaf = p + m[at.H_DEVICES]
            set_event(m, leaf, (now << at.LEAF_BITS) | leaf)
            return 1
        if m[v + at.V_STATE] != at.SPINNING:
            return 0
        ctx = m[v + at.V_CONTEXT]
        lock = m[ctx + at.C_SPINS + at.W_LOCK]
        a = m[at.H_LOCK] + code[m[ctx + at.C_PC] * ROW + 3] * at.ATTRIBUTE_WORDS
    return 0


@compiled
def let_go(m: Any, lock: int, a: int, t: int) -> None:
    """A lock is released at `t` on the clock of its holder, who runs ahead for it no more."""
    if m[lock + at.L_SINCE] >= m[lock + at.L_BUSY]:
        m[lock + at.L_UNTIL] = t
    elif t >= m[lock + at.L_BUSY]:  # it was taken before, by clocks, what others did first
        m[lock + at.L_BUSY] = m[lock + at.L_SINCE]
        m[lock + at.L_UNTIL] = max(t, m[lock + at.L_UNTIL])
    if m[lock + at.L_HURRIED]:
        m[lock + at.L_HURRIED] = 0
        word = m[lock + at.L_OWNER] + (at.V_AHEAD if m[a + at.A_PROCESSOR] else at.C_AHEAD)
        m[word] = max(m[word] - 1, 0)


@compiled
def hand_on(m: Any, code: Any, lock: int, a: int, now: int) -> None:
    """A lock was given to the first of its waiters: it runs ahead if somebody who must not wait is behind."""
    w = m[lock + at.L_FIRST]
    while w:
        ctx = m[w + at.W_CONTEXT]
        if m[a + at.A_FREE] or m[ctx + at.C_AHEAD] or m[m[ctx + at.C_VIRTUAL] + at.V_AHEAD]:
            hurry(m, code, lock, a, now)
            return
        w = m[w + at.W_NEXT]


@compiled
def goes_on_at(m: Any, v: int, w: int, a: int, seen: int, now: int) -> int:
    """Return the clock at which a waiter goes on to which a lock was given that it sees free at `seen`."""
    since = m[w + at.W_SINCE] - 1
    clock = seen
    if m[a + at.A_FREE]:
        clock = max(since, now)
    elif is_ahead(m, v):
        clock = max(since, seen)
    return clock


@compiled
def press(m: Any, code: Any, v: int, lock: int, a: int, t: int) -> int:
    """Somebody has to wait for a lock who should not: have its holder run ahead.

    Return the cycles after which to look again for a lock whose waiters else sleep, or 0 not to look.
    """
    ahead = is_ahead(m, v)
    if m[a + at.A_FREE] == 0 and (ahead == 0 or m[a + at.A_SLEEPS]):
        return 0
    now = time_of(m, v, t)
    goes_on = hurry(m, code, lock, a, now)
    if m[a + at.A_SLEEPS] == 0:
        return 0
    owner = m[lock + at.L_OWNER]
    if owner == 0 or m[owner + (at.V_CONTEXT if m[a + at.A_PROCESSOR] else at.C_VIRTUAL)] == 0:
        return 0
    if ahead:
        stay(m, v)
    poll: int = m[at.H_POLL]
    return 1 if goes_on else poll
