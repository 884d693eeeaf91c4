"""Boots a kernel on 1, 2, … simulated processors under a workload, and collects what was counted."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from lockscape.errors import InputError
from lockscape.real.facts import memory_available
from lockscape.real.guest.ext2 import DISK_BYTES, INODES, empty_ext2
from lockscape.real.guest.initramfs import FileSystem, Guest, initramfs
from lockscape.real.guest.modules import Module
from lockscape.real.kernels import Kernel
from lockscape.real.room import need_of
from lockscape.real.simulator.guest import Guest as RunningGuest
from lockscape.real.simulator.messages import (
    CALLS,
    CREATED,
    OPERATIONS,
    TRANSACTED,
    CallCount,
    Phase,
    ProcessorCount,
    percentile,
)
from lockscape.real.simulator.qemu import Machine, Qemu, command, environment, find_qemu, process_1
from lockscape.real.simulator.runs import Task, Told, run_all
from lockscape.real.work import Work

QUANTUM = 2000
"""Instructions that a processor may be ahead of another one. Less is slower, 20,000 is wrong: see docs/real/boot.md."""

MEMORY_MB = 1024
"""A guest's memory at least; most of it is not used and takes none of the host's."""

SYSTEM_MB = 512
"""What of it the kernel and process 1 may use, generously."""

LARGEST_DISK = (1 << 31) - (1 << 20)
"""Bytes of a RAM disk: kernels of 32 bits seek no further with old calls."""

PATIENCE_S = 120.0

NOMINAL_MHZ = 1000
"""The guest's clock has a nanosecond a cycle: seconds are cycles at 1 GHz."""

COMMAND_LINE = (
    "console=ttyS0 panic=-1 nokaslr norandmaps mitigations=off tsc=unstable no_timer_check nowatchdog "
    "nosoftlockup audit=0 lsm=capability cgroup_disable=memory random.trust_bootloader=on rdinit=/init"
)
"""What the kernel is told. The security modules of distributions lengthen every path; others make noise."""


class Settings(NamedTuple):
    """How a kernel is booted. `append`: added to its command line; `repeat`: guests for each number of processors."""

    cpus: tuple[int, ...]
    processes: int
    file_system: FileSystem
    repeat: int = 1
    jobs: int = 1
    quantum: int = QUANTUM
    patience_s: float = PATIENCE_S
    append: str = ""


class ProcessorTime(msgspec.Struct, frozen=True):
    """What a processor did while was measured, in cycles (instructions); `spin_cycles` are in neither of the others.

    `pauses`: PAUSE instructions. A loop that spins counts from its second turn on.
    """

    user_cycles: int
    kernel_cycles: int
    spin_cycles: int
    idle_cycles: int
    pauses: int


class CallCost(msgspec.Struct, frozen=True):
    """Instructions of the kernel from a kind of call to its return, with the interrupts that came in between.

    `p50` and `p90`: what half, and nine of ten, do not exceed, at most 12.5% too high.
    """

    call: str
    count: int
    mean: float
    least: int
    p50: int
    p90: int
    most: int


class BootRun(msgspec.Struct, frozen=True):
    """A guest's run. Cycles are instructions; `makespan_s` and `steady_per_s` are of the guest's clock, 1 GHz.

    `steady_per_s`: operations (files created, read, appended to, deleted) while all processes were in their
    transactions, None if they never were. `timer_interrupts` of each processor and `context_switches` by the
    guest's own count; None if it has none. `late`: how often processors went on without one that was late;
    `all_idle`: how often none had anything to do. `host_s` took the whole run, `cpu_s` of the host's processors.
    """

    cpus: int
    makespan_cycles: int
    makespan_s: float
    steady_per_s: float | None
    processors: tuple[ProcessorTime, ...]
    calls: tuple[CallCost, ...]
    timer_interrupts: tuple[int, ...] | None
    context_switches: int | None
    late: int
    all_idle: int
    all_idle_s: float
    host_s: float
    cpu_s: float


class BootFacts(msgspec.Struct, frozen=True):
    """What the guests said of themselves, and with what they were made.

    `security`: active security modules, None if the kernel does not say. `guest_clock`: whether the guest's
    timers follow the simulated time, or the host's.
    """

    qemu: str
    cpu_model: str
    quantum: int
    memory_mb: int
    command_line: str
    version: str
    mounted: str
    linear_directories: bool
    security: str | None
    modules: tuple[str, ...]
    guest_clock: str


def boot(
    kernel: Kernel, work: Work, settings: Settings, told: Told | None = None
) -> "tuple[list[BootRun], BootFacts]":
    """Boot a kernel `repeat` times on each number of processors, and return the runs in that order.

    `told` gets the share that is done. Raises `MissingToolError` for a tool that is missing, `InputError` for
    what cannot be run, and `GuestError` for a guest that failed.
    """
    from lockscape.real.simulator.qemu import CPU_MODELS

    qemu = find_qemu()
    made, memory_mb = _guest(work, settings)
    modules = _modules(kernel, settings.file_system)
    line = " ".join(filter(None, (COMMAND_LINE, settings.append)))
    with tempfile.TemporaryDirectory(prefix="lockscape-boot-") as folder:
        path = Path(folder) / "initramfs"
        path.write_bytes(initramfs(process_1(kernel.image.bits), modules, made))
        tasks = [
            _task(qemu, Machine(cpus, memory_mb, settings.quantum), kernel, path, line, work, settings)
            for cpus in settings.cpus
            for _ in range(settings.repeat)
        ]
        with closing(run_all(tasks, _jobs(settings.jobs, memory_mb), settings.patience_s, told)) as ended:
            guests = dict(ended)
    ordered = [guests[number] for number in range(len(tasks))]
    numbers = [cpus for cpus in settings.cpus for _ in range(settings.repeat)]
    runs = [_run(guest, cpus) for guest, cpus in zip(ordered, numbers, strict=True)]
    return runs, _facts(ordered, qemu, CPU_MODELS[kernel.image.bits], settings, memory_mb, line, modules)


def _guest(work: Work, settings: Settings) -> tuple[Guest, int]:
    """Return what is put into the guest, and how many MB of memory it needs."""
    from lockscape.real.room import Need

    each = need_of(work.made, 4096) if work.made is not None else Need(1 << 20, 16)
    need = each.times(settings.processes)
    disk_bytes = max(DISK_BYTES, _up(int(need.bytes * 1.25), 1 << 20))
    if disk_bytes > LARGEST_DISK:
        raise InputError(
            f"{need.bytes >> 20:,} MB of files: a guest's RAM disk has at most {LARGEST_DISK >> 20:,} MB; "
            "give fewer files or processes, or smaller --size"
        )
    # every file is in memory twice: on the RAM disk, and in the page cache
    memory_mb = max(MEMORY_MB, SYSTEM_MB + (2 * need.bytes + 3 * sum(map(len, work.streams)) >> 20))
    disk = empty_ext2(disk_bytes, max(INODES, 2 * need.files)) if settings.file_system == "ext2" else None
    return Guest(settings.processes, work.streams, work.shared, disk, disk_bytes), memory_mb


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _modules(kernel: Kernel, file_system: FileSystem) -> list[Module]:
    """Return the modules that a guest loads: those of the file system, or all that were given one by one."""
    if kernel.modules is None:
        return []
    if kernel.all_modules:
        return kernel.modules.order_all()
    wanted = ("brd", "fs-ext2") if file_system == "ext2" else ()
    return kernel.modules.order([each for each in wanted if kernel.modules.find(each) is not None])


def _jobs(asked: int, memory_mb: int) -> int:
    """Return how many guests may run at once, by the host's memory. Raises `InputError` if not even one."""
    fit = memory_available() // (memory_mb << 20)
    if fit < 1:
        raise InputError(
            f"a guest has {memory_mb:,} MB, {memory_available() >> 20:,} MB of memory are available: "
            "end other programs, or give fewer files"
        )
    return min(asked, fit)


def _task(
    qemu: Qemu, machine: Machine, kernel: Kernel, path: Path, line: str, work: Work, settings: Settings
) -> Task:
    def make(messages: int) -> list[str]:
        return command(qemu, machine, kernel.image.path, kernel.image.bits, path, line, messages)

    return Task(make, environment(qemu), work.calls * settings.processes)


def _run(guest: RunningGuest, cpus: int) -> BootRun:
    """Return what was counted. Raises `GuestError` if the guest had not all processors, or lost a process."""
    import time

    end = guest.end
    assert end is not None
    found = guest.facts.get("processors", ["0"])[-1]
    if found != str(cpus):
        raise guest.failed(f"the guest runs on {found} of {cpus} processors: its kernel cannot use them")
    return BootRun(
        cpus=cpus,
        makespan_cycles=end.time,
        makespan_s=end.time / (NOMINAL_MHZ * 1e6),
        steady_per_s=_steady(guest.phases),
        processors=tuple(_processor(each, end.time) for each in guest.processors),
        calls=tuple(map(_call, guest.calls)),
        timer_interrupts=_difference(guest.facts, "LOC:"),
        context_switches=next(iter(_difference(guest.facts, "ctxt") or ()), None),
        late=end.late,
        all_idle=end.all_idle,
        all_idle_s=end.all_idle_ns / 1e9,
        host_s=round(time.monotonic() - guest.started, 3),
        cpu_s=round(guest.cpu_s, 3),
    )


def _processor(count: ProcessorCount, time_cycles: int) -> ProcessorTime:
    idle = max(0, time_cycles - count.user - count.kernel)
    return ProcessorTime(count.user, count.kernel - count.spinning, count.spinning, idle, count.pauses)


def _call(count: CallCount) -> CallCost:
    return CallCost(
        CALLS[count.code], count.count, round(count.total / count.count, 1), count.least,
        percentile(count, 0.5), percentile(count, 0.9), count.most,
    )  # fmt: skip


def _steady(phases: Sequence[Phase]) -> float | None:
    """Return operations per second of the guest's clock while every process was in its transactions."""
    begun = [each for each in phases if each.phase == CREATED]
    ended = [each for each in phases if each.phase == TRANSACTED]
    if not begun or not ended:
        return None
    first, last = max(begun, key=lambda each: each.time), min(ended, key=lambda each: each.time)
    if last.time <= first.time:
        return None
    kinds = [CALLS.index(name) for name in OPERATIONS]
    done = sum(last.ended[kind] - first.ended[kind] for kind in kinds)
    return done * NOMINAL_MHZ * 1e6 / (last.time - first.time) if done else None


def _difference(facts: dict[str, list[str]], name: str) -> tuple[int, ...] | None:
    """Return how much a line of counters of the guest's grew while was measured."""
    rows = []
    for when in ("before", "after"):
        line = next((each for each in facts.get(when, ()) if each.startswith(name)), None)
        if line is None:
            return None
        rows.append([int(word) for word in line.split() if word.isascii() and word.isdigit()])
    return tuple(after - before for before, after in zip(*rows, strict=False))


def _facts(
    guests: Sequence[RunningGuest], qemu: Qemu, cpu_model: str, settings: Settings, memory_mb: int, line: str,
    modules: Sequence[Module],
) -> BootFacts:  # fmt: skip
    said = guests[0].facts
    clocks = {guest.end.clock for guest in guests if guest.end is not None}
    return BootFacts(
        qemu=qemu.version,
        cpu_model=cpu_model,
        quantum=settings.quantum,
        memory_mb=memory_mb,
        command_line=said.get("command", [line])[0],
        version=said.get("version", [""])[0],
        mounted=said.get("mounted", [""])[0],
        linear_directories=settings.file_system == "ext2",
        security=said["security"][0] if "security" in said else None,
        modules=tuple(module.name for module in modules),
        guest_clock="simulated" if clocks == {True} else "host",
    )
