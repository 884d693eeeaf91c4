"""What follows from the published tables: shares, intervals, checked claims, and findings that quote them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import msgspec

from lockscape.catalog import printed
from lockscape.catalog.load import bundled
from lockscape.catalog.model import Claim, Finding, Place, Release
from lockscape.catalog.query import (
    choose,
    claims,
    releases,
    system,
    systems,
    table1,
    table2,
    table3,
    versions,
)
from lockscape.errors import InputError

PARTS = {"early": 0, None: 1, "late": 2}
"""The order of the parts of a month; a date without a part is taken as its middle."""


@dataclass(frozen=True, slots=True)
class BklShare:
    """The share of the Big Kernel Lock among the places of Table 2, by either denominator, as fractions."""

    version: str
    bkl: int
    total: int
    total_without_semaphores: int
    share: float
    share_without_semaphores: float


@dataclass(frozen=True, slots=True)
class DevelopmentTime:
    """A development time of Table 1 in months, beside the whole months between the paper's own dates."""

    system: str
    printed: str
    printed_months: int
    since: str
    until: str
    months_by_dates: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One published number that a claim is held against: what it is, its value, whether the claim holds."""

    label: str
    value: float
    holds: bool


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """A claim and the published numbers for it: one per version, and two where the denominator is open."""

    claim: Claim
    measures: tuple[Measure, ...]


@cache
def bkl_shares() -> tuple[BklShare, ...]:
    """Return the share of the Big Kernel Lock for each version of Table 2, with and without semaphores."""
    return tuple(
        BklShare(
            version=row.version,
            bkl=row.bkl,
            total=row.total,
            total_without_semaphores=row.total_without_semaphores,
            share=row.bkl / row.total,
            share_without_semaphores=row.bkl / row.total_without_semaphores,
        )
        for row in table2().rows
    )


def whole_months(since: Release, until: Release) -> int:
    """Return the complete months between two releases, by year, month and part of the month."""
    months = 12 * (until.year - since.year) + until.month - since.month
    return months - (PARTS[until.part] < PARTS[since.part])


@cache
def development_times() -> tuple[DevelopmentTime, ...]:
    """Return the printed and the dated development time of every Linux that section 5 gives dates for.

    The first release has no predecessor there and is left out.
    """
    found = []
    for since, until in zip(releases(), releases()[1:], strict=False):
        cell = system(until.system).printed.development_time
        months = printed.months(cell)
        if months is None:
            raise InputError(f"systems.toml: systems {until.system!r}: field development_time: not in months")
        dates = (since.printed, until.printed, whole_months(since, until))
        found.append(DevelopmentTime(until.system, cell, months, *dates))
    return tuple(found)


@cache
def check_claims() -> tuple[ClaimCheck, ...]:
    """Return every claim with the published numbers that confirm or contradict it."""
    return tuple(
        ClaimCheck(
            claim,
            tuple(
                Measure(label, value, holds(claim, value))
                for version in claim.versions
                for label, value in _published(claim, version)
            ),
        )
        for claim in claims()
    )


def holds(claim: Claim, value: float) -> bool:
    """Return whether `value`, in the claim's unit, agrees with it.

    *Exactly* allows for rounding to the digits quoted, *about* for one unit of the last digit quoted.
    """
    if claim.relation == "more-than":
        return value > claim.value
    if claim.relation == "less-than":
        return value < claim.value
    allowed = claim.resolution / 2 if claim.relation == "exactly" else claim.resolution
    return abs(value - claim.value) <= allowed


def _published(claim: Claim, version: str) -> list[tuple[str, float]]:
    """Return the published numbers for a claim about `version`, labelled: places, lines or percent."""
    if claim.quantity.startswith("bkl"):
        share = {each.version: each for each in bkl_shares()}[version]
        if claim.quantity == "bkl-places":
            return [(version, share.bkl)]
        return [
            (f"{version}, with semaphores", 100 * share.share),
            (f"{version}, without semaphores", 100 * share.share_without_semaphores),
        ]
    row = {each.version: each for each in table3().rows}[version]
    values = {
        "modified-lines": row.modified,
        "modified-share": 100 * row.modified_share,
        "changed-files-share": 100 * row.changed_files / row.files,
    }
    return [(version, values[claim.quantity])]


@cache
def quoted_numbers() -> Mapping[str, str]:
    """Return the numbers that findings quote, by name, such as ``share_2_2`` in percent or ``months_2_4``.

    Names end in the Linux series. Shares have one decimal.
    """
    numbers = {}
    series = {each.published: each.system.removeprefix("linux-").replace(".", "_") for each in versions()}
    for share in bkl_shares():
        at = series[share.version]
        numbers[f"bkl_{at}"] = str(share.bkl)
        numbers[f"total_{at}"] = str(share.total)
        numbers[f"total_without_{at}"] = str(share.total_without_semaphores)
        numbers[f"share_{at}"] = f"{100 * share.share:.1f}"
        numbers[f"share_without_{at}"] = f"{100 * share.share_without_semaphores:.1f}"
    for release in releases():
        numbers[f"date_{release.system.removeprefix('linux-').replace('.', '_')}"] = release.printed
    for time in development_times():
        at = time.system.removeprefix("linux-").replace(".", "_")
        numbers[f"printed_{at}"] = time.printed
        numbers[f"months_{at}"] = str(time.months_by_dates)
        numbers[f"missing_{at}"] = str(time.months_by_dates - time.printed_months)
    return numbers


def fill(finding: Finding, numbers: Mapping[str, str]) -> Finding:
    """Return the finding with the names in braces replaced; raises InputError for a name not in `numbers`."""
    try:
        text = finding.text.format_map(numbers)
    except (LookupError, ValueError, AttributeError) as error:
        raise InputError(
            f"findings.toml: findings {finding.id!r}: field text: unknown name in braces: {error}"
        ) from error
    return msgspec.structs.replace(finding, text=text)


@cache
def _all_findings() -> tuple[Finding, ...]:
    """Return every finding with its numbers filled in."""
    found = bundled("findings.toml").entries("findings", Finding)
    return tuple(fill(each, quoted_numbers()) for each in found)


@cache
def cells() -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the ids of the rows and of the columns of each table; Figure 2 has neither."""
    two, three = table2(), table3()
    return {
        "table1": (tuple(each.id for each in systems()), tuple(each.id for each in table1().columns)),
        "table2": (tuple(each.version for each in two.rows), tuple(each.id for each in two.columns)),
        "table3": (tuple(each.version for each in three.rows), tuple(each.id for each in three.columns)),
        "figure2": ((), ()),
    }


def findings(
    table: str | None = None, row: str | None = None, column: str | None = None
) -> tuple[Finding, ...]:
    """Return the findings that apply to the given cells: all, those of a table, a row, a column or one cell.

    Tables are ``table1``, ``table2``, ``table3`` and ``figure2``; rows are system ids or versions, columns
    column ids. A finding about a whole row, column or table applies to each of its cells. Raises InputError
    for a name that the table (or, without one, any table) does not have.
    """
    known = cells()
    if table is not None:
        table = choose("table", table, known)
        known = {table: known[table]}
    if row is not None:
        row = choose("row", row, dict.fromkeys(each for rows, _ in known.values() for each in rows))
    if column is not None:
        column = choose(
            "column", column, dict.fromkeys(each for _, columns in known.values() for each in columns)
        )
    return tuple(
        each for each in _all_findings() if any(_meets(place, table, row, column) for place in each.places)
    )


def _meets(place: Place, table: str | None, row: str | None, column: str | None) -> bool:
    """Return whether a place holds a cell that is wanted; a wanted name that is None means any."""
    rows, columns = cells()[place.table]
    return (
        table in (None, place.table)
        and (row is None or (row in rows and place.row in (None, row)))
        and (column is None or (column in columns and place.column in (None, column)))
    )
