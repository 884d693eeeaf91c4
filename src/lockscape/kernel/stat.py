"""What calls tell about a file, and its position: fstat, stat, lseek."""

from lockscape.kernel import names
from lockscape.kernel.directories import NOT_FOUND
from lockscape.kernel.files import (
    BAD_DESCRIPTOR,
    ILLEGAL_SEEK,
    NO_FILE,
    fget,
    fget_light,
    fput,
    refuse_pipe,
    refuse_socket,
)
from lockscape.kernel.inodes import iget, iput
from lockscape.kernel.objects import File, Inode
from lockscape.program.language import NONE, function, hold, option, section, step


@function()
def sys_fstat(fd: int) -> int:
    """Tell about an open file; the result is its size."""
    file = fget(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if file.pipe != NONE:
            return refuse_pipe(file, 0)
        if file.socket != NONE:
            return refuse_pipe(file, NO_FILE)
    step("stat_copy")
    size = inode_size(file.inode)
    if option("file_counts"):
        fput(file)
    return size


@function()
def inode_size(inode: Inode) -> int:
    """Return the size of a file."""
    with section("size", inode.size):
        size = inode.size
    return size


@function()
def sys_stat(path: int, name: int) -> int:
    """Tell about a file by name; the result is its size."""
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        result = size_of(directory, name)
    names.end_walk()
    step("stat_copy")
    names.putname()
    return result


@function()
def size_of(directory: Inode, name: int) -> int:
    """Return the size of the file of this name."""
    result = NOT_FOUND
    if option("dentry_cache"):
        dentry = names.lookup(directory, name)
        if dentry.inode != NONE:
            result = inode_size(dentry.inode)
        names.dput(dentry)
    else:
        number = names.old_lookup(directory, name)
        if number != 0:
            inode = iget(number)
            result = inode_size(inode)
            iput(inode)
    return result


@function()
def sys_lseek(fd: int, offset: int) -> int:
    """Set the position of an open file; a negative offset means its end."""
    if option("light_descriptors"):
        file = fget_light(fd)
    else:
        file = fget(fd)
    if file == NONE:
        return BAD_DESCRIPTOR
    if option("sharing"):
        if file.pipe != NONE:
            if option("light_descriptors"):
                return ILLEGAL_SEEK
            return refuse_pipe(file, ILLEGAL_SEEK)
        if file.socket != NONE:
            return refuse_socket(file)
    if option("seek_semaphore"):
        with hold("i_sem", file.inode):
            seek(file, offset)
    else:
        seek(file, offset)
    if option("file_counts") and not option("light_descriptors"):
        fput(file)
    return 0


@function()
def seek(file: File, offset: int) -> None:
    """Change the position (the file system's llseek operation)."""
    step("lseek")
    with section("seek", file.offset):
        if offset < 0:
            file.offset = inode_size(file.inode)
        else:
            file.offset = offset
