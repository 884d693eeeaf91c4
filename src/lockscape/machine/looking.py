"""Who spins on a lock that sleeps (an adaptive mutex): it looks at the lock again every few cycles.

Such looks change nothing while the lock, and whether its owner runs, stay as they are. So nobody looks for
nothing: a looker rests until one of the two changes, until it has spun long enough or until an interrupt, and
goes on where it would have looked next. All looks of a rest fall on its beginning plus a multiple of H_POLL.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.events import set_event


@compiled
def may_rest(m: Any, v: int, p: int) -> int:
    """Return 1 if nobody can see whether a virtual processor looks or rests.

    A trace tells each look; who runs ahead of time looks at others' clocks; a hypervisor may take the
    processor between any two looks; an interrupt that takes no time to come may find it before or behind a
    look of the same time.
    """
    if m[at.H_TRACE] or m[at.H_FREE] or m[at.H_SIGNAL] == 0:
        return 0
    return 1 if m[m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS + at.P_ROOT] == v else 0


@compiled
def rest(m: Any, v: int, lock: int, t: int, spin: int) -> int:
    """Let a looker rest that has just looked at a lock, at `t`, and has `spin` cycles to do so yet.

    Return the cycles until it gives up looking.
    """
    m[v + at.V_LOOKS] = lock
    m[v + at.V_LOOKED] = t
    m[v + at.V_LOOKER] = m[at.H_LOOKER]
    m[at.H_LOOKER] = v
    poll = m[at.H_POLL]
    cycles: int = min((spin + poll - 1) // poll * poll, at.INFINITY)
    return cycles


@compiled
def end_rest(m: Any, v: int, now: int) -> None:
    """Let a looker go on, whose next look is the first one not before `now`."""
    poll = m[at.H_POLL]
    since = m[v + at.V_LOOKED]
    m[v + at.V_TIME] = since + max((now - since + poll - 1) // poll, 1) * poll
    m[v + at.V_LOOKS] = 0
    before = 0
    x = m[at.H_LOOKER]
    while x != v:
        before = x
        x = m[x + at.V_LOOKER]
    if before:
        m[before + at.V_LOOKER] = m[v + at.V_LOOKER]
    else:
        m[at.H_LOOKER] = m[v + at.V_LOOKER]


@compiled
def look_again(m: Any, place: int, words: int, t: int, p: int) -> None:
    """Let those go on who look at a lock that lies there and that processor `p` has changed at `t`.

    Each sees that at its next look; at the same time the lower number comes first, as everywhere.
    """
    v = m[at.H_LOOKER]
    while v:
        behind = m[v + at.V_LOOKER]
        if m[v + at.V_LOOKS] >= place and m[v + at.V_LOOKS] < place + words:
            own = m[v + at.V_PROCESSOR]
            end_rest(m, v, t if own > p else t + 1)
            when = m[v + at.V_TIME]
            if m[v + at.V_MASK] == 0 and m[v + at.V_NEXT] < when:
                when = max(m[v + at.V_NEXT], t)
            leaf = own + m[at.H_DEVICES]
            set_event(m, leaf, (when << at.LEAF_BITS) | leaf)
        v = behind


@compiled
def look_for(m: Any, owner: int, t: int, p: int) -> None:
    """Let those go on who look at locks of a context that processor `p` has let go at `t`."""
    v = m[at.H_LOOKER]
    while v:
        lock = m[v + at.V_LOOKS]
        v = m[v + at.V_LOOKER]
        if m[lock + at.L_OWNER] == owner:
            look_again(m, lock, 1, t, p)
            v = m[at.H_LOOKER]  # others of the same lock have left the list
