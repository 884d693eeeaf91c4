"""Signals: what a process does about them, and sending one.

A signal that a process ignores is not sent. Others are a bit in a set, which the process looks at before it
sleeps and, when `pending` says so, on each way to user mode.
"""

from lockscape.kernel.kicks import kick_for, wish_of
from lockscape.kernel.objects import INTERRUPTIBLE, Process, ProcessTable
from lockscape.kernel.release import put_process
from lockscape.kernel.scheduler import enqueue, queue_of
from lockscape.kernel.vectors import RESCHEDULE
from lockscape.kernel.waits import INTERRUPTED, sleep_interruptibly
from lockscape.program.language import (
    NONE,
    current,
    find,
    function,
    option,
    section,
    send,
    step,
    the,
    this_cpu,
)

SIGKILL, SIGPIPE, SIGCHLD = 9, 13, 17
"""Numbers of signals, as Linux has them."""
MOST_SIGNALS = 32
"""Signals are numbered from 1 to below this."""

DEFAULT, IGNORE, HANDLE = 0, 1, 2
"""What a process does about a signal. By default it ends, but for SIGCHLD."""

PARENT, YOUNGEST = 0, -1
"""Whom a signal is for, instead of a number of a process."""

NO_PROCESS, INVALID = -3, -22
"""ESRCH and EINVAL of Linux."""

FRAME_LINES = 11
"""Cache lines of what a handler's frame keeps: 700 bytes, most of them of the floating-point unit."""


@function()
def sys_signal(number: int, action: int) -> int:
    """Say what a signal does; or, as number 0, come back from a handler (sigreturn)."""
    me: Process = current()
    if number == 0:
        step("sigreturn")
        step("copy_line", FRAME_LINES)
        return 0
    if number < 0 or number >= MOST_SIGNALS or number == SIGKILL:
        return INVALID
    step("signal_action")
    bit = 1 << number
    with section("act", me.handled, me.ignored, me.signals):
        me.handled = (me.handled | bit) - bit
        me.ignored = (me.ignored | bit) - bit
        if action == HANDLE:
            me.handled = me.handled | bit
        elif action == IGNORE:
            me.ignored = me.ignored | bit
        if is_ignored(me, number) == 1:
            me.signals = (me.signals | bit) - bit
    return 0


@function()
def is_ignored(p: Process, number: int) -> int:
    """Return 1 if a signal does nothing to a process."""
    bit = 1 << number
    if number == SIGCHLD:
        return p.handled & bit == 0
    return p.ignored & bit != 0


@function()
def inherit_actions(me: Process, child: Process) -> None:
    """Let a new process do about signals what its maker does."""
    child.handled = me.handled
    child.ignored = me.ignored


@function()
def reset_handlers(me: Process) -> None:
    """Forget the handlers of another program."""
    with section("reset", me.handled):
        me.handled = 0


@function()
def sys_kill(which: int, number: int) -> int:
    """Send a signal to a process, by its number."""
    step("kill")
    p = process_of(which)
    if p == NONE:
        return NO_PROCESS
    result = INVALID
    if number > 0 and number < MOST_SIGNALS:
        post_signal(p, number)
        result = 0
    put_process(p)
    return result


@function()
def process_of(which: int) -> Process:
    """Return a process by its number, or the parent, or the youngest child, with a reference."""
    me: Process = current()
    table: ProcessTable = the(ProcessTable)
    with section("find", table.table, me.parent):
        if which == PARENT:
            p: Process = me.parent
        elif which == YOUNGEST:
            p = find(table.table, me.youngest)
        else:
            p = find(table.table, which)
        if p != NONE:
            p.references += 1
    return p


@function()
def post_signal(p: Process, number: int) -> None:
    """Send a signal, unless the process ignores it."""
    sent = 0
    with section("send", p.signals, p.handled, p.ignored):
        if is_ignored(p, number) == 0:
            step("post_signal")
            p.signals = p.signals | (1 << number)
            sent = 1
    if sent == 1:
        signal_wake_up(p)


@function("waker")
def signal_wake_up(p: Process) -> None:
    """Let a process notice a signal: from its sleep, or on the processor where it runs."""
    cpu = p.cpu
    wish = wish_of(p)
    running = 0
    woken = -1
    while woken < 0:
        cpu = p.cpu
        queue = queue_of(cpu)
        with section("wake", queue.tasks, p.state, p.pending):
            if not option("processor_queues") or p.cpu == cpu:
                woken = 0
                p.pending = 1
                running = p.running
                if p.state == INTERRUPTIBLE:
                    woken = enqueue(queue, p)
    if woken == 1:
        kick_for(wish, cpu)
    elif running == 1 and option("signal_interrupt"):
        interrupt_runner(cpu)


@function()
def interrupt_runner(cpu: int) -> None:
    """Interrupt another processor, so that what runs there looks for signals."""
    if cpu != this_cpu():
        step("send_signal")
        send(cpu, RESCHEDULE)


@function()
def sys_pause() -> int:
    """Sleep until a signal comes."""
    me: Process = current()
    me.waiting = 1  # for nobody who would call it
    sleep_interruptibly()
    me.waiting = 0
    return INTERRUPTED
