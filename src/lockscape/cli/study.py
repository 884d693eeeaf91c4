"""``lockscape study``."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockscape.cli.options import (
    form_of,
    instead,
    jobs_option,
    kept_options,
    nothing,
    output_options,
    progress_line,
    runs_progress,
)
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit
from lockscape.report.text import printable

if TYPE_CHECKING:
    from lockscape.experiments.study import Studied
    from lockscape.report.bundled import Measurement
    from lockscape.report.study_runs import Size
    from lockscape.source.scan import TreeInfo

DEFAULT_PAGE = "lockscape-report.html"


@click.command()
@click.argument("trees", nargs=-1, metavar="[TREE...]")
@click.option(
    "-o", "--output", "page", default=DEFAULT_PAGE, show_default=True, metavar="FILE.html",
    callback=instead(nothing), help="Where the page is written; a file there is replaced.",
)  # fmt: skip
@click.option("--quick", "size", flag_value="quick",
              help="Run a small PostMark only: seconds. The page says what that weakens.")  # fmt: skip
@click.option("--recorded", "size", flag_value="recorded",
              help="Run nothing: all figures are those that come with lockscape.")  # fmt: skip
@click.option("--booted", "booted", multiple=True, metavar="FILE",
              help="A real kernel's curve in Figure 2: what 'lockscape boot --json' printed.")  # fmt: skip
@kept_options
@jobs_option
@output_options
def study(
    trees: tuple[str, ...], page: str | None, size: str | None, booted: tuple[str, ...], resume: str | None,
    fresh: bool, jobs: int | None, form: str | None = None,
) -> None:  # fmt: skip
    """Make the whole study again, and write it as a page: tables, figures, and statements, checked.

    Runs PostMark on all 22 systems on 1 to 8 processors (Figure 2) and what the map needs (Figure 3): some
    minutes, and seconds the next time, for finished runs are kept. Tables 2 and 3 of the study's four kernels
    come with lockscape, measured by it on the real source. With trees (a source folder, a tar archive,
    REPO@REV, the name of a fetched release) these are measured and stand beside them.

    \b
    lockscape study                                 everything, at the paper's size
    lockscape study --quick                         the same page in seconds, from small runs and records
    lockscape study ~/src/linux -o linux.html       your kernel beside Linux 2.0 to 2.6
    lockscape study --booted booted.json            a real kernel's curve in Figure 2
    """
    from lockscape.report.page import write_page
    from lockscape.report.study import study_document
    from lockscape.report.study_runs import read_booted
    from lockscape.report.study_tables import study_csv, study_tables

    watch = Stopwatch()
    target = None if page is None else _page_path(page)
    chosen: Size = size or "full"  # type: ignore[assignment]
    real = [curve for name in booted for curve in read_booted(name)]
    measured, infos = _measure(trees, jobs)
    studied = _run(chosen, resume, fresh, jobs)
    document = study_document(measured, watch.manifest(infos), chosen, studied, real)
    output = form_of(form)
    tables = (study_csv(document),) if output == "csv" else study_tables(document)
    try:  # whichever of the two fails (a full disk, a reader that left), the other is not lost
        emit(document, tables, output, sys.stdout)
        sys.stdout.flush()
    finally:
        if target is not None:
            write_page(document, target)
            print(f"report: {printable(str(page))}", file=sys.stderr)


def _run(size: "Size", resume: str | None, fresh: bool, jobs: int | None) -> "Studied | None":
    """Make the runs that a study of this size has."""
    if size == "recorded":
        return None
    from lockscape.experiments.store import default_folder
    from lockscape.experiments.study import FULL, QUICK, Making, study_runs

    folder = Path(resume) if resume is not None else default_folder()
    return study_runs(FULL if size == "full" else QUICK, Making(folder, jobs, fresh), runs_progress)


def _page_path(page: str) -> Path:
    """Return where to write; raises InputError, before anything is measured, for what would not do."""
    path = Path(page)
    if page in ("", "-"):
        raise InputError(f"the page is a file: {page!r} is none, give -o FILE.html")
    folder = path.parent
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            reason = "it is a folder"
        elif not folder.is_dir():
            reason = f"there is no folder {str(folder)!r}"
        elif not os.access(folder, os.W_OK):
            reason = f"the folder {str(folder)!r} is not yours to write in"
        elif mode is not None and not stat.S_ISREG(mode):
            reason = f"{page!r} is no regular file"
        elif mode is not None and not _is_page(path):
            reason = f"{page!r} is there and is no HTML page"
        else:
            return path
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    raise InputError(f"the page cannot be written to {page!r}: {reason}; give -o FILE.html")


def _mode(path: Path) -> int | None:
    """Return the mode of what is at `path`, or None if there is nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_page(path: Path) -> bool:
    """Return whether a file may be replaced by a page: it is one, or empty."""
    with path.open("rb") as file:
        start = file.read(100)
    return not start or start.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _measure(
    origins: tuple[str, ...], jobs: int | None
) -> tuple[list["Measurement"], tuple["TreeInfo", ...]]:
    if not origins:
        return [], ()
    from lockscape.report.bundled import bundled
    from lockscape.report.measure import measure
    from lockscape.source.open_tree import open_tree
    from lockscape.source.scan import TreeInfo

    opened = [open_tree(origin) for origin in origins]
    labels = [tree.label for tree in opened] + [each.label for each in bundled()]
    measured, infos = [], []
    for tree in opened:
        if labels.count(tree.label) > 1:  # only what the user wrote tells trees of one name apart
            tree.label = tree.origin
        with progress_line(tree.origin) as progress:
            found = measure(tree, workers=jobs, progress=progress)
        measured.append(found)
        infos.append(
            TreeInfo(
                tree.label, tree.origin, tree.kind, tree.commit, found.identity, len(found.files), found.bytes
            )
        )
    return measured, tuple(infos)
