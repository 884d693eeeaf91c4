"""The path from one lock to many on the page, for each workload that it was walked with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockscape.report.line_chart import Frame, LineChart, Series, line_chart
from lockscape.report.simulate_tables import about_runs
from lockscape.report.study import StudyDocument
from lockscape.report.table import Table
from lockscape.report.unlock import UnlockDocument, data_table, linux_table, path_table

_TITLES = {"postmark": "PostMark", "mixed": "compiling"}


@dataclass(frozen=True)
class Path:
    """A path: the workload, what ran, its charts, and its tables."""

    label: str
    about: tuple[str, ...]
    steps: LineChart
    lines: LineChart
    tables: tuple[Table, ...]


def unlock_context(document: StudyDocument) -> dict[str, Any]:
    """Return what the template needs of the paths."""
    return {"paths": list(_paths(document))}


def _paths(document: StudyDocument) -> Iterator[Path]:
    for number, each in enumerate(document.unlocked):
        label = _TITLES[each.workload.name]
        yield Path(
            label, tuple(about_runs(each.workload, [each.machine], {})),
            _steps(each, f"path-steps-{number}", label), _lines(each, f"path-lines-{number}", label),
            (path_table(each), data_table(each), linux_table(each)),
        )  # fmt: skip


def _steps(path: UnlockDocument, id: str, label: str) -> LineChart:
    many = [(float(each.state.number), each.speedup) for each in path.steps]
    one = [(float(each.state.number), each.speedup_alone) for each in path.steps]
    end = [(0.0, path.speedup_fine), (many[-1][0], path.speedup_fine)]
    cpus = path.path.cpus
    series = [
        Series("many", f"on {cpus} processors", "fine", many, 0),
        Series("one", "on one processor", "giant", one, 1),
        Series("end", "all locks of their own", "booted", end, 2),
    ]
    title = (
        f"Unlocking {path.path.system} step by step, {label}: speedup over the giant lock on one processor"
    )
    return line_chart(id, title, series, Frame(x_title="steps", ideal=False, height=360.0))


def _lines(path: UnlockDocument, id: str, label: str) -> LineChart:
    work = [(0.0, 1.0), *((float(each.edited), each.speedup) for each in path.steps)]
    series = [Series("many", f"on {path.path.cpus} processors", "fine", work, 0)]
    title = f"The same over the lines that were edited by then, {label}"
    return line_chart(id, title, series, Frame(x_title="lines", ideal=False, height=320.0))
