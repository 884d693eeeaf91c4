"""Names beside points of a drawing, so that they cover neither each other nor the points."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIZE, TITLE_SIZE = 11.0, 11.5
"""Sizes of the text of names and of titles, in units of the drawing (about pixels)."""

ABOVE, BELOW = 10.5, 3.0
"""How far text reaches above and below its base line."""

BOLD = 1.13
"""How much wider the text of a title is."""

WIDTHS = dict.fromkeys("fijlrtI-. '", 0.42) | dict.fromkeys("mwMW@", 1.0)
"""Widths of characters at size 1 in DejaVu Sans, the widest font that a browser takes for this text; others
are as wide as `SMALL`, or, of large letters, `LARGE`."""

SMALL, LARGE = 0.64, 0.78
"""Widths at size 1 of all other characters: small letters and digits, and large letters."""

POINT = 6.0
"""Half the width of a point, with its outline."""

NEAR = 9.0
"""How far from its point a name stands that no line leads to."""

RINGS = tuple(range(16, 200, 12))
"""How far away names stand that a line leads to."""

DIRECTIONS = 16
"""Ways to go from a point."""

ROUNDS = 8
"""How often names look for a better place at most."""

TRIES = 20
"""How often all names are placed anew at most, where some cover something."""

OVERLAP, CROSSING = 1000.0, 60.0
"""What a covered square unit, and a line across something, cost; a unit of distance costs 1."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

Line = tuple[float, float, float, float]
"""x and y of the beginning, x and y of the end."""


@dataclass(frozen=True)
class Name:
    """A name and where it stands: its left end on the base line, and what it covers; `lead`: where the line
    to its point begins."""

    text: str
    x: float
    y: float
    box: Box
    lead: tuple[float, float] | None = None


def width(text: str, size: float = SIZE) -> float:
    """Return how wide text is at most."""
    return size * sum(WIDTHS.get(each, LARGE if each.isupper() else SMALL) for each in text)


def common(one: Box, other: Box) -> float:
    """Return the area that two boxes have in common."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(down, 0.0)


def place_titles(
    titles: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    points: Sequence[tuple[float, float]],
    frame: Box,
) -> tuple[Name, ...]:
    """Return a place for the title of each area, near one of its corners, off `points` and other titles."""
    boxes = [_around(x, y) for x, y in points]
    names = []
    for text, corners in titles:
        options = [option for x, y in corners for option in _at_corner(text, x, y)]
        name = min(options, key=lambda option: _covered(option.box, boxes, frame))
        names.append(name)
        boxes.append(name.box)
    return tuple(names)


def _at_corner(text: str, x: float, y: float) -> Iterator[Name]:
    """Yield places of a title around a corner of its area, above it first."""
    wide, line = BOLD * width(text, TITLE_SIZE), ABOVE + BELOW
    for lines in range(3):
        for base in (y - 6 - lines * line, y + (lines + 1) * line):
            for share in (0.5, 0.0, 1.0, 0.25, 0.75):
                yield _name(text, x - share * wide, base, wide)


def place_names(
    points: Sequence[tuple[str, float, float]], frame: Box, taken: Sequence[Box] = ()
) -> tuple[Name, ...]:
    """Return a place for each (name, x, y), inside the frame where it can be, in the order of the points.

    Those with the most neighbours are placed first; if some names still cover something or stand outside, all
    are placed again with those first (squeaky wheel optimization: Joslin and Clements, JAIR 10, 1999), at
    most `TRIES` times. Of all these the one counts in which least is covered. `taken` is covered already.
    """
    fixed = [*taken, *(_around(x, y) for _, x, y in points)]
    order = sorted(range(len(points)), key=lambda n: (-_neighbours(points, n), n))
    best, least = [], math.inf
    for _ in range(TRIES):
        names = _settled(points, order, fixed, frame)
        covers = [
            _covered(name.box, [*fixed, *(other.box for other in names if other is not name)], frame)
            for name in names
        ]
        if sum(covers) < least:
            best, least = names, sum(covers)
        again = sorted(order, key=lambda n: -covers[n])
        if least == 0 or again == order:
            break
        order = again
    return tuple(best)


def _settled(
    points: Sequence[tuple[str, float, float]], order: Sequence[int], fixed: Sequence[Box], frame: Box
) -> list[Name]:
    """Return a place for each name: that which costs least beside those that are there already, in an order;
    then each takes the best place beside all others again, until none moves (`ROUNDS` at most)."""
    found: dict[int, Name] = {}
    for _ in range(ROUNDS):
        before = dict(found)
        for number in order:
            text, x, y = points[number]
            others = {n: name for n, name in found.items() if n != number}
            boxes = [*fixed, *(name.box for name in others.values())]
            leads = [(*points[n][1:], *name.lead) for n, name in others.items() if name.lead]
            found[number] = _cheapest(text, x, y, boxes, leads, frame)
        if found == before:
            break
    return [found[number] for number in range(len(points))]


def _neighbours(points: Sequence[tuple[str, float, float]], number: int) -> int:
    _, x, y = points[number]
    return sum(abs(x - a) < 60 and abs(y - b) < 30 for _, a, b in points)


def _cheapest(text: str, x: float, y: float, boxes: Sequence[Box], leads: Sequence[Line], frame: Box) -> Name:
    """Return the place of a name that costs least; those near its point are looked at first."""
    best, least = None, math.inf
    others = [box for box in boxes if not _inside(x, y, box)]  # a line begins in its own point
    for far, name in _options(text, x, y):
        if far >= least:
            break
        cost = far + OVERLAP * _covered(name.box, boxes, frame)
        if cost >= least:
            continue
        crossed = sum(crosses(line, name.box) for line in leads)
        if name.lead:
            crossed += _crossed((x, y, *name.lead), others)
        cost += CROSSING * crossed
        if cost < least:
            best, least = name, cost
    assert best is not None
    return best


def _options(text: str, x: float, y: float) -> Iterator[tuple[float, Name]]:
    """Yield places of a name and how far off they are: right, left, below and above, then further."""
    wide = width(text)
    for rank, turn in enumerate((0, 8, 12, 4, 14, 2, 10, 6)):
        yield NEAR + rank / 2, _towards(text, x, y, NEAR, turn, wide)
    for far in RINGS:
        for turn in range(DIRECTIONS):
            name = _towards(text, x, y, far, turn, wide)
            left, top, right, bottom = name.box
            lead = (min(max(x, left), right), min(max(y, top), bottom))
            yield far, Name(text, name.x, name.y, name.box, lead)


def _towards(text: str, x: float, y: float, far: float, turn: int, wide: float) -> Name:
    """Return a name so far from its point in a direction: 0 to the right, then clockwise."""
    across, down = (round(part(2 * math.pi * turn / DIRECTIONS), 9) for part in (math.cos, math.sin))
    left = x + far * across - wide * (1 - (across > 0) + (across < 0)) / 2
    middle = (ABOVE - BELOW) / 2
    base = y + far * down + middle + (ABOVE + BELOW) / 2 * ((down > 0) - (down < 0))
    return _name(text, left, base, wide)


def _name(text: str, left: float, base: float, wide: float) -> Name:
    left, base = round(left, 1), round(base, 1)  # where it is drawn
    return Name(text, left, base, (left, base - ABOVE, left + wide, base + BELOW))


def _around(x: float, y: float) -> Box:
    return (x - POINT, y - POINT, x + POINT, y + POINT)


def _inside(x: float, y: float, box: Box) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _covered(box: Box, boxes: Sequence[Box], frame: Box) -> float:
    """Return how much of other things a box covers, and ten times how much of it is outside."""
    outside = (box[2] - box[0]) * (box[3] - box[1]) - common(box, frame)
    return sum(common(box, other) for other in _near(box, boxes)) + 10 * outside


def _near(box: Box, boxes: Sequence[Box]) -> list[Box]:
    """Return those that have something in common with a box."""
    left, top, right, bottom = box
    return [b for b in boxes if b[0] <= right and b[2] >= left and b[1] <= bottom and b[3] >= top]


def _crossed(line: Line, boxes: Sequence[Box]) -> int:
    """Return how many boxes a line goes through."""
    x, y, to_x, to_y = line
    around = (min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))
    return sum(crosses(line, box) for box in _near(around, boxes))


def crosses(line: Line, box: Box) -> bool:
    """Say whether a line goes through a box (clipped as Liang and Barsky do, 1984)."""
    x, y, to_x, to_y = line
    first, last = 0.0, 1.0
    for start, step, low, high in ((x, to_x - x, box[0], box[2]), (y, to_y - y, box[1], box[3])):
        if step == 0:
            if not low < start < high:
                return False
            continue
        one, other = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, one), min(last, other)
    return first < last
