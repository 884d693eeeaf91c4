"""What a run needs of a file system, and whether that is there, looked at before anything is written."""

import os
from typing import NamedTuple

import numpy as np

from lockscape.errors import InputError
from lockscape.workloads.postmark import APPEND, BEFORE, BYTES, CREATE, DELETE, KIND, MKDIR, RMDIR, Operations

ENTRY_BYTES = 64
"""Room of a directory's entry, generously: an ext2 entry of a short name has 12 to 24 bytes."""

SPARE_SHARE, SPARE_BYTES, SPARE_FILES = 0.1, 1 << 20, 16
"""What must stay free besides: a share of what is needed, some bytes, some inodes."""


class Need(NamedTuple):
    """The most that is in use at once: bytes, in whole blocks, and files with directories (inodes)."""

    bytes: int
    files: int

    def times(self, number: int) -> "Need":
        """Return the need of so many."""
        return Need(self.bytes * number, self.files * number)


def need_of(work: Operations, block_bytes: int) -> Need:
    """Return what PostMark's operations need on a file system with blocks of `block_bytes`."""
    rows = work.rows
    kind, before = rows[:, KIND], rows[:, BEFORE]
    after = before + rows[:, BYTES]
    grows = np.isin(kind, (CREATE, APPEND))
    blocks = np.where(grows, -(-after // block_bytes) + (-before // block_bytes), 0)
    blocks[kind == DELETE] = -before[kind == DELETE] // block_bytes
    made = np.isin(kind, (CREATE, MKDIR)).astype(np.int64) - np.isin(kind, (DELETE, RMDIR))
    folders = (kind == MKDIR).astype(np.int64) - (kind == RMDIR)
    most = int(np.max(np.cumsum(made), initial=0))
    data = int(np.max(np.cumsum(blocks + folders), initial=0)) * block_bytes
    return Need(data + most * ENTRY_BYTES + block_bytes, most + 1)


def check_room(folder: int, need: Need, memory_bytes: int | None) -> None:
    """Raise InputError if the file system of the open directory `folder` lacks room for `need`.

    `memory_bytes`: what may be used of memory, for a file system that lies there; None for others. A file
    system that does not count inodes (it says 0) makes them as they are needed.
    """
    found = os.fstatvfs(folder)
    wanted = int(need.bytes * (1 + SPARE_SHARE)) + SPARE_BYTES
    free = found.f_bavail * found.f_frsize
    if wanted > free:
        raise InputError(
            f"{wanted:,} bytes are needed, {free:,} are free there: "
            "give fewer files or processes, smaller --size, or another --directory"
        )
    if found.f_files and need.files + SPARE_FILES > found.f_favail:
        raise InputError(
            f"{need.files + SPARE_FILES:,} inodes are needed, {found.f_favail:,} are free there: "
            "give fewer files or processes, or another --directory"
        )
    if memory_bytes is not None and wanted > memory_bytes:
        raise InputError(
            f"{wanted:,} bytes of memory are needed for files, {memory_bytes:,} are available: "
            "give fewer files or processes, smaller --size, or a --directory on a disk"
        )
