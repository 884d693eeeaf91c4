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
    files = 800             # that are there at the beginning, numbered from 1
    file_bytes = 0          # of each of them
    names = 1000            # that operations draw from, evenly
    bytes = 16384           # written or read at most; drawn evenly
    memory_pages = 0        # of each kernel: when that is little, pages of processes go to disk; 0: enough
    think_cycles = 10000    # of computation before each operation at most; drawn evenly

    [mix]                   # operations with their weights
    create = 1
    read = 2
    run = 1                 # make a child, which does what follows, and wait until it has ended

    [child]                 # see `lockscape.workloads.children.Child`
    program_bytes = 100000  # of the program that it executes
    operations = 3

    [child.mix]
    read = 1

    [network]               # with serve in the mix, see `lockscape.workloads.serving.Network`
    reply_bytes = 10000

Operations on files go through the C library's buffered streams, as PostMark's do.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.inputs import read_file
from lockscape.kernel.entry import IOCTL, READLINK
from lockscape.workloads.chat import Chat
from lockscape.workloads.children import DO_RUN, Child, check_mix, with_children
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import Stream
from lockscape.workloads.serving import DO_SERVE, Network, serving
from lockscape.workloads.stress import DO_BRK, DO_FSYNC, DO_RENAME, DO_STAT, DO_YIELD, stress_streams
from lockscape.workloads.user import DO_APPEND, DO_CREATE, DO_DELETE, DO_MKDIR, DO_READ, DO_RMDIR, FIRST_CALL
from lockscape.workloads.watch import Watch

OPERATIONS = {
    "create": DO_CREATE, "append": DO_APPEND, "read": DO_READ, "delete": DO_DELETE, "stat": DO_STAT,
    "mkdir": DO_MKDIR, "rmdir": DO_RMDIR, "grow": DO_BRK, "fsync": DO_FSYNC,
    "rename": DO_RENAME, "yield": DO_YIELD, "run": DO_RUN, "readlink": FIRST_CALL + READLINK,
    "ioctl": FIRST_CALL + IOCTL, "serve": DO_SERVE,
}  # fmt: skip
"""What a mix may name: operations on whole files, ``grow``: more memory by brk, ``fsync``: append and wait
until it is on disk, ``rename``: to another of the names, ``yield``: let others run first, ``run``: make a
child, which becomes a program, and wait for its end, ``readlink``: ask where a name leads to, ``ioctl``: ask
a device for what it does not know, and ``serve``: take a request of the process' client in the outside world
and answer it."""

_MOST_ROWS = 10_000_000
_MOST_WEIGHT = 1000

Many = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
"""How many, one at least."""
Some = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""How many, or none."""


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mix"):
    """A workload as its file says it; see the module. `lacks` says what the real thing does besides."""

    title: str
    evidence: tuple[str, ...]
    processes: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    operations: Many
    mix: dict[str, Annotated[int, msgspec.Meta(ge=1, le=_MOST_WEIGHT)]]
    lacks: tuple[str, ...] = ()
    seed: Some = 1
    shared: bool = False
    directories: Some = 0
    files: Some = 0
    file_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)] = 0
    names: Many = 100
    bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 4096
    think_cycles: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    memory_pages: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 0
    child: Child | None = None
    network: Network | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn, or is said without evidence."""
        if not self.mix:
            raise ValueError(f"mix names no operation: use {', '.join(OPERATIONS)}")
        children = self.child.levels() if self.child is not None else []
        for name in [*self.mix, *(name for child in children for name in child.mix)]:
            if name not in OPERATIONS:
                raise ValueError(unknown("operation", name, OPERATIONS))
        check_mix(self.mix, self.child, needed=True)
        if ("serve" in self.mix) != (self.network is not None) or any("serve" in c.mix for c in children):
            raise ValueError("serve = … in the mix and [network] belong together, and children do not serve")
        if not any(text.strip() for text in self.evidence):
            raise ValueError("evidence is empty: say where the mix comes from")
        inside = self.child.most_rows() if self.child is not None else 1
        if self.processes * self.operations * inside > _MOST_ROWS:
            rows = self.processes * self.operations * inside
            raise ValueError(f"{rows:,} operations in all: at most {_MOST_ROWS:,}")

    def changed(self, **changes: int) -> "Workload":
        """Return the workload with some settings changed. Raises `InputError` for what cannot be drawn."""
        try:
            return msgspec.structs.replace(self, **changes)
        except ValueError as error:
            raise InputError(str(error)) from error

    def streams(self) -> list[Stream]:
        """Return what each process does: the same on every computer."""
        kinds = [OPERATIONS[name] for name, weight in self.mix.items() for _ in range(weight)]
        streams = stress_streams(
            self.operations, self.names, self.seed, [kinds] * self.processes, self.directories, self.bytes,
            self.think_cycles,
        )  # fmt: skip
        if self.child is not None:
            streams = self._with_children(streams)
        if self.network is not None:
            streams = [Stream(serving(each.rows, self.network, k)) for k, each in enumerate(streams)]
        return streams

    def _with_children(self, streams: list[Stream]) -> list[Stream]:
        assert self.child is not None
        return [
            Stream(
                with_children(
                    each.rows,
                    self.child,
                    OPERATIONS,
                    self.names,
                    self.directories,
                    self.seed + (k + 1) * 104_729,
                )
            )
            for k, each in enumerate(streams)
        ]

    @property
    def empty_files(self) -> int:
        """Return how many files of each directory are empty at the beginning."""
        return 0 if self.file_bytes else self.files

    def tree(self) -> list[Node]:
        """Return the files with something in them that each directory has: and behind all names, programs."""
        children = self.child.levels() if self.child is not None else []
        programs = [Node((), self.names + k, False, c.program_bytes) for k, c in enumerate(children, 1)]
        full = range(1, self.files + 1) if self.file_bytes else ()
        return [*(Node((), name, False, self.file_bytes) for name in full), *programs]


def workload_names() -> list[str]:
    """Return the names of the workloads that come with lockscape as files."""
    folder = resources.files("lockscape.workloads") / "data"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def named_workload(name: str, others: tuple[str, ...] = ()) -> Workload | Chat | Watch:
    """Return a workload by name, or from a file of the user's, ``….toml``.

    Raises `InputError` for an unknown name, naming the nearest, among `others` too.
    """
    if name.endswith(".toml"):
        try:
            return parse_workload(read_file(Path(name)).decode(), name)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: cannot be read as a workload: {error}") from error
    if name not in workload_names():
        raise InputError(
            unknown("workload", name, [*workload_names(), *others]) + ", or your own FILE.toml or trace:FILE"
        )
    return parse_workload(
        (resources.files("lockscape.workloads") / "data" / f"{name}.toml").read_text("utf-8"), name
    )


def parse_workload(text: str, name: str) -> Workload | Chat | Watch:
    """Parse a workload's file. Raises `InputError`, naming it, for text that is none."""
    try:
        data = tomllib.loads(text)
        return msgspec.convert({"type": "mix", **data}, Workload | Chat | Watch)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{name}: not a workload: {error}") from error
