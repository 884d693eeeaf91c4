"""Address spaces: mapping a page for a stream's buffer, the fault that fills it, unmapping, brk."""

from lockscape.kernel.allocate import (
    drain_gathered,
    gather_page,
    page_alloc,
    page_free,
    slab_alloc,
    slab_free,
)
from lockscape.kernel.objects import AREAS, Area, Memory, PageCache, Process
from lockscape.program.language import (
    NONE,
    current,
    find,
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
)

PAGE_BYTES = 4096


@function()
def sys_mmap() -> int:
    """Map one anonymous page; return its number."""
    me: Process = current()
    memory: Memory = me.memory
    with hold("mmap_sem", memory):
        start = map_area(memory)
    return start


@function()
def map_area(memory: Memory) -> int:
    """Enter a new range into an address space; return its first page."""
    slab_alloc(AREAS)
    step("mmap")
    area: Area = new(Area)
    memory.next += 1
    area.start = memory.next
    with section("insert", memory.areas):
        insert(memory.areas, area.start, area)
    return area.start


@function()
def touch_page(start: int) -> int:
    """Fill a page at its first use."""
    me: Process = current()
    memory: Memory = me.memory
    with hold("mmap_sem", memory, "shared"):
        step("fault")
        area: Area = find_area(memory, start)
        if area != NONE:
            if is_missing(memory, area) == 1:
                if option("reverse_maps"):
                    prepare_reverse(memory, area)
                page_alloc()
                step("clear_line", PAGE_BYTES // 64)
                set_page(memory, area)
                if option("anonymous_lru"):
                    gather_page()
    return 0


@function()
def find_area(memory: Memory, start: int) -> Area:
    """Return the mapped range that begins at a page."""
    with section("find", memory.areas):
        area: Area = find(memory.areas, start)
    return area


@function()
def is_missing(memory: Memory, area: Area) -> int:
    """Return 1 if the page table has no page there."""
    with section("look", area.page):
        missing = area.page == 0
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
        area.page = 1
        memory.pages += 1


@function()
def release_anonymous() -> None:
    """Take an anonymous page off the list; what this processor gathered is listed before."""
    drain_gathered()
    cache: PageCache = the(PageCache)
    with section("release", cache.anonymous):
        step("list_page")
        cache.anonymous -= 1


@function()
def sys_munmap(start: int) -> int:
    """Unmap a page."""
    me: Process = current()
    memory: Memory = me.memory
    if option("unmap_semaphore"):
        with hold("mmap_sem", memory):
            unmap_area(memory, start)
    else:
        unmap_area(memory, start)
    return 0


@function()
def unmap_area(memory: Memory, start: int) -> None:
    """Take a range out of an address space, with its page."""
    step("munmap")
    if option("spare_area"):
        slab_alloc(AREAS)
    with section("remove", memory.areas):
        area: Area = remove(memory.areas, start)
    if area != NONE:
        if area.page == 1:
            zap(memory, area)
        if area.reverse == 1:
            slab_free(AREAS)
        free(area)
        slab_free(AREAS)
    if option("spare_area"):
        slab_free(AREAS)


@function()
def zap(memory: Memory, area: Area) -> None:
    """Take a page out of the page table and free it."""
    with section("zap", area.page, memory.pages):
        step("zap_page")
        area.page = 0
        memory.pages -= 1
    if option("anonymous_lru"):
        release_anonymous()
    page_free()


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
