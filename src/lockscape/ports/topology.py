"""Topologies: which kernel instances there are on a machine of so many processors, and what runs on which."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lockscape.kernel.scheduler import DISK, RESCHEDULE, TICK
from lockscape.machine.state import Instance

KERNEL = Instance(
    1, entry="system_call", idle="cpu_idle", block="wait_for_lock", wake="wake",
    vectors={TICK: "timer_interrupt", RESCHEDULE: "reschedule_interrupt", DISK: "disk_interrupt"},
)  # fmt: skip
"""An instance of the kernel."""


NO_KERNEL = {"groups": 0, "slabs": 0, "slab_arrays": 0, "run_queues": 0}
"""Sizes of tables in an instance of something else."""


@dataclass(frozen=True)
class Topology:
    """The instances of a machine: `instances` tells them for a number of processors, the one with the files
    first; the length of a tick is added to each that has
    ticks, and sizes of tables that it does not say.

    `separate`: processes run on the last instance, and each has a process of the first that does its calls,
    which begins in the function of user mode `proxy`.
    """

    instances: Callable[[int], Sequence[Instance]]
    proxy: str = ""

    def built(self, cpus: int, quantities: Mapping[str, int], tick_cycles: int) -> list[Instance]:
        """Return the instances for so many processors."""
        return [
            replace(
                each,
                quantities={**quantities, **each.quantities},
                tick_cycles=tick_cycles if TICK in each.vectors else 0,
            )
            for each in self.instances(cpus)
        ]


def _native(cpus: int) -> Sequence[Instance]:
    return [replace(KERNEL, cpus=cpus)]


NATIVE = Topology(_native)
"""One instance on all processors."""


def topology(new_code: Sequence[types.ModuleType]) -> Topology:
    """Return the topology that the new code of a port declares as ``TOPOLOGY``, or the native one."""
    declared = [vars(module)["TOPOLOGY"] for module in new_code if "TOPOLOGY" in vars(module)]
    found: Topology = declared[-1] if declared else NATIVE
    return found
