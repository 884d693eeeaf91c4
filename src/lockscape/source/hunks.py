"""Compares the lines that survive under two macro sets and counts the hunks in which they differ.

Both sides are sub-sequences of one source, so a line that survives under both sets is known to be the same
line: no general diff is needed to find the places that differ. Only inside such a place (the two branches of
an ``#ifdef … #else``) equal lines are matched by their text, as ``diff -w`` does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from lockscape.source.conditionals import BOTH, Stretch
from lockscape.source.statements import BREAK, count_lines, long_line, statements
from lockscape.source.tree import Problem

MAX_HUNK_LINES = 100_000
"""A hunk in which one side has more lines counts as a whole."""

MAX_MATCH = 100_000_000
"""Lines of one side times lines of the other up to which equal lines inside a hunk are matched (12.5 MB of
bits), apart from what both sides begin and end with; beyond they count as all different."""

_SPACE = " \t\f\n"  # no other white space is left in a line


@dataclass
class Delta:
    """Lines of both sides, and those that differ: each hunk split into what both have and one has more."""

    lines_without: int = 0
    lines_with: int = 0
    modified: int = 0
    new: int = 0
    removed: int = 0

    def hunk(self, without: int, with_: int) -> None:
        """Count a hunk of so many lines on either side: together the larger of the two."""
        common = min(without, with_)
        self.modified += common
        self.removed += without - common
        self.new += with_ - common


class Measured(NamedTuple):
    """One file's result, by either method."""

    delta: Delta
    includes: tuple[str, ...]
    problems: tuple[Problem, ...]


def unchanged(stretches: Sequence[Stretch], *, split: bool) -> Delta:
    """Count the lines of a file that is the same under both sets; `split` brings it into statements first."""
    (text,) = _texts(stretches, (BOTH,), split)
    lines = count_lines(text)
    return Delta(lines, lines)


def compare(stretches: Sequence[Stretch], *, split: bool) -> Delta:
    """Count lines and differing lines of the two sides of `stretches`, walked under two macro sets."""
    texts = _texts(stretches, (1, 2), split)
    delta = Delta(*map(count_lines, texts))
    left, right = (_lines(text) for text in texts)
    hunk = _Hunk(delta)
    for stretch in stretches:
        size = stretch.text.count("\n") + (not stretch.text.endswith("\n"))
        before = islice(left, size if stretch.mask & 1 else 0)
        after = islice(right, size if stretch.mask & 2 else 0)
        if stretch.mask != BOTH or stretch.dependent:
            hunk.before.add(before, stretch.dependent)
            hunk.after.add(after, stretch.dependent)
            continue
        for line, other in zip(before, after, strict=True):
            if line != other:
                hunk.before.add([line], False)
                hunk.after.add([other], False)
            elif line.strip(_SPACE):
                hunk.close()
    hunk.close()
    return delta


def _texts(stretches: Sequence[Stretch], masks: Sequence[int], split: bool) -> list[str]:
    """Return the text of each side, in statement form if `split` and no line is too long for that."""
    sides = [[s.text for s in stretches if s.mask & mask] for mask in masks]
    texts = ["".join([t if t.endswith("\n") else t + "\n" for t in side]) for side in sides]
    if split and all(long_line(text) is None for text in texts):
        return [statements(text) for text in texts]
    return texts


def _lines(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1
        yield text[at:end]
        at = end


class _Side:
    """The lines of one side since the last line that both share."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def add(self, lines: Iterable[str], dependent: bool) -> None:
        """Take in lines; `dependent` ones match no line of the other side, whatever their text."""
        for line in lines:
            for piece in line.split(BREAK):
                text = piece.rstrip("\n").replace(" ", "").replace("\t", "").replace("\f", "")
                if text:
                    self.count += 1
                    if self.count <= MAX_HUNK_LINES:
                        self.lines.append(f"{text} {id(self)} {self.count}" if dependent else text)


class _Hunk:
    """What differs since the last line that both sides share."""

    def __init__(self, delta: Delta) -> None:
        self.delta = delta
        self.before, self.after = _Side(), _Side()

    def close(self) -> None:
        """Add what differs to the delta and begin a new hunk."""
        before, after = self.before, self.after
        if before.count or after.count:
            gaps = [(before.count, after.count)]
            if max(before.count, after.count) <= MAX_HUNK_LINES:
                gaps = differing(before.lines, after.lines)
            for without, with_ in gaps:
                self.delta.hunk(without, with_)
            self.before, self.after = _Side(), _Side()


def differing(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Return the sizes of both sides of each hunk in which two sequences of lines differ.

    Lines are matched by a longest common subsequence (bit-parallel, after Hyyrö 2004: a few operations on
    an integer of as many bits as `before` has lines, for each line of `after`), so no input takes long.
    """
    start = 0
    end = min(len(before), len(after))
    while start < end and before[start] == after[start]:
        start += 1
    tail = 0
    while tail < end - start and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    a, b = before[start : len(before) - tail], after[start : len(after) - tail]
    if not a or not b or len(a) * len(b) > MAX_MATCH:
        return [(len(a), len(b))] if a or b else []
    return _gaps(a, b, _rows(a, b))


def _rows(a: Sequence[str], b: Sequence[str]) -> list[int]:
    """Return, for each prefix of `b`, the number whose zero bits are where more of `a` matches."""
    where: dict[str, int] = {}
    for at, line in enumerate(a):
        where[line] = where.get(line, 0) | 1 << at
    full = (1 << len(a)) - 1
    rows = [full]
    for line in b:
        row = rows[-1]
        matched = row & where.get(line, 0)
        rows.append(((row + matched) | (row - matched)) & full if matched else row)
    return rows


def _gaps(a: Sequence[str], b: Sequence[str], rows: list[int]) -> list[tuple[int, int]]:
    """Walk back through a longest common subsequence and return the gaps between matched lines."""
    i, j = len(a), len(b)
    gaps: list[tuple[int, int]] = []
    without = with_ = 0
    while i and j:
        if a[i - 1] == b[j - 1]:
            if without or with_:
                gaps.append((without, with_))
            without = with_ = 0
            i, j = i - 1, j - 1
        elif rows[j] >> (i - 1) & 1:
            without, i = without + 1, i - 1
        else:
            with_, j = with_ + 1, j - 1
    without, with_ = without + i, with_ + j
    if without or with_:
        gaps.append((without, with_))
    return gaps
