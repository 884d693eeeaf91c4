"""Buffers of disk blocks: found, made, marked dirty, dropped."""

from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.objects import (
    HEADS,
    BlockGroup,
    Buffer,
    BufferCache,
    Clock,
    Process,
    Processor,
    SuperBlock,
)
from lockscape.kernel.scheduler import sleep_until_called
from lockscape.program.language import (
    NONE,
    count,
    current,
    find,
    free,
    function,
    insert,
    masked,
    move,
    new,
    oldest,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)

INODE_MAP, BLOCK_MAP, DESCRIPTOR = 1 << 36, 2 << 36, 3 << 36
"""Numbers of the blocks of bitmaps and group descriptors, above those of data."""

RECENT = 8
"""Buffers that a processor remembers (fs/buffer.c of 2.6.11: BH_LRU_SIZE)."""


@function()
def bread(block: int) -> Buffer:
    """Return the buffer of a metadata block."""
    buffer: Buffer = NONE
    if option("recent_buffers"):
        buffer = recent(block)
    if buffer == NONE:
        cache: BufferCache = the(BufferCache)
        with section("lookup", cache.table):
            buffer = find(cache.table, block)
        if buffer == NONE:
            buffer = make_buffer(block)
        if option("recent_buffers"):
            remember(block, buffer)
    return buffer


@function()
def recent(block: int) -> Buffer:
    """Return a buffer that this processor used lately, or none."""
    with masked():
        mine: Processor = the(Processor, this_cpu())
        step("recent_lookup")
        buffer: Buffer = find(mine.recent, block)
        if buffer != NONE:
            move(mine.recent, block)
    return buffer


@function()
def remember(block: int, buffer: Buffer) -> None:
    """Note that this processor uses a buffer, and forget the one that it used longest ago."""
    with masked():
        mine: Processor = the(Processor, this_cpu())
        insert(mine.recent, block, buffer)
        if count(mine.recent) > RECENT:
            remove(mine.recent, oldest(mine.recent))


@function()
def make_buffer(block: int) -> Buffer:
    """Enter a new buffer into the cache, unless another process was quicker."""
    cache: BufferCache = the(BufferCache)
    if not option("head_list"):
        slab_alloc(HEADS)
    step("buffer_alloc")
    made: Buffer = new(Buffer)
    made.block = block
    with section("enter", cache.table):
        buffer: Buffer = find(cache.table, block)
        if buffer == NONE:
            insert(cache.table, block, made)
            buffer = made
    if buffer != made:
        free(made)
        if not option("head_list"):
            slab_free(HEADS)
    return buffer


@function()
def is_cached(block: int) -> int:
    """Return 1 if the block of a new page has an old buffer (unmap_underlying_metadata)."""
    cache: BufferCache = the(BufferCache)
    with section("lookup", cache.table):
        known = find(cache.table, block) != 0
    return known


@function()
def mark_buffer_dirty(buffer: Buffer) -> None:
    """Note that a buffer must be written back."""
    step("mark_buffer")
    if buffer.dirty == 0:
        cache: BufferCache = the(BufferCache)
        clock: Clock = the(Clock)
        with section("dirty", cache.dirty, buffer.dirty):
            if buffer.dirty == 0:
                buffer.dirty = 1
                buffer.since = clock.jiffies
                insert(cache.dirty, buffer, buffer)


@function()
def wait_on_buffer(buffer: Buffer) -> None:
    """Sleep while the disk writes a buffer."""
    me: Process = current()
    while buffer.busy == 1:
        with section("wait", buffer.waiter, buffer.busy):
            if buffer.busy == 1:
                me.waiting = 1
                buffer.waiter = me
        sleep_until_called()


@function()
def forget_buffer(block: int) -> None:
    """Drop the buffer of a block that is freed."""
    cache: BufferCache = the(BufferCache)
    step("forget_buffer")
    with section("lookup", cache.table):
        buffer: Buffer = find(cache.table, block)
    if buffer != NONE:
        with section("forget", cache.table, cache.dirty):
            remove(cache.table, block)
            if buffer.dirty == 1:
                remove(cache.dirty, buffer)
        wait_on_buffer(buffer)
        free(buffer)
        if not option("head_list"):
            slab_free(HEADS)


@function()
def inode_bitmap(g: BlockGroup, group: int) -> Buffer:
    """Return the buffer of a group's inode bitmap, which the super block keeps (load_inode_bitmap)."""
    if option("bitmap_cache"):
        if g.inode_bitmap == NONE:
            g.inode_bitmap = bread(INODE_MAP + group)
        return g.inode_bitmap
    return bread(INODE_MAP + group)


@function()
def block_bitmap(g: BlockGroup, group: int) -> Buffer:
    """Return the buffer of a group's block bitmap, which the super block keeps (load_block_bitmap)."""
    if option("bitmap_cache"):
        if g.block_bitmap == NONE:
            g.block_bitmap = bread(BLOCK_MAP + group)
        return g.block_bitmap
    return bread(BLOCK_MAP + group)


@function()
def mark_group_dirty(g: BlockGroup, group: int, bitmap: Buffer) -> None:
    """Note that a group's bitmap and descriptor, and the super block, must be written back."""
    sb: SuperBlock = the(SuperBlock)
    mark_buffer_dirty(bitmap)
    if g.descriptor == NONE:
        g.descriptor = bread(DESCRIPTOR + group)
    mark_buffer_dirty(g.descriptor)
    sb.dirty = 1


@function()
def look_for_waiters() -> None:
    """Look whether a process waits for the super block, as unlock_super does each time."""
    sb: SuperBlock = the(SuperBlock)
    with section("waiters", sb.waiters):
        step("wake_nobody")
        waiting = sb.waiters
    if waiting > 0:
        sb.waiters = 0
