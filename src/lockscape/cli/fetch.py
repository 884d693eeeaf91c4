"""``lockscape fetch``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from lockscape.cli.options import form_of, output_options
from lockscape.report.fetch import fetch_document, fetch_table
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit
from lockscape.source.fetch import DEFAULT_BASE, Progress
from lockscape.source.fetch import fetch as fetch_release


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--base", default=DEFAULT_BASE, show_default=True, envvar="LOCKSCAPE_BASE", metavar="URL",
    help="Where releases lie, laid out as on kernel.org.",
)  # fmt: skip
@output_options
def fetch(names: tuple[str, ...], base: str, form: str | None = None) -> None:
    """Download kernel releases, check their SHA-256 and keep them in the cache.

    NAME is a release such as linux-2.6.11.7. A fetched release is a TREE of the other commands by its name.
    The checksum is the one that the server publishes beside the archives; its signature is not checked.

    \b
    lockscape fetch linux-2.4.30 linux-2.6.11.7
    lockscape census linux-2.4.30 linux-2.6.11.7 --profile paper
    """
    watch = Stopwatch()
    done = []
    for name in names:
        with _progress(name) as progress:
            done.append(fetch_release(name, base=base, progress=progress))
    emit(fetch_document(done, watch.manifest()), (fetch_table(done),), form_of(form), sys.stdout)


@contextmanager
def _progress(name: str) -> Iterator[Progress | None]:
    """Show bytes, speed and time left on stderr if it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda got, total: bar.update(task, completed=got, total=total)
