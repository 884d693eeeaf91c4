"""Writing to disk on demand and waiting until it is there: fsync of a file, sync of everything.

The disk serves requests in order, so that who waits for several buffers waits once, for the last of them.
"""

from lockscape.kernel.blocks import known_block
from lockscape.kernel.buffers import bread
from lockscape.kernel.files import BAD_DESCRIPTOR, NO_FILE, fget, fput, refuse_pipe
from lockscape.kernel.inodes import INODES_PER_BLOCK, TABLE_BLOCK, clean_inode, write_inode
from lockscape.kernel.objects import PAGE_BYTES, Buffer, Clock, Disk, Inode, Process
from lockscape.kernel.pages import clean_buffer, find_page
from lockscape.kernel.scheduler import sleep_until_called
from lockscape.kernel.writeback import (
    BATCH,
    flush_inodes,
    flush_old,
    queue_buffer,
    start_disk,
    write_pages,
)
from lockscape.program.language import (
    NONE,
    count,
    current,
    function,
    hold,
    insert,
    option,
    section,
    step,
    the,
)

INVALID = -22
"""EINVAL of Linux, of fsync on what has no blocks."""


@function()
def sys_fsync(fd: int) -> int:
    """Write what is dirty of an open file and of its inode, and wait until it is on disk."""
    file = fget(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if file.pipe != NONE:
            return refuse_pipe(file, INVALID)
        if file.socket != NONE:
            return refuse_pipe(file, NO_FILE)
    inode: Inode = file.inode
    step("fsync")
    with hold("i_sem", inode):
        write_data(inode)
        if inode.dirty == 1:
            clean_inode(inode)
            write_inode(inode)
            write_now(bread(TABLE_BLOCK + inode.number // INODES_PER_BLOCK))
        start_disk()
        wait_for_disk()
    if option("file_counts"):
        fput(file)
    return 0


@function()
def write_data(inode: Inode) -> None:
    """Queue the dirty data of a file, which its semaphore keeps from being written to."""
    if option("tagged_pages"):
        write_pages(inode)
    elif option("buffer_data"):
        index = 0
        block = inode.block
        while block != 0:
            write_now(bread(block))
            index += 1
            block = known_block(inode, index)
    else:
        index = 0
        while index * PAGE_BYTES < inode.size:
            page = find_page(inode, index)
            if page != NONE:
                if page.buffer != NONE:
                    write_now(page.buffer)
            index += 1


@function()
def write_now(buffer: Buffer) -> None:
    """Queue a buffer for the disk, if it is dirty (ll_rw_block)."""
    if buffer.dirty == 1:
        clean_buffer(buffer)
        queue_buffer(buffer)


@function()
def sys_sync() -> int:
    """Write all that is dirty now, inodes first, and wait until it is on disk."""
    clock: Clock = the(Clock)
    limit = clock.jiffies
    step("sync")
    flush_inodes(limit)
    while flush_old(limit) == BATCH:
        step("flush")
    wait_for_disk()
    return 0


@function()
def requests_left(disk: Disk) -> int:
    """Return how many requests the disk has still to serve."""
    return count(disk.queue)


@function()
def wait_for_disk() -> None:
    """Sleep until the disk has done all that is in its queue now."""
    me: Process = current()
    disk: Disk = the(Disk)
    asked = 0
    with section("register", disk.queue, disk.served, disk.sleepers):
        step("queue_request")
        left = requests_left(disk)
        if left > 0:
            asked = 1
            me.waiting = 1
            me.awaits = disk.served + left
            insert(disk.sleepers, me, me)
            disk.waiting += 1
    if asked == 1:
        sleep_until_called()
