"""Swapping: pages of processes that lie on disk while memory is limited (build option ``swapping``).

Each page that one range alone has gets an entry in its address space: in memory, or on disk with its slot.
Whoever needs free pages takes entries that were not used lately, address space by address space, writes
their pages to the disk and frees them when the disk is done. A use of a page on disk brings it back. The disk
serves requests in order, so a page can be read, and its slot be used anew, while it is still being written.

Pages that processes share since a fork stay in memory; those that were on disk then are read by each.
"""

from typing import Annotated

from lockscape.kernel.allocate import gather_page, page_alloc, page_free, release_anonymous
from lockscape.kernel.objects import Area, Buffer, Memory, WaitQueue
from lockscape.kernel.release import put_memory
from lockscape.kernel.synchronise import wait_for_disk
from lockscape.kernel.writeback import queue_buffer, start_disk
from lockscape.program.language import (
    NONE,
    after,
    count,
    find,
    first,
    first_free,
    free,
    function,
    insert,
    move,
    new,
    oldest,
    option,
    remove,
    section,
    step,
    the,
)
from lockscape.program.objects import Collection, Object, Racy, bitmap, listed

SWAP_BLOCK = 4 << 36
"""Numbers of the blocks of slots begin here, above those of bitmaps and descriptors."""

INDEX_BITS = 20
"""A page's index takes the lower bits of the key of its entry, the number of its range the rest."""

NO_ENTRY, OLD, YOUNG = 0, 1, 2
"""What a look at the next entry of an address space shows."""


class PageEntry(Object):
    """A page that one process alone has, where memory is limited: used lately (`young`), on disk (`slot`)."""

    young: Annotated[int, Racy("the processor sets it whenever the page is used")]
    slot: int


class AddressSpaces(Object, count=1):
    """All address spaces that have pages which can go to disk, in turn; the daemon waits for work."""

    waits: WaitQueue
    memories: Collection = listed(Memory)


class SwapDevice(Object, count=1):
    """The slots of the disk for pages that memory has no room for."""

    used: int
    slots: Collection = bitmap(65536, base="swap_search", each="bitmap_word")


class SwapBatch(Object):
    """Pages that are written to slots together, by who has made the batch."""

    buffers: Collection = listed(Buffer)


# --- entries of pages ---------------------------------------------------------------------------------------


@function()
def enter_entry(memory: Memory, area: Area, index: int) -> None:
    """Enter a page that a range has alone: it may go to disk from now on."""
    entry: PageEntry = new(PageEntry)
    entry.young = 1
    with section("enter", memory.entries):
        insert(memory.entries, (area.start << INDEX_BITS) | index, entry)
    if memory.known == 0:
        memory.known = 1
        list_space(memory)


@function()
def forget_entry(memory: Memory, area: Area, index: int) -> int:
    """Take the entry of a page out of an address space; return its slot if the page is on disk, or 0."""
    key = (area.start << INDEX_BITS) | index
    with section("forget", memory.entries, memory.absent):
        entry: PageEntry = remove(memory.entries, key)
        if entry == NONE:
            entry = remove(memory.absent, key)
    slot = entry.slot
    free(entry)
    return slot


@function()
def share_entry(memory: Memory, area: Area, index: int) -> int:
    """The same for a page that others have as well from now on."""
    return forget_entry(memory, area, index)


@function()
def slot_of(memory: Memory, area: Area, index: int) -> int:
    """Use a page; return its slot if it is on disk, or 0."""
    key = (area.start << INDEX_BITS) | index
    with section("look", memory.entries, memory.absent):
        slot = 0
        entry: PageEntry = find(memory.entries, key)
        if entry != NONE:
            entry.young = 1
        else:
            entry = find(memory.absent, key)
            if entry != NONE:
                slot = entry.slot
    return slot


@function()
def bring_back(memory: Memory, area: Area, index: int) -> None:
    """See that a page of a range is in memory: read it if it is on disk (do_swap_page)."""
    slot = slot_of(memory, area, index)
    if slot != 0:
        fill_from(slot)
        restore(memory, area, index)
        free_slot(slot)


@function()
def fill_from(slot: int) -> None:
    """Take a page, and read a slot into it."""
    page_alloc()
    read_slot(slot)
    if option("anonymous_lru"):
        gather_page()


@function()
def restore(memory: Memory, area: Area, index: int) -> None:
    """Note that a page is in memory again."""
    key = (area.start << INDEX_BITS) | index
    with section("restore", memory.entries, memory.absent):
        entry: PageEntry = remove(memory.absent, key)
        insert(memory.entries, key, entry)
        entry.slot = 0
        entry.young = 1


# --- slots --------------------------------------------------------------------------------------------------


@function()
def take_slot() -> int:
    """Take a free slot of the disk; return its number, from 1 on, or 0 if there is none (get_swap_page)."""
    device: SwapDevice = the(SwapDevice)
    step("swap_slot")
    with section("take", device.slots, device.used):
        index = first_free(device.slots, 0)
        if index >= 0:
            insert(device.slots, index, 1)
            device.used += 1
    return index + 1


@function()
def free_slot(slot: int) -> None:
    """Give a slot back (swap_free)."""
    device: SwapDevice = the(SwapDevice)
    step("swap_free")
    with section("give", device.slots, device.used):
        remove(device.slots, slot - 1)
        device.used -= 1


@function()
def read_slot(slot: int) -> None:
    """Read a page from the disk, and wait for it."""
    step("swap_read")
    buffer: Buffer = new(Buffer)
    buffer.block = SWAP_BLOCK + slot
    queue_buffer(buffer)
    start_disk()
    wait_for_disk()
    free(buffer)


# --- address spaces -----------------------------------------------------------------------------------------


@function()
def list_space(memory: Memory) -> None:
    """Enter an address space among those that have pages."""
    spaces: AddressSpaces = the(AddressSpaces)
    with section("list", spaces.memories):
        insert(spaces.memories, memory, memory)


@function()
def leave_spaces(memory: Memory) -> None:
    """Take an address space whose process ends out of those that have pages."""
    spaces: AddressSpaces = the(AddressSpaces)
    with section("leave", spaces.memories):
        remove(spaces.memories, memory)


@function()
def next_space() -> Memory:
    """Return the address space whose turn it is, with a reference, or none."""
    spaces: AddressSpaces = the(AddressSpaces)
    with section("next", spaces.memories):
        memory: Memory = first(spaces.memories)
        if memory != NONE:
            move(spaces.memories, memory)
            memory.users += 1
    return memory


@function()
def spaces_left() -> int:
    """Return how many address spaces have pages."""
    spaces: AddressSpaces = the(AddressSpaces)
    with section("look", spaces.memories):
        number = count(spaces.memories)
    return number


# --- out ----------------------------------------------------------------------------------------------------


@function()
def swap_out(number: int) -> int:
    """Free up to so many pages of processes: those not used since the last look; return how many."""
    batch: SwapBatch = new(SwapBatch)
    taken = 0
    left = 2 * spaces_left()  # the first look at a page only notes that it was used
    while taken < number and left > 0:
        left -= 1
        step("swap_space")
        memory = next_space()
        if memory == NONE:
            left = 0
        else:
            taken += swap_out_space(memory, batch, number - taken)
            put_memory(memory)
    write_batch(batch)
    free(batch)
    return taken


@function()
def swap_out_space(memory: Memory, batch: SwapBatch, number: int) -> int:
    """Take up to so many old pages out of an address space, into a batch; return how many (swap_out_mm)."""
    taken = 0
    looks = pages_left(memory)
    while taken < number and looks > 0:
        looks -= 1
        seen = look_at_next(memory)
        if seen == NO_ENTRY:
            looks = 0
        if seen == OLD:
            slot = take_slot()
            if slot == 0:
                looks = 0
            elif take_entry(memory, slot) == 1:
                add_to_batch(batch, slot)
                taken += 1
            else:
                free_slot(slot)
    return taken


@function()
def pages_left(memory: Memory) -> int:
    """Return how many pages of an address space may go to disk."""
    with section("count", memory.entries):
        number = count(memory.entries)
    return number


@function()
def look_at_next(memory: Memory) -> int:
    """Look at the next page of an address space; one that was used is passed over this time."""
    with section("next", memory.entries):
        step("look_at_page")
        seen = NO_ENTRY
        entry: PageEntry = first(memory.entries)
        if entry != NONE:
            seen = OLD
            if entry.young == 1:
                seen = YOUNG
                entry.young = 0
                move(memory.entries, oldest(memory.entries))
    return seen


@function()
def take_entry(memory: Memory, slot: int) -> int:
    """Take the next page out of an address space if it is old still; its place is on disk now."""
    with section("take", memory.entries, memory.absent):
        step("swap_entry")
        taken = 0
        entry: PageEntry = first(memory.entries)
        if entry != NONE and entry.young == 0:
            key = oldest(memory.entries)
            remove(memory.entries, key)
            insert(memory.absent, key, entry)
            entry.slot = slot
            taken = 1
    return taken


@function()
def add_to_batch(batch: SwapBatch, slot: int) -> None:
    """Add a page that is to be written to a slot."""
    buffer: Buffer = new(Buffer)
    buffer.block = SWAP_BLOCK + slot
    insert(batch.buffers, buffer, buffer)


@function()
def write_batch(batch: SwapBatch) -> None:
    """Write pages to the disk, and free them when it is done."""
    if count(batch.buffers) > 0:
        buffer: Buffer = first(batch.buffers)
        while buffer != NONE:
            step("swap_write")
            queue_buffer(buffer)
            buffer = after(batch.buffers, buffer)
        start_disk()
        wait_for_disk()
        buffer = first(batch.buffers)
        while buffer != NONE:
            remove(batch.buffers, buffer)
            free(buffer)
            if option("anonymous_lru"):
                release_anonymous()
            page_free()
            buffer = first(batch.buffers)
