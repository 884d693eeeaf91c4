"""A directory's entries: an unordered file of names, searched one by one (ext2)."""

from lockscape.kernel.allocate import page_alloc
from lockscape.kernel.blocks import map_block
from lockscape.kernel.buffers import bread, mark_buffer_dirty
from lockscape.kernel.inodes import mark_inode_dirty
from lockscape.kernel.objects import PAGE_BYTES, Inode, Page
from lockscape.kernel.pages import (
    add_page,
    assign_block,
    find_page,
    list_late,
    make_buffers,
    mark_page_accessed,
    mark_page_dirty,
)
from lockscape.program.language import (
    NONE,
    find,
    find_from,
    function,
    hold,
    insert,
    option,
    position,
    remove,
    section,
    step,
)

ENTRIES_PER_PAGE = 256
"""Entries of 16 bytes (names of up to 8 characters) in a page or block of 4096 bytes."""


@function()
def search(directory: Inode, name: int) -> int:
    """Look a name up in a directory, entry by entry; return its inode number, or 0."""
    with section("search", directory.entries):
        last = directory.size // PAGE_BYTES - 1
        if last < 0:
            last = 0
        if option("directory_pages"):
            number = find_from(directory.entries, name, directory.hint * ENTRIES_PER_PAGE)
        else:
            number = find(directory.entries, name)
        if number != 0:
            last = position(directory.entries, name) // ENTRIES_PER_PAGE
            directory.hint = last
    if not option("directory_pages"):
        visit_blocks(directory, last + 1)
    elif number != 0:
        get_page(directory, last)
    else:
        visit_pages(directory, last + 1)
    return number


@function()
def visit_pages(directory: Inode, pages: int) -> None:
    """Get the pages of a directory that a search passes, one by one."""
    while pages > 0:
        pages -= 1
        get_page(directory, pages)


@function()
def get_page(directory: Inode, index: int) -> Page:
    """Return a page of a directory, bringing it into the page cache at its first use."""
    step("dir_page")
    page: Page = find_page(directory, index)
    if page == NONE:
        page_alloc()
        page = add_page(directory, index)
        if option("late_listing"):
            list_late(page)
    if option("page_activation"):
        mark_page_accessed(page)
    return page


@function()
def pass_pages(directory: Inode, pages: int) -> None:
    """Get the pages of a directory that an insertion passes, each locked while it is looked at."""
    while pages > 0:
        pages -= 1
        page = get_page(directory, pages)
        with hold("PG_locked", page):
            step("dir_page_locked")


@function()
def visit_blocks(directory: Inode, blocks: int) -> None:
    """Get the buffers of a directory's blocks that a search passes, one by one."""
    while blocks > 0:
        blocks -= 1
        step("dir_block")
        bread(map_block(directory, blocks))


@function()
def add_entry(directory: Inode, name: int, inode: Inode) -> None:
    """Write a name into the first place that is large enough, looking from the start."""
    with section("add", directory.entries):
        insert(directory.entries, name, inode.number)
        last = position(directory.entries, name) // ENTRIES_PER_PAGE
        directory.version += 1
        if last * PAGE_BYTES >= directory.size:
            directory.size = (last + 1) * PAGE_BYTES
    if option("directory_pages"):
        if option("page_locks") == 2:
            pass_pages(directory, last)
        else:
            visit_pages(directory, last)
        write_entry(directory, get_page(directory, last), 0)
    else:
        visit_blocks(directory, last)
        step("dir_block")
        buffer = bread(map_block(directory, last))
        step("dir_insert")
        mark_buffer_dirty(buffer)
    mark_inode_dirty(directory)


@function()
def write_entry(directory: Inode, page: Page, deleting: int) -> None:
    """Change an entry in a page of a directory, which is locked meanwhile where pages have locks."""
    if option("page_locks"):
        with hold("PG_locked", page):
            change_entry(directory, page, deleting)
    else:
        change_entry(directory, page, deleting)


@function()
def change_entry(directory: Inode, page: Page, deleting: int) -> None:
    """Write or delete an entry in a page, and mark the page dirty (prepare_write, commit_write)."""
    if deleting == 1:
        step("dir_delete")
    else:
        step("dir_insert")
    if page.buffer == NONE:
        make_buffers(directory, page)
        assign_block(page, map_block(directory, page.index))
    mark_page_dirty(directory, page)


@function()
def delete_entry(directory: Inode, name: int) -> None:
    """Take a name out of a directory: it is merged with the entry before it, found from the page's start."""
    with section("delete", directory.entries):
        place = position(directory.entries, name)
        remove(directory.entries, name)
        directory.version += 1
    step("dir_delete_entry", place % ENTRIES_PER_PAGE)
    if option("directory_pages"):
        with section("page", directory.pages):
            page: Page = find(directory.pages, place // ENTRIES_PER_PAGE)
        write_entry(directory, page, 1)
    else:
        step("dir_delete")
        mark_buffer_dirty(bread(map_block(directory, place // ENTRIES_PER_PAGE)))
    mark_inode_dirty(directory)
