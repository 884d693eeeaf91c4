"""Puts a workload onto a machine: a fresh file system, the processes and their streams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.kernel import objects as kernel
from lockscape.kernel.blocks import BLOCKS_PER_GROUP
from lockscape.kernel.entry import WRITE
from lockscape.kernel.inodes import INODES_PER_GROUP
from lockscape.kernel.kicks import THREAD_SLICE
from lockscape.kernel.vectors import ARRIVED, DISK, SENT, TICK
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable
from lockscape.machine.state import Hardware, State
from lockscape.ports.port import Port
from lockscape.ports.topology import kernels
from lockscape.program.assemble import Binary, assemble
from lockscape.workloads import postmark, user
from lockscape.workloads.families import most_descendants
from lockscape.workloads.file_system import Node, make_file_system

COLUMNS = 6
"""Of a stream's rows: an operation, and its operands."""
FIRST_DIRECTORY = 1 << 19
"""Name numbers of directories begin here, above those of files."""

ZONE_PAGES = 1 << 20
"""Free pages of a machine that was just loaded: 4 GB, for all fits into memory."""

LEAST_SHARE, LEAST_PAGES, MOST_LEAST_PAGES = 128, 20, 255
"""The least free pages: this share of all, but between these numbers; the low mark is twice that, the high
one three times (mm/page_alloc.c of 2.4.31: zone_balance_ratio, _min and _max)."""

BATCH_SHARE = 4096
"""A processor takes so small a part of limited memory at once (mm/page_alloc.c of 2.6.11: zone_batchsize)."""

LOADED = 2
"""References to a process that is there at the beginning: its own, and that of who looks at it at the end."""

Rows = NDArray[np.int64]
"""Operations, one a row of `COLUMNS`."""


@dataclass(frozen=True)
class Stream:
    """The operations of one process: rows for user mode (kind, path, name, bytes, before, probes)."""

    rows: Rows


def postmark_stream(work: postmark.Operations) -> Stream:
    """Turn PostMark's operations into rows for `lockscape.workloads.user`.

    A path is the numbers of its directories, packed; the process' own directory is the empty path. Folders
    deeper than one level are one directory each here, for PostMark makes at most one level itself.
    """
    rows = work.rows
    made = rows[:, postmark.KIND] == postmark.MKDIR
    gone = rows[:, postmark.KIND] == postmark.RMDIR
    folders = made | gone
    numbers = np.array([_number(k, name) for k, name in enumerate(work.directories)], np.int64)
    out = np.zeros((len(rows), COLUMNS), np.int64)
    out[:, 0] = rows[:, postmark.KIND] + 1
    out[:, 1] = np.where(folders, 0, numbers[rows[:, postmark.DIRECTORY]])
    out[:, 2] = np.where(folders, numbers[rows[:, postmark.DIRECTORY]], rows[:, postmark.NAME])
    out[:, 3:] = rows[:, [postmark.BYTES, postmark.BEFORE, postmark.PROBES]]
    return Stream(out)


def _number(index: int, name: str) -> int:
    """Return the name number of a directory: above those of files; 0 for the process' own."""
    return 0 if name in ("", ".") else FIRST_DIRECTORY + index


@dataclass(frozen=True)
class Machine:
    """A loaded machine: its state and the process objects of the workload, in order.

    `contexts`: of the workload's processes, and of those that they may make.
    `owners`: the process whose files and address space each uses, for most itself. `kernels`: the owners in
    each kernel instance that has files, by its number. `homes`: the physical processor of each virtual one.
    """

    state: State
    processes: list[int]
    owners: list[int]
    kernels: dict[int, list[int]]
    homes: dict[int, int]
    contexts: list[int]


DEVICE_LINES = 2
"""Devices that interrupt: the disk and the network card."""

CARD = (SENT, ARRIVED)
"""The network card's two ways, devices of the machine that come after the disks: see `kernel.card`."""


def hardware(costs: CostTable, cpus: int, disks: int = 1, card: bool = False) -> Hardware:
    """Return the hardware of a machine preset with so many processors, disks, and perhaps a network card."""
    m = costs.machine
    return Hardware(
        processors=cpus, transfer=m["line_transfer"], memory=m["line_memory"], upgrade=m["line_upgrade"],
        handover=m["spin_handover"], signal=m["ipi_delivery"], remote_percent=m["numa_remote_factor_percent"],
        nodes=costs.node_processors if cpus > costs.node_processors else 0,
        devices=(DISK,) * disks + CARD * card,
    )  # fmt: skip


def load(port: Port, costs: CostTable, cpus: int, streams: Sequence[Stream], traced: bool = False,
         binary: Binary | None = None, together: bool = False,
         program: str = "postmark", files: int = 0, tree: Sequence[Node] = (),
         memory_pages: int = 0, urgent: int = 0) -> Machine:  # fmt: skip
    """Load one process for each stream onto a machine of `cpus` processors.

    Each process has its own directory in the root of a fresh file system, or `together` they have one; all
    its metadata are cold. It begins in the function `program` of user mode. Where there are several kernels
    with files, each has some of the processes, in turn.
    Each directory has `files` empty files, named 1 and up, and `tree`, all known to no cache of names.
    `memory_pages`: what each kernel has for pages, in a port with the build option ``swapping``; 0: enough.
    The last `urgent` processes have the highest priority, in a port with the build option ``urgent``.
    `binary` is the assembled program, if the caller has it (`traced` as here).
    """
    if not streams:
        raise InputError("no processes: give at least 1")
    opt = port.options
    if bool(memory_pages) != bool(opt["swapping"]):
        raise InputError(
            f"{memory_pages:,} pages of memory for a kernel with swapping = {opt['swapping']}: give a number "
            "of pages to a kernel with swapping = 1, and to no other"
        )
    binary = binary or assemble(port.program, costs, traced)
    work = np.concatenate([s.rows for s in streams])
    topology = port.topology()
    tick_cycles = costs.clock_mhz * 1_000_000 // opt["hz"]
    instances = topology.built(cpus, opt, lambda number: _sizes(opt, number), tick_cycles)
    disks = len(instances) if topology.own_disks else 1
    state = State(port.program, binary, hardware(costs, cpus, disks, bool(opt["sharing"])), instances, work)
    rows = _rows(streams)
    homes = kernels(instances)
    proxies = bool(topology.proxy) and len(instances) > 1
    owners = [0] * len(streams)
    spare: list[int] = []
    for k, home in enumerate(homes):
        mine = slice(k, None, len(homes))
        _check_room(streams[mine], opt["groups"], together)
        begin, works = (topology.proxy, [(0, 0)] * len(rows[mine])) if proxies else (program, rows[mine])
        owners[mine] = _processes(state, opt, home, works, begin)
        more = sum(most_descendants(stream.rows) for stream in streams[mine])
        spare += state.spare_contexts(home, more, "start_process", begin, 1)
        make_file_system(state, opt, home, owners[mine], together, files, tree)
        state.set(state.system("Zone", 0, home), free=ZONE_PAGES, pages=ZONE_PAGES)
        _threads_and_memory(state, opt, home, memory_pages)
    processes = _clients(state, opt, rows, program, owners) if proxies else owners
    if proxies:
        spare = state.spare_contexts(len(instances) - 1, len(spare), "start_thread", program, 1)
    if opt["boot_tick"]:
        _tick_first_only(state)
    for v in state.virtuals:
        _idle(state, v)
    for process in {*owners[len(owners) - urgent :], *processes[len(processes) - urgent :]}:
        state.set(process, urgent=1)
    processors = {v: int(state.m[v + at.V_PROCESSOR]) for v in state.virtuals}
    if topology.prepare is not None:
        processors |= topology.prepare(state, opt)
    dealt = {home: owners[k :: len(homes)] for k, home in enumerate(homes)}
    contexts = [state.get(process, "context") for process in processes] + spare
    for context in contexts:
        state.m[context + at.C_CALLS] = 1
    return Machine(state, processes, owners, dealt, processors, contexts)


def _threads_and_memory(state: State, opt: dict[str, int], home: int, memory_pages: int) -> None:
    """Give a kernel the threads of its own, and its memory, if that is limited."""
    if opt["flush_thread"]:
        _daemon(state, opt, home, "flush_thread")
    if opt["interrupt_threads"]:
        _interrupt_threads(state, opt, home)
    if memory_pages:
        _limit_memory(state, opt, home, memory_pages)


def _sizes(opt: dict[str, int], cpus: int) -> dict[str, int]:
    """Return the sizes of a kernel's tables, by its number of processors."""
    queues = cpus if opt["processor_queues"] else 1 + opt["slave_queue"]
    threads = (1, DEVICE_LINES, cpus)[opt["interrupt_threads"]]
    return {"run_queues": queues, "groups": opt["groups"], "slabs": kernel.SLABS,
            "slab_arrays": cpus * kernel.SLABS, "semaphore_sets": opt["semaphore_sets"],
            "message_queues": opt["message_queues"], "interrupt_threads": threads}  # fmt: skip


def _rows(streams: Sequence[Stream]) -> list[tuple[int, int]]:
    """Return where the rows of each stream begin and end, all of them one behind the other."""
    ends = np.cumsum([len(stream.rows) for stream in streams]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _idle(state: State, v: int) -> None:
    """Tell a virtual processor's kernel of its idle process."""
    number, instance = int(state.m[v + at.V_NUMBER]), state.instances.index(int(state.m[v + at.V_INSTANCE]))
    idle = int(state.m[int(state.m[v + at.V_CONTEXT]) + at.C_PROCESS])
    state.set(idle, state=kernel.RUNNABLE, cpu=number, running=1, slice=-1)
    state.set(state.system("Processor", number, instance), idle=idle, need_resched=1)


def _check_room(streams: Sequence[Stream], groups: int, together: bool) -> None:
    """Refuse workloads whose files do not fit into the block groups of their directories."""
    inodes, blocks = [0] * groups, [0] * groups
    for number, stream in enumerate(streams):
        kind = stream.rows[:, 0]
        made = np.isin(kind, (user.DO_CREATE, user.DO_MKDIR)).astype(np.int64)
        gone = np.isin(kind, (user.DO_DELETE, user.DO_RMDIR)).astype(np.int64)
        most = 1 + int(np.max(np.cumsum(made - gone), initial=0))
        named = stream.rows[kind < user.FIRST_CALL]
        longest = int(np.max(named[:, 3] + named[:, 4], initial=0))
        writes = (kind == user.FIRST_CALL + WRITE) & (stream.rows[:, user.BYTES] != user.TO_PIPE)
        written = stream.rows[writes, 2]
        group = 0 if together else number % groups
        inodes[group] += most
        blocks[group] += most * (longest // kernel.PAGE_BYTES + 1) + 8 + most // 256
        blocks[group] += int(np.sum(written // kernel.PAGE_BYTES + 1))
    if max(inodes) > INODES_PER_GROUP or max(blocks) > BLOCKS_PER_GROUP:
        raise InputError(
            f"{max(inodes):,} files with {max(blocks):,} blocks at once in one of {groups} block groups, "
            f"which has {INODES_PER_GROUP:,} inodes and {BLOCKS_PER_GROUP:,} blocks: "
            "give fewer or shorter files, or fewer processes"
        )


def _processes(state: State, opt: dict[str, int], instance: int, works: Sequence[tuple[int, int]],
               program: str) -> list[int]:  # fmt: skip
    """Make the processes of a kernel, each with its rows of the workload."""
    queues = _sizes(opt, int(state.m[state.instances[instance] + at.I_CPUS]))["run_queues"]
    made = []
    table = state.system("ProcessTable", 0, instance)
    for number, rows in enumerate(works):
        process = state.new("Process")
        ctx = state.context(process, "start_process", program, at.KERNEL, rows)
        state.m[ctx + at.C_MASK] = 1
        state.counted(ctx)
        cpu = number % queues if opt["processor_queues"] else 0
        queue = state.system("RunQueue", cpu if opt["processor_queues"] else queues - 1, instance)
        state.set(process, number=number + 1, cpu=cpu, slice=opt["slice_ticks"], weight=opt["slice_ticks"],
                  files=state.new("Files"), memory=state.new("Memory"), waits=state.new("WaitQueue"),
                  references=LOADED, queued=1)  # fmt: skip
        if opt["swapping"]:
            state.set(state.get(process, "memory"), users=1)
        state.insert(table, "table", number + 1, process)
        state.insert(queue, "tasks", process, process)
        state.set(queue, length=state.get(queue, "length") + 1)
        made.append(process)
    state.set(state.system("Kernel", 0, instance), processes=len(made))
    state.set(table, last=len(made))
    return made


def _clients(state: State, opt: dict[str, int], works: Sequence[tuple[int, int]], program: str,
             owners: Sequence[int]) -> list[int]:  # fmt: skip
    """Make the processes of the last instance, each with a process of the first that does its calls."""
    last = len(state.instances) - 1
    cpus = int(state.m[state.instances[last] + at.I_CPUS])
    made = []
    for number, (rows, owner) in enumerate(zip(works, owners, strict=True)):
        process, channel = state.new("Process"), state.new("Channel")
        state.counted(state.context(process, "start_thread", program, at.KERNEL, rows, masks=1))
        cpu = number % cpus
        state.set(channel, proxy=owner, client=process, cpu=cpu)
        state.set(owner, channel=channel)
        state.set(process, number=number + 1, cpu=cpu, slice=opt["slice_ticks"], channel=channel)
        queue = state.system("ThreadQueue", cpu, last)
        state.insert(queue, "threads", process, process)
        made.append(process)
    return made


def _daemon(state: State, opt: dict[str, int], instance: int, first: str) -> int:
    """Make a process of the kernel itself, which begins in a function; it sleeps until it is woken."""
    process = state.new("Process")
    ctx = state.context(process, first, "", at.KERNEL)
    state.m[ctx + at.C_MASK] = 1
    state.set(
        process, state=kernel.BLOCKED, slice=opt["slice_ticks"], weight=opt["slice_ticks"], references=1
    )
    if first == "flush_thread":
        state.set(state.system("Clock", 0, instance), flusher=process)
    return process


def _interrupt_threads(state: State, opt: dict[str, int], instance: int) -> None:
    """Make the threads that do devices' interrupts; those of processors are on their queues."""
    cpus = int(state.m[state.instances[instance] + at.I_CPUS])
    for number in range(_sizes(opt, cpus)["interrupt_threads"]):
        daemon = _daemon(state, opt, instance, "interrupt_thread")
        cpu = number if opt["processor_queues"] else 0
        state.set(daemon, number=number, cpu=cpu, slice=2 * THREAD_SLICE, weight=THREAD_SLICE)
        state.set(state.system("InterruptThread", number, instance), process=daemon)


def _limit_memory(state: State, opt: dict[str, int], instance: int, pages: int) -> None:
    """Give a kernel so many pages, the marks below which it frees some, and the daemon that does."""
    least = min(max(pages // LEAST_SHARE, LEAST_PAGES), MOST_LEAST_PAGES)
    if pages < 4 * least:
        raise InputError(f"{pages:,} pages of memory: give at least {4 * LEAST_PAGES}")
    zone = state.system("Zone", 0, instance)
    state.set(zone, free=pages, pages=pages, least=least, low=2 * least, high=3 * least,
              batch=min(max(pages // BATCH_SHARE, 1), kernel.PAGE_BATCH))  # fmt: skip
    queue, daemon = state.new("WaitQueue"), _daemon(state, opt, instance, "swap_thread")
    state.set(state.system("AddressSpaces", 0, instance), waits=queue)
    state.set(daemon, state=kernel.BLOCKED, waiting=1)
    state.insert(queue, "sleepers", daemon, daemon)


def _tick_first_only(state: State) -> None:
    """Let the timer interrupt the first processor only, as where that charges the processes of all."""
    for v in state.virtuals:
        if int(state.m[v + at.V_NUMBER]) == 0:
            continue
        state.m[v + at.V_PERIOD] = 0
        state.m[v + at.V_DUE + TICK] = state.m[v + at.V_NEXT] = at.INFINITY
