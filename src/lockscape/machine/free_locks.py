"""Runs with free locks: what the engine does otherwise, each turn and at each lock (see `ahead`)."""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.ahead import is_ahead, let_go, stay, time_of
from lockscape.machine.compiled import compiled, variant
from lockscape.machine.locking import WAITS, acquire, release
from lockscape.machine.waiters import release_spinners_ahead

MOST_AHEAD = 1 << 25
"""Cycles: more than any section takes; who gets there waits in a loop for something that others do."""


@compiled
def clock_of(m: Any, v: int, now: int) -> int:
    """Return the clock of a virtual processor whose turn it is."""
    clock = now
    if is_ahead(m, v) and m[v + at.V_TIME] < at.INFINITY:
        clock = max(m[v + at.V_TIME], now)
    return clock


@compiled
def stop_ahead(m: Any, v: int, now: int, stop: int) -> int:
    """Return the clock up to which a processor may go on alone that could until `stop` if not ahead."""
    return now + MOST_AHEAD if is_ahead(m, v) else stop


@compiled
def next_turn(m: Any, v: int, now: int, t: int, when: int) -> int:
    """Return when a processor has its next turn that stops at `t` on its clock; `when` if not ahead."""
    if is_ahead(m, v) == 0 or t >= at.INFINITY:
        return when
    if t - now >= MOST_AHEAD:
        stay(m, v)
        return when
    return now


@compiled
def late(m: Any, lock: int, q: int, asked: int, t: int) -> int:
    """Return how long a lock, free by now, is still busy at `t`, by the clocks of who had it; count the wait.

    `q`: the statistics of its class; `asked`: when it was asked for.
    """
    until: int = m[lock + at.L_UNTIL]
    if asked >= until:
        m[lock + at.L_BUSY] = t
    if asked >= until or t >= until or asked < m[lock + at.L_BUSY]:
        return 0
    m[q + at.Q_CONTENDED] += 1
    m[q + at.Q_WAIT] += until - t
    m[q + at.Q_WAIT_MOST] = max(until - t, m[q + at.Q_WAIT_MOST])
    return until - t


@compiled
def acquire_ahead(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Take a lock as `acquire` does: at no cost if it is free, else not before it is by all clocks."""
    lock = m[fp + code[r + 1]] + code[r + 2]
    a = m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS
    q = m[at.H_STATISTICS] + code[r + 3] * at.STATISTIC_WORDS
    ctx = m[v + at.V_CONTEXT]
    since = m[ctx + (at.C_SLEEPS if m[a + at.A_SLEEPS] else at.C_SPINS) + at.W_SINCE]
    acquired, bounced = m[q + at.Q_ACQUIRED], m[q + at.Q_BOUNCED]
    m[at.H_NOW] = time_of(m, v, t)
    delay: int = acquire(m, code, trace, r, fp, v, p, t)
    if delay < 0 or delay == WAITS:
        return delay
    if m[a + at.A_FREE]:
        m[q + at.Q_BOUNCED] = bounced
        if code[r + 4]:
            m[ctx + at.C_AHEAD] += 1
        return 0
    if m[q + at.Q_ACQUIRED] > acquired:
        more = late(m, lock, q, since - 1 if since else t, t)
        delay += more
        if code[r + 4]:
            m[q + at.Q_HELD] -= more
        else:
            m[lock + at.L_SINCE] += more
    return delay


_release = compiled(variant(release, "release", release_spinners=release_spinners_ahead))


@compiled
def release_ahead(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Release a lock as `release` does: who ran ahead for it does so no more."""
    lock = max(m[fp + code[r + 1]], 0) + code[r + 2]
    a = m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS
    ctx = m[v + at.V_CONTEXT]
    drops = code[r + 6] >= 0
    m[at.H_NOW] = time_of(m, v, t)
    if code[r + 4]:
        if m[a + at.A_FREE]:
            m[ctx + at.C_AHEAD] = max(m[ctx + at.C_AHEAD] - 1, 0)
    elif drops:
        # a lock of the processor stays with it, and one that was given to who sleeps for it
        if m[lock + at.L_OWNER] == ctx and m[ctx + at.C_SLEEPS + at.W_GRANTED] != lock:
            let_go(m, lock, a, t)
    elif m[lock + at.L_OWNER] and m[lock + at.L_DEPTH] == 1:
        let_go(m, lock, a, t)
    delay: int = _release(m, code, trace, r, fp, v, p, t)
    return 0 if delay > 0 and m[a + at.A_FREE] else delay
