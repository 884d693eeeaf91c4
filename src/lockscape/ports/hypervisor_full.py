"""New code of full virtualization: guests that do not know of the hypervisor.

User programs run as they are. A system call or page fault enters the hypervisor, which goes on with the
guest's kernel in translated code (VMware: Adams & Agesen 2006). The page tables that the processor uses are
shadows of the guest's, brought up to date when it changes its own. The disk controller is emulated, port by
port.

With the option ``trap_and_emulate`` the guest's kernel is not translated: it runs as it is, without its
privileges, and each change of a page table traps.
"""

from lockscape.kernel.card import SENDING
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import FAULT, call_body
from lockscape.kernel.objects import Area, Disk, Memory, Processor
from lockscape.kernel.scheduler import schedule
from lockscape.kernel.vectors import ARRIVED, SENT
from lockscape.ports.hypervisor import enter_guest_kernel, leave_guest_kernel
from lockscape.ports.hypervisor_objects import CARD_PORTS, EMULATE, GUEST_CALL, GUEST_FAULT, SHADOW
from lockscape.ports.hypervisor_topology import topology_of
from lockscape.program.language import (
    count,
    function,
    option,
    section,
    set_timer,
    step,
    the,
    this_cpu,
    trap,
)


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Enter the guest's kernel through the hypervisor, which knows by that when it is in its kernel."""
    if number == FAULT:
        step("exception_entry")
        trap(GUEST_FAULT)
    else:
        step("syscall_entry")
        trap(GUEST_CALL)
    if option("delayed_preemption"):
        enter_guest_kernel()
    if not option("trap_and_emulate"):
        step("translated_code")
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
    """Enter a page into the page table, and into its shadow."""
    with section("set", area.page, memory.pages):
        if option("trap_and_emulate"):
            trap(SHADOW)
        else:
            step("shadow_update")
        area.page += 1
        memory.pages += 1


@function(replaces=True)
def zap(memory: Memory, area: Area, pages: int) -> None:
    """Take the pages of a range out of the page table and its shadow."""
    with section("zap", area.page, memory.pages):
        step("zap_page", pages)
        if option("trap_and_emulate"):
            left = pages
            while left > 0:
                trap(SHADOW)
                left -= 1
        else:
            step("shadow_update", pages)
        area.page = 0
        memory.pages -= pages


@function(replaces=True)
def start_disk() -> None:
    """Give the disk its next request: the hypervisor emulates the controller."""
    disk: Disk = the(Disk)
    with section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            trap(EMULATE)


@function(replaces=True)
def ask_card(way: int, cycles: int) -> None:
    """Ask the guest's own network card, which the hypervisor emulates; it interrupts when it is done."""
    trap(CARD_PORTS)
    if way == SENDING:
        set_timer(SENT, cycles)
    else:
        set_timer(ARRIVED, cycles)


TOPOLOGY = topology_of()
"""A guest for each processor, its devices emulated by the hypervisor."""
