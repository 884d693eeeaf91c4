"""Puts a workload onto a machine: a fresh file system, the processes and their streams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.kernel import objects as kernel
from lockscape.kernel.scheduler import DISK, RESCHEDULE, TICK
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable
from lockscape.machine.state import Hardware, Instance, State
from lockscape.ports.port import Port
from lockscape.program.assemble import Binary, assemble
from lockscape.workloads import postmark, user

COLUMNS = 6
ROOT_SERIAL = 1

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """The operations of one process: rows for user mode (kind, path, name, bytes, before, probes)."""

    rows: Rows
    directories: int


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
    return Stream(out, len(work.directories))


def _number(index: int, name: str) -> int:
    """Return the name number of a directory: above those of files; 0 for the process' own."""
    return 0 if name in ("", ".") else (1 << 19) + index


@dataclass(frozen=True)
class Machine:
    """A loaded machine: its state and the process objects of the workload, in order."""

    state: State
    processes: list[int]


def hardware(costs: CostTable, cpus: int) -> Hardware:
    """Return the hardware of a machine preset with so many processors."""
    m = costs.machine
    return Hardware(
        processors=cpus, transfer=m["line_transfer"], memory=m["line_memory"], upgrade=m["line_upgrade"],
        handover=m["spin_handover"], signal=m["ipi_delivery"], remote_percent=m["numa_remote_factor_percent"],
        nodes=64 if cpus > 64 else 0,
    )  # fmt: skip


def load(port: Port, costs: CostTable, cpus: int, streams: Sequence[Stream], traced: bool = False,
         binary: Binary | None = None, together: bool = False) -> Machine:  # fmt: skip
    """Load one process for each stream onto a machine of `cpus` processors.

    Each process has its own directory in the root of a fresh file system, or `together` they have one; all
    its metadata are cold.
    `binary` is the assembled program, if the caller has it (`traced` as here).
    """
    if not streams:
        raise InputError("no processes: give at least 1")
    opt = port.options
    _check_room(streams, opt["groups"], together)
    binary = binary or assemble(port.program, costs, traced)
    work = np.concatenate([s.rows for s in streams])
    queues = cpus if opt["processor_queues"] else 1
    spec = Instance(
        cpus, entry="system_call", idle="cpu_idle", block="wait_for_lock", wake="wake",
        vectors={TICK: "timer_interrupt", RESCHEDULE: "reschedule_interrupt", DISK: "disk_interrupt"},
        quantities={"run_queues": queues, "groups": opt["groups"], "slabs": kernel.SLABS,
                    "slab_arrays": cpus * kernel.SLABS},
        tick_cycles=costs.clock_mhz * 1_000_000 // opt["hz"],
    )  # fmt: skip
    state = State(port.program, binary, hardware(costs, cpus), [spec], work)
    processes = _processes(state, opt, streams, queues)
    _file_system(state, opt, processes, together)
    if opt["flush_thread"]:
        _flusher(state, opt)
    if opt["boot_tick"]:
        _tick_first_only(state)
    for number in range(cpus):
        place = state.system("Processor", number)
        ctx = int(state.m[state.virtuals[number] + at.V_CONTEXT])
        idle = int(state.m[ctx + at.C_PROCESS])
        state.set(idle, state=kernel.RUNNABLE, cpu=number, running=1, slice=-1)
        state.set(place, idle=idle, need_resched=1)
    return Machine(state, processes)


def _check_room(streams: Sequence[Stream], groups: int, together: bool) -> None:
    """Refuse workloads whose files do not fit into the block groups of their directories."""
    inodes, blocks = [0] * groups, [0] * groups
    for number, stream in enumerate(streams):
        kind = stream.rows[:, 0]
        made = np.isin(kind, (user.DO_CREATE, user.DO_MKDIR)).astype(np.int64)
        gone = np.isin(kind, (user.DO_DELETE, user.DO_RMDIR)).astype(np.int64)
        most = 1 + int(np.max(np.cumsum(made - gone), initial=0))
        longest = int(np.max(stream.rows[:, 3] + stream.rows[:, 4], initial=0))
        group = 0 if together else number % groups
        inodes[group] += most
        blocks[group] += most * (longest // 4096 + 1) + 8 + most // 256
    if max(inodes) > 16384 or max(blocks) > 32768:
        raise InputError(
            f"{max(inodes):,} files with {max(blocks):,} blocks at once in one of {groups} block groups, "
            "which has 16,384 inodes and 32,768 blocks: give fewer or shorter files, or fewer processes"
        )


def _processes(state: State, opt: dict[str, int], streams: Sequence[Stream], queues: int) -> list[int]:
    start = 0
    made = []
    for number, stream in enumerate(streams):
        process = state.new("Process")
        rows = (start, start + len(stream.rows))
        start = rows[1]
        ctx = state.context(process, "start_process", "postmark", at.KERNEL, rows)
        state.m[ctx + at.C_MASK] = 1
        state.counted(ctx)
        queue = state.system("RunQueue", number % queues)
        cpu = number % queues
        state.set(process, number=number + 1, cpu=cpu, slice=opt["slice_ticks"], weight=opt["slice_ticks"],
                  files=state.new("Files"), memory=state.new("Memory"), queued=1)  # fmt: skip
        state.insert(queue, "tasks", process, process)
        state.set(queue, length=state.get(queue, "length") + 1)
        made.append(process)
    state.set(state.system("Kernel"), processes=len(made))
    return made


def _flusher(state: State, opt: dict[str, int]) -> None:
    """Make the kernel's process that writes back; it sleeps until a tick wakes it."""
    process = state.new("Process")
    ctx = state.context(process, "flush_thread", "", at.KERNEL)
    state.m[ctx + at.C_MASK] = 1
    state.set(process, state=kernel.BLOCKED, slice=opt["slice_ticks"], weight=opt["slice_ticks"])
    state.set(state.system("Clock"), flusher=process)


def _tick_first_only(state: State) -> None:
    """Let the timer interrupt the first processor only, as where that charges the processes of all."""
    for v in state.virtuals[1:]:
        state.m[v + at.V_PERIOD] = 0
        state.m[v + at.V_DUE + TICK] = state.m[v + at.V_NEXT] = at.INFINITY


def _file_system(state: State, opt: dict[str, int], processes: Sequence[int], together: bool) -> None:
    """Make a fresh file system with a directory for each process, spread over the groups."""
    for number in range(opt["groups"]):
        state.set(state.system("BlockGroup", number), free_inodes=16384, free_blocks=32768)
    sb = state.system("SuperBlock")
    state.set(sb, free_inodes=16384 * opt["groups"], free_blocks=32768 * opt["groups"], serials=ROOT_SERIAL)
    state.set(state.system("Zone"), free=1 << 20)
    state.set(state.system("Clock"), flush=5 * opt["hz"])
    for number, process in enumerate(processes):
        if number == 0 or not together:
            inode = make_directory(state, number % opt["groups"])
        state.set(process, directory=inode)


def make_directory(state: State, group: int) -> int:
    """Make a directory in a block group, as if it had been there; return its inode."""
    sb, g = state.system("SuperBlock"), state.system("BlockGroup", group)
    used = len(state.items(g, "inode_map"))
    state.insert(g, "inode_map", used, 1)
    state.insert(g, "block_map", used, 1)
    serial = state.get(sb, "serials") + 1
    state.set(sb, serials=serial, free_inodes=state.get(sb, "free_inodes") - 1,
              free_blocks=state.get(sb, "free_blocks") - 1)  # fmt: skip
    state.set(g, free_inodes=state.get(g, "free_inodes") - 1, free_blocks=state.get(g, "free_blocks") - 1)
    inode = state.new("Inode")
    number = group * 16384 + used + 1
    state.set(inode, number=number, nlink=2, count=1, directory=1, serial=serial, group=group,
              block=group * 32768 + used + 1)  # fmt: skip
    cache = state.system("InodeCache")
    state.insert(cache, "table", number, inode)
    state.set(cache, inodes=state.get(cache, "inodes") + 1)
    return inode
