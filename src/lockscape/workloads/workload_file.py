"""Workloads of your own: a TOML file says how many processes draw which operations on which files.

A file looks like this::

    title = "A mail server"
    evidence = ["where the mix comes from"]     # required: a mix without evidence says nothing
    lacks = ["what the real thing does besides"]
    processes = 16
    operations = 250        # of each process
    seed = 1
    shared = true           # all processes in one directory, or each in its own
    directories = 0         # further names, of directories, in which then half of the files are
    files = 800             # that are there at the beginning, empty, numbered from 1
    names = 1000            # that operations draw from, evenly
    bytes = 16384           # written or read at most; drawn evenly
    think_cycles = 10000    # of computation before each operation at most; drawn evenly

    [mix]                   # operations with their weights
    create = 1
    read = 2

Operations on files go through the C library's buffered streams, as PostMark's do.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.workloads.load import Stream
from lockscape.workloads.stress import DO_BRK, DO_FSYNC, DO_RENAME, DO_STAT, DO_YIELD, stress_streams
from lockscape.workloads.user import DO_APPEND, DO_CREATE, DO_DELETE, DO_MKDIR, DO_READ, DO_RMDIR

OPERATIONS = {
    "create": DO_CREATE, "append": DO_APPEND, "read": DO_READ, "delete": DO_DELETE, "stat": DO_STAT,
    "mkdir": DO_MKDIR, "rmdir": DO_RMDIR, "grow": DO_BRK, "fsync": DO_FSYNC,
    "rename": DO_RENAME, "yield": DO_YIELD,
}  # fmt: skip
"""What a mix may name: operations on whole files, ``grow``: more memory by brk,
``fsync``: append and wait until it is on disk, ``rename``: to another of the names, and ``yield``: let others
run first."""

MOST_ROWS = 10_000_000
MOST_WEIGHT = 1000

Many = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Some = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mix"):
    """A workload as its file says it; see the module. `lacks` says what the real thing does besides."""

    title: str
    evidence: tuple[str, ...]
    processes: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    operations: Many
    mix: dict[str, Annotated[int, msgspec.Meta(ge=1, le=MOST_WEIGHT)]]
    lacks: tuple[str, ...] = ()
    seed: Some = 1
    shared: bool = False
    directories: Some = 0
    files: Some = 0
    names: Many = 100
    bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 4096
    think_cycles: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, or is said without evidence."""
        if not self.mix:
            raise ValueError(f"mix names no operation: use {', '.join(OPERATIONS)}")
        for name in self.mix:
            if name not in OPERATIONS:
                raise ValueError(unknown("operation", name, OPERATIONS))
        if not any(text.strip() for text in self.evidence):
            raise ValueError("evidence is empty: say where the mix comes from")
        if self.processes * self.operations > MOST_ROWS:
            raise ValueError(f"{self.processes * self.operations:,} operations in all: at most {MOST_ROWS:,}")

    def changed(self, **changes: int) -> "Workload":
        """Return the workload with some settings changed. Raises `InputError` for what cannot be drawn."""
        try:
            return msgspec.structs.replace(self, **changes)
        except ValueError as error:
            raise InputError(str(error)) from error

    def streams(self) -> list[Stream]:
        """Return what each process does: the same on every computer."""
        kinds = [OPERATIONS[name] for name, weight in self.mix.items() for _ in range(weight)]
        return stress_streams(
            self.operations, self.names, self.seed, [kinds] * self.processes, self.directories, self.bytes,
            self.think_cycles,
        )  # fmt: skip


def workload_names() -> list[str]:
    """Return the names of the workloads that come with lockscape as files."""
    folder = resources.files("lockscape.workloads") / "data"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def named_workload(name: str, others: tuple[str, ...] = ()) -> Workload:
    """Return a workload by name, or from a file of the user's, ``….toml``.

    Raises `InputError` for an unknown name, naming the nearest, among `others` too.
    """
    if name.endswith(".toml"):
        try:
            return parse_workload(Path(name).read_text("utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: cannot be read as a workload: {error}") from error
    if name not in workload_names():
        raise InputError(
            unknown("workload", name, [*workload_names(), *others]) + ", or your own FILE.toml or trace:FILE"
        )
    return parse_workload(
        (resources.files("lockscape.workloads") / "data" / f"{name}.toml").read_text("utf-8"), name
    )


def parse_workload(text: str, name: str) -> Workload:
    """Parse a workload's file. Raises `InputError`, naming it, for text that is none."""
    try:
        return msgspec.convert(tomllib.loads(text), Workload)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{name}: not a workload: {error}") from error
