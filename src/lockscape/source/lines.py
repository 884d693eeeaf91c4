"""Counting lines as grep does: the style of the paper's Table 2."""

import re

import numpy as np
from numpy.typing import NDArray

from lockscape.source.profile import Profile
from lockscape.source.tree import Files

_DEFINE = re.compile(rb"#[ \t]*define\b")


class LineCounter:
    """The work for `scan`: which lines match which kind's pattern.

    A line counts once per kind however often it matches; lines that begin with ``#define`` are dropped.
    """

    def __init__(self, profile: Profile) -> None:
        self._patterns = [re.compile((kind.pattern or "").encode(), re.ASCII) for kind in profile.kinds]

    def __call__(self, files: Files) -> NDArray[np.int64]:
        """Return rows as in `Census.rows`, the kind's number for the operation's."""
        rows: list[tuple[int, int, int, int, int]] = []
        for number in range(len(files.paths)):
            text = files.content(number)
            for kind, pattern in enumerate(self._patterns):
                rows += [(number, kind, 0, *at) for at in _matching_lines(pattern, text)]
        return np.array(rows, np.int64).reshape(-1, 5)


def _matching_lines(pattern: re.Pattern[bytes], text: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = counted = 0
    line = 1
    while match := pattern.search(text, at):
        start = text.rfind(b"\n", 0, match.start()) + 1
        line += text.count(b"\n", counted, start)
        counted = start
        if not _DEFINE.match(text, start):
            found.append((line, match.start() - start + 1))
        at = text.find(b"\n", max(match.end(), start))
        if at < 0:
            break
        at += 1
    return found
