"""``lockscape port``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lockscape.cli.options import form_of, jobs_option, output_options
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit

if TYPE_CHECKING:
    from lockscape.experiments.mutation import Progress


@click.command()
@click.argument("names", nargs=-1, metavar="[SYSTEM|METHOD|FILE.toml [FUNCTION]]")
@click.option("--effort", "efforts", is_flag=True,
              help="Count places and lines of the named ports, or of all.")  # fmt: skip
@click.option("--sources", is_flag=True, help="Say at each line which rule of the plan adds it, and why.")
@click.option("--mutants", "mutated", is_flag=True,
              help="Leave out each acquisition in turn; say how that was noticed (minutes).")  # fmt: skip
@jobs_option
@output_options
def port(
    names: tuple[str, ...], efforts: bool, sources: bool, mutated: bool, jobs: int | None,
    form: str | None = None,
) -> None:  # fmt: skip
    """Show what a port changes in the uniprocessor kernel: its functions, one of them, or the effort.

    \b
    lockscape port giant                       the functions that differ
    lockscape port fine dput                   one of them, before and after
    lockscape port linux-2.4 dput --sources    with the real kernel's place of each lock
    lockscape port --effort                    places and lines of all ports (Tables 2 and 3)
    lockscape port giant --mutants             what each lock is needed for
    """
    watch = Stopwatch()
    if mutated:
        if efforts or sources or len(names) != 1:
            raise click.UsageError("--mutants is about one system or method as a whole: name just that")
        _mutants(names[0], jobs, watch, form)
        return
    if efforts:
        if sources:
            raise click.UsageError(
                "--sources shows rules at the lines of a function: name one, without --effort"
            )
        _efforts(names, watch, form)
        return
    if not names or len(names) > 2:
        known = "" if names else "; `lockscape port --effort` lists all"
        raise click.UsageError(f"give one system or method, and a function of it or none{known}")
    _one(names[0], names[1] if len(names) == 2 else None, sources, watch, form)


def _efforts(names: tuple[str, ...], watch: Stopwatch, form: str | None) -> None:
    from lockscape.experiments.choose import choose_plan, expand
    from lockscape.ports.effort import both, effort
    from lockscape.ports.plan import plan_names
    from lockscape.ports.port import port as build
    from lockscape.report.port import effort_csv, effort_tables, port_document
    from lockscape.systems.load import UNIPROCESSOR

    chosen = expand(names) or [name for name in plan_names() if name != UNIPROCESSOR]
    found = [(name, effort(both(build(choose_plan(name))))) for name in chosen]
    document = port_document(found, watch.manifest())
    tables = (effort_csv(document),) if form == "csv" else effort_tables(document)
    emit(document, tables, form_of(form), sys.stdout)


def _one(name: str, function: str | None, sources: bool, watch: Stopwatch, form: str | None) -> None:
    from lockscape.experiments.choose import choose_plan
    from lockscape.ports.effort import both, compare, effort, function_change
    from lockscape.ports.port import port as build
    from lockscape.report.port import (
        functions_table,
        listing_csv,
        listing_record,
        port_document,
        print_listing,
    )  # fmt: skip

    plan = choose_plan(name)
    pair = both(build(plan))
    if function is None:
        if sources:
            raise click.UsageError(
                f"--sources shows rules at the lines of a function: `lockscape port {name} FUNCTION`"
            )
        document = port_document([(name, effort(pair))], watch.manifest())
        emit(document, (functions_table(document.ports[0]),), form_of(form), sys.stdout)
        return
    lines = compare(pair, function, sources)
    listing = listing_record(function, lines, function_change(lines), plan)
    if form is None:
        print_listing(name, listing, sys.stdout)
    else:
        emit(port_document([], watch.manifest(), listing), (listing_csv(listing),), form_of(form), sys.stdout)


def _mutants(name: str, jobs: int | None, watch: Stopwatch, form: str | None) -> None:
    from lockscape.errors import LockscapeError
    from lockscape.experiments.choose import choose_plan
    from lockscape.experiments.mutation import judge
    from lockscape.report.mutants import mutants_table, mutation_record, unexplained_message
    from lockscape.report.port import port_document

    plan = choose_plan(name)
    with _share_bar(f"mutants of {name}") as progress:
        record = mutation_record(name, plan.title, judge(plan, workers=jobs, progress=progress))
    document = port_document([], watch.manifest(), mutations=[record])
    emit(document, (mutants_table(record, form == "csv"),), form_of(form), sys.stdout)
    if record.unexplained:
        raise LockscapeError(unexplained_message(record))


@contextmanager
def _share_bar(what: str) -> "Iterator[Progress | None]":
    """Show the share that is done on stderr if it is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)
