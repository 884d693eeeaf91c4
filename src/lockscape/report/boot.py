"""Curves of booted kernels, as a document and for people."""

from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape.real.boot import Settings
from lockscape.real.boot_curve import MODES
from lockscape.real.boot_result import BootCurve, BootPoint, SimulatorRecord
from lockscape.real.guest.kernel_image import Bits
from lockscape.real.kernels import Kernel
from lockscape.real.median import LEAST_RUNS
from lockscape.real.work import Asked
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.speedups import Line, speedup_tables, width_of
from lockscape.report.table import Row, Table, print_tables
from lockscape.workloads.postmark import PostmarkOptions

_CYCLES = "One instruction is one cycle, on every processor: no caches, no disk, and no memory that is far."
_BALANCING = (
    "The makespan is the time until all processes are done, as in the paper. Where the processors do not "
    "divide the processes (8 processes on 5 to 7 processors) it shows balancing as much as locking."
)
_STEADY = (
    "Operations (files created, read, appended to, deleted) while every process was in its transactions; per "
    "million cycles."
)
_SPIN = (
    "Spinning: from a PAUSE to the same one again, in kernel or user mode; kernel and user are without it. "
    "Idle: halted, or without anything to do. Ticks: timer interrupts of each processor, a guest's own count."
)
_CALLS = (
    "From the call to its return, with the interrupts in between, on one processor. 50% and 90%: what so "
    "many of them do not exceed, up to an eighth too high."
)


class KernelRecord(msgspec.Struct, frozen=True):
    """The kernel: its image's file, and what that says; `package` with its version, if it is of one."""

    name: str
    release: str
    version: str
    bits: Bits
    package: str | None


class BootWorkload(msgspec.Struct, frozen=True):
    """What ran, `repeat` times for each point: so many processes; see `lockscape.real.work.Asked`."""

    processes: int
    repeat: int
    seeding: str
    libc: str
    postmark: PostmarkOptions
    iterations: int


class BootDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape boot``: a curve for each workload on one kernel."""

    schema_version: int
    document: Literal["boot"]
    manifest: Manifest
    kernel: KernelRecord
    simulator: SimulatorRecord
    workload: BootWorkload
    curves: tuple[BootCurve, ...]


def boot_document(
    kernel: Kernel, asked: Asked, settings: Settings, curves: Sequence[BootCurve], simulator: SimulatorRecord,
    manifest: Manifest,
) -> BootDocument:  # fmt: skip
    """Return the document of finished runs."""
    image = kernel.image
    return BootDocument(
        SCHEMA_VERSION, "boot", manifest,
        KernelRecord(image.path.name, image.release, image.version, image.bits, kernel.package),
        simulator,
        BootWorkload(asked.processes, settings.repeat, asked.seeding, asked.libc, asked.postmark,
                     asked.iterations),
        tuple(curves),
    )  # fmt: skip


def boot_csv(document: BootDocument) -> Table:
    """Return one row for each point, with medians over its runs."""
    columns = (
        "kernel", "workload", "cpus", "makespan_cycles", "makespan_low_cycles", "makespan_high_cycles",
        "makespan_s", "speedup", "speedup_low", "speedup_high", "steady_per_s", *MODES, "runs",
    )  # fmt: skip
    rows: list[Row] = [
        (
            document.kernel.release, curve.name, p.cpus, p.makespan_cycles, round(p.makespan.low),
            round(p.makespan.high), p.makespan_s, p.speedup, p.speedup_low, p.speedup_high, p.steady_per_s,
            *(p.time_shares[mode] for mode in MODES), len(p.runs),
        )
        for curve in document.curves
        for p in curve.points
    ]  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({0, 1}))


def print_boot(document: BootDocument, out: TextIO) -> None:
    """Write everything for people: what ran and where, speedups, drawing, times, costs of calls, doubts."""
    print_prose([Paragraph(line, "note") for line in _about(document)], out)
    out.write("\n")
    lines = [Line((c.name,), {p.cpus: p.speedup for p in c.points}, {}) for c in document.curves]
    title = f"Speedup over one processor, Linux {document.kernel.release}, booted"
    print_tables(
        tuple(speedup_tables(title, ("processors",), lines, width_of(out), (_CYCLES, _BALANCING))), out
    )
    if len(document.curves[0].points) > 1:
        out.write("\n")
        repeated = document.workload.repeat > 1
        curves = [_drawn(curve, repeated) for curve in document.curves]
        print_plot("Speedup over one processor", curves, "processors", out, _interval(document))
    out.write("\n")
    print_tables((*_times(document), *_calls(document)), out)
    print_doubts(document, out)


def print_doubts(document: BootDocument, out: TextIO) -> None:
    """Write every reason to doubt, each once."""
    found: dict[str, list[str]] = {}
    for curve in document.curves:
        for doubt in curve.doubts:
            found.setdefault(doubt.text, []).append(curve.name)
    if found:
        out.write("\n")
    several = len(document.curves) > 1
    for text, names in found.items():
        of = f" ({', '.join(names)})" if several else ""
        print_prose([Paragraph(f"Doubt{of}: {text}", "note", hang=4)], out)


def _drawn(curve: BootCurve, repeated: bool) -> Curve:
    band = [(p.cpus, p.speedup_low, p.speedup_high) for p in curve.points] if repeated else []
    return Curve(curve.name, [(p.cpus, p.speedup) for p in curve.points], band=band)


def _interval(document: BootDocument) -> str:
    if document.workload.repeat < LEAST_RUNS:
        return "smallest to largest of the runs"
    return "far ends of the medians' intervals"


def _about(document: BootDocument) -> Iterator[str]:
    """Yield what ran, on what, a sentence each."""
    work, made = document.workload, document.simulator
    options, names = work.postmark, {curve.name for curve in document.curves}
    one = "process" if work.processes == 1 else "processes"
    runs = "one run" if work.repeat == 1 else f"{work.repeat} runs"
    if names - {"compute"}:
        yield (
            f"Booted: {work.processes} {one} of {options.transactions:,} transactions on {options.files:,} "
            f"files of {_sizes(options)} (seed {options.seed}, {_seeds(work)}); {runs} of each point."
        )
    if "compute" in names:
        yield f"Booted: {work.processes} {one} that compute, {work.iterations:,} iterations each; {runs}."
    package = f" (package {document.kernel.package})" if document.kernel.package else ""
    yield f"Kernel: Linux {document.kernel.release}{package}, {document.kernel.bits} bits, as it was built."
    yield (
        f"Simulator: QEMU {made.qemu}, all processors in step within {made.quantum:,} cycles, "
        f"{made.cpu_model}, {made.memory_mb:,} MB. Security modules: {made.security or 'not told'}."
    )
    linear = ", linear directories" if made.linear_directories else ""
    yield f"File system in memory: {made.file_system}{linear}."


def _seeds(work: BootWorkload) -> str:
    return "the same for all" if work.seeding == "same" else "the next one for each"


def _sizes(options: PostmarkOptions) -> str:
    low, high = options.size_low_bytes, options.size_high_bytes
    return f"{low:,} bytes" if low == high else f"{low:,} to {high:,} bytes"


def _times(document: BootDocument) -> Iterator[Table]:
    """Yield where the time went, a table for each workload and in it a row for each point."""
    heads = (
        "processors", "makespan, million cycles", "spread", "operations", *(f"{mode} %" for mode in MODES),
        "ticks", "host s",
    )  # fmt: skip
    notes = (_STEADY, f"{_SPIN} Host s: of this host's processors, for all runs of the point.")
    for curve in document.curves:
        rows: list[Row] = [
            (
                p.cpus, f"{p.makespan_cycles / 1e6:,.1f}",
                f"{p.makespan.spread:.1%}" if len(p.runs) > 1 else None,
                None if p.steady_per_s is None else f"{p.steady_per_s / 1000:,.1f}",
                *(f"{100 * p.time_shares[mode]:.1f}" for mode in MODES), _ticks(p),
                f"{sum(run.cpu_s for run in p.runs):,.0f}",
            )
            for p in curve.points
        ]  # fmt: skip
        last = curve is document.curves[-1]
        yield Table(
            f"Where the time goes, {curve.name}", heads, tuple(rows), frozenset(), notes if last else ()
        )


def _ticks(point: BootPoint) -> int | None:
    counts = [run.timer_interrupts for run in point.runs if run.timer_interrupts]
    return round(sum(map(sum, counts)) / sum(map(len, counts))) if counts else None


def _calls(document: BootDocument) -> Iterator[Table]:
    """Yield what calls cost in the kernel, a table for each workload that makes some."""
    curves = [curve for curve in document.curves if curve.calls]
    for curve in curves:
        rows: list[Row] = [
            (call.call, call.count, f"{call.mean:,.0f}", call.least, call.p50, call.p90, call.most)
            for call in curve.calls
        ]
        yield Table(
            f"Instructions of the kernel for a call, {curve.name}",
            ("call", "count", "mean", "least", "50%", "90%", "most"), tuple(rows),
            notes=(_CALLS,) if curve is curves[-1] else (),
        )  # fmt: skip
