"""Lock-free: what several processors change is changed by compare-and-swap, with versions and retry.

A section on an object reads the object's *version*, does its work on what it finds, and commits: if no other
commit has changed the version meanwhile, its words and the version change at once, else it begins again. So
nobody waits for anybody, whoever is interrupted or preempted holds nothing up, and interrupt handlers come in
without masking. A counter is one word and needs no version: a compare-and-swap is tried until it succeeds.
Readers of names write nothing at all; what they may still look at is freed when every processor has been
elsewhere (RCU).

One word and its version take one double compare-and-swap (CAS2, of two words that lie apart), as the 68020 to
68040 have it and both kernels of this method used it. More words, and hardware without it, take a multi-word
compare-and-swap in software: an operation that others can see and finish. A few functions are written anew so
that each of their steps is one commit of few words.

The models are Synthesis (Massalin and Pu, CUCS-005-91) and the Cache Kernel (Greenwald and Cheriton, OSDI
1996); the multi-word operation is that of Harris, Fraser and Pratt (DISC 2002), name lookup that of Linux 2.6
(McKenney et al., 2001). What keeps others out of calls that sleep (a file's semaphore, an address space's) is
the uniprocessor kernel's own, and stays.
"""

from lockscape.kernel.objects import Buffer, BufferCache, Disk, Inode, Page, PageCache
from lockscape.kernel.writeback import BATCH, start_disk
from lockscape.program.language import NONE, first, function, insert, new, remove, section, step, the

PLANS = {
    "lock-free": "versions, single and double compare-and-swap (CAS2)",
    "lock-free-single": "the same on hardware that compares and swaps one word at a time",
}
"""The method's plans, and what each is."""


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
