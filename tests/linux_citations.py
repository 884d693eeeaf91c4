"""Citations of kernel source, ``file:function{text}``: found in the plans, looked up in a real tree.

Holds if the named function, macro or assembler label of that file contains the text, blanks aside.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CITATION = re.compile(r"([\w./-]+\.[chS]):(\w+)\{([^}]*)\}")
LABEL_LINES = 60
"""Lines after an assembler label that count as its own."""

HEAD_LINES = 12
"""Lines over which a function's head may go on before its brace."""


class Citation(NamedTuple):
    """One citation."""

    file: str
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.function}{{{self.text}}}"


def citations(text: str) -> list[Citation]:
    """Return the citations in a text, in order."""
    return [Citation(*found) for found in CITATION.findall(text)]


def missing(tree: Path, citation: Citation) -> str:
    """Say what a tree lacks of a citation, or nothing."""
    path = tree / citation.file
    if not path.is_file():
        return f"{citation}: {tree.name} has no such file"
    lines = path.read_text("latin-1").split("\n")
    bodies = ["\n".join(lines[a : b + 1]) for a, b in places(lines, citation.function)]
    if not bodies:
        return f"{citation}: no such function there"
    if not any(squeezed(citation.text) in squeezed(body) for body in bodies):
        return f"{citation}: the function does not contain that text"
    return ""


def squeezed(text: str) -> str:
    """Return a text without blanks."""
    return re.sub(r"\s+", "", text)


def places(lines: list[str], name: str) -> Iterator[tuple[int, int]]:
    """Yield first and last line (from 0) of every macro, function and label of a name."""
    word = re.escape(name)
    macro, label = re.compile(rf"#\s*define\s+{word}\b"), re.compile(rf"(ENTRY\({word}\)|{word}:)")
    head = re.compile(rf"(?<![\w.>]){word}\s*\(")
    for k, line in enumerate(lines):
        if macro.match(line):
            yield k, _end_of_macro(lines, k)
        elif label.match(line):
            yield k, min(k + LABEL_LINES, len(lines) - 1)
        elif head.search(line) and not line.startswith(("\t", " ", "/", "#", "*")):
            brace = _brace(lines, k)
            if brace >= 0:
                yield k, _end_of_function(lines, brace)


def _end_of_macro(lines: list[str], k: int) -> int:
    while lines[k].rstrip().endswith("\\"):
        k += 1
    return k


def _brace(lines: list[str], k: int) -> int:
    """Return the line of the brace that opens a function whose head is at line `k`, or -1 if it is none."""
    for n in range(k, min(k + HEAD_LINES, len(lines))):
        if "{" in lines[n]:
            return n
        if lines[n].rstrip().endswith(";"):
            break
    return -1


def _end_of_function(lines: list[str], brace: int) -> int:
    if lines[brace].count("{") == lines[brace].count("}"):
        return brace
    for n in range(brace, len(lines)):
        if lines[n].startswith("}"):
            return n
    return len(lines) - 1
