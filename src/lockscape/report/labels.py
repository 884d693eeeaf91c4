"""Names beside points of a drawing, so that they cover each other and the points as little as possible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CHARACTER, LINE = 6.1, 12.0
"""Width of a character and height of a line of small text, in units of the drawing (about pixels)."""

TITLE = 6.8
"""Width of a character of a title."""

NEAR, FAR = 8.0, 24.0
"""How far from its point a name begins; from the further one on a line leads to it."""

POINT = 5.0
"""Half the width of a point."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


@dataclass(frozen=True)
class Name:
    """A name and where it stands: its left end on the base line; `lead`: where a line to its point begins."""

    text: str
    x: float
    y: float
    lead: tuple[float, float] | None


def place_titles(
    titles: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    points: Sequence[tuple[float, float]],
    frame: Box,
) -> tuple[tuple[Name, ...], tuple[Box, ...]]:
    """Return a place for the title of each area, near one of its corners, and what all of them cover.

    They stay off `points`.
    """
    boxes = [_around(x, y) for x, y in points]
    names = []
    for text, corners in titles:
        options = [option for x, y in corners for option in _at_corner(text, x, y)]
        costs = [_cost(box, boxes, frame) for _, box in options]
        name, box = options[costs.index(min(costs))]
        names.append(name)
        boxes.append(box)
    return tuple(names), tuple(boxes[len(points) :])


def _around(x: float, y: float) -> Box:
    return (x - POINT, y - POINT, x + POINT, y + POINT)


def _at_corner(text: str, x: float, y: float) -> Iterator[tuple[Name, Box]]:
    """Yield places of a title around a corner of its area, above it first."""
    width = TITLE * len(text)
    for base in (y - 6, y + LINE + 2, y - 6 - LINE, y + 2 * LINE + 2):
        for left in (x - width / 2, x, x - width):
            yield (
                Name(text, round(left, 1), round(base, 1), None),
                (left, base - LINE + 2, left + width, base + 3),
            )


def place_names(
    points: Sequence[tuple[str, float, float]], frame: Box, taken: Sequence[Box] = ()
) -> tuple[Name, ...]:
    """Return a place for each (name, x, y), inside the frame where it can be, in the order of the points.

    Greedy: each name takes the place that costs least beside those that are there already, those with the
    most neighbours first. `taken` is covered already.
    """
    boxes = [*taken, *(_around(x, y) for _, x, y in points)]
    found: dict[int, Name] = {}
    for number in sorted(range(len(points)), key=lambda n: (-_neighbours(points, n), n)):
        text, x, y = points[number]
        options = list(_options(text, x, y))
        costs = [_cost(box, boxes, frame) + 2 * rank for rank, (_, box) in enumerate(options)]
        name, box = options[costs.index(min(costs))]
        found[number] = name
        boxes.append(box)
    return tuple(found[number] for number in range(len(points)))


def _neighbours(points: Sequence[tuple[str, float, float]], number: int) -> int:
    _, x, y = points[number]
    return sum(abs(x - a) < 60 and abs(y - b) < 30 for _, a, b in points)


def _options(text: str, x: float, y: float) -> Iterator[tuple[Name, Box]]:
    """Yield places of a name: right, left, above and below its point, then further off."""
    width = CHARACTER * len(text)
    for far in (NEAR, FAR, 2 * FAR, 3 * FAR):
        across = min(far, FAR)
        lefts = (x + across, x - across - width, x - width / 2)
        for left, rises in ((lefts[0], (0, -1, 1)), (lefts[1], (0, -1, 1)), (lefts[2], (-1, 1))):
            for rise in rises:
                if far > NEAR and rise == 0:
                    continue
                base = y + 4 + rise * far
                box = (left, base - LINE + 3, left + width, base + 3)
                lead = None
                if far > NEAR:
                    lead = (min(max(x, left), left + width), base + 3 if rise < 0 else base - LINE + 3)
                yield Name(text, round(left, 1), round(base, 1), lead), box


def _cost(box: Box, boxes: Sequence[Box], frame: Box) -> float:
    """Return how much of other things a box covers, and how much of it is outside."""
    covered = sum(_common(box, other) for other in boxes)
    outside = _area(box) - _common(box, frame)
    return covered + 10 * outside


def _common(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(down, 0.0)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
