"""The regions of the page about the map: made from the map that comes with lockscape.

lockscape map --seeds 3 --json > src/lockscape/experiments/recorded/map.json
python docs/generate.py
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from markdown import markdown, table

from lockscape.report.map import about_map
from lockscape.report.map_svg import map_svg
from lockscape.report.map_tables import conclusions_rows, kernels_table, places_tables, summary
from lockscape.report.records import recorded_map

FOLDER = Path(__file__).parent / "laboratory"
PICTURE = FOLDER / "figure3.svg"

Region = Callable[[], Iterable[str]]


def about() -> Iterator[str]:
    """Yield what was run."""
    for line in about_map(recorded_map()):
        yield from (line, "")


def places() -> Iterator[str]:
    """Yield what each port and system takes and gives."""
    for each in places_tables(recorded_map()):
        yield from markdown(each)


def kernels() -> Iterator[str]:
    """Yield what real kernels took."""
    yield from markdown(kernels_table(recorded_map()))


def conclusions() -> Iterator[str]:
    """Yield every statement with its words, its rule and what came of it."""
    yield from (summary(recorded_map()), "")
    rows = conclusions_rows(recorded_map())
    yield from table(("statement", "in the paper's words", "rule", "source", "verdict", "numbers"), rows, 6)


def draw() -> None:
    """Write the picture."""
    PICTURE.write_text(map_svg(recorded_map()), "utf-8")


def regions() -> Mapping[str, Region]:
    """Return the regions by name."""
    return {"map_about": about, "map_places": places, "map_kernels": kernels, "map_conclusions": conclusions}
