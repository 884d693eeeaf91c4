"""Options that say what is run, of several commands, as a request."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lockscape.cli.values import Size

if TYPE_CHECKING:  # the simulator behind it takes most of the time of commands that end early
    from lockscape.experiments.request import Request
    from lockscape.workloads.choose import AnyWorkload
    from lockscape.workloads.postmark_commands import Configuration

F = TypeVar("F", bound=Callable[..., Any])

NO_POSTMARK: dict[str, Any] = dict.fromkeys(("transactions", "number", "size", "seed", "file"))
"""Settings that are PostMark's; only the seed is others', too."""

UNASKED: dict[str, Any] = {
    "file": None, "same_seed": True, "libc": "2005", "cost_sample": 0, "costs": None,
}  # fmt: skip
"""Settings of a run that not every command has as options."""


def run_options(transactions: str = "10000, as in the paper", number: str = "1000") -> Callable[[F], F]:
    """Add what commands ask of a run: its workload, PostMark's settings with these defaults, its machine.

    The command gets them as `read_request` has them.
    """
    options = (
        click.option("--workload", default="postmark", show_default=True, metavar="NAME|FILE.toml|trace:FILE",
                     help="What is run: see 'lockscape workloads'; trace:FILE is strace's."),
        click.option("--processes", type=click.IntRange(1, 4096), default=None, metavar="N",
                     help="Processes that run side by side.  [default: 8, or as the workload says]"),
        click.option("--transactions", type=click.IntRange(10, 1_000_000), default=None, metavar="N",
                     help=f"PostMark's transactions of each process.  [default: {transactions}]"),
        click.option("--number", type=click.IntRange(1, 250_000), default=None, metavar="N",
                     help=f"PostMark's simultaneous files of each process.  [default: {number}]"),
        click.option("--size", type=Size(), default=None,
                     help="Sizes of PostMark's files.  [default: 100]"),
        click.option("--seed", type=click.IntRange(1, 2**31 - 1), default=None, metavar="N",
                     help="The workload's seed.  [default: its own; PostMark's is 42]"),
        click.option("--machine", default=None, metavar="NAME",
                     help="The machine preset.  [default: each system's own; pentium4 for methods]"),
    )  # fmt: skip

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def read_request(settings: dict[str, Any], smaller: dict[str, Any]) -> "tuple[Request, bool]":
    """Return what the options ask for, and whether PostMark's file asks for terse reports.

    `smaller`: PostMark's options where none are given.
    """
    from lockscape.experiments.cost_file import read_costs
    from lockscape.experiments.request import Request
    from lockscape.machine.costs import preset
    from lockscape.workloads.postmark import PROCESSES

    machine, factors = settings["machine"], None
    if settings["costs"] is not None:
        if settings["cost_sample"]:
            raise click.UsageError("--cost-sample draws from the stated costs: give no --costs")
        costs = read_costs(settings["costs"])
        machine, factors = machine or costs.machine, costs.factors
    if machine is not None:
        preset(machine)  # an unknown one is told before anything is built
    workload = _workload(settings)
    configuration = _postmark(settings if workload is None else settings | NO_POSTMARK, smaller)
    processes = workload.processes if workload is not None else settings["processes"] or PROCESSES
    request = Request(
        processes, "same" if settings["same_seed"] else "each", settings["libc"], machine,
        settings["cost_sample"], configuration.options, workload, factors,
    )  # fmt: skip
    return request, configuration.terse


def _workload(settings: dict[str, Any]) -> "AnyWorkload | None":
    """Return the workload that is not PostMark, with the settings that go over its file's."""
    from lockscape.experiments.request import changed, workload_of
    from lockscape.workloads.replay import Replay

    found = workload_of(settings["workload"])
    if found is None:
        return None
    for name in NO_POSTMARK:
        if name != "seed" and settings[name] is not None:
            raise click.UsageError(
                f"--{'postmark' if name == 'file' else name} is PostMark's: say --workload postmark"
            )
    for name in ("processes", "seed"):
        if isinstance(found, Replay) and settings[name] is not None:
            raise click.UsageError(f"--{name}: a trace says itself what its processes do")
    return changed(found, processes=settings["processes"], seed=settings["seed"])


def _postmark(settings: dict[str, Any], smaller: dict[str, Any]) -> "Configuration":
    """Return PostMark's configuration, from its own file or from our options."""
    import msgspec

    from lockscape.workloads.postmark import PAPER
    from lockscape.workloads.postmark_commands import Configuration, read_commands

    given = [name for name in ("transactions", "number", "size", "seed") if settings[name] is not None]
    if settings["file"] is not None:
        if given:
            raise click.UsageError(f"--{given[0]} and --postmark exclude each other: set it in the file")
        found = read_commands(Path(settings["file"]))
        for problem in found.problems:
            print(f"lockscape: {problem}", file=sys.stderr)
        return found.runs[-1] if found.runs else found.configuration
    low, high = settings["size"] or (None, None)
    named = {
        "size_low_bytes": low, "size_high_bytes": high, "files": settings["number"],
        "transactions": settings["transactions"], "seed": settings["seed"],
    }  # fmt: skip
    chosen = smaller | {name: value for name, value in named.items() if value is not None}
    return Configuration(msgspec.structs.replace(PAPER, **chosen))
