"""Brings C text into a form with one statement or brace per line, as GNU ``indent`` does by default.

Only what decides about the number of lines is imitated: line breaks that ``indent`` adds at statements,
braces, control headers, case labels and before the name of a function being defined. What it does to
columns, and to long lines (it breaks them at column 78), is not. Observed with GNU indent 2.2.12.
"""

import re
from array import array
from bisect import insort
from collections.abc import Sequence
from itertools import pairwise

BREAK = "\v"
"""Stands where a line break is added, so that source lines can still be told from added ones."""

MAX_LINE_CHARS = 1 << 20
"""Text with a longer line should be left as it is: nobody wrote it, and it would take long."""

MAX_HEADER_CHARS = 4096
"""The end of a control header or case label is looked for this far; without one nothing is changed."""

_BLOCK = 1 << 16

_QUOTED = r""""(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?"""
_TOKEN = re.compile(rf"{_QUOTED}|[{{}};]|\b(?:if|for|while|switch|else|do|case|default)\b", re.ASCII)
_PAREN = re.compile(rf"{_QUOTED}|[()]")
_OPEN_PAREN = re.compile(r"\s*+\(")
_CASE = re.compile(r"(?:case\b(?:[^:;{}']|'(?:[^'\\\n]|\\.)*+')*+|default\s*+):", re.ASCII)
_ELSE_IF = re.compile(r"else[ \t]++if\b")
_AGGREGATE = re.compile(r"\b(struct|union|enum)\b[\w\s]*+\Z", re.ASCII)
_NEXT = re.compile(r"\S", re.ASCII)
_NAME_BEFORE = re.compile(r"\s*+\w++", re.ASCII)  # applied to reversed text
_LINE = re.compile(r"[^\s][^\n\v]*+", re.ASCII)

_HEADERS = ("if", "for", "while", "switch")
_CODE, _STRUCT, _ENUM, _INITIALIZER = range(4)


def statements(text: str) -> str:
    """Return `text`, without comments and directives, with `BREAK` wherever a line break is missing."""
    breaks = _Splitter(text).breaks()
    if not breaks:
        return text
    blocks = []
    start = 0
    for first in range(0, len(breaks), _BLOCK):  # by blocks, so that the pieces are not all there at once
        edges = [start, *breaks[first : first + _BLOCK]]
        blocks.append(BREAK.join([text[begin:end] for begin, end in pairwise(edges)]))
        start = edges[-1]
    return BREAK.join([*blocks, text[start:]])


def long_line(text: str) -> int | None:
    """Return the offset of the first line of `text` longer than `MAX_LINE_CHARS`, or None."""
    at = 0
    while len(text) - at > MAX_LINE_CHARS:
        end = text.rfind("\n", at, at + MAX_LINE_CHARS + 1)
        if end < 0:
            return at
        at = end + 1
    return None


def count_lines(text: str) -> int:
    """Return the number of lines, natural and added ones, that are not blank."""
    return sum(1 for _ in _LINE.finditer(text))


class _Splitter:
    """One pass over the braces, semicolons and keywords of a text, in time proportional to its length."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found = array("q")
        self.braces: list[tuple[int, int]] = []
        """Kind and position of the open braces."""
        self.resume = 0
        """Tokens before this position belong to a control header or a label and are passed over."""
        self.blind = 0
        """No end of a control header or a label is looked for before this position: there is none."""

    def breaks(self) -> Sequence[int]:
        """Return the positions of the line breaks to add, in order."""
        handlers = _HANDLERS
        for match in _TOKEN.finditer(self.text):
            handle = handlers.get(match[0])
            if handle is not None and match.start() >= self.resume:
                handle(self, match.start(), match.end())
        return self.found

    def add(self, at: int) -> None:
        if self.text[at : at + 1] in ("\n", ""):
            return
        if not self.found or at > self.found[-1]:
            self.found.append(at)
        elif at < self.found[-1]:
            insort(self.found, at)

    def next(self, at: int) -> str:
        """Return the first character from `at` on that is not white space."""
        match = _NEXT.search(self.text, at)
        return match[0] if match else ""

    def open(self, start: int, end: int) -> None:
        before = start - 1
        while before >= 0 and self.text[before] in " \t\n\f":
            before -= 1
        previous = self.text[before] if before >= 0 else ""
        kind = self.kind(previous, before + 1)
        if not self.braces and previous == ")":
            self.definition(before)
        self.braces.append((kind, start))
        if kind != _INITIALIZER:
            self.add(start)
        if kind in (_CODE, _STRUCT):
            self.add(end)

    def kind(self, previous: str, end: int) -> int:
        if previous == "=" or (self.braces and self.braces[-1][0] == _INITIALIZER):
            return _INITIALIZER
        if previous.isalnum() or previous == "_":
            match = _AGGREGATE.search(self.text, max(0, end - 200), end)
            if match is not None:
                return _ENUM if match[1] == "enum" else _STRUCT
        return _CODE

    def definition(self, closing: int) -> None:
        """Break before the name of a function whose parameters end at `closing`, after its type."""
        text = self.text
        nesting = 0
        for at in range(closing, 0, -1):
            if text[at] in "{};":
                return
            nesting += (text[at] == ")") - (text[at] == "(")
            if nesting == 0:
                break
        if nesting or not closing:
            return
        name = _NAME_BEFORE.match(text[max(0, at - 200) : at][::-1])
        if name is not None and name[0].strip()[::-1] not in _HEADERS:
            start = at - name.end()
            line = text.rfind("\n", max(0, start - 1000), start) + 1
            if text[line:start].strip():
                self.add(start)

    def close(self, start: int, end: int) -> None:
        kind, opened = self.braces.pop() if self.braces else (_CODE, start)
        nested = bool(self.braces) and self.braces[-1][0] in (_INITIALIZER, _ENUM)
        if kind in (_CODE, _STRUCT) or (not nested and self.text.find("\n", opened, start) >= 0):
            self.add(start)
        if kind == _CODE and self.next(end) not in (";", ","):
            self.add(end)

    def semicolon(self, start: int, end: int) -> None:
        self.add(end)

    def header(self, start: int, end: int) -> None:
        """Break behind the parentheses of ``if (…)``, ``for (…)``, unless an empty statement follows."""
        opening = _OPEN_PAREN.match(self.text, end)
        if opening is None or start < self.blind:
            return
        limit = opening.end() + MAX_HEADER_CHARS
        nesting = 0
        for match in _PAREN.finditer(self.text, opening.end() - 1, limit):
            nesting += (match[0] == "(") - (match[0] == ")")
            if nesting == 0:
                self.resume = match.end()
                if self.next(match.end()) != ";":
                    self.add(match.end())
                return
        self.blind = limit

    def keyword(self, start: int, end: int) -> None:
        if not _ELSE_IF.match(self.text, start):
            self.add(end)

    def label(self, start: int, end: int) -> None:
        if start < self.blind:
            return
        match = _CASE.match(self.text, start, start + MAX_HEADER_CHARS)
        if match is None:
            self.blind = start + MAX_HEADER_CHARS
        else:
            self.resume = match.end()
            self.add(match.end())


_HANDLERS = {
    "{": _Splitter.open,
    "}": _Splitter.close,
    ";": _Splitter.semicolon,
    **dict.fromkeys(_HEADERS, _Splitter.header),
    **dict.fromkeys(("else", "do"), _Splitter.keyword),
    **dict.fromkeys(("case", "default"), _Splitter.label),
}
