"""Which family a tree belongs to (Linux, FreeBSD, Mach, Xen), told by the names of a few files."""

from lockscape.errors import TreeError
from lockscape.source.profile import BUNDLED, detect_profile, load_profile
from lockscape.source.scan import scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files, Tree


def family_of(tree: Tree) -> str | None:
    """Return the bundled profile whose `detect` files `tree` has, at its top or deeper, or None.

    Costs one look at all names of the tree; an archive is decompressed once.
    """
    marks = [mark for name in BUNDLED for mark in load_profile(name).detect]
    try:
        found = scan(tree, FileSet(tuple(f"**/{mark}" for mark in marks)), _nothing, workers=1)
    except TreeError:
        return None  # no such file: `scan` asks for at least one
    return detect_profile(file.path for file in found.files)


def _nothing(files: Files) -> int:
    return len(files.paths)
