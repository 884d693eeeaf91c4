"""New code of paravirtualization: guests whose kernel was changed to call the hypervisor.

A system call enters the guest's kernel at once; a page fault comes by way of the hypervisor, and changes of a
page table are hypercalls, which it validates (Xen: Barham et al. 2003). Drivers are split: the frontend in a
guest puts a request into the ring that it shares with the backend, in an instance of its own that has the
device, and signals it through the hypervisor (an event channel); the answer comes back the same way. Without
split drivers (option ``split_drivers``) the hypervisor drives the disk itself, as Xen 1 did.
"""

from collections.abc import Sequence
from dataclasses import replace

from lockscape.kernel.card import SENDING
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import DISK_LINE, FAULT, call_body, leave_interrupt, mark_line
from lockscape.kernel.objects import Area, Buffer, Disk, Memory, Processor
from lockscape.kernel.scheduler import schedule
from lockscape.kernel.vectors import ARRIVED, DISK, SENT, TICK
from lockscape.kernel.writeback import disk_done
from lockscape.machine.state import Instance, State
from lockscape.ports import hypervisor_objects
from lockscape.ports.hypervisor import enter_guest_kernel, leave_guest_kernel
from lockscape.ports.hypervisor_objects import (
    CARD_RING,
    DISK_COMMAND,
    DRIVER_EVENT,
    GUEST_FAULT,
    KINDS,
    PAGE_TABLE,
    TO_DRIVER,
    TO_GUEST,
)
from lockscape.ports.hypervisor_topology import topology_of
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology
from lockscape.program.language import (
    NONE,
    after,
    barrier,
    count,
    first,
    function,
    halt,
    insert,
    mask,
    oldest,
    option,
    remove,
    section,
    set_timer,
    step,
    the,
    this_cpu,
    trap,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, listed


class Ring(Object):
    """Memory that a frontend and the backend share: how many requests and answers have been put into it.

    `block`: the block of the last request, `result` of the last answer: each is written before that is
    counted, and not again before the other side's next one has been seen (`Disk.busy`). `taken`: requests
    that the backend has taken, `seen`: answers that the frontend has. `frontend` and `backend`: indices of
    the virtual processors to signal.
    """

    requests: int
    answers: int
    taken: int
    seen: int
    block: int
    result: int
    frontend: int
    backend: int


class SharedInfo(hypervisor_objects.SharedInfo, extends=True):
    """What a guest's processor and the hypervisor share, and the guest's ring."""

    ring: Ring


class Backend(Object, count=1):
    """The backend driver: the rings of all guests, and those whose requests wait for the disk, with the
    blocks."""

    busy: int
    rings: Collection = listed(Ring)
    queue: Collection = listed()


# --- guests -------------------------------------------------------------------------------------------------


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Enter the guest's kernel: by a system call at once, by a page fault through the hypervisor."""
    if number == FAULT:
        step("exception_entry")
        trap(GUEST_FAULT)
    else:
        step("syscall_entry")
    if option("delayed_preemption"):
        enter_guest_kernel()
    result = call_body(number, a, b, c)
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()
    if option("delayed_preemption"):
        leave_guest_kernel()
    step("syscall_exit")
    return result


@function(replaces=True)
def set_page(memory: Memory, area: Area) -> None:
    """Enter a page into the page table, by a hypercall."""
    with section("set", area.page, memory.pages):
        trap(PAGE_TABLE)
        area.page += 1
        memory.pages += 1


@function(replaces=True)
def zap(memory: Memory, area: Area, pages: int) -> None:
    """Take the pages of a range out of the page table by a hypercall (mmu_update takes several)."""
    with section("zap", area.page, memory.pages):
        step("zap_page", pages)
        trap(PAGE_TABLE)
        area.page = 0
        memory.pages -= pages


@function(replaces=True)
def start_disk() -> None:
    """Give the disk its next request: put it into the ring and signal the backend."""
    disk: Disk = the(Disk)
    with section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            if option("split_drivers"):
                shared: SharedInfo = the(SharedInfo, 0)
                ring = shared.ring
                step("message")
                buffer: Buffer = first(disk.queue)
                ring.block = buffer.block
                requests = ring.requests + 1
                barrier()
                ring.requests = requests  # after what it tells of: the backend may look before its signal
                trap(TO_DRIVER + KINDS * ring.backend)
            else:
                trap(DISK_COMMAND)


@function("interrupt", replaces=True)
def disk_interrupt() -> None:
    """The disk has done a request: take the backend's answers out of the ring."""
    step("interrupt_entry")
    if option("interrupt_lines"):
        mark_line(DISK_LINE, 1)
    if option("split_drivers"):
        shared: SharedInfo = the(SharedInfo, 0)
        ring = shared.ring
        while ring.seen != ring.answers:
            step("message")
            ring.seen += ring.result
            disk_done()
    else:
        disk_done()
    if option("interrupt_lines"):
        mark_line(DISK_LINE, 0)
    leave_interrupt()
    step("interrupt_exit")


@function(replaces=True)
def ask_card(way: int, cycles: int) -> None:
    """Ask the guest's own network card by way of the backend; it interrupts when it is done."""
    step("message")
    trap(CARD_RING)
    if way == SENDING:
        set_timer(SENT, cycles)
    else:
        set_timer(ARRIVED, cycles)


# --- the driver instance ------------------------------------------------------------------------------------


@function()
def driver_idle() -> None:
    """Wait for requests and answers: all is done in interrupt handlers."""
    while True:
        mask()
        halt()


@function("interrupt")
def driver_tick() -> None:
    """The tick of the driver instance."""
    step("interrupt_entry")
    step("tick_accounting")
    step("interrupt_exit")


@function("interrupt")
def backend_event() -> None:
    """Requests have come: take them out of the rings."""
    step("interrupt_entry")
    backend: Backend = the(Backend)
    ring: Ring = first(backend.rings)
    while ring != NONE:
        if ring.taken != ring.requests:
            step("message")
            step("backend_request")
            ring.taken += 1
            insert(backend.queue, ring, ring.block)
        ring = after(backend.rings, ring)
    start_backend(backend)
    step("interrupt_exit")


@function("interrupt")
def backend_disk() -> None:
    """The disk has done a request: put the answer into its ring, signal the guest, and go on."""
    step("interrupt_entry")
    backend: Backend = the(Backend)
    ring: Ring = oldest(backend.queue)
    remove(backend.queue, ring)
    backend.busy = 0
    step("request_done")
    step("message")
    ring.result = 1
    answers = ring.answers + 1
    barrier()
    ring.answers = answers
    trap(TO_GUEST + KINDS * ring.frontend)
    start_backend(backend)
    step("interrupt_exit")


@function()
def start_backend(backend: Backend) -> None:
    """Give the disk its next request, if it has nothing to do."""
    if backend.busy == 0 and count(backend.queue) > 0:
        step("disk_command")
        backend.busy = 1
        trap(DISK_COMMAND)


DRIVER = replace(
    KERNEL, cpus=1, idle="driver_idle", native=False, quantities=NO_KERNEL | {"virtuals": 0},
    vectors={TICK: "driver_tick", DISK: "backend_disk", DRIVER_EVENT: "backend_event"},
)  # fmt: skip
"""The instance with the drivers, above all guests."""

BELOW, UNDIVIDED = topology_of(DRIVER), topology_of()
"""A hypervisor with the driver's guest beside the others, and one whose guests have no such."""


def _instances(cpus: int, options: Options) -> Sequence[Instance]:
    return (BELOW if options["split_drivers"] else UNDIVIDED).instances(cpus, options)


def _prepare(state: State, options: Options) -> dict[int, int]:
    """Make the rings, besides what a hypervisor knows; nobody uses them without an instance for drivers."""
    assert BELOW.prepare is not None
    homes = BELOW.prepare(state, options)
    last = len(state.instances) - 1
    for guest in range(1, last):
        shared = state.system("SharedInfo", 0, guest)
        ring = state.new("Ring")
        state.set(ring, frontend=state.get(state.get(shared, "virtual"), "first"), backend=len(homes) - 1)
        state.set(shared, ring=ring)
        state.insert(state.system("Backend", 0, last), "rings", ring, ring)
    return homes


TOPOLOGY = Topology(_instances, prepare=_prepare)
"""Guests whose devices are the driver guest's."""
