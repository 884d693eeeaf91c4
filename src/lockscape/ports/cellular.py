"""New code of Cellular Disco: a hypervisor that is divided into cells, each on processors of its own.

A cell has ``cell_processors`` processors, its own hypervisor with all that it knows, guests, and a disk, so
that the failure of one takes down its guests and no others (Govil et al., SOSP 1999). A guest's virtual
processors stay inside its cell.
"""

from collections.abc import Sequence

from lockscape.machine.state import Instance, State
from lockscape.ports.hypervisor_topology import guests_of, hypervisor_on, introduce
from lockscape.ports.topology import Options, Topology
from lockscape.program.language import function, instance, option, request, this_cpu


@function(replaces=True)
def start_transfer() -> None:
    """Have the cell's own disk do a request."""
    request(instance(), option("disk_cycles"), this_cpu())


def _instances(cpus: int, options: Options) -> Sequence[Instance]:
    """The cells' hypervisors, then the guests of the first cell, of the second, and so on."""
    each = options["cell_processors"]
    sizes = [min(each, cpus - first) for first in range(0, cpus, each)]
    guests = [guests_of(size, options) for size in sizes]
    cells = [
        hypervisor_on(size, sum(guest.cpus for guest in mine), options, number * each)
        for number, (size, mine) in enumerate(zip(sizes, guests, strict=True))
    ]
    return [*cells, *(guest for mine in guests for guest in mine)]


def _prepare(state: State, _: Options) -> dict[int, int]:
    """Tell each cell of its guests: all have equally many."""
    cells = sum(1 for number in range(len(state.instances)) if _is_cell(state, number))
    each = len(state.instances) // cells - 1
    homes: dict[int, int] = {}
    for cell in range(cells):
        first = cells + cell * each
        homes |= introduce(state, cell, range(first, first + each))
    return homes


def _is_cell(state: State, number: int) -> bool:
    """Return whether an instance has virtual processors of others."""
    return bool(state.m[state.system("Virtual", 0, number) - 1])


TOPOLOGY = Topology(_instances, own_disks=True, prepare=_prepare)
"""Cells as virtual machines, each with its own disk."""
