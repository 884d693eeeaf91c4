"""Blocks of files: the map from a file's pages to blocks, and their allocation from block groups."""

from lockscape.kernel.buffers import block_bitmap, bread, forget_buffer, look_for_waiters, mark_group_dirty
from lockscape.kernel.objects import PAGE_BYTES, BlockGroup, Inode, Process, Processor, SuperBlock
from lockscape.program.language import (
    atomic,
    current,
    find,
    first_free,
    function,
    hold,
    insert,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)

RESERVED = 7
"""Blocks reserved beyond the one asked for (ext2: EXT2_DEFAULT_PREALLOC_BLOCKS 8, with the one itself)."""

BLOCKS_PER_GROUP = 32768
"""Of ext2 with blocks of 4 KB: a bit for each in one block."""

COUNTED = 32
"""Units that a processor counts by itself (linux/percpu_counter.h of 2.6.11: FBC_BATCH, 8 processors)."""

NEAR, BITS = 64, 8
"""Blocks looked at behind a goal before a free byte is wanted, and blocks in a byte (ext2_new_block)."""

COLOURS = 16
"""Parts of a group in which processes look for blocks (fs/ext2/inode.c of 2.6.11: ext2_find_near)."""


@function()
def count_blocks(number: int) -> None:
    """Count free blocks of the file system on this processor, and now and then in the super block."""
    with atomic():
        mine: Processor = the(Processor, this_cpu())
        mine.blocks += number
        if mine.blocks >= COUNTED or mine.blocks <= 0 - COUNTED:
            sb: SuperBlock = the(SuperBlock)
            with section("fold", sb.free_blocks):
                sb.free_blocks += mine.blocks
            mine.blocks = 0


@function()
def find_goal(inode: Inode, index: int) -> int:
    """Return where in its group a file's next block should be: behind its last, or at the group's start."""
    with section("goal", inode.block):
        if index > 0:
            goal = (known_block(inode, index - 1) - 1) % BLOCKS_PER_GROUP + 1
        elif option("block_colour"):
            me: Process = current()
            goal = me.number % COLOURS * (BLOCKS_PER_GROUP // COLOURS)
        else:
            goal = 0
    return goal


@function()
def known_block(inode: Inode, index: int) -> int:
    """Return the disk block of a page of a file, or 0."""
    if index == 0:
        return inode.block
    return find(inode.blocks, index)


@function()
def map_block(inode: Inode, index: int) -> int:
    """Return the disk block of a page of a file, allocating it if need be (get_block)."""
    step("map_block")
    block = known_block(inode, index)
    if block == 0:
        block = alloc_block(inode, find_goal(inode, index))
        enter_block(inode, index, block)
    return block


@function()
def enter_block(inode: Inode, index: int, block: int) -> None:
    """Enter a new block into a file's block map (splice_branch)."""
    with section("splice", inode.blocks):
        if index == 0:
            inode.block = block
        else:
            insert(inode.blocks, index, block)


@function()
def alloc_block(inode: Inode, goal: int) -> int:
    """Give a file one of the blocks reserved for it, or a new one with the next ones reserved."""
    with section("reserved", inode.reserved, inode.reserve):
        block = 0
        if inode.reserved > 0 and (inode.reserve - 1) % BLOCKS_PER_GROUP == goal:
            block = inode.reserve
            inode.reserve += 1
            inode.reserved -= 1
    if block == 0:
        discard_reserved(inode)
        block = new_block(inode, goal)
    return block


@function()
def new_block(inode: Inode, goal: int) -> int:
    """Take a block from the group of a file, under the file system's lock where there is one."""
    if option("super_lock"):
        with hold("s_lock", the(SuperBlock)):
            block = claim_block(inode, goal)
            if option("buffer_data"):
                bread(block)
                step("clear_line", PAGE_BYTES // 64)
        if option("wake_always"):
            look_for_waiters()
    else:
        block = claim_block(inode, goal)
    return block


@function()
def claim_block(inode: Inode, goal: int) -> int:
    """Find a free block in the group's bitmap from the goal on and take it, with the next ones for a file."""
    group = inode.group
    g: BlockGroup = the(BlockGroup, group)
    step("block_alloc")
    wanted = 1
    if inode.directory == 0:
        wanted = 1 + RESERVED
    if option("processor_counters"):
        count_blocks(0 - wanted)
    with section("reserve", g.free_blocks):
        g.free_blocks -= wanted
    bitmap = block_bitmap(g, group)
    if option("atomic_bitmaps"):
        index = grab_block(g, goal)
        with section("following", inode.reserved):
            taken = take_following(g, index, wanted)
            reserve_blocks(inode, group, index, taken)
    else:
        with section("claim", g.block_map):
            index = grab_block(g, goal)
            taken = take_following(g, index, wanted)
        reserve_blocks(inode, group, index, taken)
    if not option("processor_counters"):
        count_total(0 - wanted)
    if taken + 1 < wanted:
        count_free(g, wanted - 1 - taken)
    mark_group_dirty(g, group, bitmap)
    return group * BLOCKS_PER_GROUP + index + 1


@function()
def grab_block(g: BlockGroup, goal: int) -> int:
    """Take a block: at the goal, near behind it, or where eight are free; else the next free one."""
    index = first_free(g.block_map, goal)
    if index != goal and index >= (goal + NEAR - 1) // NEAR * NEAR:
        byte = first_free(g.byte_map, goal // BITS)
        if byte >= 0:  # else no eight are free any more
            index = byte * BITS
    while insert(g.block_map, index, 1) == 0:
        index = first_free(g.block_map, index)
    insert(g.byte_map, index // BITS, 1)
    return index


@function()
def take_following(g: BlockGroup, index: int, wanted: int) -> int:
    """Take the free blocks that follow a block, to the number wanted with it; return how many."""
    following = index + 1
    last = index + wanted
    if last > BLOCKS_PER_GROUP:
        last = BLOCKS_PER_GROUP
    while following < last:
        if insert(g.block_map, following, 1) == 0:
            break
        following += 1
    taken = following - index - 1
    step("reserve_block", taken)
    return taken


@function()
def reserve_blocks(inode: Inode, group: int, index: int, taken: int) -> None:
    """Note the blocks that are reserved for a file: those behind the one at `index`."""
    with section("note", inode.reserved, inode.reserve):
        inode.reserved = taken
        inode.reserve = group * BLOCKS_PER_GROUP + index + 2


@function()
def count_total(number: int) -> None:
    """Count free blocks in the super block."""
    sb: SuperBlock = the(SuperBlock)
    with section("total", sb.free_blocks):
        sb.free_blocks += number


@function()
def count_free(g: BlockGroup, number: int) -> None:
    """Count blocks of a group as free."""
    with section("counts", g.free_blocks):
        g.free_blocks += number
    if option("processor_counters"):
        count_blocks(number)
    else:
        count_total(number)


@function()
def discard_reserved(inode: Inode) -> None:
    """Give back the blocks reserved for a file."""
    step("discard_check")
    with section("take", inode.reserved):
        number = inode.reserved
        start = inode.reserve
        inode.reserved = 0
    if number > 0:
        free_blocks(inode.group, start, number)


@function()
def free_blocks(group: int, block: int, number: int) -> None:
    """Free some consecutive blocks of a group."""
    if option("super_lock"):
        with hold("s_lock", the(SuperBlock)):
            clear_blocks(group, block, number)
        if option("wake_always"):
            look_for_waiters()
    else:
        clear_blocks(group, block, number)


@function()
def clear_blocks(group: int, block: int, number: int) -> None:
    """Clear the bits of blocks and count them as free."""
    g: BlockGroup = the(BlockGroup, group)
    step("free_blocks")
    index = (block - 1) % BLOCKS_PER_GROUP
    bitmap = block_bitmap(g, group)
    step("free_block", number)
    if option("atomic_bitmaps"):
        clear_bits(g, index, index + number)
    else:
        with section("clear", g.block_map):
            clear_bits(g, index, index + number)
    count_free(g, number)
    mark_group_dirty(g, group, bitmap)


@function()
def clear_bits(g: BlockGroup, index: int, last: int) -> None:
    """Clear the bits of blocks from one to before another, and note bytes whose first block is free again."""
    byte = (index + BITS - 1) // BITS
    while byte * BITS < last:
        remove(g.byte_map, byte)
        byte += 1
    while index < last:
        remove(g.block_map, index)
        index += 1


@function()
def free_all_blocks(inode: Inode) -> None:
    """Free the blocks of a file, run by run of consecutive ones (truncate)."""
    start = inode.block
    length = 0
    index = 0
    block = start
    while block != 0:
        if option("buffer_data"):
            forget_buffer(block)
        if block != start + length:
            free_blocks(inode.group, start, length)
            start = block
            length = 0
        length += 1
        index += 1
        block = known_block(inode, index)
    if length > 0:
        free_blocks(inode.group, start, length)
