"""``lockscape systems`` and ``lockscape methods``."""

import sys

import click

from lockscape import catalog
from lockscape.cli.options import form_of, output_options
from lockscape.experiments.installed import installed
from lockscape.report.catalog import (
    methods_csv,
    methods_document,
    print_installed,
    print_method,
    print_methods,
    print_system,
    systems_csv,
    systems_document,
    table1,
)
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit
from lockscape.report.text import printable


class ShowGroup(click.Group):
    """A command that lists, with ``show ID`` for one entry."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; for anything else say how to ask for one entry."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}: for one entry write 'show ID'", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=ShowGroup, invoke_without_command=True)
@click.option("--method", metavar="ID", help="Only systems of this method, such as fine.")
@click.option("--scalability", metavar="LEVEL", help="Only systems of this scalability, such as high.")
@click.option("--latency", metavar="LEVEL", help="Only systems of this latency, such as low.")
@output_options
@click.pass_context
def systems(
    ctx: click.Context, method: str | None, scalability: str | None, latency: str | None,
    form: str | None = None,
) -> None:  # fmt: skip
    """Show the 22 multiprocessor operating systems of Table 1 as printed, with notes at its cells.

    \b
    lockscape systems --scalability high        those that scale well
    lockscape systems show linux-2.4            everything known of one
    """
    filters = {"method": method, "scalability": scalability, "latency": latency}
    if ctx.invoked_subcommand is not None:
        given = [f"--{name}" for name, value in filters.items() if value is not None]
        if given or form:
            raise click.UsageError(f"{given[0] if given else f'--{form}'} goes after 'show ID' or without it")
        return
    found = catalog.systems(**filters)
    output = form_of(form)
    table = systems_csv(found) if output == "csv" else table1(found)
    emit(systems_document(found, Stopwatch().manifest()), (table,), output, sys.stdout)


@systems.command("show")
@click.argument("id", metavar="ID", nargs=-1, required=True)
@output_options
def show_system(id: tuple[str, ...], form: str | None = None) -> None:
    """Show everything known of one system, each with its source, and how it runs here.

    ID may be a variant: mac-os-x@10.4.
    """
    from lockscape.report.model import print_model, system_document
    from lockscape.systems.load import load_system

    name, at, variant = "-".join(" ".join(id).split()).partition("@")
    system = catalog.system(name)
    document = system_document(system, load_system(system.id + at + variant), Stopwatch().manifest())
    output = form_of(form)
    if output == "table":
        print_system(system, sys.stdout)
        print_model(document.model, sys.stdout)
        return
    emit(document, (systems_csv([system]),), output, sys.stdout)


@click.group(cls=ShowGroup, invoke_without_command=True)
@output_options
@click.pass_context
def methods(ctx: click.Context, form: str | None = None) -> None:
    """Show the seven ways to make a kernel multiprocessor, and those that installed packages bring.

    \b
    lockscape methods show coarse               one of them, with its kinds and systems
    """
    if ctx.invoked_subcommand is not None:
        if form:
            raise click.UsageError(f"--{form} goes after 'show ID' or without it")
        return
    watch = Stopwatch()
    found, output = catalog.methods(), form_of(form)
    brought, unusable = installed()
    for each in unusable:
        print(f"lockscape: package {printable(f'{each.package}: {each.reason}')}", file=sys.stderr)
    if output == "table":
        print_methods(found, brought, sys.stdout)
        return
    document = methods_document(found, watch.manifest(), brought, unusable)
    emit(document, (methods_csv(found, brought),), output, sys.stdout)


@methods.command("show")
@click.argument("id", metavar="ID")
@output_options
def show_method(id: str, form: str | None = None) -> None:
    """Show one method: what it is, what it costs and gains, its kinds and its systems."""
    watch, output = Stopwatch(), form_of(form)
    brought = [each for each in installed()[0] if each.name == id]
    found = [] if brought else [catalog.method(id)]
    if output != "table":
        document = methods_document(found, watch.manifest(), brought)
        emit(document, (methods_csv(found, brought),), output, sys.stdout)
    elif brought:
        print_installed(brought[0], sys.stdout)
    else:
        print_method(found[0], sys.stdout)
