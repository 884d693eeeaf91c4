"""Symbolic links, which are there beforehand: files that are marked as such, and that no walk follows."""

from lockscape.kernel import names
from lockscape.kernel.directories import NOT_FOUND
from lockscape.kernel.inodes import iget, iput
from lockscape.kernel.objects import Inode
from lockscape.kernel.readwrite import mark_accessed
from lockscape.program.language import NONE, function, option, step

NOT_A_LINK = -22
"""EINVAL of Linux, of readlink."""


@function()
def sys_readlink(path: int, name: int) -> int:
    """Read where a symbolic link leads; the result is the length of that."""
    names.getname()
    directory = names.walk(path)
    result = NOT_FOUND
    if directory != NONE:
        result = link_of(directory, name)
    names.end_walk()
    step("readlink")
    names.putname()
    return result


@function()
def link_of(directory: Inode, name: int) -> int:
    """Read the link of a name; the result is its length, or an error if it is none."""
    result = NOT_FOUND
    if option("dentry_cache"):
        dentry = names.lookup(directory, name)
        if dentry.inode != NONE:
            result = copy_link(dentry.inode)
        names.dput(dentry)
    else:
        number = names.old_lookup(directory, name)
        if number != 0:
            inode = iget(number)
            result = copy_link(inode)
            iput(inode)
    return result


@function()
def copy_link(inode: Inode) -> int:
    """Copy what is in a link to the user: it lies in the inode itself, as short ones do in ext2."""
    if inode.link == 0:
        return NOT_A_LINK
    mark_accessed(inode)
    step("copy_line", inode.link // 64 + 1)
    return inode.link
