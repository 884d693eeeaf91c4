"""The figures of the study as short tables for a terminal, and as rows of its CSV."""

from collections.abc import Iterator

from lockscape.report.map_tables import WORDS
from lockscape.report.study import StudyDocument
from lockscape.report.study_runs import StudyCurves
from lockscape.report.table import Row, Table

_RECORDED = "Recorded for the release; the page says by which command it is made again."


def figure_tables(document: StudyDocument) -> Iterator[Table]:
    """Yield Figure 2, what the paper says of it, and how many of its conclusions hold."""
    if document.curves is not None:
        yield _curves(document.curves)
    yield _statements(document)
    yield _conclusions(document)


def _curves(curves: StudyCurves) -> Table:
    cpus = sorted({p.cpus for each in curves.systems for p in each.points})
    rows: list[Row] = []
    for each in curves.systems:
        found = {p.cpus: f"{p.speedup:.2f}" for p in each.points}
        rows.append(
            (each.name, each.method, f"{each.points[0].makespan_s:.3f}", *(found.get(n) for n in cpus))
        )
    work = curves.workload.postmark
    return Table(
        "Figure 2: all systems, simulated; speedup over one processor of the same system",
        ("system", "method", "s on one", *map(str, cpus)), tuple(rows), frozenset({0, 1}),
        (f"PostMark, {curves.workload.processes} processes of {work.transactions:,} transactions on "
         f"{work.files:,} files; machine {curves.machine.name} for all. Seconds are simulated.",),
    )  # fmt: skip


def _statements(document: StudyDocument) -> Table:
    rows: list[Row] = []
    for each in document.statements:
        for measure, verdict in each.recorded.verdict.items():
            now = None if each.now is None else "holds" if each.now[measure] else "does not"
            rows.append((each.recorded.name, measure, f"{each.recorded.share[measure]:.0%}", verdict, now))
    small = " Now: in small runs, which the statements are not about." if document.size == "quick" else ""
    return Table(
        "Figure 2: what the paper says of it, checked",
        ("statement", "judged by", "in samples", "so it", "now"),
        tuple(rows), frozenset({0, 1, 3, 4}), (f"Samples of all costs. {_RECORDED}{small}",),
    )  # fmt: skip


def _conclusions(document: StudyDocument) -> Table:
    found = [check for each in document.map.conclusions for check in each.checks]
    rows: list[Row] = []
    for source in dict.fromkeys(check.source for check in found):
        verdicts = [check.verdict for check in found if check.source == source]
        rows.append((source, *(verdicts.count(verdict) for verdict in WORDS)))  # type: ignore[arg-type]
    recorded = any(each.id == "map" for each in document.records)
    return Table(
        "Section 6: what the paper concludes, checked", ("held against", *WORDS.values()), tuple(rows),
        frozenset({0}), (_RECORDED,) if recorded else (),
    )  # fmt: skip


def figure_rows(document: StudyDocument) -> Iterator[Row]:
    """Yield every figure of Figures 2 and 3: table, name, source, how, quantity and value."""
    for each in document.curves.systems if document.curves is not None else ():
        for point in each.points:
            how = f"postmark on {point.cpus}"
            yield ("figure2", each.name, "simulated", how, "makespan_s", point.makespan_s)
            yield ("figure2", each.name, "simulated", how, "speedup", point.speedup)
            yield (
                "figure2",
                each.name,
                "simulated",
                how,
                "speedup_over_baseline",
                point.speedup_over_baseline,
            )
    for place in document.map.space.places:
        how = f"all workloads on {place.cpus}"
        yield ("figure3", place.name, "simulated", how, "lines", place.effort)
        yield ("figure3", place.name, "simulated", how, "mean_speedup", place.speedup)
