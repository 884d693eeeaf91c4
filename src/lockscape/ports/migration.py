"""New code of virtualization: virtual processors that move between the physical ones.

Two balancers, as in Cellular Disco (Govil et al., SOSP 1999): a processor that has nothing to do takes a
virtual one that waits elsewhere, from its own node if it can; and every ``balance_ticks`` ticks one is moved
from the processor with the longest queue to that with the shortest. None comes to a processor where another
one is awake with which it should run at the same time.

To take another's place in a queue is cheap; beyond a node the hypervisor's own table of translations (the
second-level TLB) must be copied.
"""

from lockscape.ports import hypervisor_objects
from lockscape.ports.hypervisor_objects import HALTED, KICKED, STRICT, PhysicalProcessor, Virtual
from lockscape.program.language import (
    NONE,
    after,
    count,
    cpus,
    first,
    function,
    insert,
    option,
    remove,
    section,
    send,
    step,
    the,
    this_cpu,
)


class Gang(hypervisor_objects.Gang, extends=True):
    """Which time slot it is, and in how many ticks of the first processor it balances."""

    balance: int


@function()
def pull_virtual(processor: PhysicalProcessor) -> int:
    """Put a virtual processor that waits elsewhere into this queue, a near one first; return 1 if it did."""
    taken: Virtual = NONE
    far = 0
    while far <= 1 and taken == NONE:
        cpu = 0
        while cpu < cpus() and taken == NONE:
            if cpu != this_cpu() and is_far(cpu, this_cpu()) == far:
                step("look_at_cpu")
                taken = take_from(cpu, this_cpu())
            cpu += 1
        far += 1
    if taken == NONE:
        return 0
    with section("pull", processor.boosted):
        insert(processor.boosted, taken, taken)
    return 1


@function()
def is_far(one: int, other: int) -> int:
    """Return whether two processors are in different nodes."""
    far: int = one // option("node_processors") != other // option("node_processors")
    return far


@function()
def take_from(cpu: int, there: int) -> Virtual:
    """Take the first virtual processor out of a processor's queue that may go to another; it is at home there
    from now on."""
    source: PhysicalProcessor = the(PhysicalProcessor, cpu)
    with section("take", source.boosted, source.ready):
        taken: Virtual = first(source.boosted)
        while taken != NONE and may_move(taken, there) == 0:
            taken = after(source.boosted, taken)
        if taken == NONE:
            taken = first(source.ready)
            while taken != NONE and may_move(taken, there) == 0:
                taken = after(source.ready, taken)
        if taken != NONE:
            remove(source.boosted, taken)
            remove(source.ready, taken)
            taken.home = there
    if taken != NONE:
        step("migrate_near")
        if is_far(cpu, there) == 1:
            step("migrate_far")
    return taken


@function()
def may_move(virtual: Virtual, cpu: int) -> int:
    """Return whether nobody is awake on a processor who should run at the same time as a virtual one."""
    gang: Gang = the(Gang)
    index = 0
    while index < gang.virtuals:
        other: Virtual = the(Virtual, index)
        if other.home == cpu and other.state != HALTED:
            if option("co_scheduling") == STRICT:
                if other.slot == virtual.slot:
                    return 0
            elif other.guest == virtual.guest:
                return 0
        index += 1
    return 1


@function()
def tick_balance() -> None:
    """Every few ticks the first processor moves one from the longest queue to the shortest."""
    if this_cpu() != 0:
        return
    gang: Gang = the(Gang)
    gang.balance -= 1
    if gang.balance > 0:
        return
    gang.balance = option("balance_ticks")
    longest = 0
    shortest = 0
    most = 0
    least = 1 << 20
    cpu = 0
    while cpu < cpus():
        step("look_at_cpu")
        load = load_of(cpu)
        if load > most:
            most = load
            longest = cpu
        if load < least:
            least = load
            shortest = cpu
        cpu += 1
    if most > least + 1:
        give_virtual(longest, shortest)


@function()
def load_of(cpu: int) -> int:
    """Return how many virtual processors run or wait on a processor."""
    processor: PhysicalProcessor = the(PhysicalProcessor, cpu)
    with section("load", processor.boosted, processor.ready):
        load: int = count(processor.boosted) + count(processor.ready)
        if processor.running != NONE:
            load += 1
    return load


@function()
def give_virtual(source: int, cpu: int) -> None:
    """Move a virtual processor that waits from one queue to another."""
    taken = take_from(source, cpu)
    if taken != NONE:
        target: PhysicalProcessor = the(PhysicalProcessor, cpu)
        with section("give", target.ready):
            insert(target.ready, taken, taken)
        if cpu != this_cpu():
            step("send_signal")
            send(cpu, KICKED)
