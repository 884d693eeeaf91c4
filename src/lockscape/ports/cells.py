"""New code of cells: a kernel instance for each few processors, none of which uses what another has.

The machine is divided into cells of ``cell_processors`` processors; what is left over is a smaller cell.
Each has its own kernel, memory, processes, disk and network card (Hive: Chapin et al., SOSP 1995; Cellular
Disco has a cell of the hypervisor in the kernel's place: Govil et al., SOSP 1999), so that a fault takes down
one cell and no other.
"""

from collections.abc import Sequence
from dataclasses import replace

from lockscape.kernel.card import SENDING
from lockscape.kernel.objects import Disk
from lockscape.kernel.vectors import ARRIVED, SENT
from lockscape.machine.state import Instance
from lockscape.ports.topology import KERNEL, Options, Topology
from lockscape.program.language import (
    count,
    function,
    instance,
    option,
    request,
    section,
    set_timer,
    step,
    the,
    this_cpu,
)


@function(replaces=True)
def start_disk() -> None:
    """Give the cell's own disk its next request, if it has nothing to do."""
    disk: Disk = the(Disk)
    with section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            request(instance(), option("disk_cycles"), this_cpu() * option("spread_interrupts"))


@function(replaces=True)
def ask_card(way: int, cycles: int) -> None:
    """Have the cell's own card interrupt after so many cycles; it is near the processor that asks."""
    if way == SENDING:
        set_timer(SENT, cycles)
    else:
        set_timer(ARRIVED, cycles)


def _instances(cpus: int, options: Options) -> Sequence[Instance]:
    each = options["cell_processors"]
    return [replace(KERNEL, cpus=min(each, cpus - first), first=first) for first in range(0, cpus, each)]


TOPOLOGY = Topology(_instances, own_disks=True)
"""A kernel for each cell, with its own disk."""
