"""Wrappers: macros and inline functions that hide one lock operation, found in the tree itself.

``#define task_lock(p) spin_lock(&(p)->alloc_lock)`` makes each ``task_lock(x)`` a lock operation that no list
of names knows. A wrapper is a function-like macro or an inline function whose body holds exactly one lock
operation (so it is unbalanced). Wrappers of wrappers are found too, pass by pass, until none is new.

A name is valid where its definition can be seen: that of a ``.c`` file in this file; that of a header, as the
profile's `headers` says, in the whole tree (``tree``) or in the header's folder and, where that is below a
folder named ``include``, in all that stands beside that one (``include``).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockscape.source.census import (
    FILE,
    OPERATION,
    PLACE,
    Census,
    OperationFinder,
    TokenCounter,
    census,
    rows_of,
    sort_rows,
)
from lockscape.source.profile import OPERATIONS, Operation, Profile
from lockscape.source.scan import Progress, Scan, scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files, Tree

MAX_LEVELS = 8
"""Wrappers of wrappers are followed this deep; GNU Mach 1.8 needs 3 (ip_lock, io_lock, simple_lock)."""

SCOPED = ("guard", "scoped_guard")
"""These release at the end of their block: a body that holds one is balanced."""


@dataclass(frozen=True)
class Wrapper:
    """A macro or inline function that stands for one lock operation.

    `uses` counts its calls in code within `scope` (a path prefix; empty for the whole tree); `level` is 1 for
    a wrapper of a profile's name, 2 for a wrapper of such a wrapper, and so on.
    """

    name: str
    kind: str
    role: str
    form: str
    """``macro`` or ``inline``."""
    wraps: str
    path: str
    line: int
    scope: str
    level: int
    uses: int


def census_with_wrappers(
    tree: Tree,
    profile: Profile,
    *,
    select: FileSet | None = None,
    sites: bool = False,
    count: bool = True,
    identify: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Census, tuple[Wrapper, ...]]:
    """Return a census, which with `count` has the uses of wrappers in it, and the wrappers with their uses.

    Every level costs two more passes over the tree. Only for profiles of style ``tokens``.
    """
    select = select or profile.files.file_set()
    plain = census(
        tree, profile, select=select, sites=sites, identify=identify, workers=workers, progress=progress
    )
    run = partial(scan, tree, select, identify=False, workers=workers, progress=progress)
    operations = list(plain.operations)
    rows = [plain.rows]
    wrappers: list[Wrapper] = []
    known = {o.name for o in operations}
    layer = plain.operations
    for level in range(1, MAX_LEVELS + 1):
        wrapped = tuple(o for o in layer if o.role in OPERATIONS and o.name not in SCOPED)
        found = [w for w in _definitions(run, wrapped, profile.headers, level) if w.name not in known]
        if not found:
            break
        known |= {w.name for w in found}
        uses, counted = _uses(run, plain, found, sites)
        layer = tuple(Operation(w.name, None, w.kind, w.role) for w in found)
        uses[:, OPERATION] += len(operations)
        operations += layer
        rows.append(uses)
        wrappers += counted
    if not count:
        return plain, _by_use(wrappers)
    merged = replace(plain, operations=tuple(operations), rows=sort_rows(np.concatenate(rows)))
    return merged, _by_use(wrappers)


def _by_use(wrappers: list[Wrapper]) -> tuple[Wrapper, ...]:
    return tuple(sorted(wrappers, key=lambda w: (w.kind, -w.uses, w.name, w.path, w.line)))


def _definitions(
    run: Callable[..., Scan[Any]], operations: tuple[Operation, ...], headers: str, level: int
) -> list[Wrapper]:
    found = []
    for part in run(DefinitionFinder(operations)).parts:
        for number, name, form, wraps, line in part.value:
            path, o = part.paths[number], operations[wraps]
            if path is not None:
                scope = scope_of(path, headers)
                wrapped = o.name if o.argument is None else f"{o.name}({o.argument})"
                found.append(Wrapper(name, o.kind, o.role, form, wrapped, path, line, scope, level, 0))
    return sorted(found, key=lambda w: (w.path, w.line))


def _uses(
    run: Callable[..., Scan[Any]], plain: Census, found: list[Wrapper], sites: bool
) -> tuple[NDArray[np.int64], list[Wrapper]]:
    """Count uses within scopes: rows whose operation is the wrapper's index, and the wrappers with `uses`."""
    names = tuple(Operation(name, None, "", "") for name in sorted({w.name for w in found}))
    rows = rows_of(run(TokenCounter(names, positions=sites)))
    choices = defaultdict(list)
    for number, wrapper in sorted(enumerate(found), key=lambda pair: -len(pair[1].scope)):
        choices[wrapper.name].append(number)
    pairs, where = np.unique(rows[:, [FILE, OPERATION]], axis=0, return_inverse=True)
    nearest = np.full(len(pairs), -1, np.int64)
    for pair, (file, name) in enumerate(pairs.tolist()):
        path = plain.files[file].path
        nearest[pair] = next((n for n in choices[names[name].name] if path.startswith(found[n].scope)), -1)
    chosen = nearest[where.reshape(-1)]
    rows[:, OPERATION] = chosen
    rows = rows[chosen >= 0]
    in_code = np.bincount(rows[rows[:, PLACE] == 0, OPERATION], minlength=len(found))
    return rows, [replace(w, uses=int(uses)) for w, uses in zip(found, in_code, strict=True)]


def scope_of(path: str, headers: str) -> str:
    """Return the path prefix within which a definition in `path` is visible (see the module's text)."""
    if not path.endswith(".h"):
        return path
    if headers == "tree":
        return ""
    folders = path.split("/")[:-1]
    if "include" in folders:
        folders = folders[: folders.index("include")]
    return "".join(f"{folder}/" for folder in folders)


Definition = tuple[int, str, str, int, int]
"""File number, name, ``macro`` or ``inline``, the operation's number, line of the definition."""


class DefinitionFinder:
    """The work for `scan`: function-like macros and inline functions with exactly one known operation."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._find = OperationFinder(operations)

    def __call__(self, files: Files) -> list[Definition]:
        """Return the definitions found in the buffer."""
        from lockscape.source.lexer import CALL, DEFINE_BODY

        places = self._find(files)
        found: list[Definition] = []
        for number in np.unique(places[:, 0]).tolist():
            mine = places[places[:, 0] == number]
            text = files.content(number)
            first = int(files.starts[number])
            macros = [(at - first, n) for at, n in mine[mine[:, 3] == DEFINE_BODY][:, [4, 2]].tolist()]
            found += self._single(number, text, macros, macro_name, "macro")
            if b"inline" in text:
                calls = [(at - first, n) for at, n in mine[mine[:, 3] == CALL][:, [1, 2]].tolist()]
                bodies = [(body, n) for at, n in calls if (body := inline_start(text, at)) is not None]
                found += self._single(number, text, bodies, inline_name, "inline")
        return found

    def _single(
        self,
        number: int,
        text: bytes,
        bodies: Iterable[tuple[int, int]],
        name_of: Callable[[bytes, int], str | None],
        form: str,
    ) -> list[Definition]:
        """Return the definitions that hold one operation only."""
        held = defaultdict(list)
        for start, operation in bodies:
            held[start].append(operation)
        found: list[Definition] = []
        for start, operations in held.items():
            name = name_of(text, start)
            if name is not None and len(operations) == 1:
                line = text.count(b"\n", 0, start) + 1
                found.append((number, name, form, operations[0], line))
        return found


_MACRO = re.compile(rb"#[ \t]*define[ \t]+([A-Za-z_]\w+)\(")
_ATTRIBUTE = re.compile(
    rb"__attribute__|__printf|__aligned|__section|__acquires|__releases|__must_hold|__alias"
)
_NAME = re.compile(rb"([A-Za-z_]\w+)\s*\(")


def macro_name(text: bytes, start: int) -> str | None:
    """Return the name of the function-like macro whose ``#`` is at `start`, or None for another macro."""
    match = _MACRO.match(text, start)
    return match[1].decode() if match else None


_LONGEST_FUNCTION = 1 << 16
LONGEST_LINE = 1 << 12
"""Bytes looked back from a call for the head of its function and the start of its line: keeps work linear."""

_HEAD_ENDS = (b"\n}", b";\n", b"\n\n", b"*/\n", b"\n#")
"""What can stand before the head of a function: the end of the one before, of a declaration, a comment …"""


def inline_start(text: bytes, at: int) -> int | None:
    """Return where ``inline`` stands in the head of the inline function around `at`, or None.

    Kernel style is relied on, which puts a function's braces in the first column; a function on one line
    is seen too.
    """
    low = max(0, at - _LONGEST_FUNCTION)
    line = text.rfind(b"\n", max(low, at - LONGEST_LINE), at) + 1
    if b"{" in text[line:at] and (start := text.find(b"inline", line, at)) >= 0:
        return start
    opened, closed = text.rfind(b"\n{", low, at), text.rfind(b"\n}", low, at)
    if opened < 0 or closed > opened:
        return None
    ends = [text.rfind(mark, low, opened) + len(mark) for mark in _HEAD_ENDS]
    before = max(end if end >= len(mark) else low for end, mark in zip(ends, _HEAD_ENDS, strict=True))
    head = text.find(b"\n", before - 1, opened) + 1 if before else 0
    start = text.find(b"inline", head, opened)
    return start if start >= 0 else None


def inline_name(text: bytes, start: int) -> str | None:
    """Return the name of the function whose head starts at `start`, or None when none can be read."""
    for match in _NAME.finditer(text, start, start + 2000):
        if not _ATTRIBUTE.fullmatch(match[1]):
            return match[1].decode()
    return None
