"""Inodes: in memory and on disk."""

from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.blocks import COUNTED, discard_reserved, free_all_blocks
from lockscape.kernel.buffers import (
    bread,
    inode_bitmap,
    look_for_waiters,
    mark_buffer_dirty,
    mark_group_dirty,
)
from lockscape.kernel.objects import INODES, BlockGroup, Clock, Inode, InodeCache, Processor, SuperBlock
from lockscape.kernel.pages import drop_pages, look_at_inode_buffers
from lockscape.program.language import (
    NONE,
    atomic,
    compare_and_swap,
    find,
    first_free,
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
)

INODES_PER_GROUP = 16384
"""Of ext2 with blocks of 4 KB."""
INODES_PER_BLOCK = 32
"""Of 128 bytes each, in a block of 4 KB."""
TABLE_BLOCK = 1 << 40
"""Where the inode tables begin among the numbers of blocks; bitmaps and descriptors lie below them."""


@function()
def iget(number: int) -> Inode:
    """Return an inode by number, with a reference."""
    cache: InodeCache = the(InodeCache)
    with section("lookup", cache.table):
        inode: Inode = find(cache.table, number)
        if inode != NONE:
            inode.count += 1
    return inode


@function()
def mark_inode_dirty(inode: Inode) -> None:
    """Note that an inode must be written back."""
    step("mark_dirty")
    if inode.dirty == 0:
        cache: InodeCache = the(InodeCache)
        clock: Clock = the(Clock)
        with section("dirty", cache.dirty, inode.dirty):
            if inode.dirty == 0:
                inode.dirty = 1
                inode.since = clock.jiffies
                insert(cache.dirty, inode, inode)


@function()
def new_inode(group: int, directory: int) -> Inode:
    """Make an inode, in memory and on disk, in a block group; `directory` is 1 for one of a directory."""
    cache: InodeCache = the(InodeCache)
    if option("inode_slab"):
        slab_alloc(INODES)
    step("inode_alloc")
    inode: Inode = new(Inode)
    inode.directory = directory
    with section("count", cache.inodes):
        cache.inodes += 1
    if option("super_lock"):
        with hold("s_lock", the(SuperBlock)):
            claim_inode(inode, group)
        if option("wake_always"):
            look_for_waiters()
    else:
        claim_inode(inode, group)
    return inode


@function()
def claim_inode(inode: Inode, group: int) -> None:
    """Find a free inode number from the start of the group's bitmap and take it."""
    g: BlockGroup = the(BlockGroup, group)
    sb: SuperBlock = the(SuperBlock)
    step("inode_number")
    bitmap = inode_bitmap(g, group)
    if option("atomic_bitmaps"):
        fresh = 0
        number = 0
        while fresh == 0:
            number = first_free(g.inode_map, number)
            fresh = insert(g.inode_map, number, 1)
    else:
        with section("claim", g.inode_map):
            number = first_free(g.inode_map, 0)
            insert(g.inode_map, number, 1)
    if option("processor_counters"):
        count_inodes(-1)
    else:
        with section("total", sb.free_inodes):
            sb.free_inodes -= 1
    with section("counts", g.free_inodes):
        g.free_inodes -= 1
    mark_group_dirty(g, group, bitmap)
    with section("generation", sb.generation):
        sb.generation += 1
    inode.number = group * INODES_PER_GROUP + number + 1
    inode.group = group
    inode.nlink = 1
    inode.count = 1
    hash_inode(inode)
    mark_inode_dirty(inode)
    if option("preread_inode"):
        bread(TABLE_BLOCK + inode.number // INODES_PER_BLOCK)


@function()
def count_inodes(number: int) -> None:
    """Count free inodes of the file system on this processor, and now and then in the super block."""
    with atomic():
        mine: Processor = the(Processor, this_cpu())
        mine.inodes += number
        if mine.inodes >= COUNTED or mine.inodes <= 0 - COUNTED:
            sb: SuperBlock = the(SuperBlock)
            with section("fold", sb.free_inodes):
                sb.free_inodes += mine.inodes
            mine.inodes = 0


@function()
def hash_inode(inode: Inode) -> None:
    """Enter a new inode into the hash table."""
    cache: InodeCache = the(InodeCache)
    with section("hash", cache.table):
        insert(cache.table, inode.number, inode)


@function()
def write_inode(inode: Inode) -> None:
    """Copy an inode into the buffer of its inode-table block."""
    step("write_inode")
    mark_buffer_dirty(bread(TABLE_BLOCK + inode.number // INODES_PER_BLOCK))


@function()
def iput(inode: Inode) -> None:
    """Give a reference back; the last one of a deleted file frees everything it has."""
    step("iput")
    if option("discard_on_iput"):
        discard_reserved(inode)
    if option("atomic_counts"):
        if put_shared(inode) == 1:
            return
    cache: InodeCache = the(InodeCache)
    with section("put", inode.count, cache.table):
        if option("atomic_counts"):
            last = count_down(inode) == 0
        else:
            inode.count -= 1
            last = inode.count == 0
        # who comes to the inode from now on may delete it himself
        gone = 0
        if last == 1:
            if inode.unlinked == 1:
                gone = 1
                inode.freeing = 1
        if option("clean_with_count"):
            if gone == 1:
                take_off_lists(inode)
    if option("write_on_iput"):
        if last == 1 and inode.unlinked == 0 and inode.dirty == 1:
            clean_inode(inode)
            write_locked(inode)
    if gone == 1:
        delete_inode(inode)


@function()
def put_shared(inode: Inode) -> int:
    """Give a reference back that is not the last, without a lock; return 1 if it was not."""
    seen = inode.count
    while seen > 1:
        if compare_and_swap(inode.count, seen, seen - 1) == 1:
            return 1
        seen = inode.count
    return 0


@function()
def count_down(inode: Inode) -> int:
    """Count a reference down by an atomic operation that tells what is left (atomic_dec_and_test)."""
    seen = inode.count
    while compare_and_swap(inode.count, seen, seen - 1) == 0:
        seen = inode.count
    return seen - 1


@function()
def take_off_lists(inode: Inode) -> None:
    """Take an inode that goes away off every list, so that nobody finds it; the caller keeps the lists."""
    cache: InodeCache = the(InodeCache)
    remove(cache.table, inode.number)
    if inode.dirty == 1:
        inode.dirty = 0
        remove(cache.dirty, inode)


@function()
def write_locked(inode: Inode) -> None:
    """Write an inode to its buffer while it is marked as being written (lock_inode)."""
    with hold("I_LOCK", inode):
        write_inode(inode)


@function()
def clean_inode(inode: Inode) -> None:
    """Take an inode off the list of dirty ones."""
    cache: InodeCache = the(InodeCache)
    with section("clean", cache.dirty, inode.dirty):
        if inode.dirty == 1:
            inode.dirty = 0
            remove(cache.dirty, inode)


@function()
def delete_inode(inode: Inode) -> None:
    """Free the pages, blocks and number of an inode without links, and the inode itself."""
    if not option("clean_with_count"):
        clean_inode(inode)
        unhash_inode(inode)
    if not option("clear_in_super"):
        drop_pages(inode)
    erase_inode(inode)
    if option("clean_with_count"):
        unhash_inode(inode)
    if option("buffer_queues"):
        look_at_inode_buffers()
    step("inode_destroy")
    if option("inode_slab"):
        slab_free(INODES)
    else:
        retire_inode()
    free(inode)


@function()
def retire_inode() -> None:
    """Put an inode that is in nobody's use among the unused ones."""
    cache: InodeCache = the(InodeCache)
    with section("retire", cache.unused):
        cache.unused += 1


@function()
def erase_inode(inode: Inode) -> None:
    """Free what an inode has on disk (the file system's delete operation)."""
    write_inode(inode)
    step("truncate")
    if option("discard_on_delete"):
        discard_reserved(inode)
    free_all_blocks(inode)
    if option("super_lock"):
        with hold("s_lock", the(SuperBlock)):
            release_inode(inode)
        if option("wake_always"):
            look_for_waiters()
    else:
        release_inode(inode)


@function()
def release_inode(inode: Inode) -> None:
    """Clear an inode, then free its number (free_inode with clear_inode)."""
    if option("clear_in_super"):
        drop_pages(inode)
    if option("discard_on_delete"):
        discard_reserved(inode)
    if option("buffer_queues"):
        look_at_inode_buffers()
    release_number(inode)


@function()
def release_number(inode: Inode) -> None:
    """Clear the inode's bit and count it as free."""
    group = inode.group
    g: BlockGroup = the(BlockGroup, group)
    step("free_inode")
    index = (inode.number - 1) % INODES_PER_GROUP
    bitmap = inode_bitmap(g, group)
    if option("atomic_bitmaps"):
        remove(g.inode_map, index)
    else:
        with section("clear", g.inode_map):
            remove(g.inode_map, index)
    with section("counts", g.free_inodes):
        g.free_inodes += 1
    if option("processor_counters"):
        count_inodes(1)
    else:
        sb: SuperBlock = the(SuperBlock)
        with section("total", sb.free_inodes):
            sb.free_inodes += 1
    mark_group_dirty(g, group, bitmap)


@function()
def unhash_inode(inode: Inode) -> None:
    """Take an inode out of the hash table, and count it out."""
    cache: InodeCache = the(InodeCache)
    with section("unhash", cache.table, cache.inodes):
        if not option("clean_with_count"):
            remove(cache.table, inode.number)
        cache.inodes -= 1
