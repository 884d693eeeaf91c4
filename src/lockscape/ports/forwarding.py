"""New code of FreeBSD 4: an interrupt that comes while another processor is in the kernel goes to that one.

A device's or the clock's interrupt is noted as pending, and its handler tries the kernel's lock. With the
lock it does all that is pending; without, it interrupts the lock's holder, who can do it at once for the lock
is recursive, and goes back to its program. If the holder has left the kernel by then, it tries as well, and
forwards again if it is too late: sys/i386/isa/apic_vector.s 1.47.2.5 (``INTR``, ``Xforward_irq``,
``forward_irq``) of FreeBSD 4-STABLE. A pending interrupt is one bit: a tick is lost if one is pending.

Who wants another processor to call its scheduler interrupts it, too (``Xcpuast``); that one waits for the
lock with interrupts on, as a system call does, where it comes from user mode.
"""

from collections.abc import Sequence
from dataclasses import replace

from lockscape.kernel.clock import advance_clock, tick_all
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import leave_interrupt
from lockscape.kernel.incoming import run_network_in_handler
from lockscape.kernel.objects import Processor
from lockscape.kernel.scheduler import schedule
from lockscape.kernel.timers import run_due_timers
from lockscape.kernel.writeback import disk_done, flush_due
from lockscape.machine.state import Instance
from lockscape.ports.card_work import finish_sending, take_in
from lockscape.ports.topology import KERNEL, Options, Topology
from lockscape.program.language import (
    function,
    interrupted_user,
    option,
    send,
    step,
    swap,
    the,
    this_cpu,
)
from lockscape.program.language import mask as mask_interrupts
from lockscape.program.language import unmask as unmask_interrupts
from lockscape.program.objects import Object

FORWARDED = 3
"""The vector of a forwarded interrupt."""


class PendingInterrupts(Object, count=1):
    """Interrupts that have come and were not handled, each 0 or 1 (ipending)."""

    tick: int
    disk: int
    arrived: int
    sent: int


@function("interrupt", replaces=True)
def timer_interrupt() -> None:
    """The tick of the first processor, for all of them (hardclock, forward_hardclock)."""
    step("interrupt_entry")
    pending: PendingInterrupts = the(PendingInterrupts)
    swap(pending.tick, 1)
    serve_pending()
    step("interrupt_exit")


@function("interrupt", replaces=True)
def disk_interrupt() -> None:
    """The disk has done a request."""
    step("interrupt_entry")
    pending: PendingInterrupts = the(PendingInterrupts)
    swap(pending.disk, 1)
    serve_pending()
    step("interrupt_exit")


@function("interrupt", replaces=True)
def packet_arrived() -> None:
    """The network card has received a packet."""
    step("interrupt_entry")
    pending: PendingInterrupts = the(PendingInterrupts)
    swap(pending.arrived, 1)
    serve_pending()
    step("interrupt_exit")


@function("interrupt", replaces=True)
def packet_sent() -> None:
    """The network card has sent a packet."""
    step("interrupt_entry")
    pending: PendingInterrupts = the(PendingInterrupts)
    swap(pending.sent, 1)
    serve_pending()
    step("interrupt_exit")


@function("interrupt")
def forwarded_interrupt() -> None:
    """Another processor was interrupted while this one was in the kernel (Xforward_irq)."""
    step("signal_entry")
    serve_pending()
    step("interrupt_exit")


@function()
def forward_interrupt(holder: int) -> None:
    """Interrupt the processor that holds the kernel's lock (forward_irq)."""
    step("send_signal")
    send(holder, FORWARDED)


@function()
def serve_pending() -> None:
    """Handle what is pending (doreti, splz): only who has the kernel's lock does."""
    pending: PendingInterrupts = the(PendingInterrupts)
    if swap(pending.tick, 0) == 1:
        advance_clock()
        flush_due()
        if option("sharing"):
            run_due_timers()
        tick_all()
    if swap(pending.disk, 0) == 1:
        disk_done()
    if swap(pending.arrived, 0) == 1:
        take_in_packet()
    if swap(pending.sent, 0) == 1:
        finish_sending()
    leave_interrupt()


@function()
def take_in_packet() -> None:
    """Queue the packet that has come, and take it to its socket unless somebody does."""
    take_in()
    run_network_in_handler()


@function("interrupt", replaces=True)
def reschedule_interrupt() -> None:
    """Another processor wants the scheduler to be called here (Xcpuast)."""
    step("signal_entry")
    if interrupted_user() == 1:
        unmask_interrupts()
        take_ast()
        mask_interrupts()
    step("interrupt_exit")


@function()
def take_ast() -> None:
    """Enter the kernel from user mode to call the scheduler (doreti_ast)."""
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()


def _instances(cpus: int, _: Options) -> Sequence[Instance]:
    return [replace(KERNEL, cpus=cpus, vectors={**KERNEL.vectors, FORWARDED: "forwarded_interrupt"})]


TOPOLOGY = Topology(_instances)
"""One instance on all processors, with a vector for what is forwarded."""
