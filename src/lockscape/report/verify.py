"""Published figures beside simulated ones: as a document, as tables."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from lockscape import catalog
from lockscape.catalog import Figure
from lockscape.experiments.verify import Verified
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.table import Row, Table

_RATIO = (
    "Ratio: simulated over published; over the nearer end where a range was published. Nothing is tuned to "
    "these figures; marks are the catalogue's: A read in a primary source, B secondary, C from memory."
)
_GIVEN = "[given] The model takes the figure itself as a cost: it proves nothing."


class VerifiedRecord(msgspec.Struct, frozen=True):
    """A published figure, and `simulated` in its unit with the `ratio`; null if it `cannot` be simulated.

    The ratio is over the nearer end of a published range, 1 inside it. `note`: what the run lacks.
    """

    figure: Figure
    simulated: float | None
    ratio: float | None
    note: str
    cannot: str


class VerifyDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape verify``."""

    schema_version: int
    document: Literal["verify"]
    manifest: Manifest
    figures: tuple[VerifiedRecord, ...]


def verify_document(found: Sequence[Verified], manifest: Manifest) -> VerifyDocument:
    """Return the document of checked figures."""
    known = {figure.id: figure for figure in catalog.figures()}
    records = (_record(known[each.check.figure], each) for each in found)
    return VerifyDocument(SCHEMA_VERSION, "verify", manifest, tuple(records))


def _record(figure: Figure, found: Verified) -> VerifiedRecord:
    ratio = None if found.value is None else found.value / _nearest(figure, found.value)
    return VerifiedRecord(figure, found.value, ratio, found.check.note, found.check.cannot)


def _nearest(figure: Figure, value: float) -> float:
    """Return the published value, or that in the published range which is nearest to a simulated one."""
    return figure.value or min(max(value, figure.low), figure.high)


def verify_tables(document: VerifyDocument) -> Iterator[Table]:
    """Yield the figures that were simulated, and those that cannot be, with the reason."""
    done = [each for each in document.figures if each.simulated is not None]
    notes = [each for each in done if each.note]
    rows: list[Row] = []
    for each in done:
        mark = f" [{notes.index(each) + 1}]" if each in notes else ""
        given = " [given]" if each.figure.given else ""
        rows.append(
            (each.figure.system, each.figure.text + mark + given, each.figure.confidence,
             published(each.figure), number(each.simulated), number(each.ratio))
        )  # fmt: skip
    under = [f"[{n}] {each.note}" for n, each in enumerate(notes, 1)]
    if done:
        yield Table(
            "Published figures and simulated ones",
            ("system", "figure", "mark", "published", "simulated", "ratio"), tuple(rows),
            frozenset({0, 1, 2}), (*under, *([_GIVEN] if any(e.figure.given for e in done) else []), _RATIO),
        )  # fmt: skip
    left = [each for each in document.figures if each.simulated is None]
    if left:
        yield Table(
            "Figures that cannot be simulated",
            ("system", "figure", "published", "why"),
            tuple((e.figure.system, e.figure.text, published(e.figure), e.cannot) for e in left),
            frozenset({0, 1, 3}),
        )


def published(figure: Figure) -> str:
    """Return a published value or range, with its unit."""
    unit = {"ratio": "", "%": " %", "us": " µs", "ms": " ms"}[figure.unit]
    value = number(figure.value) if figure.value else f"{number(figure.low)} to {number(figure.high)}"
    return f"{value}{unit}"


def number(value: float | None) -> str | None:
    """Return a number with three digits that count."""
    if value is None:
        return None
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verify_csv(document: VerifyDocument) -> Table:
    """Return one table of all figures."""
    columns = ("figure", "system", "unit", "published_low", "published_high", "simulated", "ratio", "cannot")
    rows: tuple[Row, ...] = tuple(
        (
            each.figure.id, each.figure.system, each.figure.unit, str(each.figure.value or each.figure.low),
            str(each.figure.value or each.figure.high),
            None if each.simulated is None else str(each.simulated),
            None if each.ratio is None else str(each.ratio), each.cannot,
        )
        for each in document.figures
    )  # fmt: skip
    return Table("", columns, rows, frozenset({0, 1, 2, 7}))
