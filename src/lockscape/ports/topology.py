"""Topologies: which kernel instances there are on a machine of so many processors, and what runs on which."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lockscape.kernel.vectors import ARRIVED, DISK, RESCHEDULE, SENT, TICK
from lockscape.machine.state import Instance, State

KERNEL = Instance(
    1, entry="system_call", idle="cpu_idle", block="wait_for_lock", wake="wake",
    vectors={TICK: "timer_interrupt", RESCHEDULE: "reschedule_interrupt", DISK: "disk_interrupt",
             ARRIVED: "packet_arrived", SENT: "packet_sent"},
)  # fmt: skip
"""An instance of the kernel."""


NO_KERNEL = {
    "groups": 0, "slabs": 0, "slab_arrays": 0, "run_queues": 0, "semaphore_sets": 0, "message_queues": 0,
}  # fmt: skip
"""Sizes of tables in an instance of something else."""


Options = Mapping[str, int]
"""Build options by name."""


@dataclass(frozen=True)
class Topology:
    """The instances of a machine: `instances` tells them for a number of processors and the build options;
    the length of a tick is added to each that has ticks, and sizes of tables that it does not say. Those with
    block groups are kernels with files: processes are dealt out to them in turn.

    `proxy`: processes run on the last instance, and each has a process of the first that does its calls,
    which begins in this function of user mode. `own_disks`: each instance has a disk, of its own number.
    `prepare`: sets up what the instances know of each other and what else the new code needs, before the run,
    by the build options; it returns the physical processor of each virtual one that a hypervisor runs.
    `threads`: functions in which processes begin that it makes.
    """

    instances: Callable[[int, Options], Sequence[Instance]]
    proxy: str = ""
    own_disks: bool = False
    prepare: Callable[[State, Options], dict[int, int]] | None = None
    threads: tuple[str, ...] = ()

    def built(
        self, cpus: int, options: Options, sizes: Callable[[int], Mapping[str, int]], tick_cycles: int
    ) -> list[Instance]:
        """Return the instances for so many processors. `sizes`: of tables, by an instance's processors."""
        return [
            replace(
                each,
                quantities={**sizes(each.cpus), **each.quantities},
                tick_cycles=tick_cycles // each.ticks if TICK in each.vectors else 0,
            )
            for each in self.instances(cpus, options)
        ]


def kernels(instances: Sequence[Instance]) -> list[int]:
    """Return the numbers of the instances that have files, of those that `Topology.built` gives."""
    return [number for number, each in enumerate(instances) if each.quantities["groups"]]


def _native(cpus: int, _: Options) -> Sequence[Instance]:
    return [replace(KERNEL, cpus=cpus)]


NATIVE = Topology(_native)
"""One instance on all processors."""


def topology(new_code: Sequence[types.ModuleType]) -> Topology:
    """Return the topology that the new code of a port declares as ``TOPOLOGY``, or the native one."""
    declared = [vars(module)["TOPOLOGY"] for module in new_code if "TOPOLOGY" in vars(module)]
    found: Topology = declared[-1] if declared else NATIVE
    return found
