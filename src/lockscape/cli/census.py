"""``lockscape census``."""

import gc
import sys
from typing import NamedTuple

import click

from lockscape.cli.options import form_of, jobs_option, output_options, progress_line
from lockscape.errors import InputError
from lockscape.report.census import By, Measured, census_document, census_tables, site_lines
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import Format, emit
from lockscape.report.table import Table, write_csv
from lockscape.report.text import printable
from lockscape.source.census import Census
from lockscape.source.census import census as take_census
from lockscape.source.open_tree import open_tree
from lockscape.source.profile import BUNDLED, Profile, detect_profile, load_profile
from lockscape.source.select import FileSet
from lockscape.source.tree import Tree
from lockscape.source.wrappers import Wrapper, census_with_wrappers


@click.command()
@click.argument("trees", nargs=-1, required=True, metavar="TREE...")
@click.option(
    "-p", "--profile", metavar="NAME|FILE.toml",
    help=f"What counts as a lock: {', '.join(BUNDLED)} or your own file. Default: by the tree's files.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(["kind", "dir", "file", "role", "wrapper"]), default="kind", show_default=True,
    help="What the rows are.",
)  # fmt: skip
@click.option(
    "--depth",
    type=click.IntRange(1, 99),
    default=1,
    show_default=True,
    help="Folders that --by dir tells apart.",
)
@click.option("--sites", is_flag=True, help="List every place: file:line:column kind role name.")
@click.option(
    "--wrappers", is_flag=True, help="Count uses of macros and inline functions that hide one lock operation."
)
@click.option(
    "--files",
    multiple=True,
    metavar="GLOB",
    help="Look at these files instead of the profile's; may be repeated.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these files out; may be repeated.")
@jobs_option
@output_options
def census(
    trees: tuple[str, ...], profile: str | None, by: By, depth: int, sites: bool, wrappers: bool,
    files: tuple[str, ...], exclude: tuple[str, ...], jobs: int | None, form: str | None = None,
) -> None:  # fmt: skip
    """Count the places that take and release locks, by kind and role (Table 2).

    A TREE is a source folder, a tar archive (.gz .xz .bz2 .zst), a git revision (REPO@REV), or the name of
    a release fetched before.

    \b
    lockscape census ~/src/linux                        lock operations by kind
    lockscape census linux-2.4.tar.xz --profile paper   counted as in the paper
    lockscape census . --by dir --files 'fs/**/*.c'     one subsystem, by folder
    lockscape census . --sites | grep acquire           every place, for an editor
    """
    watch = Stopwatch()
    opened = [open_tree(tree) for tree in trees]
    request = Request(
        profile, files, exclude, sites, wrappers or by == "wrapper", wrappers, form == "json", jobs
    )
    results = [_measure(tree, request) for tree in opened]
    style = {result.census.profile.id for result in results}
    if len(style) > 1 and by == "kind" and "paper" in style:
        raise InputError(
            "profile 'paper' counts lines and the others count calls: measure the trees one by one"
        )
    output = form_of(form)
    if sites and output != "json":
        _print_sites(results, output)
        return
    manifest = watch.manifest(tuple(result.census.tree for result in results))
    emit(census_document(results, by, depth, manifest), census_tables(results, by, depth), output, sys.stdout)


class Request(NamedTuple):
    """What is asked of every tree: the options of the command."""

    profile: str | None
    files: tuple[str, ...]
    exclude: tuple[str, ...]
    sites: bool
    find_wrappers: bool
    count_wrappers: bool
    identify: bool
    jobs: int | None


def _settle() -> None:
    """Load the lexer, and let the garbage collector forget what is there.

    The compiler's million objects live as long as this process and its workers; visiting them again and
    again costs a quarter of a census of Linux 6.1.
    """
    from lockscape.source.lexer import load_lexer

    load_lexer()
    gc.freeze()


def _measure(tree: Tree, request: Request) -> Measured:
    with progress_line(tree.origin, "loading the lexer (the first run compiles it)") as progress:
        _settle()

        def run(profile: Profile) -> tuple[Census, tuple[Wrapper, ...]]:
            own = profile.files
            select = FileSet(request.files or own.include, (*own.exclude, *request.exclude))
            if request.find_wrappers and profile.style == "tokens":
                return census_with_wrappers(
                    tree, profile, select=select, sites=request.sites, count=request.count_wrappers,
                    identify=request.identify, workers=request.jobs, progress=progress,
                )  # fmt: skip
            found = take_census(
                tree, profile, select=select, sites=request.sites, identify=request.identify,
                workers=request.jobs, progress=progress,
            )  # fmt: skip
            return found, ()

        found, wrappers = run(load_profile(request.profile or "linux"))
        if request.profile is None:
            better = detect_profile(file.path for file in found.files)
            if better not in (None, "linux"):  # told by the files' names, which are known only now
                found, wrappers = run(load_profile(better))
    return Measured(found, wrappers, request.sites)


def _print_sites(results: list[Measured], form: Format) -> None:
    rows = (
        (path, s.line, s.column, s.kind, s.role, s.name, s.place)
        for r in results
        for path, s in site_lines(r)
    )
    if form == "csv":
        columns = ("file", "line", "column", "kind", "role", "name", "place")
        write_csv(Table("", columns, tuple(rows)), sys.stdout)
        return
    for path, line, column, kind, role, name, place in rows:
        tail = "" if place == "code" else " (in #define)"
        sys.stdout.write(f"{printable(path)}:{line}:{column} {kind} {role} {name}{tail}\n")
    for result in results:
        for problem in result.census.problems:
            print(
                f"lockscape: not read: {printable(problem.path)}: {printable(problem.reason)}",
                file=sys.stderr,
            )
