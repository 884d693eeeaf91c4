"""The kernel's objects for the SimPy model: Python objects with attributes, and Python dicts for collections.

Only the declarations of `lockscape.kernel.objects` are shared with the simulator: names of fields, and how a
collection is searched. Values and searches are Python's own here.
"""

import heapq
import inspect
import itertools
import types
from collections.abc import Generator, Mapping, Sequence

from lockscape.kernel import network_objects
from lockscape.kernel import objects as declared
from lockscape.kernel.blocks import BLOCKS_PER_GROUP
from lockscape.kernel.inodes import INODES_PER_GROUP
from lockscape.program.objects import Collection, Object, Racy
from simpy_kernel_machine import COMMITTING, TRYING


class Table:
    """A collection: keys in the order of insertion, and for a directory their slots, the lowest free one first."""

    def __init__(self, kind: Collection, cls: str, name: str) -> None:
        self.cls, self.name = cls, name
        self.kind = kind
        self.values: dict = {}
        self.slots: dict = {}
        self.spare: list[int] = []

    def __len__(self) -> int:
        return len(self.values)

    def lowest(self) -> int:
        """Return the slot that the next name gets."""
        return self.spare[0] if self.spare else len(self.slots)

    def insert(self, key, value) -> int:
        fresh = key not in self.values
        self.values[key] = value
        if fresh and self.kind.kind == "slotted":
            self.slots[key] = heapq.heappop(self.spare) if self.spare else len(self.slots)
        return int(fresh)

    def remove(self, key):
        if key in self.slots:
            heapq.heappush(self.spare, self.slots.pop(key))
        return self.values.pop(key, 0)

    def to_tail(self, key) -> None:
        if key in self.values:
            self.values[key] = self.values.pop(key)

    def first(self):
        return next(iter(self.values.values()), 0)

    def oldest(self):
        return next(iter(self.values), 0)

    def after(self, key):
        if key not in self.values:
            return 0
        keys = iter(self.values)
        for each in keys:
            if each == key:
                break
        return self.values.get(next(keys, None), 0)

    def free_bit(self, goal: int) -> int:
        """Return the first clear bit from a goal on, going around; -1 if there is none."""
        size = self.kind.slots
        goal = goal if 0 <= goal < size else 0
        return next((k % size for k in range(goal, goal + size) if k % size not in self.values), -1)

    def passed(self, name: str, key, start: int) -> int:
        """Return how many positions an operation passes: entries, chain members, words of a bitmap."""
        size = len(self.values)
        if self.kind.kind == "hashed":
            return 1 + size // self.kind.buckets
        if self.kind.kind == "bitmap":
            words, found = (self.kind.slots + 31) // 32, self.free_bit(key)
            goal = key if 0 <= key < self.kind.slots else 0
            if found < 0 or (found < goal and found // 32 == goal // 32):
                return words + 1
            return (found // 32 - goal // 32) % words + 1
        if name == "insert":
            return min(self.lowest(), size) if self.kind.kind == "slotted" else 0
        if key not in self.values:
            return size
        if self.kind.kind == "listed":
            return list(self.values).index(key) + 1
        # a directory: removed names leave holes, which a search does not stop at
        place = min(self.slots[key], size - 1)
        return place + 1 if start < 0 else (place - min(start, size - 1)) % size + 1


class Thing:
    """An object of the kernel: its class' fields, 0 at first, and collections."""

    numbers = itertools.count(1)

    def __init__(self, cls: type[Object]) -> None:
        self.cls = cls.__name__
        self.locks: dict[str, object] = {}
        self.place = next(Thing.numbers)
        self.racy: set[str] = set()
        """Fields that are racy on purpose."""
        for base in cls.__mro__[: cls.__mro__.index(Object)]:
            for name, annotation in inspect.get_annotations(base).items():
                part = getattr(cls, name, None)
                if any(isinstance(m, Racy) for m in getattr(annotation, "__metadata__", ())):
                    self.racy.add(name)
                setattr(self, name, Table(part, cls.__name__, name) if isinstance(part, Collection) else 0)

    def __mul__(self, times: int) -> int:
        """Return a number for keys that are made of where an object is, of which there is one for each object."""
        return self.place * times


class ObjectOperations:
    """What a process does with objects: operations of the language; those that take time are generators.

    `kernel` and `compute` are those of the context that this is a part of.
    """

    def the(self, cls: type, number: int = 0) -> Thing:
        return self.kernel.the[cls.__name__][number]

    def new(self, cls: type) -> Thing:
        return self.kernel.make(cls)

    def free(self, thing: Thing) -> None:
        assert thing != 0

    def atomic_cost(self, of: str, name: str) -> int:
        return self.kernel.costs["atomic"] if f"{of}.{name}" in self.kernel.atomic else 0

    def writes(self, racy: bool = False) -> bool:
        """Say whether a write is done: not in an attempt. A commit counts it, and pays for it at its end."""
        if self.trying == COMMITTING:
            self.wrote = True
            self.words += not racy
        return self.trying != TRYING

    def store(self, thing: Thing, name: str, value) -> None:
        if self.writes(name in thing.racy):
            setattr(thing, name, value)

    def add(self, thing: Thing, name: str, sign: int, amount: int) -> Generator:
        if self.writes(name in thing.racy):
            setattr(thing, name, getattr(thing, name) + sign * amount)
            yield from self.compute(self.atomic_cost(thing.cls, name))

    def add_return(self, thing: Thing, name: str, amount: int, by_swap: bool) -> Generator:
        if by_swap and f"{thing.cls}.{name}" in self.kernel.atomic:
            return (yield from self.add_by_swap(thing, name, 1, amount))
        found = getattr(thing, name) + amount
        yield from self.add(thing, name, 1, amount)
        return found  # what it was then: others may have added since

    def add_by_swap(self, thing: Thing, name: str, sign: int, amount: int) -> Generator:
        if f"{thing.cls}.{name}" not in self.kernel.atomic:
            yield from self.add(thing, name, sign, amount)
            return
        done = 0
        while not done:
            seen = getattr(thing, name)
            done = yield from self.compare_and_swap(thing, name, seen, seen + sign * amount)
        return seen + sign * amount

    def compare_and_swap(self, thing: Thing, name: str, old: int, new: int) -> Generator:
        done = getattr(thing, name) == old
        if done:
            setattr(thing, name, new)
        yield from self.compute(self.kernel.costs["cas"])
        return int(done)

    def look(self, name: str, table, key, start: int = -1) -> Generator:
        """Take the time of a search."""
        kind = table.kind
        base, each = (kind.insert_base, kind.insert_each) if name == "insert" else (kind.base, kind.each)
        if base:
            costs = self.kernel.costs
            passed = table.passed(name, key, start) if each else 0
            yield from self.compute(costs[base] + (costs[each] * passed if each else 0))

    def find(self, table, key) -> Generator:
        yield from self.look("find", table, key)
        return table.values.get(key, 0)

    def find_from(self, table, key, start: int) -> Generator:
        yield from self.look("find", table, key, start)
        return table.values.get(key, 0)

    def first_free(self, table, goal: int) -> Generator:
        yield from self.look("first_free", table, goal)
        return table.free_bit(goal)

    def insert(self, table, key, value) -> Generator:
        yield from self.look("insert", table, key)
        if not self.writes():
            return int(key not in table.values)
        fresh = table.insert(key, value)
        yield from self.compute(self.atomic_cost(table.cls, table.name))
        return fresh

    def position(self, table, key) -> int:
        return table.slots.get(key, -1)

    def remove(self, table, key) -> Generator:
        if not self.writes():
            return table.values.get(key, 0)
        found = table.remove(key)
        yield from self.compute(self.atomic_cost(table.cls, table.name))
        return found

    def move(self, table, key) -> None:
        if self.writes():
            table.to_tail(key)

    def first(self, table):
        return table.first()

    def oldest(self, table):
        return table.oldest()

    def after(self, table, key):
        return table.after(key)

    def count(self, table) -> int:
        return len(table)


Classes = Mapping[str, type[Object]]


def classes(modules: Sequence[types.ModuleType]) -> Classes:
    """Return the kernel's object classes by name, and those of new code, which may have more parts."""
    found = {}
    for module in (declared, network_objects, *modules):
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Object) and cls.__module__ == module.__name__:
                found[cls.__name__] = cls
    return found


def system_objects(of: Classes, cpus: int, queues: int, groups: int) -> dict[str, list[Thing]]:
    """Return the tables of system objects, by class."""
    sizes = {
        "cpus": cpus, "run_queues": queues, "groups": groups, "slabs": declared.SLABS,
        "slab_arrays": cpus * declared.SLABS,
    }  # fmt: skip
    found = {}
    for cls in of.values():
        if cls.table_size:
            size = sizes[cls.table_size] if cls.table_size in sizes else int(cls.table_size)
            found[cls.__name__] = [Thing(cls) for _ in range(size)]
    return found


def fresh_file_system(of: Classes, the, processes: list[Thing], together: bool) -> None:
    """Make an empty file system with a directory for each process, or one for all; write-back is due at once."""
    groups = the["BlockGroup"]
    for group in groups:
        group.free_inodes, group.free_blocks = INODES_PER_GROUP, BLOCKS_PER_GROUP
    (sb,), (zone,) = the["SuperBlock"], the["Zone"]
    sb.free_inodes, sb.free_blocks = INODES_PER_GROUP * len(groups), BLOCKS_PER_GROUP * len(groups)
    sb.serials = 1  # the root's
    zone.free = 1 << 20
    directory = None
    for number, process in enumerate(processes):
        if directory is None or not together:
            directory = home(of, the, number % len(groups))
        process.directory = directory


def home(of: Classes, the, number: int) -> Thing:
    """Make a directory in a block group, as if it had always been there."""
    (sb,), (cache,), group = the["SuperBlock"], the["InodeCache"], the["BlockGroup"][number]
    used = len(group.inode_map)
    for part in (group.inode_map, group.block_map):
        part.insert(used, 1)
    for counted in (sb, group):
        counted.free_inodes -= 1
        counted.free_blocks -= 1
    sb.serials += 1
    inode = Thing(of["Inode"])
    inode.number, inode.block = number * INODES_PER_GROUP + used + 1, number * BLOCKS_PER_GROUP + used + 1
    inode.nlink, inode.count, inode.directory = 2, 1, 1
    inode.serial, inode.group = sb.serials, number
    cache.table.insert(inode.number, inode)
    cache.inodes += 1
    return inode
