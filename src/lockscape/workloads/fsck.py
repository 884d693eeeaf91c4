"""Checks file system and memory after a run, as fsck does a disk: every count against what is there.

Each check returns what is wrong, one line a finding, quoting both numbers; nothing is mended.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lockscape.kernel import objects as kernel
from lockscape.machine import layout as at
from lockscape.machine.memory import BITS_PER_WORD
from lockscape.machine.state import State
from lockscape.program.layout import OBJECT_WORDS

PAGES = 1 << 20
"""Free pages of a machine that was just loaded (`lockscape.workloads.load`)."""

EMPTY_LINKS = 2
"""Links of an empty directory: its own name and its dot."""


class Live:
    """What can be reached from the system's own objects and the processes: `of` has addresses by class.

    It reads the machine's memory through a view, several times as fast as `State`: a run leaves tens of
    thousands of names.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.of: dict[str, list[int]] = {}
        self.words = state.m.data

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
        """Return the sum of a field over all objects of a class."""
        return sum(self.get(place, field) for place in self.of.get(cls, ()))


def problems(live: Live, processes: list[int], emptied: bool = True) -> list[str]:
    """Return everything that is wrong after a run whose processors all idle, or nothing.

    `emptied`: the workload deletes all that it made, as PostMark does, so that every directory of a process
    must be empty.
    """
    found = [*_memory(live), *_inodes(live), *_groups(live), *_names(live), *_pages(live), *_buffers(live)]
    found += _processes(live, processes)
    if emptied:
        found += _emptied(live, processes)
    return found


def held(live: Live) -> list[str]:
    """Return the locks still held or waited for, besides those of a processor that does something."""
    state = live.state
    busy = [v for v in state.virtuals if int(state.m[v + at.V_STATE]) != at.HALTED]
    owners = {0, *busy, *(int(state.m[v + at.V_CONTEXT]) for v in busy)}
    found = []
    for name, places in live.of.items():
        for lock, offset in state.program.layouts[name].locks.items():
            for place in places:
                word = place + offset
                free = int(state.m[word + at.L_OWNER]) in owners
                if not free or (
                    not busy and (int(state.m[word + at.L_READERS]) or int(state.m[word + at.L_FIRST]))
                ):
                    found.append(f"{lock} of a {name} is held or waited for, though nothing runs")
    return found


def reach(state: State, processes: list[int]) -> Live:
    """Follow every reference and collection from the system objects and the processes."""
    live = Live(state)
    waiting = [*processes]
    for instance in range(len(state.instances)):
        for name, shape in state.program.layouts.items():
            if shape.count:
                waiting += _table(state, name, instance)
    fields = [[shape.fields[n] for n, i in shape.infos.items() if i.refers] for shape in state.layouts]
    lists = [[n for n, kind in shape.kinds.items() if kind.values] for shape in state.layouts]
    seen = {0}
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        cls = live.words[place]
        live.of.setdefault(state.layouts[cls].name, []).append(place)
        waiting += [live.words[place + offset] for offset in fields[cls]]
        for collection in lists[cls]:
            waiting += [value for _, value in live.items(place, collection)]
    return live


def _table(state: State, name: str, instance: int) -> list[int]:
    """Return the addresses of a class' system objects: they stand one behind the other."""
    slot = state.binary.classes.index(name)
    place = int(state.m[state.instances[instance] + at.I_SLOT + slot])
    found = []
    while int(state.m[place]) == slot and int(state.m[place + 1]) == 1:
        found.append(place)
        place += state.layouts[slot].words
    return found


def _differ(what: str, stated: int, counted: int) -> Iterator[str]:
    """Yield a finding if a count that the kernel keeps is not what is there."""
    if stated != counted:
        yield f"{what}: the kernel says {stated:,}, there are {counted:,}"


def _memory(live: Live) -> Iterator[str]:
    """Objects that are allocated but cannot be reached, or that can be reached but were freed."""
    state = live.state
    for number, shape in enumerate(state.layouts):
        places = live.of.get(shape.name, [])
        freed = [place for place in places if int(state.m[place + 1]) % 2 == 0]
        if freed:
            yield f"{len(freed):,} freed objects of class {shape.name} are still referred to"
        if shape.count or shape.name == "Process":
            continue
        entry = int(state.m[at.H_CLASS]) + number * at.CLASS_WORDS
        spare, place = 0, int(state.m[entry + at.K_FREE])
        while place:
            spare, place = spare + 1, int(state.m[place + OBJECT_WORDS])
        leaked = int(state.m[entry + at.K_MADE]) - spare - len(places)
        if leaked > 0:
            yield f"{leaked:,} objects of class {shape.name} are allocated and nothing refers to them"


def _inodes(live: Live) -> Iterator[str]:
    """Inodes against the inode cache, the directories' entries and their own counts."""
    state = live.state
    cache = state.system("InodeCache")
    table = dict(live.items(cache, "table"))
    yield from _differ("inodes in memory", live.get(cache, "inodes"), len(table))
    references: dict[int, int] = {}
    for place in live.of.get("Dentry", ()):
        inode = live.get(place, "inode")
        references[inode] = references.get(inode, 0) + 1
    homes = {live.get(place, "directory") for place in live.of.get("Process", ())} - {0}
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
    dirty = {place for place, _ in live.items(cache, "dirty")}
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
            bits = _bits(state, group, f"{part}_map")
            known.update((number * slots + bits + 1).tolist())
            stated = live.get(group, f"free_{part}s")
            yield from _differ(f"group {number}: free {part}s", stated, slots - len(bits))
            free[part] += stated
    block = state.system("SuperBlock")
    for part, count in free.items():
        # a part of the count may still be with the processors
        stated = live.get(block, f"free_{part}s") + live.total("Processor", f"{part}s")
        yield from _differ(f"free {part}s of the file system", stated, count)
    owned = {
        "inode": {live.get(inode, "number") for inode in live.of.get("Inode", ())},
        "block": _blocks(live),
    }
    for part, known in used.items():
        if known != owned[part]:
            yield (
                f"{part} bitmaps: {len(known - owned[part]):,} bits without an owner, "
                f"{len(owned[part] - known):,} owners without a bit"
            )


def _bits(state: State, place: int, bitmap: str) -> NDArray[np.int64]:
    """Return the numbers of the set bits of a bitmap (all at once: `State.items` takes them one by one)."""
    owner = place + state.class_of(place).collections[bitmap]
    region, slots = int(state.m[owner + at.S_REGION]), int(state.m[owner + at.S_CAPACITY])
    if region == 0:
        return np.zeros(0, np.int64)
    words = state.m[region : region + slots // BITS_PER_WORD]
    return np.flatnonzero((words[:, np.newaxis] >> np.arange(BITS_PER_WORD)) & 1)


def _blocks(live: Live) -> set[int]:
    """Return the blocks that inodes have."""
    found: set[int] = set()
    for inode in live.of.get("Inode", ()):
        found.add(live.get(inode, "block"))
        found.update(block for _, block in live.items(inode, "blocks"))
    return found - {0}


def _names(live: Live) -> Iterator[str]:
    """The name cache: how many there are, and that nobody uses one any more."""
    state = live.state
    cache = state.system("DentryCache")
    table = live.items(cache, "table")
    yield from _differ("names in the name cache", live.get(cache, "entries"), len(table))
    used = sum(1 for _, place in table if live.get(place, "count"))
    if used:
        yield f"{used:,} names of the name cache are still in use"
    listed = sum(1 for _, place in table if live.get(place, "listed"))
    yield from _differ("unused names", len(live.items(cache, "unused")), listed)


def _pages(live: Live) -> Iterator[str]:
    """Pages of files and of processes against what the zone has given."""
    state = live.state
    cache = state.system("PageCache")
    pages = len(live.of.get("Page", ()))
    stated = live.get(cache, "pages") + live.total("Processor", "cached")
    yield from _differ("pages in the page cache", stated, pages)
    yield from _differ("pages on the list of inactive ones", len(live.items(cache, "inactive")), pages)
    given = PAGES - live.get(state.system("Zone"), "free")
    used = pages + live.total("Memory", "pages") + live.total("Processor", "pages")
    yield from _differ("pages taken from the zone", given, used)


def _buffers(live: Live) -> Iterator[str]:
    """Buffers of disk blocks: their lists and marks."""
    state = live.state
    cache = state.system("BufferCache")
    buffers = live.of.get("Buffer", [])
    dirty = {place for place, _ in live.items(cache, "dirty")}
    marked = {place for place in buffers if live.get(place, "dirty")}
    yield from _differ("buffers on the list of dirty ones", len(dirty), len(marked & dirty))
    yield from _differ("buffers marked dirty", len(marked), len(marked & dirty))
    heads = live.total("Page", "buffers")
    yield from _differ("buffer heads of pages", live.get(cache, "heads"), heads)


def _processes(live: Live, processes: list[int]) -> Iterator[str]:
    """What every process must have given back when it exits, as PostMark closes and unmaps all it opened."""
    state = live.state
    for number, process in enumerate(processes, 1):
        files, memory = live.get(process, "files"), live.get(process, "memory")
        for left, what in (
            (len(live.items(files, "table")), "open files"),
            (len(_bits(state, files, "used")), "descriptors"),
            (len(live.items(memory, "areas")), "mapped ranges"),
        ):
            if left:
                yield f"process {number}: {left:,} {what} are left"
        if live.get(memory, "pages"):
            yield f"process {number}: {live.get(memory, 'pages'):,} pages are left"
        if live.get(process, "state") != kernel.DONE:
            yield f"process {number}: it has not ended"
    table = state.system("FileTable")
    left = max(live.get(table, "open"), len(live.items(table, "files")))
    if left:
        yield f"{left:,} open files are left in the system's table"
    yield from _differ("processes", live.get(state.system("Kernel"), "processes"), 0)


def _emptied(live: Live, processes: list[int]) -> Iterator[str]:
    for number, process in enumerate(processes, 1):
        directory = live.get(process, "directory")
        left = len(live.items(directory, "entries"))
        if left:
            yield f"process {number}: {left:,} names are left in its directory"
        yield from _differ(
            f"process {number}: links of its directory", live.get(directory, "nlink"), EMPTY_LINKS
        )
