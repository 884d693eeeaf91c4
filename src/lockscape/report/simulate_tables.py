"""Simulated curves as tables and as a drawing, for people."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import msgspec

from lockscape.experiments.band import HIGH, LOW, Interval
from lockscape.experiments.histogram import RELATIVE_ERROR
from lockscape.experiments.result import MODES, RESPONDS, Latency, LockStatistics, RunResult
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import CurvePoint, MachineRecord, SimulateDocument, SystemCurve, Workload
from lockscape.report.speedups import Line, speedup_tables, width_of
from lockscape.report.table import Row, Table, print_tables
from lockscape.workloads.chat import Chat
from lockscape.workloads.postmark import Operations, PostmarkOptions, operations
from lockscape.workloads.postmark_report import exact_seconds, report
from lockscape.workloads.replay import Replay
from lockscape.workloads.watch import Watch
from lockscape.workloads.workload_file import Workload as WorkloadFile

SYSTEMS_SIDE_BY_SIDE = 2
"""Systems in one table of latencies."""

_BALANCING = (
    "The makespan is the time until all processes are done, as in the paper. With one process for each equal "
    "share of the work it shows balancing as much as locking where the processors do not divide the "
    "processes (8 processes on 5 to 7 processors): see the throughput beside it."
)
_SAMPLES = (
    f"Below each system: what {LOW:.0%} and {HIGH:.0%} of {{:,}} samples do not exceed, in which every cost "
    "is drawn from its range, the same draw for all systems."
)
_STEADY = "Operations: the workload's own, while every process was at work (PostMark's: in its transactions)."
_LOCKS = (
    "As /proc/lock_stat counts: bounced, the lock's cache line came from another processor; contended, it "
    "had to wait; slept, a process gave up its processor for it. A wait is of those that had to wait."
)

_TAILS = (
    f"50% and 99%: what so many of them do not exceed, up to {RELATIVE_ERROR:.2%} too high, never too low; "
    "counts, means and the longest are exact. In --json also 90% and 99.9%, and all times in buckets."
)
_EVENTS = (
    "An interrupt begins when its handler does, after it was due; it is done when the handler has returned "
    "or given the processor away, its own waits for locks included. A process runs some time after it is "
    "woken; it responds when it is back in user mode, counted from when the interrupt was due that woke it."
)


TIMES = ("count", "mean_cycles", "p50_cycles", "p99_cycles", "max_cycles")
"""What a spreadsheet tells of all system calls of a run, and of all responses to interrupts."""
BANDED = ("makespan_s", "speedup", "speedup_over_baseline", "steady_per_s")
"""What has a band; in CSV in two more columns each, `_low` and `_high`, if there are samples."""


def curve_csv(document: SimulateDocument) -> Table:
    """Return one long table, a run in each row."""
    banded = [(name, end) for name in BANDED for end in ("low", "high") if document.samples]
    columns = (
        "system", "method", "machine", "cpus", "makespan_s", "speedup", "speedup_over_baseline",
        "steady_per_s", *MODES, "makespan_cycles", "steps", *(f"calls_{name}" for name in TIMES),
        *(f"responses_{name}" for name in TIMES), *(f"{name}_{end}" for name, end in banded),
    )  # fmt: skip
    rows: list[Row] = [
        (
            curve.name, curve.method, curve.machine, p.cpus, p.makespan_s, p.speedup, p.speedup_over_baseline,
            p.steady_per_s, *(p.time_shares[mode] for mode in MODES), p.result.makespan_cycles,
            p.result.steps, *(getattr(p.result.all_calls, name) for name in TIMES),
            *(getattr(p.result.event(RESPONDS), name) for name in TIMES),
            *(getattr(getattr(p.band, name), end, None) for name, end in banded),
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
    print_prose([Paragraph(line, "note") for line in about(document)], out)
    out.write("\n")
    print_tables(tuple(_speedup_tables(document, width_of(out))), out)
    field = "speedup_over_baseline" if document.baseline else "speedup"
    curves = [
        Curve(
            curve.name,
            [(p.cpus, getattr(p, field)) for p in curve.points],
            band=[(cpus, each.low, each.high) for cpus, each in _band(curve, field).items()],
        )
        for curve in document.systems
    ]
    if len({x for curve in curves for x, _ in curve.points}) > 1:
        over = (
            f"{document.baseline.name} on one processor"
            if document.baseline
            else "one processor of the same system"
        )
        out.write("\n")
        print_plot(
            f"Speedup over {over}", curves, "processors", out, f"{LOW:.0%} to {HIGH:.0%} of the samples"
        )
    out.write("\n")
    print_tables(
        (*time_tables(document, at), *lock_tables(document, all_locks, at), *latency_tables(document, at)),
        out,
    )


def _band(curve: SystemCurve, field: str) -> dict[int, Interval]:
    """Return a curve's band, if there is one, by number of processors."""
    return {p.cpus: getattr(p.band, field) for p in curve.points if p.band is not None}


def about(document: SimulateDocument) -> Iterator[str]:
    """Yield what ran and where, a sentence each."""
    work = document.workload
    ran = {m.name: [c.name for c in document.systems if c.machine == m.name] for m in document.machines}
    yield from about_runs(work, document.machines, ran if len(ran) > 1 else {})
    short = [p for c in document.systems for p in c.points[:1] if _out_of_files(p.result, work.postmark)]
    if short and work.mixed is None:
        yield "PostMark ran out of files before all transactions were done, as it does with few files."


def about_runs(
    work: Workload, machines: Sequence[MachineRecord], ran: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield what ran, and on which machines, a sentence each; `ran`: the systems of each, if told."""
    yield _what(work)
    for machine in machines:
        sample = f", costs of sample {machine.cost_sample}" if machine.cost_sample else ""
        who = f" ({', '.join(ran[machine.name])})" if machine.name in ran else ""
        yield f"Machine {machine.name}{who}: {machine.title}, {machine.clock_mhz:,} MHz{sample}."


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


def _speedup_tables(document: SimulateDocument, width: int) -> Iterator[Table]:
    """Yield the speedups over the baseline, if there is one, and over each system's own single processor."""
    base, samples = document.baseline, document.samples
    heads = ("processors",)
    if base is not None:
        title = f"Speedup over {base.name} on one processor ({base.makespan_s:.3f} s)"
        yield from speedup_tables(title, heads, _lines(document, "speedup_over_baseline"), width)
    yield from speedup_tables(
        "Speedup over one processor of the same system", heads, _lines(document, "speedup"), width,
        (*((_SAMPLES.format(samples),) if samples else ()), _BALANCING),
    )  # fmt: skip


def _lines(document: SimulateDocument, field: str) -> list[Line]:
    return [
        Line((curve.name,), {p.cpus: getattr(p, field) for p in curve.points}, _band(curve, field))
        for curve in document.systems
    ]


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
        yield Table("Where the time goes", columns, tuple(rows), notes=(_STEADY,))


def lock_tables(document: SimulateDocument, all_locks: bool, at: int | None) -> Iterator[Table]:
    """Yield the busiest locks of each system: those waited for longest, then those acquired most."""
    details = _details(document, at)
    for curve, point in details:
        taken = point.result.busiest_locks
        shown = taken if all_locks else taken[:10]
        last = curve is details[-1][0]
        notes = (_LOCKS,) if last else ()
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
                    notes=(_TAILS,) if last else ())  # fmt: skip
        rows = _latency_rows([{each.event: each for each in result.events} for result in results], results)
        yield Table(f"Latency of interrupts and of processes that are woken{where}, µs",
                    ("event", *columns[1:]), rows, notes=(_EVENTS,) if last else ())  # fmt: skip


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
