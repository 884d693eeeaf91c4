"""Follows the descriptors, directories and mappings of the processes in a strace, call by call.

What comes out are operations on whole paths and on open files, which a replay can do in another file system.
What cannot be followed is counted, by call and reason.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from lockscape.workloads.strace import BEGETTING, Call, Log

SPECIAL = ("/dev", "/proc", "/sys")
"""File systems whose files are none."""

UNKNOWN_HOME = "/started-here"
"""The directory in which a process began that never asks for its name."""

_FD = re.compile(r"(-?\d{1,9})(?:<.*>)?", re.ASCII | re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.ASCII | re.DOTALL)
_SIZE = re.compile(r"st_size=(\d{1,15})", re.ASCII)

NO_CALL, SPECIAL_FILE, NO_FILE, FAILED, NOT_OURS = (
    "the simulated kernel has no such call", "a special file", "not a file that was opened in the trace",
    "failed, and takes no name", "a mapping that was not made in the trace",
)  # fmt: skip
"""Reasons for which a call is not replayed."""


@dataclass(eq=False)
class Opened:
    """An open file. `offset`: where the next read or write begins, as the trace has it."""

    path: str
    how: frozenset[str] = frozenset()
    offset: int = 0
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call does. `path` (and `other`, a second one) or `file`; `at`: offset, -1 for where the file is.

    `found`: whether what it names was there; `think_us` of computation come before it, and `pid` did it.
    """

    kind: str
    pid: int
    path: str = ""
    other: str = ""
    file: Opened | None = None
    amount: int = 0
    at: int = -1
    found: bool = True
    think_us: int = 0


@dataclass(eq=False)
class _Context:
    """What the threads of a process share. `fds` with whether exec closes them; `maps` by address."""

    home: str
    fds: dict[int, tuple[Opened, bool]] = field(default_factory=dict)
    maps: dict[int, int] = field(default_factory=dict)

    def copy(self) -> "_Context":
        return _Context(self.home, dict(self.fds))


@dataclass
class Followed:
    """Operations in the order of the trace; `replayed` calls by name, `left` by name and reason."""

    operations: list[Operation] = field(default_factory=list)
    replayed: Counter[str] = field(default_factory=Counter)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    own_us: int = 0


class _LeftError(Exception):
    """A call that is not replayed; its text is the reason."""


_ALONE = {
    "sync": "sync", "sched_yield": "yield", "ioctl": "ioctl", "time": "time", "gettimeofday": "time",
    "clock_gettime": "time",
}  # fmt: skip
"""Calls that name nothing."""


def follow(log: Log) -> Followed:
    """Follow all processes of a trace, in the order in which their calls began."""
    follower = _Follower(log)
    order = sorted(
        (
            (call.begun_us, pid, number)
            for pid, calls in log.calls.items()
            for number, call in enumerate(calls)
        )
    )
    last = {pid: len(calls) - 1 for pid, calls in log.calls.items()}
    for _, pid, number in order:
        follower.call(pid, log.calls[pid][number], number == last[pid])
    return follower.done


def own_time_us(log: Log) -> int:
    """Return what strace itself takes between two calls: a tenth of all gaps are not longer."""
    gaps = sorted(
        max(0, after.begun_us - before.end_us)
        for calls in log.calls.values()
        for before, after in pairwise(calls)
    )
    return gaps[len(gaps) // 10] if gaps else 0


class _Follower:
    def __init__(self, log: Log) -> None:
        self.done = Followed(own_us=own_time_us(log))
        self.contexts: dict[int, _Context] = {}
        self.ready: dict[int, int] = {}
        self.thought: Counter[int] = Counter()
        self.mappings = 0
        self.homes = {pid: _home(calls) for pid, calls in log.calls.items()}

    def context(self, pid: int) -> _Context:
        if pid not in self.contexts:
            self.contexts[pid] = _Context(self.homes[pid])
        return self.contexts[pid]

    def call(self, pid: int, call: Call, is_last: bool) -> None:
        """Follow one call."""
        if pid in self.ready:
            self.thought[pid] += max(0, call.begun_us - self.ready[pid] - self.done.own_us)
        self.ready[pid] = call.end_us
        try:
            for operation in self.operations(pid, call):
                self.emit(operation)
            self.done.replayed[call.name] += 1
        except _LeftError as why:
            self.done.left[call.name, str(why)] += 1
        if is_last:
            self.leave(pid)

    def emit(self, operation: Operation) -> None:
        """Add an operation, after what its process has computed since the last one."""
        self.done.operations.append(replace(operation, think_us=self.thought.pop(operation.pid, 0)))

    def leave(self, pid: int) -> None:
        """A process ends: what it had open and mapped is given back, unless a thread still has it."""
        context = self.contexts.pop(pid, None)
        if context is not None and all(other is not context for other in self.contexts.values()):
            self.give_back(pid, context, [*context.fds])

    def give_back(self, pid: int, context: _Context, fds: list[int]) -> None:
        for fd in fds:
            self.emit(Operation("close", pid, file=context.fds.pop(fd)[0]))
        for number in context.maps.values():
            self.emit(Operation("munmap", pid, amount=number))
        context.maps.clear()

    def operations(self, pid: int, call: Call) -> Iterator[Operation]:
        """Yield what a call does. Raises `_LeftError` if that is nothing that can be replayed."""
        name, context = call.name, self.context(pid)
        if name in BEGETTING and call.result is not None and call.result > 0:
            yield from self.beget(call, context)
            raise _LeftError(NO_CALL)
        if name in _OF_PATHS:
            yield from _OF_PATHS[name](self, pid, call)
        elif name in _OF_FILES:
            yield from _OF_FILES[name](self, pid, call)
        elif name in ("exit", "exit_group"):
            return
        elif name in _ALONE:
            yield Operation(_ALONE[name], pid)
        else:
            yield from self.note(pid, call)
            raise _LeftError(NO_CALL)

    def beget(self, call: Call, context: _Context) -> Iterator[Operation]:
        """A process begins: a thread with the same descriptors, or one with copies of them."""
        child = call.result or 0
        if "CLONE_FILES" in " ".join(call.arguments):
            self.contexts[child] = context
        elif child in self.homes:
            self.contexts[child] = context.copy()
            for file, _ in context.fds.values():
                yield Operation("dup", child, file=file)

    def note(self, pid: int, call: Call) -> Iterator[Operation]:
        """Keep what calls without an operation change: the directory, copies of descriptors, exec."""
        context, arguments = self.context(pid), call.arguments
        if call.error or call.result is None:
            return
        if call.name == "chdir":
            context.home = self.path(pid, call, 0)
        elif call.name == "fchdir":
            context.home = self.file(pid, call).path
        elif call.name in ("dup", "dup2", "dup3"):
            yield from self.duplicate(pid, _fd(arguments, 0), call.result, "O_CLOEXEC" in arguments[-1])
        elif call.name in ("fcntl", "fcntl64") and len(arguments) > 1:
            if arguments[1].startswith("F_DUPFD"):
                yield from self.duplicate(pid, _fd(arguments, 0), call.result, "CLOEXEC" in arguments[1])
            elif arguments[1] == "F_SETFD" and (known := context.fds.get(_fd(arguments, 0))):
                context.fds[_fd(arguments, 0)] = (known[0], "FD_CLOEXEC" in arguments[-1])
        elif call.name == "execve":
            self.give_back(pid, context, [fd for fd, (_, closes) in context.fds.items() if closes])

    def duplicate(self, pid: int, old: int, new: int, closes: bool) -> Iterator[Operation]:
        """Let a descriptor stand for the same open file as another; what it stood for before is closed."""
        fds = self.context(pid).fds
        if old == new:
            return
        if new in fds:
            yield Operation("close", pid, file=fds.pop(new)[0])
        if old in fds:
            fds[new] = (fds[old][0], closes)
            yield Operation("dup", pid, file=fds[old][0])

    def path(self, pid: int, call: Call, place: int, base: int = -1) -> str:
        """Return the whole path of an argument, from another argument's directory or the process' own."""
        texts = call.arguments
        text = _TEXT.match(texts[place]) if place < len(texts) else None
        if text is None:
            raise _LeftError(FAILED if call.error else NO_FILE)
        context = self.context(pid)
        home = context.home
        if base >= 0 and not texts[base].startswith("AT_FDCWD") and not text[1].startswith("/"):
            known = context.fds.get(_fd(texts, base))
            if known is None:
                raise _LeftError(NO_FILE)
            home = known[0].path
        whole = posixpath.normpath(posixpath.join(home, text[1]))
        whole = "/" + whole.lstrip("/")
        if whole == "/" or any(whole == each or whole.startswith(each + "/") for each in SPECIAL):
            raise _LeftError(SPECIAL_FILE)
        return whole

    def file(self, pid: int, call: Call) -> Opened:
        """Return the open file of the first argument."""
        known = self.context(pid).fds.get(_fd(call.arguments, 0))
        if known is None:
            raise _LeftError(NO_FILE)
        return known[0]


def _home(calls: list[Call]) -> str:
    """Return the directory in which a process began, from the first answer to where it is."""
    for call in calls:
        if call.name in ("chdir", "fchdir") and not call.error:
            break
        if call.name == "getcwd" and call.arguments and (text := _TEXT.match(call.arguments[0])):
            return text[1] or UNKNOWN_HOME
    return UNKNOWN_HOME


def _fd(arguments: tuple[str, ...], place: int) -> int:
    found = _FD.fullmatch(arguments[place]) if place < len(arguments) else None
    return int(found[1]) if found else -1


def _flags(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


Translate = Callable[["_Follower", int, Call], Iterator[Operation]]
"""Yields the operations of a call."""


def _open(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    at = call.name == "openat"
    path_at = 1 if at else 0
    flags = call.arguments[path_at + 1] if len(call.arguments) > path_at + 1 else ""
    how = _flags("O_WRONLY|O_CREAT|O_TRUNC" if call.name == "creat" else flags)
    opened = not call.error and call.result is not None and call.result >= 0
    context = self.context(pid)
    try:
        path = self.path(pid, call, path_at, 0 if at else -1)
    except _LeftError:
        if opened:
            context.fds.pop(call.result or 0, None)
        raise
    if not opened:
        yield Operation("stat", pid, path, found=call.error not in ("ENOENT", "ENOTDIR"))
        return
    file = Opened(path, how, is_directory="O_DIRECTORY" in how)
    context.fds[call.result or 0] = (file, "O_CLOEXEC" in how)
    yield Operation("open", pid, path, file=file)


def _stat(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    at = call.name in ("newfstatat", "statx", "faccessat", "faccessat2")
    if at and len(call.arguments) > 1 and call.arguments[1] == '""':
        yield from _fstat(self, pid, call)
        return
    path = self.path(pid, call, 1 if at else 0, 0 if at else -1)
    found = call.error not in ("ENOENT", "ENOTDIR")
    directory = "S_IFDIR" in " ".join(call.arguments)
    yield Operation("stat", pid, path, found=found, amount=_size(call), other="/" if directory else "")


def _readlink(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    at = call.name == "readlinkat"
    path = self.path(pid, call, 1 if at else 0, 0 if at else -1)
    found = call.error not in ("ENOENT", "ENOTDIR")
    yield Operation("readlink", pid, path, found=found, amount=0 if call.error else call.result or 0)


def _named(kind: str, at: bool = False) -> Translate:
    def translate(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
        path = self.path(pid, call, 1 if at else 0, 0 if at else -1)
        what = "rmdir" if kind == "unlink" and "AT_REMOVEDIR" in call.arguments[-1] else kind
        if call.error:
            yield Operation("stat", pid, path, found=call.error not in ("ENOENT", "ENOTDIR"))
        else:
            yield Operation(what, pid, path)

    return translate


def _rename(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    at = call.name != "rename"
    old = self.path(pid, call, 1 if at else 0, 0 if at else -1)
    new = self.path(pid, call, 3 if at else 1, 2 if at else -1)
    if call.error:
        yield Operation("stat", pid, old, found=call.error not in ("ENOENT", "ENOTDIR"))
    else:
        yield Operation("rename", pid, old, new)


def _size(call: Call) -> int:
    found = _SIZE.search(" ".join(call.arguments))
    return int(found[1]) if found else 0


def _fstat(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    yield Operation("fstat", pid, file=self.file(pid, call), amount=_size(call))


def _close(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    file = self.file(pid, call)
    del self.context(pid).fds[_fd(call.arguments, 0)]
    yield Operation("close", pid, file=file)


def _transfer(kind: str, positioned: bool) -> Translate:
    def translate(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
        file = self.file(pid, call)
        if call.error or call.result is None:
            raise _LeftError(FAILED)
        at = file.offset
        if positioned and call.arguments[-1].isdigit():
            at = int(call.arguments[-1])
        else:
            file.offset += call.result
        yield Operation(kind, pid, file=file, amount=call.result, at=at)

    return translate


def _lseek(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    file = self.file(pid, call)
    if call.error or call.result is None:
        raise _LeftError(FAILED)
    file.offset = call.result
    yield Operation("lseek", pid, file=file, at=call.result)


def _of_file(kind: str) -> Translate:
    def translate(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
        yield Operation(kind, pid, file=self.file(pid, call))

    return translate


def _mmap(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    if call.error or not call.result:
        raise _LeftError(FAILED)
    self.mappings += 1
    self.context(pid).maps.setdefault(call.result, self.mappings)
    if self.context(pid).maps[call.result] != self.mappings:
        raise _LeftError("over a mapping that is there")
    yield Operation("mmap", pid, amount=self.mappings)


def _munmap(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    place = call.arguments[0] if call.arguments else ""
    number = self.context(pid).maps.pop(int(place, 16), 0) if re.fullmatch("0x[0-9a-f]{1,16}", place) else 0
    if not number:
        raise _LeftError(NOT_OURS)
    yield Operation("munmap", pid, amount=number)


def _brk(self: _Follower, pid: int, call: Call) -> Iterator[Operation]:
    yield Operation("brk", pid, amount=call.result or 0)


_OF_PATHS: dict[str, Translate] = {
    "open": _open, "openat": _open, "creat": _open,
    **dict.fromkeys(("stat", "lstat", "stat64", "lstat64", "access", "newfstatat", "statx", "faccessat",
                     "faccessat2"), _stat),
    "unlink": _named("unlink"), "unlinkat": _named("unlink", True), "rmdir": _named("rmdir"),
    "mkdir": _named("mkdir"), "mkdirat": _named("mkdir", True),
    "readlink": _readlink, "readlinkat": _readlink,
    "rename": _rename, "renameat": _rename, "renameat2": _rename,
}  # fmt: skip

_OF_FILES: dict[str, Translate] = {
    "close": _close, "fstat": _fstat, "fstat64": _fstat, "lseek": _lseek, "fsync": _of_file("fsync"),
    "fdatasync": _of_file("fsync"), "read": _transfer("read", False), "readv": _transfer("read", False),
    "pread64": _transfer("read", True), "write": _transfer("write", False),
    "writev": _transfer("write", False), "pwrite64": _transfer("write", True), "mmap": _mmap, "mmap2": _mmap,
    "munmap": _munmap, "brk": _brk,
}  # fmt: skip

REPLAYED = frozenset({*_OF_PATHS, *_OF_FILES, *_ALONE})
"""Calls that can be replayed."""
