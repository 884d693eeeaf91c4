"""One page of a kernel: unlink and look-up, for one processor; and seven ways to make it multiprocessor.

The uniprocessor kernel knows sections, interrupt masking and one semaphore, that of the disk. What each method
adds is below it: for the lock-based ones a table of rules, for the others functions in the same language.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from lockscape.program.language import (
    NONE,
    count,
    cpus,
    current,
    exit_process,
    find,
    first,
    free,
    function,
    grant,
    granted,
    halt,
    hold,
    insert,
    interrupted_user,
    mask,
    masked,
    next_operation,
    operand,
    remove,
    request,
    section,
    send,
    step,
    switch_to,
    system_call,
    the,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Expr, Function, Hold, If, Section, Stmt, The, Var, While
from lockscape.program.objects import Collection, Object, Racy, hashed, listed, slotted
from lockscape.program.parse import parse

UNLINK, LOOK, EXIT = 1, 2, 3
TICK, RESCHEDULE, DISK, MESSAGE, REPLY = range(5)
YIELD, LOCK_SLEEP, DISK_SLEEP, MAIL_SLEEP = range(4)
AWAKE, QUEUED, ASLEEP, LEAVING, WOKEN = range(5)
DISK_CYCLES = 3000


class Process(Object):
    context: int
    state: int
    below: "Process"
    call: int
    directory: int
    name: int
    result: int
    replied: Annotated[int, Racy("polled by the processor that waits, set once by the one that answers")]
    home: int
    kernel: int
    found: int


class Cpu(Object, count="cpus"):
    idle: Process
    previous: Process
    idling: Annotated[int, Racy("a hint: whom to signal")]
    waits: int


class RunQueue(Object, count="run_queues"):
    tasks: Collection = listed(Process)
    top: Process
    version: int


class Directory(Object, count="directories"):
    names: Collection = slotted("Inode", base="scan", each="entry")


class Inode(Object):
    nlink: int
    number: int
    below: "Inode"


class Names(Object, count=1):
    """The name cache: every name of every directory."""

    table: Collection = hashed(Inode, base="hash", each="chain", buckets=64)


class Totals(Object, count=1):
    """Two numbers that belong together: inodes freed, and what they sum up to."""

    freed: int
    numbers: int


class FreeList(Object, count=1):
    inodes: Collection = listed(Inode)
    top: Inode
    version: int


class Disk(Object, count=1):
    done: int
    waiter: Process


class Part(Object, count="cpus"):
    """Reimplementation: a processor's own part of the free list and of the totals."""

    freed: int
    numbers: int
    inodes: Collection = listed(Inode)


class Grace(Object, count=1):
    """RCU: what waits until every processor has been outside every reader."""

    batch: Collection = listed(Inode)
    later: Collection = listed(Inode)
    left: int


class Mailbox(Object, count=1):
    """Asymmetric: calls that wait for the master."""

    calls: Collection = listed(Process)
    server: Process


CLASSES = (Process, Cpu, RunQueue, Directory, Inode, Names, Totals, FreeList, Disk, Part, Grace, Mailbox)

# --- the uniprocessor kernel -----------------------------------------------------------------------------


@function("user")
def postman() -> None:
    """User mode: the workload's operations, one after the other."""
    kind = next_operation()
    while kind != 0:
        step("user")
        system_call(kind, operand(1), operand(2))
        kind = next_operation()
    system_call(EXIT, 0, 0)


@function("entry")
def entry(number: int, d: int, name: int) -> int:
    """Enter the kernel."""
    step("entry")
    return body(number, d, name)


@function()
def body(number: int, d: int, name: int) -> int:
    """Do a system call."""
    if number == UNLINK:
        return unlink(d, name)
    if number == LOOK:
        return look(d, name)
    leave()
    return 0


@function()
def unlink(d: int, name: int) -> int:
    """Take a name out of a directory; the last name of an inode frees it."""
    directory: Directory = the(Directory, d)
    names: Names = the(Names)
    with section("remove", directory.names):
        step("unlink")
        inode: Inode = remove(directory.names, name)
    if inode == NONE:
        return 0
    with section("uncache", names.table):
        remove(names.table, d * 65536 + name)
    if name % 8 == 0:
        read_disk()
    with section("drop", inode.nlink):
        step("drop")
        inode.nlink -= 1
        left = inode.nlink
    if left == 0:
        forget(inode)
    return 1


@function()
def forget(inode: Inode) -> None:
    """Put an inode that nobody names on the free list."""
    pool: FreeList = the(FreeList)
    totals: Totals = the(Totals)
    with section("pool", pool.inodes):
        step("free")
        insert(pool.inodes, inode, inode)
    with section("totals", totals.freed, totals.numbers):
        totals.freed += 1
        step("sum")
        totals.numbers += inode.number


@function()
def look(d: int, name: int) -> int:
    """Look a name up in the cache, and at the totals."""
    names: Names = the(Names)
    totals: Totals = the(Totals)
    found = 0
    with section("look", names.table):
        inode: Inode = find(names.table, d * 65536 + name)
        if inode != NONE:
            step("look")
            found = inode.number
    with section("read_totals", totals.freed, totals.numbers):
        freed = totals.freed
        step("sum")
        numbers = totals.numbers
    me: Process = current()
    if (freed == 0) != (numbers == 0):
        me.found += 1000000
    if found != 0:
        me.found += 1
    return found


@function()
def read_disk() -> None:
    """Wait for the disk, which serves one process at a time."""
    disk: Disk = the(Disk)
    with hold("disk", disk):
        disk.done = 0
        disk.waiter = current()
        ask_disk()
        while disk.done == 0:
            schedule(DISK_SLEEP)


@function()
def ask_disk() -> None:
    """Start the device."""
    request(0, DISK_CYCLES, this_cpu())


@function("interrupt")
def disk_interrupt() -> None:
    """The device has finished."""
    disk: Disk = the(Disk)
    step("interrupt")
    disk.done = 1
    wake(disk.waiter)


@function()
def leave() -> None:
    """End the process."""
    me: Process = current()
    me.call = EXIT
    exit_process()
    schedule(LOCK_SLEEP)


@function()
def schedule(why: int) -> None:
    """Give the processor to the process that has waited longest; sleep unless what is waited for has come."""
    queue: RunQueue = the(RunQueue, 0)
    me: Process = current()
    cpu: Cpu = the(Cpu, this_cpu())
    disk: Disk = the(Disk)
    with masked(), section("switch", queue.tasks, me.state):
        step("schedule")
        stays = 0
        if why == LOCK_SLEEP:
            stays = granted_now()
        if why == DISK_SLEEP:
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


@function()
def granted_now() -> int:
    """Whether the lock that this process sleeps for is its own; an ended process waits for nothing."""
    me: Process = current()
    if me.call == EXIT:
        return 0
    return granted()


@function("entry")
def start(unused: int) -> int:
    """A new process begins here, in the middle of the switch to it, with interrupts off."""
    arrive()
    unmask()
    return unused


@function()
def arrive() -> None:
    """What a new process does first: end the switch."""
    queue: RunQueue = the(RunQueue, 0)
    with section("arrive", queue.tasks):
        step("arrive")


@function("hook")
def block() -> None:
    """Sleep for a lock."""
    while granted() == 0:
        schedule(LOCK_SLEEP)


@function("hook")
def wake(p: Process) -> None:
    """Make a sleeping process runnable."""
    grant(p)
    queue: RunQueue = the(RunQueue, 0)
    with masked(), section("wake", queue.tasks, p.state):
        step("wake")
        if p.state == ASLEEP:
            p.state = QUEUED
            insert(queue.tasks, p, p)
    kick()


@function()
def kick() -> None:
    """Tell an idle processor that there may be work."""
    n = 0
    while n < cpus():
        cpu: Cpu = the(Cpu, n)
        if cpu.idling == 1:
            cpu.idling = 0
            if n != this_cpu():
                send(n, RESCHEDULE)
            return
        n += 1


@function()
def idle() -> None:
    """Nothing to do: halt until there is."""
    cpu: Cpu = the(Cpu, this_cpu())
    queue: RunQueue = the(RunQueue, 0)
    while True:
        mask()
        if count(queue.tasks) == 0:
            cpu.idling = 1
            halt()
        else:
            unmask()
        cpu.idling = 0
        idle_schedule()


@function()
def idle_schedule() -> None:
    """The idle process' way into the scheduler."""
    schedule(YIELD)


@function("interrupt")
def tick() -> None:
    """The time slice is over."""
    step("interrupt")
    if interrupted_user():
        schedule(YIELD)


@function("interrupt")
def reschedule_interrupt() -> None:
    """Another processor has found work for this one."""
    step("interrupt")


UNIPROCESSOR: tuple[Callable[..., Any], ...] = (
    postman, entry, body, unlink, forget, look, read_disk, ask_disk, disk_interrupt, leave, schedule, granted_now,
    start, arrive, block, wake, kick, idle, idle_schedule, tick, reschedule_interrupt,
)  # fmt: skip
DISK_LOCK = LockClass("disk", "Disk", "sema", fair=True)

# --- one pass for all methods with locks -----------------------------------------------------------------

Rule = tuple[str, Expr | None, str]
"""A lock, the object that embeds it, and how it is held (`nodes.MODES`)."""


def uniprocessor() -> dict[str, Function]:
    return {f.__name__: parse(f, {}) for f in UNIPROCESSOR}


def ported(
    rules: dict[str, list[Rule]], new: dict[str, Callable[..., Any]] | None = None
) -> dict[str, Function]:
    """Apply rules, outer first: "function" to a whole body, "function/section" to a section."""
    trees = uniprocessor() | {n: replace(parse(f, {}), name=n) for n, f in (new or {}).items()}
    used = set()

    def holding(key: str, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        used.add(key)
        for lock, where, mode in reversed(rules.get(key, [])):
            body = (Hold(lock, where, mode, body),)
        return body

    def walk(name: str, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        found: list[Stmt] = []
        for s in body:
            match s:
                case Section(name=part, body=inner):
                    found += holding(f"{name}/{part}", (replace(s, body=walk(name, inner)),))
                case If(then=then, other=other):
                    found.append(replace(s, then=walk(name, then), other=walk(name, other)))
                case While(body=inner) | Hold(body=inner):
                    found.append(replace(s, body=walk(name, inner)))
                case _:
                    found.append(s)
        return tuple(found)

    made = {n: f.with_body(holding(n, walk(n, f.body))) for n, f in trees.items()}
    assert set(rules) <= used, set(rules) - used
    return made


# --- giant -----------------------------------------------------------------------------------------------

BIG = LockClass("big", "Totals", "bkl", recursive=True, owner="processor")
_BIG: list[Rule] = [("big", None, "exclusive")]
GIANT = dict.fromkeys(("entry", "disk_interrupt", "tick", "idle_schedule"), _BIG) | {
    "schedule": [("big", None, "drop")],
    "start": [("big", None, "arrive")],
}
"""One lock from kernel entry to exit; the processor keeps it through a switch, until the idle process runs."""

# --- coarse ----------------------------------------------------------------------------------------------

FILES = LockClass("files", "Totals", "bkl", recursive=True, blocking=True, fair=True)
"""A funnel: a lock of the file system that a process lets go when it sleeps."""
SCHED = LockClass("sched", "RunQueue", "spinlock", owner="processor")
"""Held across the switch: the process that goes on releases it, on the same processor."""
_QUEUE: dict[str, list[Rule]] = {
    "schedule/switch": [("sched", The("RunQueue", None), "exclusive")],
    "wake/wake": [("sched", The("RunQueue", None), "exclusive")],
    "arrive/arrive": [("sched", The("RunQueue", None), "arrive")],
}
COARSE = _QUEUE | {
    "unlink": [("files", None, "exclusive")],
    "look": [("files", None, "exclusive")],
    "read_disk": [("files", None, "drop")],
}

# --- fine ------------------------------------------------------------------------------------------------

FINE_LOCKS = (
    DISK_LOCK,
    SCHED,
    LockClass("i_sem", "Directory", "sema"),
    LockClass("i_lock", "Inode", "spinlock"),
    LockClass("names", "Names", "rwlock"),
    LockClass("pool", "FreeList", "spinlock", fair=True),
    LockClass("totals", "Totals", "seqlock"),
)
FINE = _QUEUE | {
    "unlink/remove": [("i_sem", Var("directory"), "exclusive")],
    "unlink/uncache": [("names", None, "exclusive")],
    "unlink/drop": [("i_lock", Var("inode"), "exclusive")],
    "forget/pool": [("pool", None, "exclusive")],
    "forget/totals": [("totals", None, "exclusive")],
    "look/look": [("names", None, "shared")],
    "look/read_totals": [("totals", None, "retry")],
}

GRACE_LOCK = LockClass("grace", "Grace", "spinlock")
RCU_LOCKS = (
    *(k for k in FINE_LOCKS if k.name not in ("names", "pool")),
    LockClass("names", "Names", "spinlock"),
    GRACE_LOCK,
)
RCU = {k: v for k, v in FINE.items() if k not in ("look/look", "forget/pool")} | {
    "look/look": [("", None, "rcu")]
}
"""The same with RCU instead of the reader-writer lock, and inodes given back after a grace period."""


@function()
def rcu_forget(inode: Inode) -> None:
    """Count the inode, and free it when no reader can hold it any more."""
    totals: Totals = the(Totals)
    with section("totals", totals.freed, totals.numbers):
        totals.freed += 1
        step("sum")
        totals.numbers += inode.number
    grace: Grace = the(Grace)
    with masked(), hold("grace", grace):
        insert(grace.later, inode, inode)


@function("interrupt")
def rcu_tick() -> None:
    """The tick with a quiescent state: what it came into was no reader."""
    step("interrupt")
    cpu: Cpu = the(Cpu, this_cpu())
    me: Process = current()
    if interrupted_user() or me == cpu.idle:
        with hold("grace", the(Grace)):
            quiet(cpu)
    if interrupted_user():
        schedule(YIELD)


@function()
def quiet(cpu: Cpu) -> None:
    """This processor is outside every reader; the last one frees the batch and begins the next."""
    grace: Grace = the(Grace)
    if cpu.waits == 1:
        cpu.waits = 0
        grace.left -= 1
    if grace.left == 0:
        inode: Inode = first(grace.batch)
        while inode != NONE:
            remove(grace.batch, inode)
            free(inode)
            inode = first(grace.batch)
        inode = first(grace.later)
        while inode != NONE:
            remove(grace.later, inode)
            insert(grace.batch, inode, inode)
            inode = first(grace.later)
        n = 0
        while n < cpus():
            other: Cpu = the(Cpu, n)
            other.waits = 1
            n += 1
        grace.left = cpus()
