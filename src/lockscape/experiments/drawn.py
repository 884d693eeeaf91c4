"""Trials that are drawn: for mutants that those of `lockscape.experiments.trials` do not settle."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lockscape.experiments.trials import (
    OLD_FILES,
    ON_DISK,
    Trial,
    families,
    make_and_delete,
    on_disk,
    signals,
    streams_of,
    under_pressure,
)
from lockscape.workloads.connecting import connecting, visited
from lockscape.workloads.growing import growing
from lockscape.workloads.piping import piping
from lockscape.workloads.signalling import killed
from lockscape.workloads.stress import ALL, stress_streams

_OFTEN = 21
"""One in so many trials is of each of the first kinds: one in three of a kind of its own, in all."""

_FIRST = 7
"""Kinds that `further` draws; the others are for mutants that survive those (`of_kind`)."""


@dataclass(frozen=True)
class _Draw:
    """What is drawn for a trial: `own`, a seed of its kind's own, and how large it is."""

    name: str
    rest: np.random.Generator
    own: int
    processes: int
    cpus: int
    together: bool


def further(seed: int) -> Trial:
    """Return a trial that is drawn: one in three of a kind of its own, the others of `swarm`."""
    rest = np.random.Generator(np.random.PCG64(seed))
    kind = int(rest.integers(0, _OFTEN))
    return (_MAKERS[kind] if kind < _FIRST else _swarm)(_draw(f"drawn {seed}", rest))


def of_kind(kind: int, seed: int) -> Trial:
    """Return a trial of one of the `KINDS`, of which each seed gives another."""
    rest = np.random.Generator(np.random.PCG64([kind, seed]))
    return _MAKERS[kind](_draw(f"drawn {KINDS[kind]} {seed}", rest))


def _draw(name: str, rest: np.random.Generator) -> _Draw:
    own, processes = int(rest.integers(1 << 20)), int(rest.integers(2, 7))
    cpus = int(rest.integers(2, min(processes, 4) + 1))
    return _Draw(name, rest, own, processes, cpus, bool(rest.integers(0, 2)))


def _made_and_deleted(draw: _Draw) -> Trial:
    made = tuple(make_and_delete(draw.own + k, 2) for k in range(3))
    return Trial(f"{draw.name}: 3 processes make and delete", made, 2, False, 0, True)


def _families(draw: _Draw) -> Trial:
    made = families(min(draw.processes, 4), draw.own)
    return Trial(f"{draw.name}: families", made, draw.cpus, draw.together)


def _pipes(draw: _Draw) -> Trial:
    seeds = range(draw.own, draw.own + min(draw.processes, 4))
    return Trial(f"{draw.name}: pipes", streams_of(map(piping, seeds)), draw.cpus, draw.together)


def _signals(draw: _Draw) -> Trial:
    made = signals(*range(draw.own, draw.own + min(draw.processes, 4)))
    return Trial(f"{draw.name}: signals", made, draw.cpus, draw.together, sleeps=True)


def _sockets(draw: _Draw) -> Trial:
    return Trial(f"{draw.name}: sockets", streams_of(connecting(draw.own)), draw.cpus, draw.together)


def _little_memory(draw: _Draw) -> Trial:
    return under_pressure(f"{draw.name}: little memory", draw.processes, draw.own, draw.cpus)


def _links_and_programs(draw: _Draw) -> Trial:
    made = on_disk(min(draw.processes, 4), draw.own)
    return Trial(f"{draw.name}: links and programs", made, draw.cpus, draw.together, tree=ON_DISK)


def _visits(draw: _Draw) -> Trial:
    cpus = int(draw.rest.integers(1, 5))
    return Trial(f"{draw.name}: many connections", streams_of(visited(draw.own)), cpus, True)


def _killed(draw: _Draw) -> Trial:
    """Processes that compute for ever and are killed: they must be told, for they call nothing."""
    number = 1 + draw.own % 2
    streams = streams_of(killed(number))
    return Trial(f"{draw.name}: killed while they compute", streams, 2 * number, draw.together)


def _mixture(draw: _Draw) -> Trial:
    """Families beside processes that make few kinds of calls, so that what is seldom called meets what only
    families do."""
    calls = sorted(set(ALL))
    few = [tuple(draw.rest.choice(calls, 2)) for _ in range(draw.processes)]
    streams = (*families(2, draw.own), *stress_streams(60, 4, draw.own, few, 0, 3000, 2000))
    return Trial(f"{draw.name}: families and others", streams, draw.cpus, draw.together)


def _no_memory(draw: _Draw) -> Trial:
    """Many processes that use so much memory at once that at times none at all is free."""
    processes, pages = int(draw.rest.integers(14, 19)), int(draw.rest.integers(300, 450))
    streams = streams_of(growing(draw.own + k, False, 3) for k in range(processes))
    return Trial(f"{draw.name}: no memory left", streams, draw.cpus, False, memory_pages=pages)


def _swarm(draw: _Draw) -> Trial:
    """Return a trial in which each process calls some of all there is to call, so that trials differ more
    than if all called everything (swarm testing: Groce et al., ISSTA 2012)."""
    rest, processes, together = draw.rest, draw.processes, draw.together
    every = sorted(set(ALL))
    kinds = [[k for k in every if rest.integers(0, 2)] or every for _ in range(processes)]
    names, directories = int(rest.choice([1, 2, 4, 8, 100])), int(rest.integers(0, 3))
    most_bytes, think = int(rest.choice([1000, 9000, 30_000])), int(rest.choice([500, 10_000]))
    streams = stress_streams(40, names, int(rest.integers(1 << 30)), kinds, directories, most_bytes, think)
    where = "together" if together else "apart"
    files = int(rest.choice([0, 4, OLD_FILES]))
    name = f"{draw.name}: {processes} processes {where} on {draw.cpus} processors"
    return Trial(name, tuple(streams), draw.cpus, together, files)


_MAKERS: tuple[Callable[[_Draw], Trial], ...] = (
    _made_and_deleted, _families, _pipes, _signals, _sockets, _little_memory, _links_and_programs, _visits,
    _killed, _no_memory, _mixture, _swarm,
)  # fmt: skip

KINDS = (
    "files", "families", "pipes", "signals", "sockets", "memory", "links", "visits", "killed",
    "no memory", "mixture", "swarm",
)  # fmt: skip
"""What trials can be drawn of."""
