"""Table 1 again: beside the paper's words for latency and scalability the measured ones, and why."""

from collections.abc import Iterator
from typing import Literal, TextIO

import msgspec

from lockscape import catalog
from lockscape.catalog import System
from lockscape.experiments.histogram import RELATIVE_ERROR
from lockscape.experiments.levels import (
    ALIKE_RULE,
    LATENCY_RULE,
    PROCESSORS,
    SCALABILITY_RULE,
    is_alike,
    latency_level,
    scalability_level,
)
from lockscape.experiments.measured import Measured, Record, Tail
from lockscape.machine.costs import preset
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Row, Table, print_tables
from lockscape.systems.load import UNIPROCESSOR, load_system

RELATIVE = ("as-guest", "as-up", "depends-on-up")
"""Words of Table 1 that are about another kernel."""

_NOT_KNOWN = "not known"


class Cell(msgspec.Struct, frozen=True):
    """One quality of a system: the paper's word as printed, and the measured one with its number.

    `ratio` is over the idle uniprocessor kernel (latency), or over one processor (scalability); `over` is
    over the kernel that the paper compares with, if it does. `agrees` is None where the paper has no word.
    """

    printed: str
    measured: str
    ratio: float
    over: float | None
    agrees: bool | None


class SystemCells(msgspec.Struct, frozen=True):
    """A system of Table 1. `latency` and `scalability` are None if it was not measured, which `why` tells.

    `explained`: for each word that is not the paper's, what the measurements say of its cause.
    """

    id: str
    name: str
    printed_latency: str
    printed_scalability: str
    latency: Cell | None
    scalability: Cell | None
    measured: Measured | None
    why: str
    explained: tuple[str, ...]


class Table1Document(msgspec.Struct, frozen=True):
    """The result of ``lockscape table1``: the rules, and Table 1 by them."""

    schema_version: int
    document: Literal["table1"]
    manifest: Manifest
    rules: tuple[str, ...]
    clock_mhz: int
    systems: tuple[SystemCells, ...]
    record: Record


def reference_of(system: System) -> str | None:
    """Return the kernel that the paper compares a system with, if it does: its guest's, or its own alone."""
    if not {system.latency, system.scalability} & set(RELATIVE):
        return None
    return load_system(system.id).alone or f"{system.id}@{UNIPROCESSOR}"


def table1_document(record: Record, manifest: Manifest) -> Table1Document:
    """Return the document of a record."""
    known = {each.system: each for each in record.systems}
    return Table1Document(
        SCHEMA_VERSION, "table1", manifest, (LATENCY_RULE, SCALABILITY_RULE, ALIKE_RULE),
        preset(record.machine).clock_mhz,
        tuple(cells(system, known.get(system.id), record) for system in catalog.systems()), record,
    )  # fmt: skip


def cells(system: System, measured: Measured | None, record: Record) -> SystemCells:
    """Return a system's words, the paper's and the measured ones."""
    printed = system.printed
    if measured is None:
        why = record.failed.get(system.id, "it has not been measured")
        return SystemCells(
            system.id, system.name, printed.latency, printed.scalability, None, None, None, why, ()
        )
    ratio = record.ratio(measured)
    latency = _cell(printed.latency, system.latency, latency_level(ratio), ratio, measured.over_latency)
    scalability = _cell(printed.scalability, system.scalability, scalability_level(measured.speedup),
                        measured.speedup, measured.over_speed)  # fmt: skip
    mhz = preset(record.machine).clock_mhz
    explained = []
    if latency.agrees is False:
        explained.append(why_latency(system.name, latency, measured, mhz))
    if scalability.agrees is False:
        explained.append(why_scalability(system.name, scalability, measured))
    return SystemCells(
        system.id, system.name, printed.latency, printed.scalability, latency, scalability, measured, "",
        tuple(explained),
    )  # fmt: skip


def _cell(printed: str, level: str | None, word: str, ratio: float, over: float | None) -> Cell:
    """Return a cell: of a word that is about another kernel, whether the ratio to that is *alike*."""
    if level in RELATIVE:
        agrees = None if over is None else is_alike(over)
        return Cell(printed, printed if agrees else f"not {printed}", ratio, over, agrees)
    return Cell(printed, word, ratio, None, None if level is None else level == word.casefold())


def why_latency(name: str, cell: Cell, measured: Measured, mhz: int) -> str:
    """Return what a system's latency comes from."""
    responds, runs, handled = (
        _micro(each.p99, mhz) for each in (measured.responds, measured.runs, measured.handled)
    )
    kernel = (
        "its kernel can be preempted, at interrupts that come while no spin lock is held"
        if measured.preemptible
        else "its kernel is not preemptible and lets a processor go when a call has ended"
    )
    return (
        f"{name}, latency: {cell.measured}, in the paper {cell.printed}. 99% of responses take up to "
        f"{responds} µs. 99% of interrupts are handled within {handled} µs, and of all processes that are "
        f"woken, urgent or not, run within {runs} µs: {kernel}. "
        f"{_spun(measured.waits.spin_share, measured.waits.lock)}{_unsure(cell)}"
    )


def _unsure(cell: Cell) -> str:
    """Say so if the word would be another without the width of the percentile's bucket."""
    least = latency_level(cell.ratio / (1 + RELATIVE_ERROR))
    if cell.over is not None or least == cell.measured:
        return ""
    return f" The percentile is at most {RELATIVE_ERROR:.2%} too high: exactly, it may be {least}."


def why_scalability(name: str, cell: Cell, measured: Measured) -> str:
    """Return what a system's scalability comes from."""
    return (
        f"{name}, scalability: {cell.measured}, in the paper {cell.printed}. {PROCESSORS} processors do the "
        f"work of {measured.speedup:.2f}. {_spun(measured.work_waits.spin_share, measured.work_waits.lock)}"
    )


def _spun(share: float, lock: str) -> str:
    longest = f", and the lock waited for longest is {lock}" if lock else ""
    return f"The processors spin for {share:.0%} of their time{longest}."


def _micro(cycles: int, mhz: int) -> str:
    value = cycles / mhz
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def words_table(document: Table1Document) -> Table:
    """Return Table 1's words, the paper's and the measured ones side by side."""
    rows: list[Row] = []
    for each in document.systems:
        row: list[str] = [each.name]
        row += [each.printed_latency, *_measured_words(each.latency, 1)]
        row += [each.printed_scalability, *_measured_words(each.scalability, 2)]
        rows.append(tuple(row))
    failed = [f"{each.name}: {each.why}." for each in document.systems if each.measured is None]
    return Table(
        "Table 1 again: latency and scalability, the paper's word and the measured one",
        ("System", "Latency", "measured", "times idle", "agrees", "Scalability", "measured", "speedup",
         "agrees"),
        tuple(rows), frozenset({0, 1, 2, 4, 5, 6, 8}),
        (*document.rules, *failed),
    )  # fmt: skip


def _measured_words(cell: Cell | None, decimals: int) -> tuple[str, str, str]:
    """Return a measured word, its number, and whether it is the paper's."""
    if cell is None:
        return _NOT_KNOWN, "", ""
    number = f"{cell.ratio:,.{decimals}f}"
    if cell.over is not None:
        number = f"{cell.over:.2f} of it"
    agrees = {True: "yes", False: "no", None: ""}[cell.agrees]
    return cell.measured, number, agrees


def numbers_table(document: Table1Document) -> Table:
    """Return what the words come from, in microseconds; below the systems those with one thing changed."""
    record, mhz = document.record, document.clock_mhz
    idle = record.idle
    rows: list[Row] = [
        ("idle uniprocessor", *_times(idle.responds, mhz), "", "", "", *_calls(idle.calls, mhz), "")
    ]
    rows += [_numbers(each.system, each, mhz) for each in record.systems]
    rows += [_numbers(f"- {each.system}", each, mhz) for each in record.causes]
    return Table(
        f"What that comes from: microseconds on {PROCESSORS} loaded processors",
        ("system", "response 50%", "99%", "longest", "begins 99%", "done 99%", "runs 99%",
         "call mean", "call 99%", "speedup"),
        tuple(rows), frozenset({0}),
        ("Response: from when the interrupt is due until the urgent process that it woke is in user mode. "
         "Interrupts begin when their handlers do, and are done when these return or give the processor "
         "away; who is woken runs some time later. "
         f"Calls are PostMark's on {PROCESSORS} processors; of the idle kernel one process' on one. They "
         "tell again what the speedup tells: with as many processes in the kernel, calls are slow as work is "
         "(Little's law). Lines with - have one thing changed: see lockscape figure2.",),
    )  # fmt: skip


def _numbers(name: str, each: Measured, mhz: int) -> Row:
    parts = (each.begins, each.handled, each.runs)
    return (
        name, *_times(each.responds, mhz), *(_micro(part.p99, mhz) for part in parts),
        *_calls(each.calls, mhz), f"{each.speedup:.2f}",
    )  # fmt: skip


def _times(tail: Tail, mhz: int) -> tuple[str, str, str]:
    return _micro(tail.p50, mhz), _micro(tail.p99, mhz), _micro(tail.most, mhz)


def _calls(tail: Tail, mhz: int) -> tuple[str, str]:
    return _micro(tail.total // max(tail.count, 1), mhz), _micro(tail.p99, mhz)


def table1_csv(document: Table1Document) -> Table:
    """Return a row for each system and quality."""
    rows: list[Row] = []
    for each in document.systems:
        for quality, cell in (("latency", each.latency), ("scalability", each.scalability)):
            printed = getattr(each, f"printed_{quality}")
            rows.append(
                (each.id, quality, printed, None, None, None, None) if cell is None else
                (each.id, quality, printed, cell.measured, cell.ratio, cell.over,
                 None if cell.agrees is None else str(cell.agrees).lower())
            )  # fmt: skip
    columns = ("id", "quality", "printed", "measured", "ratio", "over_reference", "agrees")
    return Table("", columns, tuple(rows), frozenset({0, 1, 2, 3, 6}))


def print_table1(document: Table1Document, out: TextIO) -> None:
    """Write everything for people."""
    print_prose([Paragraph(line, "note") for line in _about(document)], out)
    out.write("\n")
    print_tables((words_table(document),), out)
    explained = [text for each in document.systems for text in each.explained]
    if explained:
        out.write("\n")
        print_prose(
            [
                Paragraph("Where the words differ", "title"),
                *(Paragraph(text, "bullet") for text in explained),
            ],
            out,
        )
    out.write("\n")
    print_tables((numbers_table(document),), out)


def _about(document: Table1Document) -> Iterator[str]:
    record = document.record
    machine = preset(record.machine)
    yield (
        f"Simulated. Machine {record.machine}: {machine.title}, {machine.clock_mhz:,} MHz. Recorded by "
        f"lockscape {record.lockscape} at commit {record.commit[:12]}; `lockscape table1 --check "
        "ID` measures a system again and compares it bit for bit."
    )
