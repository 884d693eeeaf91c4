"""The cells of an experiment's grid: the run of each, or why there can be none."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.experiments.choose import choose, expand
from lockscape.experiments.experiment_file import Experiment
from lockscape.experiments.request import Request, changed, runs_of, workload_of
from lockscape.experiments.result import RunSpec
from lockscape.machine.costs import preset
from lockscape.systems.load import System
from lockscape.workloads.chat import Chat
from lockscape.workloads.choose import TRACE, AnyWorkload
from lockscape.workloads.replay import Replay
from lockscape.workloads.workload_file import Workload

MOST_CELLS = 100_000
"""Runs that one sweep may ask for."""


class Axes(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cell stands in the grid. `seed`: of the workload; None for one that draws nothing."""

    system: str
    workload: str
    machine: str
    processes: int
    cost_sample: int
    seed: int | None
    cpus: int


@dataclass(frozen=True)
class Cell:
    """A place in the grid with its run; without one, `problem` says why it cannot be."""

    axes: Axes
    spec: RunSpec | None
    problem: str = ""


@dataclass(frozen=True)
class Grid:
    """All cells of an experiment. `notes` say which axes do not apply to which workload."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """A workload, and its axes: None stands for the workload's own."""

    name: str
    found: AnyWorkload | None
    processes: tuple[int | None, ...]
    seeds: tuple[int | None, ...]


def grid(experiment: Experiment, folder: Path) -> Grid:
    """Return the cells of an experiment whose file is in `folder`, always with one processor.

    Raises `InputError` for names and files that cannot be used, and for too many cells.
    """
    _check_size(experiment)
    systems = [_system(name, folder) for name in expand(experiment.systems)]
    for machine in experiment.machines:
        preset(machine)
    works = [_work(name, folder, experiment) for name in experiment.workloads]
    cells = (
        cell
        for system, work, machine in itertools.product(systems, works, experiment.machines or (None,))
        for cell in _cells(experiment, system, work, machine)
    )
    return Grid(tuple(cells), tuple(note for work in works for note in _notes(work, experiment)))


def _check_size(experiment: Experiment) -> None:
    axes = (
        experiment.systems, experiment.workloads, experiment.processors, experiment.processes,
        experiment.machines, experiment.cost_samples, experiment.seeds,
    )  # fmt: skip
    cells = math.prod(max(1, len(axis)) for axis in axes)
    if cells > MOST_CELLS:
        raise InputError(f"a grid of {cells:,} cells: at most {MOST_CELLS:,}; shorten an axis")


def _system(name: str, folder: Path) -> System:
    path = str(folder / name) if ".toml" in name else name
    return replace(choose(path), id=name)


def _work(name: str, folder: Path, experiment: Experiment) -> _Work:
    path = name
    if name.endswith(".toml"):
        path = str(folder / name)
    elif name.startswith(TRACE):
        path = f"{TRACE}{folder / name.removeprefix(TRACE)}"
    found = workload_of(path)
    processes: tuple[int | None, ...] = experiment.processes or (None,)
    seeds: tuple[int | None, ...] = experiment.seeds or (None,)
    return _Work(
        name, found,
        (None,) if isinstance(found, Replay) else processes,
        (None,) if isinstance(found, Replay | Chat) else seeds,
    )  # fmt: skip


def _notes(work: _Work, experiment: Experiment) -> Iterator[str]:
    """Yield which axes of the experiment do not apply to a workload."""
    if experiment.processes and work.processes == (None,):
        yield f"{work.name}: its processes are those of the trace, whatever the experiment says."
    if experiment.seeds and work.seeds == (None,):
        yield f"{work.name}: nothing in it is drawn, so it is run once and not with every seed."


def _cells(experiment: Experiment, system: System, work: _Work, machine: str | None) -> Iterator[Cell]:
    for processes, sample, seed in itertools.product(work.processes, experiment.cost_samples, work.seeds):
        request = Request(seeding=experiment.seeding, libc=experiment.libc, machine=machine,
                          cost_sample=sample, postmark=experiment.postmark)  # fmt: skip
        where = Axes(
            system=system.id, workload=work.name, machine=machine or system.machine,
            processes=processes or request.processes, cost_sample=sample, seed=seed, cpus=1,
        )  # fmt: skip
        numbers = sorted({1, *experiment.processors})
        try:
            specs = runs_of(system, _with_work(request, work, processes, seed), numbers)
        except InputError as error:
            yield from (Cell(_at(where, cpus), None, str(error)) for cpus in numbers)
        else:
            yield from _placed(where, specs, numbers)


def _with_work(request: Request, work: _Work, processes: int | None, seed: int | None) -> Request:
    if work.found is None:
        options = request.postmark if seed is None else msgspec.structs.replace(request.postmark, seed=seed)
        return request._replace(postmark=options, processes=processes or request.processes)
    found = changed(work.found, processes=processes, seed=seed)
    return request._replace(workload=found, processes=found.processes)


def _placed(where: Axes, specs: Iterable[RunSpec], numbers: Iterable[int]) -> Iterator[Cell]:
    """Yield a cell for each number of processors, with its run if the kernel can use so many."""
    by_cpus = {spec.cpus: spec for spec in specs}
    here = msgspec.structs.replace(where, processes=by_cpus[1].processes, seed=_seed(by_cpus[1]))
    for cpus in numbers:
        if cpus in by_cpus:
            yield Cell(_at(here, cpus), by_cpus[cpus])
        else:
            most = f"{max(by_cpus)} processor{'s' * (max(by_cpus) > 1)}"
            yield Cell(_at(here, cpus), None, f"{where.system} uses at most {most}")


def _seed(spec: RunSpec) -> int | None:
    if spec.workload is None:
        return spec.postmark.seed
    return spec.workload.seed if isinstance(spec.workload, Workload) else None


def _at(axes: Axes, cpus: int) -> Axes:
    return msgspec.structs.replace(axes, cpus=cpus)
