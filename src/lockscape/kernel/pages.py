"""The page cache: pages of files and directories, with the buffers of their blocks."""

from lockscape.kernel.allocate import drain_gathered, page_free, slab_alloc, slab_free
from lockscape.kernel.buffers import is_cached, mark_buffer_dirty, wait_on_buffer
from lockscape.kernel.objects import HEADS, Buffer, BufferCache, Inode, Page, PageCache, Processor
from lockscape.program.language import (
    NONE,
    atomic,
    find,
    first,
    free,
    function,
    hold,
    insert,
    move,
    new,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)

USED, ACTIVE = 1, 2
"""What `Page.referenced` says: used once, or more often (PG_referenced, PG_active)."""


@function()
def find_page(inode: Inode, index: int) -> Page:
    """Look a page of a file up in the page cache."""
    step("page_lookup")
    with section("lookup", inode.pages):
        page: Page = find(inode.pages, index)
    return page


@function()
def add_page(inode: Inode, index: int) -> Page:
    """Enter a new page of a file into the page cache and its list of inactive pages."""
    cache: PageCache = the(PageCache)
    step("page_add")
    page: Page = new(Page)
    page.index = index
    with section("add", inode.pages, cache.pages):
        insert(inode.pages, index, page)
        if option("processor_counters"):
            count_page(1)
        else:
            cache.pages += 1
    if not option("late_listing"):
        with section("activate", cache.inactive):
            insert(cache.inactive, page, page)
    return page


@function()
def list_late(page: Page) -> None:
    """Enter a page into the list of inactive pages after what it was added for (pagevec_lru_add)."""
    cache: PageCache = the(PageCache)
    with section("list", cache.inactive):
        insert(cache.inactive, page, page)


@function()
def count_page(number: int) -> None:
    """Count pages of the page cache on this processor (pagecache_acct)."""
    with atomic():
        mine: Processor = the(Processor, this_cpu())
        mine.cached += number


@function()
def mark_page_accessed(page: Page) -> None:
    """Note that a page was used; at its second use it goes to the active pages."""
    if page.referenced == 0:
        page.referenced = USED
    elif page.referenced == USED:
        cache: PageCache = the(PageCache)
        with section("active", cache.inactive):
            step("list_page")
            move(cache.inactive, page)
            page.referenced = ACTIVE


@function()
def make_buffers(inode: Inode, page: Page) -> None:
    """Give a page its buffer."""
    step("page_buffers")
    if option("private_buffers"):
        slab_alloc(HEADS)
        buffer: Buffer = new(Buffer)
        with section("attach", page.buffer):
            page.buffer = buffer
    else:
        cache: BufferCache = the(BufferCache)
        if not option("head_list"):
            slab_alloc(HEADS)
        with section("queue", cache.heads):
            cache.heads += 1
        page.buffer = new(Buffer)
        page.buffers = 1


@function()
def assign_block(page: Page, block: int) -> None:
    """Tell a page's buffer which block of the disk it is of; an old buffer of that block is not wanted."""
    buffer: Buffer = page.buffer
    buffer.block = block
    is_cached(block)


@function()
def mark_page_dirty(inode: Inode, page: Page) -> None:
    """Note that a page must be written back, among the dirty buffers or the dirty pages of its file."""
    buffer: Buffer = page.buffer
    if option("tagged_pages"):
        step("mark_buffer")
        if page.dirty == 0:
            with section("tag", inode.pages, page.dirty):
                page.dirty = 1
    elif buffer.dirty == 0:
        mark_buffer_dirty(buffer)
        if option("buffer_queues"):
            queue_on_inode(buffer)


@function()
def queue_on_inode(buffer: Buffer) -> None:
    """Enter a dirty buffer into its file's own list (buffer_insert_inode_data_queue)."""
    cache: BufferCache = the(BufferCache)
    with section("queue", cache.dirty):
        step("list_buffer")
        buffer.queued = 1


@function()
def drop_pages(inode: Inode) -> None:
    """Drop all pages of a file that is deleted, with their buffers."""
    page: Page = first_page(inode)
    while page != NONE:
        if option("page_locks"):
            with hold("PG_locked", page):
                drop_page(inode, page)
        else:
            drop_page(inode, page)
        unlist_page(inode, page)
        free(page)
        page_free()
        page = first_page(inode)
    if option("tagged_pages"):
        first_page(inode)


@function()
def drop_page(inode: Inode, page: Page) -> None:
    """Take the buffers from a page, and its mark of being dirty."""
    step("page_drop")
    if not option("buffer_data"):
        if page.buffer != NONE:
            drop_buffers(inode, page)
    if option("tagged_pages"):
        untag_page(inode, page)


@function()
def unlist_page(inode: Inode, page: Page) -> None:
    """Take a page out of the lists of pages and out of its file."""
    cache: PageCache = the(PageCache)
    if option("anonymous_lru"):
        remove_page(inode, page)
        drain_gathered()
    with section("inactive", cache.inactive):
        remove(cache.inactive, page)
    if not option("anonymous_lru"):
        remove_page(inode, page)


@function()
def remove_page(inode: Inode, page: Page) -> None:
    """Take a page out of its file's pages."""
    cache: PageCache = the(PageCache)
    with section("remove", inode.pages, cache.pages):
        remove(inode.pages, page.index)
        if option("processor_counters"):
            count_page(-1)
        else:
            cache.pages -= 1


@function()
def first_page(inode: Inode) -> Page:
    """Return a page of a file, or none."""
    with section("first", inode.pages):
        page: Page = first(inode.pages)
    return page


@function()
def drop_buffers(inode: Inode, page: Page) -> None:
    """Free the buffer of a page, when the disk has done with it."""
    step("drop_buffers")
    buffer: Buffer = page.buffer
    if option("private_buffers"):
        wait_on_buffer(buffer)
        detach_buffer(inode, page)
        slab_free(HEADS)
    else:
        if buffer.dirty == 1:
            clean_buffer(buffer)
        wait_on_buffer(buffer)
        if option("buffer_queues"):
            unqueue_buffer(buffer)
        free_head(page)
        if not option("head_list"):
            slab_free(HEADS)
    free(buffer)


@function()
def detach_buffer(inode: Inode, page: Page) -> None:
    """Take the buffer from a page of a file that keeps its own (try_to_free_buffers of 2.6)."""
    with section("detach", page.buffer):
        page.buffer = NONE
        untag_page(inode, page)


@function()
def untag_page(inode: Inode, page: Page) -> None:
    """Take the mark of being dirty from a page in its file's pages."""
    with section("untag", inode.pages, page.dirty):
        page.dirty = 0


@function()
def clean_buffer(buffer: Buffer) -> None:
    """Take a buffer off the list of dirty ones (mark_buffer_clean)."""
    cache: BufferCache = the(BufferCache)
    with section("clean", cache.dirty, buffer.dirty):
        if buffer.dirty == 1:
            remove(cache.dirty, buffer)
            buffer.dirty = 0


@function()
def unqueue_buffer(buffer: Buffer) -> None:
    """Take a buffer out of every queue that it may be in (remove_from_queues)."""
    cache: BufferCache = the(BufferCache)
    with section("unqueue", cache.table, cache.dirty):
        step("list_buffer")
        buffer.queued = 0


@function()
def free_head(page: Page) -> None:
    """Give the head of a page's buffer back (try_to_free_buffers)."""
    cache: BufferCache = the(BufferCache)
    if option("buffer_queues"):
        with section("free", cache.table, cache.dirty):
            count_head(page)
            wake_for_buffers()
    else:
        count_head(page)


@function()
def count_head(page: Page) -> None:
    """Count a buffer head as free."""
    cache: BufferCache = the(BufferCache)
    with section("unqueue", cache.heads):
        cache.heads -= 1
        page.buffer = NONE
        page.buffers = 0


@function()
def wake_for_buffers() -> None:
    """Look whether a process waits for buffers (wake_up of buffer_wait)."""
    cache: BufferCache = the(BufferCache)
    with section("waiters", cache.waiters):
        step("wake_nobody")
        waiting = cache.waiters
    if waiting > 0:
        cache.waiters = 0


@function()
def look_at_inode_buffers() -> None:
    """See that no dirty buffer is left on a file's own list (invalidate_inode_buffers, inode_has_buffers)."""
    cache: BufferCache = the(BufferCache)
    with section("look", cache.dirty):
        step("list_buffer")
