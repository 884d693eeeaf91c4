"""Where the time goes and which locks are waited for, on the page: for several numbers of processors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lockscape import catalog
from lockscape.experiments.result import LockStatistics
from lockscape.report.bar_rows import BarRows, Row, bar_rows
from lockscape.report.study import StudyDocument
from lockscape.report.study_runs import StudyCurve, StudyCurves, StudyPoint
from lockscape.report.table import Table

CPUS = (1, 2, 4, 8)
"""Numbers of processors that are shown."""

ORDER = ("user", "kernel", "hypervisor", "interrupt", "spin", "idle")
"""What a processor's time is spent in, in the order in which it is drawn."""

SHOWN = 5
"""Locks of a system in the table."""

HEADS = ("system", "lock", "kind", "taken", "line moved %", "waited for %", "slept", "waited ms",
         "mean wait µs", "longest wait µs", "mean hold µs")  # fmt: skip
"""The columns of the table of locks."""


@dataclass(frozen=True)
class LockRow:
    """A lock of a system in the table; `system` is its id."""

    system: str
    cells: tuple[str | int, ...]


@dataclass(frozen=True)
class Waits:
    """A number of processors: where the time goes, what is waited for, and the locks."""

    label: str
    time: BarRows
    times: Table
    waits: BarRows
    rows: tuple[LockRow, ...]


def locks_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of time and locks; nothing, if nothing was run."""
    curves = document.curves
    return {
        "waits": [] if curves is None else list(_waits(curves)),
        "lock_heads": HEADS,
        "modes": [mode for mode in ORDER if curves is not None and _spent(curves, mode)],
        "locks_shown": SHOWN,
    }


def _spent(curves: StudyCurves, mode: str) -> bool:
    return any(point.time_shares[mode] > 0 for each in curves.systems for point in each.points)


def _waits(curves: StudyCurves) -> Iterator[Waits]:
    for cpus in CPUS:
        pairs = [(each, each.at(cpus)) for each in curves.systems]
        label = "1 processor" if cpus == 1 else f"{cpus} processors"
        time = bar_rows(
            f"time-{cpus}", f"Where the time goes on {label}", "share of all processors’ time",
            [Row(c.name, _named(c, p, cpus), [(mode, p.time_shares[mode]) for mode in ORDER])
             for c, p in pairs], shares=True,
        )  # fmt: skip
        waits = bar_rows(
            f"waits-{cpus}", f"Waiting for locks on {label}", "how many wait at a time, on average",
            [_wait_row(_named(c, p, cpus), c, p) for c, p in pairs],
        )  # fmt: skip
        rows = tuple(row for c, p in pairs for row in _rows(c, p, curves.machine.clock_mhz))
        yield Waits(label, time, _times(label, pairs), waits, rows)


def _times(label: str, pairs: Sequence[tuple[StudyCurve, StudyPoint]]) -> Table:
    """Return where the time goes as a table, in percent."""
    rows: tuple[tuple[str | int, ...], ...] = tuple(
        (_name(curve), point.cpus, f"{point.makespan_s:.3f}",
         *(f"{100 * point.time_shares[mode]:.1f}" for mode in ORDER))
        for curve, point in pairs
    )  # fmt: skip
    heads = ("system", "processors", "makespan s", *(f"{mode} %" for mode in ORDER))
    return Table(f"Where the time goes on {label}", heads, rows)


def _name(curve: StudyCurve) -> str:
    return catalog.system(curve.name).name


def _named(curve: StudyCurve, point: StudyPoint, cpus: int) -> str:
    """Return a system's name, with the number of processors if it is not the one asked for."""
    name = _name(curve)
    return name if point.cpus == cpus else f"{name} (on {point.cpus})"


def waiting(lock: LockStatistics, point: StudyPoint) -> float:
    """Return how many wait for a lock at a time, on average over a run.

    They are processes, and processors that look for one.
    """
    return lock.wait_cycles / point.makespan_cycles


def _wait_row(name: str, curve: StudyCurve, point: StudyPoint) -> Row:
    """Return how many wait for the lock that is waited for longest, and for the other ones."""
    waited = [waiting(lock, point) for lock in point.locks]
    if not waited or not waited[0]:
        return Row(curve.name, name, [], "none")
    return Row(
        curve.name, name, [("longest", waited[0]), ("others", sum(waited[1:]))], point.locks[0].lock
    )  # fmt: skip


def _rows(curve: StudyCurve, point: StudyPoint, mhz: int) -> Iterator[LockRow]:
    for lock in point.locks[:SHOWN]:
        yield LockRow(curve.name, (_name(curve), *_cells(lock, mhz)))


def _cells(lock: LockStatistics, mhz: int) -> tuple[str | int, ...]:
    taken = max(lock.acquisitions, 1)
    return (
        lock.lock, lock.kind, lock.acquisitions, f"{100 * lock.bounces / taken:.1f}",
        f"{100 * lock.contentions / taken:.1f}", lock.sleeps, f"{lock.wait_cycles / mhz / 1000:,.1f}",
        f"{lock.wait_mean_cycles / mhz:,.1f}", f"{lock.wait_max_cycles / mhz:,.1f}",
        f"{lock.hold_mean_cycles / mhz:,.2f}",
    )  # fmt: skip
