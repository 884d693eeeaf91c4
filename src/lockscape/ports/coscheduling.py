"""New code of virtualization: when a virtual processor must make way, and which may run together.

Co-scheduling (option ``co_scheduling``): 0, none; 1, strict: all virtual processors of a guest run or none
(gang scheduling; VMware ESX 2): time is divided into slots, and the guests of a slot have no processor in
common (the matrix of Ousterhout 1982); 2, relaxed: who gets too far ahead of a sibling that waits for a
processor makes way, and the processor of the sibling turns to the next in its queue (ESX 3). That is weaker
than ESX, which keeps who is ahead stopped until the other has caught up: here two siblings on one processor
would keep each other and all the rest from getting anywhere.

A processor that has nothing to do in a slot may run what is ready for another (option ``fill_slots``).

With the option ``delayed_preemption`` a virtual processor in its kernel, where it may hold a spin lock, may
finish before it makes way, until the next tick at most (Uhlig et al. 2004): 1, its guest says when it is
there; 2, the hypervisor sees it by itself, where calls pass through it.
"""

from lockscape.ports.hypervisor_objects import (
    FAR,
    HALTED,
    KICKED,
    READY,
    RELAXED,
    SKEW_TICKS,
    STRICT,
    Gang,
    PhysicalProcessor,
    Virtual,
)
from lockscape.ports.migration import tick_balance
from lockscape.program.language import (
    NONE,
    cpus,
    function,
    masked,
    option,
    send,
    step,
    the,
    this_cpu,
)  # fmt: skip


@function()
def may_run_virtual(virtual: Virtual) -> int:
    """Return whether co-scheduling lets a virtual processor run now."""
    if option("co_scheduling") == STRICT:
        gang: Gang = the(Gang)
        return virtual.slot == gang.slot
    return 1


# --- slices -------------------------------------------------------------------------------------------------


@function("interrupt")
def hypervisor_tick() -> None:
    """The tick of a physical processor: charge the virtual one that runs here."""
    step("interrupt_entry")
    step("tick_accounting")
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    virtual = processor.running
    if virtual != NONE:
        virtual.left -= 1
        if virtual.left <= 0 or virtual.extended == 1:
            processor.reschedule = 1
        if option("co_scheduling") == RELAXED:
            watch_siblings(processor, virtual)
    if option("co_scheduling") == STRICT:
        tick_gang()
    if option("virtual_migration"):
        tick_balance()
    step("interrupt_exit")


@function()
def makes_way(processor: PhysicalProcessor, virtual: Virtual) -> int:
    """Return whether the virtual processor that runs must make way now: it may finish in its kernel, once."""
    if processor.reschedule == 0:
        return 0
    if not option("delayed_preemption") or virtual.unsafe == 0 or virtual.extended == 1:
        return 1
    processor.reschedule = 0
    virtual.extended = 1
    virtual.wanted = 1
    return 0


@function()
def watch_siblings(processor: PhysicalProcessor, virtual: Virtual) -> None:
    """Count a tick that a virtual processor has run; too far ahead it makes way."""
    virtual.progress += 1
    behind = furthest_behind(virtual)
    if is_ahead(virtual, behind) == 1:
        processor.reschedule = 1
        there: PhysicalProcessor = the(PhysicalProcessor, behind.home)
        there.reschedule = 1
        if behind.home != this_cpu():
            step("send_signal")
            send(behind.home, KICKED)


@function()
def is_ahead(virtual: Virtual, behind: Virtual) -> int:
    """Return whether a virtual processor is too far ahead of a sibling, if there is one."""
    if behind == NONE:
        return 0
    return virtual.progress > behind.progress + SKEW_TICKS


@function()
def furthest_behind(virtual: Virtual) -> Virtual:
    """Return who of a virtual processor's siblings that wait for a processor is furthest behind, or none."""
    found: Virtual = NONE
    index = virtual.first
    while index < virtual.first + virtual.siblings:
        other: Virtual = the(Virtual, index)
        if other.state == READY and (found == NONE or other.progress < found.progress):
            found = other
        index += 1
    return found


@function()
def begin_to_wait(virtual: Virtual) -> None:
    """Let a virtual processor that makes way have no credit for having been ahead of a sibling."""
    least = least_progress(virtual)
    if least < virtual.progress:
        virtual.progress = least


@function()
def least_progress(virtual: Virtual) -> int:
    """Return how far the last of a virtual processor's siblings that do not halt is; its own without any."""
    least = FAR
    index = virtual.first
    while index < virtual.first + virtual.siblings:
        other: Virtual = the(Virtual, index)
        if other != virtual and other.state != HALTED and other.progress < least:
            least = other.progress
        index += 1
    if least == FAR:
        least = virtual.progress
    return least


# --- strict co-scheduling -----------------------------------------------------------------------------------


@function()
def tick_gang() -> None:
    """Processor 0 counts the ticks of the time slot."""
    if this_cpu() != 0:
        return
    gang: Gang = the(Gang)
    gang.left -= 1
    if gang.left <= 0:
        next_turn(gang)


@function()
def ask_for_turn() -> None:
    """If all virtual processors of this time slot halt, let processor 0 find another."""
    gang: Gang = the(Gang)
    if this_cpu() == 0:
        with masked():
            end_idle_turn()
    elif slot_halts(gang, gang.slot) == 1:
        step("send_signal")
        send(0, KICKED)


@function()
def end_idle_turn() -> None:
    """Processor 0 begins another time slot if all of this one halt, with interrupts masked."""
    gang: Gang = the(Gang)
    if this_cpu() == 0 and slot_halts(gang, gang.slot) == 1:
        next_turn(gang)


@function()
def next_turn(gang: Gang) -> None:
    """Begin the next time slot in which not all halt."""
    slot = gang.slot
    tried = 0
    while tried < gang.slots:
        slot = (slot + 1) % gang.slots
        if slot_halts(gang, slot) == 0:
            break
        tried += 1
    gang.left = option("virtual_slice")
    if slot != gang.slot:
        gang.slot = slot
        cpu = 0
        while cpu < cpus():
            processor: PhysicalProcessor = the(PhysicalProcessor, cpu)
            processor.reschedule = 1
            if cpu != this_cpu():
                step("send_signal")
                send(cpu, KICKED)
            cpu += 1


@function()
def slot_halts(gang: Gang, slot: int) -> int:
    """Return whether all virtual processors of a time slot halt."""
    index = 0
    while index < gang.virtuals:
        virtual: Virtual = the(Virtual, index)
        if virtual.slot == slot and virtual.state != HALTED:
            return 0
        index += 1
    return 1
