"""New code: names are kept in parts by a hash of their key. A part is a small name cache, with its own lock.

It replaces what the kernel's `lockscape.kernel.names` does with its one cache. Each function finds the part
of a name first; the plan then says which lock of which part its section needs.
"""

from lockscape.kernel.allocate import slab_alloc
from lockscape.kernel.entries import search
from lockscape.kernel.inodes import iget
from lockscape.kernel.names import NAME_BITS, free_dentry
from lockscape.kernel.objects import DENTRIES, Dentry, Inode
from lockscape.program.language import NONE, find, function, insert, new, remove, section, step, the
from lockscape.program.objects import Collection, Object, hashed, listed

PARTS = 16


class NamePart(Object, count=PARTS):
    """A part of the name cache: a hash table and the list of those in nobody's use."""

    entries: int
    table: Collection = hashed(Dentry, base="dcache_lookup", each="dcache_chain", buckets=16384 // PARTS)
    unused: Collection = listed(Dentry)


@function()
def part_of(key: int) -> NamePart:
    """Return the part that a name belongs to."""
    step("name_part")
    return the(NamePart, (key + (key >> NAME_BITS)) % PARTS)


@function(replaces=True)
def cached(key: int) -> Dentry:
    """Look a name up in its part and take a reference."""
    part = part_of(key)
    with section("lookup", part.table):
        dentry: Dentry = find(part.table, key)
        if dentry != NONE:
            with section("take", dentry.count):
                dentry.count += 1
            if dentry.listed == 1:
                remove(part.unused, dentry)
                dentry.listed = 0
    return dentry


@function(replaces=True)
def real_lookup(directory: Inode, key: int, name: int) -> Dentry:
    """Ask the file system for a name and remember the answer, also that there is none."""
    part = part_of(key)
    slab_alloc(DENTRIES)
    step("dentry_alloc")
    dentry: Dentry = new(Dentry)
    dentry.key = key
    dentry.count = 1
    with section("alloc", part.entries):
        part.entries += 1
    number = search(directory, name)
    inode: Inode = NONE
    if number != 0:
        inode = iget(number)
    with section("instantiate", dentry.inode):
        dentry.inode = inode
    with section("rehash", part.table):
        step("dentry_hash")
        insert(part.table, key, dentry)
    return dentry


@function(replaces=True)
def dput(dentry: Dentry) -> None:
    """Give a reference to a dentry back; the last one puts it on its part's list of the unused."""
    step("dput")
    part = part_of(dentry.key)
    gone = 0
    with section("put", dentry.count, part.unused):
        dentry.count -= 1
        if dentry.count == 0:
            if dentry.dropped == 1:
                part.entries -= 1
                gone = 1
            elif dentry.listed == 0:
                insert(part.unused, dentry, dentry)
                dentry.listed = 1
    if gone == 1:
        free_dentry(dentry)


@function(replaces=True)
def attach(dentry: Dentry, inode: Inode) -> None:
    """Make a negative dentry stand for a new inode."""
    part = part_of(dentry.key)
    with section("attach", dentry.inode, part.table):
        dentry.inode = inode


@function(replaces=True)
def detach(dentry: Dentry) -> Inode:
    """Make a deleted name's dentry negative and return its file; if others use it, only drop it."""
    part = part_of(dentry.key)
    step("dentry_delete")
    inode: Inode = NONE
    with section("detach", dentry.inode, dentry.count, part.table):
        if dentry.count == 1:
            inode = dentry.inode
            dentry.inode = NONE
        else:
            drop_from(part, dentry)
    return inode


@function(replaces=True)
def replace(dentry: Dentry, inode: Inode) -> Inode:
    """Let a name's dentry stand for another file; return the file whose reference is to be given back."""
    part = part_of(dentry.key)
    step("dentry_delete")
    was = inode
    with section("replace", dentry.inode, dentry.count, part.table):
        if dentry.count == 1:
            was = dentry.inode
            dentry.inode = inode
        else:
            drop_from(part, dentry)
    return was


@function()
def drop_from(part: NamePart, dentry: Dentry) -> None:
    """Take a dentry that others use out of its part, so that it goes with its last user."""
    remove(part.table, dentry.key)
    dentry.dropped = 1
    if dentry.listed == 1:
        remove(part.unused, dentry)
        dentry.listed = 0
