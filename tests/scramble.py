"""A workload to find faults with: processes that do random operations on the same few files of one directory.

PostMark's processes share no file, so a lock of an object would never be missed. Here every operation may
meet another process' on the same name, and many fail, as they may in Unix.
"""

import numpy as np

from lockscape.workloads.load import COLUMNS, FIRST_DIRECTORY, Stream
from lockscape.workloads.user import (
    DO_APPEND,
    DO_CREATE,
    DO_DELETE,
    DO_MKDIR,
    DO_READ,
    DO_RMDIR,
    NAME,
)  # fmt: skip

KINDS = (DO_CREATE, DO_CREATE, DO_APPEND, DO_READ, DO_READ, DO_DELETE, DO_DELETE, DO_MKDIR, DO_RMDIR)
"""What is drawn from: files come and go quickly, and directories now and then."""


def scramble(processes: int, operations: int, names: int, seed: int, most_bytes: int = 9000) -> list[Stream]:
    """Return a stream for each process, drawn with a seed: the same on every computer.

    `names`: how many names of files, and a third as many of directories, all of them share. Files have up to
    `most_bytes` bytes.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    streams = []
    for _ in range(processes):
        rows = np.zeros((operations, COLUMNS), np.int64)
        rows[:, 0] = np.array(KINDS, np.int64)[draw.integers(0, len(KINDS), operations)]
        folders = (rows[:, 0] == DO_MKDIR) | (rows[:, 0] == DO_RMDIR)
        folder_names = FIRST_DIRECTORY + draw.integers(0, max(1, names // 3), operations)
        rows[:, NAME] = np.where(folders, folder_names, draw.integers(1, names + 1, operations))
        rows[:, 3] = draw.integers(1, most_bytes + 1, operations)
        streams.append(Stream(rows))
    return streams
