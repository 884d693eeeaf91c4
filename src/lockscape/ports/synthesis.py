"""New code of Synthesis: opening a file generates the routines that its descriptor stands for.

What is constant while the file is open is part of them: no table is looked into, no kind of file told from
others (option ``code_synthesis`` of the kernel); the address of the page at the file's beginning, if it is
in memory, is an operand in the code.
"""

from lockscape.kernel import objects
from lockscape.kernel.objects import PAGE_BYTES, Files, Inode, Page
from lockscape.kernel.pages import find_page
from lockscape.kernel.readwrite import missing_page
from lockscape.program.language import NONE, function, insert, option, section, step


class File(objects.File, extends=True):
    """An open file, and the page that its code knows."""

    page: Page


@function(replaces=True)
def install(files: Files, fd: int, file: File) -> None:
    """Let a descriptor stand for the code of an open file, which is generated now."""
    if option("code_synthesis"):
        step("generate_code")
        if not option("swapping") and file.inode != NONE:  # where memory is limited the page may go
            file.page = find_page(file.inode, 0)
    with section("install", files.table):
        insert(files.table, fd, file)


@function(replaces=True)
def read_page(inode: Inode, file: File, length: int) -> None:
    """Copy some bytes of one page to the user: of the page that the code knows, or that is looked up."""
    page = file.page
    if page == NONE or file.offset >= PAGE_BYTES:
        page = find_page(inode, file.offset // PAGE_BYTES)
    if page == NONE:
        missing_page(inode, file.offset // PAGE_BYTES)
    step("copy_line", length // 64 + 1)
    file.offset += length
