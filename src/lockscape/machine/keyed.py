"""Instructions on collections, and atomic ones on fields. Each returns its cycles, or -1 - reason.

`r` is the address of the instruction's row, `fp` of the running function's registers, `v` of the virtual
processor, `p` the physical one's number, `t` the time.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.memory import (
    append,
    bit_of,
    insert_key,
    line_of,
    next_free,
    node_of,
    passed,
    remove_key,
    room_needed,
    touch,
    unlink,
)  # fmt: skip
from lockscape.machine.tracing import note
from lockscape.program import opcodes as op

NULL = -1 - at.REASON_NULL
"""What an operation returns of an object that is none."""
RANGE = -1 - at.REASON_RANGE
"""What it returns of a place outside of a collection."""


@compiled
def search_cost(m: Any, code: Any, r: int, fp: int) -> int:
    """Return what a search costs: so much, and so much for each position that it passes."""
    x = m[fp + code[r + 1]]
    if x <= 0:
        return NULL
    delay: int = code[r + 5]
    each = code[r + 6]
    if each:
        start = m[fp + code[r + 4]] if code[r + 4] >= 0 else -1
        delay += each * passed(m, x + code[r + 2], m[fp + code[r + 3]], start, code[r + 7])
    return delay


@compiled
def find(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Look a key up, or a bit."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return NULL
    s = x + code[r + 3]
    key = m[fp + code[r + 4]]
    if m[s + at.S_KIND] == at.BITMAP:
        if key < 0 or key >= m[s + at.S_CAPACITY]:
            return RANGE
        node = 0
        found = bit_of(m, s, key)
    else:
        node = node_of(m, s, key)
        found = m[node + at.N_VALUE] if node else 0
    if code[r + 1] >= 0:
        m[fp + code[r + 1]] = found
    if m[at.H_TRACE]:
        note_found(m, trace, t, v, r, at.T_READ, x, code[r + 3], code[r + 5], found)
    delay: int = touch(m, line_of(m, s, key, node), p, at.READS)
    return delay


@compiled
def remove(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Take a key out, or clear a bit."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return NULL
    s = x + code[r + 3]
    key = m[fp + code[r + 4]]
    if m[s + at.S_KIND] == at.BITMAP and (key < 0 or key >= m[s + at.S_CAPACITY]):
        return RANGE
    line = line_of(m, s, key, node_of(m, s, key))
    found = remove_key(m, s, key)
    if code[r + 1] >= 0:
        m[fp + code[r + 1]] = found
    if m[at.H_TRACE]:
        note_found(m, trace, t, v, r, at.T_WRITE, x, code[r + 3], code[r + 5], found)
    delay: int = code[r + 6] + touch(m, line, p, at.WRITES)
    return delay


@compiled
def ask(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Ask a collection for a key's position or successor, its first, how many it has, or a clear bit."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return NULL
    s = x + code[r + 3]
    key = m[fp + code[r + 4]] if code[r + 4] >= 0 else 0
    first = m[s + at.S_FIRST]
    found = 0
    line = 0
    o = code[r]
    if o == op.POSITION:
        node = node_of(m, s, key)
        found = m[node + at.N_SLOT] if node else -1
    elif o == op.AFTER:
        node = node_of(m, s, key)
        found = m[m[node + at.N_NEXT] + at.N_VALUE] if node and m[node + at.N_NEXT] else 0
    elif o == op.FIRST_FREE:
        found = next_free(m, s, key)
        line = line_of(m, s, max(found, at.NONE), at.NONE)
    else:
        line = s + at.S_WRITER
        if o == op.COUNT:
            found = m[s + at.S_COUNT]
        elif first:
            found = m[first + at.N_VALUE] if o == op.FIRST else m[first]
    if code[r + 1] >= 0:
        m[fp + code[r + 1]] = found
    if m[at.H_TRACE]:
        note_found(m, trace, t, v, r, at.T_READ, x, code[r + 3], code[r + 5], found)
    if line == 0:
        return 0
    delay: int = touch(m, line, p, at.READS)
    return delay


@compiled
def note_found(
    m: Any, trace: Any, t: int, v: int, r: int, kind: int, x: int, offset: int, how: int, found: int
) -> None:
    """Note an access to a collection, and what came out of it."""
    note(m, trace, t, v, r, kind, x, offset, how)
    if found > 0:
        note(m, trace, t, v, r, at.T_GET, x, offset, found)


@compiled
def insert(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Store a value under a key, or set a bit."""
    x = m[fp + code[r + 1]]
    if x <= 0:
        return NULL
    s = x + code[r + 2]
    key = m[fp + code[r + 3]]
    value = m[fp + code[r + 4]]
    if m[s + at.S_KIND] == at.BITMAP and (key < 0 or key >= m[s + at.S_CAPACITY]):
        return RANGE
    if m[at.H_BREAK] + room_needed(m, s) > m[at.H_SIZE]:
        return -1 - at.REASON_MEMORY
    before = m[s + at.S_COUNT]
    node = insert_key(m, s, key, value)
    if code[r + 6] >= 0:
        m[fp + code[r + 6]] = m[s + at.S_COUNT] - before
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WRITE, x, code[r + 2], code[r + 5])
        note(m, trace, t, v, r, at.T_PUT, x, code[r + 2], m[fp + code[r + 4]])
    delay: int = code[r + 7] + touch(m, line_of(m, s, key, node), p, at.WRITES)
    return delay


@compiled
def to_tail(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Move a key to the end of the order."""
    x = m[fp + code[r + 1]]
    if x <= 0:
        return NULL
    s = x + code[r + 2]
    key = m[fp + code[r + 3]]
    if m[s + at.S_KIND] == at.BITMAP and (key < 0 or key >= m[s + at.S_CAPACITY]):
        return RANGE
    node = node_of(m, s, key)
    if node:
        unlink(m, s, node)
        append(m, s, node)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WRITE, x, code[r + 2], code[r + 5])
    delay: int = touch(m, line_of(m, s, key, node), p, at.WRITES)
    return delay


@compiled
def compare_and_swap(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Replace a field if it has the expected value."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return NULL
    field = x + code[r + 3]
    done = 1 if m[field] == m[fp + code[r + 4]] else 0
    if done:
        m[field] = m[fp + code[r + 5]]
    m[fp + code[r + 1]] = done
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WRITE if done else at.T_READ, x, code[r + 3], op.ATOMIC)
    delay: int = code[r + 6] + touch(m, x + 2, p, at.WRITES)
    return delay


@compiled
def compare_and_swap2(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Replace two fields if both have the expected values."""
    block = fp + code[r + 2]
    x = m[block]
    y = m[block + 3]
    if x <= 0 or y <= 0:
        return NULL
    delay: int = code[r + 6]
    if y != x:
        delay += touch(m, y + 2, p, at.WRITES)
    one = x + code[r + 3]
    other = y + code[r + 4]
    done = 1 if m[one] == m[block + 1] and m[other] == m[block + 4] else 0
    if done:
        m[one] = m[block + 2]
        m[other] = m[block + 5]
    m[fp + code[r + 1]] = done
    if m[at.H_TRACE]:
        kind = at.T_WRITE if done else at.T_READ
        note(m, trace, t, v, r, kind, y, code[r + 4], op.ATOMIC)
        note(m, trace, t, v, r, kind, x, code[r + 3], op.ATOMIC)
    delay += touch(m, x + 2, p, at.WRITES)
    return delay


@compiled
def swap(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Replace a field; give what it was."""
    x = m[fp + code[r + 2]]
    if x <= 0:
        return NULL
    field = x + code[r + 3]
    was = m[field]
    m[field] = m[fp + code[r + 4]]
    m[fp + code[r + 1]] = was
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_WRITE, x, code[r + 3], op.ATOMIC)
    delay: int = code[r + 6] + touch(m, x + 2, p, at.WRITES)
    return delay
