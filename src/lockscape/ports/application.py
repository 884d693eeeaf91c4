"""New code of the application kernel: a small kernel on all processors but the first, which forwards calls.

Processor 0 runs the uniprocessor kernel as it is. User programs run on the others, on a small kernel that
only switches between threads. Each has a bootstrap thread, an ordinary process of the first kernel: it waits
in a driver for a call of its program's, leaves the kernel, does the call itself, and enters the driver again
with the result. All of it is one module, both sides of each message: its lines are what this method takes.
"""

from dataclasses import replace

from lockscape.kernel import objects
from lockscape.kernel.delivery import deliver_signals
from lockscape.kernel.entry import EXIT, FAULT, FORK, IOCTL, NOT_A_DEVICE, leave_interrupt
from lockscape.kernel.objects import BLOCKED, DONE, RUNNABLE, Processor
from lockscape.kernel.processes import sys_exit
from lockscape.kernel.scheduler import schedule, wake
from lockscape.kernel.vectors import TICK
from lockscape.machine.state import Instance
from lockscape.ports.topology import KERNEL, NO_KERNEL, Options, Topology
from lockscape.program.language import (
    NONE,
    barrier,
    cpus,
    current,
    exit_process,
    first,
    free,
    function,
    halt,
    insert,
    interrupted_user,
    mask,
    masked,
    new,
    option,
    remove,
    send,
    send_instance,
    spawn,
    step,
    switch_to,
    system_call,
    the,
    the_of,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, listed

FORWARDED, REPLIED = 3, 3
"""Interrupt vectors: of the first kernel, that a call has come; of the small one, that a reply has."""

FIRST_KERNEL, SMALL_KERNEL = 0, 1
"""Numbers of the instances."""

DRIVER = 1
"""The device of the application kernel's driver."""

IDLE, ASKED, ANSWERED = range(3)
"""States of a channel; an answer is taken out of it by the handler on the program's processor (`replied`)."""


class Channel(Object):
    """Memory that a program and its bootstrap thread share: the call that is being forwarded.

    `child`: that of the process which the last fork made; `made`: 1 if it was itself made in a run; `taken`:
    1 while the bootstrap thread does the call; `killed`: 1 when a signal has ended that; `frames`: handlers
    that the program is to run.
    """

    state: int
    number: int
    a: int
    b: int
    c: int
    result: int
    cpu: int
    made: int
    taken: int
    killed: int
    frames: int
    child: "Channel"
    proxy: "Process"
    client: "Process"


class Process(objects.Process, extends=True):
    """A process of either kernel, with its channel to the other."""

    channel: Channel


class Mailbox(Object, count=1):
    """Calls that have been forwarded, and replies: a lock-free queue for each processor that reads one."""

    calls: Collection = listed(Channel)


class ThreadQueue(Object, count="cpus"):
    """Threads of the small kernel that can run on a processor, and the replies that have come for it.

    `ended`: a thread that ended last, which is freed when the next one does.
    """

    ended: Process
    threads: Collection = listed(Process)
    replies: Collection = listed(Channel)


# --- the small kernel ---------------------------------------------------------------------------------------


@function("entry")
def forward_call(number: int, a: int, b: int, c: int) -> int:
    """Enter the small kernel by a call or a fault: hand it to the bootstrap thread and wait."""
    if number == FAULT:
        step("exception_entry")
    else:
        step("syscall_entry")
    me: Process = current()
    channel = me.channel
    step("message")
    channel.number = number
    channel.a = a
    channel.b = b
    channel.c = c
    barrier()
    channel.state = ASKED
    box: Mailbox = the_of(Mailbox, FIRST_KERNEL, 0)
    insert(box.calls, channel, channel)
    step("send_signal")
    send_instance(FIRST_KERNEL, 0, FORWARDED)
    asleep = 1
    while asleep == 1:
        with masked():
            asleep = channel.state != IDLE
            if asleep == 1:
                me.state = BLOCKED
        if asleep == 1:
            next_thread()
    step("syscall_exit")
    if number == FORK and channel.child != NONE:
        start_child(channel.child, a)
        channel.child = NONE
    if number == EXIT or was_killed(channel) == 1:
        end_thread(channel)
    if option("sharing"):
        me.frames += channel.frames
        channel.frames = 0
    return channel.result


@function()
def was_killed(channel: Channel) -> int:
    """Return 1 if the bootstrap thread has been ended by a signal."""
    if option("sharing"):
        return channel.killed
    return 0


@function()
def start_child(made: Channel, rows: int) -> None:
    """Make the thread of a new process, on the next processor; its bootstrap thread is there already."""
    step("fork")
    thread: Process = new(Process)
    thread.channel = made
    thread.state = BLOCKED
    thread.slice = SLICE_TICKS
    made.client = thread
    made.cpu = (this_cpu() + 1) % cpus()
    while spawn(thread, rows) == 0:  # a thread whose last call was answered has not ended yet
        next_thread()
    queue: ThreadQueue = the(ThreadQueue, made.cpu)
    insert(queue.replies, made, made)
    step("send_signal")
    send(made.cpu, REPLIED)


@function()
def end_thread(channel: Channel) -> None:
    """End the current thread."""
    me: Process = current()
    queue: ThreadQueue = the(ThreadQueue, this_cpu())
    if channel.made == 1:
        me.channel = NONE
        free(channel)
        with masked():
            if queue.ended != NONE:
                free(queue.ended)
            queue.ended = me
    with masked():
        me.state = DONE
    exit_process()
    next_thread()


@function()
def next_thread() -> None:
    """Switch to the next thread of this processor, or idle."""
    queue: ThreadQueue = the(ThreadQueue, this_cpu())
    processor: Processor = the(Processor, this_cpu())
    me: Process = current()
    step("schedule")
    with masked():
        if me.state == RUNNABLE and me != processor.idle:
            insert(queue.threads, me, me)
        next: Process = first(queue.threads)
        if next != NONE:
            remove(queue.threads, next)
    if next == NONE:
        step("context_switch")
        switch_to(processor.idle)
    elif next != me:
        step("context_switch")
        switch_to(next)


@function("entry")
def start_thread(unused: int) -> int:
    """Begin a new thread in the middle of a switch to it, and go to user mode."""
    unmask()
    return unused


@function()
def thread_idle() -> None:
    """Halt until a thread can run."""
    queue: ThreadQueue = the(ThreadQueue, this_cpu())
    while True:
        mask()
        if first(queue.threads) == NONE:
            halt()
        else:
            unmask()
            next_thread()


@function("interrupt")
def thread_tick() -> None:
    """The tick of a processor with the small kernel: round robin among its threads."""
    step("interrupt_entry")
    step("tick_accounting")
    me: Process = current()
    processor: Processor = the(Processor, this_cpu())
    if me != processor.idle:
        me.slice -= 1
        if me.slice <= 0 and interrupted_user() == 1:
            me.slice = SLICE_TICKS
            unmask()
            next_thread()
            mask()
    step("interrupt_exit")


SLICE_TICKS = 20
"""Ticks after which a thread makes way for another."""


@function("interrupt")
def replied() -> None:
    """The first kernel has answered calls: let their threads go on."""
    step("interrupt_entry")
    queue: ThreadQueue = the(ThreadQueue, this_cpu())
    channel: Channel = first(queue.replies)
    while channel != NONE:
        remove(queue.replies, channel)
        channel.state = IDLE
        client = channel.client
        if client.state == BLOCKED:
            client.state = RUNNABLE
            step("enqueue")
            insert(queue.threads, client, client)
        channel = first(queue.replies)
    step("interrupt_exit")


@function("hook")
def no_wait() -> None:
    """The small kernel has no lock to wait for."""
    step("sleep")


@function("hook")
def no_wake(p: Process) -> None:
    """The small kernel has no lock to give away."""
    step("wake")


# --- the first kernel ---------------------------------------------------------------------------------------


@function("user")
def bootstrap() -> None:
    """The bootstrap thread: do the program's calls, one after the other, as a process of this kernel."""
    me: Process = current()
    channel = me.channel
    number = system_call(IOCTL, DRIVER, 0, 0)
    while number != EXIT:
        if number == FORK:  # the child's rows of the workload are its program's
            result = system_call(FORK, 0, 0, 0)
        else:
            result = system_call(number, channel.a, channel.b, channel.c)
        number = system_call(IOCTL, DRIVER, result, 0)
    system_call(IOCTL, DRIVER, 0, 0)
    system_call(EXIT, 0, 0, 0)


@function(replaces=True)
def sys_ioctl(device: int, result: int) -> int:
    """The driver of the application kernel: reply to the last call, and wait for the next."""
    me: Process = current()
    channel = me.channel
    step("fget")
    if device != DRIVER:  # a program's own, forwarded
        return NOT_A_DEVICE
    if channel.state == ASKED and channel.taken == 1:
        number = channel.number
        reply(channel, result)
        if number == EXIT:
            return EXIT
    while channel.state != ASKED:
        wait_for_call(channel)
    channel.taken = 1
    return channel.number


@function(replaces=True)
def wake_new(child: Process) -> None:
    """Let a new process run: it is the bootstrap thread of a program that the small kernel is to start."""
    me: Process = current()
    channel = me.channel
    if channel != NONE:
        made: Channel = new(Channel)
        made.made = 1
        made.proxy = child
        child.channel = made
        channel.child = made
    wake(child)


@function()
def reply(channel: Channel, result: int) -> None:
    """Give a result to the program, and signal its processor."""
    step("message")
    if option("sharing"):
        me: Process = current()
        channel.taken = 0
        channel.frames += me.frames
        me.frames = 0
    channel.result = result
    cpu = channel.cpu  # the program may go on, and end, once it has its reply
    barrier()
    channel.state = ANSWERED
    send_reply(channel.client, channel, cpu)


@function("waker")
def send_reply(client: Process, channel: Channel, cpu: int) -> None:
    """Let a program's thread go on that waits for a reply: its processor looks for that when signalled.

    `client` is for the machine, which times how long it takes to go on.
    """
    queue: ThreadQueue = the_of(ThreadQueue, SMALL_KERNEL, cpu)
    insert(queue.replies, channel, channel)
    step("send_signal")
    send_instance(SMALL_KERNEL, cpu, REPLIED)


@function(replaces=True)
def check_signals() -> None:
    """Deliver what signals have come, when the program waits for a call: else at its next one."""
    me: Process = current()
    channel = me.channel
    if me.pending == 1 and (channel == NONE or channel.taken == 1):
        deliver_signals(me)


@function(replaces=True)
def end_by_signal() -> None:
    """End the current process, for a signal came that it does not handle, and its program."""
    me: Process = current()
    channel = me.channel
    if channel != NONE:
        channel.killed = 1
        reply(channel, 0)
    sys_exit()


@function()
def wait_for_call(channel: Channel) -> None:
    """Sleep unless a call has come: the look and the sleep are one with respect to interrupts."""
    me: Process = current()
    asleep = 0
    with masked():
        if channel.state != ASKED:
            me.state = BLOCKED
            asleep = 1
    if asleep == 1:
        schedule()


@function("interrupt")
def call_forwarded() -> None:
    """Calls have come: wake the bootstrap threads."""
    step("interrupt_entry")
    box: Mailbox = the(Mailbox)
    channel: Channel = first(box.calls)
    while channel != NONE:
        remove(box.calls, channel)
        wake(channel.proxy)
        channel = first(box.calls)
    leave_interrupt()
    step("interrupt_exit")


def _instances(cpus: int, _: Options) -> list[Instance]:
    """The first kernel alone, or on processor 0 with the small kernel on the others."""
    if cpus == 1:
        return [KERNEL]
    vectors = {**KERNEL.vectors, FORWARDED: "call_forwarded"}
    linux = replace(KERNEL, vectors=vectors, messages=(FORWARDED,))
    vectors = {TICK: "thread_tick", REPLIED: "replied"}
    small = Instance(
        cpus - 1, "forward_call", vectors, "thread_idle", "no_wait", "no_wake", NO_KERNEL, first=1
    )
    return [linux, small]


TOPOLOGY = Topology(_instances, proxy="bootstrap")
"""The kernel on the first processor, a small kernel on all others, joined by bootstrap threads."""
