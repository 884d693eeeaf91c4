"""Open files and descriptors: open, close."""

from lockscape.kernel import names
from lockscape.kernel.allocate import slab_alloc, slab_free
from lockscape.kernel.blocks import discard_reserved
from lockscape.kernel.connections import close_socket
from lockscape.kernel.directories import NOT_FOUND, create, create_dentry
from lockscape.kernel.inodes import iget, iput
from lockscape.kernel.network_objects import Socket
from lockscape.kernel.objects import FILES, Dentry, File, Files, FileTable, Inode, Process
from lockscape.kernel.pipes import leave_pipe
from lockscape.program.language import (
    NONE,
    add_return,
    count,
    current,
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
)

READING, WRITING, CREATING, APPENDING = 0, 1, 3, 4
"""How a file is opened: bit 0 to write, bit 1 to create it, bit 2 to write at its end (O_APPEND)."""

BAD_DESCRIPTOR, NO_FILE, ILLEGAL_SEEK = -9, -22, -29
"""Results of calls that fail: a descriptor that is not open, one of a socket, and of what has no position."""


@function()
def new_descriptor(files: Files) -> int:
    """Reserve the lowest free descriptor."""
    with section("reserve", files.used):
        fd = first_free(files.used, 0)
        step("fd_alloc")
        insert(files.used, fd, 1)
    return fd


@function()
def new_file() -> File:
    """Make an open file."""
    if option("file_slab"):
        slab_alloc(FILES)
    step("file_alloc")
    file: File = new(File)
    file.count = 1
    if option("file_list"):
        table: FileTable = the(FileTable)
        with section("count", table.open):
            table.open += 1
    return file


@function()
def list_file(file: File) -> None:
    """Enter an open file into the list of its file system."""
    table: FileTable = the(FileTable)
    with section("list", table.files):
        insert(table.files, file, file)


@function()
def install(files: Files, fd: int, file: File) -> None:
    """Let a descriptor stand for an open file."""
    with section("install", files.table):
        insert(files.table, fd, file)


@function()
def fget(fd: int) -> File:
    """Return the open file of a descriptor, with a reference where those are counted."""
    me: Process = current()
    files: Files = me.files
    if not option("code_synthesis"):
        step("fget")
    with section("get", files.table):
        file: File = find(files.table, fd)
        if option("file_counts"):
            if file != NONE:
                file.count += 1
    return file


@function()
def fget_light(fd: int) -> File:
    """Return the open file of a descriptor of a process that shares its descriptors with nobody."""
    me: Process = current()
    files: Files = me.files
    if not option("code_synthesis"):
        step("fget")
    with section("get", files.table):
        file: File = find(files.table, fd)
    return file


@function()
def fput(file: File) -> None:
    """Give a reference to an open file back; it is not the last one, which the descriptor has."""
    file.count -= 1


@function()
def notify(dentry: Dentry) -> None:
    """Look whether the directory of an open file is being watched (dnotify_parent)."""
    with section("parent", dentry.key):
        step("notify")
        watched = dentry.key < 0
    if watched == 1:
        step("notify")


@function()
def sys_open(path: int, name: int, how: int) -> int:
    """Open a file, creating it if asked to."""
    names.getname()
    fd = open_name(path, name, how)
    names.putname()
    return fd


@function()
def open_name(path: int, name: int, how: int) -> int:
    """Open a file whose name has been copied from the user."""
    me: Process = current()
    files: Files = me.files
    fd = new_descriptor(files)
    directory = names.walk(path)
    step("open")
    file: File = NONE
    if directory != NONE:
        if option("dentry_cache"):
            file = open_dentry(directory, name, how)
        else:
            file = open_old(directory, name, how)
    names.leave_directory()
    if file == NONE:
        release_descriptor(files, fd)
        if option("walk_counts"):
            names.put_mount()
        return NOT_FOUND
    list_file(file)
    install(files, fd, file)
    return fd


@function()
def open_dentry(directory: Inode, name: int, how: int) -> File:
    """Open through a dentry."""
    if how % APPENDING < 2:
        dentry: Dentry = names.lookup(directory, name)
    elif option("lookup_first"):
        dentry = names.lookup(directory, name)
        if dentry.inode == NONE:
            with hold("i_sem", directory):
                if dentry.dropped == 0:  # else a file has been given this name by rename (check_parent)
                    create_missing(directory, name, dentry)
    else:
        with hold("i_sem", directory):
            dentry = names.lookup_held(directory, name)
            create_missing(directory, name, dentry)
    inode: Inode = dentry.inode
    if inode == NONE:
        names.dput(dentry)
        return NONE
    file = new_file()
    file.inode = inode
    file.dentry = dentry
    file.writing = how % 2
    file.appending = how // APPENDING
    if option("write_counts"):
        get_write_access(inode, how)
    return file


@function()
def get_write_access(inode: Inode, how: int) -> None:
    """Count a writer of a file, if it is opened to write."""
    if how % 2 == 1:
        with section("writers", inode.writers):
            inode.writers += 1


@function()
def create_missing(directory: Inode, name: int, dentry: Dentry) -> None:
    """Create a file unless its name is there, under what else keeps the directory (vfs_create)."""
    if dentry.inode == NONE:
        if option("directory_semaphore"):
            with hold("i_zombie", directory):
                create_dentry(directory, name, dentry)
        else:
            create_dentry(directory, name, dentry)


@function()
def open_old(directory: Inode, name: int, how: int) -> File:
    """Open without dentries: the open file refers to its inode."""
    inode: Inode = NONE
    if how % APPENDING >= 2:
        with hold("i_sem", directory):
            number = names.old_lookup(directory, name)
            if number != 0:
                inode = iget(number)
            elif directory.nlink > 0:
                inode = create(directory, name)
                names.old_enter(directory, name, inode.number)
    else:
        number = names.old_lookup(directory, name)
        if number != 0:
            inode = iget(number)
    if inode == NONE:
        return NONE
    file = new_file()
    file.inode = inode
    file.writing = how % 2
    file.appending = how // APPENDING
    return file


@function()
def release_descriptor(files: Files, fd: int) -> File:
    """Free a descriptor; return the file that it stood for."""
    with section("release", files.used, files.table):
        step("fd_release")
        file: File = remove(files.table, fd)
        remove(files.used, fd)
    return file


@function()
def sys_close(fd: int) -> int:
    """Close a descriptor; the open file goes with the last one."""
    me: Process = current()
    files: Files = me.files
    step("close")
    file = release_descriptor(files, fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if drop_share(file) == 1:
            return 0
        if file.pipe != NONE:
            close_end(file)
            return 0
        if file.socket != NONE:
            close_endpoint(file)
            return 0
    close_file(file)
    return 0


@function()
def close_endpoint(file: File) -> None:
    """Close an open file that stands for a socket, which goes with it."""
    socket: Socket = file.socket
    close_socket(socket)
    if option("file_list"):
        unlist_file(file)
    free_file(file)


@function()
def close_end(file: File) -> None:
    """Close one end of a pipe."""
    leave_pipe(file.pipe, file.writing)
    if option("file_list"):
        unlist_file(file)
    free_file(file)


@function()
def free_file(file: File) -> None:
    """Free an open file that stands for nothing any more."""
    step("file_free")
    free(file)
    if option("file_slab"):
        slab_free(FILES)


@function()
def refuse_pipe(file: File, result: int) -> int:
    """Return what a call returns that a pipe does not know."""
    if option("file_counts"):
        fput(file)
    return result


@function()
def refuse_socket(file: File) -> int:
    """Return what a call returns that knows files only; it has a reference where such calls count one."""
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return NO_FILE


@function()
def close_file(file: File) -> None:
    """Close an open file that nobody refers to any more (__fput)."""
    inode: Inode = file.inode
    if file.writing == 1:
        discard_reserved(inode)
        if option("write_counts"):
            inode.writers -= 1
    unlist_file(file)
    if option("dentry_cache"):
        names.dput(file.dentry)
    else:
        iput(inode)
    if option("walk_counts"):
        names.put_mount()
    step("file_free")
    free(file)
    if option("file_slab"):
        slab_free(FILES)


@function()
def share_file(file: File) -> None:
    """Count a further descriptor or mapping that refers to an open file."""
    with section("share", file.shares):
        file.shares += 1


@function()
def drop_share(file: File) -> int:
    """Give a reference to an open file back; return 0 if it was the last."""
    with section("drop", file.shares):
        left = add_return(file.shares, -1)
    return left >= 0


@function()
def copy_files(files: Files) -> Files:
    """Give a new process the descriptors of this one: they refer to the same open files."""
    copy: Files = new(Files)
    step("copy_files")
    left = count(files.table)
    fd = 0
    while left > 0:
        file = file_of(files, fd)
        if file != NONE:
            share_file(file)
            copy_descriptor(copy, fd, file)
            left -= 1
        fd += 1
    return copy


@function()
def file_of(files: Files, fd: int) -> File:
    """Return what a descriptor stands for."""
    with section("look", files.table):
        file: File = find(files.table, fd)
    return file


@function()
def copy_descriptor(files: Files, fd: int, file: File) -> None:
    """Let a descriptor of a new process stand for an open file."""
    with section("copy", files.used, files.table):
        step("copy_descriptor")
        insert(files.used, fd, 1)
        insert(files.table, fd, file)


@function()
def unlist_file(file: File) -> None:
    """Take an open file out of the list of its file system."""
    table: FileTable = the(FileTable)
    with section("unlist", table.files, table.open):
        remove(table.files, file)
        if option("file_list"):
            table.open -= 1
