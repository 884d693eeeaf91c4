"""``lockscape footprint``."""

import sys
from typing import NamedTuple

import click

from lockscape.cli.options import form_of, jobs_option, output_options, progress_line
from lockscape.errors import InputError, TreeError
from lockscape.report.footprint import By, Measured, footprint_document, footprint_tables
from lockscape.report.manifest import Stopwatch
from lockscape.report.output import emit
from lockscape.source.family import family_of
from lockscape.source.footprint import Method
from lockscape.source.footprint import footprint as take_footprint
from lockscape.source.open_tree import open_tree
from lockscape.source.profile import BUNDLED, Profile, load_profile
from lockscape.source.scan import Progress
from lockscape.source.select import FileSet
from lockscape.source.tree import Tree


@click.command()
@click.argument("trees", nargs=-1, required=True, metavar="TREE...")
@click.option(
    "-D", "--define", multiple=True, metavar="M[=V]",
    help="A macro of the build looked at; may be repeated. Default: the profile's, such as CONFIG_SMP.",
)  # fmt: skip
@click.option(
    "--against", multiple=True, metavar="M[=V]",
    help="A macro of the build compared with; may be repeated. Default: the profile's, mostly none.",
)  # fmt: skip
@click.option("--by", type=click.Choice(["all", "file"]), default="all", show_default=True,
              help="Sums only, or each file that differs.")  # fmt: skip
@click.option("--with-cpp", is_flag=True, help="Count also with the study's pipeline: cpp, indent and diff.")
@click.option(
    "-p", "--profile", metavar="NAME|FILE.toml",
    help=f"Whose files and macros: {', '.join(BUNDLED)} or your own file. Default: by the tree's files.",
)  # fmt: skip
@click.option("--files", multiple=True, metavar="GLOB",
              help="Look at these files instead of the profile's; may be repeated.")  # fmt: skip
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these files out; may be repeated.")
@jobs_option
@output_options
def footprint(
    trees: tuple[str, ...], define: tuple[str, ...], against: tuple[str, ...], by: By, with_cpp: bool,
    profile: str | None, files: tuple[str, ...], exclude: tuple[str, ...], jobs: int | None,
    form: str | None = None,
) -> None:  # fmt: skip
    """Count the lines that differ between two builds of a kernel (Table 3).

    A TREE is a source folder, a tar archive (.gz .xz .bz2 .zst), a git revision (REPO@REV), or the name of
    a release fetched before.

    \b
    lockscape footprint ~/src/linux                          multiprocessor support
    lockscape footprint . --by file                          which files carry it
    lockscape footprint . -D CONFIG_PREEMPT --files 'kernel/**/*.[chS]'
    lockscape footprint mach -D NCPUS=4 --against NCPUS=1
    """
    watch = Stopwatch()
    request = Request(profile, define, against, files, exclude, with_cpp, jobs)
    results = [_measure(tree, request) for tree in trees]
    manifest = watch.manifest(tuple(result.footprints[0].tree for result in results))
    document = footprint_document(results, by, manifest)
    emit(document, footprint_tables(results, by), form_of(form), sys.stdout)


class Request(NamedTuple):
    """What is asked of every tree: the options of the command."""

    profile: str | None
    define: tuple[str, ...]
    against: tuple[str, ...]
    files: tuple[str, ...]
    exclude: tuple[str, ...]
    with_cpp: bool
    jobs: int | None


def _measure(origin: str, request: Request) -> Measured:
    tree = open_tree(origin)
    with progress_line(origin) as progress:
        if request.profile is not None:
            return _run(tree, load_profile(request.profile), request, progress)
        if request.files:
            return _run(tree, load_profile(family_of(tree) or "linux"), request, progress)
        try:
            return _run(tree, load_profile("linux"), request, progress)
        except TreeError:  # it has none of Linux's files: perhaps it is of another family
            family = family_of(tree)
            if family in (None, "linux"):
                raise
            return _run(tree, load_profile(str(family)), request, progress)


def _run(tree: Tree, profile: Profile, request: Request, progress: Progress | None) -> Measured:
    own = profile.footprint
    if own is None and not (request.files and request.define):
        raise InputError(
            f"profile {profile.id!r} has no [footprint]: give --files and --define, or another profile"
        )
    include = request.files or (own.include if own else ())
    select = FileSet(include, (*(own.exclude if own else ()), *request.exclude))
    with_ = macros(request.define or (own.define if own else ()))
    without = macros(request.against or (own.against if own and not request.define else ()))
    methods: tuple[Method, ...] = ("evaluate", "cpp") if request.with_cpp else ("evaluate",)
    found = tuple(
        take_footprint(
            tree, select=select, defines=with_, against=without, method=method, workers=request.jobs,
            progress=progress,
        )
        for method in methods
    )  # fmt: skip
    return Measured(select, found)


def macros(options: tuple[str, ...]) -> dict[str, str]:
    """Return macros as name to body: ``CONFIG_SMP`` is 1, as with the C compiler's ``-D``."""
    pairs = (option.partition("=") for option in options)
    return {name: value if equals else "1" for name, equals, value in pairs}
