"""Writing dirty inodes and buffers back: at their age limit, through the disk's queue and interrupt."""

from lockscape.kernel.inodes import iput, write_inode
from lockscape.kernel.objects import Buffer, BufferCache, Clock, Disk, Inode, InodeCache, Page, Process
from lockscape.kernel.pages import untag_page
from lockscape.kernel.scheduler import finish_switch, sleep_until_woken, wake
from lockscape.kernel.vectors import DISK
from lockscape.kernel.waits import call
from lockscape.program.language import (
    NONE,
    after,
    count,
    first,
    function,
    hold,
    insert,
    option,
    remove,
    request,
    section,
    step,
    the,
    this_cpu,
    unmask,
)

BATCH = 32
"""Buffers that are queued for the disk at once."""


@function()
def flush_due() -> None:
    """Every five seconds, see to the buffers that have been dirty for long, or wake the process that does."""
    clock: Clock = the(Clock)
    if clock.jiffies >= clock.flush:
        clock.flush = clock.jiffies + option("flush_seconds") * option("hz")
        if option("flush_thread"):
            wake(clock.flusher)
        else:
            flush_old(clock.jiffies - option("buffer_age_seconds") * option("hz"))


@function()
def flush_thread() -> None:
    """Write back, whenever woken (kupdated, pdflush; in Linux 2.0 the program update in its system call)."""
    finish_switch()
    unmask()
    flush_forever()


@function()
def flush_forever() -> None:
    """Write back what is old enough, and sleep until the next time."""
    while True:
        clock: Clock = the(Clock)
        limit = clock.jiffies - option("buffer_age_seconds") * option("hz")
        flush_inodes(clock.jiffies - option("inode_age_seconds") * option("hz"))
        while flush_old(limit) == BATCH:
            step("flush")
        sleep_until_woken()


@function()
def flush_inodes(limit: int) -> None:
    """Write the inodes that became dirty before a time into their buffers."""
    step("flush")
    inode = take_dirty(limit)
    while inode != NONE:
        if option("tagged_pages"):
            write_pages(inode)
        write_inode(inode)
        iput(inode)
        inode = take_dirty(limit)


@function()
def take_dirty(limit: int) -> Inode:
    """Take the oldest dirty inode off its list, with a reference, if it became dirty before a time."""
    cache: InodeCache = the(InodeCache)
    with section("oldest", cache.dirty):
        step("take_dirty")
        inode: Inode = first(cache.dirty)
        while inode != NONE and inode.freeing == 1:
            inode = after(cache.dirty, inode)
        if inode != NONE:
            if inode.since > limit:
                inode = NONE
            else:
                remove(cache.dirty, inode)
                inode.dirty = 0
                inode.count += 1
    return inode


@function()
def write_pages(inode: Inode) -> None:
    """Queue the dirty pages of a file for the disk (mpage_writepages)."""
    page: Page = next_dirty(inode)
    while page != NONE:
        with hold("PG_locked", page):
            untag_page(inode, page)
            queue_buffer(page.buffer)
        page = next_dirty(inode)
    start_disk()


@function()
def next_dirty(inode: Inode) -> Page:
    """Return a dirty page of a file, or none."""
    with section("tagged", inode.pages):
        step("page_lookup")
        page: Page = first(inode.pages)
        while page != NONE and page.dirty == 0:
            page = after(inode.pages, page.index)
    return page


@function()
def queue_buffer(buffer: Buffer) -> None:
    """Put a buffer into the disk's queue."""
    disk: Disk = the(Disk)
    with section("queue", disk.queue):
        step("queue_request")
        if buffer.busy == 0:
            buffer.busy = 1
            insert(disk.queue, buffer, buffer)


@function()
def flush_old(limit: int) -> int:
    """Queue some buffers that became dirty before a time; return how many."""
    cache: BufferCache = the(BufferCache)
    disk: Disk = the(Disk)
    done = 0
    step("flush")
    with section("collect", cache.dirty, disk.queue):
        buffer: Buffer = first(cache.dirty)
        while buffer != NONE and done < BATCH:
            if buffer.since > limit:
                break
            step("queue_request")
            buffer.busy = 1
            remove(cache.dirty, buffer)
            buffer.dirty = 0
            insert(disk.queue, buffer, buffer)
            buffer = first(cache.dirty)
            done += 1
    start_disk()
    return done


@function()
def start_disk() -> None:
    """Give the disk its next request, if it has nothing to do."""
    disk: Disk = the(Disk)
    with section("start", disk.queue, disk.busy):
        if disk.busy == 0 and count(disk.queue) > 0:
            step("disk_command")
            disk.busy = 1
            request(0, option("disk_cycles"), this_cpu() * option("spread_interrupts"))


@function()
def disk_done() -> None:
    """The disk has written a buffer: take it off the queue, wake who waits for it, and go on."""
    disk: Disk = the(Disk)
    waiter: Process = NONE
    with section("done", disk.queue, disk.busy):
        step("request_done")
        buffer: Buffer = first(disk.queue)
        if buffer != NONE:
            remove(disk.queue, buffer)
            waiter = buffer.waiter
            buffer.waiter = NONE
            buffer.busy = 0  # who looks for that without a lock frees it at once
            disk.served += 1
        disk.busy = 0
        sleepers = disk.waiting
    if waiter != NONE:
        call(waiter)
    if sleepers > 0:
        wake_sleepers(disk)
    start_disk()


@function()
def wake_sleepers(disk: Disk) -> None:
    """Wake those who wait for no more than the disk has done."""
    p = due_sleeper(disk)
    while p != NONE:
        call(p)
        p = due_sleeper(disk)


@function()
def due_sleeper(disk: Disk) -> Process:
    """Take who has waited longest for the disk off its list, or none if it is not done."""
    with section("due", disk.sleepers, disk.served):
        p: Process = first(disk.sleepers)
        if p != NONE:
            if p.awaits > disk.served:
                p = NONE
            else:
                remove(disk.sleepers, p)
                disk.waiting -= 1
    return p


VECTOR = DISK
"""The interrupt by which the disk says that it is done."""
