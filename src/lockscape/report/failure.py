"""What the failure of a kernel instance does to each process, as tables."""

from typing import TextIO

from lockscape.experiments.result import FailedProcess, Failure
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import SimulateDocument
from lockscape.report.simulate_tables import about
from lockscape.report.table import Row, Table, print_tables

_NOTE = "Otherwise: the same run without the failure. What it does not reach ends at the same cycle."


def failures_csv(document: SimulateDocument) -> Table:
    """Return one table of all processes of all systems."""
    rows: tuple[Row, ...] = tuple(
        (each.system, each.cpus, each.instance, each.at_ms, p.number, int(p.lost), p.operations, p.asked,
         "" if p.end_ms is None else p.end_ms, p.whole_ms)
        for each in document.failures for p in each.processes
    )  # fmt: skip
    heads = (
        "system",
        "cpus",
        "instance",
        "at_ms",
        "process",
        "lost",
        "operations",
        "asked",
        "end_ms",
        "whole_ms",
    )
    return Table("", heads, rows, frozenset({0}))


def print_failures(document: SimulateDocument, out: TextIO) -> None:
    """Write for each system which processes the failure took down, and when the others ended."""
    print_prose([Paragraph(line, "note") for line in about(document)], out)
    for each in document.failures:
        out.write("\n")
        print_tables((_table(each),), out)


def _table(failure: Failure) -> Table:
    lost = sum(process.lost for process in failure.processes)
    title = (
        f"{failure.system} on {failure.cpus} processors: instance {failure.instance} fails at "
        f"{failure.at_ms:g} ms and takes down {lost} of {len(failure.processes)} processes"
    )
    rows = tuple(_row(process) for process in failure.processes)
    heads = ("process", "operations", "of", "ended ms", "otherwise ms", "")
    return Table(title, heads, rows, frozenset({5}), notes=(_NOTE,))


def _row(process: FailedProcess) -> Row:
    what = "as before"
    if process.end_ms is None:
        what = "lost"
    elif process.end_ms != process.whole_ms:
        what = "later" if process.end_ms > process.whole_ms else "earlier"
    ended = "" if process.end_ms is None else f"{process.end_ms:,.3f}"
    return process.number, process.operations, process.asked, ended, f"{process.whole_ms:,.3f}", what
