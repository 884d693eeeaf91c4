"""Where the kernel's time goes: by subsystem of the simulated kernel, sampled as a profiler does it.

The run is stopped at regular times, and what the one processor is doing then is counted: user mode, or the
subsystem whose function it is in. Idle time does not count. Functions belong to the subsystem of the module
that they are written in, device interrupts to that of their device.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import count
from types import MappingProxyType

import msgspec

from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import load_run
from lockscape.kernel.build import MODULES
from lockscape.machine import layout as at
from lockscape.machine.execute import RunError, execute

SUBSYSTEMS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "fs": ("files", "stat", "names", "directories", "entries", "inodes", "blocks", "buffers", "pages",
           "readwrite", "writeback", "synchronise", "rename", "links", "release"),
    "mm": ("areas", "allocate", "swap", "reclaim"),
    "process": ("scheduler", "kicks", "clock", "balance", "processes", "forked", "waits", "timers", "signals",
                "delivery"),
    "net": ("sockets", "socket_table", "incoming", "connections", "card"),
    "ipc": ("pipes", "pipe_files", "semaphores", "messages"),
    "entry": ("entry", "deferral"),
})  # fmt: skip
"""Subsystems, with the modules of `lockscape.kernel` that they are. `entry`: into the kernel and out of it,
by calls and interrupts."""

ELSEWHERE = MappingProxyType({"packet_arrived": "net", "packet_sent": "net", "disk_interrupt": "fs"})
"""Functions that do not belong to the subsystem of their module."""

SAMPLES = 4000
"""Samples of a run: a share of one half is then known to 1.6 points (two standard errors, if independent)."""


class Shares(msgspec.Struct, frozen=True):
    """Where a workload's busy time goes on the uniprocessor kernel.

    `kernel`: the share that is not user mode; `subsystems`: the kernel's time by subsystem, together 1.
    """

    workload: str
    kernel: float
    subsystems: dict[str, float]


@cache
def subsystem_of(module: str) -> str:
    """Return the subsystem of a module of the kernel. Raises `KeyError` for one that has none."""
    for name, modules in SUBSYSTEMS.items():
        if module in modules:
            return name
    raise KeyError(module)


@cache
def function_subsystems() -> dict[str, str]:
    """Return the subsystem of every function of the kernel, by name."""
    found = {}
    for module in MODULES:
        subsystem = subsystem_of(module.__name__.rpartition(".")[2])
        for name, value in vars(module).items():
            if "lockscape_role" in getattr(value, "__dict__", {}) and value.__module__ == module.__name__:
                found[name] = ELSEWHERE.get(name, subsystem)
    return found


def sample_shares(spec: RunSpec, workload: str, makespan_cycles: int, samples: int = SAMPLES) -> Shares:
    """Run the uniprocessor kernel on one processor, and count where it is at `samples` regular times.

    `makespan_cycles`: how long the run takes, from a run before. Raises `RunError` if it cannot go on.
    """
    state = load_run(spec, traced=True).machine.state  # calls are kept: rows are of their functions
    known, found = function_subsystems(), Counter[str]()
    step = max(1, makespan_cycles // samples)
    for number in count(1):
        stopped = execute(state, until=number * step)
        if stopped.reason == at.REASON_DONE:
            break
        if stopped.reason != at.REASON_TIME:
            raise RunError(stopped.text)
        virtual = int(state.m[at.H_VIRTUAL])
        mode = int(state.m[virtual + at.V_MODE])
        if mode == at.USER:
            found["user"] += 1
        elif mode in (at.KERNEL, at.INTERRUPT):
            context = int(state.m[virtual + at.V_CONTEXT])
            found[known.get(state.binary.where[int(state.m[context + at.C_PC])], "entry")] += 1
    kernel = sum(n for name, n in found.items() if name != "user")
    return Shares(
        workload, kernel / max(1, sum(found.values())),
        {name: found[name] / max(1, kernel) for name in SUBSYSTEMS},
    )  # fmt: skip
