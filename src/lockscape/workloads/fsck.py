"""Checks file system and memory after a run, as fsck does a disk: every count against what is there.

Each check returns what is wrong, one line a finding, quoting both numbers; nothing is mended.
"""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from lockscape.kernel import objects as kernel
from lockscape.kernel.messages import QUEUE_BYTES
from lockscape.machine import layout as at
from lockscape.machine.state import State
from lockscape.program.layout import OBJECT_WORDS
from lockscape.program.objects import Object
from lockscape.workloads.load import Machine

Addresses = NDArray[np.int64]
"""Where objects are in the machine's memory."""
_NOTHING: Addresses = np.zeros(0, np.int64)

EMPTY_LINKS = 2
"""Links of an empty directory: its own name and its dot."""


class Live:
    """What can be reached from the system's own objects and the processes: `of` has addresses by class.

    A run leaves tens of thousands of names, so that what concerns all objects of a class is asked at once
    (`column`, `values`), and single words are read through a view of the machine's memory. `system` gives
    the system's objects of the kernel `instance`.
    """

    def __init__(self, state: State, instance: int = 0) -> None:
        self.state = state
        self.instance = instance
        self.of: dict[str, Addresses] = {}
        self.words = state.m.data
        nodes = _nodes(state.m)
        nodes = nodes[np.argsort(state.m[nodes + at.N_OWNER], kind="stable")]
        self.owners: Addresses = state.m[nodes + at.N_OWNER]
        self.valued: Addresses = state.m[nodes + at.N_VALUE]

    def system(self, cls: str) -> int:
        """Return the address of the only system object of a class in this kernel."""
        return self.state.system(cls, 0, self.instance)

    def column(self, cls: str, field: str) -> Addresses:
        """Return a field of all objects of a class."""
        places = self.of.get(cls, _NOTHING)
        values: Addresses = self.state.m[places + self.state.program.layouts[cls].fields[field]]
        return values

    def values(self, owners: Addresses) -> Addresses:
        """Return the values in all of these collections, in no order."""
        first = np.searchsorted(self.owners, owners, "left")
        count = np.searchsorted(self.owners, owners, "right") - first
        ends = np.cumsum(count)
        values: Addresses = self.valued[np.repeat(first - ends + count, count) + np.arange(count.sum())]
        return values

    def get(self, place: int, field: str) -> int:
        """Return a field of an object."""
        word: int = self.words[place + self.state.layouts[self.words[place]].fields[field]]
        return word

    def items(self, place: int, collection: str) -> list[tuple[int, int]]:
        """Return (key, value) of a collection that is no bitmap, in its order."""
        words = self.words
        node: int = words[place + self.state.layouts[words[place]].collections[collection] + at.S_FIRST]
        found = []
        while node:
            found.append((words[node + at.N_KEY], words[node + at.N_VALUE]))
            node = words[node + at.N_NEXT]
        return found

    def total(self, cls: str, field: str) -> int:
        """Return the sum of a field over all objects of a class, and of classes that represent it."""
        shapes = self.state.program.layouts
        return sum(int(self.state.m[self.places(name) + shapes[name].fields[field]].sum())
                   for name in self.kinds(cls) if field in shapes[name].fields)  # fmt: skip

    def members(self, cls: str, collection: str) -> list[tuple[int, int]]:
        """Return (key, value) of a collection of all objects of a class, and of classes that represent it."""
        shapes = self.state.program.layouts
        return [
            item
            for name in self.kinds(cls)
            if collection in shapes[name].collections
            for place in self.places(name).tolist()
            for item in self.items(place, collection)
        ]

    def places(self, cls: str) -> Addresses:
        """Return the addresses of a class' objects: of the system's own, those of this kernel only."""
        if self.state.program.layouts[cls].count:
            return np.array(_table(self.state, cls, self.instance), np.int64)
        return self.of.get(cls, _NOTHING)

    def kinds(self, cls: str) -> list[str]:
        """Return a class and those that say they represent it: system objects that a port distributes."""
        more = [n for n in self.of if getattr(Object.declared.get(n), "represents", "") == cls]
        return [cls, *more]


def check(machine: Machine, emptied: bool = True, failed: Collection[int] = ()) -> list[str]:
    """Return everything that is wrong after a run whose processors all idle, or nothing: of all kernels.

    `emptied`: the workload deletes all that it made, as PostMark does, so that every directory of a process
    must be empty. `failed`: instances that were taken down, which are not looked at.
    """
    state = machine.state
    live = reach(state, machine.owners)
    if len(machine.kernels) == 1 and not failed:
        ((live.instance, owners),) = machine.kernels.items()
        return [*held(live), *problems(live, owners, emptied)]
    found = [] if failed else [*held(live), *_memory(live)]
    for instance in sorted(machine.kernels.keys() - set(failed)):
        owners = machine.kernels[instance]
        part = reach(state, owners, instance)
        wrong = [*(held(part) if failed else []), *_of_kernel(part, owners, emptied)]
        found += [f"kernel instance {instance}: {each}" for each in wrong]
    return found


def problems(live: Live, processes: list[int], emptied: bool = True) -> list[str]:
    """Return what is wrong with memory and the file system of the only kernel, see `check`."""
    return [*_memory(live), *_of_kernel(live, processes, emptied)]


def _of_kernel(live: Live, processes: list[int], emptied: bool) -> list[str]:
    """Return what is wrong with a kernel's file system."""
    found = [*_inodes(live), *_groups(live), *_names(live), *_pages(live), *_buffers(live)]
    found += [*_network(live), *_processes(live, processes), *_swap(live), *_semaphores(live)]
    found += _messages(live)
    if emptied:
        found += _emptied(live, processes)
    return found


def held(live: Live) -> list[str]:
    """Return the locks still held or waited for, besides those of a processor that does something."""
    state = live.state
    busy = [v for v in state.virtuals if not state.rests(v)]
    owners = [0, *busy, *(int(state.m[v + at.V_CONTEXT]) for v in busy)]
    found = []
    for name, places in live.of.items():
        for lock, offset in state.program.layouts[name].locks.items():
            word = places + offset
            wrong = ~np.isin(state.m[word + at.L_OWNER], owners)
            if not busy:
                wrong |= (state.m[word + at.L_READERS] != 0) | (state.m[word + at.L_FIRST] != 0)
            what = f"{lock} of a {name} is held or waited for, though nothing runs"
            found += [what] * int(wrong.sum())
    return found


def reach(state: State, processes: list[int], instance: int = -1) -> Live:
    """Follow every reference and collection from the processes and the system objects, of all instances or
    of one."""
    live = Live(state, max(instance, 0))
    first = [*processes]
    for number in range(len(state.instances)) if instance < 0 else (instance,):
        for name, shape in state.program.layouts.items():
            if shape.count:
                first += _table(state, name, number)
    fields = [[shape.fields[n] for n, i in shape.infos.items() if i.refers] for shape in state.layouts]
    lists = [[shape.collections[n] for n, k in shape.kinds.items() if k.values] for shape in state.layouts]
    seen = np.zeros(len(state.m), bool)
    seen[0] = True
    fresh = np.unique(np.array(first, np.int64))
    parts: dict[str, list[Addresses]] = {}
    while len(fresh):
        seen[fresh] = True
        classes = state.m[fresh]
        onward = []
        for number in np.unique(classes).tolist():
            places = fresh[classes == number]
            parts.setdefault(state.layouts[number].name, []).append(places)
            onward += [state.m[places + offset] for offset in fields[number]]
            onward += [live.values(places + offset) for offset in lists[number]]
        found = np.unique(np.concatenate([_NOTHING, *onward]))
        fresh = found[~seen[found]]
    live.of = {name: np.concatenate(each) for name, each in parts.items()}
    return live


def _nodes(m: Addresses) -> Addresses:
    """Return the nodes of all collections: they hang in the buckets of the machine's index."""
    first = int(m[at.H_HASH])
    node = m[first : first + int(m[at.H_HASH_MASK]) + 1]
    found = []
    while len(node):
        node = node[node != 0]
        found.append(node)
        node = m[node + at.N_CHAIN]
    return np.concatenate(found)


def _table(state: State, name: str, instance: int) -> list[int]:
    """Return the addresses of a class' system objects: one behind the other, after their number."""
    slot = state.binary.classes.index(name)
    place = int(state.m[state.instances[instance] + at.I_SLOT + slot])
    return [place + k * state.layouts[slot].words for k in range(int(state.m[place - 1]))]


def _differ(what: str, stated: int, counted: int) -> Iterator[str]:
    """Yield a finding if a count that the kernel keeps is not what is there."""
    if stated != counted:
        yield f"{what}: the kernel says {stated:,}, there are {counted:,}"


def _memory(live: Live) -> Iterator[str]:
    """Objects that are allocated but cannot be reached, or that can be reached but were freed."""
    state = live.state
    for number, shape in enumerate(state.layouts):
        places = live.of.get(shape.name, _NOTHING)
        freed = int(np.count_nonzero(state.m[places + 1] % 2 == 0))
        if freed:
            yield f"{freed:,} freed objects of class {shape.name} are still referred to"
        if shape.count or shape.name == "Process":
            continue
        entry = int(state.m[at.H_CLASS]) + number * at.CLASS_WORDS
        spare = 0
        for instance in state.instances:
            place = int(state.m[instance + at.I_SLOT + number])
            while place:
                spare, place = spare + 1, int(state.m[place + OBJECT_WORDS])
        leaked = int(state.m[entry + at.K_MADE]) - spare - len(places)
        if leaked > 0:
            yield f"{leaked:,} objects of class {shape.name} are allocated and nothing refers to them"
    pools = [place for number in range(len(state.instances)) for place in _table(state, "PacketPool", number)]
    taken = sum(live.get(place, "out") for place in pools)
    yield from _differ("packets taken from the pools", taken, len(live.of.get("Packet", _NOTHING)))


def _inodes(live: Live) -> Iterator[str]:
    """Inodes against the inode cache, the directories' entries and their own counts."""
    table = dict(live.members("InodeCache", "table"))
    yield from _differ("inodes in memory", live.total("InodeCache", "inodes"), len(table))
    used, times = np.unique(live.column("Dentry", "inode"), return_counts=True)
    references: dict[int, int] = dict(zip(used.tolist(), times.tolist(), strict=True))
    homes = set(live.column("Process", "directory").tolist()) - {0}
    for inode in homes:
        references[inode] = references.get(inode, 0) + 1
    names: dict[int, int] = {}
    for inode in table.values():
        for name, number in live.items(inode, "entries"):
            names[number] = names.get(number, 0) + 1
            if number not in table:
                yield f"entry {name} of directory {live.get(inode, 'number')}: there is no inode {number}"
    for number, inode in table.items():
        yield from _inode(live, inode, number, references.get(inode, 0), names.get(number, 0), inode in homes)
    dirty = {place for place, _ in live.members("InodeCache", "dirty")}
    marked = {inode for inode in table.values() if live.get(inode, "dirty")}
    yield from _differ("inodes on the list of dirty ones", len(dirty), len(marked & dirty))


def _inode(live: Live, inode: int, number: int, references: int, names: int, home: bool) -> Iterator[str]:
    who = f"inode {number}"
    yield from _differ(f"{who}: its number", live.get(inode, "number"), number)
    yield from _differ(f"{who}: references", live.get(inode, "count"), references)
    if live.get(inode, "reserved"):
        yield f"{who}: {live.get(inode, 'reserved')} blocks are still reserved for it"
    links = names if not live.get(inode, "directory") else live.get(inode, "nlink")
    yield from _differ(f"{who}: links", live.get(inode, "nlink"), links)
    if not names and not home:
        yield f"{who}: no directory has a name for it"


def _groups(live: Live) -> Iterator[str]:
    """Free counts against the bitmaps, of each group and in all; bitmaps against the inodes."""
    state = live.state
    free = {"inode": 0, "block": 0}
    used: dict[str, set[int]] = {"inode": set(), "block": set()}
    for number, group in enumerate(sorted(live.of["BlockGroup"])):
        for part, known in used.items():
            slots = state.class_of(group).kinds[f"{part}_map"].slots
            bits = state.bits(group, f"{part}_map")
            known.update((number * slots + bits + 1).tolist())
            stated = live.get(group, f"free_{part}s")
            yield from _differ(f"group {number}: free {part}s", stated, slots - len(bits))
            free[part] += stated
    for part, count in free.items():
        # a part of the count may still be with the processors
        stated = live.total("SuperBlock", f"free_{part}s") + live.total("Processor", f"{part}s")
        yield from _differ(f"free {part}s of the file system", stated, count)
    owned = {
        "inode": set(live.column("Inode", "number").tolist()),
        "block": _blocks(live),
    }
    for part, known in used.items():
        if known != owned[part]:
            yield (
                f"{part} bitmaps: {len(known - owned[part]):,} bits without an owner, "
                f"{len(owned[part] - known):,} owners without a bit"
            )


def _blocks(live: Live) -> set[int]:
    """Return the blocks that inodes have."""
    found: set[int] = set()
    for inode in live.of.get("Inode", _NOTHING).tolist():
        found.add(live.get(inode, "block"))
        found.update(block for _, block in live.items(inode, "blocks"))
    return found - {0}


def _names(live: Live) -> Iterator[str]:
    """The name cache: how many there are, and that nobody uses one any more."""
    state = live.state
    table = np.array([place for _, place in live.members("DentryCache", "table")], np.int64)
    yield from _differ("names in the name cache", live.total("DentryCache", "entries"), len(table))
    fields = state.program.layouts["Dentry"].fields
    used = int(np.count_nonzero(state.m[table + fields["count"]]))
    if used:
        yield f"{used:,} names of the name cache are still in use"
    listed = int(np.count_nonzero(state.m[table + fields["listed"]]))
    yield from _differ("unused names", len(live.members("DentryCache", "unused")), listed)


def _pages(live: Live) -> Iterator[str]:
    """Pages of files and of processes against what the zone has given."""
    pages = len(live.of.get("Page", _NOTHING))
    stated = live.total("PageCache", "pages") + live.total("Processor", "cached")
    yield from _differ("pages in the page cache", stated, pages)
    yield from _differ(
        "pages on the list of inactive ones", len(live.members("PageCache", "inactive")), pages
    )
    zone = live.system("Zone")
    given = live.get(zone, "pages") - live.get(zone, "free")
    used = pages + live.total("Memory", "pages") + live.total("Processor", "pages")
    yield from _differ("pages taken from the zone", given, used)


def _swap(live: Live) -> Iterator[str]:
    """Slots of the disk against the pages that are there, and what ended processes have left."""
    device, spaces = live.system("SwapDevice"), live.system("AddressSpaces")
    used = set(live.state.bits(device, "slots").tolist())
    owned = [slot - 1 for cls in ("PageEntry", "Frame") for slot in live.column(cls, "slot").tolist() if slot]
    yield from _differ("slots in use", live.get(device, "used"), len(used))
    if used != set(owned) or len(owned) != len(used):
        yield f"slots: {len(used):,} are taken, {len(set(owned)):,} pages are in them"
    yield from _differ("address spaces with pages", len(live.items(spaces, "memories")), 0)
    failed = live.get(live.system("Zone"), "failed")
    if failed:
        yield f"memory was used up {failed:,} times, though pages went to disk: give more pages"


def _buffers(live: Live) -> Iterator[str]:
    """Buffers of disk blocks: their lists and marks."""
    buffers = live.of.get("Buffer", _NOTHING)
    dirty = {place for place, _ in live.members("BufferCache", "dirty")}
    marked = set(buffers[live.column("Buffer", "dirty") != 0].tolist())
    yield from _differ("buffers on the list of dirty ones", len(dirty), len(marked & dirty))
    yield from _differ("buffers marked dirty", len(marked), len(marked & dirty))
    heads = live.total("Page", "buffers")
    yield from _differ("buffer heads of pages", live.total("BufferCache", "heads"), heads)


def _network(live: Live) -> Iterator[str]:
    """Sockets, which go with the processes that have them, and packets, which somebody must have taken."""
    left = len(live.of.get("Socket", _NOTHING))
    if left:
        yield f"{left:,} sockets are left"
    if live.items(live.system("Ports"), "table"):
        yield "somebody waits for connections, though all processes have ended"
    for queue in live.places("InputQueue").tolist():
        waiting = len(live.items(queue, "packets"))
        if waiting or live.get(queue, "active"):
            yield f"{waiting:,} packets that have come were not looked at"


def _processes(live: Live, processes: list[int]) -> Iterator[str]:
    """What every process must have given back when it exits, as PostMark closes and unmaps all it opened."""
    state = live.state
    for number, process in enumerate(processes, 1):
        files, memory = live.get(process, "files"), live.get(process, "memory")
        for left, what in (
            (len(live.items(files, "table")), "open files"),
            (len(state.bits(files, "used")), "descriptors"),
            (len(live.items(memory, "areas")), "mapped ranges"),
        ):
            if left:
                yield f"process {number}: {left:,} {what} are left"
        if live.get(memory, "pages"):
            yield f"process {number}: {live.get(memory, 'pages'):,} pages are left"
        if live.get(process, "state") != kernel.DONE:
            yield f"process {number}: it has not ended"
    table = live.system("FileTable")
    left = max(live.get(table, "open"), len(live.items(table, "files")))
    if left:
        yield f"{left:,} open files are left in the system's table"
    yield from _differ("processes", live.total("Kernel", "processes"), 0)
    daemons = set(live.column("AddressSpaces", "waits").tolist())
    queues = set(live.of.get("WaitQueue", _NOTHING).tolist()) - daemons
    left = sum(len(live.items(queue, "sleepers")) for queue in queues)
    if left:
        yield f"{left:,} processes are left in wait queues"
    left = len(live.members("TimerBase", "due"))
    if left:
        yield f"{left:,} timers are left"
    pipes = len(live.of.get("Pipe", _NOTHING))
    if pipes:
        yield f"{pipes:,} pipes are left"


def _semaphores(live: Live) -> Iterator[str]:
    """Semaphore sets: their sums against the values, none of which is negative; nobody sleeps there."""
    for number, place in enumerate(live.places("SemaphoreSet").tolist()):
        who = f"semaphore set {number}"
        values = [value for _, value in live.items(place, "values")]
        yield from _differ(f"{who}: sum of its values", live.get(place, "total"), sum(values))
        yield from (f"{who}: a value is {value}" for value in values if value < 0)
        yield from _differ(f"{who}: sleepers", len(live.items(place, "sleepers")), 0)


def _messages(live: Live) -> Iterator[str]:
    """Message queues: their bytes against the messages, no more than there is room for; the totals of all."""
    sizes: list[int] = []
    for number, place in enumerate(live.places("MessageQueue").tolist()):
        who = f"message queue {number}"
        inside = [live.get(message, "size") for message, _ in live.items(place, "messages")]
        sizes += inside
        yield from _differ(f"{who}: bytes", live.get(place, "bytes"), sum(inside))
        if sum(inside) > QUEUE_BYTES:
            yield f"{who}: {sum(inside):,} bytes are in it, {QUEUE_BYTES:,} have room"
        for list_ in ("senders", "receivers"):
            yield from _differ(f"{who}: {list_} that wait", len(live.items(place, list_)), 0)
    totals = live.system("MessageTotals")
    yield from _differ("messages in queues", live.get(totals, "messages"), len(sizes))
    yield from _differ("bytes of messages in queues", live.get(totals, "bytes"), sum(sizes))


def _emptied(live: Live, processes: list[int]) -> Iterator[str]:
    for number, process in enumerate(processes, 1):
        directory = live.get(process, "directory")
        left = len(live.items(directory, "entries"))
        if left:
            yield f"process {number}: {left:,} names are left in its directory"
        yield from _differ(
            f"process {number}: links of its directory", live.get(directory, "nlink"), EMPTY_LINKS
        )
