"""``lockscape boot``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockscape.cli.options import form_of, jobs_option, output_options, runs_progress
from lockscape.cli.values import Numbers, Size
from lockscape.report.manifest import Stopwatch

if TYPE_CHECKING:
    from lockscape.real.boot import Settings
    from lockscape.real.work import Asked


@click.command()
@click.argument("kernel", metavar="KERNEL")
@click.option("--modules", multiple=True, type=click.Path(exists=True, path_type=Path), metavar="DIR|FILE",
              help="The kernel's modules: a folder to take what is needed from, or .ko files, which are all "
                   "loaded.  [default: those beside the kernel]")  # fmt: skip
@click.option("--cpus", type=Numbers(), default=None, help="Numbers of processors.  [default: 1-8]")
@click.option("--workload", "workloads", multiple=True, default=("postmark",), show_default=True,
              type=click.Choice(["postmark", "one-directory", "one-file", "compute"]),
              help="What runs; several give a curve each.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 256), default=8, show_default=True, metavar="N",
              help="Processes that run side by side.")  # fmt: skip
@click.option("--transactions", type=click.IntRange(10, 1_000_000), default=None, metavar="N",
              help="Transactions of each process.  [default: 10000, as in the paper]")  # fmt: skip
@click.option("--number", type=click.IntRange(1, 250_000), default=None, metavar="N",
              help="PostMark's simultaneous files of each process.  [default: 1000]")  # fmt: skip
@click.option("--size", type=Size(), default=None, help="Sizes of files.  [default: 100]")
@click.option("--seed", type=click.IntRange(1, 2**31 - 1), default=None, metavar="N",
              help="PostMark's seed.  [default: 42]")  # fmt: skip
@click.option("--same-seed/--seed-each", default=True,
              help="The same seed for all processes, or the next one for each.  [default: same]")  # fmt: skip
@click.option("--libc", type=click.Choice(["2005", "modern"]), default="2005", show_default=True,
              help="The C library: a mapped buffer for every stream, or one from malloc.")  # fmt: skip
@click.option("--iterations", type=click.IntRange(1, 2**32 - 1), default=50_000_000, show_default=True,
              metavar="N", help="What each process of 'compute' computes.")  # fmt: skip
@click.option("--filesystem", "file_system", type=click.Choice(["ext2", "tmpfs"]), default="ext2",
              show_default=True,
              help="An ext2 with linear directories on a disk of memory, or a tmpfs.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N",
              help="Guests for each point.")  # fmt: skip
@click.option("--quantum", type=click.IntRange(512, 1_000_000), default=3000, show_default=True, metavar="N",
              help="Cycles that a processor may be ahead of another one.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, metavar="S",
              help="End a guest that has not got on for so long.")  # fmt: skip
@click.option("--append", default="", metavar="TEXT", help="Add this to the kernel's command line.")
@click.option("--update", is_flag=True, help="Look for a newer package of Debian's.")
@jobs_option
@output_options
def boot(
    kernel: str, modules: tuple[Path, ...], workloads: tuple[Any, ...], update: bool, form: str | None = None,
    **settings: Any,
) -> None:  # fmt: skip
    """Boot a real kernel on 1, 2, … simulated processors, and print how it scales.

    KERNEL is 'debian' (the newest cloud kernel, 64 bits) or 'debian-686' (32 bits), which are fetched with
    apt-get but not installed; or a bzImage, a folder with one, or a package linux-image-….deb. It runs in
    QEMU under a plugin that keeps all processors in step and counts their instructions: one is a cycle, so
    there are no caches and no disk. Drivers of ext2 (or ext4) and of RAM disks must be built in or modules.

    \b
    lockscape boot debian                                 8 processes of PostMark on 1 to 8 processors
    lockscape boot debian --workload postmark --workload compute
    lockscape boot debian --cpus 1 --processes 1          what each system call costs
    lockscape boot ./linux --modules ./modules --cpus 1,2,4 --repeat 3
    lockscape boot debian --json | lockscape laws -       the laws of the curve
    """
    from lockscape.real.boot import boot as run
    from lockscape.real.kernels import choose_kernel
    from lockscape.real.simulator.guest import GuestError
    from lockscape.real.work import work_of
    from lockscape.report.boot import boot_csv, boot_document, print_boot
    from lockscape.report.output import emit

    watch = Stopwatch()
    asked, chosen = _asked(settings), _settings(settings)
    works = [work_of(name, asked) for name in dict.fromkeys(workloads)]
    found = choose_kernel(kernel, modules, update)
    try:
        with runs_progress(len(works) * len(chosen.points), "guests") as progress:
            curves, simulator = run(found, works, chosen, progress)
    except GuestError as error:
        _print_console(error.console)
        raise
    document = boot_document(found, asked, chosen, curves, simulator, watch.manifest())
    if form is None:
        print_boot(document, sys.stdout)
    else:
        emit(document, (boot_csv(document),), form_of(form), sys.stdout)


def _asked(settings: dict[str, Any]) -> "Asked":
    """Return what is asked of the processes."""
    import msgspec

    from lockscape.real.work import Asked
    from lockscape.workloads.postmark import PAPER

    low, high = settings["size"] or (PAPER.size_low_bytes, PAPER.size_high_bytes)
    named = {"transactions": settings["transactions"], "seed": settings["seed"], "files": settings["number"]}
    named |= {"size_low_bytes": low, "size_high_bytes": high}
    options = msgspec.structs.replace(PAPER, **{k: value for k, value in named.items() if value is not None})
    return Asked(
        settings["processes"], options, "same" if settings["same_seed"] else "each", settings["libc"],
        settings["iterations"],
    )  # fmt: skip


def _settings(settings: dict[str, Any]) -> "Settings":
    """Return how the kernel is booted."""
    import os

    from lockscape.real.boot import Settings
    from lockscape.real.facts import check_host

    check_host()
    return Settings(
        settings["cpus"] or tuple(range(1, 9)), settings["processes"], settings["file_system"],
        settings["repeat"], settings["jobs"] or len(os.sched_getaffinity(0)), settings["quantum"],
        settings["timeout"], settings["append"],
    )  # fmt: skip


def _print_console(lines: tuple[str, ...]) -> None:
    """Print the last lines of a guest that failed, each quoted."""
    from lockscape.report.text import printable

    for line in lines:
        print(f"  | {printable(line)}", file=sys.stderr)
