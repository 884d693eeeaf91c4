"""Follows the processes in a strace with their descriptors, directories and mappings.

What is here knows what a process has; `lockscape.workloads.strace_calls` knows what each call does to that.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lockscape.workloads.strace import Call, Log

SPECIAL = ("/dev", "/proc", "/sys")
"""File systems whose files are none."""

UNKNOWN_HOME = "/started-here"
"""The directory in which a process began that never asks for its name."""

_FD = re.compile(r"(-?\d{1,9})(?:<.*>)?", re.ASCII | re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.ASCII | re.DOTALL)

NO_CALL, SPECIAL_FILE, NO_FILE, FAILED, NOT_OURS, SAME_FILE, NOT_TRACED, THERE, NOT_A_CHILD, NO_SIGNALS = (
    "the simulated kernel has no such call", "a special file", "not a file that was opened in the trace",
    "failed, and takes no name", "a mapping that was not made in the trace",
    "other descriptors stand for the same open file", "makes a process that is not in the trace",
    "makes a process that was there before", "waits for nobody who ended, or not for a child of its own",
    "signals are not sent",
)  # fmt: skip
"""Reasons for which a call is not replayed."""


@dataclass(eq=False)
class Opened:
    """An open file, or an end of the pipe with a number from 1.

    `offset`: where the next read or write begins, as the trace has it.
    """

    path: str
    how: frozenset[str] = frozenset()
    offset: int = 0
    is_directory: bool = False
    pipe: int = 0
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call does. `path` (and `other`, a second one) or `file`; `at`: offset, -1 for where the file is.

    `found`: whether what it names was there; `think_us` of computation come before it. `process` did it, a
    number from 0; `amount` is another process where one is made or waited for. `second`: the end of a new
    pipe that is written to. `call`: the call that is replayed by this; empty where another operation is that.
    """

    kind: str
    process: int
    path: str = ""
    other: str = ""
    file: Opened | None = None
    second: Opened | None = None
    amount: int = 0
    at: int = -1
    found: bool = True
    think_us: int = 0
    call: str = ""


@dataclass(eq=False)
class Context:
    """What the threads of a process share. `fds` with whether exec closes them; `maps` by address.

    `shared`: there are several threads, or were.
    """

    home: str
    fds: dict[int, tuple[Opened, bool]] = field(default_factory=dict)
    maps: dict[int, int] = field(default_factory=dict)
    shared: bool = False

    def copy(self) -> "Context":
        """Return what a process has that is made by one which has this."""
        return Context(self.home, dict(self.fds), dict(self.maps))


@dataclass
class Followed:
    """Operations in the order of the trace; `replayed` calls by name, `left` by name and reason.

    `makers`: who made each process, by its number; `threads`: how many share their maker's memory or files.
    """

    operations: list[Operation] = field(default_factory=list)
    replayed: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    makers: list[int | None] = field(default_factory=list)
    threads: int = 0
    own_us: int = 0

    def leave(self, operation: Operation, why: str) -> None:
        """An operation that was followed is not replayed after all."""
        if operation.call:
            self.replayed[operation.call] -= 1
            self.left[operation.call, why] += 1


class LeftError(Exception):
    """A call that is not replayed; its text is the reason."""


class Follower:
    """Keeps what each process of a trace has. A process is known by its number, given as they are met."""

    def __init__(self, log: Log, own_us: int) -> None:
        self.done = Followed(own_us=own_us)
        self.numbers: dict[int, int] = {}
        self.contexts: dict[int, Context] = {}
        self.ready: dict[int, int] = {}
        self.thought: Counter[int] = Counter()
        self.mappings = self.pipes = 0
        self.homes = {pid: _home(calls) for pid, calls in log.calls.items()}
        self.unwaited: dict[tuple[int, int], int] = {}
        """Children by their makers and the numbers that these know them by."""

    def process(self, pid: int) -> int:
        """Return the process that has a number now; one that nobody has made was there before."""
        if pid not in self.numbers:
            self.enter(pid, None, Context(self.homes[pid]))
        return self.numbers[pid]

    def enter(self, pid: int, maker: int | None, context: Context) -> int:
        """Give a process its number."""
        number = self.numbers[pid] = len(self.done.makers)
        self.done.makers.append(maker)
        self.contexts[number] = context
        return number

    def emit(self, operation: Operation) -> None:
        """Add an operation, after what its process has computed since the last one."""
        thought = self.thought.pop(operation.process, 0)
        self.done.operations.append(replace(operation, think_us=thought))

    def beget(self, process: int, call: Call) -> int:
        """A process begins: a thread with the same descriptors, or one with copies of them."""
        pid, context = call.result or 0, self.contexts[process]
        if pid not in self.homes:
            raise LeftError(NOT_TRACED)
        if pid in self.numbers:
            raise LeftError(THERE)
        flags = " ".join(call.arguments)
        context.shared |= "CLONE_FILES" in flags
        child = self.enter(pid, process, context if "CLONE_FILES" in flags else context.copy())
        self.unwaited[process, pid] = child
        self.done.threads += "CLONE_THREAD" in flags or "CLONE_FILES" in flags
        return child

    def leave(self, pid: int) -> None:
        """A process ends; its number may be another's later."""
        del self.contexts[self.numbers.pop(pid)]

    def hold(self, process: int, fd: int, file: Opened, closes: bool) -> Iterator[Operation]:
        """Let a descriptor stand for an open file; what it stood for before is closed."""
        yield from self.drop(process, fd)
        self.contexts[process].fds[fd] = (file, closes)

    def drop(self, process: int, fd: int, call: str = "") -> Iterator[Operation]:
        """Close a descriptor; the open file is closed, by all threads that may have it, with the last one."""
        context = self.contexts[process]
        known = context.fds.pop(fd, None)
        if known is None:
            return
        file = known[0]
        if any(other is file for other, _ in context.fds.values()):
            if call:
                raise LeftError(SAME_FILE)
            return
        yield Operation("close", process, file=file, call=call)
        for other, its in self.contexts.items() if context.shared else ():
            if its is context and other != process:
                yield Operation("close", other, file=file)

    def duplicate(self, process: int, old: int, new: int, closes: bool) -> Iterator[Operation]:
        """Let a descriptor stand for the same open file as another."""
        known = self.contexts[process].fds.get(old)
        if old == new:
            return
        if known is not None:
            yield from self.hold(process, new, known[0], closes)
        else:
            yield from self.drop(process, new)

    def execute(self, process: int) -> Iterator[Operation]:
        """Close what exec closes; threads share nothing with the program any more."""
        if self.contexts[process].shared:
            self.contexts[process] = self.contexts[process].copy()
        for fd in [fd for fd, (_, closes) in self.contexts[process].fds.items() if closes]:
            yield from self.drop(process, fd)

    def path(self, process: int, call: Call, place: int, base: int = -1) -> str:
        """Return the whole path of an argument, from another argument's directory or the process' own."""
        texts = call.arguments
        text = _TEXT.match(texts[place]) if place < len(texts) else None
        if text is None:
            raise LeftError(FAILED if call.error else NO_FILE)
        context = self.contexts[process]
        home = context.home
        if base >= 0 and not texts[base].startswith("AT_FDCWD") and not text[1].startswith("/"):
            known = context.fds.get(descriptor(texts, base))
            if known is None or known[0].pipe:
                raise LeftError(NO_FILE)
            home = known[0].path
        whole = posixpath.normpath(posixpath.join(home, text[1]))
        whole = "/" + whole.lstrip("/")
        if whole == "/" or any(whole == each or whole.startswith(each + "/") for each in SPECIAL):
            raise LeftError(SPECIAL_FILE)
        return whole

    def file(self, process: int, call: Call, pipes: bool = False) -> Opened:
        """Return the open file of the first argument. `pipes`: it may be an end of a pipe."""
        known = self.contexts[process].fds.get(descriptor(call.arguments, 0))
        if known is None:
            raise LeftError(NO_FILE)
        if known[0].pipe and not pipes:
            raise LeftError(FAILED)
        return known[0]


def _home(calls: list[Call]) -> str:
    """Return the directory in which a process began, from the first answer to where it is."""
    for call in calls:
        if call.name in ("chdir", "fchdir") and not call.error:
            break
        if call.name == "getcwd" and call.arguments and (text := _TEXT.match(call.arguments[0])):
            return text[1] or UNKNOWN_HOME
    return UNKNOWN_HOME


def descriptor(arguments: tuple[str, ...], place: int) -> int:
    """Return an argument that is a descriptor, or -1."""
    found = _FD.fullmatch(arguments[place]) if place < len(arguments) else None
    return int(found[1]) if found else -1
