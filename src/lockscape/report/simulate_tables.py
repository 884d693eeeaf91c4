"""Simulated curves as tables and as a drawing, for people."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import msgspec

from lockscape.experiments.histogram import RELATIVE_ERROR
from lockscape.experiments.result import RESPONDS, Latency, LockStatistics, RunResult
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import MODES, CurvePoint, SimulateDocument, SystemCurve, Workload
from lockscape.report.table import Row, Table, print_tables
from lockscape.workloads.chat import Chat
from lockscape.workloads.postmark import Operations, PostmarkOptions, operations
from lockscape.workloads.postmark_report import exact_seconds, report
from lockscape.workloads.replay import Replay
from lockscape.workloads.watch import Watch
from lockscape.workloads.workload_file import Workload as WorkloadFile

FIGURE = 7
"""Columns that a speedup takes, with the gap before it."""

PIPED = 100
"""Columns that tables are made for into a pipe or a file."""

SYSTEMS_SIDE_BY_SIDE = 2
"""Systems in one table of latencies."""

BALANCING = (
    "The makespan is the time until all processes are done, as in the paper. With one process for each equal "
    "share of the work it shows balancing as much as locking where the processors do not divide the "
    "processes (8 processes on 5 to 7 processors): see the throughput beside it."
)
STEADY = "Operations: the workload's own, while every process was at work (PostMark's: in its transactions)."
LOCKS = (
    "As /proc/lock_stat counts: bounced, the lock's cache line came from another processor; contended, it "
    "had to wait; slept, a process gave up its processor for it. A wait is of those that had to wait."
)

TAILS = (
    f"50% and 99%: what so many of them do not exceed, up to {RELATIVE_ERROR:.2%} too high, never too low; "
    "counts, means and the longest are exact. In --json also 90% and 99.9%, and all times in buckets."
)
EVENTS = (
    "An interrupt begins when its handler does, after it was due; it is done when the handler has returned "
    "or given the processor away, its own waits for locks included. A process runs some time after it is "
    "woken; it responds when it is back in user mode, counted from when the interrupt was due that woke it."
)


TIMES = ("count", "mean_cycles", "p50_cycles", "p99_cycles", "max_cycles")
"""What a spreadsheet tells of all system calls of a run, and of all responses to interrupts."""


def curve_csv(document: SimulateDocument) -> Table:
    """Return one long table, a run in each row."""
    columns = (
        "system", "method", "machine", "cpus", "makespan_s", "speedup", "speedup_over_baseline",
        "steady_per_s", *MODES, "makespan_cycles", "steps", *(f"calls_{name}" for name in TIMES),
        *(f"responses_{name}" for name in TIMES),
    )  # fmt: skip
    rows: list[Row] = [
        (
            curve.name, curve.method, curve.machine, p.cpus, p.makespan_s, p.speedup, p.speedup_over_baseline,
            p.steady_per_s, *(p.time_shares[mode] for mode in MODES), p.result.makespan_cycles,
            p.result.steps, *(getattr(p.result.all_calls, name) for name in TIMES),
            *(getattr(p.result.event(RESPONDS), name) for name in TIMES),
        )
        for curve in document.systems
        for p in curve.points
    ]  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({0, 1, 2}))


def print_curves(
    document: SimulateDocument, out: TextIO, all_locks: bool = False, at: int | None = None
) -> None:
    """Write everything for people: what ran, speedups, drawing, times, locks, latencies.

    `at`: the number of processors that the details are of; default: the largest of each system.
    """
    from rich.console import Console

    width = Console(file=out).width if out.isatty() else PIPED
    print_prose([Paragraph(line, "note") for line in about(document)], out)
    out.write("\n")
    print_tables(tuple(speedup_tables(document, width)), out)
    curves = [
        Curve(curve.name, [(p.cpus, p.speedup_over_baseline or p.speedup) for p in curve.points])
        for curve in document.systems
    ]
    if len({x for curve in curves for x, _ in curve.points}) > 1:
        over = (
            f"{document.baseline.name} on one processor"
            if document.baseline
            else "one processor of the same system"
        )
        out.write("\n")
        print_plot(f"Speedup over {over}", curves, "processors", out)
    out.write("\n")
    print_tables(
        (*time_tables(document, at), *lock_tables(document, all_locks, at), *latency_tables(document, at)),
        out,
    )


def about(document: SimulateDocument) -> Iterator[str]:
    """Yield what ran and where, a sentence each."""
    work = document.workload
    yield _what(work)
    for machine in document.machines:
        sample = f", costs of sample {machine.cost_sample}" if machine.cost_sample else ""
        ran = [curve.name for curve in document.systems if curve.machine == machine.name]
        who = f" ({', '.join(ran)})" if len(document.machines) > 1 else ""
        yield f"Machine {machine.name}{who}: {machine.title}, {machine.clock_mhz:,} MHz{sample}."
    short = [p for c in document.systems for p in c.points[:1] if _out_of_files(p.result, work.postmark)]
    if short and work.mixed is None:
        yield "PostMark ran out of files before all transactions were done, as it does with few files."


def _seed(mixed: WorkloadFile | Chat | Watch) -> str:
    """Return with which seed a workload was drawn, if it was drawn."""
    return f" (seed {mixed.seed})" if isinstance(mixed, WorkloadFile) else ""


def _what(work: Workload) -> str:
    """Return what ran, in a sentence."""
    options, library = work.postmark, "of 2005" if work.libc == "2005" else "of today"
    if isinstance(work.mixed, Replay):
        return (
            f"Simulated: {work.mixed.title}, by {work.processes} simulated "
            f"{_plural('process', work.processes)} and {work.mixed.made:,} that are made. "
            f"Left out: {'; '.join(work.mixed.left_out)}."
        )
    if work.mixed is not None:
        return (
            f"Simulated: {work.mixed.title}; {work.processes} {_plural('process', work.processes)} of "
            f"{work.mixed.operations:,} operations{_seed(work.mixed)}; C library {library}."
        )
    seeds = f"seed {options.seed}"
    if work.processes > 1:
        last = options.seed + work.processes - 1
        seeds = f"seeds {options.seed} to {last}" if work.seeding == "each" else f"{seeds}, the same for all"
    return (
        f"Simulated: PostMark, {work.processes} {_plural('process', work.processes)} of "
        f"{options.transactions:,} transactions on {options.files:,} files of {_sizes(options)} ({seeds}); "
        f"C library {library}."
    )


def _out_of_files(result: RunResult, options: PostmarkOptions) -> bool:
    return any(each.transactions < options.transactions for each in result.processes)


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}es"


def _sizes(options: PostmarkOptions) -> str:
    low, high = options.size_low_bytes, options.size_high_bytes
    return f"{low:,} bytes" if low == high else f"{low:,} to {high:,} bytes"


def speedup_tables(document: SimulateDocument, width: int) -> Iterator[Table]:
    """Yield the speedups over the baseline, if there is one, and over each system's own single processor."""
    if document.baseline is not None:
        title = (
            f"Speedup over {document.baseline.name} on one processor ({document.baseline.makespan_s:.3f} s)"
        )
        yield from _speedups(document, title, "speedup_over_baseline", width)
    yield from _speedups(
        document, "Speedup over one processor of the same system", "speedup", width, (BALANCING,)
    )


def _speedups(
    document: SimulateDocument, title: str, field: str, width: int, notes: tuple[str, ...] = ()
) -> Iterator[Table]:
    """Yield a row for each system, a column for each number of processors; several tables if need be."""
    numbers = sorted({point.cpus for curve in document.systems for point in curve.points})
    first = max(len("processors"), *(len(curve.name) for curve in document.systems))
    many = max(1, (width - first) // FIGURE)
    parts = [numbers[k : k + many] for k in range(0, len(numbers), many)]
    for part in parts:
        rows: list[Row] = []
        for curve in document.systems:
            found = {point.cpus: getattr(point, field) for point in curve.points}
            rows.append((curve.name, *(_two(found.get(number)) for number in part)))
        last = part is parts[-1]
        yield Table(
            title if part is parts[0] else "",
            ("processors", *(str(n) for n in part)), tuple(rows), notes=notes if last else (),
        )  # fmt: skip


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _details(document: SimulateDocument, at: int | None) -> list[tuple[SystemCurve, CurvePoint]]:
    """Return the run of each system that details are given of."""
    found = []
    for curve in document.systems:
        points = {point.cpus: point for point in curve.points}
        if at is None:
            found.append((curve, curve.points[-1]))
        elif at in points:
            found.append((curve, points[at]))
    return found


def time_tables(document: SimulateDocument, at: int | None) -> Iterator[Table]:
    """Yield where the processors' time went, in percent."""
    rows: list[Row] = []
    details = _details(document, at)
    hypervised = any(point.time_shares["hypervisor"] for _, point in details)
    modes = [mode for mode in MODES if hypervised or mode != "hypervisor"]
    for curve, point in details:
        shares = (100 * point.time_shares[mode] for mode in modes)
        steady = None if point.steady_per_s is None else round(point.steady_per_s)
        rows.append(
            (curve.name, point.cpus, f"{point.makespan_s:.3f}", steady, *(f"{s:.1f}" for s in shares))
        )
    columns = ("system", "processors", "makespan s", "operations per s", *(f"{mode} %" for mode in modes))
    if rows:
        yield Table("Where the time goes", columns, tuple(rows), notes=(STEADY,))


def lock_tables(document: SimulateDocument, all_locks: bool, at: int | None) -> Iterator[Table]:
    """Yield the busiest locks of each system: those waited for longest, then those acquired most."""
    details = _details(document, at)
    for curve, point in details:
        taken = [lock for lock in point.result.locks if lock.acquisitions or lock.contentions]
        taken.sort(key=lambda lock: (-lock.wait_cycles, -lock.acquisitions, lock.lock))
        shown = taken if all_locks else taken[:10]
        last = curve is details[-1][0]
        notes = (LOCKS,) if last else ()
        if len(taken) > len(shown):
            notes = (f"{len(taken) - len(shown)} more with --locks all.", *notes)
        yield Table(
            f"Locks of {curve.name} on {_processors(point.cpus)}: the longest waited for first",
            ("lock", "kind", "acquired", "bounced", "contended", "slept", "waited ms", "mean wait µs",
             "longest wait µs", "mean hold µs"),
            tuple(_lock_row(lock, point.result) for lock in shown), frozenset({0, 1}), notes,
        )  # fmt: skip


def _processors(number: int) -> str:
    return "1 processor" if number == 1 else f"{number:,} processors"


def _lock_row(lock: LockStatistics, result: RunResult) -> Row:
    def micro(cycles: float) -> str:
        return f"{cycles / result.clock_mhz:,.1f}"

    return (
        lock.lock, lock.kind, lock.acquisitions, lock.bounces, lock.contentions, lock.sleeps,
        f"{lock.wait_cycles / result.clock_mhz / 1000:,.1f}", micro(lock.wait_mean_cycles),
        micro(lock.wait_max_cycles), micro(lock.hold_mean_cycles),
    )  # fmt: skip


def latency_tables(document: SimulateDocument, at: int | None) -> Iterator[Table]:
    """Yield how long each system call took, mean, percentiles and longest, some systems side by side."""
    details = _details(document, at)
    for start in range(0, len(details), SYSTEMS_SIDE_BY_SIDE):
        part = details[start : start + SYSTEMS_SIDE_BY_SIDE]
        numbers = {point.cpus for _, point in part}
        where = f" on {_processors(numbers.pop())}" if len(numbers) == 1 else ""
        columns = ["call", "count"]
        for curve, point in part:
            columns += [f"{curve.name} mean" if where else f"{curve.name} on {point.cpus} mean"]
            columns += ["50%", "99%", "longest"]
        results = [point.result for _, point in part]
        last = start + SYSTEMS_SIDE_BY_SIDE >= len(details)
        rows = _latency_rows([{each.call: each for each in result.calls} for result in results], results)
        yield Table(f"Latency of system calls and faults{where}, µs, waiting included", tuple(columns), rows,
                    notes=(TAILS,) if last else ())  # fmt: skip
        rows = _latency_rows([{each.event: each for each in result.events} for result in results], results)
        yield Table(f"Latency of interrupts and of processes that are woken{where}, µs",
                    ("event", *columns[1:]), rows, notes=(EVENTS,) if last else ())  # fmt: skip


def _latency_rows(found: Sequence[Mapping[str, Latency]], results: Sequence[RunResult]) -> tuple[Row, ...]:
    """Return a row for each name, with mean, percentiles and longest in each of the results."""
    rows = []
    for name in dict.fromkeys(name for each in found for name in each):
        row: list[str | int | None] = [name, max(each[name].count for each in found if name in each)]
        for each, result in zip(found, results, strict=True):
            row += _micro(each[name], result.clock_mhz) if name in each else [None] * 4
        rows.append(tuple(row))
    return tuple(rows)


def _micro(latency: Latency, mhz: int) -> list[str]:
    """Return mean, percentiles and longest in microseconds."""
    times = (latency.p50_cycles, latency.p99_cycles, latency.max_cycles)
    return [f"{latency.mean_cycles / mhz:,.1f}", *(_three(cycles / mhz) for cycles in times)]


def _three(number: float) -> str:
    """Return a number with a decimal if it has fewer than three digits without."""
    return f"{number:,.1f}" if number < 100 else f"{number:,.0f}"


def print_postmark(document: SimulateDocument, out: TextIO, at: int | None, terse: bool) -> None:
    """Write PostMark's own report of every process, with exact simulated times."""
    options = document.workload.postmark
    for curve, point in _details(document, at):
        for number, process in enumerate(point.result.processes):
            seed = options.seed + (number if document.workload.seeding == "each" else 0)
            made = _operations(msgspec.structs.replace(options, seed=seed))
            start, created, transacted, deleted = (
                cycles / (point.result.clock_mhz * 1e6) for cycles in process.marks_cycles
            )
            title = f"PostMark, process {number + 1} of {curve.name} on {_processors(point.cpus)}"
            out.write("\n")
            print_prose([Paragraph(title, "title")], out)
            times = exact_seconds((start, created, transacted, deleted))
            out.write(report(made, times, terse) or "out of files: PostMark prints no report\n")


@functools.lru_cache(maxsize=1)
def _operations(options: PostmarkOptions) -> Operations:
    return operations(options)
