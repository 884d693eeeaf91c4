"""Which instances a virtualized machine has: the hypervisor, its guests, perhaps one with the drivers.

The options ``guests`` and ``guest_processors`` say how many guests there are and how many virtual processors
each has; 0 stands for as many as give every physical processor a virtual one. So one guest of 0 processors is
an SMP guest on the whole machine, up to what the product allows (``most_guest_processors``), and 0 guests of
one processor are a guest per processor.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lockscape.kernel.vectors import DISK, TICK
from lockscape.machine import layout as at
from lockscape.machine.state import Instance, State
from lockscape.ports.hypervisor_objects import KICKED, READY, STRICT, VIRTUAL_TIMER
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology

VECTORS = {TICK: "hypervisor_tick", KICKED: "kicked", DISK: "physical_disk", VIRTUAL_TIMER: "virtual_timer"}
"""Interrupts of the hypervisor. It has no system calls and no lock to sleep for; it names the kernel's."""


def topology_of(driver: Instance | None = None) -> Topology:
    """Return the topology of a hypervisor with guests, and above them the instance that has the drivers."""

    def instances(cpus: int, options: Options) -> Sequence[Instance]:
        return _instances(cpus, options, [driver] if driver else [])

    return Topology(instances, prepare=_prepare)


def _instances(cpus: int, options: Options, drivers: Sequence[Instance]) -> list[Instance]:
    guests = guests_of(cpus, options)
    virtuals = sum(each.cpus for each in (*guests, *drivers))
    return [hypervisor_on(cpus, virtuals, options), *guests, *drivers]


def guests_of(cpus: int, options: Options) -> list[Instance]:
    """Return the guests of a hypervisor on so many processors."""
    each = min(options["guest_processors"] or cpus, options["most_guest_processors"])
    if options["co_scheduling"] == STRICT:  # they must all run at once
        each = min(each, cpus)
    guest = replace(KERNEL, cpus=each, native=False, quantities={"virtuals": 0})
    return [guest] * (options["guests"] or -(-cpus // each))


def hypervisor_on(cpus: int, virtuals: int, options: Options, first: int = 0) -> Instance:
    """Return a hypervisor on so many processors, from the `first` on, with so many virtual ones above it."""
    return replace(
        KERNEL, cpus=cpus, first=first, idle="hypervisor", vectors=VECTORS,
        quantities=NO_KERNEL | {"virtuals": virtuals}, ticks=options["hypervisor_ticks"],
    )  # fmt: skip


def _prepare(state: State, _: Options) -> dict[int, int]:
    return introduce(state, 0, range(1, len(state.instances)))


def introduce(state: State, below: int, guests: Sequence[int]) -> dict[int, int]:
    """Tell a hypervisor of its guests' virtual processors, all ready, and deal them out to its physical ones.

    Return the physical processor of each. Instances are given by their numbers.
    """
    cpus = int(state.m[state.instances[below] + at.I_CPUS])
    first = int(state.m[int(state.m[state.instances[below] + at.I_VIRTUAL]) + at.V_PROCESSOR])
    above = [v for v in state.virtuals if _instance(state, v) in guests]
    homes: dict[int, int] = {}
    used: dict[int, set[int]] = {}
    for index, v in enumerate(above):
        guest, cpu = _instance(state, v), int(state.m[v + at.V_NUMBER])
        siblings = int(state.m[state.instances[guest] + at.I_CPUS])
        virtual, home = state.system("Virtual", index, below), index % cpus
        state.set(virtual, guest=guest, cpu=cpu, number=int(state.m[v + at.V_INDEX]), first=index - cpu,
                  siblings=siblings, home=home, state=READY)  # fmt: skip
        state.insert(state.system("PhysicalProcessor", home, below), "ready", virtual, virtual)
        state.set(state.system("SharedInfo", cpu, guest), virtual=virtual)
        homes[v] = first + home
        used.setdefault(guest, set()).add(home)
    slots = time_slots(used)
    for index, v in enumerate(above):
        state.set(state.system("Virtual", index, below), slot=slots[_instance(state, v)])
    state.set(state.system("Gang", 0, below), virtuals=len(above), slots=1 + max(slots.values()))
    return homes


def _instance(state: State, v: int) -> int:
    return state.instances.index(int(state.m[v + at.V_INSTANCE]))


def time_slots(guests: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Return a time slot for each guest: the first in which no other has a processor that it needs.

    `guests`: the processors of each.
    """
    taken: list[set[int]] = []
    slots = {}
    for guest, processors in guests.items():
        free = (k for k, others in enumerate(taken) if others.isdisjoint(processors))
        slots[guest] = next(free, len(taken))
        taken += [set()] * (slots[guest] == len(taken))
        taken[slots[guest]] |= set(processors)
    return slots
