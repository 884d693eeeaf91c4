"""The kernel's objects: what its functions read and write. Names are those of Unix and Linux.

They stand together as in a header, long as that gets: most functions need several, and plans name them all.
Those that only one module needs are in that, those of the network in `lockscape.kernel.network_objects`.
"""

from typing import TYPE_CHECKING, Annotated

from lockscape.program.objects import Collection, Object, Racy, bitmap, hashed, listed, slotted

if TYPE_CHECKING:
    from lockscape.kernel.messages import Message
    from lockscape.kernel.network_objects import Socket

RUNNABLE, BLOCKED, DONE, INTERRUPTIBLE = 0, 1, 2, 3
"""States of a process; INTERRUPTIBLE: it sleeps, and a signal ends that."""


class Inode(Object):
    """A file or directory: its on-disk inode, its pages (the mapping) and, for a directory, its entries.

    `unlinked`: it has no name any more; `freeing`: its last reference is gone and with it the file, though
    lists may still have it (I_FREEING). `link`: length of the path that a symbolic link has inside; 0 in what
    is none.
    """

    number: int
    nlink: int
    count: int
    size: int
    dirty: Annotated[
        int, Racy("read without the lock to see whether there is anything to do, as __mark_inode_dirty")
    ]
    since: int
    writers: int
    freeing: int
    unlinked: Annotated[
        int, Racy("set once, by who has a reference, and read by who gives the last one back")
    ]
    users: int
    group: int
    block: int
    reserved: int
    reserve: int
    version: int
    hint: int
    serial: int
    directory: int
    link: int
    entries: Collection = slotted(
        base="dir_scan",
        each="dir_lookup_entry",
        insert_base="dir_insert_scan",
        insert_each="dir_insert_entry",
    )
    pages: Collection = listed("Page")
    blocks: Collection = listed()


class Dentry(Object):
    """A name in the name cache: of `inode`, or of nothing (negative) when that is 0."""

    key: int
    count: int
    inode: Annotated[
        Inode,
        Racy("read by who has a reference: set once for a name, and taken away only from the last holder"),
    ]
    listed: int
    dropped: int
    since: int


class Page(Object):
    """A page of the page cache. `buffer`: the buffer of its block; `buffers`: heads counted for it."""

    index: int
    dirty: int
    buffers: int
    buffer: "Buffer"
    referenced: int


class File(Object):
    """An open file, an end of a pipe, or a socket.

    `shares`: descriptors and mappings that refer to it, besides the first one.
    """

    inode: Inode
    pipe: "Pipe"
    dentry: Dentry
    offset: int
    writing: int
    appending: int
    count: int
    shares: int
    socket: "Socket"


class Files(Object):
    """The descriptors of a process."""

    open: int
    used: Collection = bitmap(256, base="fd_search", each="bitmap_word")
    table: Collection = listed(File)


class Frame(Object):
    """A page of memory that several processes have since one made the other, until they write to it.

    `slot`: where it lies on disk, or 0.
    """

    count: int
    slot: int


class Area(Object):
    """A mapped range of a process.

    Of its `length` pages, in their order, the first `page` are there; `shares` of these are others' as well.
    `file` is what is mapped, if it is a file.
    """

    start: int
    length: int
    page: int
    reverse: int
    shares: int
    file: File
    shared: Collection = listed(Frame)


class Memory(Object):
    """The address space of a process.

    Where memory is limited: `users` refer to it; it is `known` as one with pages, of which `entries` are in
    memory and those `absent` on disk.
    """

    end: int
    next: int
    pages: int
    users: int
    known: int
    areas: Collection = listed(Area)
    entries: Collection = listed("PageEntry")
    absent: Collection = listed("PageEntry")


class WaitQueue(Object):
    """Processes that sleep until something happens."""

    sleepers: Collection = listed("Process")


class Process(Object):
    """A process. Its first field is its context: the machine's, which switches by it.

    `waiting`: it waits on a wait queue, for a buffer or for the disk, or was taken off and not yet called;
    `awaits`: how much the disk has served then; `ended`: its parent may take leave
    of it; `references`: who may still look at it. `signals`: those that have come, one bit each, as are those
    `handled` and `ignored`; `pending`: some may have come; `frames`: handlers that the program is to run.
    `asked`, `change`, `given`: which semaphore (its number + 1) or kind of message it waits for, what it does
    to the semaphore, and what came of that. `urgent`: it has the highest priority, from the beginning.
    """

    context: int
    number: int
    state: int
    queued: int
    running: int
    bound: Annotated[int, Racy("written by the process itself only, before it asks for the scheduler")]
    cpu: Annotated[int, Racy("a hint of the processor where it ran last; a stale value costs time only")]
    slice: int
    weight: int
    files: Files
    memory: Memory
    directory: Inode
    entered: "Dentry"
    inside: Inode
    awaits: int
    waiting: Annotated[
        int, Racy("set by its process before others find it on a queue, and cleared by who took it off")
    ]
    waits: WaitQueue
    parent: "Process"
    ended: int
    references: int
    signals: Annotated[
        int, Racy("a set of bits: looked at without its lock before sleeping, and noticed again by who sends")
    ]
    pending: Annotated[int, Racy("cleared by the process itself, which then looks at its signals")]
    handled: int
    ignored: int
    frames: int
    youngest: int
    asked: Annotated[int, Racy("written by the process itself only, while it is on no list of who waits")]
    change: Annotated[int, Racy("written by the process itself only, while it is on no list of who waits")]
    given: Annotated[int, Racy("set by who takes its process off a list, before it is called")]
    message: Annotated["Message", Racy("set by who takes its process off a list, before it is called")]
    urgent: int
    children: Collection = listed("Process")
    marks: Collection = listed()


class Processor(Object, count="cpus"):
    """What the kernel keeps for each processor.

    `previous`: what it ran before a switch that is not finished; `leaving`: that, if it has ended.
    """

    idle: Process
    need_resched: Annotated[int, Racy("set by other processors, and looked at again at every kernel exit")]
    previous: Process
    leaving: Process
    ticks: int
    pages: int
    idling: Annotated[int, Racy("a hint for the choice of a processor; a stale value costs time only")]
    runs: Process
    inodes: int
    blocks: int
    cached: int
    gathered: int
    quiet: Annotated[int, Racy("a time that only grows; an older value frees later")]
    recent: Collection = listed("Buffer")
    deferred: Collection = listed("Dentry")


class Kernel(Object, count=1):
    """The kernel instance as a whole."""

    processes: int


class ProcessTable(Object, count=1):
    """All processes by number; `last`: the number given out last."""

    last: int
    table: Collection = hashed(Process, base="pid_lookup", each="dcache_chain", buckets=1024)


class RunQueue(Object, count="run_queues"):
    """Runnable processes, of all processors or of one."""

    length: Annotated[int, Racy("balancing reads other queues' lengths without their locks")]
    tasks: Collection = listed(Process)


class DentryCache(Object, count=1):
    """The cache of names: a hash table and the list of those in nobody's use."""

    entries: int
    table: Collection = hashed(Dentry, base="dcache_lookup", each="dcache_chain", buckets=16384)
    unused: Collection = listed(Dentry)


class NameCache(Object, count=1):
    """The directory name cache of Linux 2.0: two levels of 128 names, each for one version of a directory."""

    first: Collection = hashed("", base="name_cache_lookup", each="dcache_chain", buckets=32)
    second: Collection = hashed("", buckets=32)


class Mount(Object, count=1):
    """The mounted file system, as paths see it: how many walks and open files refer to it."""

    users: int


class InodeCache(Object, count=1):
    """All inodes in memory."""

    inodes: int
    unused: int
    table: Collection = hashed(Inode, base="inode_lookup", each="dcache_chain", buckets=4096)
    dirty: Collection = listed(Inode)


class SuperBlock(Object, count=1):
    """The file system as a whole."""

    free_inodes: int
    free_blocks: int
    generation: int
    serials: int
    waiters: int
    dirty: Annotated[int, Racy("a flag that is only set, looked at every five seconds")]


class BlockGroup(Object, count="groups"):
    """A block group of ext2: its descriptor and bitmaps."""

    free_inodes: int
    free_blocks: int
    inode_bitmap: Annotated["Buffer", Racy("set once, to the one buffer of that block")]
    block_bitmap: Annotated["Buffer", Racy("set once, to the one buffer of that block")]
    descriptor: Annotated["Buffer", Racy("set once, to the one buffer of that block")]
    inode_map: Collection = bitmap(16384, base="inode_search", each="bitmap_word")
    block_map: Collection = bitmap(32768, base="block_search", each="bitmap_word")
    byte_map: Collection = bitmap(4096, base="byte_search", each="byte_word")


class BufferCache(Object, count=1):
    """Buffers of disk blocks: data blocks of old kernels, inode-table blocks and bitmaps of all."""

    waiters: int
    table: Collection = hashed("Buffer", base="buffer_lookup", each="dcache_chain", buckets=16384)
    dirty: Collection = listed("Buffer")
    heads: int


class Buffer(Object):
    """A buffer of a disk block."""

    block: int
    dirty: Annotated[
        int, Racy("read without the lock to see whether there is anything to do, as mark_buffer_dirty")
    ]
    since: int
    busy: Annotated[
        int, Racy("looked at without the lock before sleeping, and again under it, as wait_on_buffer")
    ]
    queued: int
    waiter: Process


class PageCache(Object, count=1):
    """What the page caches of all files share."""

    pages: int
    anonymous: int
    inactive: Collection = listed(Page)


class FileTable(Object, count=1):
    """All open files."""

    open: int
    files: Collection = listed(File)


class Zone(Object, count=1):
    """Free pages, of all `pages`; the marks at which more are freed; how often there were none left.

    `batch`: pages that a processor takes at once where memory is limited.
    """

    free: int
    pages: int
    least: int
    low: int
    high: int
    failed: Annotated[int, Racy("only whether it is 0 matters, so that a count may be lost")]
    batch: int


class Slab(Object, count="slabs"):
    """A cache of objects of one size: what is free beyond the processors' own arrays."""

    free: int
    pages: int


class SlabArray(Object, count="slab_arrays"):
    """A processor's own free objects of one slab."""

    free: int


class Clock(Object, count=1):
    """Time of day and kernel timers."""

    jiffies: Annotated[int, Racy("one word that one processor counts up; others read it as it is")]
    flush: int
    timers: int
    flusher: Process


class InterruptLine(Object, count=3):
    """The descriptor of an interrupt line: of the timer, of the disk, and of the network card."""

    handled: int


class Disk(Object, count=1):
    """The disk's request queue: how many requests it has `served`, and who is `waiting` for one to be."""

    busy: int
    served: int
    waiting: int
    queue: Collection = listed(Buffer)
    sleepers: Collection = listed(Process)


PAGE_BYTES = 4096
"""Of a page, and of a block of the file system."""

NAMES, DENTRIES, INODES, FILES, AREAS, HEADS, MESSAGES = range(7)
"""Slab caches: names (paths), dentries, inodes, open files, areas, buffer heads, messages."""
SLABS = 7
"""How many there are."""

PAGE_BATCH, PAGE_LIMIT = 16, 96
"""Pages that a processor takes from the zone at once, and the most that it keeps."""


class Pipe(Object):
    """A pipe: `bytes` lie in its buffer, the first of them `start` bytes after the beginning of a page.

    `spare`: a page that it keeps for the next write; `readers`, `writers`: open files of either end;
    `blocked`: writers that wait for room. Who waits for anything sleeps in `waits`.
    """

    start: int
    bytes: int
    spare: int
    readers: int
    writers: int
    blocked: int
    waits: WaitQueue


class TimerBase(Object, count="cpus"):
    """Timers of a processor, or of all, by the tick in which they are due. `time`: until when all ran."""

    time: int
    due: Collection = listed("Timer")


class Timer(Object):
    """A timer of a process that sleeps until the tick `expires`. `later`: the one behind it of that tick;
    `last`: the last of them, which the first knows."""

    expires: int
    process: Process
    later: "Timer"
    last: "Timer"


LIMIT_BATCHES = 6
"""So many batches it keeps, where memory is limited and batches are smaller (setup_pageset of 2.6)."""
