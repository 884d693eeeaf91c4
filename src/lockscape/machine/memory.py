"""Compiled helpers of the engine that work on the machine's memory alone: cache lines and collections.

Each takes the one array `m`. They are called from the engine's loop only where its fast path does not do.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled

SLOTS_PER_LINE = 8
"""Entries of 16 bytes in a line of 128 bytes (Pentium 4)."""

BITS_PER_WORD = 32
"""Slots of a bitmap that one word holds."""
_FIRST_SLOTS = 64


@compiled
def touch(m: Any, line: int, processor: int, write: int) -> int:
    """Access a cache line; return the cycles lost. `line` is the address of its (writer, sharers) words.

    A read of a line that this processor's group does not share costs a transfer (a memory access if nobody
    has it); a write also takes it from all others.
    """
    bit = 1 << (processor >> m[at.H_SHARER_SHIFT])
    writer = m[line]
    sharers = m[line + 1]
    cost = 0
    if sharers == bit and write and writer and writer != processor + 1:
        # another processor of this group wrote last (beyond 62 processors a bit stands for several)
        cost = m[at.H_TRANSFER]
        m[at.H_TRANSFERS] += 1
    elif sharers & bit:
        if write and sharers != bit:
            cost = m[at.H_UPGRADE]
    elif sharers:
        cost = m[at.H_TRANSFER]
        m[at.H_TRANSFERS] += 1
        if writer and ((writer - 1) >> m[at.H_NODE_SHIFT]) != (processor >> m[at.H_NODE_SHIFT]):
            cost = cost * m[at.H_REMOTE] // 100
    else:
        cost = m[at.H_MEMORY]
    if write:
        m[line] = processor + 1
        m[line + 1] = bit
    else:
        m[line + 1] = sharers | bit
    return cost


@compiled
def bucket(m: Any, owner: int, key: int) -> int:
    """Return the address of the index bucket for a key of a collection. Products stay below 2**63."""
    h = (key & 0x7FFFFFFF) * 2654435 + owner * 40503
    return m[at.H_HASH] + ((h ^ (h >> 15)) & m[at.H_HASH_MASK])


@compiled
def node_of(m: Any, owner: int, key: int) -> int:
    """Return the node of a key, or 0."""
    node = m[bucket(m, owner, key)]
    while node and (m[node + at.N_KEY] != key or m[node + at.N_OWNER] != owner):
        node = m[node + at.N_CHAIN]
    return node


@compiled
def bit_of(m: Any, owner: int, index: int) -> int:
    """Return 1 if a bit of a bitmap is set."""
    if m[owner + at.S_REGION] == 0 or index < 0 or index >= m[owner + at.S_CAPACITY]:
        return 0
    return (m[m[owner + at.S_REGION] + (index >> 5)] >> (index & 31)) & 1


@compiled
def line_of(m: Any, owner: int, key: int, node: int) -> int:
    """Return the cache line that an operation on one key touches: of its slot, word or hash bucket."""
    kind = m[owner + at.S_KIND]
    region = m[owner + at.S_REGION]
    if region == 0 or kind == 0:
        return owner + at.S_WRITER
    if kind == at.SLOTTED:
        slot = m[node + at.N_SLOT] if node else 0
        return region + m[owner + at.S_CAPACITY] + 2 * (slot >> 3)
    if kind == at.BITMAP:
        return region + ((m[owner + at.S_CAPACITY] + 31) >> 5) + 2 * (key >> 10)
    return region + 2 * ((key & 0x7FFFFFFF) % m[owner + at.S_PARAMETER])


@compiled
def room_needed(m: Any, owner: int) -> int:
    """Return an upper bound of the words that one insertion takes from fresh memory."""
    kind = m[owner + at.S_KIND]
    need = at.NODE_WORDS
    if kind == at.SLOTTED:
        need += 2 * (m[owner + at.S_CAPACITY] + _FIRST_SLOTS) * 2
    elif kind == at.BITMAP:
        need += m[owner + at.S_CAPACITY]
    elif kind == at.HASHED:
        need += 2 * m[owner + at.S_PARAMETER]
    return need


@compiled
def fresh_words(m: Any, words: int) -> int:
    """Take zeroed memory from the end of what is used. The engine has checked that there is room."""
    place = m[at.H_BREAK]
    m[at.H_BREAK] = place + words
    return place


@compiled
def prepare(m: Any, owner: int) -> None:
    """Give a collection its region at first use, and more slots when it is full."""
    kind = m[owner + at.S_KIND]
    if m[owner + at.S_REGION] == 0:
        if kind == at.HASHED:
            m[owner + at.S_REGION] = fresh_words(m, 2 * m[owner + at.S_PARAMETER])
        elif kind == at.BITMAP:
            words = (m[owner + at.S_CAPACITY] + 31) >> 5
            m[owner + at.S_REGION] = fresh_words(m, words + 2 * (m[owner + at.S_CAPACITY] // 1024 + 1))
        elif kind == at.SLOTTED:
            m[owner + at.S_CAPACITY] = _FIRST_SLOTS
            m[owner + at.S_REGION] = fresh_words(m, _FIRST_SLOTS + 2 * (_FIRST_SLOTS // SLOTS_PER_LINE))
    elif kind == at.SLOTTED and m[owner + at.S_COUNT] == m[owner + at.S_CAPACITY]:
        old = m[owner + at.S_REGION]
        size = m[owner + at.S_CAPACITY]
        region = fresh_words(m, 2 * size + 2 * (2 * size // SLOTS_PER_LINE))
        for k in range(size):
            m[region + k] = m[old + k]
        for k in range(2 * (size // SLOTS_PER_LINE)):
            m[region + 2 * size + k] = m[old + size + k]
        m[owner + at.S_REGION] = region
        m[owner + at.S_CAPACITY] = 2 * size


@compiled
def free_slot(m: Any, owner: int) -> int:
    """Return the lowest free slot. The parameter word remembers below which all are taken."""
    region = m[owner + at.S_REGION]
    slot = m[owner + at.S_PARAMETER]
    while slot < m[owner + at.S_CAPACITY] and m[region + slot]:
        slot += 1
    m[owner + at.S_PARAMETER] = slot
    return slot


@compiled
def insert_key(m: Any, owner: int, key: int, value: int) -> int:
    """Store a value under a key; return its node. A key that is there gets the new value."""
    kind = m[owner + at.S_KIND]
    if m[owner + at.S_REGION] == 0 or kind == at.SLOTTED:
        prepare(m, owner)
    if kind == at.BITMAP:
        if 0 <= key < m[owner + at.S_CAPACITY] and not bit_of(m, owner, key):
            m[m[owner + at.S_REGION] + (key >> 5)] |= 1 << (key & 31)
            m[owner + at.S_COUNT] += 1
        return 0
    node = node_of(m, owner, key)
    if node:
        m[node + at.N_VALUE] = value
        return node
    node = m[at.H_NODES]
    if node:
        m[at.H_NODES] = m[node + at.N_CHAIN]
    else:
        node = fresh_words(m, at.NODE_WORDS)
    place = bucket(m, owner, key)
    m[node + at.N_KEY] = key
    m[node + at.N_VALUE] = value
    m[node + at.N_OWNER] = owner
    m[node + at.N_CHAIN] = m[place]
    m[place] = node
    if kind == at.SLOTTED:
        slot = free_slot(m, owner)
        m[m[owner + at.S_REGION] + slot] = node
        m[node + at.N_SLOT] = slot
    append(m, owner, node)
    m[owner + at.S_COUNT] += 1
    return node


@compiled
def append(m: Any, owner: int, node: int) -> None:
    """Link a node at the tail."""
    last = m[owner + at.S_LAST]
    m[node + at.N_PREVIOUS] = last
    m[node + at.N_NEXT] = 0
    if last:
        m[last + at.N_NEXT] = node
    else:
        m[owner + at.S_FIRST] = node
    m[owner + at.S_LAST] = node


@compiled
def unlink(m: Any, owner: int, node: int) -> None:
    """Take a node out of the order."""
    before = m[node + at.N_PREVIOUS]
    behind = m[node + at.N_NEXT]
    if before:
        m[before + at.N_NEXT] = behind
    else:
        m[owner + at.S_FIRST] = behind
    if behind:
        m[behind + at.N_PREVIOUS] = before
    else:
        m[owner + at.S_LAST] = before


@compiled
def remove_key(m: Any, owner: int, key: int) -> int:
    """Take a key out; return its value, or 0 (for a bitmap 1 if the bit was set)."""
    if m[owner + at.S_KIND] == at.BITMAP:
        if not bit_of(m, owner, key):
            return 0
        m[m[owner + at.S_REGION] + (key >> 5)] &= ~(1 << (key & 31))
        m[owner + at.S_COUNT] -= 1
        return 1
    place = bucket(m, owner, key)
    node = m[place]
    before = 0
    while node and (m[node + at.N_KEY] != key or m[node + at.N_OWNER] != owner):
        before = node
        node = m[node + at.N_CHAIN]
    if node == 0:
        return 0
    if before:
        m[before + at.N_CHAIN] = m[node + at.N_CHAIN]
    else:
        m[place] = m[node + at.N_CHAIN]
    if m[owner + at.S_KIND] == at.SLOTTED:
        slot = m[node + at.N_SLOT]
        m[m[owner + at.S_REGION] + slot] = 0
        m[owner + at.S_PARAMETER] = min(m[owner + at.S_PARAMETER], slot)
    unlink(m, owner, node)
    m[owner + at.S_COUNT] -= 1
    value = m[node + at.N_VALUE]
    m[node + at.N_CHAIN] = m[at.H_NODES]
    m[at.H_NODES] = node
    return value


@compiled
def next_free(m: Any, owner: int, goal: int) -> int:
    """Return the first clear bit at or after `goal`, wrapping around, or -1."""
    size = m[owner + at.S_CAPACITY]
    if m[owner + at.S_COUNT] >= size or size == 0:
        return -1
    region = m[owner + at.S_REGION]
    index = goal if 0 <= goal < size else 0
    if region == 0:
        return index
    while (m[region + (index >> 5)] >> (index & 31)) & 1:
        if (index & 31) == 0 and m[region + (index >> 5)] == 0xFFFFFFFF:
            index += 32
        else:
            index += 1
        if index >= size:
            index = 0
    return index


@compiled
def passed(m: Any, owner: int, key: int, start: int, what: int) -> int:
    """Return how many positions a search passes: what its cost is multiplied by.

    `what`: 0 look for the key, from position `start` if that is not negative; 1 look for a clear bit from
    goal `key`; 2 look for the place of an insertion.
    """
    kind = m[owner + at.S_KIND]
    count = m[owner + at.S_COUNT]
    if kind == at.HASHED:
        return 1 + count // m[owner + at.S_PARAMETER]
    if kind == at.BITMAP:
        if what != 1:
            return 0
        found = next_free(m, owner, key)
        words = (m[owner + at.S_CAPACITY] + 31) >> 5
        goal = key if 0 <= key < m[owner + at.S_CAPACITY] else 0
        if found < 0 or (found < goal and found >> 5 == goal >> 5):
            return words + 1  # all of them, and the first again
        return ((found >> 5) - (goal >> 5)) % words + 1
    if kind == at.SLOTTED:
        if what == 2:
            if m[owner + at.S_REGION] == 0:
                return 0
            return min(free_slot(m, owner), count)
        node = node_of(m, owner, key)
        if node == 0:
            return count
        slot = min(m[node + at.N_SLOT], count - 1)
        return slot + 1 if start < 0 else (slot - min(start, count - 1)) % count + 1
    if what == 2:
        return 0
    place = m[owner + at.S_FIRST]
    steps = 1
    while place and m[place + at.N_KEY] != key:
        place = m[place + at.N_NEXT]
        steps += 1
    return steps if place else count
