"""Instructions of lock-free sections: an attempt that writes nothing, and its commit by compare-and-swap.

A section on objects with versions is executed twice. First it is *attempted*: its reads and computations
take their time, its writes are left out. If no version has changed meanwhile it is done again, at one
instant, for good; what that takes is paid at its end: the lines that it writes, and the compare-and-swaps of
the words that it changes. Else it is attempted again. An interrupt abandons an attempt, which begins again
after the handler.

One word changed with one version takes a double compare-and-swap, where the hardware has it. Other commits
are multi-word compare-and-swaps of Harris, Fraser and Pratt (DISC 2002): of k words they take 3 k + 1 single
ones, two of three to enter a word into the operation if it is still undecided; where the hardware compares
two words at once, one double one does that, which leaves k double and k + 1 single ones. Beside others,
words that are racy on purpose are written plainly and do not count.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.looking import look_again
from lockscape.machine.memory import bit_of, line_of, node_of, touch
from lockscape.machine.tracing import note
from lockscape.program import opcodes as op
from lockscape.program.layout import ROW


@compiled
def attempt(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, p: int, t: int) -> int:
    """Begin a section on an object with a version, or another version of the same section."""
    if m[v + at.V_TRY] == at.COMMITTING:
        note_entry(m, trace, t, v, r, m[v + at.V_TRY_OPEN], at.T_ACQUIRE)
        m[v + at.V_TRY_OPEN] += 1
        return 0
    x = m[fp + code[r + 1]]
    if x <= 0:
        return -1 - at.REASON_NULL
    if m[v + at.V_TRY] == 0:
        m[v + at.V_TRY] = at.TRYING
        m[v + at.V_TRY_PC] = r // ROW
        m[v + at.V_TRY_FRAME] = fp
        m[v + at.V_TRY_SINCE] = t
        m[v + at.V_TRY_OPEN] = 0
        m[v + at.V_TRY_COUNT] = 0
    number = m[v + at.V_TRY_COUNT]
    if number == at.MOST_TRIES:
        return -1 - at.REASON_RANGE
    k = v + at.V_TRIES + number * at.TRY_WORDS
    lock = x + code[r + 2]
    m[k], m[k + 1], m[k + 2], m[k + 3] = x, code[r + 2], code[r + 3], m[lock + at.L_SEQUENCE]
    m[v + at.V_TRY_COUNT] += 1
    m[v + at.V_TRY_OPEN] += 1
    note_entry(m, trace, t, v, r, number, at.T_SEQ)
    delay: int = touch(m, lock + at.L_WRITER, p, at.READS)
    return delay


@compiled
def note_entry(m: Any, trace: Any, t: int, v: int, r: int, number: int, kind: int) -> None:
    """Note something about one of the versions of an attempt."""
    if m[at.H_TRACE]:
        k = v + at.V_TRIES + number * at.TRY_WORDS
        note(m, trace, t, v, r, kind, m[k], m[k + 1], 2 * m[k + 2])


@compiled
def commit(m: Any, code: Any, trace: Any, r: int, v: int, p: int, t: int) -> int:
    """End a section on a version: of an attempt, commit it or begin it again; of a commit, pay for it."""
    m[v + at.V_TRY_OPEN] -= 1
    left = m[v + at.V_TRY_OPEN]
    if m[v + at.V_TRY] == at.COMMITTING:
        note_entry(m, trace, t, v, r, left, at.T_RELEASE)
        paid: int = 0 if left else pay(m, code, r, v, p, t)
        return paid
    if left:
        return 0
    changed = 0
    for number in range(m[v + at.V_TRY_COUNT]):
        k = v + at.V_TRIES + number * at.TRY_WORDS
        if m[m[k] + m[k + 1] + at.L_SEQUENCE] != m[k + 3]:
            changed = 1
            q = m[at.H_STATISTICS] + m[k + 2] * at.STATISTIC_WORDS
            m[q + at.Q_CONTENDED] += 1
            m[q + at.Q_WAIT] += t - m[v + at.V_TRY_SINCE]
            m[q + at.Q_WAIT_MOST] = max(m[q + at.Q_WAIT_MOST], t - m[v + at.V_TRY_SINCE])
            break
    give_up(m, trace, r, v, t)
    if changed:
        k = v + at.V_TRIES
        delay: int = code[r + 1] + touch(m, m[k] + m[k + 1] + at.L_WRITER, p, at.READS)
        return delay
    m[m[v + at.V_CONTEXT] + at.C_PC] += 1
    m[v + at.V_TRY] = at.COMMITTING
    m[v + at.V_TRY_OPEN] = 1
    m[v + at.V_TRY_WORDS] = 0
    m[v + at.V_TRY_DEBT] = 0
    note_entry(m, trace, t, v, m[v + at.V_TRY_PC] * ROW, at.NONE, at.T_ACQUIRE)
    return 0


@compiled
def give_up(m: Any, trace: Any, r: int, v: int, t: int) -> None:
    """End an attempt: its context goes on where it began."""
    for number in range(m[v + at.V_TRY_COUNT]):
        note_entry(m, trace, t, v, r, m[v + at.V_TRY_COUNT] - 1 - number, at.T_RETRY)
    ctx = m[v + at.V_CONTEXT]
    m[ctx + at.C_PC] = m[v + at.V_TRY_PC]
    m[ctx + at.C_FRAME] = m[v + at.V_TRY_FRAME]
    m[v + at.V_TRY] = 0


@compiled
def pay(m: Any, code: Any, r: int, v: int, p: int, t: int) -> int:
    """End a commit: change the versions if anything was written, and return what all of it takes."""
    m[v + at.V_TRY] = 0
    delay: int = m[v + at.V_TRY_DEBT]
    versions = m[v + at.V_TRY_COUNT]
    words = m[v + at.V_TRY_WORDS]
    for number in range(versions):
        k = v + at.V_TRIES + number * at.TRY_WORDS
        q = m[at.H_STATISTICS] + m[k + 2] * at.STATISTIC_WORDS
        m[q + at.Q_ACQUIRED] += 1
        if words:
            lock = m[k] + m[k + 1]
            m[lock + at.L_SEQUENCE] += 2
            cost = touch(m, lock + at.L_WRITER, p, at.WRITES)
            look_again(m, lock, 1, t, p)
            if cost:
                m[q + at.Q_BOUNCED] += 1
            delay += cost
    if words:
        delay += swap_cycles(max(words % at.RACY_WORD, 1) + versions, code[r + 1], code[r + 2])
    return delay


@compiled
def swap_cycles(words: int, single: int, double: int) -> int:
    """Return the cycles to change so many words together. `double` is -1 where the hardware has none."""
    if double < 0:
        return (3 * words + 1) * single
    return double if words == 2 else words * double + (words + 1) * single


@compiled
def look(m: Any, code: Any, r: int, fp: int, p: int) -> int:
    """Attempt to change a collection: only look at its place. The result is what it would be."""
    removing = 1 if code[r] == op.REMOVE else 0
    x = m[fp + code[r + 1 + removing]]
    if x <= 0:
        return -1 - at.REASON_NULL
    s = x + code[r + 2 + removing]
    key = m[fp + code[r + 3 + removing]]
    node = 0
    if m[s + at.S_KIND] == at.BITMAP:
        if key < 0 or key >= m[s + at.S_CAPACITY]:
            return -1 - at.REASON_RANGE
        found = bit_of(m, s, key)
    else:
        node = node_of(m, s, key)
        found = m[node + at.N_VALUE] if node else 0
    if removing:
        if code[r + 1] >= 0:
            m[fp + code[r + 1]] = found
    elif code[r] == op.INSERT and code[r + 6] >= 0:
        m[fp + code[r + 6]] = 0 if found else 1
    delay: int = touch(m, line_of(m, s, key, node), p, at.READS)
    return delay
