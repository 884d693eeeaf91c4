"""The one-page kernel of contract_kernel.py without locks: four methods, as functions in the same language."""

from collections.abc import Callable
from typing import Any

from contract_kernel import (
    ASLEEP,
    AWAKE,
    DISK,
    DISK_CYCLES,
    DISK_SLEEP,
    EXIT,
    LEAVING,
    LOCK_SLEEP,
    MAIL_SLEEP,
    MESSAGE,
    QUEUED,
    REPLY,
    RESCHEDULE,
    WOKEN,
    YIELD,
    Cpu,
    Directory,
    Disk,
    FreeList,
    Inode,
    Mailbox,
    Names,
    Part,
    Process,
    RunQueue,
    Totals,
    arrive,
    body,
    forget,
    granted_now,
    kick,
    read_disk,
    schedule,
    wake,
)
from lockscape.program.language import (
    NONE,
    compare_and_swap,
    compare_and_swap2,
    count,
    cpus,
    current,
    find,
    first,
    function,
    grant,
    guest_time,
    halt,
    hold,
    insert,
    instance,
    mask,
    masked,
    now,
    remove,
    request,
    run,
    send,
    send_instance,
    set_timer,
    step,
    swap,
    switch_to,
    the,
    the_of,
    this_cpu,
    trap,
    unmask,
)
from lockscape.program.locks import LockClass
from lockscape.program.objects import Object

# --- lock-free -------------------------------------------------------------------------------------------

LOCK_FREE_ATOMIC = frozenset(
    {
        ("Directory", "names"),
        ("Names", "table"),
        ("Totals", "freed"),
        ("Totals", "numbers"),
        ("Process", "state"),
    }
)


@function()
def free_unlink(d: int, name: int) -> int:
    """The directory and the name cache are lock-free tables; the number of links is changed by retry."""
    directory: Directory = the(Directory, d)
    names: Names = the(Names)
    step("unlink")
    inode: Inode = remove(directory.names, name)
    if inode == NONE:
        return 0
    remove(names.table, d * 65536 + name)
    if name % 8 == 0:
        read_disk()
    links = inode.nlink
    step("drop")
    while compare_and_swap(inode.nlink, links, links - 1) == 0:
        links = inode.nlink
        step("drop")
    if links == 1:
        forget(inode)
    return 1


@function()
def free_forget(inode: Inode) -> None:
    """Push the inode on the free list, with a version against reuse; the totals are atomic."""
    pool: FreeList = the(FreeList)
    totals: Totals = the(Totals)
    done = 0
    while done == 0:
        version = pool.version
        top: Inode = pool.top
        inode.below = top
        step("free")
        done = compare_and_swap2(pool.top, top, inode, pool.version, version, version + 1)
    totals.numbers += inode.number
    totals.freed += 1


@function()
def free_look(d: int, name: int) -> int:
    """Every read stands alone."""
    names: Names = the(Names)
    inode: Inode = find(names.table, d * 65536 + name)
    me: Process = current()
    if inode == NONE:
        return 0
    step("look")
    me.found += 1
    return inode.number


@function()
def push(p: Process) -> None:
    """Push a process on the run queue."""
    queue: RunQueue = the(RunQueue, 0)
    done = 0
    while done == 0:
        version = queue.version
        top: Process = queue.top
        p.below = top
        done = compare_and_swap2(queue.top, top, p, queue.version, version, version + 1)


@function()
def pop() -> Process:
    """Pop a process from the run queue, or none."""
    queue: RunQueue = the(RunQueue, 0)
    while True:
        version = queue.version
        top: Process = queue.top
        if top == NONE:
            return NONE
        below: Process = top.below
        step("entry")
        if compare_and_swap2(queue.top, top, below, queue.version, version, version + 1):
            return top


@function()
def free_schedule(why: int) -> None:
    """Switch first; the process that goes on puts away the one that left."""
    me: Process = current()
    cpu: Cpu = the(Cpu, this_cpu())
    disk: Disk = the(Disk)
    with masked():
        step("schedule")
        leaves = LEAVING
        if why == YIELD:
            leaves = QUEUED
        swap(me.state, leaves)
        stays = 0
        if why == LOCK_SLEEP:
            stays = granted_now()
        if why == DISK_SLEEP:
            stays = disk.done
        if stays == 0:
            next: Process = pop()
            if next == NONE:
                next = cpu.idle
            if next != me:
                cpu.previous = me
                switch_to(next)
                put_away()
        swap(me.state, AWAKE)


@function()
def put_away() -> None:
    """Queue the process that left this processor, or let it sleep unless it has been woken."""
    cpu: Cpu = the(Cpu, this_cpu())
    left: Process = cpu.previous
    if left != cpu.idle and (left.state == QUEUED or compare_and_swap(left.state, LEAVING, ASLEEP) == 0):
        push(left)


@function()
def free_arrive() -> None:
    """A new process: put away what ran here before."""
    put_away()


@function("hook")
def free_wake(p: Process) -> None:
    """Wake a process that sleeps or is about to."""
    step("wake")
    grant(p)
    if compare_and_swap(p.state, ASLEEP, QUEUED):
        push(p)
        kick()
    else:
        compare_and_swap(p.state, LEAVING, WOKEN)


@function()
def free_idle() -> None:
    """Halt until there is work."""
    cpu: Cpu = the(Cpu, this_cpu())
    queue: RunQueue = the(RunQueue, 0)
    while True:
        mask()
        if queue.top == NONE:
            cpu.idling = 1
            halt()
        else:
            unmask()
        cpu.idling = 0
        schedule(YIELD)


LOCK_FREE: dict[str, Callable[..., Any]] = {
    "unlink": free_unlink, "forget": free_forget, "look": free_look, "push": push, "pop": pop, "schedule": free_schedule,
    "put_away": put_away, "arrive": free_arrive, "wake": free_wake, "idle": free_idle,
}  # fmt: skip

# --- asymmetric ------------------------------------------------------------------------------------------
# Processor 0 of instance 0 alone executes the kernel of the file system. Others send it their calls. With one
# instance this is master-slave; an application kernel is an instance of its own, which forwards its calls.


@function("entry")
def forwarding_entry(number: int, d: int, name: int) -> int:
    """Enter the kernel: do the call here if this is the master, else let the master do it."""
    step("entry")
    if number == EXIT or (instance() == 0 and this_cpu() == 0):
        return body(number, d, name)
    return forward(number, d, name)


@function()
def forward(number: int, d: int, name: int) -> int:
    """Send the call as a message, signal the master, and wait for its signal."""
    me: Process = current()
    box: Mailbox = the_of(Mailbox, 0, 0)
    step("message")
    me.call = number
    me.directory = d
    me.name = name
    me.home = this_cpu()
    me.kernel = instance()
    me.replied = 0
    insert(box.calls, me, me)
    send_instance(0, 0, MESSAGE)
    while me.replied == 0:
        mask()
        if me.replied == 0:
            halt()
        else:
            unmask()
    me.call = 0
    return me.result


@function("interrupt")
def message_interrupt() -> None:
    """The master has mail: let its server have the processor."""
    box: Mailbox = the(Mailbox)
    step("interrupt")
    wake(box.server)


@function("interrupt")
def reply_interrupt() -> None:
    """The answer has come: what was interrupted looks at it."""
    step("interrupt")


@function("entry")
def server(unused: int) -> int:
    """The master's server: executes forwarded calls, one after the other."""
    arrive()
    unmask()
    box: Mailbox = the(Mailbox)
    while True:
        caller: Process = first(box.calls)
        while caller != NONE:
            remove(box.calls, caller)
            step("message")
            caller.result = body(caller.call, caller.directory, caller.name)
            caller.replied = 1
            send_instance(caller.kernel, caller.home, REPLY)
            caller = first(box.calls)
        sleep_for_mail()
    return unused


@function()
def sleep_for_mail() -> None:
    """Sleep unless mail has come: the look and the sleep are one with respect to interrupts."""
    box: Mailbox = the(Mailbox)
    with masked():
        if count(box.calls) == 0:
            schedule(MAIL_SLEEP)


@function()
def own_queue(why: int) -> None:
    """The scheduler of one processor's own processes: no other processor takes part."""
    queue: RunQueue = the(RunQueue, this_cpu())
    me: Process = current()
    cpu: Cpu = the(Cpu, this_cpu())
    with masked():
        step("schedule")
        stays = 0
        if why == LOCK_SLEEP:
            stays = granted_now()
        if why == DISK_SLEEP:
            disk: Disk = the(Disk)
            stays = disk.done
        if stays == 0:
            if why != YIELD:
                me.state = ASLEEP
            elif me != cpu.idle:
                me.state = QUEUED
                insert(queue.tasks, me, me)
            next: Process = first(queue.tasks)
            if next == NONE:
                next = cpu.idle
            else:
                remove(queue.tasks, next)
            next.state = AWAKE
            switch_to(next)


@function("hook")
def own_wake(p: Process) -> None:
    """Wake a process of this processor."""
    grant(p)
    queue: RunQueue = the(RunQueue, this_cpu())
    with masked():
        step("wake")
        if p.state == ASLEEP:
            p.state = QUEUED
            insert(queue.tasks, p, p)


@function()
def own_idle() -> None:
    """Halt until this processor's queue has something."""
    queue: RunQueue = the(RunQueue, this_cpu())
    while True:
        mask()
        if count(queue.tasks) == 0:
            halt()
        else:
            unmask()
        schedule(YIELD)


@function()
def nothing_to_end() -> None:
    """A new process has nothing to end: no lock is held across the switch."""
    step("arrive")


OWN_QUEUES: dict[str, Callable[..., Any]] = {
    "schedule": own_queue, "wake": own_wake, "idle": own_idle, "arrive": nothing_to_end,
}  # fmt: skip
ASYMMETRIC: dict[str, Callable[..., Any]] = OWN_QUEUES | {
    "entry": forwarding_entry, "forward": forward, "message_interrupt": message_interrupt,
    "reply_interrupt": reply_interrupt, "server": server, "sleep_for_mail": sleep_for_mail,
}  # fmt: skip
ASYMMETRIC_ATOMIC = frozenset({("Mailbox", "calls")})

# --- virtualization --------------------------------------------------------------------------------------
# The hypervisor is instance 0; its guest, instance 1, is the giant kernel with three places paravirtual.

SLICE_CYCLES = 20000
SLICE, GUEST_DISK, KICKED = 1, 2, 3
ASK_DISK, KICK = 10, 11
VIRTUALS = 2


class Slot(Object, count="cpus"):
    """A physical processor's round through its virtual processors."""

    turn: int


@function()
def hypervisor() -> None:
    """Give every virtual processor of this physical one its slice in turn; halt when all of them do."""
    slot: Slot = the(Slot, this_cpu())
    while True:
        tried = 0
        guest = slot.turn
        while tried < VIRTUALS:
            guest = (guest + 1) % VIRTUALS
            if guest % cpus() == this_cpu() and ready(cpus() + guest):
                break
            tried += 1
        if tried < VIRTUALS:
            slot.turn = guest
            set_timer(SLICE, SLICE_CYCLES)
            reason = run(cpus() + guest)
            serve(reason)
        else:
            rest()


@function()
def ready(guest: int) -> int:
    """Whether a virtual processor has something to do: it does not halt, or its interrupt is due."""
    cell: Cell = the(Cell, guest - cpus())
    return cell.halted == 0 or guest_time(guest) <= now()


@function()
def rest() -> None:
    """Halt until the first of this processor's guests has an interrupt, or someone kicks this processor."""
    soonest = 1 << 40
    guest = 0
    mask()
    while guest < VIRTUALS:
        if guest % cpus() == this_cpu() and guest_time(cpus() + guest) < soonest:
            soonest = guest_time(cpus() + guest)
        guest += 1
    wait = soonest - now()
    if wait > 0:
        set_timer(SLICE, wait)
        halt()
    else:
        unmask()


class Cell(Object, count="cells"):
    """What the hypervisor knows of a virtual processor."""

    halted: int


@function()
def serve(reason: int) -> None:
    """A guest has left: for a hypercall, because it halts, or because of an interrupt."""
    slot: Slot = the(Slot, this_cpu())
    cell: Cell = the(Cell, slot.turn)
    step("exit")
    cell.halted = reason == 2
    if reason == ASK_DISK:
        request(0, DISK_CYCLES, 0)
    if reason == KICK:
        other = 0
        while other < cpus():
            if other != this_cpu():
                send(other, KICKED)
            other += 1


@function("interrupt")
def device_for_guest() -> None:
    """The device has finished: tell the guest's first virtual processor, which runs here."""
    step("interrupt")
    send_instance(1, 0, DISK)


@function("interrupt")
def slice_over() -> None:
    """The slice is over: `run` has returned."""
    step("interrupt")


@function()
def ask_hypervisor() -> None:
    """A guest's device request is a hypercall."""
    trap(ASK_DISK)


@function()
def kick_by_hypercall() -> None:
    """Tell an idle virtual processor that there may be work, and the hypervisor that it must be run."""
    n = 0
    while n < cpus():
        cpu: Cpu = the(Cpu, n)
        if cpu.idling == 1:
            cpu.idling = 0
            if n != this_cpu():
                send(n, RESCHEDULE)
                trap(KICK)
            return
        n += 1


HYPERVISOR = {
    f.__name__: f for f in (hypervisor, ready, rest, serve, device_for_guest, slice_over)
} | {"ask_disk": ask_hypervisor, "kick": kick_by_hypercall}  # fmt: skip

# --- reimplementation ------------------------------------------------------------------------------------


@function()
def part_unlink(d: int, name: int) -> int:
    """A directory is an object with a server of its own, which is called on the caller's processor."""
    step("cross")
    inode: Inode = directory_server(d, name)
    step("cross")
    if inode == NONE:
        return 0
    names: Names = the(Names)
    remove(names.table, d * 65536 + name)
    if name % 8 == 0:
        read_disk()
    step("drop")
    links = inode.nlink
    while compare_and_swap(inode.nlink, links, links - 1) == 0:
        links = inode.nlink
    if links == 1:
        forget(inode)
    return 1


@function()
def directory_server(d: int, name: int) -> Inode:
    """The server of a directory: its own lock, held by whoever calls it."""
    directory: Directory = the(Directory, d)
    with hold("object", directory):
        step("unlink")
        inode: Inode = remove(directory.names, name)
    return inode


@function()
def part_forget(inode: Inode) -> None:
    """Free lists and totals are distributed: a processor uses its own part, without any lock."""
    step("free")
    with masked():
        part: Part = the(Part, this_cpu())
        insert(part.inodes, inode, inode)
        part.freed += 1
        part.numbers += inode.number


@function()
def part_look(d: int, name: int) -> int:
    """The name cache is replicated in spirit: reads are atomic, totals are summed over the parts."""
    names: Names = the(Names)
    inode: Inode = find(names.table, d * 65536 + name)
    step("look")
    if inode == NONE:
        return 0
    me: Process = current()
    me.found += 1
    return inode.number


@function("hook")
def part_wake(p: Process) -> None:
    """Wake a process of this processor; one of another is its own processor's business: a message."""
    grant(p)
    if p.home == this_cpu():
        wake_here(p)
    else:
        other: RunQueue = the(RunQueue, cpus() + p.home)
        step("message")
        insert(other.tasks, p, p)
        send(p.home, MESSAGE)


@function()
def wake_here(p: Process) -> None:
    """Make a process of this processor runnable."""
    queue: RunQueue = the(RunQueue, this_cpu())
    with masked():
        step("wake")
        if p.state == ASLEEP:
            p.state = QUEUED
            insert(queue.tasks, p, p)


@function("interrupt")
def wake_messages() -> None:
    """Wake what others ask this processor to wake."""
    step("interrupt")
    mail: RunQueue = the(RunQueue, cpus() + this_cpu())
    p: Process = first(mail.tasks)
    while p != NONE:
        remove(mail.tasks, p)
        wake_here(p)
        p = first(mail.tasks)


OBJECT_LOCK = LockClass("object", "Directory", "spinlock", fair=True)
REIMPLEMENTED: dict[str, Callable[..., Any]] = OWN_QUEUES | {
    "unlink": part_unlink, "directory_server": directory_server, "forget": part_forget, "look": part_look,
    "wake": part_wake, "wake_here": wake_here, "wake_messages": wake_messages,
}  # fmt: skip
REIMPLEMENTED_ATOMIC = frozenset({("Names", "table"), ("Inode", "nlink"), ("Process", "state")})
