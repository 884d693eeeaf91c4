"""Figures 1 to 3 on the page: every variant is drawn here, and the page shows one at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lockscape import catalog
from lockscape.experiments import figure2
from lockscape.experiments.band import HIGH, LOW, quantile
from lockscape.experiments.figure2 import CPUS, SampleRecord
from lockscape.experiments.statements import SYSTEMS
from lockscape.experiments.study import BASELINE
from lockscape.experiments.tradeoff import MACHINE
from lockscape.report.figure2 import ablation_tables
from lockscape.report.line_chart import Frame, LineChart, Series, Value, line_chart
from lockscape.report.organisations import organisations
from lockscape.report.organisations import words as panel_words
from lockscape.report.page_locks import locks_context
from lockscape.report.page_map import map_context
from lockscape.report.page_unlock import unlock_context
from lockscape.report.study import StudyDocument
from lockscape.report.study_runs import StudyCurves, four_kernels
from lockscape.report.table import Table

OWN, OVER = "its own one processor", "Linux 2.0 on one processor"
"""What speedups are over."""


@dataclass(frozen=True)
class Variant:
    """One way of showing a figure: its label in each dimension, a chart, and the same as a table.

    `weak`: why it says less than it should, if it does.
    """

    labels: Mapping[str, str]
    chart: LineChart
    table: Table
    weak: str = ""


@dataclass(frozen=True)
class Key:
    """A system in a legend: its id, its name, and how its curve looks."""

    id: str
    name: str
    method: str
    look: int


def figures_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of the figures."""
    everyone = list(_all_variants(document))
    return {
        "organisations": [(each, panel_words(each)) for each in organisations()],
        "four": list(_four_variants(document)),
        "everyone": everyone,
        "panels": list(_panels(document)),
        "weak": everyone[0].weak,
        "keys": keys(),
        "causes": list(ablation_tables(figure2.recorded(MACHINE))),
        **locks_context(document),
        **unlock_context(document),
        **map_context(document),
    }


@cache
def looks() -> dict[str, int]:
    """Return the number of each system among those of its method."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    for system in catalog.systems():
        found[system.id] = counts.get(system.method, 0)
        counts[system.method] = found[system.id] + 1
    return found


def _series(id: str, points: Sequence[Value], band: Sequence[tuple[float, float, float]] = ()) -> Series:
    """Return a curve of a system, by its id, as its method's curves look."""
    system = catalog.system(id)
    return Series(id, system.name, system.method, points, looks()[id], band)


def keys() -> list[tuple[str, list[Key]]]:
    """Return the legend of all systems, by method."""
    return [
        (method.title, [
            Key(each.id, each.name, method.id, looks()[each.id])
            for each in catalog.systems() if each.method == method.id
        ])
        for method in catalog.methods()
    ]  # fmt: skip


def table_of(title: str, series: Sequence[Series], head: str = "system", digits: int = 2) -> Table:
    """Return curves as a table: a row for each, a column for each x."""
    xs = sorted({x for each in series for x, _ in each.points})
    rows = tuple(
        (each.name, *(f"{points[x]:.{digits}f}" if x in points else None for x in xs))
        for each in series
        for points in [dict(each.points)]
    )
    return Table(title, (head, *(f"{x:g}" for x in xs)), rows)


# --- Figure 2: the four kernels ----------------------------------------------------------------------------


Speedups = Callable[[SampleRecord, str], list[float]]
"""Returns a sample's speedups of a system."""


def _over_baseline(sample: SampleRecord, name: str) -> list[float]:
    return [sample.makespan_cycles[BASELINE][0] / cycles for cycles in sample.makespan_cycles[name]]


def _over_own(sample: SampleRecord, name: str) -> list[float]:
    return [sample.makespan_cycles[name][0] / cycles for cycles in sample.makespan_cycles[name]]


def _throughput(sample: SampleRecord, name: str) -> list[float]:
    rates = sample.steady_per_s[name]
    return [rate / max(rates[0], 1) for rate in rates]


MEASURES: Mapping[str, Speedups] = {
    f"over {OVER}": _over_baseline,
    f"over {OWN}": _over_own,
    f"over {OWN}, by throughput": _throughput,
}
"""Ways of telling how fast four kernels are, the paper's first; by the makespan if nothing else is said."""


def _four_variants(document: StudyDocument) -> Iterator[Variant]:
    """Yield Figure 2: from records with their band, and from runs of this study."""
    for number, (measure, speedups) in enumerate(MEASURES.items()):
        for runs, sample, banded, weak in _four_runs(document):
            series = _four_series(sample, speedups, banded)
            if speedups is _over_own:
                series += _booted(document)
            id = f"figure2-{number}-{'recorded' if banded else 'now'}"
            title = f"Figure 2: PostMark on four Linux kernels, speedup {measure}"
            chart = line_chart(id, title, series, Frame(ideal=speedups is not _over_baseline))
            yield Variant({"speedup": measure, "runs": runs}, chart, table_of(title, series), weak)


def _four_runs(document: StudyDocument) -> Iterator[tuple[str, SampleRecord, bool, str]]:
    """Yield what there is: its label, the stated costs' runs, whether samples are around it, its weakness."""
    stated = figure2.recorded(MACHINE).samples[0]
    if document.size == "full" and document.curves is not None:
        yield "of this study", four_kernels(document.curves), True, ""
        return
    yield "recorded, at the paper’s size", stated, True, "Not run in this study: recorded for the release."
    if document.curves is not None:
        yield "of this study, small", four_kernels(document.curves), False, weakness(document)


def weakness(document: StudyDocument) -> str:
    """Return why the curves of a quick study say less than those of a full one."""
    if document.size != "quick" or document.curves is None:
        return ""
    work = document.curves.workload.postmark
    return (
        f"Small runs (--quick): {work.transactions:,} transactions on {work.files:,} files of each process, "
        "not the paper’s 10,000 on 1,000. Directories are shorter, so that locks that are held during a "
        "search are held for less time."
    )


def _four_series(sample: SampleRecord, speedups: Speedups, banded: bool) -> list[Series]:
    drawn = figure2.recorded(MACHINE).samples[1:] if banded else ()
    series = []
    for name in SYSTEMS:
        columns = list(zip(*(speedups(each, name) for each in drawn), strict=True))
        band = [(float(n), quantile(c, LOW), quantile(c, HIGH)) for n, c in zip(CPUS, columns, strict=False)]
        points = [(float(n), s) for n, s in zip(CPUS, speedups(sample, name), strict=True)]
        series.append(_series(name, points, band))
    return series


def _booted(document: StudyDocument) -> list[Series]:
    """Return the curves of booted kernels that ran PostMark, as far as Figure 2 goes."""
    found = []
    for number, each in enumerate(document.booted):
        points = [(float(p.cpus), p.speedup) for p in each.points if p.cpus <= CPUS[-1]]
        if each.workload == "postmark" and points:
            found.append(Series(f"booted-{number}", f"booted {each.kernel}"[:26], "booted", points, number))
    return found


# --- Figure 2 for all systems ------------------------------------------------------------------------------


WORKLOADS = {"kernelbuild": "compiling", "netserve": "network server", "mailserver": "mail server",
             "compute": "computing"}  # fmt: skip
"""Workloads of the map in words."""


def _all_variants(document: StudyDocument) -> Iterator[Variant]:
    """Yield the curves of all systems with each workload, over both."""
    for over in (OWN, OVER):
        for workload, series, weak in _all_series(document, over):
            title = f"Figure 2 for all systems: {workload}, speedup over {over}"
            id = f"all-{workload.split(',')[0].replace(' ', '-').lower()}-{'own' if over == OWN else 'base'}"
            chart = line_chart(id, title, series, Frame(height=600.0, ideal=over == OWN))
            yield Variant({"workload": workload, "over": over}, chart, table_of(title, series), weak)


def _all_series(document: StudyDocument, over: str) -> Iterator[tuple[str, list[Series], str]]:
    """Yield each workload with its curves, and why they say less than they should."""
    if document.curves is not None:
        yield _postmark(document), _run_series(document.curves, over), weakness(document)
    found = document.map.tradeoff
    for each in found.workloads:
        if each.workload == "postmark" and document.curves is not None:
            continue
        name = WORKLOADS.get(each.workload, "PostMark, small")
        recorded = any(record.id == "map" for record in document.records)
        weak = "Not run in this study: recorded for the release with the map." if recorded else ""
        yield name, _map_series(document, each.workload, over), weak


def _postmark(document: StudyDocument) -> str:
    return "PostMark, the paper’s size" if document.size == "full" else "PostMark, small"


def _run_series(curves: StudyCurves, over: str) -> list[Series]:
    return [
        _series(
            each.name,
            [(float(p.cpus), p.speedup if over == OWN else p.speedup_over_baseline) for p in each.points],
        )
        for each in curves.systems
    ]


def _map_series(document: StudyDocument, workload: str, over: str) -> list[Series]:
    scalings = {
        item.name: found
        for item in document.map.tradeoff.items
        if item.kind == "system" and (found := item.of(workload)) is not None
    }
    base = scalings[BASELINE].points[0].makespan_s if BASELINE in scalings else None
    return [
        _series(
            system.id,
            [
                (float(p.cpus), p.speedup if over == OWN else (base or 0.0) / (p.makespan_s or 1.0))
                for p in scalings[system.id].points
            ],
        )
        for system in catalog.systems()
        if system.id in scalings
    ]


def _panels(document: StudyDocument) -> Iterator[LineChart]:
    """Yield a small chart for each method: its systems among all others, in the background."""
    workload, series, _ = next(_all_series(document, OWN))
    for method in catalog.methods():
        mine = [each for each in series if each.colour == method.id]
        others = [
            Series(f"quiet-{each.id}", each.name, "quiet", each.points, 0, quiet=True)
            for each in series
            if each.colour != method.id
        ]
        if mine:
            longest = max(len(each.name) for each in series)
            frame = Frame(width=330.0, height=250.0, least=8.0, steps=4, longest=longest)
            title = f"{method.title}: {workload}, speedup over {OWN}"
            yield line_chart(f"method-{method.id}-chart", title, [*others, *mine], frame)
