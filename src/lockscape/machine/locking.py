"""Instructions on locks. Each returns the cycles that it takes, or -1 - reason.

`r` is the address of the instruction's row, `v` of the virtual processor, `p` the physical one's number,
`t` the time. What a lock is, is in its class' attributes (``A_…``).
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.ahead import let_go, press, stay
from lockscape.machine.compiled import compiled
from lockscape.machine.events import account
from lockscape.machine.frames import call_hook
from lockscape.machine.latency import woken
from lockscape.machine.looking import look_again, may_rest, rest
from lockscape.machine.memory import touch
from lockscape.machine.tracing import note
from lockscape.machine.waiters import drop_waiter, queue_waiter, release_spinners, release_spinners_ahead

WAITS = 1 << 60
"""Given instead of cycles by an acquisition that has to wait."""


@compiled
def acquire(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Take a lock, or take it again to the depth that was let go; WAITS if that cannot be now."""
    x = m[fp + code[r + 1]]
    if x <= 0:
        return -1 - at.REASON_NULL
    lock = x + code[r + 2]
    a = m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS
    shared = code[r + 4]
    ctx = m[v + at.V_CONTEXT]
    w = ctx + (at.C_SLEEPS if m[a + at.A_SLEEPS] else at.C_SPINS)
    me = v if m[a + at.A_PROCESSOR] else ctx
    owner = m[lock + at.L_OWNER]
    depth = 1
    if code[r + 6] >= 0:
        depth = m[fp + code[r + 6]]
    granted = m[w + at.W_GRANTED] == lock
    if depth == 0 or (code[r + 6] >= 0 and owner == me and not granted):
        # nothing was let go (a lock given to this context meanwhile is for where it waits for it); or a lock
        # of the processor passes to the context that now runs here
        if owner == me and m[a + at.A_PROCESSOR]:
            pass_on(m, code, trace, r, v, t, x, depth)
        return 0
    if granted:
        m[w + at.W_GRANTED] = 0
        if shared == 0:
            m[lock + at.L_DEPTH] = depth
    elif shared:
        if owner or (m[a + at.A_FAIR] and m[lock + at.L_FIRST]):
            return WAITS
        m[lock + at.L_READERS] += 1
    elif owner == me and m[a + at.A_RECURSIVE]:
        m[lock + at.L_DEPTH] += depth
        if m[at.H_TRACE]:
            note(m, trace, t, v, r, at.T_ACQUIRE, x, code[r + 2], code[r + 3] * 2 + shared)
        nested: int = code[r + 5]
        return nested
    elif (
        owner or m[lock + at.L_READERS] or (m[a + at.A_FAIR] and m[a + at.A_SLEEPS] and m[lock + at.L_FIRST])
    ):
        return WAITS
    else:
        m[lock + at.L_OWNER] = me
        m[lock + at.L_DEPTH] = depth
    return taken(m, code, trace, r, v, p, t, x, w, depth)


@compiled
def taken(m: Any, code: Any, trace: Any, r: int, v: int, p: int, t: int, x: int, w: int, depth: int) -> int:
    """Count a lock that was just taken, after waiting in `w` if at all; return the cycles that it takes."""
    lock = x + code[r + 2]
    q = m[at.H_STATISTICS] + code[r + 3] * at.STATISTIC_WORDS
    delay: int = touch(m, lock + at.L_WRITER, p, at.WRITES)
    if delay:
        m[q + at.Q_BOUNCED] += 1
    delay += code[r + 5]
    m[q + at.Q_ACQUIRED] += 1
    look_again(m, lock, 1, t, p)
    if m[w + at.W_SINCE]:
        waited = t - m[w + at.W_SINCE] + 1
        m[q + at.Q_WAIT] += waited
        m[q + at.Q_WAIT_MOST] = max(waited, m[q + at.Q_WAIT_MOST])
        m[w + at.W_SINCE] = 0
        if m[v + at.V_MODE] == at.SPIN:
            account(m, v, m[m[v + at.V_CONTEXT] + at.C_MODE], t)
    if code[r + 4]:
        m[q + at.Q_HELD] -= t
    else:
        m[lock + at.L_SINCE] = t
        if m[m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS + at.A_SEQUENCE]:
            m[lock + at.L_SEQUENCE] += 1
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_ACQUIRE, x, code[r + 2], code[r + 3] * 2 + code[r + 4])
        if depth != 1:
            note(m, trace, t, v, r, at.T_DEPTH, x, code[r + 2], depth)
    return delay


@compiled
def pass_on(m: Any, code: Any, trace: Any, r: int, v: int, t: int, x: int, depth: int) -> None:
    """Give a processor's lock the depth at which the context that now runs here holds it, perhaps none."""
    lock = x + code[r + 2]
    number = code[r + 3]
    a = m[at.H_LOCK] + number * at.ATTRIBUTE_WORDS
    m[lock + at.L_DEPTH] = depth
    if depth:
        if m[at.H_TRACE]:
            note(m, trace, t, v, r, at.T_DEPTH, x, code[r + 2], depth)
        return
    m[m[at.H_STATISTICS] + number * at.STATISTIC_WORDS + at.Q_HELD] += t - m[lock + at.L_SINCE]
    if m[at.H_FREE]:
        let_go(m, lock, a, t)
        m[lock + at.L_OWNER] = 0
        release_spinners_ahead(m, code, lock, a, t, at.UNSEEN)
    else:
        m[lock + at.L_OWNER] = 0
        release_spinners(m, code, lock, a, t, at.UNSEEN)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_RELEASE, x, code[r + 2], number * 2 + code[r + 4])


@compiled
def wait(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Wait for a lock: look again after a while, spin until it is given (INFINITY), or sleep.

    Who only tries goes on, and is told the holder's processor.
    The running context's next row (C_PC) is that of the acquisition, or the kernel's function that sleeps.
    """
    x = m[fp + code[r + 1]]
    lock = x + code[r + 2]
    a = m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS
    q = m[at.H_STATISTICS] + code[r + 3] * at.STATISTIC_WORDS
    shared = code[r + 4]
    ctx = m[v + at.V_CONTEXT]
    if code[r + 7]:
        m[ctx + at.C_PC] += 1
        m[fp + code[r + 7] - 1] = 1 + holder_cpu(m, lock, m[a + at.A_PROCESSOR])
        looked: int = touch(m, lock + at.L_WRITER, p, at.READS)
        return looked
    sleeps = m[a + at.A_SLEEPS]
    w = ctx + (at.C_SLEEPS if sleeps else at.C_SPINS)
    if m[w + at.W_SINCE] == 0:
        m[w + at.W_SINCE] = t + 1
        m[q + at.Q_CONTENDED] += 1
    touch(m, lock + at.L_WRITER, p, at.READS)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WAIT, x, code[r + 2], code[r + 3] * 2 + shared)
    owner = m[lock + at.L_OWNER]
    looks = 0
    if sleeps and m[a + at.A_SPIN] and owner and shared == 0 and m[owner + at.C_VIRTUAL]:
        looks = m[at.H_POLL] if t + 1 - m[w + at.W_SINCE] < m[a + at.A_SPIN] else 0
    if m[at.H_FREE]:
        if looks:
            stay(m, v)
        looks = max(looks, press(m, code, v, lock, a, t))
    spins = 1 if looks or sleeps == 0 else 0
    spin_mode(m, v, t, spins)
    if looks:
        m[at.H_STEPS] -= 1  # a look is no step
        if may_rest(m, v, p):
            looks = rest(m, v, lock, t, m[a + at.A_SPIN] - (t + 1 - m[w + at.W_SINCE]))
        return looks
    queue_waiter(m, lock, w, shared)
    if sleeps == 0:
        m[v + at.V_STATE] = at.SPINNING
        return at.INFINITY
    m[q + at.Q_SLEPT] += 1
    frame = call_hook(m, v, at.I_BLOCK)
    if frame == 0:
        return -1 - at.REASON_STACK
    m[frame] = m[owner + at.C_PROCESS] if owner else 0  # whom a kernel with turnstiles asks for
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_BLOCK, x, code[r + 2], code[r + 3] * 2 + shared)
    return 0


@compiled
def holder_cpu(m: Any, lock: int, by_processor: int) -> int:
    """Return the number of the processor where the holder of a lock runs, 0 if it runs nowhere."""
    owner = m[lock + at.L_OWNER]
    v = owner if by_processor or owner == 0 else m[owner + at.C_VIRTUAL]
    cpu: int = m[v + at.V_NUMBER] if v else 0
    return cpu


@compiled
def spin_mode(m: Any, v: int, t: int, spins: int) -> None:
    """Let a virtual processor's time from now on count as spinning, or as what it was before."""
    ctx = m[v + at.V_CONTEXT]
    mode = m[v + at.V_MODE]
    if spins and mode != at.SPIN:
        m[ctx + at.C_MODE] = mode
        account(m, v, at.SPIN, t)
    elif spins == 0 and mode == at.SPIN:
        account(m, v, m[ctx + at.C_MODE], t)


@compiled
def release(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Release a lock, or let it go whatever its depth and keep that in a register."""
    x = m[fp + code[r + 1]]
    if x <= 0:
        return -1 - at.REASON_NULL
    lock = x + code[r + 2]
    a = m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS
    q = m[at.H_STATISTICS] + code[r + 3] * at.STATISTIC_WORDS
    shared = code[r + 4]
    count = 1
    if code[r + 6] >= 0:
        # the context keeps the depth; a processor's lock stays with it, and what was given to this context
        # since it went to sleep for it is for where it waits
        ctx = m[v + at.V_CONTEXT]
        me = v if m[a + at.A_PROCESSOR] else ctx
        given = m[ctx + at.C_SLEEPS + at.W_GRANTED] == lock
        count = m[lock + at.L_DEPTH] if m[lock + at.L_OWNER] == me and not given else 0
        m[fp + code[r + 6]] = count
        if count == 0 or m[a + at.A_PROCESSOR]:
            return 0
    elif (m[lock + at.L_READERS] if shared else m[lock + at.L_OWNER]) == 0:
        return -1 - at.REASON_NOT_HELD
    delay: int = code[r + 5] + touch(m, lock + at.L_WRITER, p, at.WRITES)
    if shared:
        m[lock + at.L_READERS] -= 1
        m[q + at.Q_HELD] += t
    else:
        m[lock + at.L_DEPTH] -= count
        if m[lock + at.L_DEPTH] == 0:
            m[lock + at.L_OWNER] = 0
            m[q + at.Q_HELD] += t - m[lock + at.L_SINCE]
            if m[a + at.A_SEQUENCE]:
                m[lock + at.L_SEQUENCE] += 1
    look_again(m, lock, 1, t, p)
    if m[lock + at.L_FIRST] and m[a + at.A_SLEEPS] == 0:
        release_spinners(m, code, lock, a, t, at.UNSEEN)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_RELEASE, x, code[r + 2], code[r + 3] * 2 + shared)
    return delay


@compiled
def wake_first(m: Any, code: Any, trace: Any, r: int, v: int, t: int, x: int) -> int:
    """Call the kernel's function that wakes the first process that sleeps for a lock, if it can have it.

    Readers are woken one after the other: the instruction is executed again. A fair lock is given to it.
    """
    lock = x + code[r + 2]
    w = m[lock + at.L_FIRST]
    if w == 0 or m[lock + at.L_OWNER] or (m[w + at.W_SHARED] == 0 and m[lock + at.L_READERS]):
        return 0
    waiter = m[w + at.W_CONTEXT]
    again = m[w + at.W_SHARED]
    frame = call_hook(m, v, at.I_WAKE)
    if frame == 0:
        return -1 - at.REASON_STACK
    m[frame - 1] -= again
    drop_waiter(m, w)
    m[w + at.W_LOCK] = at.UNGRANTED
    if m[m[at.H_LOCK] + code[r + 3] * at.ATTRIBUTE_WORDS + at.A_FAIR]:
        m[w + at.W_GRANTED] = lock
        if again:
            m[lock + at.L_READERS] += 1
        else:
            m[lock + at.L_OWNER] = waiter
            m[lock + at.L_DEPTH] = 1
        look_again(m, lock, 1, t, m[v + at.V_PROCESSOR])
    m[frame] = m[waiter + at.C_PROCESS]
    woken(m, waiter, t)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WAKE, x, code[r + 2], waiter)
    return 0


@compiled
def grant(m: Any, ctx: int) -> None:
    """Let a context go on that was taken off the queue of a sleeping lock: who wakes it needs it no more."""
    if ctx and m[ctx + at.C_SLEEPS + at.W_LOCK] == at.UNGRANTED:
        m[ctx + at.C_SLEEPS + at.W_LOCK] = 0


@compiled
def begin_retry(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Begin to read under a sequence lock, whose number goes into a register; look again while it is odd."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return -1 - at.REASON_NULL
    lock = x + code[r + 3]
    delay: int = touch(m, lock + at.L_WRITER, p, at.READS)
    number = m[lock + at.L_SEQUENCE]
    spin_mode(m, v, t, number & 1)
    if number & 1:
        m[m[v + at.V_CONTEXT] + at.C_PC] -= 1
        m[at.H_STEPS] -= 1  # a look is no step
        if m[at.H_FREE]:
            stay(m, v)
        delay += m[at.H_POLL]
        return delay
    m[fp + code[r + 1]] = number
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SEQ, x, code[r + 3], code[r + 4] * 2)
    return delay


@compiled
def end_retry(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """End reading under a sequence lock: begin again if its number has changed."""
    x = m[fp + code[r + 2]]
    lock = x + code[r + 3]
    done = 1 if m[lock + at.L_SEQUENCE] == m[fp + code[r + 1]] else 0
    if done == 0:
        m[m[v + at.V_CONTEXT] + at.C_PC] = code[r + 5]
        m[m[at.H_STATISTICS] + code[r + 4] * at.STATISTIC_WORDS + at.Q_CONTENDED] += 1
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_RETRY, x, code[r + 3], code[r + 4] * 2 + done)
    delay: int = touch(m, lock + at.L_WRITER, p, at.READS)
    return delay
