"""Locks and how long they were waited for, whatever measured it."""

from collections.abc import Iterable
from typing import Literal

import msgspec

SHOWN_UNREAD = 5
"""Lines that were not understood: so many are told with their text."""

_SHOWN_CHARACTERS = 80

RowsAre = Literal["lock", "class", "caller", "task", "owner", "cgroup"]
"""``lock``: one; ``class``: all locks of one place in the source; ``caller``: where was waited, for whatever
lock; ``task``, ``cgroup``: who waited; ``owner``: who held the lock meanwhile."""


class Choice(msgspec.Struct, frozen=True):
    """Which run of a document is meant: the system's name, and the number of processors."""

    system: str | None = None
    cpus: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A place in the kernel, and how often somebody waited there, or held the lock there."""

    place: str
    count: int


class Rerun(msgspec.Struct, frozen=True):
    """What ``lockscape whatif`` found for a lock with runs of their own; None: there is no such run."""

    free: float | None = None
    split: float | None = None


class LockRow(msgspec.Struct, frozen=True):
    """A lock, or what stands for one, see `RowsAre`. None, and an empty `type`: the source does not say.

    `sleeps`: whether waiters give up the processor. `waits`: how often somebody waited. Times are of all
    processors together. `callers`: where was waited, `holders`: where the lock was held meanwhile, the most
    often first. `rows`: how many rows of the source these are.
    """

    name: str
    type: str
    sleeps: bool | None
    wait_s: float
    waits: int | None = None
    wait_max_s: float | None = None
    acquisitions: int | None = None
    hold_s: float | None = None
    callers: tuple[Place, ...] = ()
    holders: tuple[Place, ...] = ()
    rerun: Rerun | None = None
    rows: int = 1


class UnreadLine(msgspec.Struct, frozen=True):
    """A line that was not understood: its number, from 1, and the begin of its text."""

    line: int
    text: str


class Measurement(msgspec.Struct, frozen=True):
    """What a file says: locks in no order, and what it knows of the machine and the time (else None).

    `idle`: share of all processors' time. `notes`: what a reader should know, a sentence each.
    `lines_not_understood` counts all of them, `unread` has the first.
    """

    source: Literal["perf", "lock_stat", "lockscape"]
    title: str
    rows_are: RowsAre
    locks: tuple[LockRow, ...]
    cpus: int | None = None
    processes: int | None = None
    elapsed_s: float | None = None
    idle: float | None = None
    notes: tuple[str, ...] = ()
    lines_not_understood: int = 0
    unread: tuple[UnreadLine, ...] = ()


class Unread:
    """Counts lines that are not understood."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[UnreadLine] = []

    def add(self, number: int, line: str) -> None:
        """Count a line, and keep it if it is one of the first."""
        self.count += 1
        if len(self.first) < SHOWN_UNREAD:
            self.first.append(UnreadLine(number, line.strip()[:_SHOWN_CHARACTERS]))

    def told(self) -> str:
        """Return the first in words, for a message; nothing if there are none."""
        if not self.first:
            return ""
        each = self.first[0]
        return f"; lines not understood: {self.count}, the first is line {each.line}: {each.text!r}"


def together(rows: Iterable[tuple[object, LockRow]]) -> tuple[LockRow, ...]:
    """Return rows with those of one key added up."""
    found: dict[object, list[LockRow]] = {}
    for key, row in rows:
        found.setdefault(key, []).append(row)
    return tuple(_sum(each) if len(each) > 1 else each[0] for each in found.values())


def _sum(rows: list[LockRow]) -> LockRow:
    def known(name: str) -> list[float]:
        return [value for row in rows if (value := getattr(row, name)) is not None]

    totals = {name: sum(known(name)) if known(name) else None for name in ("waits", "acquisitions", "hold_s")}
    return msgspec.structs.replace(
        rows[0], wait_s=sum(row.wait_s for row in rows), wait_max_s=max(known("wait_max_s"), default=None),
        rows=len(rows), **totals,
    )  # fmt: skip
