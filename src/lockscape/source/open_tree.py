"""From what a user names (a folder, an archive, REPO@REV, a fetched version) to a tree."""

import re
import stat
from pathlib import Path

from lockscape.errors import TreeError
from lockscape.source.archive import Archive
from lockscape.source.tree import Directory, Tree


def open_tree(origin: str, label: str | None = None) -> Tree:
    """Return the tree that `origin` names, called `label` in tables (by default after its name).

    In this order: an existing folder; an existing file, which must be a tar archive; ``REPO@REV`` with an
    existing REPO (the longest, if there are several ``@``); the name of a tree that ``lockscape fetch``
    has cached, such as ``linux-2.6.11.7``. Raises TreeError, in one line with the remedy, for all else.
    """
    mode = _mode(origin)
    if mode is not None:
        return Directory(origin, label) if stat.S_ISDIR(mode) else Archive(origin, label)
    for at in reversed([found.start() for found in re.finditer("@", origin)]):
        if _mode(origin[:at]) is not None:
            from lockscape.source.revision import Revision

            return Revision(origin[:at], origin[at + 1 :], label)
    from lockscape.source.fetch import cached, is_release

    path = cached(origin)
    if path is not None:
        return Archive(str(path), label or origin)
    if is_release(origin):
        raise TreeError(f"no tree {origin!r} here or in the cache: `lockscape fetch {origin}` gets it")
    raise TreeError(
        f"no tree {origin!r}: give a kernel's source folder, a tar archive, REPO@REV or a fetched version"
    )


def _mode(path: str) -> int | None:
    """Return the mode of an existing path, None if there is none; TreeError if it cannot be looked at."""
    if not path:
        return None
    try:
        return Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL character in the name
        return None
    except OSError as error:
        raise TreeError(
            f"cannot look at {path!r}: {(error.strerror or str(error)).lower()}; give a readable tree"
        ) from error
