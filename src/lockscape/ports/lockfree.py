"""The lock-free kernel: functions that are written anew so that each of their steps is one commit."""

from lockscape.kernel.objects import Buffer, BufferCache, Disk, Inode, Page, PageCache
from lockscape.kernel.writeback import BATCH, start_disk
from lockscape.program.language import NONE, first, function, insert, new, remove, section, step, the


@function(replaces=True)
def add_page(inode: Inode, index: int) -> Page:
    """Enter a new page of a file into the page cache and its list of inactive pages, and count it."""
    cache: PageCache = the(PageCache)
    step("page_add")
    page: Page = new(Page)
    page.index = index
    with section("add", inode.pages):
        insert(inode.pages, index, page)
    with section("count", cache.pages):
        cache.pages += 1
    with section("activate", cache.inactive):
        insert(cache.inactive, page, page)
    return page


@function(replaces=True)
def remove_page(inode: Inode, page: Page) -> None:
    """Take a page out of its file's pages, and count it out."""
    cache: PageCache = the(PageCache)
    with section("remove", inode.pages):
        remove(inode.pages, page.index)
    with section("count", cache.pages):
        cache.pages -= 1


@function(replaces=True)
def flush_old(limit: int) -> int:
    """Queue some buffers that became dirty before a time, one by one; return how many."""
    done = 0
    step("flush")
    while done < BATCH and take_old(limit) == 1:
        done += 1
    start_disk()
    return done


@function()
def take_old(limit: int) -> int:
    """Move the oldest dirty buffer to the disk's queue if it became dirty before a time; return 1 if so."""
    cache: BufferCache = the(BufferCache)
    disk: Disk = the(Disk)
    with section("collect", cache.dirty, disk.queue):
        moved = 0
        buffer: Buffer = first(cache.dirty)
        if buffer != NONE and buffer.since <= limit:
            step("queue_request")
            buffer.busy = 1
            remove(cache.dirty, buffer)
            buffer.dirty = 0
            insert(disk.queue, buffer, buffer)
            moved = 1
    return moved
