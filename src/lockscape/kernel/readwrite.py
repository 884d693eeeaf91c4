"""Reading and writing files through the page cache, or in old kernels the buffer cache."""

from lockscape.kernel.allocate import page_alloc
from lockscape.kernel.blocks import alloc_block, enter_block, find_goal, known_block, map_block
from lockscape.kernel.buffers import bread, mark_buffer_dirty
from lockscape.kernel.files import BAD_DESCRIPTOR, fget, fget_light, fput, notify, refuse_socket
from lockscape.kernel.inodes import mark_inode_dirty
from lockscape.kernel.objects import PAGE_BYTES, Buffer, BufferCache, File, Inode, Page
from lockscape.kernel.pages import (
    add_page,
    assign_block,
    find_page,
    list_late,
    make_buffers,
    mark_page_accessed,
    mark_page_dirty,
)
from lockscape.kernel.pipe_files import read_end, write_end
from lockscape.program.language import NONE, function, hold, option, section, step, the


@function()
def sys_read(fd: int, length: int) -> int:
    """Read from an open file at its position; return how many bytes."""
    if option("light_descriptors"):
        file = fget_light(fd)
    else:
        file = fget(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if file.pipe != NONE:
            return read_end(file, length)
        if file.socket != NONE:
            return refuse_socket(file)
    inode: Inode = file.inode
    if option("code_synthesis"):
        step("generated_io")
    else:
        step("read")
    with section("size", inode.size):
        left = inode.size - file.offset
    if left > length:
        left = length
    generic_read(inode, file, left)
    if option("notify_parent"):
        if left > 0:
            notify(file.dentry)
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return left


@function()
def generic_read(inode: Inode, file: File, left: int) -> None:
    """Read so many bytes of an open file, page by page."""
    if option("readahead"):
        if left > 0 and file.offset == 0:
            find_page(inode, 0)
    while left > 0:
        part = PAGE_BYTES - file.offset % PAGE_BYTES
        if part > left:
            part = left
        read_page(inode, file, part)
        left -= part
    mark_accessed(inode)


@function()
def read_page(inode: Inode, file: File, length: int) -> None:
    """Copy some bytes of one page to the user."""
    page = find_page(inode, file.offset // PAGE_BYTES)
    if page == NONE:
        page = missing_page(inode, file.offset // PAGE_BYTES)
    if option("page_activation"):
        mark_page_accessed(page)
    step("copy_line", length // 64 + 1)
    file.offset += length


@function()
def missing_page(inode: Inode, index: int) -> Page:
    """Return a page of a file that was not in the page cache.

    Of several who want it one makes it. Where they may be several they take turns, under the semaphore;
    real kernels lock the page instead, which the first one has entered empty.
    """
    if option("sharing"):
        with hold("i_sem", inode):
            page: Page = find_page(inode, index)
            if page == NONE:
                page = fill_page(inode, index)
    else:
        page = fill_page(inode, index)
    return page


@function()
def fill_page(inode: Inode, index: int) -> Page:
    """Bring a page of a file into the page cache: where data live in buffers it is copied from there."""
    page_alloc()
    page = add_page(inode, index)
    if option("buffer_data"):
        step("page_from_buffers")
        bread(known_block(inode, index))
        step("copy_line", PAGE_BYTES // 64 + 1)
        if option("wake_always"):
            wake_page(page)
        free_temporary()
    if option("late_listing"):
        list_late(page)
    return page


@function()
def wake_page(page: Page) -> None:
    """Look whether a process waits for a page that has been filled."""
    with section("waiters", page.index):
        step("wake_nobody")
        waiting = page.index < 0
    if waiting == 1:
        step("wake_nobody")


@function()
def free_temporary() -> None:
    """Give the heads that the copy went through back (free_async_buffers)."""
    cache: BufferCache = the(BufferCache)
    with section("free", cache.heads):
        step("list_buffer")
        heads = cache.heads
    if heads < 0:
        cache.heads = 0


@function()
def mark_accessed(inode: Inode) -> None:
    """Note the time of the access."""
    step("access_time")
    if option("dirty_on_read"):
        mark_inode_dirty(inode)


@function()
def sys_write(fd: int, length: int) -> int:
    """Write to an open file at its position; return how many bytes."""
    if option("light_descriptors"):
        file = fget_light(fd)
    else:
        file = fget(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if file.pipe != NONE:
            return write_end(file, length)
        if file.socket != NONE:
            return refuse_socket(file)
    inode: Inode = file.inode
    if option("code_synthesis"):
        step("generated_io")
    else:
        step("write")
    with hold("i_sem", inode):
        generic_write(inode, file, length)
    if option("notify_parent"):
        if length > 0:
            notify(file.dentry)
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return length


@function()
def generic_write(inode: Inode, file: File, length: int) -> None:
    """Write at the position of an open file, or at its end if it was opened to append, page by page."""
    if file.appending == 1:
        file.offset = inode.size
    left = length
    while left > 0:
        part = PAGE_BYTES - file.offset % PAGE_BYTES
        if part > left:
            part = left
        if option("buffer_data"):
            write_buffer(inode, file.offset // PAGE_BYTES, part)
        else:
            write_page(inode, file.offset // PAGE_BYTES, part)
        file.offset += part
        left -= part
    grow(inode, file.offset)
    mark_inode_dirty(inode)


@function()
def grow(inode: Inode, end: int) -> None:
    """Let a file reach at least to `end`."""
    with section("size", inode.size):
        if end > inode.size:
            inode.size = end


@function()
def write_page(inode: Inode, index: int, length: int) -> None:
    """Copy some bytes from the user into a page of the page cache."""
    page = find_page(inode, index)
    fresh = page == NONE
    if fresh == 1:
        page_alloc()
        page = add_page(inode, index)
    if option("page_locks"):
        with hold("PG_locked", page):
            fill_part(inode, page, index, length)
    else:
        fill_part(inode, page, index, length)
    if option("late_listing"):
        if fresh == 1:
            list_late(page)


@function()
def fill_part(inode: Inode, page: Page, index: int, length: int) -> None:
    """Copy from the user into a page, which gets its block first (prepare_write, commit_write)."""
    if page.buffer == NONE:
        make_buffers(inode, page)
        assign_block(page, map_block(inode, index))
        step("clear_line", (PAGE_BYTES - length) // 64)
    step("copy_line", length // 64 + 1)
    step("commit_write")
    mark_page_dirty(inode, page)
    if option("page_activation") == 1:
        mark_page_used(page)
    if option("page_activation") == 2:
        mark_page_accessed(page)


@function()
def mark_page_used(page: Page) -> None:
    """Note the first use of a page."""
    if page.referenced == 0:
        page.referenced = 1


@function()
def write_buffer(inode: Inode, index: int, length: int) -> None:
    """Copy some bytes from the user into the buffer of a block, and into the page if there is one."""
    block = known_block(inode, index)
    if block == 0:
        step("map_block")
        block = alloc_block(inode, find_goal(inode, index))
        enter_block(inode, index, block)
    buffer: Buffer = bread(block)
    step("buffer_write")
    step("copy_line", length // 64 + 1)
    mark_buffer_dirty(buffer)
    page = find_page(inode, index)
    if page != NONE:
        step("copy_line", length // 64 + 1)
