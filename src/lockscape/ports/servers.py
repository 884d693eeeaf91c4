"""New code of the microkernel: messages, and servers that are processes.

A program's call on files is a message to the file system server, one on its memory to the process manager.
The client sleeps until it is answered; a thread of the server takes the message, does the call with the
client's descriptors, directory and address space, answers, and takes the next. The microkernel is short
sections: passing messages, scheduling, timers, signals. What excludes processors from these, and threads of a
server from each other, is the plan's matter. A server has ``server_threads`` threads.

A new process, its end, and what waits for other processes (pipes, sockets) are done by who calls, for they
change the running process itself, or wait long: in servers these are clients who are answered later.
"""

from lockscape.kernel import objects
from lockscape.kernel.entry import (
    BRK,
    CLOSE,
    FSTAT,
    FSYNC,
    MMAP,
    OPEN,
    READ,
    READLINK,
    RENAME,
    RMDIR,
    WRITE,
    late_call,
    memory_call,
    name_call,
)
from lockscape.kernel.files import sys_close, sys_open
from lockscape.kernel.objects import BLOCKED, RUNNABLE, File, Processor, RunQueue
from lockscape.kernel.readwrite import sys_read, sys_write
from lockscape.kernel.reclaim import start_daemon
from lockscape.kernel.scheduler import schedule, sleep_until_called, wake
from lockscape.kernel.waits import call
from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.ports.topology import NATIVE, Options, Topology
from lockscape.program.language import (
    NONE,
    after,
    atomic,
    barrier,
    current,
    find,
    first,
    function,
    insert,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, listed

FILES, MEMORY = 1, 2
"""Servers, counted from 1: of files, and of address spaces (the process manager)."""


class Process(objects.Process, extends=True):
    """A process, and the message that it sent last, or as a server's thread the number of its server.

    `asked` and `answered`: 1 when the message is complete, and when the result is.
    """

    number_asked: int
    a: int
    b: int
    c: int
    result: int
    asked: int
    answered: int
    server: int


class ServerChannel(Object, count=2):
    """A server's channel: clients whose messages wait for a thread, and threads that wait for a message."""

    senders: Collection = listed(Process)
    receivers: Collection = listed(Process)


# --- clients ------------------------------------------------------------------------------------------------


@function(replaces=True)
def call_body(number: int, a: int, b: int, c: int) -> int:
    """Do a system call: by a message to the server whose it is, or here."""
    if option("server_threads"):
        server = server_of(number, a)
        if server != 0:
            return ask(server, number, a, b, c)
    return do_call(number, a, b, c)


@function()
def server_of(number: int, fd: int) -> int:
    """Return the server of a call, or 0: a descriptor is a connection to the file system or elsewhere."""
    if number >= CLOSE and number <= FSTAT and leads_elsewhere(fd) == 1:
        return 0
    if number <= RMDIR or (number >= FSYNC and number <= RENAME) or number == READLINK:
        return FILES
    if number >= MMAP and number <= BRK:
        return MEMORY
    return 0


@function()
def leads_elsewhere(fd: int) -> int:
    """Return 1 if a descriptor stands for a pipe or a socket."""
    elsewhere = 0
    if option("sharing"):
        me: Process = current()
        file: File = find(me.files.table, fd)
        if file != NONE and (file.pipe != NONE or file.socket != NONE):
            elsewhere = 1
    return elsewhere


@function()
def ask(number: int, asked: int, a: int, b: int, c: int) -> int:
    """Send a message to a server, and sleep until it is answered (MsgSend)."""
    me: Process = current()
    server: ServerChannel = the(ServerChannel, number - 1)
    step("message")
    me.number_asked = asked
    me.a = a
    me.b = b
    me.c = c
    me.answered = 0
    me.waiting = 1
    barrier()
    me.asked = 1
    with section("send", server.senders, server.receivers):
        insert(server.senders, me, me)
        thread: Process = first(server.receivers)
        if thread != NONE:
            remove(server.receivers, thread)
    if thread != NONE:
        wake(thread)
    while me.answered == 0 or me.waiting == 1:
        sleep_until_called()
    return me.result


# --- servers ------------------------------------------------------------------------------------------------


@function()
def server_thread() -> None:
    """A thread of a server: take messages and answer them, for ever."""
    start_daemon()
    me: Process = current()
    server: ServerChannel = the(ServerChannel, me.server - 1)
    while True:
        client = receive_message(server, me)
        if client.asked == 1:
            client.asked = 0
        step("message")
        step("syscall_exit")
        me.files = client.files
        me.memory = client.memory
        me.directory = client.directory
        result = do_call(client.number_asked, client.a, client.b, client.c)
        me.files = NONE
        me.memory = NONE
        me.directory = NONE
        step("syscall_entry")
        step("message")
        client.result = result
        barrier()
        client.answered = 1
        call(client)


@function()
def receive_message(server: ServerChannel, me: Process) -> Process:
    """Return the client that has waited longest, or sleep until one comes (MsgReceive)."""
    client: Process = NONE
    while client == NONE:
        with atomic(), section("receive", server.senders, server.receivers, me.state):
            client = first(server.senders)
            if client != NONE:
                remove(server.senders, client)
            else:
                me.state = BLOCKED
                insert(server.receivers, me, me)
        if client == NONE:
            schedule()
    return client


@function()
def do_call(number: int, a: int, b: int, c: int) -> int:
    """Do a system call here."""
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


# --- scheduling ---------------------------------------------------------------------------------------------


@function(replaces=True)
def pick(queue: RunQueue, me: Process, processor: Processor) -> objects.Process:
    """Choose the thread that has been ready longest, of those that ran here last if there are any."""
    step("pick_first")
    if me.state == RUNNABLE and me.queued == 1 and me.slice <= 0:
        remove(queue.tasks, me)
        insert(queue.tasks, me, me)
        me.slice = me.weight
    chosen: objects.Process = processor.idle
    p: Process = first(queue.tasks)
    while p != NONE:
        if p.running == 0 or p == me:
            if p.cpu == this_cpu():
                return p
            if chosen == processor.idle:
                chosen = p
        p = after(queue.tasks, p)
    return chosen


def _prepare(state: State, options: Options) -> dict[int, int]:
    """Make the threads of both servers, which wait for messages."""
    for server in (FILES, MEMORY):
        channel = state.system("ServerChannel", server - 1)
        for _ in range(options["server_threads"]):
            thread = state.new("Process")
            state.m[state.context(thread, "server_thread", "", at.KERNEL) + at.C_MASK] = 1
            state.set(thread, state=BLOCKED, server=server, waits=state.new("WaitQueue"),
                      slice=options["slice_ticks"], weight=options["slice_ticks"])  # fmt: skip
            state.insert(channel, "receivers", thread, thread)
    return {}


TOPOLOGY = Topology(NATIVE.instances, prepare=_prepare, threads=("server_thread",))
"""One kernel on all processors, and threads that serve calls."""
