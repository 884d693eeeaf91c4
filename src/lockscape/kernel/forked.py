"""Address spaces of new processes: they share pages with their makers until one writes (copy on write)."""

from lockscape.kernel.allocate import gather_page, page_alloc, page_free, release_anonymous, slab_alloc
from lockscape.kernel.files import share_file
from lockscape.kernel.objects import AREAS, Area, Frame, Memory
from lockscape.kernel.swap import enter_entry, fill_from, forget_entry, free_slot, share_entry
from lockscape.program.language import (
    NONE,
    add_return,
    after,
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
)

PAGE_LINES = 4096 // 64
"""Cache lines of a page."""


@function()
def copy_memory(memory: Memory) -> Memory:
    """Make a copy of an address space: every range, with pages that both have (copy_mm)."""
    copy: Memory = new(Memory)
    if option("swapping"):
        copy.users = 1
    step("copy_memory")
    if option("unmap_semaphore"):
        with hold("mmap_sem", memory):
            copy_ranges(memory, copy)
    else:
        copy_ranges(memory, copy)
    return copy


@function()
def copy_ranges(memory: Memory, copy: Memory) -> None:
    """Copy every range of an address space to a new one."""
    copy.end = memory.end
    copy.next = memory.next
    area: Area = first(memory.areas)
    while area != NONE:
        copy_area(memory, copy, area)
        area = after(memory.areas, area.start)


@function()
def copy_area(memory: Memory, copy: Memory, area: Area) -> None:
    """Copy a range: its pages belong to both from now on, or are its file's."""
    slab_alloc(AREAS)
    step("copy_area")
    twin: Area = new(Area)
    twin.start = area.start
    twin.length = area.length
    if area.file != NONE:
        share_file(area.file)
        twin.file = area.file
    if area.reverse == 1:
        slab_alloc(AREAS)
        step("reverse_map")
        twin.reverse = 1
    pages = area.page
    if area.file == NONE:
        index = 0
        while index < pages:
            share_page(memory, area, twin, index)
            index += 1
    enter_pages(memory, copy, twin, pages)
    with section("insert", copy.areas):
        insert(copy.areas, twin.start, twin)


@function()
def enter_pages(memory: Memory, copy: Memory, twin: Area, pages: int) -> None:
    """Copy the page table of a range, both to be written to no more (copy_page_range)."""
    with section("copy", twin.page, memory.pages):
        step("copy_page_entry", pages)
        twin.page = pages
        copy.pages += pages


@function()
def share_page(memory: Memory, area: Area, twin: Area, index: int) -> None:
    """Let a page belong to a range and its copy."""
    frame: Frame = find(area.shared, index)
    if frame == NONE:
        frame = new(Frame)
        frame.count = 1
        if option("swapping"):
            frame.slot = share_entry(memory, area, index)
        enter_frame(area, index, frame)
    with section("share", frame.count):
        frame.count += 1
    enter_frame(twin, index, frame)


@function()
def enter_frame(area: Area, index: int, frame: Frame) -> None:
    """Note that a page of a range belongs to others as well: it cannot be written to any more."""
    with section("enter", area.shared, area.shares):
        insert(area.shared, index, frame)
        area.shares += 1


@function()
def copy_on_write(memory: Memory, area: Area, index: int) -> None:
    """Give a range a page of its own instead of one that others have as well (do_wp_page)."""
    frame: Frame = find(area.shared, index)
    if frame != NONE:
        step("copy_on_write")
        if option("swapping"):
            copy_or_read(memory, area, index, frame)
        elif users_of(frame) == 1:  # the others have copied it, or ended
            drop_frame(area, index)
        else:
            page_alloc()
            step("copy_line", PAGE_LINES)
            if option("anonymous_lru"):
                gather_page()
            if drop_frame(area, index) == 0:
                free_frame()


@function()
def copy_or_read(memory: Memory, area: Area, index: int, frame: Frame) -> None:
    """The same where the page may be on disk: it is read from there."""
    slot = frame.slot
    alone = users_of(frame) == 1
    if slot != 0:
        fill_from(slot)
    elif alone == 0:
        page_alloc()
        step("copy_line", PAGE_LINES)
        if option("anonymous_lru"):
            gather_page()
    if drop_frame(area, index) == 0:
        if slot != 0:
            free_slot(slot)
        elif alone == 0:
            free_frame()
    enter_entry(memory, area, index)


@function()
def give_page_back(memory: Memory, area: Area, index: int) -> None:
    """Free a page of a range, or its slot, unless others have it as well."""
    frame: Frame = NONE
    if area.shares > 0:
        frame = find(area.shared, index)
    if frame != NONE:
        slot = frame.slot
        others = drop_frame(area, index)
    else:
        slot = forget_entry(memory, area, index)
        others = 0
    if others == 0:
        if slot != 0:
            free_slot(slot)
        else:
            free_frame()


@function()
def users_of(frame: Frame) -> int:
    """Return how many ranges have a page."""
    with section("look", frame.count):
        users = frame.count
    return users


@function()
def free_frame() -> None:
    """Free a page that nobody has any more."""
    if option("anonymous_lru"):
        release_anonymous()
    page_free()


@function()
def drop_frame(area: Area, index: int) -> int:
    """Let a page belong to a range no more; return 0 if it belongs to no other."""
    with section("take", area.shared, area.shares):
        frame: Frame = remove(area.shared, index)
        if frame != NONE:
            area.shares -= 1
    if frame == NONE:
        return 0
    with section("drop", frame.count):
        left = add_return(frame.count, -1)
    if left == 0:
        free(frame)
    return left > 0
