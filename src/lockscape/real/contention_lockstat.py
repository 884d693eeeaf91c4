"""Reads ``/proc/lock_stat``, versions 0.3 and 0.4.

A class of locks has a row, or one for writers (``-W``) and one for readers (``-R``); below, between short
rules, up to four places that waited and up to four that held the lock meanwhile. Times are microseconds. A
class' name may hold anything, and is cut to 38 characters with its number (``#2``) and subclass (``/1``).
Source of the format: seq_stats in kernel/locking/lockdep_proc.c, and Documentation/locking/lockstat.rst.
"""

import re
from collections.abc import Iterable

import msgspec

from lockscape.errors import InputError
from lockscape.real.contention_rows import LockRow, Measurement, Place, Unread, together

_VERSIONS = ("0.3", "0.4")

WITHOUT_MEANS = (
    "con-bounces", "contentions", "waittime-min", "waittime-max", "waittime-total", "acq-bounces",
    "acquisitions", "holdtime-min", "holdtime-max", "holdtime-total",
)  # fmt: skip
"""Figures of version 0.3."""

WITH_MEANS = (*WITHOUT_MEANS[:5], "waittime-avg", *WITHOUT_MEANS[5:], "holdtime-avg")
"""Figures of version 0.4."""

FIGURES = {len(names): names for names in (WITHOUT_MEANS, WITH_MEANS)}
"""By how many there are, so that rows are understood without a heading, as grep leaves them."""

_VERSION = re.compile(r"\s*lock_stat version (\S{1,20})")
_COUNT = re.compile(r"[0-9]{1,20}")
_TIME = re.compile(r"[0-9]{1,18}(?:\.[0-9]{0,2})?")  # the kernel cuts a time to 14 characters
_PLACE = re.compile(r"\s*(\S.*?)\s+([0-9]{1,20})\s+\[<[^>]{0,40}>\]\s*(.*)")
_RULE = re.compile(r"\s*(?:-+|\.+)\s*")
_NO_DATA = re.compile(r"\s*(?:class name\s|ls_[a-z_]+:\s|lock_stat version )")
_DISABLED = "lock debugging disabled"


class _Class(msgspec.Struct):
    """A class as it is read: its rows (more than one with readers), and the two blocks of places."""

    name: str
    rows: list[LockRow]
    blocks: list[list[Place]]


def is_lock_stat(lines: list[str]) -> bool:
    """Return whether the lines are of /proc/lock_stat, as a whole or in part."""
    return any(_VERSION.match(line) or _row(line) for line in lines)


def read_lock_stat(lines: list[str], shown: str) -> Measurement:
    """Return what the text of /proc/lock_stat says."""
    versions = [found[1] for line in lines if (found := _VERSION.match(line))]
    for version in versions:
        if version not in _VERSIONS:
            raise InputError(f"{shown}: lock_stat version {version}; known are {' and '.join(_VERSIONS)}")
    if len(versions) > 1:
        raise InputError(f"{shown}: {len(versions)} outputs of /proc/lock_stat; keep one")
    unread = Unread()
    classes = _classes(lines, unread)
    if not classes and unread.count:
        raise InputError(f"{shown}: no row that is understood{unread.told()}")
    off = any(_DISABLED in line for line in lines)
    return Measurement(
        "lock_stat", f"lock_stat version {versions[0]}" if versions else "lock_stat", "class",
        together((each.name, _together(each)) for each in classes),
        notes=("Lock debugging had been disabled: the kernel stopped counting at some time.",) if off else (),
        lines_not_understood=unread.count, unread=tuple(unread.first),
    )  # fmt: skip


def _classes(lines: Iterable[str], unread: Unread) -> list[_Class]:
    found: list[_Class] = []
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is not None:
            _add(found, *row)
        elif _RULE.fullmatch(line):
            if found and "-" in line:
                found[-1].blocks.append([])
        elif line.strip() and not _NO_DATA.match(line) and _DISABLED not in line and not _place(found, line):
            unread.add(number, line)
    return found


def _add(found: list[_Class], name: str, row: LockRow) -> None:
    """Add a row to its class: the last if it is the readers' row below the writers'."""
    if row.type and found and found[-1].name == name and not found[-1].blocks and found[-1].rows[0].type:
        found[-1].rows.append(row)
    else:
        found.append(_Class(name, [row], []))


def _row(line: str) -> tuple[str, LockRow] | None:
    """Return a class' name and a row of it, None for another line."""
    name, colon, text = line.rpartition(":")
    fields = text.split()
    names = FIGURES.get(len(fields))
    name = name.strip()
    if not colon or not name or names is None:
        return None
    for figure, field in zip(names, fields, strict=True):
        if not (_TIME if "time" in figure else _COUNT).fullmatch(field):
            return None
    of = dict(zip(names, fields, strict=True))
    mode = name[-2:] if name[-2:] in ("-W", "-R") and len(name) > 2 else ""
    name = name.removesuffix(mode)
    return name, LockRow(
        name, "rw" if mode else "", None, _seconds(of["waittime-total"]), int(of["contentions"]),
        _seconds(of["waittime-max"]), int(of["acquisitions"]), _seconds(of["holdtime-total"]),
    )  # fmt: skip


def _seconds(microseconds: str) -> float:
    return float(microseconds) / 1e6


def _place(found: list[_Class], line: str) -> bool:
    """Add a place to its class; return False for a line that is none, or of another class."""
    place = _PLACE.fullmatch(line)
    if place is None or not found or not found[-1].blocks or place[1] != found[-1].name:
        return False
    found[-1].blocks[-1].append(Place(place[3].strip() or "unknown", int(place[2])))
    return True


def _together(each: _Class) -> LockRow:
    (row,) = together((each.name, row) for row in each.rows)
    callers, holders = ([*each.blocks, [], []])[:2]
    return msgspec.structs.replace(row, callers=_by_count(callers), holders=_by_count(holders))


def _by_count(places: list[Place]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: -place.count))
