"""A sweep as a document, and as tables for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.band import interval, quantile
from lockscape.experiments.experiment_file import Experiment
from lockscape.experiments.grid import Axes
from lockscape.experiments.sweep import Outcome, Sweep
from lockscape.experiments.sweep import Row as SweepRow
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.speedups import Line, speedup_tables, width_of
from lockscape.report.table import Row, Table, print_tables

_MEDIAN = 0.5

NAMED = ("workload", "machine", "processes")
"""Axes that tell curves apart, besides the system: shown where they have several values."""

_BUSIEST = (
    "The busiest lock is the one that was waited for longest; its waits are a share of all processors' time. "
    "Where several runs stand behind a line, it is the one with the stated costs (else the first sample) and "
    "the first seed."
)


_SEVERAL = (
    "The first line of a curve: the stated costs, if they were asked for, else the median of the samples; "
    "the median of seeds. Below: what 5% and 95% of all its runs do not exceed."
)


class Problem(msgspec.Struct, frozen=True):
    """Why cells have no result, and how many: ``impossible``, or ``failed`` runs. `first` is one of them."""

    outcome: Outcome
    problem: str
    cells: int
    first: Axes


class SweepDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape sweep``: the experiment, and a row for each cell of its grid.

    `file` is the Parquet file, which has the locks of each run too; `made` runs were made now, `kept` were
    kept from before; `notes` say which axes do not apply to which workload.
    """

    schema_version: int
    document: Literal["sweep"]
    manifest: Manifest
    experiment: Experiment
    file: str
    made: int
    kept: int
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    rows: tuple[SweepRow, ...]


def sweep_document(experiment: Experiment, done: Sweep, file: str, manifest: Manifest) -> SweepDocument:
    """Return the document of a sweep."""
    finished = sum(row.outcome == "done" for row in done.rows)
    return SweepDocument(
        SCHEMA_VERSION, "sweep", manifest, experiment, file, finished - done.kept, done.kept, done.notes,
        tuple(_problems(done.rows)), done.rows,
    )  # fmt: skip


def _problems(rows: Sequence[SweepRow]) -> Iterator[Problem]:
    told = [row for row in rows if row.problem is not None]
    counts = Counter((row.outcome, row.problem) for row in told)
    for (outcome, problem), cells in counts.items():
        first = next(row for row in told if (row.outcome, row.problem) == (outcome, problem))
        axes = Axes(**{name: getattr(first, name) for name in Axes.__struct_fields__})
        yield Problem(outcome, problem or "", cells, axes)


def sweep_csv(document: SweepDocument) -> Table:
    """Return one long table, a cell of the grid in each row."""
    columns = SweepRow.__struct_fields__
    rows: list[Row] = [tuple(getattr(row, name) for name in columns) for row in document.rows]
    return Table("", columns, tuple(rows))


def print_sweep(document: SweepDocument, out: TextIO) -> None:
    """Write everything for people: what was run, speedups, what stops them, what could not be run."""
    print_prose([Paragraph(line, "note") for line in (*_about(document), *document.notes)], out)
    out.write("\n")
    tables = (*_speedups(document, width_of(out)), *_stops(document), *_problem_tables(document))
    print_tables(tables, out)


def _about(document: SweepDocument) -> Iterator[str]:
    title = f"{document.experiment.title}: " if document.experiment.title else ""
    runs = document.made + document.kept
    kept = f", {document.kept:,} of them kept from before" if document.kept else ""
    missing = len(document.rows) - runs
    without = f"; {missing:,} cells have no result, see below" if missing else ""
    yield f"{title}{runs:,} simulated runs{kept}{without}. Every cell, with all locks: {document.file}"


Curve = tuple[str, ...]
"""What runs of one curve have in common."""


def _curves(document: SweepDocument) -> dict[Curve, list[SweepRow]]:
    """Return the finished rows of each curve, by its system and those of `NAMED` that vary, as text."""
    varying = [name for name in NAMED if len({getattr(row, name) for row in document.rows}) > 1]
    found: dict[Curve, list[SweepRow]] = {}
    for row in document.rows:
        curve = found.setdefault((row.system, *(str(getattr(row, name)) for name in varying)), [])
        if row.outcome == "done":
            curve.append(row)
    return found


def _heads(document: SweepDocument) -> tuple[str, ...]:
    return "system", *(n for n in NAMED if len({getattr(row, n) for row in document.rows}) > 1)


def _speedups(document: SweepDocument, width: int) -> Iterator[Table]:
    """Yield the speedups: a row for each curve; below it the interval, where several runs stand behind it."""
    lines = [_line(curve, found) for curve, found in _curves(document).items()]
    several = any(line.band for line in lines)
    yield from speedup_tables(
        "Speedup over one processor of the same cell, by makespan", _heads(document), lines, width,
        (_SEVERAL,) if several else (),
    )  # fmt: skip


def _line(curve: Curve, found: Sequence[SweepRow]) -> Line:
    by_cpus = {n: [row for row in found if row.cpus == n] for n in sorted({row.cpus for row in found})}
    banded = any(len(rows) > 1 for rows in by_cpus.values())
    return Line(
        curve,
        {
            n: quantile(_values(_stated(rows)), _MEDIAN)
            for n, rows in by_cpus.items()
            if _values(_stated(rows))
        },
        {n: interval(_values(rows)) for n, rows in by_cpus.items() if banded and _values(rows)},
    )


def _values(rows: Sequence[SweepRow]) -> list[float]:
    return [row.speedup for row in rows if row.speedup is not None]


def _stated(rows: Sequence[SweepRow]) -> Sequence[SweepRow]:
    """Return the runs with the stated costs, or all if there are none."""
    return [row for row in rows if row.cost_sample == 0] or rows


def _stops(document: SweepDocument) -> Iterator[Table]:
    """Yield where the time goes on the most processors, and the busiest lock."""
    heads = _heads(document)
    rows: list[Row] = []
    for curve, found in _curves(document).items():
        if not found:
            continue
        most = max(row.cpus for row in found)
        row = _stated([row for row in found if row.cpus == most])[0]
        steady = None if row.steady_per_s is None else round(row.steady_per_s)
        rows.append((
            *curve, row.cpus, f"{row.makespan_s:.3f}", steady, _percent(row.spin), _percent(row.idle),
            row.busiest_lock, _percent(row.busiest_lock_wait),
        ))  # fmt: skip
    columns = (
        *heads,
        "processors",
        "makespan s",
        "operations per s",
        "spin %",
        "idle %",
        "busiest lock",
        "waits %",
    )
    if rows:
        left = frozenset({*range(len(heads)), len(columns) - 2})
        yield Table("On the most processors", columns, tuple(rows), left, notes=(_BUSIEST,))


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _problem_tables(document: SweepDocument) -> Iterator[Table]:
    rows: list[Row] = [(each.outcome, each.cells, each.problem) for each in document.problems]
    if rows:
        yield Table("Cells without a result", ("", "cells", "why"), tuple(rows), frozenset({0, 2}))
