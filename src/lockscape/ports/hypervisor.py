"""New code of virtualization: the hypervisor, which lets virtual processors run on the physical ones.

It is instance 0, on all physical processors; guests are instances above it. Each virtual processor has a
home, the physical processor that alone runs it (Xen 2 assigns domains to processors statically) until it
moves to another (option ``virtual_migration``: `lockscape.ports.migration`). There it is in a queue: first
those that were woken (boosted), then the others in turn. A virtual processor runs until it traps, halts, has
used up its slice, or makes way for another (`lockscape.ports.coscheduling`).
"""

from lockscape.kernel.objects import Processor
from lockscape.kernel.vectors import DISK, RESCHEDULE
from lockscape.machine.guests import EXIT_HALT
from lockscape.ports.coscheduling import (
    ask_for_turn,
    begin_to_wait,
    end_idle_turn,
    least_progress,
    makes_way,
    may_run_virtual,
)
from lockscape.ports.hypervisor_objects import (
    CARD_PORTS,
    CARD_RING,
    DISK_COMMAND,
    DRIVER_EVENT,
    EMULATE,
    FAR,
    GIVE_UP,
    GUEST_FAULT,
    HALTED,
    KICKED,
    KINDS,
    NOTIFY,
    PAGE_TABLE,
    PORTS,
    READY,
    RELAXED,
    RUNNING,
    SHADOW,
    STRICT,
    TO_DRIVER,
    TO_GUEST,
    VIRTUAL_TIMER,
    PhysicalProcessor,
    SharedDisk,
    SharedInfo,
    Virtual,
)  # fmt: skip
from lockscape.ports.migration import pull_virtual
from lockscape.program.language import (
    NONE,
    after,
    count,
    first,
    function,
    guest_time,
    halt,
    insert,
    mask,
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

# --- running virtual processors -----------------------------------------------------------------------------


@function()
def hypervisor() -> None:
    """Run virtual processors, one after the other; halt when none is ready."""
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    while True:
        mask()
        virtual = processor.running
        if virtual == NONE or makes_way(processor, virtual) == 1:
            virtual = choose_virtual(processor)
        if option("virtual_migration") and virtual == NONE and pull_virtual(processor) == 1:
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
            if option("co_scheduling") == RELAXED:
                begin_to_wait(before)
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
    if option("fill_slots") and chosen == NONE:
        chosen = first(processor.boosted)
        if chosen == NONE:
            chosen = first(processor.ready)
    if chosen != NONE:
        remove(processor.boosted, chosen)
        remove(processor.ready, chosen)
        chosen.state = RUNNING
        chosen.extended = 0
        chosen.wanted = 0
        if chosen.left <= 0:
            chosen.left = option("virtual_slice")
    return chosen


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
    elif kind == CARD_PORTS:
        step("emulate_port", PORTS)
    elif kind == CARD_RING:
        step("backend_request")
    elif kind == GIVE_UP:
        processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
        processor.reschedule = 1
    elif kind == TO_DRIVER:
        inject(reason // KINDS, DRIVER_EVENT)
    elif kind == TO_GUEST:
        inject(reason // KINDS, DISK)
    else:
        serve_memory(virtual, kind)


@function()
def serve_memory(virtual: Virtual, kind: int) -> None:
    """Do what a guest left for that has to do with its memory, if anything."""
    if kind == GUEST_FAULT:
        step("reflect_fault")
    elif kind == PAGE_TABLE:
        update_tables(virtual)
    elif option("trap_and_emulate") and kind == SHADOW:
        step("shadow_update")


@function()
def update_tables(virtual: Virtual) -> None:
    """Change a guest's page tables as it asks, if it may."""
    step("validate_update")


# --- halting and waking -------------------------------------------------------------------------------------


@function()
def put_to_rest(virtual: Virtual) -> None:
    """Let a virtual processor halt, unless it has an interrupt already."""
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    step("wake_virtual")
    with section("rest", processor.halted, virtual.state):
        if guest_time(virtual.number) > now():
            virtual.state = HALTED
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
    if option("co_scheduling") == RELAXED:
        virtual.progress = least_progress(virtual)  # it had nothing to do
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
    step("wake_virtual")
    cpu = virtual.home
    if option("virtual_migration"):
        cpu = -1
        while cpu != virtual.home:  # it may have moved before this queue was kept
            cpu = virtual.home
            wake_at(cpu, virtual)
    else:
        wake_at(cpu, virtual)
    if cpu != this_cpu():
        step("send_signal")
        send(cpu, KICKED)
    if option("co_scheduling") == STRICT:
        ask_for_turn()


@function()
def wake_at(cpu: int, virtual: Virtual) -> None:
    """Wake a virtual processor if it halts and this is its home."""
    home: PhysicalProcessor = the(PhysicalProcessor, cpu)
    with section("wake", home.halted, home.boosted, virtual.state):
        if virtual.state == HALTED and (not option("virtual_migration") or virtual.home == cpu):
            make_ready(home, virtual)


@function("interrupt")
def kicked() -> None:
    """Another processor has changed this one's queue, or asks processor 0 whose turn it is."""
    step("signal_entry")
    if option("co_scheduling") == STRICT:
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
            start_transfer()


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
            start_transfer()
    inject(virtual.first + virtual.cpu, DISK)
    step("interrupt_exit")


@function()
def start_transfer() -> None:
    """Have the disk do a request."""
    request(0, option("disk_cycles"), this_cpu())


# --- guests -------------------------------------------------------------------------------------------------


@function(replaces=True)
def kick(cpu: int) -> None:
    """Make a virtual processor of this guest call the scheduler soon: the hypervisor must let it run."""
    processor: Processor = the(Processor, cpu)
    if option("urgent") or processor.idling == 1:
        processor.need_resched = 1
        if cpu != this_cpu():
            trap(NOTIFY + KINDS * cpu)


@function(replaces=True)
def interrupt_runner(cpu: int) -> None:
    """Interrupt another virtual processor, so that what runs there looks for signals."""
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
