"""The processes of a replay: the rows of each, from the operations that a trace has been followed to."""

from collections.abc import Sequence

from lockscape.errors import InputError
from lockscape.kernel.entry import (
    BRK,
    CLOSE,
    EXEC,
    FORK,
    FSTAT,
    FSYNC,
    IOCTL,
    LSEEK,
    MKDIR,
    MMAP,
    MUNMAP,
    OPEN,
    PIPE,
    READ,
    READLINK,
    RENAME,
    RMDIR,
    SIGNAL,
    SLEEP,
    STAT,
    SYNC,
    TIME,
    UNLINK,
    WAIT,
    WRITE,
    YIELD,
)
from lockscape.kernel.files import APPENDING, CREATING, READING, WRITING
from lockscape.workloads.replay_names import Names
from lockscape.workloads.replay_pipes import NOT_HELD, Pipes
from lockscape.workloads.strace_files import NOT_OURS, Followed, Opened, Operation
from lockscape.workloads.stress import DO_RECEIVE
from lockscape.workloads.user import FIRST_CALL, TO_PIPE

FIRST_MARK = 64
"""Marks of times begin here, above those that PostMark sets."""

MOST_DESCRIPTORS = 256
"""What a process of the simulated kernel has."""

RANGES = 2
"""Fresh ranges of a program that is executed: data and stack. The trace shows the other ones as mappings."""

_ON_FILES = {"read": READ, "write": WRITE, "fstat": FSTAT, "fsync": FSYNC}
_ON_NAMES = {"stat": STAT, "unlink": UNLINK, "mkdir": MKDIR, "rmdir": RMDIR, "readlink": READLINK}
_ALONE = {"sync": SYNC, "yield": YIELD, "ioctl": IOCTL, "wait": WAIT}
_WITH_AMOUNT = {"brk": BRK, "sleep": SLEEP}

Row = tuple[int, int, int, int, int, int]
"""An operation of a stream, with its operands."""


def replay_processes(followed: Followed, names: Names, pipes: Pipes) -> "list[Process]":
    """Return the processes of a trace with their rows, and count what is left out of them."""
    made = [Process(followed, names) if maker is None else None for maker in followed.makers]
    for number, operation in enumerate(followed.operations):
        process = made[operation.process]
        assert process is not None, "made by a fork, which comes before"
        if operation.kind == "fork":
            made[operation.amount] = process.fork(operation)
        elif (file := operation.file) is not None and file.pipe:
            process.on_pipe(operation, file, pipes.left.get(number, ""), pipes.amounts.get(number, 0))
        else:
            process.do(operation)
    return [process for process in made if process is not None]


def with_children(processes: "Sequence[Process]", makers: Sequence[int | None]) -> list[list[Row]]:
    """Return the rows of the processes that nobody has made, with those of their descendants in them."""
    whole: dict[int, list[Row]] = {}
    for number in range(len(processes) - 1, -1, -1):  # children come behind their makers
        process = processes[number]
        rows: list[Row] = []
        last = 0
        for place, child in process.forks:
            inside = whole.pop(child)
            kind, *_, think = process.rows[place]
            rows += [*process.rows[last:place], (kind, len(inside), 0, 0, 0, think), *inside]
            last = place + 1
        whole[number] = [*rows, *process.rows[last:]]
    first = [whole[number] for number in sorted(whole)]
    assert len(first) == makers.count(None)
    return [rows for rows in first if rows] or first[:1]


class Process:
    """Makes the rows of one simulated process."""

    def __init__(self, followed: Followed, names: Names) -> None:
        self.followed, self.names = followed, names
        self.rows: list[Row] = []
        self.forks: list[tuple[int, int]] = []
        """Where rows are forks, and the numbers of the children."""
        self.held: dict[Opened, int] = {}
        """Descriptors of what is open."""
        self.positions: dict[Opened, int] = {}
        """Where open files are, as their processes know that together."""
        self.free = set(range(MOST_DESCRIPTORS))
        self.maps: dict[int, int] = {}
        self.mappings = self.times = 0
        self.think = 0

    def fork(self, operation: Operation) -> "Process":
        """Make a child, which has what this process has."""
        self.think += operation.think_us
        self.forks.append((len(self.rows), operation.amount))
        self.row(FORK)
        child = Process(self.followed, self.names)
        child.held, child.positions = dict(self.held), self.positions
        child.free, child.maps, child.mappings = set(self.free), dict(self.maps), self.mappings
        return child

    def do(self, operation: Operation) -> None:
        """Add the rows of an operation; computation before one that makes none comes before the next."""
        self.think += operation.think_us
        kind, file = operation.kind, operation.file
        if file is not None:
            self.on_file(kind, operation, file)
        elif kind in _ON_NAMES:
            self.on_name(kind, operation.path)
        elif kind == "rename":
            self.rename(operation.path, operation.other)
        elif kind == "exec":
            self.execute(operation)
        elif kind == "mmap":
            self.mappings += 1
            self.maps[operation.amount] = self.mappings
            self.row(MMAP, expected=self.mappings)
        elif kind == "munmap":
            self.unmap(operation)
        elif kind == "signal":
            self.row(SIGNAL, operation.amount, operation.at, expected=0)
        elif kind in _WITH_AMOUNT:
            self.row(_WITH_AMOUNT[kind], operation.amount)
        elif kind == "time":
            self.times += 1
            self.row(TIME, FIRST_MARK + self.times)
        else:
            self.row(_ALONE[kind])

    def row(self, call: int, a: int = 0, b: int = 0, c: int = 0, expected: int = -1) -> None:
        """Add a call, with what it gives if that must be so."""
        self.rows.append((FIRST_CALL + call, a, b, c, expected + 1, self.think))
        self.think = 0

    def open(self, file: Opened) -> None:
        """Open a file."""
        descriptor = self.lowest()
        is_directory = self.names.is_directory(file.path)
        directories, name = self.names.place(file.path, is_directory)
        how = READING if is_directory else self.how(file)
        self.row(OPEN, directories, name, how, expected=descriptor)
        self.hold(file)

    def hold(self, file: Opened) -> None:
        """Take the lowest descriptor for an open file."""
        self.held[file] = self.lowest()
        self.free.remove(self.held[file])
        self.positions[file] = 0

    def lowest(self) -> int:
        """Return the descriptor that the next open gives."""
        if not self.free:
            raise InputError(
                f"more than {MOST_DESCRIPTORS} files open at once in one process: give another trace"
            )
        return min(self.free)

    def how(self, file: Opened) -> int:
        """Return how a file is opened: so that it is there, and can be written to if that is done."""
        flags = file.how
        writes = flags & {"O_WRONLY", "O_RDWR"} or file in self.names.written
        how = WRITING if writes else READING
        if "O_CREAT" in flags or self.names.may_be_gone(file.path):
            how |= CREATING & ~WRITING
        return how | (APPENDING if "O_APPEND" in flags else 0)

    def close(self, file: Opened) -> None:
        """Close an open file: its descriptor goes, and it itself with the last process that has it."""
        descriptor = self.held.pop(file)
        self.row(CLOSE, descriptor)
        self.free.add(descriptor)

    def on_file(self, kind: str, operation: Operation, file: Opened) -> None:
        """Add the rows of an operation on an open file."""
        if kind == "open":
            self.open(file)
        elif file not in self.held:
            self.followed.leave(operation, NOT_HELD)
        elif kind == "close":
            self.close(file)
        else:
            if kind == "write" and self.names.is_directory(file.path):
                kind = "fstat"  # what a trace in pieces may say
            self.seek(kind, operation, file)
            if kind in _ON_FILES:
                self.row(_ON_FILES[kind], self.held[file], operation.amount)
                self.positions[file] += operation.amount if kind in ("read", "write") else 0

    def seek(self, kind: str, operation: Operation, file: Opened) -> None:
        """Go to where an operation is, if that is not where the file is, or others may move it."""
        moved = operation.at != self.positions[file] or file in self.names.crowded
        if kind == "lseek" or (kind in ("read", "write") and moved):
            self.row(LSEEK, self.held[file], operation.at)
            self.positions[file] = operation.at

    def on_pipe(self, operation: Operation, file: Opened, left: str, amount: int) -> None:
        """Add the rows of an operation on a pipe, unless it is `left` out; `amount`: bytes that go on."""
        self.think += operation.think_us
        kind = operation.kind
        if kind == "pipe" and operation.second is not None:
            self.row(PIPE, expected=self.lowest())
            self.hold(file)
            self.hold(operation.second)
        elif left or file not in self.held:
            self.followed.leave(operation, left or NOT_HELD)
        elif kind == "close":
            self.close(file)
        elif kind == "write":
            self.row(WRITE, self.held[file], amount, TO_PIPE, expected=amount)
        elif kind == "read" and amount:
            self.rows.append((DO_RECEIVE, self.held[file], amount, 0, 0, self.think))
            self.think = 0
        elif kind == "read":
            self.row(READ, self.held[file], 1, expected=0)
        else:
            self.row(FSTAT, self.held[file])

    def on_name(self, kind: str, path: str) -> None:
        """Add an operation on a name."""
        directory = self.names.is_directory(path)
        if (kind == "rmdir" and self.names.stays(path)) or (kind == "unlink" and directory):
            kind = "stat"
        directories, name = self.names.place(path, directory)
        self.row(_ON_NAMES[kind], directories, name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file, or between directories make the new name and delete the old one.

        A directory keeps its old name, and the new one is there before.
        """
        if self.names.is_directory(old) or self.names.is_directory(new):
            self.on_name("stat", old)
            return
        directories, name = self.names.place(old, False)
        target, renamed = self.names.place(new, False)
        if directories == target:
            self.row(RENAME, directories, name, renamed)
        else:
            self.row(OPEN, target, renamed, CREATING, expected=self.lowest())
            self.row(CLOSE, self.lowest())
            self.row(UNLINK, directories, name)

    def execute(self, operation: Operation) -> None:
        """Become a program, unless that may be gone: then only what is mapped goes."""
        path = operation.path
        if self.names.is_directory(path) or self.names.may_be_gone(path):
            self.followed.leave(operation, "executes what another process may have deleted or not yet made")
            for mapped in self.maps.values():
                self.row(MUNMAP, mapped)
        else:
            directories, name = self.names.place(path, False)
            self.row(EXEC, directories, name, RANGES, expected=0)
            self.mappings = 1 + RANGES
        self.maps.clear()

    def unmap(self, operation: Operation) -> None:
        """Unmap what was mapped here, or by who made this process."""
        mapped = self.maps.pop(operation.amount, 0)
        if mapped:
            self.row(MUNMAP, mapped)
        else:
            self.followed.leave(operation, NOT_OURS)
