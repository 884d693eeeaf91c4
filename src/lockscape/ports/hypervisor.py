"""New code of virtualization: the hypervisor, which lets virtual processors run on the physical ones.

It is instance 0, on all physical processors; guests are instances above it. Each virtual processor has a home,
the physical processor that alone runs it (Xen 2 assigns domains to processors statically), with a queue there:
first those that were woken (boosted), then the others in turn. A virtual processor runs until it traps, halts,
has used up its slice, or another that was woken takes its place.

Co-scheduling (option ``co_scheduling``): 0, none; 1, strict: one guest at a time, all of its virtual
processors or none (gang scheduling: Ousterhout 1982; VMware ESX 2); 2, relaxed: a virtual processor that has
fallen behind goes first, and its siblings stop until it has caught up (ESX 3).

With the option ``delayed_preemption`` a guest says that it is in its kernel, where it may hold a spin lock; one
that should make way then may finish first, for up to a tick (Uhlig et al. 2004).
"""

from typing import Annotated

from lockscape.kernel.objects import Processor
from lockscape.kernel.scheduler import DISK, RESCHEDULE
from lockscape.machine.guests import EXIT_HALT
from lockscape.program.language import (
    NONE,
    after,
    count,
    cpus,
    first,
    function,
    guest_time,
    halt,
    insert,
    mask,
    masked,
    now,
    option,
    remove,
    request,
    run,
    section,
    send,
    send_instance,
    set_timer,
    step,
    the,
    this_cpu,
    trap,
    unmask,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, Racy, listed

KICKED, VIRTUAL_TIMER = 1, 3
"""Interrupt vectors of the hypervisor, beside its tick and the disk: another processor wants it to look at its
queue; a virtual processor that halts has an interrupt due."""

DRIVER_EVENT = 3
"""Interrupt vector of a driver instance: a request has come."""

NOTIFY, DISK_COMMAND, EMULATE, GUEST_CALL, GUEST_FAULT, PAGE_TABLE, GIVE_UP, TO_DRIVER, TO_GUEST = range(3, 12)
"""Why a guest traps, besides an interrupt and a halt."""

KINDS = 16
"""A trap's reason is one of these + KINDS * an argument: the number of a processor, or a virtual processor's."""

HALTED, READY, RUNNING = 0, 1, 2
"""States of a virtual processor, as the hypervisor knows it."""

STRICT, RELAXED = 1, 2
"""Kinds of co-scheduling."""

SKEW_TICKS = 2
"""Ticks that a virtual processor may wait while a sibling runs, before the sibling is stopped."""

PORTS = 8
"""Accesses to the ports of an emulated disk controller for one request: sector, count, command, status."""

FAR = 1 << 50
"""Later than any time that is waited for."""


class Virtual(Object, count="virtuals"):
    """A virtual processor: number `cpu` of the instance `guest`, the machine's number `number`.

    `first`: the index of its guest's first one; `siblings`: how many its guest has; `left`: ticks of its slice.
    """

    guest: int
    cpu: int
    number: int
    first: int
    siblings: int
    home: int
    left: int
    state: Annotated[int, Racy("other processors look at it to co-schedule; an old value costs time only")]
    skew: Annotated[int, Racy("ticks that it is behind, a measure that need not be exact")]
    extended: int
    unsafe: Annotated[int, Racy("a hint of the guest's: it is in its kernel")]
    wanted: Annotated[int, Racy("a hint of the hypervisor's: the guest should give up its processor")]


class PhysicalProcessor(Object, count="cpus"):
    """A physical processor, as the hypervisor knows it."""

    running: Virtual
    reschedule: Annotated[int, Racy("set by other processors, which then send an interrupt")]
    boosted: Collection = listed(Virtual)
    ready: Collection = listed(Virtual)
    halted: Collection = listed(Virtual)


class Gang(Object, count=1):
    """Which guest's turn it is with strict co-scheduling; processor 0 decides. `virtuals`: how many there are,
    of guests 1 to `guests`."""

    guest: Annotated[int, Racy("written by processor 0, which then interrupts the others")]
    left: int
    virtuals: int
    guests: int


class SharedDisk(Object, count=1):
    """The physical disk: who waits for it, the first of them served."""

    busy: int
    waiting: Collection = listed(Virtual)


class SharedInfo(Object, count="cpus"):
    """What a guest's processor and the hypervisor share."""

    virtual: Virtual


# --- running virtual processors -----------------------------------------------------------------------------


@function()
def hypervisor() -> None:
    """Run virtual processors, one after the other; halt when none is ready."""
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    while True:
        mask()
        virtual = processor.running
        if virtual == NONE or processor.reschedule == 1:
            virtual = choose_virtual(processor)
        if virtual == NONE:
            halt()
        else:
            step("guest_entry")
            reason = run(virtual.number)
            step("guest_exit")
            unmask()
            serve(virtual, reason)


@function()
def choose_virtual(processor: PhysicalProcessor) -> Virtual:
    """Put the virtual processor that ran back into the queue and take the next one out, or none."""
    step("choose_virtual")
    before = processor.running
    with section("choose", processor.boosted, processor.ready):
        processor.reschedule = 0
        if before != NONE:
            before.state = READY
            insert(processor.ready, before, before)
        chosen = take_virtual(processor)
        processor.running = chosen
    if chosen != NONE and chosen != before:
        step("world_switch")
    return chosen


@function()
def take_virtual(processor: PhysicalProcessor) -> Virtual:
    """Take the first virtual processor that may run out of the queue; the caller has the queue's lock."""
    chosen: Virtual = first(processor.boosted)
    while chosen != NONE and may_run_virtual(chosen) == 0:
        chosen = after(processor.boosted, chosen)
    if chosen == NONE:
        chosen = first(processor.ready)
        while chosen != NONE and may_run_virtual(chosen) == 0:
            chosen = after(processor.ready, chosen)
    if chosen != NONE:
        remove(processor.boosted, chosen)
        remove(processor.ready, chosen)
        chosen.state = RUNNING
        chosen.extended = 0
        if chosen.left <= 0:
            chosen.left = option("virtual_slice")
    return chosen


@function()
def may_run_virtual(virtual: Virtual) -> int:
    """Return whether co-scheduling lets a virtual processor run now."""
    if option("co_scheduling") == STRICT:
        gang: Gang = the(Gang)
        return virtual.guest == gang.guest
    if option("co_scheduling") == RELAXED:
        return virtual.skew > SKEW_TICKS or most_skew(virtual) <= SKEW_TICKS
    return 1


@function()
def serve(virtual: Virtual, reason: int) -> None:
    """Do what a guest left for; after an interrupt of the hypervisor's there is nothing left to do."""
    kind = reason % KINDS
    if kind == EXIT_HALT:
        put_to_rest(virtual)
    elif kind == NOTIFY:
        inject(virtual.first + reason // KINDS, RESCHEDULE)
    elif kind == DISK_COMMAND:
        disk_command(virtual)
    elif kind == EMULATE:
        step("emulate_port", PORTS)
        disk_command(virtual)
    elif kind == GUEST_FAULT:
        step("reflect_fault")
    elif kind == PAGE_TABLE:
        step("validate_update")
    elif kind == GIVE_UP:
        processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
        processor.reschedule = 1
    elif kind == TO_DRIVER:
        inject(reason // KINDS, DRIVER_EVENT)
    elif kind == TO_GUEST:
        inject(reason // KINDS, DISK)


# --- halting and waking -------------------------------------------------------------------------------------


@function()
def put_to_rest(virtual: Virtual) -> None:
    """Let a virtual processor halt, unless it has an interrupt already."""
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    step("wake_virtual")
    with section("rest", processor.halted, virtual.state):
        if guest_time(virtual.number) > now():
            virtual.state = HALTED
            virtual.skew = 0
            insert(processor.halted, virtual, virtual)
            processor.running = NONE
    wake_due(processor)
    if option("co_scheduling") == STRICT:
        ask_for_turn()


@function()
def wake_due(processor: PhysicalProcessor) -> None:
    """Wake the halted virtual processors whose interrupts are due, and set the timer for the next of them."""
    soonest = FAR
    with section("due", processor.halted, processor.boosted):
        virtual: Virtual = first(processor.halted)
        while virtual != NONE:
            next: Virtual = after(processor.halted, virtual)
            due = guest_time(virtual.number)
            if due <= now():
                make_ready(processor, virtual)
            elif due < soonest:
                soonest = due
            virtual = next
    if soonest < FAR:
        wait = soonest - now()
        if wait < 0:
            wait = 0
        set_timer(VIRTUAL_TIMER, wait)


@function()
def make_ready(processor: PhysicalProcessor, virtual: Virtual) -> None:
    """Let a halted virtual processor be the next of its home; the caller has the queue's lock."""
    remove(processor.halted, virtual)
    virtual.state = READY
    insert(processor.boosted, virtual, virtual)
    processor.reschedule = 1


@function()
def inject(index: int, vector: int) -> None:
    """Raise an interrupt on a virtual processor, and see that it runs."""
    target: Virtual = the(Virtual, index)
    step("event_channel")
    send_instance(target.guest, target.cpu, vector)
    wake_virtual(target)


@function()
def wake_virtual(virtual: Virtual) -> None:
    """Wake a virtual processor that halts; one that runs elsewhere leaves its guest to see the interrupt."""
    home: PhysicalProcessor = the(PhysicalProcessor, virtual.home)
    step("wake_virtual")
    with section("wake", home.halted, home.boosted, virtual.state):
        if virtual.state == HALTED:
            make_ready(home, virtual)
    if virtual.home != this_cpu():
        step("send_signal")
        send(virtual.home, KICKED)
    if option("co_scheduling") == STRICT:
        ask_for_turn()


@function("interrupt")
def kicked() -> None:
    """Another processor has changed this one's queue, or asks processor 0 whose turn it is."""
    step("signal_entry")
    if option("co_scheduling") == STRICT:
        if this_cpu() == 0:
            end_idle_turn()
    step("interrupt_exit")


@function("interrupt")
def virtual_timer() -> None:
    """A virtual processor that halts has an interrupt due."""
    step("interrupt_entry")
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    wake_due(processor)
    if option("co_scheduling") == STRICT:
        ask_for_turn()
    step("interrupt_exit")


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
        if virtual.left <= 0:
            end_slice(processor, virtual)
        if option("co_scheduling") == RELAXED:
            watch_siblings(processor, virtual)
    if option("co_scheduling") == STRICT:
        if this_cpu() == 0:
            tick_gang()
    step("interrupt_exit")


@function()
def end_slice(processor: PhysicalProcessor, virtual: Virtual) -> None:
    """A slice is over: let another run, but a guest that is in its kernel go on until it says, or a tick."""
    if option("delayed_preemption"):
        if virtual.unsafe == 1 and virtual.extended == 0:
            virtual.extended = 1
            virtual.wanted = 1
        else:
            processor.reschedule = 1
    else:
        processor.reschedule = 1


@function()
def watch_siblings(processor: PhysicalProcessor, virtual: Virtual) -> None:
    """Count a tick for the siblings that wait while this virtual processor runs, and against its own lag."""
    if virtual.skew > 0:
        virtual.skew -= 1
    index = virtual.first
    while index < virtual.first + virtual.siblings:
        other: Virtual = the(Virtual, index)
        if other.state == READY:
            other.skew += 1
            if other.skew > SKEW_TICKS:
                there: PhysicalProcessor = the(PhysicalProcessor, other.home)
                there.reschedule = 1
                if virtual.skew <= SKEW_TICKS:
                    processor.reschedule = 1
                step("send_signal")
                send(other.home, KICKED)
        index += 1


@function()
def most_skew(virtual: Virtual) -> int:
    """Return how far the last of a virtual processor's siblings is behind."""
    most = 0
    index = virtual.first
    while index < virtual.first + virtual.siblings:
        other: Virtual = the(Virtual, index)
        if other.skew > most and other.state == READY:
            most = other.skew
        index += 1
    return most


# --- strict co-scheduling -----------------------------------------------------------------------------------


@function()
def tick_gang() -> None:
    """Count the slice of the guest whose turn it is."""
    gang: Gang = the(Gang)
    gang.left -= 1
    if gang.left <= 0:
        next_turn(gang)


@function()
def ask_for_turn() -> None:
    """If all virtual processors of the guest whose turn it is halt, let processor 0 find another."""
    gang: Gang = the(Gang)
    if this_cpu() == 0:
        with masked():
            end_idle_turn()
    elif guest_halts(gang, gang.guest) == 1:
        step("send_signal")
        send(0, KICKED)


@function()
def end_idle_turn() -> None:
    """Let another guest have its turn if this one has nothing to do; the caller has masked interrupts."""
    gang: Gang = the(Gang)
    if guest_halts(gang, gang.guest) == 1:
        next_turn(gang)


@function()
def next_turn(gang: Gang) -> None:
    """Let the next guest that does not halt have all processors."""
    guest = gang.guest
    tried = 0
    while tried < gang.guests:
        guest = guest % gang.guests + 1
        if guest_halts(gang, guest) == 0:
            break
        tried += 1
    gang.left = option("virtual_slice")
    if guest != gang.guest:
        gang.guest = guest
        cpu = 0
        while cpu < cpus():
            processor: PhysicalProcessor = the(PhysicalProcessor, cpu)
            processor.reschedule = 1
            if cpu != this_cpu():
                step("send_signal")
                send(cpu, KICKED)
            cpu += 1


@function()
def guest_halts(gang: Gang, guest: int) -> int:
    """Return whether all virtual processors of a guest halt."""
    index = 0
    while index < gang.virtuals:
        virtual: Virtual = the(Virtual, index)
        if virtual.guest == guest and virtual.state != HALTED:
            return 0
        index += 1
    return 1


# --- the disk that all share --------------------------------------------------------------------------------


@function()
def disk_command(virtual: Virtual) -> None:
    """Queue a request of a guest's for the disk."""
    disk: SharedDisk = the(SharedDisk)
    step("queue_request")
    with section("ask", disk.waiting, disk.busy):
        insert(disk.waiting, virtual, virtual)
        if disk.busy == 0:
            disk.busy = 1
            request(0, option("disk_cycles"), this_cpu())


@function("interrupt")
def physical_disk() -> None:
    """The disk has done a request: tell the guest, and go on with the next."""
    step("interrupt_entry")
    disk: SharedDisk = the(SharedDisk)
    with section("done", disk.waiting, disk.busy):
        step("request_done")
        virtual: Virtual = first(disk.waiting)
        remove(disk.waiting, virtual)
        disk.busy = count(disk.waiting) > 0
        if disk.busy == 1:
            request(0, option("disk_cycles"), this_cpu())
    inject(virtual.first + virtual.cpu, DISK)
    step("interrupt_exit")


# --- guests -------------------------------------------------------------------------------------------------


@function(replaces=True)
def kick(cpu: int) -> None:
    """Make a virtual processor of this guest call the scheduler soon: the hypervisor must see that it runs."""
    processor: Processor = the(Processor, cpu)
    if processor.idling == 1:
        processor.need_resched = 1
        if cpu != this_cpu():
            trap(NOTIFY + KINDS * cpu)


@function()
def enter_guest_kernel() -> None:
    """Tell the hypervisor that this virtual processor is in its kernel."""
    shared: SharedInfo = the(SharedInfo, this_cpu())
    virtual = shared.virtual
    virtual.unsafe = 1


@function()
def leave_guest_kernel() -> None:
    """Tell the hypervisor that this virtual processor leaves its kernel, and give it up if that waited."""
    shared: SharedInfo = the(SharedInfo, this_cpu())
    virtual = shared.virtual
    virtual.unsafe = 0
    if virtual.wanted == 1:
        virtual.wanted = 0
        trap(GIVE_UP)
