"""What is asked for, by a command or an experiment's file, and the runs that it means."""

from collections.abc import Iterable
from typing import NamedTuple

from lockscape.errors import InputError
from lockscape.experiments.choose import choose_plan, most_processors
from lockscape.experiments.result import RunSpec, Seeding
from lockscape.experiments.sample import cost_factors
from lockscape.ports.plan import Plan
from lockscape.workloads.chat import Chat
from lockscape.workloads.choose import choose_workload
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.replay import Replay
from lockscape.workloads.stdio import Libc
from lockscape.workloads.workload_file import Workload

POSTMARK = "postmark"
"""The workload that is no file."""

PAPER = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=1000, transactions=10_000)
"""What the paper says of its PostMark, and the default: 10,000 transactions, 1,000 files, 100 bytes."""

PROCESSES = 8
MACHINE = "pentium4"
"""The machine where none is named."""


class System(NamedTuple):
    """What a name stands for: a plan, and the machine that it runs on where no other is asked for."""

    name: str
    plan: Plan
    machine: str


def system_of(name: str) -> System:
    """Return what a name means: a system, a method, or a file. Raises `InputError` for one that is none."""
    return System(name, choose_plan(name), MACHINE)


class Request(NamedTuple):
    """What is asked for, besides the system.

    `machine`: None for the system's own; `workload`: what runs instead of PostMark.
    """

    processes: int = PROCESSES
    seeding: Seeding = "same"
    libc: Libc = "2005"
    machine: str | None = None
    cost_sample: int = 0
    postmark: PostmarkOptions = PAPER
    workload: Workload | Chat | Replay | None = None


def runs_of(system: System, request: Request, cpus: Iterable[int]) -> list[RunSpec]:
    """Return the runs of a system: one processor first, which speedups are over, whether asked for or not.

    Numbers of processors that its kernel cannot use are left out. Raises `InputError` for what no machine
    could hold.
    """
    machine = request.machine or system.machine
    factors = cost_factors(request.cost_sample, machine)
    return [
        RunSpec(
            system.name, system.plan, number, request.processes, request.postmark, request.seeding,
            request.libc, machine, request.cost_sample, factors, request.workload,
        )
        for number in sorted({1, *cpus})
        if number <= most_processors(system.plan)
    ]  # fmt: skip


def workload_of(name: str) -> Workload | Chat | Replay | None:
    """Return a workload by its name or file, None for PostMark. Raises `InputError` for one that is none."""
    return None if name == POSTMARK else choose_workload(name, (POSTMARK,))


def changed(workload: Workload | Chat | Replay, **settings: int | None) -> Workload | Chat | Replay:
    """Return a workload with `processes` and `seed` as asked for, where they are.

    Raises `InputError` for settings that the workload does not have.
    """
    changes = {name: value for name, value in settings.items() if value is not None}
    if not isinstance(workload, Replay):
        return workload.changed(**changes)
    if changes:
        raise InputError(f"{next(iter(changes))}: a trace says itself what its processes do")
    return workload
