"""The names of a replay: which files and directories there are before it begins, and their numbers."""

from collections import Counter
from collections.abc import Sequence

from lockscape.errors import InputError
from lockscape.kernel.names import COMPONENT_BITS
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import FIRST_DIRECTORY
from lockscape.workloads.replay_order import Event, Order, Thread
from lockscape.workloads.strace_files import Opened, Operation

DEPTH = 63 // COMPONENT_BITS
"""Directories in a path of the simulated kernel; deeper ones lie beside each other in the last but one."""

PROGRAM_BYTES = 35_000
"""Length of a program's file where the trace does not tell it: the median of the 870 programs in /usr/bin and
/usr/sbin of a Debian 12 with compilers (35,368 bytes, measured)."""


class Names:
    """What a trace says of names, and the numbers that they have in the simulated file system."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.order = Order()
        self.before: dict[str, bool] = {}
        """Whether a name was there when it was first met."""
        self.there: dict[str, bool] = {}
        self.directories: set[str] = set()
        self.size: Counter[str] = Counter()
        self.links: dict[str, int] = {}
        """Symbolic links, with the length of what is in them."""
        self.makers: set[str] = set()
        self.uses: dict[str, Thread] = {}
        self.races: set[str] = set()
        """Names that one process changes, or what is in their files, while another may use them."""
        self.positions: dict[Opened, Thread] = {}
        self.crowded: set[Opened] = set()
        """Open files whose position several processes may move at the same time."""
        self.returned: set[str] = set()
        """Names that came back by a call that is not replayed, as link."""
        self.written: set[Opened] = set()
        self.files: set[str] = set()
        """Names that were made as files; one that is a directory too became that by a call left out."""
        self.programs: set[str] = set()
        self.numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for operation in operations:
            self.meet(operation, self.order.see(operation))
        renames = [op for op in operations if op.kind == "rename"]
        moved = {op.other for op in renames if op.path in self.directories}
        self.directories |= moved
        for path in moved | ((self.returned | self.files) & self.directories):
            self.before[path] = True
        for op in renames:
            if self.may_be_gone(op.path):
                self.returned.add(op.other)

    def meet(self, operation: Operation, event: Event) -> None:
        """Note what an operation says of what there is."""
        kind, path, file = operation.kind, operation.path, operation.file
        if file is not None:
            if not file.pipe and kind != "close":
                self.meet_file(operation, file, event)
            return
        if not path:
            return
        if kind == "rename":
            self.use(operation.other, event, True)
            self.take(path)
            self.make(operation.other)
            self.files.add(operation.other)
        self.use(path, event, kind in ("mkdir", "unlink", "rmdir", "rename"), operation.found)
        if kind in ("mkdir", "rmdir"):
            self.directories.add(path)
        if kind == "mkdir":
            self.make(path)
        elif kind in ("unlink", "rmdir"):
            self.take(path)
        elif kind != "rename":
            self.see(path, operation.found)
            self.look(operation)

    def look(self, operation: Operation) -> None:
        """Note what a call tells of what it names."""
        path = operation.path
        if operation.kind == "exec":
            self.programs.add(path)
        elif operation.kind == "readlink":
            self.links.setdefault(path, operation.amount)
        elif operation.other:
            self.directories.add(path)
        elif operation.found:
            self.grow(path, operation.amount)

    def meet_file(self, operation: Operation, file: Opened, event: Event) -> None:
        """Note what an operation on an open file says of that."""
        path, kind = file.path, operation.kind
        makes = kind == "open" and "O_CREAT" in file.how and not self.there.get(path)
        self.use(path, event, makes or kind == "write", kind == "open")
        if kind == "open":
            if file.is_directory:
                self.directories.add(path)
            if makes:
                self.make(path)
                self.files.add(path)
            else:
                self.see(path, True)
        elif kind == "write":
            self.written.add(file)
        elif kind == "read":
            self.grow(path, operation.at + operation.amount)
        elif kind == "fstat":
            self.grow(path, operation.amount)
        if kind in ("read", "write", "lseek"):
            moves = self.positions.setdefault(file, Thread(self.order))
            if not moves.follows(event, True):
                self.crowded.add(file)

    def use(self, path: str, event: Event, change: bool = False, found: bool = True) -> None:
        """Note who uses a name, and the directories on the way to it, which are there if it is `found`."""
        self.touch(path, event, change)
        above = path.rpartition("/")[0]
        while above:
            self.touch(above, event, False)
            if found:
                self.directories.add(above)
                self.see(above, True)
            above = above.rpartition("/")[0]

    def touch(self, path: str, event: Event, change: bool) -> None:
        """Note whether a use of a name comes after its changes, and a change after its uses."""
        if not self.uses.setdefault(path, Thread(self.order)).follows(event, change):
            self.races.add(path)

    def see(self, path: str, found: bool) -> None:
        """A name was looked for, and found or not."""
        self.before.setdefault(path, found)
        if found and not self.there.get(path, True):
            self.returned.add(path)
            if path not in self.makers:
                self.before[path] = True
        self.there[path] = found

    def make(self, path: str) -> None:
        """A name was made."""
        self.before.setdefault(path, False)
        self.there[path] = True
        self.makers.add(path)

    def take(self, path: str) -> None:
        """A name was taken away."""
        self.before.setdefault(path, True)
        if not self.there.get(path, True):
            self.returned.add(path)
        self.there[path] = False

    def grow(self, path: str, size: int) -> None:
        """A file has at least this size, of its own or in advance."""
        self.size[path] = max(self.size[path], size)

    def is_directory(self, path: str) -> bool:
        """Return whether a name is a directory's, at any time."""
        return path in self.directories

    def may_be_gone(self, path: str) -> bool:
        """Return whether another process could have taken a file away, or not have made it yet."""
        return path in self.races or path in self.returned

    def stays(self, path: str) -> bool:
        """Return whether others may use a directory that is removed, or it is used again."""
        return path in self.races | self.returned | self.files

    def place(self, path: str, directory: bool) -> tuple[int, int]:
        """Return the packed path to the directory of a name, and the name's number there."""
        parts = self.parts(path, directory)
        packed = 0
        for k, part in enumerate(parts[:-1]):
            packed |= self.number(part, True) << (k * COMPONENT_BITS)
        return packed, self.number(parts[-1], directory)

    def parts(self, path: str, directory: bool) -> list[str]:
        """Return the names on a path; directories below the last that fits are one name."""
        found = path.strip("/").split("/")
        above, last = (found, []) if directory else (found[:-1], found[-1:])
        if len(above) > DEPTH:
            above = [*above[: DEPTH - 1], "/".join(above[DEPTH - 1 :])]
        return [*above, *last]

    def number(self, name: str, directory: bool) -> int:
        """Return the number of a name, the same wherever it is."""
        numbers = self.numbers[directory]
        if len(numbers) >= FIRST_DIRECTORY - 1:
            raise InputError(f"more than {FIRST_DIRECTORY - 1:,} different names: give a shorter trace")
        return numbers.setdefault(name, len(numbers) + (FIRST_DIRECTORY if directory else 1))

    def tree(self) -> list[Node]:
        """Return what is there before, directories before what is in them."""
        found = []
        for path in sorted(self.before, key=lambda each: (each.count("/"), each)):
            if self.before[path] or (path in self.makers and path in self.races):
                directory = path in self.directories
                parts = self.parts(path, directory)
                above = tuple(self.number(part, True) for part in parts[:-1])
                size, link = self.size[path], self.links.get(path, 0)
                if path in self.programs and not size:
                    size = PROGRAM_BYTES
                found.append(Node(above, self.number(parts[-1], directory), directory, size, link))
        return found
