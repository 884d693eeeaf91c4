"""The regions of the pages about the 22 systems: what sets each apart, their curves, published figures.

All of them come from the program when the page is made: the systems' files, and runs.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from markdown import markdown
from method_pages import output

from lockscape import catalog
from lockscape.experiments.observe import show_mechanism
from lockscape.experiments.verify import checks, verify
from lockscape.report.manifest import Stopwatch
from lockscape.report.table import Table
from lockscape.report.verify import number, verify_document, verify_tables
from lockscape.systems.load import System, load_system

Region = Callable[[], Iterable[str]]

SMALL = "--transactions 1000 --number 300 --cpus 1-8"
"""PostMark so small that the page is made in a minute."""


def all_systems() -> Iterator[System]:
    """Yield the systems in the order of Table 1, the variants of each behind it."""
    for each in catalog.systems():
        found = load_system(each.id)
        yield found
        yield from (load_system(f"{each.id}@{variant}") for variant in found.variants)


def systems() -> Iterator[str]:
    """Yield every system: its method, its machine, and what it is."""
    rows = tuple((f"`{s.id}`", s.plan.method, s.machine, s.plan.title) for s in all_systems())
    yield from markdown(Table("", ("system", "method", "machine", "what it is"), rows, frozenset(range(4))))


def mechanisms() -> Iterator[str]:
    """Yield what sets each system apart, and the observable in which that shows, with it and without."""
    rows = []
    for system in all_systems():
        for each in system.mechanisms:
            moved = show_mechanism(system, each)
            shown = each.shown
            where = f"{shown.workload} on {shown.cpus}: {shown.observable}"
            rows.append(
                (f"`{system.id}`", f"**{each.id}**: {each.text} [{each.confidence}]", where, shown.direction,
                 number(moved.with_it), number(moved.without_it), "as expected" if moved.expected else "NOT")
            )  # fmt: skip
    columns = ("system", "mechanism", "shows in", "expected", "with it", "without it", "moves")
    yield from markdown(Table("", columns, tuple(rows), frozenset({0, 1, 2, 3, 6})))


def system_curves() -> Iterator[str]:
    """Yield a command, and the speedups of all systems that it finds."""
    document = json.loads(output(f"simulate all {SMALL} --json"))
    numbers = sorted({point["cpus"] for curve in document["systems"] for point in curve["points"]})
    yield from ("```text", f"$ lockscape simulate all {SMALL}", "```", "")
    rows = []
    for curve in document["systems"]:
        found = {point["cpus"]: f"{point['speedup']:.2f}" for point in curve["points"]}
        first = f"{curve['points'][0]['makespan_s']:.3f}"
        rows.append((f"`{curve['name']}`", curve["machine"], first, *(found.get(n) for n in numbers)))
    columns = ("system", "machine", "s on one", *map(str, numbers))
    yield from markdown(Table("", columns, tuple(rows), frozenset({0, 1})))


def verification() -> Iterator[str]:
    """Yield the published figures beside the simulated ones."""
    for each in verify_tables(verify_document(verify(checks()), Stopwatch().manifest())):
        yield from (f"## {each.title}", "")
        yield from markdown(each)


def simulated() -> Mapping[str, Region]:
    """Return the regions that are simulated, by name: they take some minutes together."""
    return {"mechanisms": mechanisms, "system_curves": system_curves, "verification": verification}


def regions() -> Mapping[str, Region]:
    """Return the other regions by name."""
    return {"systems": systems}
