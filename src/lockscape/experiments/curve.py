"""Many runs on all cores: a curve over processors for each of several systems, or a whole grid.

Each run is a whole piece of work, so results do not depend on how many workers there are, nor on which of
them does what. Finished runs are kept as they come (`lockscape.experiments.store`).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockscape.errors import LockscapeError
from lockscape.experiments.pool import core_count, each_done
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.run import kernel_key, load_run, simulate
from lockscape.experiments.store import Store, key_of
from lockscape.machine.execute import execute

CHUNK = 50_000.0
"""Expected work up to which runs of one kernel are one task: every worker builds the kernels that it needs,
and that takes longer than short runs do."""

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


@dataclass(frozen=True)
class Made:
    """What came of a run where it was made: its result, or why it has none; and the seconds it took."""

    result: RunResult | LockscapeError
    host_s: float


Makers = Callable[[Sequence[RunSpec]], Iterator[tuple[int, Made]]]
"""Makes runs, each once, and yields their numbers and what came of them, as they become ready."""


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
    found = {}
    for number, point in each_run(specs, folder, workers, progress, fresh):
        if isinstance(point, LockscapeError):
            raise point
        found[number] = point
    return [found[number] for number in range(len(specs))]


def each_run(
    specs: Sequence[RunSpec],
    folder: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    fresh: bool = False,
    makers: Makers | None = None,
) -> Iterator[tuple[int, Point | LockscapeError]]:
    """Do as `run_all`, but yield each run's number and result, or why it has none, as they become ready.

    Equal runs are made once. `makers`: who makes them instead of this machine's cores.
    """
    store = Store(folder) if folder is not None else None
    equal: dict[str, list[int]] = {}
    for number, spec in enumerate(specs):
        equal.setdefault(key_of(spec), []).append(number)
    todo: list[list[int]] = []
    for numbers in equal.values():
        kept = store.get(specs[numbers[0]]) if store is not None and not fresh else None
        if kept is None:
            todo.append(numbers)
        else:
            yield from ((n, Point(specs[n], kept.result, kept.host_s, True)) for n in numbers)
    todo = _in_order(specs, todo)
    meter = _Meter(specs, todo, progress)
    first = [specs[numbers[0]] for numbers in todo]
    for place, made in makers(first) if makers is not None else _made_here(first, workers, meter):
        if isinstance(made.result, LockscapeError):
            yield from ((n, made.result) for n in todo[place])
        else:
            if store is not None:
                store.put(first[place], made.result, made.host_s)
            yield from ((n, Point(specs[n], made.result, made.host_s, False)) for n in todo[place])
        meter.finished(place)


def expected_work(spec: RunSpec) -> float:
    """Return about how long a run takes, in some unit: operations, and switching between processors."""
    return spec.operations * (1.0 + 0.1 * min(spec.cpus, 16))


def _in_order(specs: Sequence[RunSpec], todo: Sequence[list[int]]) -> list[list[int]]:
    """Return runs of one kernel together, for it is built once in each worker; the longest first."""
    kernels: dict[bytes, list[list[int]]] = {}
    for numbers in todo:
        kernels.setdefault(kernel_key(specs[numbers[0]]), []).append(numbers)

    def work(numbers: Sequence[int]) -> float:
        return -expected_work(specs[numbers[0]])

    ordered = sorted(kernels.values(), key=lambda runs: min(map(work, runs)))
    return [numbers for runs in ordered for numbers in sorted(runs, key=work)]


class _Meter:
    """Turns finished runs, and the share done of one that is being made here, into progress."""

    def __init__(self, specs: Sequence[RunSpec], todo: Sequence[list[int]], report: Progress | None) -> None:
        self.report = report
        self.work = [expected_work(specs[numbers[0]]) for numbers in todo]
        self.runs = [len(numbers) for numbers in todo]
        self.total = sum(self.work) or 1.0
        self.done = 0.0
        self.count = len(specs) - sum(self.runs)
        self.shown = 0.0

    def part(self, place: int, share: float) -> None:
        now = time.monotonic()
        if self.report is not None and now - self.shown > 0.1:
            self.shown = now
            self.report((self.done + share * self.work[place]) / self.total, self.count)

    def finished(self, place: int) -> None:
        self.done += self.work[place]
        self.count += self.runs[place]
        if self.report is not None:
            self.report(self.done / self.total, self.count)


def _made_here(specs: Sequence[RunSpec], workers: int | None, meter: _Meter) -> Iterator[tuple[int, Made]]:
    workers = min(workers or core_count(), len(specs))
    if workers <= 1:
        for place, spec in enumerate(specs):
            yield place, make(spec, lambda share, n=place: meter.part(n, share))  # type: ignore[misc]
        return
    _warm(specs[-1])
    chunks = _chunks(specs)
    for number, found in each_done(
        _make_all, [[specs[place] for place in chunk] for chunk in chunks], workers
    ):
        yield from zip(chunks[number], found, strict=True)


def _chunks(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Return the places of runs, those of one kernel that are short together."""
    found: list[list[int]] = []
    last, work = b"", 0.0
    for place, spec in enumerate(specs):
        key, more = kernel_key(spec), expected_work(spec)
        if key == last and work + more <= CHUNK:
            found[-1].append(place)
            work += more
        else:
            found.append([place])
            last, work = key, more
    return found


def _make_all(specs: Sequence[RunSpec]) -> list[Made]:
    return [make(spec) for spec in specs]


def make(spec: RunSpec, progress: Callable[[float], None] | None = None) -> Made:
    """Make a run; what cannot be run is a result too."""
    start = time.perf_counter()
    result: RunResult | LockscapeError
    try:
        result = simulate(spec, progress)
    except LockscapeError as error:
        result = error
    return Made(result, time.perf_counter() - start)


def _warm(spec: RunSpec) -> None:
    """Load the engine, the kernel and the workload, so that forked workers have them."""
    with contextlib.suppress(LockscapeError):  # the run itself tells
        execute(load_run(spec).machine.state, until=1)
