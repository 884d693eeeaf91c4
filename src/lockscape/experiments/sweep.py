"""Runs the grid of an experiment: a row for each cell, with what came of its run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from lockscape.errors import InputError, LockscapeError
from lockscape.experiments.curve import Makers, Point, Progress, each_run
from lockscape.experiments.grid import Axes, Cell, Grid
from lockscape.experiments.result import MODES, LockStatistics, plan_digest

Outcome = Literal["done", "impossible", "failed"]
"""What came of a run of a sweep."""


class Row(Axes, frozen=True, kw_only=True):
    """A cell of the grid with its result, or with why it has none.

    `outcome`: ``impossible`` for what was asked for and cannot be run, ``failed`` for a run that did not end
    or did not add up; then `problem` says why, and the figures are None. `speedup` is over one processor of
    the same cell; `steady_per_s` operations per simulated second while all processes were in their
    transactions; `user` to `hypervisor` are shares of all processors' time. `busiest_lock` is the lock waited
    for longest (then acquired most); `busiest_lock_wait` its waits as a share of all processors' time.
    """

    outcome: Outcome
    problem: str | None = None
    method: str | None = None
    plan_sha256: str | None = None
    makespan_s: float | None = None
    speedup: float | None = None
    steady_per_s: float | None = None
    user: float | None = None
    kernel: float | None = None
    interrupt: float | None = None
    spin: float | None = None
    idle: float | None = None
    hypervisor: float | None = None
    busiest_lock: str | None = None
    busiest_lock_kind: str | None = None
    busiest_lock_wait: float | None = None
    line_transfers: int | None = None
    steps: int | None = None
    makespan_cycles: int | None = None
    clock_mhz: int | None = None


@dataclass(frozen=True)
class Sweep:
    """A grid that was run. `rows` in the order of its cells, and the `locks` of each; `kept`: how many runs
    were taken from an earlier experiment."""

    rows: tuple[Row, ...]
    locks: tuple[tuple[LockStatistics, ...], ...]
    kept: int
    notes: tuple[str, ...]


def sweep(
    found: Grid,
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
    makers: Makers | None = None,
) -> Sweep:
    """Run the cells of a grid, see `each_run`. What cannot be run, or fails, has a row that says so."""
    places = [(place, cell.spec) for place, cell in enumerate(found.cells) if cell.spec is not None]
    rows = [_impossible(cell.axes, cell.problem) for cell in found.cells]
    locks: list[tuple[LockStatistics, ...]] = [()] * len(rows)
    kept = 0
    specs = [spec for _, spec in places]
    for number, made in each_run(specs, folder, workers, progress, fresh, makers):
        place = places[number][0]
        if isinstance(made, LockscapeError):
            rows[place] = _problem(found.cells[place], made)
        else:
            rows[place], locks[place] = _row(found.cells[place], made), made.result.locks
            kept += made.kept
    return Sweep(_with_speedups(rows), tuple(locks), kept, found.notes)


def _impossible(axes: Axes, problem: str) -> Row:
    return Row(**msgspec.structs.asdict(axes), outcome="impossible", problem=problem)


def _problem(cell: Cell, error: LockscapeError) -> Row:
    if isinstance(error, InputError):
        return _impossible(cell.axes, str(error))
    return Row(**msgspec.structs.asdict(cell.axes), outcome="failed", problem=str(error))


def _row(cell: Cell, point: Point) -> Row:
    result, plan = point.result, point.spec.plan
    busiest = next(iter(result.busiest_locks), None)
    shares: dict[str, Any] = {mode: result.share(mode) for mode in MODES}
    return Row(
        **msgspec.structs.asdict(cell.axes),
        outcome="done",
        method=plan.method,
        plan_sha256=plan_digest(plan),
        makespan_s=result.makespan_s,
        steady_per_s=result.steady_per_s,
        **shares,
        busiest_lock=busiest.lock if busiest else None,
        busiest_lock_kind=busiest.kind if busiest else None,
        busiest_lock_wait=busiest.wait_cycles / (result.makespan_cycles * point.spec.cpus)
        if busiest
        else None,
        line_transfers=result.line_transfers,
        steps=result.steps,
        makespan_cycles=result.makespan_cycles,
        clock_mhz=result.clock_mhz,
    )


def curve_of(row: Row) -> tuple[str | int | None, ...]:
    """Return what tells the curve of a row from others: all axes but the processors."""
    return row.system, row.workload, row.machine, row.processes, row.cost_sample, row.seed


def _with_speedups(rows: Sequence[Row]) -> tuple[Row, ...]:
    alone = {curve_of(row): row.makespan_s for row in rows if row.cpus == 1}
    return tuple(
        msgspec.structs.replace(row, speedup=one / row.makespan_s)
        if row.makespan_s is not None and (one := alone[curve_of(row)]) is not None
        else row
        for row in rows
    )
