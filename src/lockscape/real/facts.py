"""What is known of this host: what its figures depend on, read from /proc and /sys and changed in nothing."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lockscape.errors import InputError

PROC, SYS = Path("/proc"), Path("/sys")
"""Where Linux tells about itself."""

_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")

_LONGEST_FACT = 1 << 16


class HostFacts(msgspec.Struct, frozen=True):
    """The host. `processors`: those that this process may use; `online`: how many there are.

    `cpu_quota`: the share of processors' time that a control group allows, in processors, None for no limit.
    `threads`: groups of the usable processors that share a core. `governor` and `mitigations` as the kernel
    says them, None or empty if it does not. `scheduling`: the policy that the processes run under, with their
    niceness or priority: other 0, rr 1. `load`: the load average of the last minute, at the beginning.
    """

    kernel: str
    kernel_version: str
    machine: str
    cpu: str
    virtual_machine: bool
    online: int
    processors: tuple[int, ...]
    cpu_quota: float | None
    threads: tuple[tuple[int, ...], ...]
    governor: str | None
    mitigations: dict[str, str]
    memory_bytes: int
    scheduling: str
    load: float


class FileSystem(msgspec.Struct, frozen=True):
    """The file system of the runs: its kind, where it is mounted, its options, its block size in bytes."""

    kind: str
    mounted_on: str
    options: str
    block_bytes: int

    @property
    def in_memory(self) -> bool:
        """Whether its files lie in memory only."""
        return self.kind in _MEMORY_FILE_SYSTEMS


def check_host() -> None:
    """Raise InputError where this is no Linux."""
    if platform.system() != "Linux":
        raise InputError(f"real runs need Linux, this is {platform.system()}: run it on a Linux host")


def host_facts() -> HostFacts:
    """Return the facts about this host."""
    usable = tuple(sorted(os.sched_getaffinity(0)))
    cpu = dict(_pairs(_text(PROC / "cpuinfo"), ":"))
    named = platform.uname()
    return HostFacts(
        kernel=named.release,
        kernel_version=named.version,
        machine=named.machine,
        cpu=cpu.get("model name") or cpu.get("Processor") or named.machine,
        virtual_machine="hypervisor" in cpu.get("flags", "").split(),
        online=os.cpu_count() or len(usable),
        processors=usable,
        cpu_quota=cpu_quota(),
        threads=_threads(usable),
        governor=_text(_processor(usable[0]) / "cpufreq/scaling_governor") or None,
        mitigations=dict(_mitigations()),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        scheduling=_scheduling(),
        load=os.getloadavg()[0],
    )


def _scheduling() -> str:
    """Return the policy of this process, which those that it starts have too."""
    policies = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle",
                os.SCHED_FIFO: "fifo", os.SCHED_RR: "rr"}  # fmt: skip
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    priority = os.sched_getparam(0).sched_priority or os.getpriority(os.PRIO_PROCESS, 0)
    return f"{policies.get(policy, policy)} {priority}"


def memory_available() -> int:
    """Return the bytes of memory that programs may still use, by the kernel's own estimate."""
    found = dict(_pairs(_text(PROC / "meminfo"), ":")).get("MemAvailable", "")
    return int(found.split()[0]) * 1024 if found else 0


def cpu_quota() -> float | None:
    """Return how many processors' time the control groups of this process allow, None for no limit."""
    found = []
    for line in _text(PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [_quota(folder, "") for folder in _upwards(SYS / "fs/cgroup", path)]
        elif "cpu" in controllers.split(","):
            found += [_quota(folder, controllers) for folder in _upwards(SYS / "fs/cgroup/cpu", path)]
    return min((each for each in found if each is not None), default=None)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """Yield the folders of a control group and those above it: each may limit it."""
    folder = root / path.lstrip("/")
    yield folder
    while folder != root and root in folder.parents:
        folder = folder.parent
        yield folder


def _quota(folder: Path, controllers: str) -> float | None:
    if controllers:  # the first version of control groups
        words = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
    else:
        words = _text(folder / "cpu.max").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or words[1] == "0":
        return None
    return int(words[0]) / int(words[1])


def file_system(folder: int) -> FileSystem:
    """Return the file system of an open directory."""
    found = os.fstat(folder)
    device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
    kind, mounted, options = "unknown", "", ""
    for line in _text(PROC / "self/mountinfo").splitlines():
        words = line.split(" ")
        if len(words) > 6 and words[2] == device and "-" in words:
            kind, mounted, options = words[words.index("-") + 1], _unescaped(words[4]), words[5]
    return FileSystem(kind, mounted, options, found.st_blksize)


def _unescaped(text: str) -> str:
    r"""Return a path of mountinfo, in which blanks are written as \040."""
    return text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", "\\")


def _threads(usable: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    groups: dict[str, list[int]] = {}
    for number in usable:
        siblings = _text(_processor(number) / "topology/thread_siblings_list")
        groups.setdefault(siblings or str(number), []).append(number)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _processor(number: int) -> Path:
    return SYS / f"devices/system/cpu/cpu{number}"


def _mitigations() -> Iterator[tuple[str, str]]:
    folder = SYS / "devices/system/cpu/vulnerabilities"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield path.name, _text(path)


def _pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, found, value = line.partition(separator)
        if found:
            yield name.strip(), value.strip()


def _text(path: Path) -> str:
    """Return a file of the kernel's, stripped; empty if there is none or it may not be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FACT).decode("utf-8", "replace").strip()
    except OSError:
        return ""
