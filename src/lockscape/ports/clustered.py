"""New code of the reimplemented kernel: clustered objects, deferred deletion, and servers called in place.

A clustered object is one to whoever calls it and several inside: a *root*, and *representatives*, one for
each processor that uses it. What they hold of the classes of the uniprocessor kernel they say by
``represents``: the kernel's count is the sum over them, its collection is theirs together.

A program's call is a protected procedure call to a server: it crosses into the server's address space on the
caller's processor, with a worker of that processor, and meets neither scheduler nor lock.

Objects that others may still look at without a reference are freed when every call that was active at their
deletion has ended. Calls count themselves in one of two generations of the processor where they began; a
token goes round the processors, and each advances when it has it and its older generation is empty.
"""

from typing import Any

from lockscape.kernel import objects
from lockscape.kernel.allocate import slab_free
from lockscape.kernel.areas import drop_areas, sys_brk, sys_mmap, sys_munmap, touch_page
from lockscape.kernel.delivery import check_signals
from lockscape.kernel.entry import (
    BRK,
    CLOSE,
    EXIT,
    FAULT,
    FSYNC,
    MMAP,
    MUNMAP,
    OPEN,
    READ,
    TIME,
    WRITE,
    late_call,
    name_call,
    sys_ioctl,
    sys_time,
)
from lockscape.kernel.files import sys_close, sys_open
from lockscape.kernel.objects import DENTRIES, Page, Processor
from lockscape.kernel.processes import close_all, leave_processor, leave_queue, tell_family
from lockscape.kernel.readwrite import sys_read, sys_write
from lockscape.kernel.scheduler import schedule
from lockscape.kernel.swap import leave_spaces
from lockscape.program.language import (
    NONE,
    add_return,
    atomic,
    cpus,
    current,
    exit_process,
    first,
    free,
    function,
    hold,
    insert,
    masked,
    new,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, hashed, listed

PASSES = 4
"""Advances of any one processor after which each call that was active before them has ended: neighbours
differ by one generation, a deletion may fall into the later of two, and a generation is empty two advances
after it began."""

MOST_CPUS = 1024
"""Numbers of processors are below this."""


# --- objects ------------------------------------------------------------------------------------------------


class NameSpace(Object):
    """The names of one directory that are in memory: the directory's own cache of names."""

    represents = "DentryCache"

    entries: int
    table: Collection = hashed("Dentry", base="dcache_lookup", each="dcache_chain", buckets=64)
    unused: Collection = listed("Dentry")


class FileCache(Object):
    """The root of a file's page cache, and all of it as long as it is of the shared kind.

    `phase`: SHARED, FORWARDING (a mediator stands before it) or DISTRIBUTED. `user`: the processor that used
    it last, and one; `moves`: how often another one did; `since`: the generation when the mediator came.
    """

    represents = "PageCache"

    pages: int
    phase: int
    user: int
    moves: int
    since: int
    inactive: Collection = listed(Page)
    parts: Collection = listed("FilePart")


class FilePart(Object):
    """A representative of a file's page cache, for the pages that have their home on one processor."""

    represents = "PageCache"

    pages: int
    home: int
    inactive: Collection = listed(Page)


class Inode(objects.Inode, extends=True):
    """A file or directory, which knows its page cache and its names."""

    cache: FileCache
    names: NameSpace


class Dentry(objects.Dentry, extends=True):
    """A name, which knows where it is kept; `count` is -1 when nobody can take it any more."""

    space: NameSpace


class Process(objects.Process, extends=True):
    """A process, with the generation that counts its call, and the processor where it does."""

    generation: int
    origin: int


class Translation(Object, count="cpus"):
    """A processor's table of representatives, by file cache and home."""

    misses: int
    table: Collection = hashed(FilePart, base="object_table", each="dcache_chain", buckets=256)


class Doomed(Object):
    """What is deleted, and freed when no call can have it any more: one of these, since a generation."""

    since: int
    dentry: objects.Dentry
    space: NameSpace
    cache: FileCache


class Generation(Object, count="cpus"):
    """A processor's generation, calls active in the even and the odd one, and what waits for their end."""

    number: int
    even: int
    odd: int
    doomed: Collection = listed(Doomed)


class Server(Object, count="cpus"):
    """The servers' representative on a processor: its idle workers, and its share of the counts."""

    represents = "Kernel"

    workers: int
    made: int
    processes: int


# --- servers called on the caller's processor ---------------------------------------------------------------


@function("entry", replaces=True)
def system_call(number: int, a: int, b: int, c: int) -> int:
    """Enter the kernel from user mode; it only crosses over to the server that does the call."""
    if number == FAULT:
        step("exception_entry")
    else:
        step("syscall_entry")
    begin_call()
    take_worker()
    step("ppc_call")
    if number >= MMAP and number < FSYNC:
        result = process_server(number, a, b)
    else:
        result = file_server(number, a, b, c)
    step("ppc_return")
    give_worker()
    end_call()
    processor: Processor = the(Processor, this_cpu())
    if processor.need_resched == 1:
        schedule()
    if option("sharing"):
        check_signals()
    step("syscall_exit")
    return result


@function(replaces=True)
def end_by_signal() -> None:
    """End the current process, for a signal came that it does not handle: this counts as a call."""
    begin_call()
    take_worker()
    sys_exit()


@function()
def file_server(number: int, a: int, b: int, c: int) -> int:
    """The file server: names, files and directories."""
    if number == OPEN:
        return sys_open(a, b, c)
    if number == CLOSE:
        return sys_close(a)
    if number == READ:
        return sys_read(a, b)
    if number == WRITE:
        return sys_write(a, b)
    if number >= FSYNC:
        return late_call(number, a, b, c)
    return name_call(number, a, b, c)


@function()
def process_server(number: int, a: int, b: int) -> int:
    """The process server: address spaces, time and the end of processes."""
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
    return sys_ioctl(a, 0)


@function()
def take_worker() -> None:
    """Take a worker of this processor, making one if all are in calls that sleep."""
    with masked():
        mine: Server = the(Server, this_cpu())
        if mine.workers == 0:
            step("ppc_worker")
            mine.workers += 1
            mine.made += 1
        mine.workers -= 1


@function()
def give_worker() -> None:
    """Give a worker to the processor where its call ended."""
    with masked():
        mine: Server = the(Server, this_cpu())
        mine.workers += 1


@function(replaces=True)
def sys_exit() -> None:
    """End the current process: its last call never returns."""
    me: Process = current()
    if option("sharing"):
        step("end")
        drop_areas(me.memory)
        if option("swapping"):
            leave_spaces(me.memory)
        close_all(me)
        tell_family(me)
    else:
        step("exit")
    give_worker()
    end_call()
    with atomic():  # a switch from an interrupt would never come back to a process that is off its queue
        leave_queue(me)
        with masked():
            mine: Server = the(Server, this_cpu())
            mine.processes -= 1
        if option("sharing"):
            leave_processor(me)
        exit_process()
    schedule()


# --- deferred deletion --------------------------------------------------------------------------------------


@function()
def begin_call() -> None:
    """Count a call in the present generation of this processor."""
    me: Process = current()
    with masked():
        mine: Generation = the(Generation, this_cpu())
        me.generation = mine.number
        me.origin = this_cpu()
        if mine.number % 2 == 0:
            mine.even += 1
        else:
            mine.odd += 1


@function()
def end_call() -> None:
    """Count a call out of the generation that it began in, wherever it ends: all it did comes before that."""
    me: Process = current()
    began: Generation = the(Generation, me.origin)
    if me.generation % 2 == 0:
        left = add_return(began.even, -1)
    else:
        left = add_return(began.odd, -1)


@function()
def calls_ended(since: int) -> int:
    """Return 1 if all calls have ended that were active in a generation of some processor."""
    mine: Generation = the(Generation, this_cpu())
    return mine.number >= since + PASSES


@function()
def advance_generation() -> None:
    """At a tick: go on to the next generation if it is this processor's turn, and free what can be freed."""
    step("generation_check")
    mine: Generation = the(Generation, this_cpu())
    turn = 0
    if this_cpu() == 0:
        last: Generation = the(Generation, cpus() - 1)
        turn = last.number == mine.number
    else:
        before: Generation = the(Generation, this_cpu() - 1)
        turn = before.number > mine.number
    if turn == 1:
        if mine.number % 2 == 0:
            older = mine.odd
        else:
            older = mine.even
        if older == 0:
            now = add_return(mine.number, 1)
    free_doomed(mine)


@function()
def free_doomed(mine: Generation) -> None:
    """Free what was deleted long enough ago."""
    doomed: Doomed = first(mine.doomed)
    while doomed != NONE and doomed.since + PASSES <= mine.number:
        remove(mine.doomed, doomed)
        if doomed.dentry != NONE:
            free(doomed.dentry)
            slab_free(DENTRIES)
        if doomed.space != NONE:
            free(doomed.space)
        if doomed.cache != NONE:
            free_cache(doomed.cache)
        free(doomed)
        doomed = first(mine.doomed)


@function()
def free_cache(cache: FileCache) -> None:
    """Free a file's page cache with its representatives, out of every processor's table."""
    part: FilePart = first(cache.parts)
    while part != NONE:
        cpu = 0
        while cpu < cpus():
            forget_part(cpu, key_of(cache, part.home))
            cpu += 1
        remove(cache.parts, part.home)
        free(part)
        part = first(cache.parts)
    free(cache)


@function()
def key_of(cache: Any, home: int) -> int:
    """Return the key of a representative: of its root, which is a number to tables, and its home."""
    key: int = cache * MOST_CPUS + home
    return key


@function()
def forget_part(cpu: int, key: int) -> None:
    """Take a representative out of the table of a processor."""
    table: Translation = the(Translation, cpu)
    with hold("table_lock", table), section("forget", table.table):
        remove(table.table, key)


@function()
def doom(dentry: objects.Dentry, space: NameSpace, cache: FileCache) -> None:
    """Have an object freed on this processor when all calls that are active now have ended."""
    step("defer_free")
    doomed: Doomed = new(Doomed)
    doomed.dentry = dentry
    doomed.space = space
    doomed.cache = cache
    with masked():
        mine: Generation = the(Generation, this_cpu())
        doomed.since = mine.number
        insert(mine.doomed, doomed, doomed)
