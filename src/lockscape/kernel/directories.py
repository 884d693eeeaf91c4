"""Calls that make and delete names: create, unlink, mkdir, rmdir."""

from lockscape.kernel import names
from lockscape.kernel.allocate import page_alloc
from lockscape.kernel.blocks import map_block
from lockscape.kernel.buffers import bread, mark_buffer_dirty
from lockscape.kernel.entries import add_entry, delete_entry, search, write_entry
from lockscape.kernel.inodes import iget, iput, mark_inode_dirty, new_inode
from lockscape.kernel.objects import BlockGroup, Dentry, Inode, SuperBlock
from lockscape.kernel.pages import add_page, list_late
from lockscape.program.language import NONE, add_return, count, function, hold, option, section, step, the

NOT_FOUND, EXISTS, NOT_EMPTY = -2, -17, -39
"""Results of calls that fail, as in Unix."""


@function()
def create(directory: Inode, name: int) -> Inode:
    """Make a file and enter its name (the file system's create operation)."""
    step("create")
    inode = new_inode(directory.group, 0)
    add_entry(directory, name, inode)
    return inode


@function()
def create_dentry(directory: Inode, name: int, dentry: Dentry) -> None:
    """Create a file and let its dentry stand for it, unless the directory has been deleted (IS_DEADDIR)."""
    if directory.nlink > 0:
        names.attach(dentry, create(directory, name))


@function()
def unlink_entry(directory: Inode, name: int, inode: Inode) -> None:
    """Delete a name and count the link down (the file system's unlink operation)."""
    step("unlink")
    search(directory, name)
    delete_entry(directory, name)
    with section("links", inode.nlink):
        left = add_return(inode.nlink, -1)
        if left == 0:
            inode.unlinked = 1
    mark_inode_dirty(inode)


@function()
def sys_unlink(path: int, name: int) -> int:
    """Delete a file."""
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        if option("dentry_cache"):
            result = unlink_dentry(directory, name)
        else:
            result = unlink_old(directory, name)
    names.end_walk()
    names.putname()
    return result


@function()
def unlink_dentry(directory: Inode, name: int) -> int:
    """Delete a name through its dentry; the file goes with its last reference."""
    inode: Inode = NONE
    if option("lookup_first"):
        dentry: Dentry = names.lookup(directory, name)
        with hold("i_sem", directory):
            inode = remove_name(directory, name, dentry)
        names.dput(dentry)
    else:
        with hold("i_sem", directory):
            dentry = names.lookup_held(directory, name)
            inode = remove_name(directory, name, dentry)
            names.dput(dentry)
    if inode == NONE:
        return NOT_FOUND
    if option("delete_after_unlock"):
        iput(inode)
    return 0


@function()
def remove_name(directory: Inode, name: int, dentry: Dentry) -> Inode:
    """Delete the entry of a name and make its dentry negative (vfs_unlink); return the file that it named."""
    inode: Inode = dentry.inode
    if inode == NONE:
        return NONE
    if option("lookup_first"):
        if dentry.dropped == 1:
            return NONE
    if option("delete_after_unlock"):
        inode.count += 1
    if option("victim_semaphore"):
        with hold("i_sem", inode):
            unlink_entry(directory, name, inode)
        drop_name(dentry)
    elif option("directory_semaphore"):
        with hold("i_zombie", directory):
            unlink_entry(directory, name, inode)
            drop_name(dentry)
    else:
        unlink_entry(directory, name, inode)
        drop_name(dentry)
    return inode


@function()
def drop_name(dentry: Dentry) -> None:
    """Make the dentry of a deleted name negative, and give its reference to the file back (d_delete)."""
    inode = names.detach(dentry)
    if inode != NONE:
        iput(inode)


@function()
def unlink_old(directory: Inode, name: int) -> int:
    """Delete a name without dentries: the directory is always searched."""
    result = NOT_FOUND
    with hold("i_sem", directory):
        number = search(directory, name)
        if number != 0:
            result = 0
            inode = iget(number)
            step("unlink")
            delete_entry(directory, name)
            with section("links", inode.nlink):
                left = add_return(inode.nlink, -1)
                if left == 0:
                    inode.unlinked = 1
            mark_inode_dirty(inode)
            iput(inode)
    return result


@function()
def choose_group() -> int:
    """Choose the block group of a new directory: the one with most free blocks, all looked at."""
    best = 0
    most = -1
    group = 0
    while group < groups():
        step("look_at_group")
        g: BlockGroup = the(BlockGroup, group)
        with section("look", g.free_blocks):
            free = g.free_blocks
        if free > most:
            most = free
            best = group
        group += 1
    return best


@function()
def groups() -> int:
    """Return how many block groups the file system has."""
    return option("groups")


@function()
def make_directory(directory: Inode, name: int) -> Inode:
    """Make a directory and enter its name (the file system's mkdir operation)."""
    sb: SuperBlock = the(SuperBlock)
    step("mkdir")
    inode = new_inode(choose_group(), 1)
    with section("serial", sb.serials):
        sb.serials += 1
        inode.serial = sb.serials
    make_empty(inode)
    add_entry(directory, name, inode)
    with section("links", directory.nlink):
        directory.nlink += 1
    return inode


@function()
def make_empty(inode: Inode) -> None:
    """Give a new directory its first block, with the entries for itself and its parent."""
    if option("directory_pages"):
        page_alloc()
        page = add_page(inode, 0)
        if option("late_listing"):
            list_late(page)
        write_entry(inode, page, 0)
    else:
        mark_buffer_dirty(bread(map_block(inode, 0)))


@function()
def make_directory_dentry(directory: Inode, name: int, dentry: Dentry) -> None:
    """Make a directory and let its dentry stand for it, unless its parent has been deleted."""
    if directory.nlink > 0:
        names.attach(dentry, make_directory(directory, name))


@function()
def sys_mkdir(path: int, name: int) -> int:
    """Make a directory."""
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        if option("dentry_cache"):
            result = mkdir_dentry(directory, name)
        else:
            result = mkdir_old(directory, name)
    names.end_walk()
    names.putname()
    return result


@function()
def mkdir_dentry(directory: Inode, name: int) -> int:
    """Make a directory unless its name is there."""
    if option("lookup_first"):
        dentry: Dentry = names.lookup(directory, name)
        with hold("i_sem", directory):
            result = NOT_FOUND
            if dentry.dropped == 0:  # else a file has been given this name by rename (check_parent)
                result = mkdir_missing(directory, name, dentry)
    else:
        with hold("i_sem", directory):
            dentry = names.lookup_held(directory, name)
            result = mkdir_missing(directory, name, dentry)
    names.dput(dentry)
    return result


@function()
def mkdir_missing(directory: Inode, name: int, dentry: Dentry) -> int:
    """Make a directory under what else keeps its parent (vfs_mkdir), if there is none."""
    if dentry.inode != NONE:
        return EXISTS
    if option("directory_semaphore"):
        with hold("i_zombie", directory):
            make_directory_dentry(directory, name, dentry)
    else:
        make_directory_dentry(directory, name, dentry)
    if dentry.inode == NONE:
        return NOT_FOUND
    return 0


@function()
def mkdir_old(directory: Inode, name: int) -> int:
    """Make a directory without dentries, unless its name is there."""
    result = EXISTS
    with hold("i_sem", directory):
        if directory.nlink == 0:
            result = NOT_FOUND
        elif names.old_lookup(directory, name) == 0:
            result = 0
            iput(make_directory(directory, name))
    return result


@function()
def sys_rmdir(path: int, name: int) -> int:
    """Delete an empty directory."""
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        if option("dentry_cache"):
            result = rmdir_dentry(directory, name)
        else:
            result = rmdir_old(directory, name)
    names.end_walk()
    names.putname()
    return result


@function()
def rmdir_dentry(directory: Inode, name: int) -> int:
    """Delete a directory through its dentry."""
    result = NOT_FOUND
    with hold("i_sem", directory):
        dentry: Dentry = names.lookup_held(directory, name)
        victim: Inode = dentry.inode
        if victim != NONE:
            result = remove_directory_locked(directory, name, victim)
            if result == 0:
                drop_name(dentry)
        names.dput(dentry)
    return result


@function()
def rmdir_old(directory: Inode, name: int) -> int:
    """Delete a directory without dentries."""
    result = NOT_FOUND
    with hold("i_sem", directory):
        number = search(directory, name)
        if number != 0:
            victim = iget(number)
            with hold("i_sem", victim):
                result = remove_directory(directory, name, victim)
            iput(victim)
    return result


@function()
def remove_directory_locked(directory: Inode, name: int, victim: Inode) -> int:
    """Delete a directory under what else keeps it and its parent (vfs_rmdir)."""
    if option("directory_semaphore"):
        with hold("i_zombie", directory):
            with hold("i_zombie", victim):
                result = remove_directory(directory, name, victim)
    else:
        with hold("i_sem", victim):
            result = remove_directory(directory, name, victim)
    return result


@function()
def remove_directory(directory: Inode, name: int, victim: Inode) -> int:
    """Delete the entry of a directory, if that is empty; the caller keeps both from being changed."""
    step("rmdir")
    if entries_left(victim) > 0:
        return NOT_EMPTY
    search(directory, name)
    delete_entry(directory, name)
    with section("links", directory.nlink, victim.nlink):
        directory.nlink -= 1
        victim.nlink = 0
        victim.unlinked = 1
    mark_inode_dirty(victim)
    return 0


@function()
def entries_left(victim: Inode) -> int:
    """Return how many names a directory has."""
    with section("empty", victim.entries):
        left = count(victim.entries)
    return left
