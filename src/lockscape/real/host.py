"""The experiment on this host: processes side by side on the first 1, 2, … processors, again and again."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.real import facts, stream
from lockscape.real.compile import has_compiler
from lockscape.real.executors import AnyExecutor, native_executors, postmark_executors, postmark_program
from lockscape.real.facts import FileSystem, HostFacts
from lockscape.real.host_curve import curve_of, host_doubts
from lockscape.real.host_result import Doubt, ExecutorName, HostCurve, HostRun, Overhead, WorkloadName
from lockscape.real.host_run import Meter, host_run, in_transactions
from lockscape.real.median import median_of
from lockscape.real.perf_lock import Contention, PerfLock
from lockscape.real.room import Need, check_room, need_of
from lockscape.real.scratch import Scratch, left_behind, scratch
from lockscape.real.together import check_descriptors, run_together
from lockscape.workloads.postmark import PAPER, PROCESSES, Operations, PostmarkOptions, operations

MOST_PROCESSES = 256
"""Two descriptors each, of the usual 1,024."""

ITERATIONS = 200_000_000
"""Of `compute`: a few tenths of a second a process."""

_SHARED_MEMORY = Path("/dev/shm")

Progress = Callable[[float, int], None]
"""Called with the share of the runs that are done, and their number."""

Executors = Sequence[AnyExecutor]
"""What runs the processes, one after the other in turn."""


@dataclass(frozen=True)
class Request:
    """What is asked for. `seeding`: the same seed for all processes, or the next one for ``each``."""

    workloads: tuple[WorkloadName, ...]
    cpus: tuple[int, ...]
    processes: int = PROCESSES
    repeat: int = 5
    postmark: PostmarkOptions = PAPER
    seeding: str = "same"
    iterations: int = ITERATIONS
    executor: str = "auto"
    directory: Path | None = None
    overhead: bool | None = None
    locks: bool = True

    @property
    def compares(self) -> bool:
        """Whether the executors are compared: if asked for, else if PostMark runs and both are at hand."""
        if self.overhead is not None:
            return self.overhead
        return "postmark" in self.workloads and postmark_program() is not None and has_compiler()

    @property
    def runs(self) -> int:
        """How many runs this means; one processor's are always among them."""
        each = self.repeat * len({1, *self.cpus}) + self.locks
        return each * len(self.workloads) + (2 * self.repeat if self.compares else 0)


@dataclass(frozen=True)
class Outcome:
    """Everything that was measured, and where."""

    host: HostFacts
    file_system: FileSystem
    curves: Sequence[HostCurve]
    overhead: Overhead | None
    doubts: Sequence[Doubt]
    left_behind: Sequence[Path]


def measure(request: Request, progress: Progress | None = None) -> Outcome:
    """Make all runs of a request. One processor is always among the numbers: speedups are over it.

    Rounds of all numbers of processors follow each other, so that what changes slowly on the host meets all
    alike. Raises InputError for what this host cannot do, MissingToolError for a program that is missing,
    `RunError` for a process that failed; nothing is left on disk.
    """
    facts.check_host()
    _check(request)
    with scratch(request.directory or default_directory()) as folder:
        host, where = facts.host_facts(), facts.file_system(folder.fd)
        runs = _Runs(request, folder, host, where, _Counter(request.runs, progress))
        curves = [runs.curve(name) for name in request.workloads]
        overhead = runs.overhead() if request.compares else None
        doubts = host_doubts(host, request.cpus[-1], request.processes, request.repeat)
        return Outcome(host, where, curves, overhead, doubts, left_behind(folder.path.parent))


def default_directory() -> Path:
    """Return where runs are made: /dev/shm if that is a tmpfs, else the folder for temporary files."""
    import tempfile

    with contextlib.suppress(OSError):
        fd = os.open(_SHARED_MEMORY, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if facts.file_system(fd).kind == "tmpfs" and os.access(_SHARED_MEMORY, os.W_OK):
                return _SHARED_MEMORY
        finally:
            os.close(fd)
    return Path(tempfile.gettempdir())


def executor_of(name: WorkloadName, asked: str) -> ExecutorName:
    """Return who executes a workload. PostMark can do its own only: the others need a worker of ours."""
    if name != "postmark" or asked == "native":
        return "native"
    return "postmark" if asked == "postmark" or postmark_program() is not None else "native"


def _check(request: Request) -> None:
    usable = sorted(os.sched_getaffinity(0))
    if request.cpus[-1] > len(usable):
        raise InputError(
            f"--cpus {request.cpus[-1]}: this process may use {len(usable)} "
            f"processor{'s' * (len(usable) > 1)} of this host; give --cpus 1-{len(usable)}"
        )
    if request.executor == "postmark" and request.workloads != ("postmark",):
        other = next(name for name in request.workloads if name != "postmark")
        raise InputError(f"--executor postmark: it cannot do {other!r}; give --executor auto")
    check_descriptors(request.processes)


class _Counter:
    """Counts finished runs, and tells of them."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.done = 0
        self.progress = progress

    def one_more(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done / self.total, self.done)


class _Runs:
    """Makes the runs of a request in a directory of our own."""

    def __init__(
        self, request: Request, folder: Scratch, host: HostFacts, where: FileSystem, counter: _Counter
    ) -> None:
        self.request = request
        self.folder = folder
        self.host = host
        self.where = where
        self.counter = counter

    def curve(self, name: WorkloadName) -> HostCurve:
        """Return a workload's curve over all numbers of processors."""
        request = self.request
        works = _works(request) if name != "compute" else []
        self._check_room(name, works)
        executor = executor_of(name, request.executor)
        counts = _counts(name, request, works)
        numbers = sorted({1, *request.cpus})
        runs: dict[int, list[HostRun]] = {number: [] for number in numbers}
        with _executors(name, executor, request, works) as executors:
            for _ in range(request.repeat):
                for number in numbers:
                    runs[number].append(self.run(name, executors, counts, number))
            contention = self._contention(name, executors, counts, numbers[-1]) if request.locks else None
        return curve_of(name, executor, runs, contention, self.host.processors)

    def run(
        self, name: WorkloadName, executors: Executors, counts: Sequence[int], number: int,
        perf: PerfLock | None = None,
    ) -> HostRun:  # fmt: skip
        """Make one run on the first `number` processors, in fresh directories.

        `counts`: the operations in the transactions of each process, none for a workload without.
        """
        used = frozenset(self.host.processors[:number])
        shared = name in ("one-directory", "one-file")
        made = self.folder.fresh(["shared"] if shared else [f"p{k}" for k in range(len(executors))])
        meter = Meter(used)
        try:
            folders = made * len(executors) if shared else made
            done = run_together(executors, folders, used, meter.watching(perf.watch if perf else None))
        finally:
            for fd in made:
                os.close(fd)
            self.folder.empty()
        self.counter.one_more()
        processes = [each.read(ended) for each, ended in zip(executors, done.ended, strict=True)]
        return host_run(done, processes, counts, meter.ticks, number)

    def overhead(self) -> Overhead:
        """Compare the executors: one process on one processor, in turn."""
        alone = replace(self.request, processes=1)
        works = _works(alone)
        counts = _counts("postmark", alone, works)
        runs: dict[str, list[HostRun]] = {"native": [], "postmark": []}
        with (
            _executors("postmark", "native", alone, works) as ours,
            _executors("postmark", "postmark", alone, works) as theirs,
        ):
            for _ in range(self.request.repeat):
                runs["native"].append(self.run("postmark", ours, counts, 1))
                runs["postmark"].append(self.run("postmark", theirs, counts, 1))
        times = {who: median_of([run.makespan_s for run in made]) for who, made in runs.items()}
        kernel = {who: median_of([run.system_s for run in made]) for who, made in runs.items()}
        return Overhead(
            times["native"], times["postmark"], kernel["native"], kernel["postmark"],
            times["native"].value / times["postmark"].value,
            kernel["native"].value / kernel["postmark"].value if kernel["postmark"].value else None,
        )  # fmt: skip

    def _contention(
        self, name: WorkloadName, executors: Executors, counts: Sequence[int], number: int
    ) -> Contention:
        perf = PerfLock()
        run = self.run(name, executors, counts, number, perf)
        return Contention(number, run.makespan_s if perf.why_not is None else None, perf.waits, perf.why_not)

    def _check_room(self, name: WorkloadName, works: Sequence[Operations]) -> None:
        block = self.where.block_bytes
        if name == "one-file":
            needs = [Need(self.request.postmark.size_high_bytes + block, 2)]
        else:
            needs = [need_of(work, block) for work in works]
        total = Need(sum(need.bytes for need in needs), sum(need.files for need in needs))
        check_room(self.folder.fd, total, facts.memory_available() if self.where.in_memory else None)


def _works(request: Request) -> list[Operations]:
    """Return the operations of each process; equal ones are made once."""
    first = operations(request.postmark)
    if request.seeding == "same":
        return [first] * request.processes
    seeds = range(request.postmark.seed, request.postmark.seed + request.processes)
    return [operations(msgspec.structs.replace(request.postmark, seed=seed)) for seed in seeds]


def _counts(name: WorkloadName, request: Request, works: Sequence[Operations]) -> list[int]:
    """Return the operations in the transactions of each process."""
    if name == "one-file":
        return [stream.ONE_FILE_OPERATIONS * request.postmark.transactions] * request.processes
    found = {id(work): in_transactions(work) for work in works}
    return [found[id(work)] for work in works]


@contextlib.contextmanager
def _executors(
    name: WorkloadName, executor: ExecutorName, request: Request, works: Sequence[Operations]
) -> Iterator[Executors]:
    if executor == "postmark":
        with postmark_executors(works) as theirs:
            yield theirs
        return
    with native_executors(_streams(name, request, works)) as ours:
        yield ours


def _streams(name: WorkloadName, request: Request, works: Sequence[Operations]) -> list[bytes]:
    if name == "compute":
        return [stream.compute(request.iterations)] * request.processes
    if name == "one-file":
        return [stream.one_file(request.postmark)] * request.processes
    if name == "one-directory":
        return [stream.pack(work, prefix=f"p{number}.") for number, work in enumerate(works)]
    packed = {id(work): stream.pack(work) for work in works}
    return [packed[id(work)] for work in works]
