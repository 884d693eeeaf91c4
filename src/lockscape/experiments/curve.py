"""Many runs on all cores: a curve over processors for each of several systems.

Each run is a whole piece of work, so results do not depend on how many workers there are, nor on which of
them does what. Finished runs are kept as they come (`lockscape.experiments.store`).
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockscape.experiments.pool import core_count, each_done
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.run import load_run, simulate
from lockscape.experiments.store import Store
from lockscape.machine.execute import execute

Progress = Callable[[float, int], None]
"""Called with the share of the expected work that is done, and the number of finished runs."""


@dataclass(frozen=True)
class Point:
    """A finished run.

    `host_s`: seconds that it took where it was made; `kept`: it came from an earlier experiment.
    """

    spec: RunSpec
    result: RunResult
    host_s: float
    kept: bool


def run_all(
    specs: Sequence[RunSpec],
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
) -> list[Point]:
    """Make all runs, or take those that `folder` has (unless `fresh`); return them in the order of `specs`.

    `workers` processes work at once (default: as many as there are cores). When it is interrupted, finished
    runs stay in the folder. Raises what `simulate` raises.
    """
    store = Store(folder) if folder is not None else None
    found: dict[int, Point] = {}
    if store is not None and not fresh:
        for number, spec in enumerate(specs):
            kept = store.get(spec)
            if kept is not None:
                found[number] = Point(spec, kept.result, kept.host_s, True)
    todo = sorted(set(range(len(specs))) - set(found), key=lambda number: -expected_work(specs[number]))
    meter = _Meter(specs, todo, progress)
    for number, point in _made([(number, specs[number]) for number in todo], store, workers, meter):
        found[number] = point
        meter.finished(number)
    return [found[number] for number in range(len(specs))]


def expected_work(spec: RunSpec) -> float:
    """Return about how long a run takes, in some unit: operations, and switching between processors."""
    return spec.operations * (1.0 + 0.1 * min(spec.cpus, 16))


class _Meter:
    """Turns finished runs, and the share done of one that is being made here, into progress."""

    def __init__(self, specs: Sequence[RunSpec], todo: Sequence[int], report: Progress | None) -> None:
        self.report = report
        self.work = {number: expected_work(specs[number]) for number in todo}
        self.total = sum(self.work.values()) or 1.0
        self.done = 0.0
        self.count = len(specs) - len(todo)
        self.shown = 0.0

    def part(self, number: int, share: float) -> None:
        now = time.monotonic()
        if self.report is not None and now - self.shown > 0.1:
            self.shown = now
            self.report((self.done + share * self.work[number]) / self.total, self.count)

    def finished(self, number: int) -> None:
        self.done += self.work[number]
        self.count += 1
        if self.report is not None:
            self.report(self.done / self.total, self.count)


Numbered = tuple[int, RunSpec]


def _made(
    todo: Sequence[Numbered], store: Store | None, workers: int | None, meter: _Meter
) -> Iterator[tuple[int, Point]]:
    workers = min(workers or core_count(), len(todo))
    if workers <= 1:
        for number, spec in todo:
            yield number, _one(spec, store, lambda share, n=number: meter.part(n, share))  # type: ignore[misc]
        return
    _warm(todo[-1][1])
    work = functools.partial(_one, store=store)
    for place, point in each_done(work, [spec for _, spec in todo], workers):
        yield todo[place][0], point


def _one(spec: RunSpec, store: Store | None, progress: Callable[[float], None] | None = None) -> Point:
    start = time.perf_counter()
    result = simulate(spec, progress)
    host_s = time.perf_counter() - start
    if store is not None:
        store.put(spec, result, host_s)
    return Point(spec, result, host_s, False)


def _warm(spec: RunSpec) -> None:
    """Load the engine, the kernel and the workload, so that forked workers have them."""
    execute(load_run(spec).machine.state, until=1)
