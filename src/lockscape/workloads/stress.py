"""A workload to find faults with: processes that call everything, on the same few names, again and again.

PostMark's processes share no file, and call neither stat nor brk. Here every operation may meet another
process' on the same name, also inside directories that come and go, and many fail, as they may in Unix.
"""

from collections.abc import Sequence

import numpy as np

from lockscape.kernel.entry import BRK, CLOSE, EXIT, FSYNC, OPEN, READ, RENAME, SIGNAL, STAT, WRITE, YIELD
from lockscape.kernel.files import APPENDING, CREATING
from lockscape.kernel.objects import Process
from lockscape.program.language import (
    current,
    function,
    next_operation,
    operand,
    option,
    pause,
    step,
    system_call,
)
from lockscape.workloads.load import COLUMNS, FIRST_DIRECTORY, Stream
from lockscape.workloads.user import (
    BEFORE,
    BYTES,
    DO_APPEND,
    DO_CREATE,
    DO_DELETE,
    DO_MKDIR,
    DO_READ,
    DO_RMDIR,
    FIRST_CALL,
    KIND,
    NAME,
    PATH,
    PROBES,
    do_operation,
)  # fmt: skip

DO_STAT, DO_BRK, DO_FSYNC, DO_RENAME, DO_YIELD, DO_RECEIVE = 17, 18, 19, 20, 21, 22
"""Further kinds of operations, beyond those of `lockscape.workloads.user`."""

PROGRAM = "stress"
"""The function in which a process of this workload begins."""

ALL = (
    DO_CREATE, DO_CREATE, DO_APPEND, DO_READ, DO_READ, DO_DELETE, DO_DELETE, DO_MKDIR, DO_RMDIR, DO_STAT,
    DO_BRK,
)  # fmt: skip
"""What is drawn from: files come and go quickly, and directories now and then."""


@function("user")
def stress() -> None:
    """Do every operation of the stream, then exit; a call with an unexpected result is the last."""
    kind = next_operation()
    wrong = 0
    while kind != 0 and wrong == 0:
        pause(operand(PROBES))
        if kind >= FIRST_CALL:
            expected = operand(BEFORE)  # a fork goes on behind the rows of its child
            result = system_call(kind - FIRST_CALL, operand(PATH), operand(NAME), operand(BYTES))
            wrong = expected != 0 and result != expected - 1
        elif kind == DO_STAT:
            system_call(STAT, operand(PATH), operand(NAME), 0)
        elif kind == DO_BRK:
            system_call(BRK, operand(BYTES), 0, 0)
        elif kind == DO_YIELD:
            system_call(YIELD, 0, 0, 0)
        elif kind == DO_RENAME:
            system_call(RENAME, operand(PATH), operand(NAME), operand(BYTES))
        elif kind == DO_FSYNC:
            append_and_sync(operand(PATH), operand(NAME), operand(BYTES))
        elif kind == DO_RECEIVE:
            wrong = receive(operand(PATH), operand(NAME))
        else:
            do_operation(kind)
        if option("sharing"):
            run_handlers()
        if wrong == 0:
            kind = next_operation()
    system_call(EXIT, 0, 0, 0)


@function("user")
def run_handlers() -> None:
    """Run the handlers of signals that have come, and go back from each through the kernel."""
    me: Process = current()
    while me.frames > 0:
        me.frames -= 1
        step("signal_handler")
        system_call(SIGNAL, 0, 0, 0)


@function("user")
def append_and_sync(path: int, name: int, length: int) -> None:
    """Append to a file without a buffer, and wait until it is on disk."""
    fd = system_call(OPEN, path, name, CREATING + APPENDING)
    if fd >= 0:
        system_call(WRITE, fd, length, 0)
        system_call(FSYNC, fd, 0, 0)
        system_call(CLOSE, fd, 0, 0)


@function("user")
def receive(fd: int, length: int) -> int:
    """Read from a pipe until so many bytes have come, whatever each read gives; return 1 if they do not."""
    left = length
    while left > 0:
        part = system_call(READ, fd, left, 0)
        if part <= 0:
            return 1
        left -= part
    return 0


def stress_streams(
    operations: int, names: int, seed: int, kinds: Sequence[Sequence[int]], directories: int = 2,
    most_bytes: int = 9000, think_cycles: int = 10_000,
) -> list[Stream]:  # fmt: skip
    """Return a stream for each of `kinds`, what its process draws from: the same on every computer.

    `names`: how many names of files all share, and `directories` how many of directories; half of the files
    are in these, if there are any. Files have up to `most_bytes` bytes. Before each operation a process is in
    user mode for up to `think_cycles`.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    streams = []
    for mine in kinds:
        rows = np.zeros((operations, COLUMNS), np.int64)
        rows[:, KIND] = np.array(mine, np.int64)[draw.integers(0, len(mine), operations)]
        folders = FIRST_DIRECTORY + draw.integers(0, max(1, directories), operations)
        inside = (draw.integers(0, 2, operations) == 1) & (directories > 0)
        is_folder = (rows[:, KIND] == DO_MKDIR) | (rows[:, KIND] == DO_RMDIR)
        rows[:, PATH] = np.where(inside & ~is_folder, folders, 0)
        rows[:, NAME] = np.where(is_folder, folders, draw.integers(1, names + 1, operations))
        rows[:, BYTES] = draw.integers(1, most_bytes + 1, operations)
        # another name instead of a length
        rows[:, BYTES] = np.where(rows[:, KIND] == DO_RENAME, rows[:, BYTES] % names + 1, rows[:, BYTES])
        rows[:, PROBES] = draw.integers(0, think_cycles + 1, operations)
        streams.append(Stream(rows))
    return streams
