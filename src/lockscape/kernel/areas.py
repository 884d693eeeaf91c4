"""Address spaces: mapping, the faults that fill pages, unmapping, brk."""

from lockscape.kernel.allocate import (
    gather_page,
    page_alloc,
    page_free,
    release_anonymous,
    slab_alloc,
    slab_free,
)
from lockscape.kernel.files import close_file, drop_share
from lockscape.kernel.forked import copy_on_write, drop_frame, give_page_back
from lockscape.kernel.objects import AREAS, PAGE_BYTES, Area, File, Inode, Memory, Process
from lockscape.kernel.pages import find_page
from lockscape.kernel.readwrite import missing_page
from lockscape.kernel.swap import bring_back, enter_entry
from lockscape.program.language import (
    NONE,
    count,
    current,
    find,
    free,
    function,
    hold,
    insert,
    new,
    oldest,
    option,
    remove,
    section,
    step,
)

RANGE_PAGES = 64
"""Length of a fresh range of a program, of which only what is used has pages."""


@function()
def sys_mmap() -> int:
    """Map one anonymous page; return its number."""
    me: Process = current()
    memory: Memory = me.memory
    with hold("mmap_sem", memory):
        start = map_area(memory, 1, NONE)
    return start


@function()
def map_area(memory: Memory, length: int, file: File) -> int:
    """Enter a new range of so many pages, of a file or of none, into an address space; return its number."""
    slab_alloc(AREAS)
    step("mmap")
    area: Area = new(Area)
    memory.next += 1
    area.start = memory.next
    area.length = length
    area.file = file
    with section("insert", memory.areas):
        insert(memory.areas, area.start, area)
    return area.start


@function()
def touch_page(start: int, index: int) -> int:
    """Use a page of a range: the next one is filled at its first use, one that is shared is copied."""
    me: Process = current()
    memory: Memory = me.memory
    with hold("mmap_sem", memory, "shared"):
        step("fault")
        area: Area = find_area(memory, start)
        if area != NONE:
            if is_missing(memory, area, index) == 1:
                fill(memory, area)
            else:
                if option("swapping"):
                    if area.file == NONE:
                        bring_back(memory, area, index)
                if area.shares > 0:
                    copy_on_write(memory, area, index)
    return 0


@function()
def fill(memory: Memory, area: Area) -> None:
    """Give a range its next page: a fresh one, or its file's."""
    if area.file != NONE:
        map_file_page(memory, area)
    else:
        fill_fresh(memory, area)


@function()
def fill_fresh(memory: Memory, area: Area) -> None:
    """Give a range a fresh page (do_anonymous_page)."""
    if option("reverse_maps"):
        prepare_reverse(memory, area)
    page_alloc()
    step("clear_line", PAGE_BYTES // 64)
    set_page(memory, area)
    if option("anonymous_lru"):
        gather_page()
    if option("swapping"):
        enter_entry(memory, area, area.page - 1)


@function()
def map_file_page(memory: Memory, area: Area) -> None:
    """Give a range of a file its next page, from the page cache (filemap_nopage)."""
    inode: Inode = area.file.inode
    page = find_page(inode, area.page)
    if page == NONE:
        missing_page(inode, area.page)
    set_page(memory, area)


@function()
def find_area(memory: Memory, start: int) -> Area:
    """Return the mapped range that begins at a page."""
    with section("find", memory.areas):
        area: Area = find(memory.areas, start)
    return area


@function()
def is_missing(memory: Memory, area: Area, index: int) -> int:
    """Return 1 if the page table has no page there, though the range goes so far."""
    with section("look", area.page):
        missing = area.page <= index and index < area.length
    return missing


@function()
def prepare_reverse(memory: Memory, area: Area) -> None:
    """Give a range what finds it from its pages, at its first fault (anon_vma)."""
    if area.reverse == 0:
        slab_alloc(AREAS)
        step("reverse_map")
        with section("prepare", area.reverse):
            area.reverse = 1


@function()
def set_page(memory: Memory, area: Area) -> None:
    """Enter a page into the page table."""
    with section("set", area.page, memory.pages):
        area.page += 1
        memory.pages += 1


@function()
def sys_munmap(start: int) -> int:
    """Unmap a page."""
    me: Process = current()
    memory: Memory = me.memory
    if option("unmap_semaphore"):
        with hold("mmap_sem", memory):
            file = unmap_area(memory, start)
    else:
        file = unmap_area(memory, start)
    if file != NONE:
        unmap_file(file)
    return 0


@function()
def unmap_area(memory: Memory, start: int) -> File:
    """Take a range out of an address space, with its pages; return the file that it was of, if any."""
    file: File = NONE
    step("munmap")
    if option("spare_area"):
        slab_alloc(AREAS)
    with section("remove", memory.areas):
        area: Area = remove(memory.areas, start)
    if area != NONE:
        pages = area.page
        if pages > 0:
            unmap_pages(memory, area, pages)
        file = area.file
        if area.reverse == 1:
            slab_free(AREAS)
        free(area)
        slab_free(AREAS)
    if option("spare_area"):
        slab_free(AREAS)
    return file


@function()
def unmap_pages(memory: Memory, area: Area, pages: int) -> None:
    """Take the pages of a range out of the page table, and free them (zap_page_range)."""
    zap(memory, area, pages)
    if option("swapping"):
        free_all_pages(memory, area, pages)
    else:
        free_pages(area, pages)


@function()
def zap(memory: Memory, area: Area, pages: int) -> None:
    """Take the pages of a range out of the page table."""
    with section("zap", area.page, memory.pages):
        step("zap_page", pages)
        area.page = 0
        memory.pages -= pages


@function()
def free_pages(area: Area, pages: int) -> None:
    """Free the pages that a range had, but those of a file and those that others have as well."""
    left = pages
    while left > 0 and area.file == NONE:
        left -= 1
        if area.shares == 0 or drop_frame(area, left) == 0:
            if option("anonymous_lru"):
                release_anonymous()
            page_free()


@function()
def free_all_pages(memory: Memory, area: Area, pages: int) -> None:
    """The same where pages may be on disk."""
    left = pages
    while left > 0 and area.file == NONE:
        left -= 1
        give_page_back(memory, area, left)


@function()
def drop_areas(memory: Memory) -> None:
    """Unmap all that is mapped."""
    while count(memory.areas) > 0:
        file = unmap_area(memory, oldest(memory.areas))
        if file != NONE:
            unmap_file(file)


@function()
def map_image(memory: Memory, file: File, pages: int, ranges: int) -> None:
    """Map a program that is open: the pages of its file, and so many fresh ranges for data and stack."""
    with hold("mmap_sem", memory):
        memory.next = 0
        map_area(memory, pages, file)
        left = ranges
        while left > 0:
            map_area(memory, RANGE_PAGES, NONE)
            left -= 1


@function()
def unmap_file(file: File) -> None:
    """Give a mapping's reference to its file back."""
    if drop_share(file) == 0:
        close_file(file)


@function()
def sys_brk(end: int) -> int:
    """Set the end of the heap."""
    me: Process = current()
    memory: Memory = me.memory
    if option("unmap_semaphore"):
        with hold("mmap_sem", memory):
            set_end(memory, end)
    else:
        set_end(memory, end)
    return end


@function()
def set_end(memory: Memory, end: int) -> None:
    """Move the end of the heap."""
    step("brk")
    with section("end", memory.end):
        memory.end = end
