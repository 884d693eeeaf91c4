"""Checks file system and memory after a run, as fsck does a disk: every count against what is there.

Each check returns what is wrong, one line a finding, quoting both numbers; nothing is mended.
"""

from collections.abc import Collection, Iterator

import numpy as np

from lockscape.kernel import objects as kernel
from lockscape.kernel.messages import QUEUE_BYTES
from lockscape.machine import layout as at
from lockscape.program.layout import OBJECT_WORDS
from lockscape.workloads.load import Machine
from lockscape.workloads.reach import NOTHING, Live, reach, table_of

USED_UP = "memory was used up"
"""What is wrong where a workload had too little memory."""

EMPTY_LINKS = 2
"""Links of an empty directory: its own name and its dot."""


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


def _differ(what: str, stated: int, counted: int) -> Iterator[str]:
    """Yield a finding if a count that the kernel keeps is not what is there."""
    if stated != counted:
        yield f"{what}: the kernel says {stated:,}, there are {counted:,}"


def _memory(live: Live) -> Iterator[str]:
    """Objects that are allocated but cannot be reached, or that can be reached but were freed."""
    state = live.state
    for number, shape in enumerate(state.layouts):
        places = live.of.get(shape.name, NOTHING)
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
    pools = [
        place for number in range(len(state.instances)) for place in table_of(state, "PacketPool", number)
    ]
    taken = sum(live.get(place, "out") for place in pools)
    yield from _differ("packets taken from the pools", taken, len(live.of.get("Packet", NOTHING)))


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
    for inode in live.of.get("Inode", NOTHING).tolist():
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
    pages = len(live.of.get("Page", NOTHING))
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
        yield f"{USED_UP} {failed:,} times, though pages went to disk: give more pages"


def _buffers(live: Live) -> Iterator[str]:
    """Buffers of disk blocks: their lists and marks."""
    buffers = live.of.get("Buffer", NOTHING)
    dirty = {place for place, _ in live.members("BufferCache", "dirty")}
    marked = set(buffers[live.column("Buffer", "dirty") != 0].tolist())
    yield from _differ("buffers on the list of dirty ones", len(dirty), len(marked & dirty))
    yield from _differ("buffers marked dirty", len(marked), len(marked & dirty))
    heads = live.total("Page", "buffers")
    yield from _differ("buffer heads of pages", live.total("BufferCache", "heads"), heads)


def _network(live: Live) -> Iterator[str]:
    """Sockets, which go with the processes that have them, and packets, which somebody must have taken."""
    left = len(live.of.get("Socket", NOTHING))
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
    queues = set(live.of.get("WaitQueue", NOTHING).tolist()) - daemons
    left = sum(len(live.items(queue, "sleepers")) for queue in queues)
    if left:
        yield f"{left:,} processes are left in wait queues"
    left = len(live.members("TimerBase", "due"))
    if left:
        yield f"{left:,} timers are left"
    pipes = len(live.of.get("Pipe", NOTHING))
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
