"""The map drawn with characters: ports and systems as letters, regions of methods, the Pareto front."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TextIO

from lockscape import catalog
from lockscape.experiments.design_space import Point, Space
from lockscape.report.map import OVER, MapDocument, ordered
from lockscape.report.plot import MARKS, Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose

OUTLINE, FRONT, FRONT_OF_ONE = ".", "=", "-"
"""Strokes of a region's outline, of the Pareto front and of that of what is one kernel."""

DENSE = 60
"""Points of a drawn line between two of its corners."""

EFFORT = {
    "lines": "lines changed and new (log)",
    "sites": "sites: places that take or release locks, added (log)",
}
"""What the axis of effort counts, by its name."""


def marks_of(document: MapDocument) -> dict[str, str]:
    """Return the letter of each port and system."""
    return {place.name: MARKS[number % len(MARKS)] for number, place in enumerate(ordered(document))}


def print_space(document: MapDocument, out: TextIO) -> None:
    """Write the drawing, or nothing if nothing has a place."""
    space = document.space
    if not space.places:
        return
    colours: dict[str, int] = {method.id: number for number, method in enumerate(catalog.methods())}
    marks = marks_of(document)
    curves = [
        Curve(p.name, [(p.effort, p.speedup)], marks[p.name], "", colour=colours.get(p.method))
        for p in ordered(document)
    ]
    fronts = {"Pareto front": (FRONT, False), "that of one kernel": (FRONT_OF_ONE, True)}
    for name, (stroke, of_one) in fronts.items():
        curves.append(Curve(name, list(_along(staircase(space, of_one))), "", stroke, colour=len(colours)))
    for each in space.regions:
        outline = list(_along((*each.core, each.core[0])))
        curves.append(Curve("", outline, "", OUTLINE, colour=colours.get(each.method)))
    print_plot(
        f"Speedup on {space.cpus} processors over {OVER[space.over]}, against effort",
        curves, EFFORT[space.axis], out, ticks=round_numbers([x for c in curves for x, _ in c.points]),
        height=HEIGHT,
    )  # fmt: skip
    print_prose([Paragraph(MEANS, "note")], out)


HEIGHT = 24
"""Lines of the drawing: there are many points."""

MEANS = f"Letters stand at the mean over the workloads; {OUTLINE} goes around those of one method."
"""Says under the plot what is drawn."""


def staircase(space: Space, of_one: bool = False) -> list[Point]:
    """Return the corners of the Pareto front: as good as the last one, until the next better one.

    `of_one`: the front of what is one kernel.
    """
    shown = [place for place in space.places if (place.on_front_of_one if of_one else place.on_front)]
    best = sorted((place.effort, place.speedup) for place in shown)
    corners = best[:1]
    for effort, speedup in best[1:]:
        corners += [(effort, corners[-1][1]), (effort, speedup)]
    return corners


def _along(corners: Sequence[Point]) -> Iterator[Point]:
    """Yield points along a line through corners, straight on a logarithmic scale of efforts."""
    yield from corners[:1]
    for (x1, y1), (x2, y2) in pairwise(corners):
        for step in range(1, DENSE + 1):
            share = step / DENSE
            yield x1 * (x2 / x1) ** share, y1 + share * (y2 - y1)


def round_numbers(xs: Sequence[float]) -> list[float]:
    """Return round numbers, 1, 2 and 5 times powers of ten, two or more, that span positive values."""
    low, high = min(xs), max(xs)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    rounds = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max(each for each in rounds if each <= low)
    last = min(each for each in rounds if each >= high and each > first)
    return [each for each in rounds if first <= each <= last]
