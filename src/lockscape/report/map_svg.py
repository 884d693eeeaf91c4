"""The map as SVG: a picture of its own, or inline in a page; in light and dark, with a title for each point.

Geometry only; the template `map.svg` draws it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockscape import catalog
from lockscape.errors import InputError
from lockscape.experiments.design_space import Place, Point, Space
from lockscape.report.labels import Box, Name, place_names, place_titles
from lockscape.report.line_chart import Tick
from lockscape.report.map import OVER, MapDocument, ordered
from lockscape.report.map_plot import EFFORT, round_numbers, staircase
from lockscape.report.render import environment, write_whole

WIDTH, HEIGHT = 980.0, 660.0
"""Of the drawing, in its units."""
LEFT, RIGHT, TOP, BOTTOM = 52.0, 16.0, 58.0, 96.0
"""Room around the plot."""
KEY_WIDTH = 210.0
"""Room of a method in the legend."""


@dataclass(frozen=True)
class Dot:
    """A port or system: where it stands, what it looks like, and all its numbers in words."""

    place: Place
    x: float
    y: float
    name: Name
    says: str


@dataclass(frozen=True)
class Shape:
    """A method's region as the points of a polygon, or of a line where it is none; its core; its name."""

    method: str
    title: str
    points: str
    core: str
    name: Name


@dataclass(frozen=True)
class Key:
    """A method in the legend."""

    method: str
    title: str
    x: float
    y: float


class _Scale:
    """Turns effort and speedup into places of the drawing."""

    def __init__(self, space: Space) -> None:
        corners = [corner for region in space.regions for corner in region.corners]
        corners += [(place.effort, place.speedup) for place in space.places]
        self.efforts = round_numbers([x for x, _ in corners])
        self.top = math.ceil(max(y for _, y in corners))
        self.low, self.high = math.log(self.efforts[0]), math.log(self.efforts[-1])

    def x(self, effort: float) -> float:
        share = (math.log(effort) - self.low) / (self.high - self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, speedup: float) -> float:
        return round(HEIGHT - BOTTOM - speedup / self.top * (HEIGHT - BOTTOM - TOP), 1)


def write_svg(document: MapDocument, path: Path) -> None:
    """Write the picture, whole or not at all. Raises `InputError` if that cannot be done."""
    write_whole(path, map_svg(document), "the picture", "give --svg FILE.svg")


def map_svg(document: MapDocument, id: str = "map") -> str:
    """Return the map as an SVG element; `id` begins the ids in it, for a page with several.

    Raises `InputError` if nothing has a place.
    """
    space = document.space
    if not space.places:
        raise InputError(f"nothing has a place on the map: {'; '.join(space.absent.values())[:200]}")
    scale = _Scale(space)
    titles: dict[str, str] = {method.id: method.title for method in catalog.methods()}
    shapes = _shapes(space, scale, titles)
    dots = _dots(document, scale, [shape.name.box for shape in shapes])
    return environment().get_template("map.svg").render(
        id=id, width=WIDTH, height=HEIGHT, left=LEFT, right=WIDTH - RIGHT, top=TOP, base=HEIGHT - BOTTOM,
        title=f"Scalability against effort on {space.cpus} processors", over=OVER[space.over],
        effort=EFFORT[space.axis], shapes=shapes, dots=dots, front=_front(space, scale, False),
        front_of_one=_front(space, scale, True),
        across=[Tick(f"{n:,.0f}", scale.y(n)) for n in range(0, scale.top + 1, max(1, scale.top // 8))],
        down=[Tick(f"{n:,.0f}", scale.x(n)) for n in scale.efforts], keys=_keys(shapes),
        description=_description(space, titles),
    )  # fmt: skip


FRAME = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
"""Left, upper, right and lower edge of the plot."""


def _shapes(space: Space, scale: _Scale, titles: Mapping[str, str]) -> list[Shape]:
    """Return the regions in the paper's order."""
    regions = sorted(space.regions, key=lambda region: [*titles].index(region.method))
    outlines = [[(scale.x(x), scale.y(y)) for x, y in region.corners] for region in regions]
    cores = [[(scale.x(x), scale.y(y)) for x, y in region.core] for region in regions]
    found = [(titles[region.method], core) for region, core in zip(regions, cores, strict=True)]
    points = [(scale.x(place.effort), scale.y(place.speedup)) for place in space.places]
    names = place_titles(found, points, FRAME)
    return [
        Shape(region.method, titles[region.method], _points(outline), _points(core), name)
        for region, outline, core, name in zip(regions, outlines, cores, names, strict=True)
    ]


def _points(corners: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def _dots(document: MapDocument, scale: _Scale, taken: Sequence[Box]) -> list[Dot]:
    places = ordered(document)
    points = [(place.name, scale.x(place.effort), scale.y(place.speedup)) for place in places]
    names = place_names(points, FRAME, taken)
    return [
        Dot(place, x, y, name, _says(place, document))
        for place, (_, x, y), name in zip(places, points, names, strict=True)
    ]


def _says(place: Place, document: MapDocument) -> str:
    item = next(each for each in document.tradeoff.items if each.name == place.name)
    counted = item.effort
    front = "; on the Pareto front" if place.on_front else ""
    front += "; on the front of one kernel" if place.on_front_of_one else ""
    divided = f" {place.kernels} kernels, over which processes are divided." if place.kernels > 1 else ""
    return (
        f"{place.name}: {item.title}. {counted.added_sites} sites, {counted.change.changed} lines changed, "
        f"{counted.new_lines} new.{divided} On {place.cpus} processors {place.speedup:.2f} times as fast in "
        f"the mean, {place.low:.2f} ({place.low_workload}) to {place.high:.2f} ({place.high_workload}){front}"
    )


def _front(space: Space, scale: _Scale, of_one: bool) -> str:
    """Return a Pareto front, which goes on to the right."""
    corners = [(scale.x(x), scale.y(y)) for x, y in staircase(space, of_one)]
    return _points([*corners, (WIDTH - RIGHT, corners[-1][1])]) if corners else ""


def _keys(shapes: Sequence[Shape]) -> list[Key]:
    many = int((WIDTH - LEFT) // KEY_WIDTH)
    return [
        Key(s.method, s.title, LEFT + KEY_WIDTH * (n % many), HEIGHT - BOTTOM + 52 + 18 * (n // many))
        for n, s in enumerate(shapes)
    ]


def _description(space: Space, titles: dict[str, str]) -> str:
    """Return the drawing in words: the extent of each region, and the Pareto front."""
    parts = []
    for region in space.regions:
        xs, ys = zip(*region.corners, strict=True)
        parts.append(
            f"{titles.get(region.method, region.method)}: {min(xs):,.0f} to {max(xs):,.0f} {space.axis}, "
            f"{min(ys):.2f} to {max(ys):.2f} times"
        )
    named = {
        "Pareto front": [p for p in space.places if p.on_front],
        "Front of what is one kernel": [p for p in space.places if p.on_front_of_one],
    }
    for name, places in named.items():
        told = (
            f"{p.name} ({p.effort:,.0f} {space.axis}, {p.speedup:.2f} times)"
            for p in sorted(places, key=_effort)
        )
        parts.append(f"{name}: {', '.join(told)}")
    return f"{'. '.join(parts)}."


def _effort(place: Place) -> float:
    return place.effort
