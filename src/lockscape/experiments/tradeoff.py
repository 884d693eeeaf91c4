"""Scalability against effort: every port and system with what it takes and how it scales (Figure 3).

All of them run the same workloads on one machine, so that they can be compared; a system that cannot use so
many processors is taken with as many as it can. Where a run is not possible it is missing, with the reason.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from lockscape.errors import LockscapeError
from lockscape.experiments.choose import choose
from lockscape.experiments.curve import Progress, each_run
from lockscape.experiments.effort_axis import PortEffort, port_efforts
from lockscape.experiments.request import Request, runs_of
from lockscape.experiments.result import RunResult, RunSpec
from lockscape.experiments.scalability_axis import Scaling, counts, scaling
from lockscape.ports.plan import Plan, load_plan, plan_names
from lockscape.ports.port import kernel_count
from lockscape.systems.load import UNIPROCESSOR, System, system_ids
from lockscape.workloads.choose import choose_workload
from lockscape.workloads.postmark import PAPER, PROCESSES, PostmarkOptions
from lockscape.workloads.workload_file import Workload

WORKLOADS = ("postmark", "mailserver", "kernelbuild", "netserve", "compute")
"""What tells methods apart: files of one's own, nearly all in the kernel; the same with common files;
processes and files; a network card with requests from outside; and programs that hardly call the kernel. By
default."""

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=100, transactions=300)
"""PostMark so small that a map is made in minutes; the kernel's share is that of the full size."""

MACHINE = "pentium4"
"""The machine of the map if none is given."""

Kind = Literal["port", "system", "own"]
"""A method's port or a variant of it, a row of Table 1, or a file of the user's."""


class Missing(msgspec.Struct, frozen=True):
    """Why there is no curve of a workload."""

    workload: str
    why: str


class Item(msgspec.Struct, frozen=True):
    """A port or a system, with both axes. `most_processors`: that it can use.

    `kernels`: how many with files of their own there are on the most processors: the processes are divided
    over them, also those that share files in a workload.
    """

    name: str
    title: str
    method: str
    kind: Kind
    most_processors: int
    kernels: int
    effort: PortEffort
    scaling: tuple[Scaling, ...]
    missing: tuple[Missing, ...]

    def of(self, workload: str) -> Scaling | None:
        """Return how it scales with a workload, None if that is not known."""
        return next((each for each in self.scaling if each.workload == workload), None)


class KernelShare(msgspec.Struct, frozen=True):
    """How much of the busy time of the plain uniprocessor kernel a workload is in it, interrupts included: in
    its first draw."""

    workload: str
    share: float


class Tradeoff(msgspec.Struct, frozen=True):
    """What was measured: the items, on 1 to `cpus` processors of a machine, and what the workloads are.

    `seeds`: how often each workload was drawn.
    """

    cpus: int
    machine: str
    cost_sample: int
    seeds: int
    postmark: PostmarkOptions
    workloads: tuple[KernelShare, ...]
    items: tuple[Item, ...]


class Question(NamedTuple):
    """What is to be measured: `workloads` by name, with the most processors of each curve.

    `cost_sample`: see `lockscape.experiments.sample`; 0: the stated costs. `seeds`: how often each workload
    is drawn, with its own seed and the next ones; what draws nothing (a trace, a chat room) is run once.
    """

    cpus: int = 8
    workloads: tuple[str, ...] = WORKLOADS
    machine: str = MACHINE
    postmark: PostmarkOptions = SMALL
    cost_sample: int = 0
    seeds: int = 1


QUICK = Question()
"""The question with which a map takes minutes, not hours."""
FULL = Question(postmark=PAPER)
"""With PostMark of the paper's size."""


class _Task(NamedTuple):
    """A run: of which item (-1: the plain uniprocessor kernel), with which workload and draw of it; `alone`:
    its uniprocessor build."""

    item: int
    workload: str
    draw: int
    alone: bool
    spec: RunSpec


def all_names() -> list[str]:
    """Return the names of everything: the ports of the methods, and the systems of Table 1."""
    systems = system_ids()
    return [*(n for n in plan_names() if n != UNIPROCESSOR and n not in systems), *systems]


def run_count(names: Sequence[str], question: Question) -> int:
    """Return how many runs `tradeoff` makes, equal ones counted each time."""
    return len(_tasks([choose(name) for name in names], question))


def tradeoff(
    names: Sequence[str], question: Question = QUICK, folder: Path | None = None,
    workers: int | None = None, progress: Progress | None = None, fresh: bool = False,
    efforts: Sequence[PortEffort] = (),
) -> Tradeoff:  # fmt: skip
    """Measure both axes of ports and systems; `folder` keeps what is finished, and that is taken from it.

    `efforts`: what the ports take, if it was counted already, for it does not depend on costs. Raises
    `InputError` for names, workloads or files that cannot be used.
    """
    systems = [choose(name) for name in names]
    tasks = _tasks(systems, question)
    made: dict[int, RunResult | LockscapeError] = {}
    for number, point in each_run([t.spec for t in tasks], folder, workers, progress, fresh):
        made[number] = point if isinstance(point, LockscapeError) else point.result
    if not efforts:
        efforts = port_efforts([each.plan for each in systems], None if fresh else folder, workers)
    by_item: dict[int, list[tuple[_Task, RunResult | LockscapeError]]] = {}
    for number, task in enumerate(tasks):
        by_item.setdefault(task.item, []).append((task, made[number]))
    items = tuple(
        _item(system, question, counted, by_item[number])
        for number, (system, counted) in enumerate(zip(systems, efforts, strict=True))
    )
    shares = tuple(
        KernelShare(task.workload, _kernel_share(found)) for task, found in by_item[-1] if not task.draw
    )
    return Tradeoff(
        question.cpus, question.machine, question.cost_sample, question.seeds, question.postmark, shares,
        items,
    )  # fmt: skip


def _tasks(systems: Sequence[System], question: Question) -> list[_Task]:
    """Return the runs; equal ones stand there several times, and are made once."""
    found = []
    for name in question.workloads:
        for draw, request in enumerate(_requests(name, question)):
            found.append(_Task(-1, name, draw, True, _plain(request)))
            for number, system in enumerate(systems):
                bare = _bare(system.uniprocessor())
                found += [_Task(number, name, draw, True, spec) for spec in runs_of(bare, request, (1,))]
                found += [
                    _Task(number, name, draw, False, spec)
                    for spec in runs_of(system, request, _numbers(system, question.cpus))
                ]
    return found


def plain_run(workload: str, question: Question) -> RunSpec:
    """Return the run of a workload on the plain uniprocessor kernel."""
    return _plain(_requests(workload, question)[0])


def _plain(request: Request) -> RunSpec:
    plain = System.of_plan(UNIPROCESSOR, load_plan(UNIPROCESSOR), most=1)
    (spec,) = runs_of(plain, request, (1,))
    return spec


def port_run(system: System, workload: str, question: Question) -> RunSpec:
    """Return the run of a system on as many of the processors that are asked for as it can use."""
    return runs_of(system, _requests(workload, question)[0], _numbers(system, question.cpus))[-1]


def _numbers(system: System, cpus: int) -> tuple[int, ...]:
    return counts(min(cpus, system.most_processors))


def _bare(system: System) -> System:
    """Return a uniprocessor kernel without its name, so that equal ones are run once."""
    plan = Plan(title=UNIPROCESSOR, method=UNIPROCESSOR, options=system.plan.options, costs=system.plan.costs)
    return System.of_plan(UNIPROCESSOR, plan, most=1)


def _requests(name: str, question: Question) -> list[Request]:
    """Return what is asked of a workload, for each draw: at least a process for each processor, if it can."""
    work = None if name == "postmark" else choose_workload(name, ("postmark",))
    if isinstance(work, Workload):
        work = work.changed(processes=max(work.processes, question.cpus))
    processes = work.processes if work is not None else max(PROCESSES, question.cpus)
    request = Request(
        processes, machine=question.machine, cost_sample=question.cost_sample, postmark=question.postmark,
        workload=work,
    )  # fmt: skip
    if work is not None and not isinstance(work, Workload):
        return [request]
    return [_drawn(request, draw) for draw in range(question.seeds)]


def _drawn(request: Request, draw: int) -> Request:
    """Return a request with the seed that comes so many after its own."""
    work, post = request.workload, request.postmark
    if isinstance(work, Workload):
        return request._replace(workload=work.changed(seed=work.seed + draw))
    return request._replace(postmark=msgspec.structs.replace(post, seed=post.seed + draw))


def _item(
    system: System, question: Question, counted: PortEffort,
    made: Sequence[tuple[_Task, RunResult | LockscapeError]],
) -> Item:  # fmt: skip
    found: list[Scaling] = []
    missing: list[Missing] = []
    for name in question.workloads:
        of_it = [(task, result) for task, result in made if task.workload == name]
        failed = next((str(r) for t, r in of_it if isinstance(r, LockscapeError) and not t.alone), None)
        if failed is None:
            found.append(_scaling(name, of_it))
        else:
            missing.append(Missing(name, failed))
    return Item(
        system.id, system.plan.title, system.plan.method, _kind(system.id), system.most_processors,
        kernel_count(system.plan, min(question.cpus, system.most_processors)), counted, tuple(found),
        tuple(missing),
    )  # fmt: skip


def _scaling(name: str, made: Sequence[tuple[_Task, RunResult | LockscapeError]]) -> Scaling:
    alone: float | None = 0.0
    makespans: dict[int, list[float]] = {}
    for task, result in made:
        if isinstance(result, LockscapeError):
            alone = None  # a uniprocessor build that cannot run is not known
        elif not task.alone:
            makespans.setdefault(task.spec.cpus, []).append(result.makespan_s)
        elif alone is not None:
            alone += result.makespan_s
    return scaling(name, makespans, alone)


def _kind(name: str) -> Kind:
    id = name.partition("@")[0]
    return "system" if id in system_ids() else "port" if name in plan_names() else "own"


def _kernel_share(result: RunResult | LockscapeError) -> float:
    """Return the kernel's share of the time that the processor was busy."""
    if isinstance(result, LockscapeError):
        raise result
    inside = result.share("kernel") + result.share("interrupt")
    return inside / (inside + result.share("user"))
