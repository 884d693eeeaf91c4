"""New code of L4Linux: Linux is a server of a microkernel, and programs send it messages.

The microkernel takes the place of the hypervisor. A program's call is a message to the Linux server and ends
with the reply; both pass through the microkernel, which so knows when the server is at work. The disk's
interrupt is a message too: a thread of the server waits for it, and does what the interrupt handler did.
"""

from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import FAULT, call_body, leave_interrupt
from lockscape.kernel.objects import BLOCKED, Process, Processor
from lockscape.kernel.reclaim import start_daemon
from lockscape.kernel.scheduler import queue_of, schedule, wake
from lockscape.kernel.writeback import disk_done
from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.ports import hypervisor_para
from lockscape.ports.hypervisor import enter_guest_kernel, leave_guest_kernel
from lockscape.ports.hypervisor_objects import CALL_MESSAGE, GUEST_FAULT, REPLY_MESSAGE, TOLD
from lockscape.ports.hypervisor_para import Ring, SharedInfo
from lockscape.ports.topology import Options, Topology
from lockscape.program.language import (
    atomic,
    current,
    function,
    masked,
    option,
    section,
    step,
    the,
    this_cpu,
    trap,
)  # fmt: skip
from lockscape.program.objects import Object


class InterruptThread(Object, count=1):
    """The thread of the Linux server that waits for messages of the disk."""

    thread: Process


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Send the Linux server a message, or reflect a fault to it; it replies."""
    if number == FAULT:
        step("exception_entry")
        trap(GUEST_FAULT)
    elif option("message_calls"):
        trap(CALL_MESSAGE)
    else:
        step("syscall_entry")
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
    if option("message_calls"):
        trap(REPLY_MESSAGE)
    else:
        step("syscall_exit")
    return result


# --- interrupts ---------------------------------------------------------------------------------------------


@function("interrupt", replaces=True)
def disk_interrupt() -> None:
    """The backend has answered: send the interrupt's thread a message, or take the answers at once."""
    if option("message_calls"):
        step("interrupt_message")
        waits: InterruptThread = the(InterruptThread)
        wake(waits.thread)
    else:
        step("interrupt_entry")
        take_answers()
    leave_interrupt()
    step("interrupt_exit")


@function()
def interrupt_thread() -> None:
    """Wait for messages of the disk, for ever."""
    start_daemon()
    me: Process = current()
    shared: SharedInfo = the(SharedInfo, 0)
    while True:
        with masked():
            take_answers()
        if rest(me, shared.ring) == 1:
            schedule()


@function()
def take_answers() -> None:
    """Take what the backend has answered out of the ring."""
    shared: SharedInfo = the(SharedInfo, 0)
    ring = shared.ring
    while ring.seen != ring.answers:
        step("message")
        ring.seen += ring.result
        disk_done()


@function()
def rest(me: Process, ring: Ring) -> int:
    """Say that the interrupt's thread sleeps, unless there are answers; return 1 if so."""
    asleep = 0
    queue = queue_of(this_cpu())
    with atomic(), section("rest", queue.tasks, me.state):
        if ring.seen == ring.answers:
            me.state = BLOCKED
            asleep = 1
    return asleep


def _prepare(state: State, options: Options) -> dict[int, int]:
    """Make the interrupt's thread of each Linux server, besides what paravirtualization sets up."""
    assert BELOW.prepare is not None
    homes = BELOW.prepare(state, options)
    for guest in range(1, len(state.instances) - 1):
        thread = state.new("Process")
        state.m[state.context(thread, "interrupt_thread", "", at.KERNEL) + at.C_MASK] = 1
        state.set(thread, state=BLOCKED, slice=options["slice_ticks"], weight=options["slice_ticks"])
        state.set(state.system("InterruptThread", 0, guest), thread=thread)
    return homes


BELOW = hypervisor_para.TOPOLOGY

TOPOLOGY = Topology(BELOW.instances, prepare=_prepare)
