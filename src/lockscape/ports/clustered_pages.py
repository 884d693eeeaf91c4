"""New code of the reimplemented kernel: page caches of files, and how one is replaced while it is in use.

A file's page cache begins as one object, which is cheap on one processor. When processors take turns at it,
it is replaced by the distributed kind, whose representatives each have the pages with their home on one
processor. A mediator is put before the old one and *forwards* calls to it, until all calls that went there
directly have ended; then it *blocks* new calls, waits for those that it forwarded, the pages are
*transferred*, and the calls go on in the new one (Soules et al., USENIX 2003).
"""

from lockscape.kernel.allocate import page_free, slab_alloc, slab_free
from lockscape.kernel.buffers import mark_buffer_dirty, wait_on_buffer
from lockscape.kernel.objects import HEADS, Buffer, Page
from lockscape.kernel.pages import clean_buffer
from lockscape.ports.clustered import (
    FileCache,
    FilePart,
    Generation,
    Inode,
    Translation,
    calls_ended,
    doom,
    key_of,
)
from lockscape.program.language import (
    NONE,
    barrier,
    compare_and_swap,
    cpus,
    find,
    first,
    free,
    function,
    hold,
    insert,
    new,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip

SHARED, FORWARDING, DISTRIBUTED = 0, 1, 2
"""Phases of a page cache."""

IN_USE, NEVER = 1, 2
"""Kinds of the option ``hot_swap``: a page cache is replaced while it is in use; it need not be, for it is
distributed from the start."""

TURNS = 8
"""How often a page cache passes from one processor to another before it is distributed (an estimate)."""


@function()
def cache_of(inode: Inode) -> FileCache:
    """Return a file's page cache, making it at its first use."""
    cache = inode.cache
    if cache == NONE:
        made: FileCache = new(FileCache)
        if option("hot_swap") == NEVER:
            made.phase = DISTRIBUTED
        if compare_and_swap(inode.cache, NONE, made) == 0:
            free(made)
        cache = inode.cache
    return cache


@function(replaces=True)
def find_page(inode: Inode, index: int) -> Page:
    """Look a page of a file up in its page cache."""
    step("page_lookup")
    cache = cache_of(inode)
    if cache.phase == FORWARDING:
        if calls_ended(cache.since) == 1:
            distribute(cache)
        with hold("mediator", cache, "shared"):
            page = looked_up(cache, index)
    else:
        page = looked_up(cache, index)
    return page


@function()
def looked_up(cache: FileCache, index: int) -> Page:
    """Look a page up where the cache's kind has it."""
    if cache.phase == DISTRIBUTED:
        part = part_of(cache, index % cpus())
        with hold("part_lock", part), section("there", part.inactive):
            page: Page = find(part.inactive, index)
    else:
        with hold("cache_lock", cache):
            with section("here", cache.inactive):
                page = find(cache.inactive, index)
            if option("hot_swap") == IN_USE:
                note_use(cache)
    return page


@function()
def note_use(cache: FileCache) -> None:
    """Note which processor uses a shared page cache; put a mediator before it when they take turns."""
    if cache.user != this_cpu() + 1:
        cache.user = this_cpu() + 1
        cache.moves += 1
        if cache.moves > TURNS and cache.phase == SHARED:
            mine: Generation = the(Generation, this_cpu())
            step("swap_interpose")
            cache.since = mine.number
            barrier()
            cache.phase = FORWARDING


@function(replaces=True)
def add_page(inode: Inode, index: int) -> Page:
    """Enter a new page of a file into its page cache."""
    step("page_add")
    cache = cache_of(inode)
    page: Page = new(Page)
    page.index = index
    if cache.phase == FORWARDING:
        with hold("mediator", cache, "shared"):
            enter_page(cache, page)
    else:
        enter_page(cache, page)
    return page


@function()
def enter_page(cache: FileCache, page: Page) -> None:
    """Enter a page where the cache's kind has it."""
    if cache.phase == DISTRIBUTED:
        enter_part(part_of(cache, page.index % cpus()), page)
    else:
        with hold("cache_lock", cache), section("add", cache.inactive, cache.pages):
            insert(cache.inactive, page.index, page)
            cache.pages += 1


@function()
def enter_part(part: FilePart, page: Page) -> None:
    """Enter a page into a representative."""
    with hold("part_lock", part), section("add", part.inactive, part.pages):
        insert(part.inactive, page.index, page)
        part.pages += 1


# --- representatives ----------------------------------------------------------------------------------------


@function()
def part_of(cache: FileCache, home: int) -> FilePart:
    """Return a representative through this processor's table; at its first use there it is not in it."""
    with section("translate"):
        mine: Translation = the(Translation, this_cpu())
        part: FilePart = find(mine.table, key_of(cache, home))
    if part == NONE:
        part = missing_part(cache, home)
    return part


@function()
def missing_part(cache: FileCache, home: int) -> FilePart:
    """The miss handler: get the representative from the root, which makes it if need be."""
    step("object_miss")
    with hold("cache_lock", cache), section("parts", cache.parts):
        part: FilePart = find(cache.parts, home)
        if part == NONE:
            part = new(FilePart)
            part.home = home
            insert(cache.parts, home, part)
    mine: Translation = the(Translation, this_cpu())
    with hold("table_lock", mine), section("enter", mine.table):
        insert(mine.table, key_of(cache, home), part)
        mine.misses += 1
    return part


@function()
def distribute(cache: FileCache) -> None:
    """Replace a page cache of the shared kind by the distributed one: block, transfer, go on."""
    with hold("mediator", cache):
        if cache.phase == FORWARDING:
            page = moved_page(cache)
            while page != NONE:
                step("swap_transfer")
                enter_part(part_of(cache, page.index % cpus()), page)
                page = moved_page(cache)
            cache.phase = DISTRIBUTED


@function()
def moved_page(cache: FileCache) -> Page:
    """Take a page out of a page cache of the shared kind, or none.

    Nobody else is in it: all calls that went there directly have ended and the mediator blocks the others, or
    its file is deleted.
    """
    with section("move", cache.inactive, cache.pages):
        page: Page = first(cache.inactive)
        if page != NONE:
            remove(cache.inactive, page.index)
            cache.pages -= 1
    return page


# --- deletion -----------------------------------------------------------------------------------------------


@function(replaces=True)
def drop_pages(inode: Inode) -> None:
    """Drop all pages of a file that is deleted, with their buffers, and its page cache."""
    cache: FileCache = inode.cache
    if cache == NONE:
        return
    page = moved_page(cache)
    while page != NONE:
        discard_page(page)
        page = moved_page(cache)
    if cache.phase == DISTRIBUTED:
        home = 0
        while home < cpus():
            drop_part(part_of(cache, home))
            home += 1
    inode.cache = NONE
    doom(NONE, NONE, cache)


@function()
def drop_part(part: FilePart) -> None:
    """Drop the pages of a representative."""
    page = moved_from_part(part)
    while page != NONE:
        discard_page(page)
        page = moved_from_part(part)


@function()
def moved_from_part(part: FilePart) -> Page:
    """Take a page out of a representative, or none."""
    with hold("part_lock", part), section("move", part.inactive, part.pages):
        page: Page = first(part.inactive)
        if page != NONE:
            remove(part.inactive, page.index)
            part.pages -= 1
    return page


@function()
def discard_page(page: Page) -> None:
    """Free a page with its buffer, when the disk has done with that."""
    step("page_drop")
    buffer: Buffer = page.buffer
    if buffer != NONE:
        step("drop_buffers")
        if buffer.dirty == 1:
            clean_buffer(buffer)
        wait_on_buffer(buffer)
        page.buffer = NONE
        free(buffer)
        slab_free(HEADS)
    free(page)
    page_free()


@function(replaces=True)
def make_buffers(inode: Inode, page: Page) -> None:
    """Give a page its buffer."""
    step("page_buffers")
    slab_alloc(HEADS)
    page.buffer = new(Buffer)


@function(replaces=True)
def mark_page_dirty(inode: Inode, page: Page) -> None:
    """Note that a page must be written back, among the dirty buffers of its group."""
    buffer: Buffer = page.buffer
    if buffer.dirty == 0:
        mark_buffer_dirty(buffer)
