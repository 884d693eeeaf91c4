"""Renaming files: another name in the same directory, whose file goes if there is one of that name."""

from lockscape.kernel import names
from lockscape.kernel.blocks import map_block
from lockscape.kernel.buffers import bread, mark_buffer_dirty
from lockscape.kernel.directories import NOT_FOUND, drop_name
from lockscape.kernel.entries import (
    ENTRIES_PER_PAGE,
    add_entry,
    delete_entry,
    get_page,
    search,
    write_entry,
)
from lockscape.kernel.inodes import iget, iput, mark_inode_dirty
from lockscape.kernel.objects import Dentry, Inode
from lockscape.program.language import (
    NONE,
    add_return,
    function,
    hold,
    insert,
    option,
    position,
    section,
    step,
)

IS_DIRECTORY = -21
"""Result for a directory: only files are renamed."""


@function()
def sys_rename(path: int, name: int, new: int) -> int:
    """Give a file of a directory another name there."""
    names.getname()
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        if option("dentry_cache"):
            result = rename_dentry(directory, name, new)
        else:
            result = rename_old(directory, name, new)
    names.end_walk()
    names.putname()
    names.putname()
    return result


@function()
def rename_dentry(directory: Inode, name: int, new: int) -> int:
    """Rename through the dentries of both names."""
    if option("lookup_first"):
        dentry: Dentry = names.lookup(directory, name)
        target: Dentry = names.lookup(directory, new)
        with hold("i_sem", directory):
            result = rename_checked(directory, name, new, dentry, target)
        names.dput(target)
        names.dput(dentry)
    else:
        with hold("i_sem", directory):
            dentry = names.lookup_held(directory, name)
            target = names.lookup_held(directory, new)
            result = rename_checked(directory, name, new, dentry, target)
            names.dput(target)
            names.dput(dentry)
    return result


@function()
def rename_checked(directory: Inode, name: int, new: int, dentry: Dentry, target: Dentry) -> int:
    """Rename if that can be, under what else keeps the directory and a file that goes (vfs_rename)."""
    inode: Inode = dentry.inode
    replaced: Inode = target.inode
    if inode == NONE:
        return NOT_FOUND
    if option("lookup_first"):
        if dentry.dropped == 1 or target.dropped == 1:
            return NOT_FOUND
    if inode == replaced:
        return 0
    if inode.directory == 1:
        return IS_DIRECTORY
    if replaced != NONE:
        if replaced.directory == 1:
            return IS_DIRECTORY
    was: Inode = NONE
    if option("directory_semaphore"):
        with hold("i_zombie", directory):
            was = rename_name(directory, name, new, dentry, target)
    elif option("victim_semaphore"):
        if replaced != NONE:
            with hold("i_sem", replaced):
                was = rename_name(directory, name, new, dentry, target)
        else:
            was = rename_name(directory, name, new, dentry, target)
    else:
        was = rename_name(directory, name, new, dentry, target)
    if was != NONE:
        iput(was)
    return 0


@function()
def rename_name(directory: Inode, name: int, new: int, dentry: Dentry, target: Dentry) -> Inode:
    """Change the directory, then let the new name's dentry stand for the file, and the old one for none.

    Return the file whose reference is to be given back when its semaphore is free again.
    """
    inode: Inode = dentry.inode
    change_entries(directory, name, new, inode, target.inode)
    was = names.replace(target, iget(inode.number))
    drop_name(dentry)
    return was


@function()
def change_entries(directory: Inode, name: int, new: int, inode: Inode, replaced: Inode) -> None:
    """Enter a file under its new name and delete the old one (the file system's rename operation)."""
    step("rename")
    if replaced != NONE:
        replace_entry(directory, new, inode)
    else:
        add_entry(directory, new, inode)
    search(directory, name)
    delete_entry(directory, name)
    if replaced != NONE:
        with section("links", replaced.nlink):
            left = add_return(replaced.nlink, -1)
            if left == 0:
                replaced.unlinked = 1
        mark_inode_dirty(replaced)
    mark_inode_dirty(inode)


@function()
def replace_entry(directory: Inode, name: int, inode: Inode) -> None:
    """Let a name that is there stand for another file (ext2_set_link)."""
    search(directory, name)
    with section("link", directory.entries):
        insert(directory.entries, name, inode.number)
        place = position(directory.entries, name) // ENTRIES_PER_PAGE
        directory.version += 1
    if option("directory_pages"):
        write_entry(directory, get_page(directory, place), 0)
    else:
        step("dir_insert")
        mark_buffer_dirty(bread(map_block(directory, place)))
    mark_inode_dirty(directory)


@function()
def rename_old(directory: Inode, name: int, new: int) -> int:
    """Rename without dentries."""
    result = NOT_FOUND
    with hold("i_sem", directory):
        number = search(directory, name)
        if number != 0:
            inode = iget(number)
            result = rename_found(directory, name, new, inode, search(directory, new))
            iput(inode)
    return result


@function()
def rename_found(directory: Inode, name: int, new: int, inode: Inode, number: int) -> int:
    """Rename a file that was found; `number`: of the file that has the new name, or 0."""
    if inode.directory == 1:
        return IS_DIRECTORY
    if number == inode.number:
        return 0
    replaced: Inode = NONE
    if number != 0:
        replaced = iget(number)
        if replaced.directory == 1:
            iput(replaced)
            return IS_DIRECTORY
    change_entries(directory, name, new, inode, replaced)
    if replaced != NONE:
        iput(replaced)
    return 0
