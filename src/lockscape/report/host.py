"""Curves measured on this host, as a document and for people."""

from collections.abc import Iterator
from statistics import median
from typing import Literal, TextIO

import msgspec

from lockscape.real.facts import FileSystem, HostFacts
from lockscape.real.host import Outcome, Request
from lockscape.real.host_result import Doubt, HostCurve, HostPoint, HostRun, Overhead
from lockscape.real.median import CONFIDENCE, LEAST_RUNS
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.speedups import Line, speedup_tables, width_of
from lockscape.report.table import Row, Table, print_tables
from lockscape.workloads.postmark import PostmarkOptions

_SHOWN_WAITS = 5

_PLACED = (
    "On n processors the processes may use the first n that this program may use, and the kernel's scheduler "
    "places them. The makespan is the time until all processes are done, as in the paper."
)
_TIMES = (
    "Medians over the runs; spread: the width of the interval in which the makespan's true median lies; user "
    "and system: of all processes together; switches: voluntary and involuntary; others: what other programs "
    "took of these processors' time, where the runs are long enough to see it."
)
_STARTS = {
    "postmark": "PostMark's processes start together; loading it and its report are in the makespan.",
    "native": "The worker's processes start together, when all are loaded.",
}


class HostWorkload(msgspec.Struct, frozen=True):
    """What ran, `repeat` times: so many processes; PostMark's options, or `iterations` of computing each."""

    processes: int
    repeat: int
    seeding: str
    postmark: PostmarkOptions
    iterations: int


class HostDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape host``. `confidence`: of every median's interval, with 5 runs or more."""

    schema_version: int
    document: Literal["host"]
    manifest: Manifest
    host: HostFacts
    file_system: FileSystem
    workload: HostWorkload
    confidence: float
    curves: tuple[HostCurve, ...]
    overhead: Overhead | None
    doubts: tuple[Doubt, ...]


def host_document(request: Request, found: Outcome, manifest: Manifest) -> HostDocument:
    """Return the document of finished runs."""
    workload = HostWorkload(
        request.processes, request.repeat, request.seeding, request.postmark, request.iterations
    )
    return HostDocument(
        SCHEMA_VERSION, "host", manifest, found.host, found.file_system, workload, CONFIDENCE,
        tuple(found.curves), found.overhead, tuple(found.doubts),
    )  # fmt: skip


def host_csv(document: HostDocument) -> Table:
    """Return one row for each point, with medians over its runs."""
    columns = (
        "workload", "executor", "cpus", "makespan_s", "makespan_low_s", "makespan_high_s", "speedup",
        "speedup_low", "speedup_high", "steady_per_s", "user_s", "system_s", "voluntary_switches",
        "involuntary_switches", "others_share", "stolen_share", "runs",
    )  # fmt: skip
    rows: list[Row] = [
        (
            curve.name, curve.executor, p.cpus, p.makespan_s, p.makespan.low, p.makespan.high, p.speedup,
            p.speedup_low, p.speedup_high, p.steady_per_s, _median(p, "user_s"), _median(p, "system_s"),
            _median(p, "voluntary_switches"), _median(p, "involuntary_switches"), _median(p, "others_share"),
            _median(p, "stolen_share"), len(p.runs),
        )
        for curve in document.curves
        for p in curve.points
    ]  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({0, 1}))


def _median(point: HostPoint, field: str) -> float | None:
    values = [value for run in point.runs if (value := _value(run, field)) is not None]
    return median(values) if values else None


def _value(run: HostRun, field: str) -> float | None:
    found: float | None = getattr(run, field)
    return found


def print_host(document: HostDocument, out: TextIO) -> None:
    """Write everything for people: what ran and where, speedups, drawing, times, locks, doubts."""
    print_prose([Paragraph(line, "note") for line in _about(document)], out)
    out.write("\n")
    lines = [Line((c.name,), {p.cpus: p.speedup for p in c.points}, {}) for c in document.curves]
    print_tables(
        tuple(speedup_tables("Speedup over one processor, measured", ("processors",), lines, width_of(out))),
        out,
    )
    print_prose([Paragraph(_PLACED, "note")], out)
    if len(document.curves[0].points) > 1:
        out.write("\n")
        drawn = [_drawn(curve, len(document.curves) == 1) for curve in document.curves]
        print_plot("Speedup over one processor", drawn, "processors", out, _interval(document))
    out.write("\n")
    print_tables((_times(document), *_waits(document), *_overhead(document)), out)
    doubts = [doubt.text for doubt in document.doubts]
    doubts += [f"{curve.name}: {doubt.text}" for curve in document.curves for doubt in curve.doubts]
    if doubts:
        out.write("\n")
        print_prose([Paragraph(f"Doubt: {doubt}", "note", hang=4) for doubt in doubts], out)


def _drawn(curve: HostCurve, alone: bool) -> Curve:
    """Return a curve to be drawn, with its band if no other is drawn over it."""
    band = [(p.cpus, p.speedup_low, p.speedup_high) for p in curve.points] if alone else ()
    return Curve(curve.name, [(p.cpus, p.speedup) for p in curve.points], band=band)


def _interval(document: HostDocument) -> str:
    if document.workload.repeat < LEAST_RUNS:
        return "smallest to largest of the runs"
    return f"far ends of the medians' {document.confidence:.0%} intervals"


def _about(document: HostDocument) -> Iterator[str]:
    """Yield what ran, on what, a sentence each."""
    host, where, work = document.host, document.file_system, document.workload
    options, names = work.postmark, [curve.name for curve in document.curves]
    one = "process" if work.processes == 1 else "processes"
    often = f"{work.repeat} run{'s' * (work.repeat > 1)} of each point"
    if set(names) - {"compute"}:
        yield (
            f"Measured: {work.processes} {one} of {options.transactions:,} transactions on "
            f"{options.files:,} files of {_sizes(options)} ({_seeds(work)}); {often}."
        )
    if "compute" in names:
        yield f"Measured: {work.processes} {one} that compute, {work.iterations:,} iterations each; {often}."
    virtual = ", a virtual machine" if host.virtual_machine else ""
    policy = "" if host.scheduling == "other 0" else f", scheduling {host.scheduling}"
    yield f"Host: Linux {host.kernel}, {host.cpu}, {host.online} online{virtual}{policy}."
    yield f"File system: {where.kind} on {where.mounted_on} ({where.options})."
    yield from (_STARTS[name] for name in dict.fromkeys(curve.executor for curve in document.curves))


def _seeds(work: HostWorkload) -> str:
    first = work.postmark.seed
    if work.processes == 1:
        return f"seed {first}"
    if work.seeding == "each":
        return f"seeds {first} to {first + work.processes - 1}"
    return f"seed {first}, the same for all"


def _sizes(options: PostmarkOptions) -> str:
    low, high = options.size_low_bytes, options.size_high_bytes
    return f"{low:,} bytes" if low == high else f"{low:,} to {high:,} bytes"


def _times(document: HostDocument) -> Table:
    """Return where the time went, a row for each point."""
    rows = tuple(_time_row(curve, point) for curve in document.curves for point in curve.points)
    heads = (
        "workload", "processors", "makespan s", "spread %", "operations per s", "user s", "system s",
        "switches", "others %", "stolen %",
    )  # fmt: skip
    return Table("Where the time goes", heads, rows, notes=(_TIMES,))


def _time_row(curve: HostCurve, p: HostPoint) -> Row:
    voluntary, involuntary = _median(p, "voluntary_switches"), _median(p, "involuntary_switches")
    return (
        curve.name, p.cpus, f"{p.makespan_s:.3f}", f"{100 * p.makespan.spread:.1f}",
        None if p.steady_per_s is None else round(p.steady_per_s), f"{_median(p, 'user_s'):.3f}",
        f"{_median(p, 'system_s'):.3f}", f"{voluntary:,.0f}+{involuntary:,.0f}",
        _percent(_median(p, "others_share")), _percent(_median(p, "stolen_share")),
    )  # fmt: skip


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _waits(document: HostDocument) -> Iterator[Table]:
    """Yield what each workload waited for, or why that is not known."""
    for curve in document.curves:
        found = curve.contention
        if found is None:
            continue
        title = f"Locks that {curve.name} waited for on {_processors(found.cpus)}, by perf lock"
        if found.why_not is not None or not found.waits:
            note = f"Not known: {found.why_not}." if found.why_not is not None else "None."
            yield Table(title, ("",), (), notes=(note,))
            continue
        whole = (found.makespan_s or 0.0) * document.workload.processes
        rows: list[Row] = [
            (wait.caller, wait.kind, wait.contended, f"{wait.wait_total_ns / 1e6:,.2f}",
             f"{wait.wait_total_ns / 1e9 / whole:.1%}" if whole else None, f"{wait.wait_max_ns / 1e3:,.0f}")
            for wait in found.waits[:_SHOWN_WAITS]
        ]  # fmt: skip
        left = len(found.waits) - len(rows)
        note = (
            f"Of one run more, of {found.makespan_s:.3f} s; share: of all processes' time until then. "
            f"{f'{left} more with --json.' if left else ''}"
        )
        heads = ("place", "kind", "waits", "waited ms", "share", "longest µs")
        yield Table(title, heads, tuple(rows), frozenset({0, 1}), notes=(note.strip(),))


def _processors(number: int) -> str:
    return "1 processor" if number == 1 else f"{number:,} processors"


def _overhead(document: HostDocument) -> Iterator[Table]:
    found = document.overhead
    if found is None:
        return
    kernel = "" if found.system_ratio is None else f", its time in the kernel {found.system_ratio:.2f} times"
    note = (
        f"The worker takes {found.ratio:.2f} times PostMark's makespan{kernel}. PostMark's has its loading "
        "and its report in it; both make the same system calls on their files."
    )
    rows: list[Row] = [
        (name, f"{makespan.value:.3f}", f"{makespan.low:.3f}-{makespan.high:.3f}", f"{system.value:.3f}")
        for name, makespan, system in (
            ("native worker", found.native_s, found.native_system_s),
            ("postmark", found.postmark_s, found.postmark_system_s),
        )
    ]
    heads = ("executor", "makespan s", "interval s", "system s")
    yield Table("The executors: one process on one processor, in turn", heads, tuple(rows), notes=(note,))
