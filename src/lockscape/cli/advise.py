"""``lockscape advise``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lockscape.cli.options import (
    form_of,
    jobs_option,
    kept_options,
    output_options,
    progress_line,
    runs_progress,
)
from lockscape.errors import InputError
from lockscape.report.manifest import Stopwatch

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that end early
    from lockscape.experiments.advise import Advice
    from lockscape.experiments.advise_kernel import Given, Kernel
    from lockscape.experiments.advise_record import Record
    from lockscape.report.advise_tree import TreeFacts


@click.command()
@click.argument("tree", required=False, metavar="[TREE]")
@click.option("--cpus", type=int, default=8, show_default=True, metavar="N",
              help="Target: so many processors.")  # fmt: skip
@click.option("--kernel-share", type=float, default=None, metavar="PERCENT",
              help="Share of the busy time that the kernel has today, on one processor.")  # fmt: skip
@click.option("--profile", default=None, metavar="FILE|fs=40,…",
              help="Where the kernel's time goes: perf report --stdio, strace -c, TOML, or percentages of "
                   "fs, mm, process, net, ipc, entry and other; user=N makes them of all time.")  # fmt: skip
@click.option("--workload", default=None, metavar="NAME",
              help="The workload of lockscape's that is like yours: see 'lockscape workloads'.")  # fmt: skip
@click.option("--kernel-lines", type=int, default=None, metavar="N",
              help="Lines of the kernel that a port would work on.")  # fmt: skip
@click.option("--preemptible/--not-preemptible", default=None,
              help="Whether the kernel can be preempted.  [default: not known]")  # fmt: skip
@click.option("--hardware", default=None, metavar="NAME,…",
              help="What there is of cas, cas2 (double compare-and-swap) and virtualization; 'none' for "
                   "nothing.  [default: not known]")  # fmt: skip
@click.option("--shared-memory", is_flag=True,
              help="Applications share memory across processors.")  # fmt: skip
@click.option("--fault-containment", "containment", is_flag=True,
              help="A fault must not take everything down.")  # fmt: skip
@click.option("--effort-lines", "most_lines", type=int, default=None, metavar="N",
              help="So many lines can be written or changed at most.")  # fmt: skip
@click.option("--effort-sites", "most_sites", type=int, default=None, metavar="N",
              help="So many places of locks at most.")  # fmt: skip
@click.option("--method", "methods", multiple=True, metavar="NAME",
              help="Consider only this method; may be repeated.")  # fmt: skip
@click.option("--no-locks", is_flag=True, help="Do not run the nearest port to find the next locks.")
@click.option("--details", is_flag=True, help="With what the paper says of each method.")
@kept_options
@jobs_option
@output_options
def advise(tree: str | None, form: str | None = None, **settings: Any) -> None:
    """Rank the ways to make your kernel multiprocessor: speedup, effort, reasons and exclusions.

    All inputs are optional; the more is known, the narrower the intervals. Predictions come from simulated
    ports of one kernel, recorded for 2, 4 and 8 processors, and run where something else is asked for. A TREE
    is a source folder, a tar archive, a git revision (REPO@REV), or the name of a release fetched before.

    \b
    lockscape advise ~/src/linux                         the size and the locks of a kernel
    lockscape advise                                     what holds for any kernel
    lockscape advise --kernel-share 60 --shared-memory   kernel-bound, with shared memory
    lockscape advise --profile perf.txt --cpus 4         perf report --stdio > perf.txt
    lockscape advise --fault-containment --method virtualization
    """
    from lockscape.report.advise import advice_for, advise_document, print_advice, ways_csv
    from lockscape.report.output import emit

    watch = Stopwatch()
    facts = _tree(tree, settings["jobs"])
    kernel = _kernel(settings, facts)
    record, recorded = _record(kernel, settings)
    found = advice_for(kernel, record)
    locks = None if settings["no_locks"] else _locks(found, record, facts, settings)
    document = advise_document(found, record, recorded, watch.manifest(), locks, facts)
    if form is None:
        print_advice(document, sys.stdout, settings["details"])
    else:
        emit(document, (ways_csv(document),), form_of(form), sys.stdout)


def _tree(name: str | None, jobs: int | None) -> "TreeFacts | None":
    from lockscape.report.advise_tree import tree_facts
    from lockscape.source.open_tree import open_tree

    if name is None:
        return None
    with progress_line(name) as progress:
        return tree_facts(open_tree(name), jobs, progress)


def _locks(found: "Advice", record: "Record", facts: "TreeFacts | None", settings: dict[str, Any]) -> Any:
    """Run the nearest port and return its next locks, None if no method with locks is left."""
    from lockscape.experiments.advise_locks import nearest_port, next_locks
    from lockscape.report.advise_tree import nearest_system

    chosen = nearest_port(found, nearest_system(facts))
    if chosen is None:
        return None
    return next_locks(*chosen, found, record, _folder(settings), settings["fresh"])


def _folder(settings: dict[str, Any]) -> Path:
    from lockscape.experiments.store import default_folder

    return Path(settings["resume"]) if settings["resume"] is not None else default_folder()


def _kernel(settings: dict[str, Any], facts: "TreeFacts | None") -> "Kernel":
    from lockscape.experiments.advise_kernel import Kernel, check
    from lockscape.experiments.advise_profile import read_profile
    from lockscape.report.advise import given_profile
    from lockscape.report.advise_tree import given_tree

    lines = settings["kernel_lines"]
    if facts is not None and facts.lines is not None:
        if lines is not None:
            raise InputError(
                f"--kernel-lines {lines:,}, but the tree has {facts.lines:,} lines: drop one of them"
            )
        lines = facts.lines
    share = settings["kernel_share"]
    read = read_profile(settings["profile"]) if settings["profile"] is not None else None
    kernel = Kernel(
        cpus=settings["cpus"], lines=lines, sites=facts.sites if facts is not None else None,
        kernel_share=None if share is None else share / 100,
        profile=None if read is None else read.profile, workload=settings["workload"],
        preemptible=settings["preemptible"], hardware=_hardware(settings["hardware"]),
        shared_memory=settings["shared_memory"], containment=settings["containment"],
        most_lines=settings["most_lines"], most_sites=settings["most_sites"], methods=settings["methods"],
        given=(*_given(settings), *given_tree(facts), *given_profile(read, settings["profile"])),
    )  # fmt: skip
    check(kernel)
    return kernel


def _hardware(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    names = frozenset(part.strip().casefold() for part in text.split(",") if part.strip())
    if not names:
        raise InputError(f"--hardware {text!r}: name what there is, or 'none'")
    if "none" in names and len(names) > 1:
        raise InputError(f"--hardware {text!r}: 'none' and something: give one of them")
    return names - {"none"}


OPTIONS = {
    "cpus": "--cpus", "kernel_share": "--kernel-share", "workload": "--workload",
    "kernel_lines": "--kernel-lines", "preemptible": "--preemptible", "hardware": "--hardware",
    "shared_memory": "--shared-memory", "containment": "--fault-containment", "most_lines": "--effort-lines",
    "most_sites": "--effort-sites", "methods": "--method",
}  # fmt: skip
"""Options that say something of the kernel, by setting."""

WHAT = {
    "cpus": "target processors", "kernel_share": "kernel's share of the time, %", "workload": "workload",
    "kernel_lines": "lines of the kernel", "preemptible": "preemptible", "hardware": "hardware",
    "shared_memory": "shared memory across processors", "containment": "fault containment",
    "most_lines": "lines available", "most_sites": "sites available", "methods": "methods considered",
}  # fmt: skip


def _given(settings: dict[str, Any]) -> "list[Given]":
    """Return what the options say of the kernel, and which of them."""
    from lockscape.experiments.advise_kernel import Given

    source = click.get_current_context().get_parameter_source("cpus")
    stated = {name: settings[name] for name in OPTIONS if settings[name] not in (None, ())}
    stated = {n: v for n, v in stated.items() if v is not False or n == "preemptible"}
    return [
        Given(WHAT[name], _text(value), "default" if name == "cpus" and source == ParameterSource.DEFAULT
              else OPTIONS[name])
        for name, value in stated.items()
    ]  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value


def _record(kernel: "Kernel", settings: dict[str, Any]) -> "tuple[Record, bool]":
    """Return the map that comes with lockscape, or one that is run for other processors or workloads."""
    from lockscape.experiments.advise_record import count_runs, covers, make, recorded

    record = recorded()
    if covers(record, kernel) and not settings["fresh"]:
        return record, True
    with runs_progress(count_runs(record, kernel)) as progress:
        return make(record, kernel, _folder(settings), settings["jobs"], progress, settings["fresh"]), False
