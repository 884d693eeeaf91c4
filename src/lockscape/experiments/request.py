"""What is asked for, by a command or an experiment's file, and the runs that it means."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lockscape.errors import InputError
from lockscape.experiments.result import RunSpec
from lockscape.experiments.sample import cost_factors
from lockscape.systems.load import System
from lockscape.workloads.choose import AnyWorkload, choose_workload
from lockscape.workloads.postmark import PAPER, PROCESSES, Libc, PostmarkOptions, Seeding
from lockscape.workloads.replay import Replay

POSTMARK = "postmark"
"""The workload that is no file."""


class Request(NamedTuple):
    """What is asked for, besides the system.

    `machine`: None for the system's own; `workload`: what runs instead of PostMark. `factors` multiply the
    stated costs, instead of a sample of them.
    """

    processes: int = PROCESSES
    seeding: Seeding = "same"
    libc: Libc = "2005"
    machine: str | None = None
    cost_sample: int = 0
    postmark: PostmarkOptions = PAPER
    workload: AnyWorkload | None = None
    factors: Mapping[str, float] | None = None


def runs_of(system: System, request: Request, cpus: Iterable[int]) -> list[RunSpec]:
    """Return the runs of a system: one processor first, which speedups are over, whether asked for or not.

    Numbers of processors that its kernel cannot use are left out. Raises `InputError` for what no machine
    could hold.
    """
    machine = request.machine or system.machine
    if request.factors is None:
        factors = cost_factors(request.cost_sample, machine, system.plan.new_code)
    else:
        factors = dict(request.factors)
    return [
        RunSpec(
            system.id, system.plan, number, request.processes, request.postmark, request.seeding,
            request.libc, machine, request.cost_sample, factors, request.workload,
        )
        for number in sorted({1, *cpus})
        if number <= system.most_processors
    ]  # fmt: skip


def run_on(system: System, request: Request, cpus: int) -> RunSpec:
    """Return the run of a system on so many processors. Raises `InputError` if it cannot use so many."""
    if cpus > system.most_processors:
        raise InputError(
            f"{system.id} on {cpus} processors: at most {system.most_processors}; give --cpus so many"
        )
    return runs_of(system, request, (cpus,))[-1]


def workload_of(name: str) -> AnyWorkload | None:
    """Return a workload by its name or file, None for PostMark. Raises `InputError` for one that is none."""
    return None if name == POSTMARK else choose_workload(name, (POSTMARK,))


def changed(workload: AnyWorkload, **settings: int | None) -> AnyWorkload:
    """Return a workload with `processes` and `seed` as asked for, where they are.

    Raises `InputError` for settings that the workload does not have.
    """
    changes = {name: value for name, value in settings.items() if value is not None}
    if not isinstance(workload, Replay):
        return workload.changed(**changes)
    if changes:
        raise InputError(f"{next(iter(changes))}: a trace says itself what its processes do")
    return workload
