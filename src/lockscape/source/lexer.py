"""The compiled lexer: one pass over C source that finds calls of known names.

A place counts when a known identifier stands before ``(``, outside comments and literals. So the pass
jumps from one interesting byte to the next (eight at a time, bit tricks on 64-bit words) and looks
back from each ``(``; identifiers elsewhere are never read. What a place *is* (a call, a prototype or a
definition, the name or the body of a ``#define``) is told from the token before it.

The arrays are few and the hot loop is one function on purpose: handing arrays to helper functions costs
numba a reference count on each call. Helpers are called only where a known name was found.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lockscape.source.names import NameTable, name_table
from lockscape.source.tree import PADDING

CALL, DECLARATION, DEFINE_BODY, DEFINE_NAME, DIRECTIVE = range(5)
"""What a place is. DIRECTIVE is any preprocessor line other than ``#define``, such as ``#error``."""

FIELDS = 5
"""Columns of a place: file number, start of the name, name number, what it is, start of its ``#``."""

_KEYWORDS = ("return", "else", "do", "case", "goto", "sizeof", "typeof", "__typeof__", "default")
"""After these words an identifier and ``(`` are a call; after any other word a declaration."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba, releasing the interpreter's lock; cached on disk where that is possible."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder can be written: compile in memory, once per process
        return numba.njit(nogil=True)(function)


def load_lexer() -> None:
    """Compile the lexer or load it from numba's cache: before workers are forked, which then share it."""
    nothing = np.zeros(1, np.int64)
    find_places(name_table(("lock",)), np.zeros(PADDING, np.uint8), nothing, nothing)


def find_places(
    table: NameTable, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return every place of a known name in a buffer of files, int64 of shape (places, FIELDS).

    `data`, `starts` and `ends` are as in `Files`: starts are multiples of 8 and zeros follow each file.
    Offsets in the result count from the buffer's start.
    """
    capacity = 1 << 14
    while True:
        found = np.empty((capacity, FIELDS), np.int64)
        count = _find(
            data, data.view(np.uint64), starts, ends,
            table.slots, table.hashes, table.blob, table.offsets, table.ends, table.longest,
            _KEYWORD_BYTES, _WORD, _BIT, found,
        )  # fmt: skip
        if count <= capacity:
            return found[:count]
        capacity = 2 * count


_WORD = np.zeros(256, np.uint8)
for _c in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$":
    _WORD[_c] = 1

_ONES = 0x0101010101010101
_TOPS = 0x8080808080808080
_DE_BRUIJN = 0x03F79D71B4CB0A89
_BIT = np.zeros(64, np.int64)
for _i in range(64):
    _BIT[((1 << _i) * _DE_BRUIJN & (2**64 - 1)) >> 58] = _i >> 3

_KEYWORD_BYTES = np.frombuffer(b" ".join(k.encode() for k in _KEYWORDS) + b" ", np.uint8)


@compiled
def _back(data, gap_start, gap_end, low, at):  # type: ignore[no-untyped-def]
    """Step back from `at` over white space, spliced lines and the last comment; the end of a token."""
    while at > low:
        if at == gap_end:
            at = gap_start
            continue
        c = data[at - 1]
        if (
            c == 32
            or 9 <= c <= 13
            or (c == 92 and (data[at] == 10 or (data[at] == 13 and data[at + 1] == 10)))
        ):
            at -= 1
            continue
        break
    return at


@compiled
def _spliced(data, at):  # type: ignore[no-untyped-def]
    """Whether a backslash joins the line that ends at `at` to the next one, also before CR LF."""
    return data[at - 1] == 92 or (data[at - 1] == 13 and data[at - 2] == 92)


@compiled
def _escape(data, at):  # type: ignore[no-untyped-def]
    """Return how many bytes the escape at `at` takes; a backslash that joins lines comes first, as in C."""
    after = data[at + 1]
    if after == 13 and data[at + 2] == 10:
        return 3
    joins = data[at + 2] == 10 or (data[at + 2] == 13 and data[at + 3] == 10)
    return 1 if after == 92 and joins else 2


@compiled
def _starts_line(data, open_at, gap_end, low, at):  # type: ignore[no-untyped-def]
    """Whether only blanks and comments stand between the line's start and `at`."""
    while at > low:
        if at == gap_end:
            at = open_at
            continue
        c = data[at - 1]
        if c == 10:
            if not _spliced(data, at - 1):
                return True
            at -= 2
            continue
        if c != 32 and c != 92 and not 9 <= c <= 13:
            return False
        if c == 92 and data[at] != 10 and not (data[at] == 13 and data[at + 1] == 10):
            return False
        at -= 1
    return True


@compiled
def _same(data, at, blob, first, length):  # type: ignore[no-untyped-def]
    for i in range(length):
        if data[at + i] != blob[first + i]:
            return False
    return True


@compiled
def _is_keyword(data, first, length, keywords):  # type: ignore[no-untyped-def]
    at = 0
    for i in range(len(keywords)):
        if keywords[i] == 32:
            if i - at == length and _same(data, first, keywords, at, length):
                return True
            at = i + 1
    return False


@compiled
def _skip(data, at, end):  # type: ignore[no-untyped-def]
    """Step over blanks, spliced lines and comments within a line; the start of a token, or the line's end."""
    while at < end:
        c = data[at]
        if c == 92 and (data[at + 1] == 10 or (data[at + 1] == 13 and data[at + 2] == 10)):
            at += 2
            if data[at - 1] == 13:
                at += 1
        elif c == 47 and data[at + 1] == 42:
            at += 4
            while at < end and not (data[at - 1] == 47 and data[at - 2] == 42):
                at += 1
        elif c == 32 or (9 <= c <= 13 and c != 10):
            at += 1
        else:
            break
    return at


@compiled
def _define_name(data, at, end):  # type: ignore[no-untyped-def]
    """Return where the name of the ``#define`` at `at` starts, or -1 for another directive."""
    at = _skip(data, at + 1, end)
    # d e f i n e
    if not (
        data[at] == 100 and data[at + 1] == 101 and data[at + 2] == 102
        and data[at + 3] == 105 and data[at + 4] == 110 and data[at + 5] == 101
    ):  # fmt: skip
        return -1
    return _skip(data, at + 6, end)


@compiled
def _what(data, first, low, gap_start, gap_end, keywords, word):  # type: ignore[no-untyped-def]
    """Tell a call from a prototype or a definition by the token before the name at `first`."""
    at = _back(data, gap_start, gap_end, low, first)
    if at == low:
        return DECLARATION
    c = data[at - 1]
    if c == 42:  # '*': a declaration when the line starts with a word, else a product or a dereference
        line = at
        while line > low and data[line - 1] != 10 and at - line < 200:
            line -= 1
        return DECLARATION if word[data[line]] else CALL
    if not word[c]:
        return CALL
    end = at
    while at > low and word[data[at - 1]]:
        at -= 1
    return CALL if _is_keyword(data, at, end - at, keywords) else DECLARATION


@compiled
def _flag(words, first, flags, line_flags):  # type: ignore[no-untyped-def]
    """Set the top bit of every byte of `flags` whose byte in 1024 words from `first` is interesting.

    ``x ^ c`` has a zero byte where x has c, and ``(v - 0x01…) & ~v & 0x80…`` marks zero bytes; it can mark a
    0x01 above a zero too, which the lexer sees and passes over. `line_flags` marks line ends. A plain loop
    on purpose: LLVM makes vector instructions of it.
    """
    ones, tops = np.uint64(_ONES), np.uint64(_TOPS)
    even = np.uint64(0xFE * _ONES)
    paren, slash, tick = np.uint64(0x28 * _ONES), np.uint64(0x2F * _ONES), np.uint64(0x27 * _ONES)
    quote_hash = np.uint64(0x22 * _ONES)  # '"' and '#' differ in the lowest bit only
    newline = np.uint64(0x0A * _ONES)
    for i in range(min(len(flags), len(words) - first)):
        v = words[first + i]
        a, b, c, d, e = v ^ paren, v ^ slash, (v & even) ^ quote_hash, v ^ tick, v ^ newline
        found = ((a - ones) & ~a) | ((b - ones) & ~b) | ((c - ones) & ~c) | ((d - ones) & ~d)
        flags[i] = found & tops
        line_flags[i] = (e - ones) & ~e & tops


@compiled
def _may_hold(data, words, low, end, slots, hashes, last, longest, word, bit):  # type: ignore[no-untyped-def]
    """Whether a known name may stand before a parenthesis in ``data[low:end]``, comments included.

    A quick look that spares the lexer files without any: in Linux 6.1 half of all bytes. It may say yes
    too often (two names with one hash, a comment or a line end before the parenthesis), never no.
    """
    ones, tops, paren = np.uint64(_ONES), np.uint64(_TOPS), np.uint64(0x28 * _ONES)
    zero, one, shift, bruijn = np.uint64(0), np.uint64(1), np.uint64(58), np.uint64(_DE_BRUIJN)
    mask = len(slots) - 1
    for w in range(low >> 3, (end + 7) >> 3):
        v = words[w] ^ paren
        m = (v - ones) & ~v & tops
        while m != zero:
            at = (w << 3) + bit[((m & (~m + one)) * bruijn) >> shift]
            m &= m - one
            if data[at] != 40:
                continue
            while at > low and (data[at - 1] == 32 or data[at - 1] == 9):
                at -= 1
            if at - low < 2:
                continue
            c = data[at - 1]
            if c == 47 or 10 <= c <= 13:  # behind a comment or a line's end: the lexer must tell
                return True
            if last[(np.int64(c) & 63) << 6 | (np.int64(data[at - 2]) & 63)] == 0:
                continue
            stop = max(low, at - longest - 1)
            h = np.int64(0)
            while at > stop and word[data[at - 1]] != 0:
                at -= 1
                h = (h * 31 + np.int64(data[at])) & 0xFFFFFFFF
            slot = h & mask
            while slots[slot] >= 0:
                if hashes[slots[slot]] == h:
                    return True
                slot = (slot + 1) & mask
    return False


@compiled
def _find(  # type: ignore[no-untyped-def]
    data, words, starts, ends, slots, hashes, blob, offsets, last, longest, keywords, word, bit, found
):
    ones = np.uint64(_ONES)
    tops = np.uint64(_TOPS)
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    slash = np.uint64(0x2F * _ONES)
    newline = np.uint64(0x0A * _ONES)
    back = np.uint64(0x5C * _ONES)
    bruijn = np.uint64(_DE_BRUIJN)
    shift, three = np.uint64(58), np.uint64(3)
    zero, one = np.uint64(0), np.uint64(1)
    capacity = found.shape[0]
    mask = len(slots) - 1
    flags = np.empty(1024, np.uint64)
    line_flags = np.empty(1024, np.uint64)
    chunk = np.int64(-1)
    count = 0
    for number in range(len(starts)):
        low, end = starts[number], ends[number]
        if not _may_hold(data, words, low, end, slots, hashes, last, longest, word, bit):
            continue
        pos = low
        gap_start = gap_end = open_at = np.int64(-1)
        directive = prior = np.int64(-1)
        while pos < end:
            # the next interesting byte at or behind pos
            w = pos >> 3
            m = full << (np.uint64(pos & 7) << three)
            while True:
                if w >> 10 != chunk:
                    chunk = w >> 10
                    _flag(words, chunk << 10, flags, line_flags)
                m &= flags[w & 1023] | line_flags[w & 1023] if directive >= 0 else flags[w & 1023]
                moved = False
                while m != zero:
                    pos = (w << 3) + bit[((m & (~m + one)) * bruijn) >> shift]
                    m &= m - one
                    byte = data[pos]
                    if byte == 40:  # '(': is the token before it a known name?
                        at = pos
                        while at > low and (data[at - 1] == 32 or data[at - 1] == 9):
                            at -= 1
                        if at == gap_end or (at > low and 10 <= data[at - 1] <= 13):
                            at = _back(data, gap_start, gap_end, low, at)
                        if at - low < 2:
                            continue
                        if last[(np.int64(data[at - 1]) & 63) << 6 | (np.int64(data[at - 2]) & 63)] == 0:
                            continue
                        first = at
                        stop = max(low, at - longest - 1)
                        h = np.int64(0)
                        while first > stop and word[data[first - 1]] != 0:
                            first -= 1
                            h = (h * 31 + np.int64(data[first])) & 0xFFFFFFFF
                        slot = h & mask
                        name = slots[slot]
                        while name >= 0:
                            length = offsets[name + 1] - offsets[name]
                            if (
                                hashes[name] == h
                                and length == at - first
                                and _same(data, first, blob, offsets[name], length)
                            ):
                                break
                            slot = (slot + 1) & mask
                            name = slots[slot]
                        if name < 0:
                            continue
                        if directive >= 0:
                            name_at = _define_name(data, directive, end)
                            if name_at < 0:
                                what = DIRECTIVE
                            else:
                                what = DEFINE_NAME if first == name_at else DEFINE_BODY
                        else:
                            what = _what(data, first, low, gap_start, gap_end, keywords, word)
                        if count < capacity:
                            found[count, 0] = number
                            found[count, 1] = first
                            found[count, 2] = name
                            found[count, 3] = what
                            found[count, 4] = directive
                        count += 1
                    elif byte == 47:  # '/': a comment?
                        nxt = data[pos + 1]
                        if nxt != 42 and nxt != 47:
                            continue
                        start = pos
                        line = nxt == 47
                        pos += 2
                        look = newline if line else slash
                        w = pos >> 3
                        m = full << (np.uint64(pos & 7) << three)
                        inside = True
                        while inside and (w << 3) < end:
                            e = words[w] ^ look
                            m &= (e - ones) & ~e & tops
                            while m != zero:
                                pos = (w << 3) + bit[((m & (~m + one)) * bruijn) >> shift]
                                m &= m - one
                                if line:
                                    if data[pos] == 10 and not _spliced(data, pos):
                                        inside = False
                                        break
                                elif data[pos] == 47 and data[pos - 1] == 42 and pos - 2 > start:
                                    pos += 1
                                    inside = False
                                    break
                            w += 1
                            m = full
                        if inside or pos > end:
                            pos = end
                        at = start
                        while at > low and (data[at - 1] == 32 or data[at - 1] == 9):
                            at -= 1
                        if at != gap_end:  # else one comment behind another: what is before stays the same
                            c = data[at - 1]
                            line = 10 <= c <= 13 or c == 92
                            gap_start = _back(data, gap_start, gap_end, low, at) if line else at
                        open_at, gap_end = start, pos
                        moved = True
                        break
                    elif (
                        byte == 34 or byte == 39
                    ):  # a string or character literal, to the quote or the line's end
                        look = (np.uint64(byte)) * ones
                        start = pos
                        pos += 1
                        inside = True
                        while inside and pos < end:
                            w = pos >> 3
                            v = words[w]
                            a = v ^ look
                            b = v ^ back
                            c = v ^ newline
                            f = ((a - ones) & ~a) | ((b - ones) & ~b) | ((c - ones) & ~c)
                            m = f & tops & (full << (np.uint64(pos & 7) << three))
                            pos = (w + 1) << 3
                            while m != zero:
                                at = (w << 3) + bit[((m & (~m + one)) * bruijn) >> shift]
                                m &= m - one
                                nxt = data[at]
                                if nxt == byte:
                                    pos = at + 1
                                    inside = False
                                    break
                                if nxt == 10:  # not closed: what is in it must not look like a token
                                    pos = at
                                    if at > start + 1:
                                        gap_start, gap_end, open_at = start + 1, at, start
                                    inside = False
                                    break
                                if nxt == 92:
                                    pos = at + _escape(data, at)
                                    break
                        moved = True
                        break
                    elif byte == 10:
                        if directive >= 0 and not _spliced(data, pos):
                            gap_start, gap_end, open_at = prior, pos + 1, directive
                            directive = np.int64(-1)
                            pos += 1
                            moved = True
                            break
                    elif byte == 35 and directive < 0:  # '#': a preprocessor line?
                        at_start = pos == low or (data[pos - 1] == 10 and not _spliced(data, pos - 1))
                        if at_start or _starts_line(data, open_at, gap_end, low, pos):
                            prior = gap_start if pos == gap_end else _back(data, gap_start, gap_end, low, pos)
                            directive = pos
                            pos += 1
                            moved = True
                            break
                if moved:
                    break
                w += 1
                if (w << 3) >= end:
                    pos = end
                    break
                m = full
    return count
