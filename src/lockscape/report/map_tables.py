"""The map as tables for people: what each takes and gives, real kernels, and the checked conclusions."""

from collections.abc import Iterator, Sequence
from typing import TextIO

from lockscape import catalog
from lockscape.experiments.design_space import Place
from lockscape.experiments.evidence import Check, GivenCurve, Number
from lockscape.experiments.scalability_axis import speedup
from lockscape.experiments.tradeoff import Item
from lockscape.report.map import MapDocument, about_map, ordered
from lockscape.report.map_plot import marks_of, print_space
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.speedups import width_of
from lockscape.report.table import Row, Table, print_tables, table_width


def print_map(document: MapDocument, out: TextIO, details: bool = False) -> None:
    """Write everything for people; `details`: rules, words, laws and sizes as well."""
    print_prose([Paragraph(line, "note") for line in about_map(document)], out)
    out.write("\n")
    print_space(document, out)
    out.write("\n")
    tables = [
        *places_tables(document, width_of(out)), regions_table(document), kernels_table(document),
        *_months(document),
    ]  # fmt: skip
    if details:
        tables += [_laws(document), _options(document), _sizes(document)]
    print_tables(tuple(tables), out)
    out.write("\n")
    print_prose(_conclusions(document, details), out)


def places_tables(document: MapDocument, width: int | None = None) -> tuple[Table, ...]:
    """Return what each port and system takes and gives, by method: two tables if one has no room.

    `width`: how many columns there are; None: as many as are needed.
    """
    marks = marks_of(document)
    places = ordered(document)
    items = {item.name: item for item in document.tradeoff.items}
    effort = [_effort_cells(items[place.name]) for place in places]
    given = [_given_cells(place, items[place.name], document) for place in places]
    workloads = [each.workload for each in document.tradeoff.workloads]
    heads = (*workloads, "mean", *(["5-95%"] if document.samples else []), "")
    names = [f"{marks[place.name]} {place.name}" for place in places]
    notes = tuple(_notes(document))
    cells = [(*one, *two) for one, two in zip(effort, given, strict=True)]
    whole = _by_method(document, "What each takes and gives", (*_EFFORT_HEADS, *heads), names, cells, notes)
    if width is None or table_width(whole) <= width:
        return (whole,)
    return (
        _by_method(document, "What each takes", _EFFORT_HEADS, names, effort, notes[:1]),
        _by_method(document, "How many times faster it gets", heads, names, given, notes[1:]),
    )


_EFFORT_HEADS = ("sites", "changed", "new", "lines")


def _effort_cells(item: Item) -> Row:
    counted = item.effort
    return counted.added_sites, counted.change.changed, counted.new_lines, counted.lines


def _given_cells(place: Place, item: Item, document: MapDocument) -> Row:
    workloads = [each.workload for each in document.tradeoff.workloads]
    speedups = [_speedup(item, workload, document) for workload in workloads]
    return (*speedups, f"{place.speedup:.2f}", *_band(place, document), _fronts(place))


def _fronts(place: Place) -> str:
    return "*" * place.on_front + "+" * place.on_front_of_one


def _by_method(
    document: MapDocument, title: str, heads: tuple[str, ...], names: Sequence[str], cells: Sequence[Row],
    notes: tuple[str, ...],
) -> Table:  # fmt: skip
    """Return a table with a line for each method above its ports and systems."""
    titles: dict[str, str] = {method.id: method.title for method in catalog.methods()}
    rows: list[Row] = []
    emphasis: set[int] = set()
    method = ""
    for place, name, row in zip(ordered(document), names, cells, strict=True):
        if place.method != method:
            method = place.method
            emphasis.add(len(rows))
            rows.append((titles.get(method, method), *[None] * len(heads)))
        rows.append((name, *row))
    return Table(title, ("", *heads), tuple(rows), frozenset({0}), notes, frozenset(emphasis))


def _notes(document: MapDocument) -> Iterator[str]:
    yield (
        "Sites: places that take or release locks, less the uniprocessor kernel's own. Changed: modified, "
        "new and removed lines of the kernel; new: of code that the port brings."
    )
    yield (
        "* on the Pareto front: nothing else takes no more effort and scales no worse. + on that of what is "
        "one kernel."
    )
    many = [f"{place.name} {place.kernels}" for place in ordered(document) if place.kernels > 1]
    if many:
        yield (
            f"Several kernels, each with files of its own: {', '.join(many)}. Processes are divided over "
            "them, those that share files as well: what must share them cannot run so."
        )
    yield from (f"{name} has no place: {why}" for name, why in document.space.absent.items())
    few = [place for place in ordered(document) if place.cpus < document.space.cpus]
    if few:
        most = ", ".join(f"{place.name} {place.cpus}" for place in few)
        yield f"Uses fewer processors, at most: {most}."


def _band(place: Place, document: MapDocument) -> tuple[str, ...]:
    """Return the interval over samples of costs, if there are any."""
    if not document.samples:
        return ()
    found = document.bands[place.name]
    return (f"{found.low:.2f} to {found.high:.2f}",)


def _speedup(item: Item, workload: str, document: MapDocument) -> str:
    found = item.of(workload)
    if found is None:
        return "failed"
    point = found.at(document.space.cpus)
    value = speedup(point, document.space.over)
    return "" if value is None else f"{value:.2f}"


def regions_table(document: MapDocument) -> Table:
    """Return how far each method's region reaches, and its core."""
    titles: dict[str, str] = {method.id: method.title for method in catalog.methods()}
    rows: list[Row] = []
    for each in sorted(document.space.regions, key=lambda region: [*titles].index(region.method)):
        (efforts, reached), (_, means) = (
            tuple(zip(*part, strict=True)) for part in (each.corners, each.core)
        )  # fmt: skip
        rows.append((
            titles[each.method], len(each.members), f"{min(efforts):,.0f} to {max(efforts):,.0f}",
            f"{min(means):.2f} to {max(means):.2f}", f"{min(reached):.2f} to {max(reached):.2f}",
        ))  # fmt: skip
    return Table(
        "Methods as regions", ("", "members", document.space.axis, "means", "with any workload"), tuple(rows),
        frozenset({0}), ("Members: a method's ports, their variants, and its systems.",),
    )  # fmt: skip


def kernels_table(document: MapDocument) -> Table:
    """Return what is known of real kernels: effort, and scalability where a curve was given."""
    curves = {each.name: each for each in document.curves}
    cpus = document.space.cpus
    rows: list[Row] = [
        (
            f"Linux {each.version}", each.source, each.all_sites, each.changed_lines,
            f"{100 * each.share:.2f}", _given(curves.get(each.system), cpus),
        )
        for each in document.kernels
    ]  # fmt: skip
    known = {each.system for each in document.kernels}
    rows += [
        (f"{each.name}", "given", None, None, None, _given(each, cpus))
        for each in document.curves
        if each.name not in known
    ]
    return Table(
        "Real kernels: sites of locks, and lines that multiprocessor support changes",
        ("kernel", "source", "sites", "changed", "share %", "speedup, given"), tuple(rows),
        frozenset({0, 1}),
        ("Counted in real source (Tables 2 and 3), semaphores included: not on the scale of the simulated "
         "kernel's lines. Speedups are those of given curves (--curve), with their own workloads.",),
    )  # fmt: skip


def _given(curve: GivenCurve | None, cpus: int) -> str:
    if curve is None:
        return ""
    point = curve.scaling.at(cpus)
    return f"{point.speedup:.2f} on {point.cpus}"


def _months(document: MapDocument) -> Iterator[Table]:
    found = document.months
    if found is None:
        return
    rows: list[Row] = [
        (each.name, each.months.lines, _range(each.months.low, each.months.high),
         "" if each.months.calibrated else "*")
        for each in found.ports
    ]  # fmt: skip
    published = found.published
    rows.append(
        ("Application kernel, published: 5 weeks", published.lines, _range(published.low, published.high), "")
    )
    yield Table(
        "Person-months by COCOMO II, not calibrated", ("", "lines written", "person-months", ""), tuple(rows),
        frozenset({0}), found.assumptions,
    )  # fmt: skip


def _range(low: float, high: float) -> str:
    return f"{low:.2g} to {high:.2g}"


def _laws(document: MapDocument) -> Table:
    rows: list[Row] = []
    items = {item.name: item for item in document.tradeoff.items}
    for place in ordered(document):
        for each in items[place.name].scaling:
            law = each.usl
            cells = ("", "", "", "") if law is None else (
                f"{law.alpha:.3f}", f"{law.beta:.4f}",
                "none" if law.peak_cpus is None else f"{law.peak_cpus:.1f}", f"{law.r_squared:.3f}",
            )  # fmt: skip
            over = each.points[-1].over_uniprocessor
            rows.append((
                place.name, each.workload, each.points[-1].cpus, f"{each.points[-1].speedup:.2f}",
                *_of_seeds(document, each.points[-1].by_seed),
                "" if over is None else f"{over:.2f}", each.peak.cpus, f"{each.peak.speedup:.2f}", *cells,
            ))  # fmt: skip
    return Table(
        "Peaks and laws",
        ("", "workload", "on", "speedup", *(("single seeds",) if document.tradeoff.seeds > 1 else ()),
         "over uniprocessor", "peak at", "speedup", "USL alpha", "beta", "peak by it", "R²"),
        tuple(rows), frozenset({0, 1}),
        ("Peak: the largest speedup that was measured. USL: fitted to speedups over one processor at few "
         "points; `lockscape laws` fits whole curves and says what to doubt.",),
    )  # fmt: skip


def _of_seeds(document: MapDocument, speedups: tuple[float, ...]) -> tuple[str, ...]:
    """Return the cell of single seeds, none at all where there is but one."""
    if document.tradeoff.seeds == 1:
        return ()
    return (f"{min(speedups):.2f} to {max(speedups):.2f}" if speedups else "",)


def _options(document: MapDocument) -> Table:
    rows: list[Row] = [
        (item.name, item.effort.options_lines) for item in document.tradeoff.items if item.kind == "port"
    ]
    return Table(
        "Lines in which the uniprocessor kernel with a port's build options differs from the plain one",
        ("", "lines"), tuple(rows), frozenset({0}),
        ("A queue for each processor and the like: to be written as well, where a kernel does not have it; "
         "not counted as the port's.",),
    )  # fmt: skip


def _sizes(document: MapDocument) -> Table:
    rows: list[Row] = [(each.name, each.code_lines, each.development_time) for each in document.sizes]
    return Table(
        "Table 1: lines of whole systems, and times between their last two major releases",
        ("", "code lines", "time"), tuple(rows), frozenset({0, 2}),
        ("Published, and not the effort of a port: only the application kernel's is one.",),
    )  # fmt: skip


def summary(document: MapDocument) -> str:
    """Return how many checks came out how, by source."""
    found = [check for each in document.conclusions for check in each.checks]
    parts = []
    for source in dict.fromkeys(check.source for check in found):
        verdicts = [check.verdict for check in found if check.source == source]
        counts = (
            f"{verdicts.count(verdict)} {words}"  # type: ignore[arg-type]
            for verdict, words in WORDS.items()
        )
        parts.append(f"{source}: {', '.join(counts)}")
    return "; ".join(parts) + "."


WORDS = {"holds": "hold", "does not hold": "do not hold", "not testable": "not testable"}
"""Verdicts, and what several of them are."""


def told(check: Check) -> str:
    """Return a check's numbers in words, or why it has none."""
    if check.why:
        return check.why
    numbers = "; ".join(number_text(each) for each in check.numbers)
    return numbers if check.share is None else f"{numbers}; in {check.share:.0%} of the samples"


def number_text(number: Number) -> str:
    """Return a number with what it is."""
    if number.unit == "%":
        return f"{number.what} {number.value:.2f}%"
    if number.unit == "times":
        return f"{number.what} {number.value:.2f}"
    return f"{number.what} {number.value:,.0f} {number.unit}"


def conclusions_rows(document: MapDocument) -> Iterator[tuple[str, ...]]:
    """Yield each check: the statement with its words and rule (once), its source, verdict and numbers."""
    for each in document.conclusions:
        first = (
            each.name,
            f"\N{LEFT DOUBLE QUOTATION MARK}{each.text}\N{RIGHT DOUBLE QUOTATION MARK}",
            each.rule,
        )
        for check in each.checks:
            yield (*first, check.source, check.verdict, told(check))
            first = ("", "", "")


def _conclusions(document: MapDocument, details: bool) -> Iterator[Paragraph]:
    """Yield every statement with its checks; `details`: with the paper's words and the rule."""
    yield Paragraph("What the paper concludes (section 6), checked", "title")
    for each in document.conclusions:
        yield Paragraph(each.name, "heading" if details else "item")
        if details:
            yield Paragraph(
                f"\N{LEFT DOUBLE QUOTATION MARK}{each.text}\N{RIGHT DOUBLE QUOTATION MARK}", "plain"
            )
            if each.rule:
                yield Paragraph(f"Rule: {each.rule}.", "plain")
        yield from (Paragraph(f"{c.source}: {c.verdict} ({told(c)})", "source", hang=2) for c in each.checks)
    yield Paragraph(summary(document), "plain")
    if not details:
        yield Paragraph("--details prints the paper's words and the rule of each.", "note")
