"""New code of L4Linux: Linux is a server of a microkernel, and programs send it messages.

The microkernel takes the place of the hypervisor. A program's call is a message to the Linux server and ends
with the reply; both pass through the microkernel, which so knows when the server is at work. Interrupts of
disk and network card are messages too: a thread of the server waits for them, and does what handlers did.
"""

from typing import Annotated

from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import FAULT, call_body, leave_interrupt
from lockscape.kernel.incoming import run_network
from lockscape.kernel.objects import BLOCKED, Process, Processor
from lockscape.kernel.reclaim import start_daemon
from lockscape.kernel.scheduler import queue_of, schedule, wake
from lockscape.kernel.writeback import disk_done
from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.ports import hypervisor_para
from lockscape.ports.card_work import finish_sending, take_in
from lockscape.ports.coscheduling import makes_way
from lockscape.ports.hypervisor import choose_virtual, enter_guest_kernel, leave_guest_kernel, serve
from lockscape.ports.hypervisor_objects import (
    CALL_MESSAGE,
    GUEST_FAULT,
    KINDS,
    REPLY_MESSAGE,
    PhysicalProcessor,
    Virtual,
)
from lockscape.ports.hypervisor_para import Ring, SharedInfo
from lockscape.ports.topology import Options, Topology
from lockscape.program.language import (
    NONE,
    add_return,
    atomic,
    current,
    function,
    halt,
    mask,
    masked,
    option,
    run,
    section,
    step,
    the,
    this_cpu,
    trap,
    unmask,
)  # fmt: skip
from lockscape.program.objects import Object, Racy

TOLD, SEEN = 1, 2
"""Kinds of delayed preemption: the Linux server says when it is in its kernel, or the microkernel sees it."""


class DeviceThread(Object, count=1):
    """The thread of a Linux server that waits for messages of the devices.

    `arrived` and `sent`: how often the card said that a packet has come, or is out; `taken` and `freed`: how
    many of these the thread has seen to.
    """

    thread: Annotated[Process, Racy("set once, before the run")]
    arrived: int
    sent: int
    taken: int
    freed: int


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Send the Linux server a message, or reflect a fault to it; it replies."""
    if number == FAULT:
        step("exception_entry")
        trap(GUEST_FAULT)
    else:
        trap(CALL_MESSAGE)
    if option("delayed_preemption") == TOLD:
        enter_guest_kernel()
    result = call_body(number, a, b, c)
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()
    if option("delayed_preemption") == TOLD:
        leave_guest_kernel()
    trap(REPLY_MESSAGE)
    return result


# --- the microkernel ----------------------------------------------------------------------------------------


@function(replaces=True)
def hypervisor() -> None:
    """Run virtual processors, one after the other, and pass their messages; halt when none is ready."""
    processor: PhysicalProcessor = the(PhysicalProcessor, this_cpu())
    while True:
        mask()
        virtual = processor.running
        if virtual == NONE or makes_way(processor, virtual) == 1:
            virtual = choose_virtual(processor)
        if virtual == NONE:
            halt()
        else:
            step("guest_entry")
            reason = run(virtual.number)
            step("guest_exit")
            unmask()
            pass_message(processor, virtual, reason % KINDS)
            serve(virtual, reason)


@function()
def pass_message(processor: PhysicalProcessor, virtual: Virtual, kind: int) -> None:
    """Pass a call or its reply on; see by it, and by faults, when the Linux server is in its kernel."""
    if kind == CALL_MESSAGE:
        step("ipc_path")
        see_work(virtual)
    elif kind == GUEST_FAULT:
        see_work(virtual)
    elif kind == REPLY_MESSAGE:
        step("ipc_path")
        if option("delayed_preemption") == SEEN:
            virtual.unsafe = 0
            if virtual.wanted == 1:
                virtual.wanted = 0
                processor.reschedule = 1


@function()
def see_work(virtual: Virtual) -> None:
    """See that the Linux server is in its kernel from now on."""
    if option("delayed_preemption") == SEEN:
        virtual.unsafe = 1


# --- interrupts ---------------------------------------------------------------------------------------------


@function("interrupt", replaces=True)
def disk_interrupt() -> None:
    """The backend has answered: the ring says so to the interrupts' thread."""
    send_message()


@function("interrupt", replaces=True)
def packet_arrived() -> None:
    """The network card has received a packet: say so to the interrupts' thread."""
    messages: DeviceThread = the(DeviceThread)
    told = add_return(messages.arrived, 1)
    send_message()


@function("interrupt", replaces=True)
def packet_sent() -> None:
    """The network card has sent a packet: say so to the interrupts' thread."""
    messages: DeviceThread = the(DeviceThread)
    told = add_return(messages.sent, 1)
    send_message()


@function()
def send_message() -> None:
    """Let the interrupts' thread go on, at the end of an interrupt."""
    step("interrupt_message")
    messages: DeviceThread = the(DeviceThread)
    wake(messages.thread)
    leave_interrupt()
    step("interrupt_exit")


@function()
def device_thread() -> None:
    """Wait for messages of the devices, for ever."""
    start_daemon()
    me: Process = current()
    shared: SharedInfo = the(SharedInfo, 0)
    messages: DeviceThread = the(DeviceThread)
    while True:
        with masked():
            take_answers(shared.ring)
        while messages.taken != messages.arrived:
            messages.taken += 1
            bring_packet()
        while messages.freed != messages.sent:
            messages.freed += 1
            follow_packet()
        if rest_unless_told(me, shared.ring, messages) == 1:
            schedule()


@function()
def take_answers(ring: Ring) -> None:
    """Take what the backend has answered out of the ring."""
    while ring.seen != ring.answers:
        step("message")
        ring.seen += ring.result
        disk_done()


@function()
def bring_packet() -> None:
    """Take a packet that has come to its socket."""
    with atomic():
        with masked():
            take_in()
        run_network()


@function()
def follow_packet() -> None:
    """Send the next packet after one that is out, which is freed."""
    with atomic(), masked():
        finish_sending()


@function()
def rest_unless_told(me: Process, ring: Ring, messages: DeviceThread) -> int:
    """Say that the interrupts' thread sleeps, unless there is something to do; return 1 if so."""
    asleep = 0
    queue = queue_of(this_cpu())
    with atomic(), section("rest", queue.tasks, me.state):
        left = (ring.answers - ring.seen) + (messages.arrived - messages.taken)
        left += messages.sent - messages.freed
        if left == 0:
            me.state = BLOCKED
            asleep = 1
    return asleep


def _prepare(state: State, options: Options) -> dict[int, int]:
    """Make the interrupts' thread of each Linux server, besides what paravirtualization sets up."""
    assert BELOW.prepare is not None
    homes = BELOW.prepare(state, options)
    for guest in range(1, len(state.instances) - 1):
        thread = state.new("Process")
        state.m[state.context(thread, "device_thread", "", at.KERNEL) + at.C_MASK] = 1
        state.set(thread, state=BLOCKED, slice=options["slice_ticks"], weight=options["slice_ticks"])
        state.set(state.system("DeviceThread", 0, guest), thread=thread)
    return homes


BELOW = hypervisor_para.TOPOLOGY
"""The hypervisor's topology, which this one stands on."""

TOPOLOGY = Topology(BELOW.instances, prepare=_prepare, threads=("device_thread",))
"""The guests of `hypervisor_para`, and a server's thread in each."""
