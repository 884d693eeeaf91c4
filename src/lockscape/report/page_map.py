"""Figure 3 on the page: the map on several numbers of processors, its tables, and the conclusions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from lockscape.experiments.design_space import design_space
from lockscape.experiments.evidence import Check
from lockscape.report.map import MapDocument, about_map
from lockscape.report.map_svg import map_svg
from lockscape.report.map_tables import kernels_table, places_tables, regions_table, summary, told
from lockscape.report.study import StudyDocument
from lockscape.report.table import Table

LEAST = 2
"""Processors from which on there is a map."""


@dataclass(frozen=True)
class Map:
    """The map on a number of processors."""

    label: str
    picture: Markup
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Judged:
    """A statement: its short name, the paper's words, the rule, and (source, verdict, numbers) for each
    check. `verdicts` are the ids that a filter chooses by."""

    name: str
    text: str
    rule: str
    checks: tuple[tuple[str, str, str], ...]
    verdicts: str


def map_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of the map and of the conclusions."""
    found = document.map
    return {
        "maps": list(_maps(found)),
        "map_about": list(about_map(found)),
        "kernels": kernels_table(found),
        "map_summary": summary(found),
        "conclusions": [
            Judged(
                each.name, each.text, each.rule,
                tuple((check.source, check.verdict, told(check)) for check in each.checks),
                " ".join(sorted({_id(check) for check in each.checks})),
            )
            for each in found.conclusions
        ],
    }  # fmt: skip


def _id(check: Check) -> str:
    return {"holds": "holds", "does not hold": "fails", "not testable": "untested"}[check.verdict]


def _maps(found: MapDocument) -> Iterator[Map]:
    """Yield the map on the most processors first, then on fewer."""
    numbers = {p.cpus for item in found.tradeoff.items for each in item.scaling for p in each.points}
    for cpus in sorted((n for n in numbers if LEAST <= n <= found.space.cpus), reverse=True):
        space = design_space(found.tradeoff.items, cpus, found.space.axis, found.space.over)
        there = msgspec.structs.replace(found, space=space)
        picture = Markup(map_svg(there, f"map-{cpus}"))
        yield Map(f"{cpus} processors", picture, (*places_tables(there), regions_table(there)))
