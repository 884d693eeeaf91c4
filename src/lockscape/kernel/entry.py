"""Ways into the kernel: system calls, faults and interrupts."""

from lockscape.kernel.areas import sys_brk, sys_mmap, sys_munmap, touch_page
from lockscape.kernel.card import free_packet, start_receive, start_transmit, take_arrived, take_sent
from lockscape.kernel.clock import advance_clock, tick_all, tick_process
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.directories import sys_mkdir, sys_rmdir, sys_unlink
from lockscape.kernel.files import sys_close, sys_open
from lockscape.kernel.incoming import acknowledge, netif_rx, run_network_in_handler
from lockscape.kernel.links import sys_readlink
from lockscape.kernel.messages import sys_msgrcv, sys_msgsnd
from lockscape.kernel.network_objects import DATA as DATA_PACKET
from lockscape.kernel.objects import InterruptLine, Process, Processor
from lockscape.kernel.pipe_files import sys_pipe
from lockscape.kernel.processes import sys_exec, sys_exit, sys_fork, sys_wait, sys_yield
from lockscape.kernel.readwrite import sys_read, sys_write
from lockscape.kernel.rename import sys_rename
from lockscape.kernel.scheduler import schedule
from lockscape.kernel.semaphores import sys_semop
from lockscape.kernel.signals import sys_kill, sys_pause, sys_signal
from lockscape.kernel.sockets import socket_call, sys_socket
from lockscape.kernel.stat import sys_fstat, sys_lseek, sys_stat
from lockscape.kernel.synchronise import sys_fsync, sys_sync
from lockscape.kernel.timers import run_due_timers, sys_sleep
from lockscape.kernel.writeback import disk_done, flush_due
from lockscape.program.language import (
    atomic_depth,
    current,
    function,
    insert,
    interrupted_user,
    now,
    option,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.language import mask as mask_interrupts
from lockscape.program.language import unmask as unmask_interrupts

(OPEN, CLOSE, READ, WRITE, LSEEK, FSTAT, STAT, UNLINK, MKDIR, RMDIR, MMAP, MUNMAP, FAULT, BRK, TIME, EXIT,
 IOCTL, FSYNC, SYNC, RENAME, YIELD, FORK, EXEC, WAIT, PIPE, KILL, SIGNAL, PAUSE, SLEEP, SEMOP, MSGSND, MSGRCV,
 SOCKET, LISTEN, ACCEPT, CONNECT, SEND, RECEIVE, READLINK) = range(39)  # fmt: skip
"""Numbers of the system calls; FAULT is a page fault."""

NOT_A_DEVICE = -25
"""ENOTTY of Linux: the result of a call that no driver knows."""

CYCLES_PER_MICROSECOND = 2000
"""Of the machine's clock, 2 GHz, by which timers are set."""

TIMER_LINE, DISK_LINE, CARD_LINE = 0, 1, 2
"""Interrupt lines."""

CALLS = (
    "open", "close", "read", "write", "lseek", "fstat", "stat", "unlink", "mkdir", "rmdir", "mmap", "munmap",
    "fault", "brk", "time", "exit", "ioctl", "fsync", "sync",
    "rename", "yield", "fork", "exec", "wait", "pipe", "kill", "signal", "pause", "sleep",
    "semop", "msgsnd", "msgrcv",
    "socket", "listen", "accept", "connect", "send", "receive", "readlink",
)  # fmt: skip
"""System calls, by number."""


@function("entry")
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Enter the kernel from user mode, by a system call or a fault; leave it again."""
    if number == FAULT:
        step("exception_entry")
    else:
        step("syscall_entry")
    result = call_body(number, a, b, c)
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()
    step("syscall_exit")
    return result


@function()
def call_body(number: int, a: int, b: int, c: int) -> int:
    """Do a system call."""
    if number <= WRITE:
        if number == OPEN:
            return sys_open(a, b, c)
        if number == CLOSE:
            return sys_close(a)
        if number == READ:
            return sys_read(a, b)
        return sys_write(a, b)
    if number >= FSYNC:
        return late_call(number, a, b, c)
    if number >= MMAP:
        return memory_call(number, a, b)
    return name_call(number, a, b, c)


@function()
def late_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call that writes to disk at once, renames or yields, or is about others."""
    if number >= SOCKET and number <= RECEIVE:
        return network_call(number, a, b, c)
    if number >= FORK:
        return process_call(number, a, b, c)
    if number == YIELD:
        return sys_yield()
    if number == FSYNC:
        return sys_fsync(a)
    if number == RENAME:
        return sys_rename(a, b, c)
    return sys_sync()


@function()
def process_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call about other processes."""
    if number >= SEMOP:
        return ipc_call(number, a, b, c)
    if number == FORK:
        return sys_fork(a)
    if number == EXEC:
        return sys_exec(a, b, c)
    if number == WAIT:
        return sys_wait()
    return message_call(number, a, b)


@function()
def message_call(number: int, a: int, b: int) -> int:
    """Do a system call about pipes, signals and time."""
    if number == PIPE:
        return sys_pipe()
    if number == KILL:
        return sys_kill(a, b)
    if number == SIGNAL:
        return sys_signal(a, b)
    if number == PAUSE:
        return sys_pause()
    return sys_sleep(a)


@function()
def ipc_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call of System V's communication between processes, or of a later number."""
    if number == SEMOP:
        return sys_semop(a, b, c)
    if number == MSGSND:
        return sys_msgsnd(a, b, c)
    if number == READLINK:
        return sys_readlink(a, b)
    return sys_msgrcv(a, b)


@function()
def network_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call about a socket."""
    if number == SOCKET:
        return sys_socket()
    return socket_call(a, number - LISTEN, b, c)


@function()
def memory_call(number: int, a: int, b: int) -> int:
    """Do a system call about memory or the process itself."""
    if number == MMAP:
        return sys_mmap()
    if number == MUNMAP:
        return sys_munmap(a)
    if number == FAULT:
        return touch_page(a, b)
    if number == BRK:
        return sys_brk(a)
    if number == TIME:
        return sys_time(a)
    if number == EXIT:
        sys_exit()
    return sys_ioctl(a, b)


@function()
def sys_ioctl(device: int, request: int) -> int:
    """Ask the driver of a device for something: there is none that does anything."""
    step("fget")
    return NOT_A_DEVICE


@function()
def sys_time(which: int) -> int:
    """Tell the time, and remember it as the process' mark of this number."""
    me: Process = current()
    step("time")
    with section("mark", me.marks):
        insert(me.marks, which + 1, now())
    return now() // CYCLES_PER_MICROSECOND


@function()
def name_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call about a name or an open file."""
    if number == UNLINK:
        return sys_unlink(a, b)
    if number == FSTAT:
        return sys_fstat(a)
    if number == LSEEK:
        return sys_lseek(a, b)
    if number == STAT:
        return sys_stat(a, b)
    if number == MKDIR:
        return sys_mkdir(a, b)
    return sys_rmdir(a, b)


@function()
def leave_interrupt() -> None:
    """End of every interrupt: perhaps another process should run now."""
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        if option("preemptible"):
            if interrupted_user() == 1 or (atomic_depth() == 0 and processor.idling == 0):
                reschedule_here()
        elif interrupted_user() == 1:
            reschedule_here()
    if option("sharing"):
        me: Process = current()
        if interrupted_user() == 1 and me.pending == 1:
            unmask_interrupts()
            check_signals()
            mask_interrupts()


@function()
def reschedule_here() -> None:
    """Call the scheduler from an interrupt, with interrupts on as in the process that it came into."""
    unmask_interrupts()
    schedule()
    mask_interrupts()


@function()
def mark_line(number: int, handled: int) -> None:
    """Note in an interrupt line's descriptor that its handler runs, or has run."""
    line: InterruptLine = the(InterruptLine, number)
    with section("mark", line.handled):
        step("mark_line")
        line.handled = handled


@function("interrupt")
def timer_interrupt() -> None:
    """The tick of a processor; the first one also keeps the time."""
    step("interrupt_entry")
    if this_cpu() == 0:
        if option("interrupt_lines"):
            mark_line(TIMER_LINE, 1)
        advance_clock()
        flush_due()
        if option("interrupt_lines"):
            mark_line(TIMER_LINE, 0)
    if option("sharing"):
        if option("processor_timers") or this_cpu() == 0:
            run_due_timers()
    if option("boot_tick"):
        tick_all()
    else:
        tick_process()
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt")
def reschedule_interrupt() -> None:
    """Another processor wants the scheduler to be called here."""
    step("signal_entry")
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt")
def disk_interrupt() -> None:
    """The disk has done a request."""
    step("interrupt_entry")
    if option("interrupt_lines"):
        mark_line(DISK_LINE, 1)
    disk_done()
    if option("interrupt_lines"):
        mark_line(DISK_LINE, 0)
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt")
def packet_arrived() -> None:
    """The network card has received a packet: queue it, and take it to its socket unless somebody does."""
    step("interrupt_entry")
    if option("interrupt_lines"):
        mark_line(CARD_LINE, 1)
    packet = take_arrived()
    start_receive()
    netif_rx(packet)
    if option("interrupt_lines"):
        mark_line(CARD_LINE, 0)
    run_network_in_handler()
    leave_interrupt()
    step("interrupt_exit")


@function("interrupt")
def packet_sent() -> None:
    """The network card has sent a packet: send the next, and free this one."""
    step("interrupt_entry")
    if option("interrupt_lines"):
        mark_line(CARD_LINE, 1)
    packet = take_sent()
    start_transmit()
    start_receive()
    if option("interrupt_lines"):
        mark_line(CARD_LINE, 0)
    if packet.kind == DATA_PACKET:
        acknowledge(packet.source, packet.bytes)
    free_packet(packet)
    leave_interrupt()
    step("interrupt_exit")
