"""The regions of the page about the map: made from the map that stands in docs/laboratory/map.json.

lockscape map --json > docs/laboratory/map.json
python docs/generate.py
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec
from markdown import markdown, table

from lockscape.report.map import MapDocument, about_map
from lockscape.report.map_svg import map_svg
from lockscape.report.map_tables import conclusions_rows, kernels_table, places_tables, summary

FOLDER = Path(__file__).parent / "laboratory"
PICTURE = FOLDER / "figure3.svg"

Region = Callable[[], Iterable[str]]


@cache
def recorded() -> MapDocument:
    """Return the map that the page is about."""
    return msgspec.json.decode((FOLDER / "map.json").read_bytes(), type=MapDocument)


def about() -> Iterator[str]:
    """Yield what was run."""
    for line in about_map(recorded()):
        yield from (line, "")


def places() -> Iterator[str]:
    """Yield what each port and system takes and gives."""
    for each in places_tables(recorded()):
        yield from markdown(each)


def kernels() -> Iterator[str]:
    """Yield what real kernels took."""
    yield from markdown(kernels_table(recorded()))


def conclusions() -> Iterator[str]:
    """Yield every statement with its words, its rule and what came of it."""
    yield from (summary(recorded()), "")
    rows = conclusions_rows(recorded())
    yield from table(("statement", "in the paper's words", "rule", "source", "verdict", "numbers"), rows, 6)


def draw() -> None:
    """Write the picture."""
    PICTURE.write_text(map_svg(recorded()), "utf-8")


def regions() -> Mapping[str, Region]:
    """Return the regions by name."""
    return {"map_about": about, "map_places": places, "map_kernels": kernels, "map_conclusions": conclusions}
