"""Boots a kernel on 1, 2, … simulated processors under workloads."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import InputError
from lockscape.real.boot_curve import curve_of
from lockscape.real.boot_result import BootCurve, BootRun, SimulatorRecord
from lockscape.real.boot_run import run_of
from lockscape.real.facts import memory_available
from lockscape.real.guest.ext2 import BLOCK_BYTES, DISK_BYTES, INODES, empty_ext2
from lockscape.real.guest.initramfs import FileSystem, Guest, initramfs, initrd_of
from lockscape.real.guest.kernel_image import KernelImage
from lockscape.real.guest.modules import Module
from lockscape.real.kernels import Kernel
from lockscape.real.simulator.guest import Guest as RunningGuest
from lockscape.real.simulator.qemu import (
    CPU_MODELS,
    MOST_PROCESSORS,
    Machine,
    Qemu,
    command,
    environment,
    find_qemu,
    process_1,
)
from lockscape.real.simulator.runs import Task, Told, run_all
from lockscape.real.stopping import stoppable
from lockscape.real.work import Work

QUANTUM = 3000
"""Cycles that a processor may be ahead of another one. Less is slower; see docs/real/boot.md."""

MEMORY_MB = 1024
"""A guest's memory at least. What it does not use takes none of the host's."""

SYSTEM_MB = 512
"""What of it the kernel and process 1 may use, generously."""

LARGEST_DISK = (1 << 31) - (1 << 20)
"""Bytes of a RAM disk: in kernels of 32 bits, the calls that process 1 uses seek no further."""

_PATIENCE_S = 120.0

COMMAND_LINE = (
    "console=ttyS0 panic=-1 nokaslr norandmaps mitigations=off tsc=unstable no_timer_check nowatchdog "
    "nosoftlockup audit=0 lsm=capability cgroup_disable=memory random.trust_bootloader=on rdinit=/init"
)
"""What the kernel is told. A distribution's security modules lengthen every path: they are off, and what is
on is reported. tsc=unstable: the time-stamp counter is the host's, the other clocks are the plugin's."""

OLD_COMMAND_LINE = "console=ttyS0 panic=1 noapic notsc clock=pit"
"""The same for kernels that take 255 characters (before 2.6.20). noapic: they test the timer at boot by
waiting for it, and panic if a busy host is late. notsc, clock=pit (2.4, 2.6): the time-stamp counter is the
host's; 2.4 takes notsc only if built with CONFIG_X86_TSC_DISABLE, and else divides by zero at boot."""

OLD_ROOT = "root=/dev/ram0 rw init=/init"
"""The rest of it for kernels that take no initramfs."""


class Settings(NamedTuple):
    """How a kernel is booted: `repeat` guests for each number of processors, `jobs` at once.

    `patience_s`: a guest that has not got on for so long is ended. `append`: added to the command line.
    """

    cpus: tuple[int, ...]
    processes: int
    file_system: FileSystem = "ext2"
    repeat: int = 1
    jobs: int = 1
    quantum: int = QUANTUM
    patience_s: float = _PATIENCE_S
    append: str = ""

    @property
    def points(self) -> list[int]:
        """The number of processors of each guest of a workload, in order: one processor first."""
        return [cpus for cpus in sorted({1, *self.cpus}) for _ in range(self.repeat)]


def boot(
    kernel: Kernel, works: Sequence[Work], settings: Settings, told: Told | None = None
) -> tuple[list[BootCurve], SimulatorRecord]:
    """Boot a kernel under each workload on one and on each number of processors, and return the curves.

    `told` gets the share that is done. Raises `MissingToolError` for a tool that is missing, `InputError` for
    what cannot be run, `GuestError` for a guest that failed. No process and no file is left behind.
    """
    if settings.points[-1] > MOST_PROCESSORS:
        raise InputError(f"--cpus {settings.points[-1]}: QEMU's PC has at most {MOST_PROCESSORS} processors")
    qemu = find_qemu()
    modules = _modules(kernel, settings.file_system)
    with stoppable(), tempfile.TemporaryDirectory(prefix="lockscape-boot-") as folder:
        tasks: list[Task] = []
        memory_mb = MEMORY_MB
        for work in works:
            made, needed_mb = _guest(work, settings, kernel.image.disk_block_bytes)
            memory_mb = max(memory_mb, needed_mb)
            path = Path(folder) / work.name
            process = process_1(kernel.image.bits)
            if kernel.image.takes_initramfs:
                path.write_bytes(initramfs(process, modules, made))
            else:
                path.write_bytes(initrd_of(process, made, kernel.image.disk_block_bytes))
            line = _command_line(kernel.image, made.disk_bytes, settings.append)
            tasks += _tasks(qemu, kernel, path, line, work, needed_mb, settings)
        with closing(run_all(tasks, _jobs(settings.jobs, memory_mb), settings.patience_s, told)) as ended:
            guests, runs = _collect(ended, settings)
    simulator = _record(guests, qemu, kernel, settings, memory_mb, line, modules)
    size = len(settings.points)
    curves = []
    for number, work in enumerate(works):
        by_cpus: dict[int, list[BootRun]] = {}
        for place, cpus in enumerate(settings.points, number * size):
            by_cpus.setdefault(cpus, []).append(runs[place])
        curves.append(curve_of(work.name, by_cpus, simulator, settings.processes))
    return curves, simulator


def _command_line(image: KernelImage, disk_bytes: int, append: str) -> str:
    """Return what the kernel is told; a driver of RAM disks that is built in, how large they are."""
    line = COMMAND_LINE if image.takes_long_line else OLD_COMMAND_LINE
    root = "" if image.takes_initramfs else OLD_ROOT
    disk = f"ramdisk_size={disk_bytes >> 10} ramdisk_blocksize={image.disk_block_bytes}"
    return " ".join(filter(None, (line, root, disk, append)))


def _collect(
    ended: Iterable[tuple[int, RunningGuest]], settings: Settings
) -> tuple[list[RunningGuest], dict[int, BootRun]]:
    """Return the guests, and their runs by number; each is looked at as soon as it has ended."""
    guests, runs = [], {}
    for number, guest in ended:
        cpus = settings.points[number % len(settings.points)]
        runs[number] = run_of(guest, cpus, settings.processes)
        guests.append(guest)
    return guests, runs


def _guest(work: Work, settings: Settings, block_bytes: int) -> tuple[Guest, int]:
    """Return what is put into a guest, and how many MB of memory it needs."""
    need = work.need(BLOCK_BYTES, settings.processes)
    disk_bytes = max(DISK_BYTES, -(-need.bytes * 5 // 4 // BLOCK_BYTES) * BLOCK_BYTES)
    if disk_bytes > LARGEST_DISK:
        raise InputError(
            f"{need.bytes >> 20:,} MB of files: a guest's disk of memory has at most "
            f"{LARGEST_DISK >> 20:,} MB; give fewer files or processes, or smaller --size"
        )
    # a file is in memory twice, on the disk and in the page cache; a stream three times
    memory_mb = SYSTEM_MB + (2 * need.bytes + 3 * sum(map(len, work.streams)) >> 20)
    disk = None
    if settings.file_system == "ext2":
        disk = empty_ext2(disk_bytes, max(INODES, 2 * need.files), block_bytes)
    return Guest(settings.processes, work.streams, work.shared, disk, disk_bytes), max(MEMORY_MB, memory_mb)


def _modules(kernel: Kernel, file_system: FileSystem) -> list[Module]:
    """Return the modules that a guest loads: those of the file system, or all that were given one by one."""
    if kernel.modules is None:
        return []
    if kernel.all_modules:
        return kernel.modules.order_all()
    wanted = ("brd", "fs-ext2") if file_system == "ext2" else ()
    return kernel.modules.order([each for each in wanted if kernel.modules.find(each) is not None])


def _tasks(
    qemu: Qemu, kernel: Kernel, path: Path, line: str, work: Work, memory_mb: int, settings: Settings
) -> Iterator[Task]:
    for cpus in settings.points:
        machine = Machine(cpus, memory_mb, settings.quantum)

        def make(messages: int, machine: Machine = machine) -> list[str]:
            return command(qemu, machine, kernel.image.path, kernel.image.bits, path, line, messages)

        yield Task(cpus, make, environment(qemu), work.calls * settings.processes)


def _jobs(asked: int, memory_mb: int) -> int:
    """Return how many guests may run at once, by the host's memory. Raises `InputError` if not even one."""
    available_mb = memory_available() >> 20
    if available_mb < memory_mb:
        raise InputError(
            f"a guest has {memory_mb:,} MB and only {available_mb:,} MB of memory are available: "
            "end other programs, or give fewer files"
        )
    return min(asked, available_mb // memory_mb)


def _record(
    guests: Sequence[RunningGuest], qemu: Qemu, kernel: Kernel, settings: Settings, memory_mb: int, line: str,
    modules: Sequence[Module],
) -> SimulatorRecord:  # fmt: skip
    said = guests[0].facts

    def fact(name: str) -> str | None:
        return said[name][0] if said.get(name) else None

    return SimulatorRecord(
        qemu=qemu.version,
        cpu_model=CPU_MODELS[kernel.image.bits],
        quantum=settings.quantum,
        memory_mb=memory_mb,
        command_line=fact("command") or line,
        kernel=fact("version") or kernel.image.version,
        file_system=fact("mounted") or settings.file_system,
        linear_directories=True if settings.file_system == "ext2" else None,
        security=fact("security"),
        modules=tuple(module.name for module in modules),
        guest_clock="simulated" if all(guest.end and guest.end.clock for guest in guests) else "host",
    )
