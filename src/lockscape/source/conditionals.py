"""Which lines of a C or assembler file survive its preprocessor conditionals, under one or two macro sets.

The file is walked once for both sets: every stretch of lines between directives comes out with a mask of the
sets under which it survives. Macros are not expanded in those lines (only in ``#if``); instead a line that
uses a macro whose expansion differs between the two sets is marked, since cpp's output differs there.
"""

import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lockscape.source.expression import evaluate
from lockscape.source.macros import WORD, Budget, Dependence, Macro, UnresolvableError, parse_definition

MAX_INCLUDE_DEPTH = 200
"""Files that may be open at once, the main file included, as in cpp (-fmax-include-depth)."""

MAX_INCLUDED_CHARS = 16 << 20
"""Characters that the local includes of one file may add up to; 100 are taken off for each include."""

MAX_WARNINGS = 100
"""Warnings kept for one file; a last one tells how many there were beyond."""

PREDEFINED: Mapping[str, str] = {
    "__GNUC__": "3",
    "__GNUC_MINOR__": "3",
    "__STDC__": "1",
    "__ELF__": "1",
    "__i386__": "1",
    "__i386": "1",
    "i386": "1",
    "__linux__": "1",
    "__linux": "1",
    "linux": "1",
    "__unix__": "1",
    "__unix": "1",
    "unix": "1",
}
"""What the study's preprocessor defines by itself: GCC 3.3 for IA-32 Linux (section 5.3 of the paper)."""

BOTH = 3
"""The mask of a stretch that survives under both macro sets; 1 is the first alone, 2 the second."""


class Warn(NamedTuple):
    """Something in the source without a clear meaning: the file, the line (from 1) and what it is."""

    path: str
    line: int
    reason: str


class Stretch(NamedTuple):
    """Consecutive surviving lines without comments, the mask of their macro sets, whether they are marked."""

    text: str
    mask: int
    dependent: bool


class Item(NamedTuple):
    """A stretch of text (`name` is None) or a directive, with its offset in the stripped text."""

    offset: int
    name: str | None
    text: str
    """The lines of the stretch, or what follows the directive's name."""
    cut_off: tuple[int, ...] = ()
    """Offsets of strings and character constants in it that the line's end cuts off."""

    @property
    def includes(self) -> bool:
        """Whether this is an include directive of any kind."""
        return self.name in _INCLUDES


@dataclass(frozen=True)
class Parsed:
    """A file without comments, cut into stretches of text and directives.

    In `text` line splices and the line ends inside comments are vertical tabs, so that every ``\\n`` ends a
    logical line and the number of the source line can still be told.
    """

    text: str
    items: tuple[Item, ...]
    open_comment: int | None
    """The offset of a comment that never ends."""

    def line(self, offset: int) -> int:
        """Return the number (from 1) of the source line that `offset` lies in."""
        return 1 + self.text.count("\n", 0, offset) + self.text.count("\v", 0, offset)


_LEXEME = re.compile(
    r"""(/\v*+\*(?s:.*?)\*\v*+/|/\v*+/[^\n]*+) | (/\v*+\*(?s:.*+))
    | "(?:[^"\\\n]|\\\v*+.)*+(?:"|(\\?)) | '(?:[^'\\\n]|\\\v*+.)*+(?:'|(\\?))""",
    re.VERBOSE,
)
_PLAIN = bytes.maketrans(b"\0\v", b"  ")  # cpp takes both as white space
_SPLICE = re.compile(r"\\[ \t\f]*+\n")
_DIRECTIVE = re.compile(
    r"^[ \t\f\v]*+(\#|%:)[ \t\f\v]*+((?:[A-Za-z_](?:\v*+\w)*+)?)([^\n]*+)\n?", re.MULTILINE | re.ASCII
)
_INCLUDES = frozenset(("include", "include_next", "import"))
_PRINTED = frozenset(("pragma", "ident", "sccs"))
_NAME = re.compile(rf"[ \t\f]*+({WORD})", re.ASCII)
_QUOTED = re.compile(r'[ \t\f]*+"([^"\n]+)"')
_ANGLED = re.compile(r"[ \t\f]*+<")


def parse(content: bytes, *, assembler: bool = False) -> Parsed:
    """Strip comments and find the directives of a file's `content` (any bytes; read as Latin-1).

    In assembler files a ``#`` that begins no directive is the assembler's own, which cpp passes on, and
    quotes that do not end are no matter: they stand in the assembler's comments.
    """
    content = (
        content.removeprefix(b"\xef\xbb\xbf").translate(_PLAIN).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    )
    source = content.decode("latin-1")
    if "\\" in source:
        source = _SPLICE.sub("\v", source)
    removed = 0
    cut_off: list[int] = []
    opened: list[int] = []

    def without_comment(match: re.Match[str]) -> str:
        nonlocal removed
        kind = match.lastindex
        if kind is None:
            return match[0]
        if kind > 2:
            cut_off.append(match.start() - removed)
            return match[0]
        if kind == 2:
            opened.append(match.start() - removed)
        space = " " + "\v" * (match[0].count("\n") + match[0].count("\v"))
        removed += len(match[0]) - len(space)
        return space

    text = _LEXEME.sub(without_comment, source)
    items = _items(text, assembler, [] if assembler else cut_off)
    return Parsed(text, tuple(items), opened[0] if opened else None)


def _items(text: str, assembler: bool, cut_off: list[int]) -> Iterator[Item]:
    def stretch(start: int, end: int) -> Item:
        inside = cut_off[bisect_left(cut_off, start) : bisect_left(cut_off, end)] if cut_off else ()
        return Item(start, None, text[start:end].replace("\v", ""), tuple(inside))

    at = 0
    for match in _DIRECTIVE.finditer(text):
        name = match[2].replace("\v", "")
        if assembler and (match[1] != "#" or not (name in _KNOWN or not (name + match[3]).strip())):
            continue
        if match.start() > at:
            yield stretch(at, match.start())
        yield Item(match.start(), name, match[3].replace("\v", ""))
        at = match.end()
    if at < len(text):
        yield stretch(at, len(text))


@dataclass(frozen=True)
class Survivors:
    """What survives of a file, in order, and what was met on the way."""

    stretches: tuple[Stretch, ...]
    warnings: tuple[Warn, ...]


Find = Callable[[str], Parsed | None]
"""Returns a file of the set by its tree-relative path, or None for any other path."""


def survivors(path: str, find: Find, *macro_sets: Mapping[str, str]) -> Survivors:
    """Return the lines of `path` that survive under one or two `macro_sets` (name to body).

    Quoted includes that `find` knows, relative to the including file, are followed; all others are dropped.
    `PREDEFINED` is not added. Never raises for any content: what has no clear meaning becomes a warning.
    """
    walk = _Walk(find, macro_sets)
    walk.run(path)
    return Survivors(tuple(walk.stretches), tuple(walk.all_warnings(path)))


def local_target(path: str, name: str) -> str:
    """Return the tree-relative path of an include of `name` in the file `path`; ``../x`` is outside."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))


def included_name(text: str) -> str | None:
    """Return the quoted name in what follows ``#include``; None for ``<name>`` and for a macro."""
    match = _QUOTED.match(text)
    return match[1] if match else None


@dataclass
class _Branch:
    """An open conditional: the masks outside it and of the groups taken so far."""

    outer: int
    taken: int
    offset: int
    has_else: bool = False


class _Level:
    """A file being walked: the main file, or one that it includes."""

    def __init__(self, path: str, parsed: Parsed, mask: int) -> None:
        self.path = path
        self.parsed = parsed
        self.mask = mask
        self.items = iter(parsed.items)
        self.branches: list[_Branch] = []


class _Walk:
    def __init__(self, find: Find, macro_sets: tuple[Mapping[str, str], ...]) -> None:
        self.find = find
        self.macros = [
            {name: Macro(None, " ".join(body.split())) for name, body in m.items()} for m in macro_sets
        ]
        self.dependence = Dependence(*self.macros) if len(self.macros) == 2 else None
        self.stretches: list[Stretch] = []
        self.levels: list[_Level] = []
        self.budgets = [Budget() for _ in macro_sets]  # apart, so that equal conditions get equal answers
        self.once: dict[str, int] = {}
        self.included_chars = 0
        self.warnings: dict[Warn, None] = {}
        self.untold = 0

    def run(self, path: str) -> None:
        self.enter(path, (1 << len(self.macros)) - 1)
        while self.levels:
            level = self.levels[-1]
            item = next(level.items, None)
            if item is None:
                self.leave(level)
            elif item.name is None:
                if level.mask:
                    self.text(item, level.mask)
            elif (conditional := CONDITIONALS.get(item.name)) is not None:
                conditional(self, level, item)
            elif level.mask and (handle := _HANDLERS.get(item.name)) is not None:
                handle(self, level, item)
            elif level.mask and item.name in _PRINTED:  # cpp leaves these in its output
                self.stretches.append(Stretch(f"#{item.name}{item.text}\n", level.mask, False))

    def enter(self, path: str, mask: int) -> None:
        parsed = self.find(path)
        if parsed is None:
            return
        self.levels.append(_Level(path, parsed, mask & ~self.once.get(path, 0)))
        if parsed.open_comment is not None:
            self.warn(parsed.open_comment, "comment without an end")

    def leave(self, level: _Level) -> None:
        for branch in level.branches:
            self.warn(branch.offset, "conditional without #endif")
        self.levels.pop()

    def warn(self, offset: int, reason: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            level = self.levels[-1]
            self.warnings[Warn(level.path, level.parsed.line(offset), reason)] = None
        else:
            self.untold += 1

    def all_warnings(self, path: str) -> Iterator[Warn]:
        yield from self.warnings
        if self.untold:
            yield Warn(path, 1, f"{self.untold} further warnings")
        if self.dependence is not None and self.dependence.exhausted:
            yield Warn(path, 1, "chains of macros are too long to tell which lines depend on which macro")

    def text(self, item: Item, mask: int) -> None:
        for offset in item.cut_off:
            self.warn(offset, "string or character constant without an end on its line")
        if mask == BOTH and self.dependence is not None:
            for lines, dependent in self.dependence.cut(item.text):
                self.stretches.append(Stretch(lines, mask, dependent))
        else:
            self.stretches.append(Stretch(item.text, mask, False))

    # conditionals

    def open(self, level: _Level, item: Item) -> None:
        true = self.true(item.name or "", item, level.mask)
        level.branches.append(_Branch(level.mask, true, item.offset))
        level.mask = true

    def alternative(self, level: _Level, item: Item) -> None:
        if not level.branches:
            self.warn(item.offset, f"#{item.name} without #if")
            return
        branch = level.branches[-1]
        if branch.has_else:
            self.warn(item.offset, f"#{item.name} after #else")
        name = (item.name or "").removeprefix("el")  # elif, elifdef, elifndef
        left = branch.outer & ~branch.taken
        level.mask = left if item.name == "else" else self.true(name, item, left)
        branch.taken |= level.mask
        branch.has_else |= item.name == "else"

    def close(self, level: _Level, item: Item) -> None:
        if level.branches:
            level.mask = level.branches.pop().outer
        else:
            self.warn(item.offset, "#endif without #if")

    def true(self, name: str, item: Item, mask: int) -> int:
        """Return the macro sets of `mask` under which the condition of `item` holds."""
        true = 0
        for index, macros in enumerate(self.macros):
            bit = 1 << index
            if mask & bit and self.holds(name, item, macros, self.budgets[index]):
                true |= bit
        return true

    def holds(self, name: str, item: Item, macros: Mapping[str, Macro], budget: Budget) -> bool:
        if name == "if":
            try:
                return evaluate(item.text, macros, budget)
            except UnresolvableError as error:
                self.warn(item.offset, f"taken as false: {error}")
                return False
        match = _NAME.match(item.text)
        if match is None:
            self.warn(item.offset, f"#{item.name} without a name")
            return False
        return (match[1] in macros) == (name == "ifdef")

    # other directives

    def define(self, level: _Level, item: Item) -> None:
        definition = parse_definition(item.text)
        if definition is None:
            self.warn(item.offset, "malformed #define")
            return
        for index, macros in enumerate(self.macros):
            if level.mask & 1 << index:
                macros[definition[0]] = definition[1]
        if self.dependence is not None:
            self.dependence.changed(definition[0])

    def undef(self, level: _Level, item: Item) -> None:
        match = _NAME.match(item.text)
        if match is None:
            self.warn(item.offset, "#undef without a name")
            return
        for index, macros in enumerate(self.macros):
            if level.mask & 1 << index:
                macros.pop(match[1], None)
        if self.dependence is not None:
            self.dependence.changed(match[1])

    def include(self, level: _Level, item: Item) -> None:
        name = included_name(item.text)
        if name is None:
            if not _ANGLED.match(item.text):
                self.warn(item.offset, "include of something other than a file's name is not followed")
            return
        target = local_target(level.path, name)
        parsed = self.find(target)
        if parsed is None:
            return
        self.included_chars += len(parsed.text) + 100
        if len(self.levels) >= MAX_INCLUDE_DEPTH:
            self.warn(item.offset, f"include nested more than {MAX_INCLUDE_DEPTH} deep is not followed")
        elif self.included_chars > MAX_INCLUDED_CHARS:
            self.warn(
                item.offset,
                f"not followed: local includes add up to more than {MAX_INCLUDED_CHARS >> 20} MiB",
            )
        else:
            self.enter(target, level.mask)

    def pragma(self, level: _Level, item: Item) -> None:
        if item.text.split() == ["once"]:
            self.once[level.path] = self.once.get(level.path, 0) | level.mask
        self.stretches.append(Stretch(f"#pragma{item.text}\n", level.mask, False))


_Handler = Callable[[_Walk, _Level, Item], None]
CONDITIONALS: dict[str, _Handler] = {
    **dict.fromkeys(("if", "ifdef", "ifndef"), _Walk.open),
    **dict.fromkeys(("elif", "elifdef", "elifndef", "else"), _Walk.alternative),
    "endif": _Walk.close,
}
"""What handles the directives that decide whether lines survive, by name."""

_HANDLERS: dict[str, _Handler] = {
    "define": _Walk.define,
    "undef": _Walk.undef,
    **dict.fromkeys(("include", "include_next", "import"), _Walk.include),
    "pragma": _Walk.pragma,
}
_KNOWN = frozenset(
    (*CONDITIONALS, *_HANDLERS, *_PRINTED, "error", "warning", "line", "assert", "unassert", "embed")
)
