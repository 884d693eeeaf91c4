"""What is due: the tree of events, interrupts of virtual processors, and how they spend their time.

Each physical processor and each device is a leaf of the tree and has one next event, packed with its number:
``time << 11 | leaf``. A node keeps the lower of its two children.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled

LEAF_MASK = (1 << at.LEAF_BITS) - 1
"""The bits of an event's key that say whose it is."""
NEVER = at.INFINITY << at.LEAF_BITS
"""The key of who has no event."""


@compiled
def set_event(m: Any, leaf: int, key: int) -> None:
    """Set the time of a leaf's next event and let the tree of winners know."""
    tree = m[at.H_TREE]
    i = m[at.H_LEAVES] + leaf
    m[tree + i] = key
    while i > 1:
        key = min(key, m[tree + (i ^ 1)])
        i >>= 1
        m[tree + i] = key


@compiled
def stop_at(m: Any, leaf: int, v: int, root: int) -> int:
    """Return the time before which the processor of `leaf` may go on alone: others' events, interrupts."""
    tree = m[at.H_TREE]
    i = m[at.H_LEAVES] + leaf
    limit = m[at.H_UNTIL] << at.LEAF_BITS
    while i > 1:
        limit = min(limit, m[tree + (i ^ 1)])
        i >>= 1
    stop: int = (limit >> at.LEAF_BITS) + (1 if leaf < (limit & LEAF_MASK) else 0)
    if m[v + at.V_MASK] == 0 and m[v + at.V_NEXT] < stop:
        stop = m[v + at.V_NEXT]
    if root != v and m[root + at.V_NEXT] < stop:
        stop = m[root + at.V_NEXT]
    return stop


@compiled
def account(m: Any, v: int, mode: int, t: int) -> None:
    """Add the time since the last change to a virtual processor's mode, and change it."""
    m[v + at.V_CYCLES + m[v + at.V_MODE]] += t - m[v + at.V_SINCE]
    m[v + at.V_SINCE] = t
    m[v + at.V_MODE] = mode


@compiled
def earliest(m: Any, v: int) -> None:
    """Find when a virtual processor's next interrupt is due."""
    best = at.INFINITY
    for k in range(at.VECTORS):
        if m[v + at.V_DUE + k] < best:
            best = m[v + at.V_DUE + k]
    m[v + at.V_NEXT] = best


@compiled
def raise_vector(m: Any, v: int, vector: int, due: int, t: int) -> int:
    """Make an interrupt due on a virtual processor; return the leaf whose event moved, or -1."""
    if due < m[v + at.V_DUE + vector]:
        m[v + at.V_DUE + vector] = due
        m[v + at.V_NEXT] = min(m[v + at.V_NEXT], due)
    p = m[v + at.V_PROCESSOR]
    if m[v + at.V_STATE] == at.AWAY or p < 0:
        return -1
    leaf: int = p + m[at.H_DEVICES]
    # an interrupt of a hypervisor takes the processor from its guest, whatever the hypervisor masked
    if m[v + at.V_MASK] == 0 or m[m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS + at.P_RUNS] != v:
        when = max(m[v + at.V_NEXT], t)
        if when << at.LEAF_BITS < m[m[at.H_TREE] + m[at.H_LEAVES] + leaf]:
            set_event(m, leaf, (when << at.LEAF_BITS) | leaf)
            return leaf
    return -1
