"""Reads what ``perf lock contention`` prints, for people or with ``-x``.

The columns are named by the heading, for ``-F`` chooses them; what follows them depends on how rows were
added up: by caller, by lock (``-l``), task (``-t``), owner (``-o``) or control group (``-g``), from a
recording or by BPF (``-b``). Times are nanoseconds with ``-x``, else figures with a unit. Source of the
formats: tools/perf/builtin-lock.c of Linux 6.1 and 6.15, print_header_stdio, print_header_csv,
lock_stat_key_print_time, lock_type_table, print_footer_csv.
"""

import re
from typing import NamedTuple

from lockscape.errors import InputError
from lockscape.real.contention_rows import LockRow, Measurement, Place, RowsAre, Unread, together

KEYS = ("contended", "total wait", "max wait", "min wait", "avg wait")
"""Headings of figures."""

TAILS: dict[tuple[str, ...], RowsAre] = {
    ("type", "caller"): "caller",
    ("type", "caller", "stacktrace"): "caller",
    ("address", "symbol"): "lock",
    ("address", "symbol", "type"): "lock",
    ("pid", "comm"): "task",
    ("pid", "owner"): "owner",
    ("cgroup",): "cgroup",
}
"""Headings of what a row is of; for people the type of a lock stands in brackets behind its symbol."""

_SPINS = ("spinlock", "rwlock")
_SLEEPS = ("mutex", "semaphore", "rwsem", "rtmutex", "rt-mutex", "rwlock-rt", "pcpu-sem", "percpu-rwsem")

UNITS = {"h": 1 / 3600, "m": 1 / 60, "s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""How many make a second."""

_HEADING = re.compile(
    r"\s*((?:(?:contended|(?:total|max|min|avg) wait)\s+)+)(type|address|pid|cgroup)(?:\s|$)"
)
_CSV_HEADING = re.compile(r"# output:\s*(.*\S)")
_FIGURE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,2})?)(?: (h|m|s|ms|us|ns))?(?=\s)")
_STACK = re.compile(r"\s+0x[0-9a-f]+\s")
_OWNERS = re.compile(r"\s*(?:=== owner stack trace ===|# owner stack trace:)\s*")
_DEBUG = re.compile(r"=== output for debug ?===|bad rate: |histogram of |\s+[a-z]+: \d+$")
_BAD = re.compile(r"bad: (\d{1,18}), total: (\d{1,18})$")
_CSV_BAD = re.compile(r"# debug: total=(\d{1,18})\S* bad=(\d{1,18})")
_IN_BRACKETS = re.compile(r"(.*?) ?\(([\w-]+)\)")


class Columns(NamedTuple):
    """What a heading says: the figures, what the rows are, and the separator (None: for people)."""

    figures: tuple[str, ...]
    tail: tuple[str, ...]
    separator: str | None


def is_perf(lines: list[str]) -> bool:
    """Return whether a heading of perf lock contention is among the lines."""
    return any(_columns(line) is not None for line in lines)


def read_perf(lines: list[str], shown: str) -> Measurement:
    """Return what the output of perf lock contention says. Raises `InputError` if it has no total wait."""
    reader = _Reader(shown)
    for number, line in enumerate(lines, 1):
        reader.take(number, line)
    return reader.done()


def sleeps_of(kind: str) -> bool | None:
    """Return whether waiters for perf's type of lock sleep, None if the type is not known."""
    family = kind.partition(":")[0]
    return True if family in _SLEEPS else False if family in _SPINS else None


def _columns(line: str) -> Columns | None:
    """Return what a heading says, None for a line that is none."""
    csv = _CSV_HEADING.match(line)
    if csv is not None:
        return _csv_columns(csv[1])
    plain = _HEADING.match(line)
    if plain is None:
        return None
    tail = tuple(line[plain.start(2) :].split())
    figures = tuple(re.findall(r"contended|(?:total|max|min|avg) wait", plain[1]))
    return Columns(figures, tail, None) if tail in TAILS else None


def _csv_columns(text: str) -> Columns | None:
    first = re.match(rf"({'|'.join(KEYS)})([^ ]{{1,8}}) ", text)
    if first is None:
        return None
    found = [part.strip() for part in text.split(first[2])]
    figures = tuple(part for part in found if part in KEYS)
    tail = tuple(found[len(figures) :])
    return Columns(figures, tail, first[2]) if tail in TAILS else None


class _Reader:
    """Reads line by line: headings, rows below them, and what is known and not used."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.columns: Columns | None = None
        self.unread = Unread()
        self.rows: list[tuple[object, LockRow]] = []
        self.bad = (0, 0)
        self.owners = False

    def take(self, number: int, line: str) -> None:
        """Read a line."""
        columns = _columns(line)
        if columns is not None:
            self._begin(columns)
        elif line.strip() and not self._other(line) and not self._row(line):
            self.unread.add(number, line)

    def _begin(self, columns: Columns) -> None:
        if self.columns is not None and TAILS[self.columns.tail] != TAILS[columns.tail]:
            raise InputError(
                f"{self.shown}: rows by {TAILS[self.columns.tail]} and by {TAILS[columns.tail]} are the same "
                "waits; keep one of both outputs"
            )
        if "total wait" not in columns.figures and not {"contended", "avg wait"} <= {*columns.figures}:
            raise InputError(f"{self.shown}: no column 'total wait'; run perf with -F contended,wait_total")
        self.columns = columns

    def _other(self, line: str) -> bool:
        """Return whether a line is known and no row: counts of lost events, stacks, the heading of owners."""
        bad, csv = _BAD.match(line), _CSV_BAD.match(line)
        if bad is not None:
            self.bad = int(bad[1]), int(bad[2])
        elif csv is not None:
            self.bad = int(csv[2]), int(csv[1])
        elif _OWNERS.fullmatch(line):
            self.owners = True
        elif self.columns is None or not (_STACK.match(line) or _DEBUG.match(line)):
            return False
        return True

    def _row(self, line: str) -> bool:
        """Read a row; return False for what is none. Rows of owners are others, in the same columns."""
        if self.columns is None:
            return False
        if self.owners:
            return _is_owner(line, self.columns)
        split = (
            _people_fields(line, self.columns)
            if self.columns.separator is None
            else _fields(line, self.columns)
        )
        if split is None:
            return False
        figures, tail = split
        found = dict(zip(self.columns.figures, figures, strict=True))
        waits = int(found["contended"]) if "contended" in found else None
        total = found.get("total wait")
        if total is None:
            total = found["avg wait"] * (waits or 0)
        self.rows.append(_lock(self.columns, tail, total, waits, found.get("max wait")))
        return True

    def done(self) -> Measurement:
        """Return what was read."""
        assert self.columns is not None
        of = TAILS[self.columns.tail]
        if not self.rows and self.unread.count:
            raise InputError(f"{self.shown}: a heading, but no row that is understood{self.unread.told()}")
        notes = []
        if self.bad[0]:
            notes.append(
                f"perf could not use {self.bad[0]:,} of {self.bad[1]:,} events: their waits are missing."
            )
        if self.owners:
            notes.append("The stacks of owners behind the table were not used.")
        return Measurement(
            "perf", f"perf lock contention by {of}", of, together(self.rows), notes=tuple(notes),
            lines_not_understood=self.unread.count, unread=tuple(self.unread.first),
        )  # fmt: skip


def _is_owner(line: str, columns: Columns) -> bool:
    """Return whether a line is a row of the stacks of owners: by caller, whatever the heading says."""
    by_caller = columns._replace(tail=("type", "caller"))
    return (_people_fields if columns.separator is None else _fields)(line, by_caller) is not None


def _fields(line: str, columns: Columns) -> tuple[list[float], list[str]] | None:
    """Return figures and texts of a row with separators; times are in nanoseconds."""
    assert columns.separator is not None
    count = len(columns.figures)
    parts = [part.strip() for part in line.split(columns.separator, count + len(columns.tail) - 1)]
    if len(parts) not in (
        count + len(columns.tail),
        count + len(columns.tail) - ("stacktrace" in columns.tail),
    ):
        return None
    if not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts[:count]):
        return None
    figures = [
        float(part) if name == "contended" else float(part) / 1e9
        for name, part in zip(columns.figures, parts[:count], strict=True)
    ]
    return figures, parts[count:]


def _people_fields(line: str, columns: Columns) -> tuple[list[float], list[str]] | None:
    """Return figures and texts of a row for people."""
    figures = []
    at = 0
    for name in columns.figures:
        found = _FIGURE.match(line, at)
        if found is None or (found[2] is None) != (name == "contended"):
            return None
        figures.append(float(found[1]) / UNITS.get(found[2], 1.0))
        at = found.end()
    rest = line[at:].strip()
    return figures, rest.split(None, len(columns.tail) - 1) if len(columns.tail) > 1 else [rest]


def _lock(
    columns: Columns, tail: list[str], total: float, waits: int | None, longest: float | None
) -> tuple[object, LockRow]:
    """Return a row with what tells it from others."""
    texts = dict(zip(columns.tail, tail, strict=False))
    kind, symbol = texts.get("type", ""), texts.get("symbol", "")
    bracketed = _IN_BRACKETS.fullmatch(symbol) if columns.separator is None else None
    if bracketed is not None:
        symbol, kind = bracketed[1], bracketed[2]
    caller = texts.get("caller", "unknown")
    address = texts.get("address", "")
    who = texts.get("pid", texts.get("cgroup", ""))
    named = f"{texts.get('comm', texts.get('owner', ''))} ({who})" if "pid" in columns.tail else who
    key, name = {
        "caller": ((kind, caller), caller),
        "lock": (address, symbol or address),
    }.get(TAILS[columns.tail], (who, named))
    callers = (Place(caller, waits or 0),) if "caller" in columns.tail else ()
    return key, LockRow(name, kind, sleeps_of(kind), total, waits, longest, callers=callers)
