"""Objects: made from a free list or fresh memory, and freed with what their collections hold."""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.looking import look_again
from lockscape.machine.memory import remove_key
from lockscape.machine.tracing import note
from lockscape.program.layout import COLLECTION_WORDS, LOCK_WORDS, OBJECT_WORDS


@compiled
def new_object(m: Any, instance: int, number: int) -> int:
    """Take an object of a class from an instance's free list or from fresh memory; its fields are 0."""
    k = m[at.H_CLASS] + number * at.CLASS_WORDS
    words = m[k + at.K_WORDS]
    head = instance + at.I_SLOT + number
    place: int = 0 if m[k + at.K_TABLE] else m[head]
    if place and is_free(m, place, number) == 0:
        place = 0  # who wrote to a freed object has broken the list: what was on it is lost
    if place:
        m[head] = m[place + OBJECT_WORDS]
    else:
        place = m[at.H_BREAK]
        m[at.H_BREAK] = place + words
        m[place] = number
        m[k + at.K_MADE] += 1
    m[place + 1] += 1
    template = m[k + at.K_TEMPLATE]
    packed = m[k + at.K_COLLECTIONS]
    first = packed & 0xFFFF
    for i in range(OBJECT_WORDS, first):
        m[place + i] = m[template + i]
    # the lines of its parts are where the memory was last used; the memory of a collection is used again
    i = first
    for _ in range(packed >> 16):
        region = m[place + i + at.S_REGION]
        capacity = m[place + i + at.S_CAPACITY]
        for j in range(COLLECTION_WORDS):
            m[place + i + j] = m[template + i + j]
        if region:
            m[place + i + at.S_REGION] = region
            m[place + i + at.S_CAPACITY] = capacity
        m[place + i + at.S_WRITER] = m[place + 2]
        m[place + i + at.S_WRITER + 1] = m[place + 3]
        i += COLLECTION_WORDS
    for j in range(i, words):
        m[place + j] = 0
    i += place
    while i < place + words:
        m[i + at.L_WRITER] = m[place + 2]
        m[i + at.L_WRITER + 1] = m[place + 3]
        i += LOCK_WORDS
    return place


@compiled
def is_free(m: Any, place: int, number: int) -> int:
    """Return 1 for the address of a freed object of a class."""
    if place < at.HEAD_WORDS or place >= m[at.H_BREAK]:
        return 0
    return 1 if m[place] == number and m[place + 1] & 1 == 0 else 0


@compiled
def empty_collections(m: Any, place: int) -> None:
    """Give back the nodes of the collections of an object that is freed, and clear its bitmaps."""
    packed = m[m[at.H_CLASS] + m[place] * at.CLASS_WORDS + at.K_COLLECTIONS]
    owner = place + (packed & 0xFFFF)
    for _ in range(packed >> 16):
        if m[owner + at.S_KIND] == at.BITMAP:
            if m[owner + at.S_REGION]:
                for i in range((m[owner + at.S_CAPACITY] + 31) >> 5):
                    m[m[owner + at.S_REGION] + i] = 0
        else:
            node = m[owner + at.S_FIRST]
            while node:
                remove_key(m, owner, m[node])
                if m[owner + at.S_FIRST] == node:
                    # who changed it when it was freed already has broken its index: what it held is lost
                    m[owner + at.S_FIRST] = m[owner + at.S_LAST] = m[owner + at.S_COUNT] = 0
                node = m[owner + at.S_FIRST]
        owner += COLLECTION_WORDS


@compiled
def make(m: Any, trace: Any, r: int, fp: int, v: int, t: int, target: int, number: int) -> int:
    """Make an object of a class, its address in register `target`. Return 0, or -1 - reason."""
    words = m[m[at.H_CLASS] + number * at.CLASS_WORDS + at.K_WORDS]
    if m[at.H_BREAK] + words > m[at.H_SIZE]:
        return -1 - at.REASON_MEMORY
    place = new_object(m, m[v + at.V_INSTANCE], number)
    m[fp + target] = place
    look_again(m, place, words, t, m[v + at.V_PROCESSOR])  # at a lock of what was freed meanwhile
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_NEW, place, number, at.NONE)
    return 0


@compiled
def free(m: Any, trace: Any, r: int, v: int, t: int, place: int) -> int:
    """Free an object. Return 0, or -1 - reason."""
    if place <= 0:
        return -1 - at.REASON_NULL
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_FREE, place, m[place], at.NONE)
    empty_collections(m, place)
    m[place + 1] += 1
    if m[m[at.H_CLASS] + m[place] * at.CLASS_WORDS + at.K_TABLE] == 0:
        head = m[v + at.V_INSTANCE] + at.I_SLOT + m[place]
        m[place + OBJECT_WORDS] = m[head]
        m[head] = place
    return 0
