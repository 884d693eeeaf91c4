"""New code of the reimplemented kernel: inodes, their numbers, and buffers, each with its block group.

The tables of inodes and of buffers have a representative for each block group, where the work on a directory
and its files is. Counts of the whole file system are kept on the processors and added up by who asks.
Inodes that were there when the system started stand in the root's table; the first use moves them.
"""

from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.blocks import BLOCKS_PER_GROUP, discard_reserved
from lockscape.kernel.buffers import DESCRIPTOR, INODE_MAP, inode_bitmap
from lockscape.kernel.directories import groups
from lockscape.kernel.inodes import INODES_PER_BLOCK, INODES_PER_GROUP, TABLE_BLOCK, erase_inode
from lockscape.kernel.objects import HEADS, INODES, BlockGroup, Buffer, Clock, Disk, InodeCache, SuperBlock
from lockscape.kernel.pages import drop_pages
from lockscape.kernel.writeback import BATCH, start_disk
from lockscape.ports.clustered import Inode
from lockscape.ports.clustered_names import delete_names
from lockscape.program.language import (
    NONE,
    after,
    find,
    first,
    first_free,
    free,
    function,
    hold,
    insert,
    masked,
    new,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.objects import Collection, Object, hashed, listed


class InodePart(Object, count="groups"):
    """The inodes in memory of one block group."""

    represents = "InodeCache"

    inodes: int
    table: Collection = hashed(Inode, base="inode_lookup", each="dcache_chain", buckets=512)
    dirty: Collection = listed(Inode)


class BufferPart(Object, count="groups"):
    """The buffers of one block group's blocks."""

    represents = "BufferCache"

    heads: int
    table: Collection = hashed(Buffer, base="buffer_lookup", each="dcache_chain", buckets=2048)
    dirty: Collection = listed(Buffer)


class FileCounts(Object, count="cpus"):
    """A processor's share of the counts of the whole file system."""

    represents = "SuperBlock"

    free_inodes: int
    free_blocks: int
    generation: int


# --- inodes in memory ---------------------------------------------------------------------------------------


@function()
def part_of_inode(number: int) -> InodePart:
    """Return the representative that has an inode."""
    part: InodePart = the(InodePart, (number - 1) // INODES_PER_GROUP)
    return part


@function(replaces=True)
def iget(number: int) -> Inode:
    """Return an inode by number, with a reference."""
    part = part_of_inode(number)
    inode = referred(part, number)
    if inode == NONE:
        inode = adopted(part, number)
    return inode


@function()
def referred(part: InodePart, number: int) -> Inode:
    """Take a reference to an inode, if the representative has it."""
    with hold("inodes_lock", part), section("lookup", part.table):
        inode: Inode = find(part.table, number)
        if inode != NONE:
            inode.count += 1
    return inode


@function()
def adopted(part: InodePart, number: int) -> Inode:
    """Move an inode from the root's table to its representative, with a reference."""
    root: InodeCache = the(InodeCache)
    step("object_miss")
    with hold("root_lock", root), section("leave", root.table, root.inodes):
        inode: Inode = remove(root.table, number)
        if inode != NONE:
            root.inodes -= 1
    if inode != NONE:
        with hold("inodes_lock", part), section("adopt", part.table, part.inodes):
            inode.count += 1
            insert(part.table, number, inode)
            part.inodes += 1
    return inode


@function(replaces=True)
def mark_inode_dirty(inode: Inode) -> None:
    """Note that an inode must be written back."""
    step("mark_dirty")
    if inode.dirty == 0:
        clock: Clock = the(Clock)
        part = part_of_inode(inode.number)
        with hold("inodes_lock", part), section("dirty", part.dirty, inode.dirty):
            if inode.dirty == 0:
                inode.dirty = 1
                inode.since = clock.jiffies
                insert(part.dirty, inode, inode)


@function(replaces=True)
def clean_inode(inode: Inode) -> None:
    """Take an inode off the list of dirty ones of its group."""
    part = part_of_inode(inode.number)
    with hold("inodes_lock", part), section("clean", part.dirty, inode.dirty):
        if inode.dirty == 1:
            inode.dirty = 0
            remove(part.dirty, inode)


@function(replaces=True)
def take_dirty(limit: int) -> Inode:
    """Take a dirty inode off its group's list, with a reference, if it became dirty before a time."""
    group = 0
    inode: Inode = NONE
    while group < groups() and inode == NONE:
        part: InodePart = the(InodePart, group)
        with hold("inodes_lock", part), section("oldest", part.dirty):
            step("take_dirty")
            inode = first(part.dirty)
            while inode != NONE and inode.freeing == 1:
                inode = after(part.dirty, inode)
            if inode != NONE:
                if inode.since > limit:
                    inode = NONE
                else:
                    remove(part.dirty, inode)
                    inode.dirty = 0
                    inode.count += 1
        group += 1
    return inode


@function(replaces=True)
def hash_inode(inode: Inode) -> None:
    """Enter a new inode into the table of its group."""
    part = part_of_inode(inode.number)
    with hold("inodes_lock", part), section("hash", part.table, part.inodes):
        insert(part.table, inode.number, inode)
        part.inodes += 1


@function(replaces=True)
def new_inode(group: int, directory: int) -> Inode:
    """Make an inode, in memory and on disk, in a block group; `directory` is 1 for one of a directory."""
    slab_alloc(INODES)
    step("inode_alloc")
    inode: Inode = new(Inode)
    inode.directory = directory
    claim_inode(inode, group)
    return inode


@function(replaces=True)
def iput(inode: Inode) -> None:
    """Give a reference back; the last one of a deleted file frees everything it has."""
    step("iput")
    discard_reserved(inode)
    part = part_of_inode(inode.number)
    with hold("inodes_lock", part), section("put", inode.count):
        inode.count -= 1
        gone = 0
        if inode.count == 0 and inode.unlinked == 1:  # who comes later may delete it himself
            gone = 1
            inode.freeing = 1
    if gone == 1:
        delete_inode(inode)


@function(replaces=True)
def delete_inode(inode: Inode) -> None:
    """Free the pages, names, blocks and number of an inode without links, and the inode itself."""
    part = part_of_inode(inode.number)
    with hold("inodes_lock", part), section("unhash", part.table, part.dirty, part.inodes):
        remove(part.table, inode.number)
        part.inodes -= 1
        if inode.dirty == 1:
            inode.dirty = 0
            remove(part.dirty, inode)
    drop_pages(inode)
    if inode.directory == 1:
        delete_names(inode)
    erase_inode(inode)
    step("inode_destroy")
    slab_free(INODES)
    free(inode)


# --- numbers of inodes and blocks ---------------------------------------------------------------------------


@function(replaces=True)
def claim_inode(inode: Inode, group: int) -> None:
    """Find a free inode number from the start of the group's bitmap and take it."""
    g: BlockGroup = the(BlockGroup, group)
    step("inode_number")
    bitmap = inode_bitmap(g, group)
    with hold("group_lock", g), section("claim", g.inode_map, g.free_inodes):
        number = first_free(g.inode_map, 0)
        insert(g.inode_map, number, 1)
        g.free_inodes -= 1
    count_inodes(-1)
    mark_group_dirty(g, group, bitmap)
    inode.number = group * INODES_PER_GROUP + number + 1
    inode.group = group
    inode.nlink = 1
    inode.count = 1
    hash_inode(inode)
    mark_inode_dirty(inode)


@function(replaces=True)
def release_number(inode: Inode) -> None:
    """Clear the inode's bit and count it as free."""
    group = inode.group
    g: BlockGroup = the(BlockGroup, group)
    step("free_inode")
    bitmap = inode_bitmap(g, group)
    with hold("group_lock", g), section("clear", g.inode_map, g.free_inodes):
        remove(g.inode_map, (inode.number - 1) % INODES_PER_GROUP)
        g.free_inodes += 1
    count_inodes(1)
    mark_group_dirty(g, group, bitmap)


@function(replaces=True)
def count_inodes(number: int) -> None:
    """Count free inodes of the file system on this processor; each new one gets a generation here, too."""
    with masked():
        mine: FileCounts = the(FileCounts, this_cpu())
        mine.free_inodes += number
        if number < 0:
            mine.generation += 1


@function(replaces=True)
def count_blocks(number: int) -> None:
    """Count free blocks of the file system on this processor."""
    with masked():
        mine: FileCounts = the(FileCounts, this_cpu())
        mine.free_blocks += number


@function(replaces=True)
def mark_group_dirty(g: BlockGroup, group: int, bitmap: Buffer) -> None:
    """Note that a group's bitmap and descriptor must be written back; the super block's mark is set once."""
    sb: SuperBlock = the(SuperBlock)
    mark_buffer_dirty(bitmap)
    if g.descriptor == NONE:
        g.descriptor = bread(DESCRIPTOR + group)
    mark_buffer_dirty(g.descriptor)
    if sb.dirty == 0:
        sb.dirty = 1


# --- buffers ------------------------------------------------------------------------------------------------


@function()
def part_of_block(block: int) -> BufferPart:
    """Return the representative that has the buffer of a block: data, bitmap, descriptor or inode table."""
    if block >= TABLE_BLOCK:
        group = (block - TABLE_BLOCK) * INODES_PER_BLOCK // INODES_PER_GROUP
        if group >= groups():  # the block of a group's last inode begins in the next group's
            group = groups() - 1
    elif block >= INODE_MAP:
        group = block % INODE_MAP
    else:
        group = (block - 1) // BLOCKS_PER_GROUP
    part: BufferPart = the(BufferPart, group)
    return part


@function(replaces=True)
def make_buffer(block: int) -> Buffer:
    """Enter a new buffer into its group's table, unless another process was quicker."""
    part = part_of_block(block)
    slab_alloc(HEADS)
    step("buffer_alloc")
    made: Buffer = new(Buffer)
    made.block = block
    with hold("buffers_lock", part), section("enter", part.table):
        buffer: Buffer = find(part.table, block)
        if buffer == NONE:
            insert(part.table, block, made)
            buffer = made
    if buffer != made:
        free(made)
        slab_free(HEADS)
    return buffer


@function(replaces=True)
def is_cached(block: int) -> int:
    """Return 1 if the block of a new page has an old buffer."""
    known: int = known_buffer(block) != NONE
    return known


@function()
def known_buffer(block: int) -> Buffer:
    """Return the buffer of a block, or none."""
    part = part_of_block(block)
    with hold("buffers_lock", part), section("lookup", part.table):
        buffer: Buffer = find(part.table, block)
    return buffer


@function(replaces=True)
def mark_buffer_dirty(buffer: Buffer) -> None:
    """Note that a buffer must be written back."""
    step("mark_buffer")
    if buffer.dirty == 0:
        clock: Clock = the(Clock)
        part = part_of_block(buffer.block)
        with hold("buffers_lock", part), section("dirty", part.dirty, buffer.dirty):
            if buffer.dirty == 0:
                buffer.dirty = 1
                buffer.since = clock.jiffies
                insert(part.dirty, buffer, buffer)


@function(replaces=True)
def clean_buffer(buffer: Buffer) -> None:
    """Take a buffer off the list of dirty ones."""
    part = part_of_block(buffer.block)
    with hold("buffers_lock", part), section("clean", part.dirty, buffer.dirty):
        if buffer.dirty == 1:
            remove(part.dirty, buffer)
            buffer.dirty = 0


@function(replaces=True)
def flush_old(limit: int) -> int:
    """Queue some buffers that became dirty before a time, group by group; return how many."""
    done = 0
    group = 0
    step("flush")
    while group < groups():
        part: BufferPart = the(BufferPart, group)
        done = flush_part(part, limit, done)
        group += 1
    start_disk()
    return done


@function()
def flush_part(part: BufferPart, limit: int, done: int) -> int:
    """Queue buffers of one group that became dirty before a time, up to so many in all."""
    disk: Disk = the(Disk)
    with hold("buffers_lock", part), hold("disk_lock", disk), section("collect", part.dirty, disk.queue):
        buffer: Buffer = first(part.dirty)
        while buffer != NONE and done < BATCH:
            if buffer.since > limit:
                break
            step("queue_request")
            buffer.busy = 1
            remove(part.dirty, buffer)
            buffer.dirty = 0
            insert(disk.queue, buffer, buffer)
            buffer = first(part.dirty)
            done += 1
    return done


@function(replaces=True)
def bread(block: int) -> Buffer:
    """Return the buffer of a metadata block."""
    buffer = known_buffer(block)
    if buffer == NONE:
        buffer = make_buffer(block)
    return buffer
