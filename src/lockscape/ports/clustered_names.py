"""New code of the reimplemented kernel: names are kept by their directories.

Each directory has its own cache of names, made at the first lookup in it. A name is found without a lock and
then taken by counting a reference, unless it is dead; that it still is a name at that moment is what deferred
deletion is for. Changes hold the lock in the directory's cache.
"""

from lockscape.kernel import objects
from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.blocks import discard_reserved
from lockscape.kernel.directories import NOT_FOUND
from lockscape.kernel.entries import ENTRIES_PER_PAGE, get_page, search, write_entry
from lockscape.kernel.files import (
    READING,
    install,
    new_descriptor,
    open_dentry,
    release_descriptor,
)  # fmt: skip
from lockscape.kernel.inodes import iget, iput, mark_inode_dirty
from lockscape.kernel.names import leave_directory, walk
from lockscape.kernel.objects import DENTRIES, FILES, File, Files
from lockscape.ports.clustered import Dentry, Inode, NameSpace, Process, doom
from lockscape.program.language import (
    NONE,
    compare_and_swap,
    current,
    find,
    first,
    free,
    function,
    hold,
    insert,
    new,
    position,
    remove,
    section,
    step,
)  # fmt: skip

DEAD = -1
"""Count of a name that nobody can take any more."""


@function()
def names_of(directory: Inode) -> NameSpace:
    """Return a directory's cache of names, making it at its first use."""
    space = directory.names
    if space == NONE:
        made: NameSpace = new(NameSpace)
        if compare_and_swap(directory.names, NONE, made) == 0:
            free(made)
        space = directory.names
    return space


@function(replaces=True)
def lookup(directory: Inode, name: int) -> Dentry:
    """Return the dentry of a name, with a reference; it may be negative."""
    step("component")
    space = names_of(directory)
    dentry = taken(space, name)
    if dentry == NONE:
        with hold("i_sem", directory):
            dentry = taken(space, name)
            if dentry == NONE:
                dentry = make_dentry(directory, space, name)
    return dentry


@function(replaces=True)
def lookup_held(directory: Inode, name: int) -> Dentry:
    """The same for a caller that holds the directory's semaphore, to create or delete the name."""
    step("component")
    space = names_of(directory)
    dentry = taken(space, name)
    if dentry == NONE:
        dentry = make_dentry(directory, space, name)
    return dentry


@function()
def taken(space: NameSpace, name: int) -> Dentry:
    """Look a name up and take a reference, unless it is being deleted."""
    with section("find", space.table):
        dentry: Dentry = find(space.table, name)
    if dentry != NONE:
        seen = dentry.count
        while seen != DEAD and compare_and_swap(dentry.count, seen, seen + 1) == 0:
            seen = dentry.count
        if seen == DEAD:
            dentry = NONE
        elif dentry.dropped == 1:
            dput(dentry)
            dentry = NONE
    return dentry


@function()
def make_dentry(directory: Inode, space: NameSpace, name: int) -> Dentry:
    """Ask the file system for a name and remember the answer, also that there is none."""
    slab_alloc(DENTRIES)
    step("dentry_alloc")
    dentry: Dentry = new(Dentry)
    dentry.key = name
    dentry.count = 1
    dentry.space = space
    number = search(directory, name)
    if number != 0:
        dentry.inode = iget(number)
    with hold("space_lock", space), section("enter", space.table, space.entries):
        step("dentry_hash")
        insert(space.table, name, dentry)
        space.entries += 1
    return dentry


@function(replaces=True)
def dput(dentry: objects.Dentry) -> None:
    """Give a reference to a dentry back; the last one of a deleted name lets go of its file."""
    step("dput")
    seen = dentry.count
    while compare_and_swap(dentry.count, seen, seen - 1) == 0:
        seen = dentry.count
    if seen == 1 and dentry.dropped == 1 and compare_and_swap(dentry.count, 0, DEAD) == 1:
        free_dentry(dentry)


@function(replaces=True)
def free_dentry(dentry: objects.Dentry) -> None:
    """Delete the dentry of a deleted name that nobody uses any more, with its reference to the file."""
    inode = dentry.inode
    dentry.inode = NONE
    doom(dentry, NONE, NONE)
    if inode != NONE:
        iput(inode)


@function(replaces=True)
def detach(dentry: Dentry) -> Inode:
    """Take a deleted name out of its directory's cache; its file goes with the last reference to the name."""
    step("dentry_delete")
    space: NameSpace = dentry.space
    dentry.dropped = 1
    with hold("space_lock", space), section("leave", space.table, space.entries):
        remove(space.table, dentry.key)
        space.entries -= 1
    nothing: Inode = NONE
    return nothing


@function(replaces=True)
def replace(dentry: Dentry, inode: Inode) -> Inode:
    """Take a name that stands for another file from now on out of its directory's cache; others keep the one
    that they know, which goes with the last reference. The next lookup asks the directory."""
    detach(dentry)
    return inode


@function()
def delete_names(directory: Inode) -> None:
    """Delete the names that the cache of a deleted directory has left: that there are none."""
    space: NameSpace = directory.names
    if space != NONE:
        directory.names = NONE
        with hold("space_lock", space):
            dentry = first_name(space)
            while dentry != NONE:
                doom(dentry, NONE, NONE)
                dentry = first_name(space)
        doom(NONE, space, NONE)


@function()
def first_name(space: NameSpace) -> Dentry:
    """Take a name out of a cache of names, or none."""
    with section("first", space.table, space.entries):
        dentry: Dentry = first(space.table)
        if dentry != NONE:
            remove(space.table, dentry.key)
            space.entries -= 1
    return dentry


@function(replaces=True)
def delete_entry(directory: Inode, name: int) -> None:
    """Take a name out of a directory: it is merged with the entry before it, found from the page's start."""
    with section("delete", directory.entries):
        place = position(directory.entries, name)
        remove(directory.entries, name)
        directory.version += 1
    step("dir_delete_entry", place % ENTRIES_PER_PAGE)
    write_entry(directory, get_page(directory, place // ENTRIES_PER_PAGE), 1)
    mark_inode_dirty(directory)


@function(replaces=True)
def open_name(path: int, name: int, how: int) -> int:
    """Open a file whose name has been copied from the user; only its process knows that it is open."""
    me: Process = current()
    files: Files = me.files
    fd = new_descriptor(files)
    directory = walk(path)
    step("open")
    file: File = NONE
    if directory != NONE:
        file = open_dentry(directory, name, how)
    leave_directory()
    if file == NONE:
        release_descriptor(files, fd)
        return NOT_FOUND
    install(files, fd, file)
    return fd


@function(replaces=True)
def open_image(path: int, name: int) -> File:
    """Open a program's file, without a descriptor; only its process knows that it is open."""
    directory = walk(path)
    file: File = NONE
    if directory != NONE:
        file = open_dentry(directory, name, READING)
    leave_directory()
    return file


@function(replaces=True)
def close_file(file: File) -> None:
    """Close an open file that nobody refers to any more."""
    if file.writing == 1:
        discard_reserved(file.inode)
    dput(file.dentry)
    step("file_free")
    free(file)
    slab_free(FILES)
