"""The census: how many places take and release which kind of lock (Table 2)."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lockscape.source.profile import OPERATIONS, Operation, Profile, Words
from lockscape.source.scan import FileInfo, Progress, Scan, TreeInfo, scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files, Problem, Tree
from lockscape.source.words import WordFinder

Place = Literal["code", "define"]
"""Where a site stands: in code, or in the body of a ``#define`` (which holds it once, however often used)."""

FILE, OPERATION, PLACE, LINE, COLUMN = range(5)
"""Columns of `Census.rows`."""

_PLACES: tuple[Place, ...] = ("code", "define")


@dataclass(frozen=True, slots=True)
class Site:
    """One place in the source. `line` and `column` count from 1; the column counts bytes."""

    path: str
    line: int
    column: int
    kind: str
    role: str
    name: str
    place: Place


@dataclass(frozen=True)
class Census:
    """What a profile finds in a tree.

    `rows` is int64 of shape (sites, 5): file number, operation number, place number (0 code, 1 the
    body of a #define), line and column; sorted by file, line and column. Line and column are 0 unless
    sites were asked for.
    """

    tree: TreeInfo
    profile: Profile
    operations: tuple[Operation, ...]
    files: tuple[FileInfo, ...]
    rows: NDArray[np.int64]
    problems: tuple[Problem, ...]
    missing: tuple[str, ...]
    """File patterns of the set that matched nothing in this tree."""

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The profile's kinds, and those of wrappers, in order."""
        return tuple(dict.fromkeys(o.kind for o in self.operations))

    @cached_property
    def _cube(self) -> NDArray[np.int64]:
        """Counts of shape (operations, places)."""
        flat = self.rows[:, OPERATION] * 2 + self.rows[:, PLACE]
        return np.bincount(flat, minlength=2 * len(self.operations)).reshape(-1, 2)

    def count(self, kind: str | None = None, role: str | None = None, place: Place = "code") -> int:
        """Return the number of sites. Without a role: of lock operations (acquire, try, release)."""
        roles = OPERATIONS if role is None else (role,)
        column = _PLACES.index(place)
        return int(
            sum(
                self._cube[number, column]
                for number, o in enumerate(self.operations)
                if o.role in roles and kind in (None, o.kind)
            )
        )

    def by_file(self) -> NDArray[np.int64]:
        """Return lock operations in code, of shape (files, kinds)."""
        index = {kind: number for number, kind in enumerate(self.kinds)}
        kind_of = np.array([index[o.kind] if o.role in OPERATIONS else -1 for o in self.operations], np.int64)
        kinds = kind_of[self.rows[:, OPERATION]]
        keep = (kinds >= 0) & (self.rows[:, PLACE] == 0)
        flat = self.rows[keep, FILE] * len(self.kinds) + kinds[keep]
        counts = np.bincount(flat, minlength=len(self.files) * len(self.kinds))
        return counts.reshape(len(self.files), len(self.kinds))

    def by_folder(self, depth: int = 1) -> dict[str, NDArray[np.int64]]:
        """Return lock operations in code by the first `depth` folders, each of shape (kinds,)."""
        sums: dict[str, NDArray[np.int64]] = {}
        for file, counts in zip(self.files, self.by_file(), strict=True):
            parts = file.path.split("/")
            folder = "/".join(parts[: min(depth, len(parts) - 1)]) or "."
            if folder in sums:
                sums[folder] += counts
            else:
                sums[folder] = counts.copy()
        return dict(sorted(sums.items()))

    def sites(self) -> Iterator[Site]:
        """Yield every site with its role and place, in file order."""
        for row in self.rows.tolist():
            o = self.operations[row[OPERATION]]
            path = self.files[row[FILE]].path
            yield Site(path, row[LINE], row[COLUMN], o.kind, o.role, o.name, _PLACES[row[PLACE]])


def census(
    tree: Tree,
    profile: Profile,
    *,
    select: FileSet | None = None,
    sites: bool = False,
    identify: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Census:
    """Count the lock operations of `profile` in the files of `tree` (by default the profile's own set).

    With `sites`, lines and columns are found too; `identify` as for `scan`. Raises TreeError when there is
    nothing to read.
    """
    select = select or profile.files.file_set()
    own: list[FileSet | None] = []
    work: Callable[[Files], NDArray[np.int64]]
    if profile.style == "lines":
        from lockscape.source.lines import LineCounter

        operations = tuple(Operation(kind.id, None, kind.id, "acquire") for kind in profile.kinds)
        own = [FileSet(kind.exclude) if kind.exclude else None for kind in profile.kinds]
        work = LineCounter(profile)
    else:
        operations = profile.operations()
        work = TokenCounter(operations, positions=sites, words=profile.words)
    result = scan(tree, select, work, identify=identify, workers=workers, progress=progress)
    return _gather(result, profile, operations, select, own)


def _gather(
    result: Scan[NDArray[np.int64]],
    profile: Profile,
    operations: tuple[Operation, ...],
    select: FileSet,
    own: Sequence[FileSet | None] = (),
) -> Census:
    """Make a census of a scan's parts; `own` are, by operation, the files that implement the kind."""
    rows = rows_of(result)
    paths = [file.path for file in result.files]
    for kind, excluded in enumerate(own):
        if excluded is not None:
            inside = np.array([excluded.matches(path) for path in paths], bool)
            rows = rows[(rows[:, OPERATION] != kind) | ~inside[rows[:, FILE]]]
    return Census(
        result.tree,
        profile,
        operations,
        result.files,
        sort_rows(rows),
        result.problems,
        select.missing(paths),
    )


def rows_of(result: Scan[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the rows of all parts with files numbered as in the scan, unsorted, of its files only."""
    pieces = [np.empty((0, 5), np.int64)]
    for part in result.parts:
        rows = part.value.copy()
        rows[:, FILE] = part.numbers[rows[:, FILE]]
        pieces.append(rows[rows[:, FILE] >= 0])
    return np.concatenate(pieces)


def sort_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows by file, line, column and operation."""
    return rows[np.lexsort((rows[:, OPERATION], rows[:, COLUMN], rows[:, LINE], rows[:, FILE]))]


class OperationFinder:
    """Finds the names of operations in a buffer of files and tells which operation each is. Picklable."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        from lockscape.source.lexer import load_lexer
        from lockscape.source.names import name_table

        load_lexer()
        self._table = name_table(tuple(dict.fromkeys(o.name for o in operations)))
        self._plain = np.full(len(self._table.names), -1, np.int64)
        self._declares = np.zeros(len(self._table.names), bool)
        self._by_argument: dict[int, dict[str, int]] = {}
        index = {name: number for number, name in enumerate(self._table.names)}
        for number, o in enumerate(operations):
            self._declares[index[o.name]] = o.role == "declare"
            if o.argument is None:
                self._plain[index[o.name]] = number
            else:
                self._by_argument.setdefault(index[o.name], {})[o.argument] = number

    def __call__(self, files: Files) -> NDArray[np.int64]:
        """Return calls and #define bodies: file, offset, operation number, what it is, start of its #."""
        from lockscape.source.lexer import CALL, DECLARATION, DEFINE_BODY, find_places

        places = find_places(self._table, files.data, files.starts, files.ends)
        what = places[:, 3]
        # `static DEFINE_SPINLOCK(x)` reads like a prototype: names that declare count there too
        declares = self._declares[places[:, 2]] & (what == DECLARATION)
        places = places[(what == CALL) | (what == DEFINE_BODY) | declares]
        operation = self._plain[places[:, 2]]
        for name, kinds in self._by_argument.items():
            for at in np.flatnonzero(places[:, 2] == name).tolist():
                file, first = places[at, :2].tolist()
                text = first_argument(files.data, first, int(files.ends[file]))
                operation[at] = kinds.get(text, operation[at])
        places[:, 2] = operation
        known: NDArray[np.int64] = places[operation >= 0]
        return known


class TokenCounter:
    """The work for `scan`: the sites of known names in a buffer of files. Picklable.

    `positions` says whether lines and columns are wanted (they cost a count of line ends); `words` are names
    that count without parentheses too.
    """

    def __init__(
        self, operations: tuple[Operation, ...], *, positions: bool, words: Words | None = None
    ) -> None:
        self._find = OperationFinder(operations)
        self._positions = positions
        self._words: WordFinder | None = None
        if words is not None:
            numbers = {o.name: number for number, o in enumerate(operations) if o.argument is None}
            self._words = WordFinder({name: numbers[name] for name in words.names}, FileSet(words.files))

    def __call__(self, files: Files) -> NDArray[np.int64]:
        """Return rows as in `Census.rows`, files numbered as in `files`."""
        from lockscape.source.lexer import DEFINE_BODY

        found = self._find(files)[:, :4]
        found[:, 3] = found[:, 3] == DEFINE_BODY
        if self._words is not None and (words := self._words(files)):
            found = np.concatenate((found, np.array(words, np.int64)))
        rows = np.zeros((len(found), 5), np.int64)
        rows[:, FILE], rows[:, OPERATION], rows[:, PLACE] = found[:, 0], found[:, 2], found[:, 3]
        if self._positions and len(rows):
            rows[:, LINE], rows[:, COLUMN] = line_and_column(files, found[:, 0], found[:, 1])
        return rows


def line_and_column(
    files: Files, file: NDArray[np.int64], offset: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return line and column (bytes), from 1, of offsets into the buffer; arrays of one shape."""
    ends = np.flatnonzero(files.data == 10)  # of lines, over the whole buffer
    before = np.searchsorted(ends, offset)
    first = np.searchsorted(ends, files.starts[file])
    line_start = (
        np.where(before > first, ends[np.maximum(before - 1, 0)] + 1, files.starts[file])
        if len(ends)
        else files.starts[file]
    )
    return before - first + 1, offset - line_start + 1


_BLANKS = re.compile(rb"\s+|/\*.*?\*/", re.DOTALL)


def first_argument(data: NDArray[np.uint8], name_at: int, end: int) -> str:
    """Return the first argument of the call at `name_at`, without blanks; at most 80 bytes are looked at."""
    text = data[name_at : min(end, name_at + 160)].tobytes()
    text = _BLANKS.sub(b"", text[text.find(b"(") + 1 :])
    depth = 0
    for at, byte in enumerate(text[:80]):
        if byte in b"([{":
            depth += 1
        elif byte in b")]},":
            if depth == 0 or (byte == 44 and depth == 0):
                return text[:at].decode("latin-1")
            if byte != 44:
                depth -= 1
    return text[:80].decode("latin-1")
