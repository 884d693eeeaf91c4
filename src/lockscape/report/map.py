"""The map of scalability against effort (Figure 3): its document, and its tables as CSV and for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from lockscape import catalog
from lockscape.experiments import cocomo
from lockscape.experiments.band import HIGH, LOW, Interval, interval
from lockscape.experiments.cocomo import PersonMonths, person_months
from lockscape.experiments.conclusions import Checked, checked
from lockscape.experiments.design_space import Axis, Place, Space, design_space
from lockscape.experiments.effort_axis import SourceEffort
from lockscape.experiments.evidence import Evidence, Family, GivenCurve
from lockscape.experiments.preemption import Preemption
from lockscape.experiments.scalability_axis import Over
from lockscape.experiments.tradeoff import Item, Tradeoff
from lockscape.machine.costs import preset
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.source_effort import source_efforts
from lockscape.report.table import Row, Table


class TableSize(msgspec.Struct, frozen=True):
    """What Table 1 prints of a system: lines of the whole system, and the time between its last two releases.

    Neither is the effort of a port.
    """

    system: str
    name: str
    code_lines: str
    development_time: str


class PortMonths(msgspec.Struct, frozen=True):
    """Person-months for the lines of a port, see `lockscape.experiments.cocomo`."""

    name: str
    months: PersonMonths


class Months(msgspec.Struct, frozen=True):
    """Person-months, if they were asked for, and everything that they assume.

    `published`: the one effort of a port in Table 1 is the application kernel's, whose lines give this range.
    """

    assumptions: tuple[str, ...]
    ports: tuple[PortMonths, ...]
    published: PersonMonths


class MapDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape map``: the design space, what it was made of, and the checked conclusions.

    `kernels` and `sizes` are of real kernels, published and measured; `curves` were given as files.
    `samples`: how many samples of all costs were run as well; `bands`: within what 5% and 95% of them leave
    the mean speedup is, by name.
    """

    schema_version: int
    document: Literal["map"]
    manifest: Manifest
    space: Space
    tradeoff: Tradeoff
    kernels: tuple[SourceEffort, ...]
    curves: tuple[GivenCurve, ...]
    conclusions: tuple[Checked, ...]
    preemption: dict[str, Preemption]
    families: tuple[Family, ...]
    sizes: tuple[TableSize, ...]
    months: Months | None
    samples: int
    bands: dict[str, Interval]


class Drawn(NamedTuple):
    """What was measured with the costs of a sample."""

    tradeoff: Tradeoff
    families: Sequence[Family]


def map_document(
    found: Tradeoff, manifest: Manifest, axis: Axis = "lines", over: Over = "one",
    preemption: Mapping[str, Preemption] | None = None, families: Sequence[Family] = (),
    curves: Sequence[GivenCurve] = (), with_months: bool = False, drawn: Sequence[Drawn] = (),
) -> MapDocument:  # fmt: skip
    """Return the document of what was measured, with everything that follows from it."""
    kernels = tuple(source_efforts())
    sizes = {each.id: each.code_lines for each in catalog.systems() if each.code_lines}
    known = (kernels, sizes, preemption or {})
    evidence = Evidence(found, *known, families, curves)
    samples = [Evidence(each.tradeoff, *known, each.families) for each in drawn]
    return MapDocument(
        SCHEMA_VERSION, "map", manifest, design_space(found.items, found.cpus, axis, over), found, kernels,
        tuple(curves), checked(evidence, samples), dict(preemption or {}), tuple(families), tuple(_sizes()),
        _months(found.items) if with_months else None, len(drawn), _bands(drawn, axis, over),
    )  # fmt: skip


def _bands(drawn: Sequence[Drawn], axis: Axis, over: Over) -> dict[str, Interval]:
    means: dict[str, list[float]] = {}
    for each in drawn:
        for place in design_space(each.tradeoff.items, each.tradeoff.cpus, axis, over).places:
            means.setdefault(place.name, []).append(place.speedup)
    return {name: interval(values) for name, values in means.items()}


def _sizes() -> Iterator[TableSize]:
    for each in catalog.systems():
        if each.code_lines or each.development_days:
            yield TableSize(each.id, each.name, each.printed.code_lines, each.printed.development_time)


def _months(items: Sequence[Item]) -> Months:
    ports = tuple(PortMonths(each.name, person_months(_written(each))) for each in items)
    published = catalog.system("application-kernel").total_code_lines
    assert published is not None
    return Months(cocomo.ASSUMPTIONS, ports, person_months(published))


def _written(item: Item) -> int:
    """Return the lines that are written: modified, new, and new code; not those that are taken out."""
    return item.effort.change.modified + item.effort.change.new + item.effort.new_lines


def map_csv(document: MapDocument) -> Table:
    """Return a row for each port or system and workload."""
    places = {place.name: place for place in document.space.places}
    rows: list[Row] = []
    for item in document.tradeoff.items:
        counted, place, band = item.effort, places.get(item.name), document.bands.get(item.name)
        for each in item.scaling:
            point, law = each.at(document.space.cpus), each.usl
            rows.append((
                item.name, item.method, item.kind, counted.added_sites, counted.change.changed,
                counted.new_lines, counted.lines, counted.options_lines, each.workload, point.cpus,
                point.speedup, point.over_uniprocessor, each.peak.cpus, each.peak.speedup,
                *((law.alpha, law.beta, law.peak_cpus) if law else (None, None, None)),
                place.speedup if place else None, band.low if band else None, band.high if band else None,
                str(place is not None and place.on_front).lower(),
                str(place is not None and place.on_front_of_one).lower(), item.kernels,
            ))  # fmt: skip
    columns = (
        "name", "method", "kind", "added_sites", "changed_lines", "new_lines", "lines", "options_lines",
        "workload", "cpus", "speedup", "speedup_over_uniprocessor", "peak_cpus", "peak_speedup", "usl_alpha",
        "usl_beta", "usl_peak_cpus", "mean_speedup", "mean_low", "mean_high", "on_front",
        "on_front_of_one", "kernels",
    )  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({0, 1, 2, 8, 20, 21}))


OVER = {"one": "one processor of the same kernel", "uniprocessor": "the kernel without its port"}
"""What speedups are over."""


def about_map(document: MapDocument) -> Iterator[str]:
    """Yield what was run, a sentence or two each."""
    found, space = document.tradeoff, document.space
    machine, work = preset(found.machine), found.postmark
    yield (
        f"Simulated, on 1 to {space.cpus} processors of the machine {found.machine}: {machine.title}. "
        f"Speedups are over {OVER[space.over]}, by makespan; effort is counted in the listing of one kernel."
    )
    shares = ", ".join(f"{each.workload} {each.share:.0%}" for each in found.workloads)
    yield f"Workloads, with the kernel's share of the busy time on the uniprocessor kernel: {shares}."
    if found.seeds > 1:
        yield (
            f"What a workload draws is drawn {found.seeds} times, with its own seed and the next ones: a "
            "speedup is that of the total time; --details has the range of single seeds, --json each."
        )
    if document.samples:
        yield (
            f"{document.samples} samples draw every cost from its range: intervals leave out {LOW:.0%} of "
            f"them below and {1 - HIGH:.0%} above; statements have the share of them in which they hold."
        )
    if any(each.workload == "postmark" for each in found.workloads):
        yield (
            f"PostMark: {work.transactions:,} transactions on {work.files:,} files of {work.size_low_bytes} "
            "bytes; --full has the paper's size."
        )


def ordered(document: MapDocument) -> list[Place]:
    """Return the places by method in the paper's order, with less effort first."""
    known: dict[str, int] = {method.id: number for number, method in enumerate(catalog.methods())}
    return sorted(document.space.places, key=lambda p: (known.get(p.method, len(known)), p.effort, p.name))
