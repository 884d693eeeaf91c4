"""``lockscape host``."""

import sys
from pathlib import Path
from typing import Any

import click

from lockscape.cli.options import form_of, output_options, runs_progress
from lockscape.cli.values import Numbers, Size
from lockscape.report.manifest import Stopwatch

MOST_CPUS = 8
"""Processors up to which a curve goes if nothing is said, as the paper's."""


@click.command()
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...",
                type=click.Choice(["postmark", "one-directory", "one-file", "compute"]))  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 256), default=8, show_default=True, metavar="N",
              help="Processes that run side by side.")  # fmt: skip
@click.option("--cpus", type=Numbers(), default=None,
              help="Numbers of processors: the first so many that this program may use.  [default: 1-8, or "
                   "as many as there are]")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N",
              help="Runs of each point.")  # fmt: skip
@click.option("--transactions", type=click.IntRange(10, 1_000_000), default=None, metavar="N",
              help="Transactions of each process.  [default: 10000, as in the paper]")  # fmt: skip
@click.option("--number", type=click.IntRange(1, 250_000), default=None, metavar="N",
              help="PostMark's simultaneous files of each process.  [default: 1000]")  # fmt: skip
@click.option("--size", type=Size(), default=None, help="Sizes of files.  [default: 100]")
@click.option("--seed", type=click.IntRange(1, 2**31 - 1), default=None, metavar="N",
              help="PostMark's seed.  [default: 42]")  # fmt: skip
@click.option("--same-seed/--seed-each", default=True,
              help="The same seed for all processes, or the next one for each.  [default: same]")  # fmt: skip
@click.option("--iterations", type=click.IntRange(1, 2**32 - 1), default=200_000_000, show_default=True,
              metavar="N", help="What each process of 'compute' computes.")  # fmt: skip
@click.option("--directory", type=click.Path(path_type=Path), default=None, metavar="DIR",
              help="Make the runs' directory here.  "
                   "[default: /dev/shm if it is a tmpfs, else $TMPDIR]")  # fmt: skip
@click.option("--executor", type=click.Choice(["auto", "postmark", "native"]), default="auto",
              show_default=True,
              help="PostMark itself, our own worker, or PostMark if it is installed.")  # fmt: skip
@click.option("--overhead/--no-overhead", default=None,
              help="Compare our worker with PostMark.  "
                   "[default: if PostMark is installed and runs]")  # fmt: skip
@click.option("--locks/--no-locks", default=True,
              help="Ask perf what locks were waited for, in one run more.  [default: ask]")  # fmt: skip
@output_options
def host(
    workloads: tuple[str, ...], cpus: tuple[int, ...] | None, same_seed: bool, form: str | None = None,
    **settings: Any,
) -> None:  # fmt: skip
    """Run PostMark on this Linux host, on 1, 2, … of its processors, and print how it scales.

    Each process works in its own directory, all within one fresh directory, which is removed at the end. The
    other WORKLOADs are controls: 'compute' only computes, and scales with the processors; in 'one-directory'
    all processes work in one directory, in 'one-file' on one file, and hinder each other.

    \b
    lockscape host postmark                               8 processes on 1 to 8 processors
    lockscape host postmark one-directory compute         with controls beside it
    lockscape host postmark --directory /mnt/ext2         on a file system of your choice
    lockscape host postmark --json | lockscape laws -     the laws of the measured curve
    """
    from lockscape.real.host import measure
    from lockscape.report.host import host_csv, host_document, print_host
    from lockscape.report.output import emit

    watch = Stopwatch()
    request = _request(tuple(dict.fromkeys(workloads)), cpus, same_seed, settings)
    with runs_progress(request.runs) as progress:
        found = measure(request, progress)
    document = host_document(request, found, watch.manifest())
    for left in found.left_behind:
        print(f"lockscape: {left}: left by an earlier run that was killed; remove it", file=sys.stderr)
    if form is None:
        print_host(document, sys.stdout)
    else:
        emit(document, (host_csv(document),), form_of(form), sys.stdout)


def _request(
    workloads: tuple[Any, ...], cpus: tuple[int, ...] | None, same_seed: bool, settings: dict[str, Any]
) -> Any:
    """Return what the options ask for."""
    import os

    import msgspec

    from lockscape.real.facts import check_host
    from lockscape.real.host import Request
    from lockscape.workloads.postmark import PAPER

    check_host()
    low, high = settings.pop("size") or (PAPER.size_low_bytes, PAPER.size_high_bytes)
    asked = {name: settings.pop(name) for name in ("transactions", "seed")}
    asked |= {"files": settings.pop("number"), "size_low_bytes": low, "size_high_bytes": high}
    options = msgspec.structs.replace(PAPER, **{k: value for k, value in asked.items() if value is not None})
    usable = len(os.sched_getaffinity(0))
    numbers = cpus or tuple(range(1, min(usable, MOST_CPUS) + 1))
    return Request(workloads, numbers, postmark=options, seeding="same" if same_seed else "each", **settings)
