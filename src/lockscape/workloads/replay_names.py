"""The names of a replay: which files and directories there are before it begins, and their numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence

from lockscape.errors import InputError
from lockscape.kernel.names import COMPONENT_BITS
from lockscape.workloads.load import FIRST_DIRECTORY, Node
from lockscape.workloads.strace_files import Opened, Operation

DEPTH = 63 // COMPONENT_BITS
"""Directories in a path of the simulated kernel; deeper ones lie beside each other in the last but one."""


class Names:
    """What a trace says of names, and the numbers that they have in the simulated file system."""

    def __init__(self, operations: Sequence[Operation], lanes: Mapping[int, int]) -> None:
        self.before: dict[str, bool] = {}
        """Whether a name was there when it was first met."""
        self.there: dict[str, bool] = {}
        self.directories: set[str] = set()
        self.size: Counter[str] = Counter()
        self.links: dict[str, int] = {}
        """Symbolic links, with the length of what is in them."""
        self.makers: dict[str, set[int]] = {}
        self.takers: dict[str, set[int]] = {}
        self.users: dict[str, set[int]] = {}
        self.returned: set[str] = set()
        """Names that came back by a call that is not replayed, as link."""
        self.written: set[Opened] = set()
        self.files: set[str] = set()
        """Names that were made as files; one that is a directory too became that by a call left out."""
        self.numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for operation in operations:
            self.meet(operation, lanes[operation.pid])
        moved = {op.other for op in operations if op.kind == "rename" and op.path in self.directories}
        self.directories |= moved
        for path in moved | ((self.returned | self.files) & self.directories):
            self.before[path] = True

    def meet(self, operation: Operation, lane: int) -> None:
        """Note what an operation says of what there is."""
        kind, path, file = operation.kind, operation.path, operation.file
        if file is not None:
            self.meet_file(operation, file, lane)
            return
        if not path:
            return
        self.used(path, lane, operation.found)
        if kind == "mkdir":
            self.directories.add(path)
            self.make(path, lane)
        elif kind in ("unlink", "rmdir"):
            if kind == "rmdir":
                self.directories.add(path)
            self.take(path, lane)
        elif kind == "rename":
            self.used(operation.other, lane)
            self.take(path, lane)
            self.make(operation.other, lane)
            self.files.add(operation.other)
        else:
            self.see(path, operation.found)
            if kind == "readlink":
                self.links.setdefault(path, operation.amount)
            elif operation.other:
                self.directories.add(path)
            elif operation.found:
                self.grow(path, operation.amount)

    def meet_file(self, operation: Operation, file: Opened, lane: int) -> None:
        """Note what an operation on an open file says of that."""
        path = file.path
        self.used(path, lane, operation.kind == "open")
        if operation.kind == "open":
            if file.is_directory:
                self.directories.add(path)
            if "O_CREAT" in file.how and not self.there.get(path):
                self.make(path, lane)
                self.files.add(path)
            else:
                self.see(path, True)
        elif operation.kind == "write":
            self.written.add(file)
        elif operation.kind == "read":
            self.grow(path, operation.at + operation.amount)
        elif operation.kind == "fstat":
            self.grow(path, operation.amount)

    def used(self, path: str, lane: int, found: bool = True) -> None:
        """Note who uses a name, and the directories on the way to it, which are there if it is `found`."""
        self.users.setdefault(path, set()).add(lane)
        above = path.rpartition("/")[0]
        while above:
            self.users.setdefault(above, set()).add(lane)
            if found:
                self.directories.add(above)
                self.see(above, True)
            above = above.rpartition("/")[0]

    def see(self, path: str, found: bool) -> None:
        """A name was looked for, and found or not."""
        self.before.setdefault(path, found)
        if found and not self.there.get(path, True):
            self.returned.add(path)
            if path not in self.makers:
                self.before[path] = True
        self.there[path] = found

    def make(self, path: str, lane: int) -> None:
        """A name was made."""
        self.before.setdefault(path, False)
        self.there[path] = True
        self.makers.setdefault(path, set()).add(lane)

    def take(self, path: str, lane: int) -> None:
        """A name was taken away."""
        self.before.setdefault(path, True)
        self.there[path] = False
        self.takers.setdefault(path, set()).add(lane)

    def grow(self, path: str, size: int) -> None:
        """A file that was not made in the trace has at least this size."""
        if path not in self.makers:
            self.size[path] = max(self.size[path], size)

    def is_directory(self, path: str) -> bool:
        """Return whether a name is a directory's, at any time."""
        return path in self.directories

    def may_be_gone(self, path: str, lane: int) -> bool:
        """Return whether another process could have taken a file away, or not have made it yet."""
        others = (self.takers.get(path, set()) | self.makers.get(path, set())) - {lane}
        return bool(others) or path in self.returned or path in self.takers

    def stays(self, path: str, lane: int) -> bool:
        """Return whether others use a directory that is removed, or it is used again."""
        return bool(self.users.get(path, set()) - {lane}) or path in self.returned | self.files

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
            lanes = self.makers.get(path, set())
            directory = path in self.directories
            if self.before[path] or (lanes and self.users[path] - lanes) or len(lanes) > 1:
                parts = self.parts(path, directory)
                above = tuple(self.number(part, True) for part in parts[:-1])
                size, link = self.size[path], self.links.get(path, 0)
                found.append(Node(above, self.number(parts[-1], directory), directory, size, link))
        return found
