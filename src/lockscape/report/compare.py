"""Curves side by side, as a document and for people."""

from collections.abc import Callable
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.compare import Compared, ComparedPoint
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.speedups import Line, speedup_tables, width_of
from lockscape.report.table import Row, Table, print_tables


class CompareDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape compare``: ratios are over the first curve."""

    schema_version: int
    document: Literal["compare"]
    manifest: Manifest
    curves: tuple[Compared, ...]


def compare_document(curves: list[Compared], manifest: Manifest) -> CompareDocument:
    """Return the document of curves side by side."""
    return CompareDocument(SCHEMA_VERSION, "compare", manifest, tuple(curves))


def compare_csv(document: CompareDocument) -> Table:
    """Return one row for each point."""
    heads = ("name", "source", "cpus", "speedup", "speedup_ratio", "makespan_s", "makespan_ratio")
    rows: list[Row] = [
        (each.name, each.source, *msgspec.structs.astuple(point))
        for each in document.curves
        for point in each.points
    ]
    return Table("", heads, tuple(rows), frozenset({0, 1}))


def print_compare(document: CompareDocument, out: TextIO) -> None:
    """Write speedups, times and their ratios, and draw the curves."""
    first = document.curves[0].name
    width = width_of(out)

    def show(title: str, value: Callable[[ComparedPoint], float | None], rows: tuple[Compared, ...],
             *notes: str) -> None:  # fmt: skip
        lines = [Line((each.name,), {p.cpus: value(p) for p in each.points}, {}) for each in rows]
        if any(found is not None for line in lines for found in line.speedups.values()):
            print_tables(tuple(speedup_tables(title, ("processors",), lines, width, notes)), out)
            out.write("\n")

    others = document.curves[1:]
    show("Speedup over one processor", lambda p: p.speedup, document.curves)
    show(f"Speedup over that of {first}", lambda p: p.speedup_ratio, others)
    show(
        f"Time over that of {first}", lambda p: p.makespan_ratio, others,
        "Times of different machines: their ratio says something only where both count the same cycles.",
    )  # fmt: skip
    curves = [
        Curve(each.name, [(p.cpus, p.speedup) for p in each.points if p.speedup is not None])
        for each in document.curves
    ]
    print_plot("Speedup over one processor", curves, "processors", out)
