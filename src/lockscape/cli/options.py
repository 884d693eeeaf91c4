"""Options that several commands share, and progress on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from lockscape.report.output import Format
from lockscape.report.text import printable

if TYPE_CHECKING:  # numpy behind it would be most of the start of commands that read no tree
    from lockscape.experiments.curve import Progress as RunsProgress
    from lockscape.source.scan import Progress

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Again:
    """The object of the root context while a recorded command is made again: then nothing of the user's is
    written, and options that say how a result is made are those of who asks.

    `folder` is a new and empty one; `left_out` gathers the options that were given and not followed.
    """

    folder: Path
    jobs: int | None
    left_out: list[str] = field(default_factory=list)


def instead(value: Callable[[Again], Any], told: bool = True) -> Callable[..., Any]:
    """Return the callback of an option that is not followed while a command is made again, see `Again`."""

    def choose(ctx: click.Context, param: click.Parameter, given: Any) -> Any:
        again = ctx.find_object(Again)
        if again is None:
            return given
        if told and ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            again.left_out.append(f"{max(param.opts, key=len)} {given}")
        return value(again)

    return choose


def nothing(again: Again) -> None:
    """Stand for an option that is left out."""


def output_options(command: F) -> F:
    """Add ``--json`` and ``--csv``; the command gets `form`."""

    def choose(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
        if value:
            if ctx.params.get("form") not in (None, param.name):
                raise click.UsageError("--json and --csv exclude each other: give one")
            ctx.params["form"] = param.name
        return value

    command = click.option(
        "--csv", "csv", is_flag=True, expose_value=False, callback=choose, help="Print the main table as CSV."
    )(command)
    return click.option(
        "--json", "json", is_flag=True, expose_value=False, callback=choose,
        help="Print the whole result as JSON.",
    )(command)  # fmt: skip


def jobs_option(command: F) -> F:
    """Add ``--jobs``, the number of cores to use; the command gets `jobs`."""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=None,
        metavar="N",
        callback=instead(lambda again: again.jobs, told=False),
        help="Use N cores (default: all).",
    )(command)


def kept_options(command: F) -> F:
    """Add ``--resume`` and ``--fresh``, which say what of earlier runs is taken; the command gets both."""
    command = click.option("--fresh", is_flag=True, help="Make every run again, whatever is kept.")(command)
    return click.option(
        "--resume", default=None, metavar="FOLDER", callback=instead(lambda again: str(again.folder)),
        help="Where finished runs are kept and taken from.  [default: the user's cache]",
    )(command)  # fmt: skip


def form_of(form: str | None) -> Format:
    """Return the output format that the options chose."""
    return form or "table"  # type: ignore[return-value]


@contextmanager
def progress_line(what: str, starting: str = "starting") -> "Iterator[Progress | None]":
    """Show files and megabytes on stderr while a tree is read, if stderr is a terminal; else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(starting, total=None, what=printable(what))
        yield lambda files, size: bar.update(task, description=f"{files:,} files, {size / 1e6:,.0f} MB")


@contextmanager
def runs_progress(runs: int, what: str = "runs") -> "Iterator[RunsProgress | None]":
    """Show finished runs (or `what` else there is) and the time left on stderr if it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
               TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"0 of {runs} {what}", total=1.0)
        yield lambda share, done: bar.update(task, completed=share, description=f"{done} of {runs} {what}")
