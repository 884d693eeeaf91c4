"""New code of Synthesis: what the code that is generated for an open file knows.

Opening a file generates the routines that its descriptor stands for. What is constant while the file is open
is part of them: no table is looked into, no kind of file distinguished (`lockscape.kernel.files`),
and the address of the page at the file's beginning, if it is in memory, is an operand in the code.
"""

from lockscape.kernel import objects
from lockscape.kernel.objects import Page
from lockscape.kernel.pages import find_page
from lockscape.kernel.readwrite import PAGE_BYTES
from lockscape.program.language import NONE, function, option, step


class File(objects.File, extends=True):
    """An open file, and the page that its code knows."""

    page: Page


@function(replaces=True)
def generate_code(file: File) -> None:
    """Generate the code that reads and writes an open file, with the address of its first page."""
    step("generate_code")
    if not option("swapping") and file.inode != NONE:  # where memory is limited the page may go
        file.page = find_page(file.inode, 0)


@function(replaces=True)
def known_page(file: File) -> Page:
    """Return the page at an open file's position if its code knows that."""
    page = file.page
    if file.offset >= PAGE_BYTES:
        page = NONE
    return page
