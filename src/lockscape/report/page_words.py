"""What the page says in sentences: each is made from the document's numbers; no run can contradict it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockscape import catalog
from lockscape.experiments import figure2
from lockscape.experiments.tradeoff import MACHINE
from lockscape.report.figure2 import verdict
from lockscape.report.page_locks import CPUS as LOCK_CPUS
from lockscape.report.page_locks import waiting
from lockscape.report.study import StudyDocument
from lockscape.report.study_runs import StudyCurves, StudyStatement, four_kernels

HALF = 2.0
"""A system scales well if it is at least half as many times as fast as it has processors."""


def words_context(document: StudyDocument) -> dict[str, Any]:
    """Return the sentences of the page, by section."""
    said = {
        "table1": list(_table1(document)),
        "figure2": list(_figure2(document)),
        "causes": list(_causes()),
        "everyone": list(_everyone(document)),
        "locks": list(_locks(document.curves)) if document.curves else [],
        "unlock": list(_unlock(document)),
        "map": list(_map(document)),
    }
    return {"short": list(_short(document, said)), "said": said, "verdict": verdict}


def listed(names: Sequence[str]) -> str:
    """Return names as people write them: ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else "none"


def times(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _short(document: StudyDocument, said: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what the page shows, a sentence or two of what each part says."""
    yield from _tables(document)
    for part, count in (("figure2", 1), ("everyone", 2), ("unlock", 1), ("map", 1)):
        yield from said[part][:count]
    checks = [check.verdict for each in document.map.conclusions for check in each.checks]
    holds, fails = checks.count("holds"), checks.count("does not hold")
    yield (
        f"The paper’s conclusions (section 6) make {times(len(document.map.conclusions), 'statement')}. Held "
        f"against everything that can test them, {holds} checks hold, {fails} do not, and "
        f"{len(checks) - holds - fails} cannot be made."
    )


def _tables(document: StudyDocument) -> Iterator[str]:
    rows = {row.version: row for row in document.table2 if row.source == "published"}
    offs = [
        abs(row.counts[kind] - rows[row.beside].counts[kind]) / rows[row.beside].counts[kind]
        for row in document.table2
        if row.beside
        for kind in row.counts
        if rows[row.beside].counts[kind] >= 100
    ]
    first, *_, last = rows.values()
    changes = [row for row in document.table3 if row.source == "published"]
    yield (
        f"From Linux {first.version} to {last.version} the places that take or release a lock grew from "
        f"{sum(first.counts.values()):,} to {sum(last.counts.values()):,} (Table 2), and the share of lines "
        f"that multiprocessor support changes from {changes[0].share:.1%} to {changes[-1].share:.1%} (Table "
        f"3). Counted again in the source, the large figures of Table 2 are at most {max(offs):.1%} off."
    )


def _table1(document: StudyDocument) -> Iterator[str]:
    cells = [
        (each.name, quality, cell)
        for each in document.table1_measured
        for quality, cell in (("latency", each.latency), ("scalability", each.scalability))
        if cell is not None and cell.agrees is not None
    ]
    agree = sum(cell.agrees is True for _, _, cell in cells)
    yield (
        f"Where Table 1 has a word for latency or scalability, the simulated system gets the same one in "
        f"{agree} of {len(cells)} cells."
    )
    for quality in ("latency", "scalability"):
        differ = [name for name, what, cell in cells if what == quality and cell.agrees is False]
        if differ:
            yield f"The word for {quality} is another one for {listed(differ)}."


def _figure2(document: StudyDocument) -> Iterator[str]:
    judged = {each.recorded.name: each.recorded.verdict["makespan"] for each in document.statements}
    holds = [name for name, said in judged.items() if said == "holds"]
    fails = [name for name, said in judged.items() if said == "does not hold"]
    open_ = [name for name in judged if name not in holds + fails]
    samples = len(figure2.recorded(MACHINE).samples) - 1
    yield (
        f"The paper makes {len(judged)} statements about how four Linux kernels scale (Figure 2). Over "
        f"{samples} samples of all costs {len(holds)} {'holds' if len(holds) == 1 else 'hold'} "
        f"({_quoted(holds)}), {len(fails)} {'does' if len(fails) == 1 else 'do'} not ({_quoted(fails)}), and "
        f"for {len(open_)} what is known of the costs does not decide it ({_quoted(open_)})."
    )
    if document.curves is not None:
        yield _now(document.statements, document.size)
        if document.size == "full":
            yield _same_bits(document.curves)


def _quoted(names: Sequence[str]) -> str:
    return listed([f"“{name}”" for name in names])


def _named(names: Sequence[str], one: str, many: str) -> str:
    if not names:
        return f"none {one}"
    return f"{_quoted(names)} {one if len(names) == 1 else many}"


def _now(statements: Sequence[StudyStatement], size: str) -> str:
    found = [each for each in statements if each.now is not None]
    holds = [each.recorded.name for each in found if each.now and each.now["makespan"]]
    fails = [each.recorded.name for each in found if each.now and not each.now["makespan"]]
    small = " with its small PostMark, which is not what the statements are about," if size == "quick" else ""
    return (
        f"In the runs of this study,{small} by makespan and with the stated costs "
        f"{_named(holds, 'holds', 'hold')} and {_named(fails, 'does not', 'do not')}."
    )


def _same_bits(curves: StudyCurves) -> str:
    """Say whether this study's four kernels did what was recorded."""
    recorded, now = figure2.recorded(MACHINE).samples[0], four_kernels(curves)
    where = figure2.differing(recorded, now)
    runs = sum(len(cycles) for cycles in now.makespan_cycles.values())
    if not where:
        return (
            f"All {runs} runs of these four kernels gave the very cycles that were recorded for the release."
        )
    return f"This study’s runs are not those that were recorded for the release: they differ first {where}."


def _causes() -> Iterator[str]:
    """Yield for each of the four kernels the one change that moves it most on the most processors."""
    record = figure2.recorded(MACHINE)
    for name, cycles in record.samples[0].makespan_cycles.items():
        changed = [each for each in record.ablations if each.system == name]
        if changed:
            most = max(changed, key=lambda each: abs(math.log(each.makespan_cycles[-1] / cycles[-1])))
            before, after = cycles[0] / cycles[-1], cycles[0] / most.makespan_cycles[-1]
            yield (
                f"{catalog.system(name).name} is {before:.2f} times as fast on {len(cycles)} processors as "
                f"on one. What moves it most is {most.name}, with which it is {after:.2f} times as fast: "
                f"{most.title}."
            )


def _everyone(document: StudyDocument) -> Iterator[str]:
    """Yield who scales and who does not, on the most processors."""
    if document.curves is not None:
        ends = [
            (catalog.system(c.name).name, c.points[-1].cpus, c.points[-1].speedup)
            for c in document.curves.systems
        ]
    else:
        found = [(item, item.of("postmark")) for item in document.map.tradeoff.items if item.kind == "system"]
        ends = [
            (catalog.system(item.name).name, curve.points[-1].cpus, curve.points[-1].speedup)
            for item, curve in found
            if curve is not None
        ]
    well = [
        f"{name} ({s:.1f})" for name, n, s in sorted(ends, key=lambda e: -e[2]) if n > 1 and s >= n / HALF
    ]
    worse = [name for name, n, s in ends if n > 1 and s < 1]
    yield (
        f"With PostMark {times(len(well), 'system')} of {len(ends)} "
        f"{'has' if len(well) == 1 else 'have'} at least half of the speedup that as many processors could "
        f"give: {listed(well)}."
    )
    yield (
        f"{times(len(worse), 'system').capitalize()} "
        f"{'is' if len(worse) == 1 else 'are'} slower on all processors than on one: {listed(worse)}."
    )
    few = [f"{name} ({n})" for name, n, _ in ends if n < 8]
    if few:
        yield f"Not all can use 8 processors; the most that they can: {listed(few)}."


def _locks(curves: StudyCurves) -> Iterator[str]:
    cpus = LOCK_CPUS[-1]
    found = [
        (waiting(point.locks[0], point), catalog.system(each.name).name, point.locks[0].lock)
        for each in curves.systems
        for point in [each.at(cpus)]
        if point.locks
    ]
    heavy = [f"{name} ({lock}, {many:.1f})" for many, name, lock in sorted(found, reverse=True) if many >= 1]
    yield (
        f"On {cpus} processors at least one process or processor is waiting for one and the same lock at any "
        f"time, on average, in {times(len(heavy), 'system')}: {listed(heavy)}."
    )


def _unlock(document: StudyDocument) -> Iterator[str]:
    for each in document.unlocked:
        if each.workload.name == "postmark":
            steps = each.steps
            best = max(steps[1:], key=lambda step: step.gain)
            what = listed(best.state.locks) if best.state.locks else "the giant lock around each section only"
            yield (
                "Taking one lock after the other out of a giant one makes the kernel "
                f"{steps[-1].speedup:.1f} times as fast on {each.path.cpus} processors as that was on one, "
                f"in {steps[-1].state.number} steps; "
                f"before the first it is {steps[0].speedup:.2f} times as fast. The step that gains most, "
                f"{best.gain:+.0%}, is {what}."
            )
            first = steps[1]
            yield (
                f"The first step, from one lock at the entry to the same lock around each section, edits "
                f"{first.edited - steps[0].edited:,} lines, and all {len(steps) - 2} others together "
                f"{steps[-1].edited - first.edited:,}; it gains {first.gain:+.0%}."
            )


def _map(document: StudyDocument) -> Iterator[str]:
    space = document.map.space
    front = sorted((p for p in space.places if p.on_front_of_one), key=lambda p: p.effort)
    told = [f"{p.name} ({p.effort:,.0f} lines, {p.speedup:.1f}×)" for p in front]
    yield (
        f"On {space.cpus} processors, in the mean over all workloads, each of these single kernels scales "
        f"better than all others that take no more lines: {listed(told)}."
    )
    whole = sorted((p for p in space.places if p.on_front), key=lambda p: p.effort)
    yield (
        "If several kernels side by side count as well, each with files of its own, these are "
        f"{listed([f'{p.name} ({p.effort:,.0f} lines, {p.speedup:.1f}×)' for p in whole])}."
    )
    titles: dict[str, str] = {method.id: method.title for method in catalog.methods()}
    for region in sorted(space.regions, key=lambda region: [*titles].index(region.method)):
        means = [y for _, y in region.core]
        efforts = [x for x, _ in region.core]
        yield (
            f"{titles[region.method]}: {min(efforts):,.0f} to {max(efforts):,.0f} lines, {min(means):.1f} to "
            f"{max(means):.1f} times as fast in the mean."
        )
