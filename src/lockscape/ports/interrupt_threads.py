"""New code of kernels in which threads do the work of devices' interrupts, so that it may wait for locks.

The handler only notes what has come and wakes the thread, which is urgent: it goes before all processes, and
the processor that was interrupted calls the scheduler at the end of the handler (FreeBSD 5: one for each
device; Solaris: each processor has its own). In a preemptible kernel the thread so runs at once, unless the
processor holds a spinning lock; then at the end of the system call.

The clock's interrupt is done as in other kernels. With ``interrupt_threads`` = 0, handlers do all themselves.
"""

from lockscape.kernel.entry import leave_interrupt
from lockscape.kernel.incoming import look_at_packets, run_network_in_handler
from lockscape.kernel.objects import BLOCKED, Process, Processor
from lockscape.kernel.scheduler import finish_switch, queue_of, schedule, wake
from lockscape.kernel.writeback import disk_done
from lockscape.ports.card_work import finish_sending, take_in
from lockscape.program.language import (
    atomic,
    current,
    function,
    option,
    section,
    step,
    swap,
    the,
    this_cpu,
)
from lockscape.program.language import unmask as unmask_interrupts
from lockscape.program.objects import Object

DISK_THREAD, CARD_THREAD = 0, 1
"""Numbers of the threads, where each device has one."""


class InterruptThread(Object, count="interrupt_threads"):
    """A thread that does interrupts, and which have come and were not done, each 0 or 1.

    `lent`: the process to which it has lent its urgency (`turnstiles`).
    """

    process: Process
    lent: Process
    disk: int
    arrived: int
    sent: int


# --- handlers -----------------------------------------------------------------------------------------------


@function("interrupt", replaces=True)
def disk_interrupt() -> None:
    """The disk has done a request."""
    step("interrupt_entry")
    if option("interrupt_threads"):
        thread = thread_of(DISK_THREAD)
        swap(thread.disk, 1)
        call_thread(thread)
    else:
        disk_done()
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt", replaces=True)
def packet_arrived() -> None:
    """The network card has received a packet."""
    step("interrupt_entry")
    if option("interrupt_threads"):
        thread = thread_of(CARD_THREAD)
        swap(thread.arrived, 1)
        call_thread(thread)
    else:
        take_in()
        run_network_in_handler()
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt", replaces=True)
def packet_sent() -> None:
    """The network card has sent a packet."""
    step("interrupt_entry")
    if option("interrupt_threads"):
        thread = thread_of(CARD_THREAD)
        swap(thread.sent, 1)
        call_thread(thread)
    else:
        finish_sending()
    leave_interrupt()
    step("interrupt_exit")


@function()
def thread_of(number: int) -> InterruptThread:
    """Return the thread of a device, or of this processor."""
    if option("interrupt_threads") == 2:
        number = this_cpu()
    thread: InterruptThread = the(InterruptThread, number)
    return thread


@function()
def call_thread(thread: InterruptThread) -> None:
    """Let a thread do what has come: wake it, and see that this processor takes it (ithread_schedule)."""
    processor: Processor = the(Processor, this_cpu())
    p: Process = thread.process
    wake(p)
    processor.need_resched = 1


# --- threads ------------------------------------------------------------------------------------------------


@function()
def interrupt_thread() -> None:
    """Do what has come, and sleep until more does."""
    finish_switch()
    unmask_interrupts()
    me: Process = current()
    thread: InterruptThread = the(InterruptThread, me.number)
    while True:
        if swap(thread.disk, 0) == 1:
            disk_done()
        if swap(thread.arrived, 0) == 1:
            take_in()
            run_network()
        if swap(thread.sent, 0) == 1:
            finish_sending()
        rest(thread)


@function()
def rest(thread: InterruptThread) -> None:
    """Sleep, unless something has come."""
    me: Process = current()
    asleep = 0
    with atomic():
        queue = queue_of(this_cpu())
        with section("sleep", queue.tasks, me.state):
            if thread.disk == 0 and thread.arrived == 0 and thread.sent == 0:
                me.state = BLOCKED
                asleep = 1
    if asleep == 1:
        schedule()


@function(replaces=True)
def run_network() -> None:
    """Look at the packets that have come, unless somebody does."""
    if option("interrupt_threads"):
        look_at_packets()
    else:
        with atomic():
            look_at_packets()
