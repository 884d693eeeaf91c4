"""Which instances a virtualized machine has: the hypervisor, its guests, perhaps one with the drivers.

The options ``guests`` and ``guest_processors`` say how many guests there are and how many virtual processors
each has; 0 stands for as many as give every physical processor a virtual one. So one guest of 0 processors is
an SMP guest on the whole machine, up to what the product allows (``most_guest_processors``), and 0 guests of
one processor are a guest per processor.
"""

from collections.abc import Sequence
from dataclasses import replace

from lockscape.kernel.scheduler import DISK, TICK
from lockscape.machine import layout as at
from lockscape.machine.state import Instance, State
from lockscape.ports.hypervisor_objects import KICKED, READY, VIRTUAL_TIMER
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology

VECTORS = {TICK: "hypervisor_tick", KICKED: "kicked", DISK: "physical_disk", VIRTUAL_TIMER: "virtual_timer"}
"""Interrupts of the hypervisor. It has no system calls and no lock to sleep for; it names the kernel's."""


def topology_of(driver: Instance | None = None) -> Topology:
    """Return the topology of a hypervisor with guests, and above them the instance that has the drivers."""

    def instances(cpus: int, options: Options) -> Sequence[Instance]:
        return _instances(cpus, options, [driver] if driver else [])

    return Topology(instances, prepare=_prepare)


def _instances(cpus: int, options: Options, drivers: Sequence[Instance]) -> list[Instance]:
    each = min(options["guest_processors"] or cpus, options["most_guest_processors"])
    guests = options["guests"] or -(-cpus // each)
    guest = replace(KERNEL, cpus=each, native=False, quantities={"virtuals": 0})
    virtuals = guests * each + sum(driver.cpus for driver in drivers)
    below = replace(
        KERNEL, cpus=cpus, idle="hypervisor", vectors=VECTORS, quantities=NO_KERNEL | {"virtuals": virtuals}
    )
    return [below, *[guest] * guests, *drivers]


def _prepare(state: State, _: Options) -> dict[int, int]:
    """Tell the hypervisor of its virtual processors, all ready, and deal them out to the physical ones."""
    cpus = state.hardware.processors
    above = [v for v in state.virtuals if int(state.m[v + at.V_STATE]) == at.AWAY]
    homes = {}
    for index, v in enumerate(above):
        instance = state.instances.index(int(state.m[v + at.V_INSTANCE]))
        cpu, siblings = int(state.m[v + at.V_NUMBER]), int(state.m[state.instances[instance] + at.I_CPUS])
        virtual, home = state.system("Virtual", index), index % cpus
        state.set(virtual, guest=instance, cpu=cpu, number=cpus + index, first=index - cpu,
                  siblings=siblings, home=home, state=READY)  # fmt: skip
        state.insert(state.system("PhysicalProcessor", home), "ready", virtual, virtual)
        state.set(state.system("SharedInfo", cpu, instance), virtual=virtual)
        homes[v] = home
    state.set(state.system("Gang"), guest=1, virtuals=len(above), guests=len(state.instances) - 1)
    return homes
