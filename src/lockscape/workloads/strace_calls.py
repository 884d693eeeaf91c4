"""What each call in a strace does, as operations on whole paths, open files and processes.

A replay can do these in another file system and kernel. What cannot be followed is counted, by call and
reason.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from lockscape.kernel.signals import DEFAULT, HANDLE, IGNORE
from lockscape.workloads.strace import BEGETTING, Call, Log
from lockscape.workloads.strace_files import (
    FAILED,
    NO_CALL,
    NO_SIGNALS,
    NOT_A_CHILD,
    NOT_OURS,
    Followed,
    Follower,
    LeftError,
    Opened,
    Operation,
    descriptor,
)

MOST_SLEEP_US = 50_000_000
"""A longer sleep is left out: a run is given up when nothing happens for twice that time."""

_SIZE = re.compile(r"st_size=(\d{1,15})", re.ASCII)
_PAIR = re.compile(r"\[(\d{1,9})(?:<[^>]*>)?, (\d{1,9})(?:<[^>]*>)?\]", re.ASCII)
_WHO = re.compile(r"si_pid=(\d{1,10})", re.ASCII)

_AT_THEIR_END = frozenset({"wait4", "waitpid", "waitid", "read", "readv"})
"""Calls that happen when they return, for they wait; others when they are made."""

_HANDLER = re.compile(r"\{sa_handler=(\w+)", re.ASCII)

_SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO", "PWR", "SYS",
)  # fmt: skip
"""Names of Linux' signals, from number 1 (arch/x86/include/uapi/asm/signal.h)."""

_ACTIONS = {"SIG_DFL": DEFAULT, "SIG_IGN": IGNORE}

_ALONE = {
    "sync": "sync", "sched_yield": "yield", "ioctl": "ioctl", "time": "time", "gettimeofday": "time",
    "clock_gettime": "time",
}  # fmt: skip
"""Calls that name nothing."""


def follow(log: Log) -> Followed:
    """Follow all processes of a trace, in the order in which their calls happened."""
    follower = Follower(log, own_time_us(log))
    order = []
    for pid, calls in log.calls.items():
        time = 0
        for number, call in enumerate(calls):
            time = max(time, call.end_us if call.name in _AT_THEIR_END else call.begun_us)
            order.append((time, pid, number))
    for _, pid, number in sorted(order):
        _call(follower, pid, log.calls[pid][number])
    return follower.done


def own_time_us(log: Log) -> int:
    """Return what strace itself takes between two calls: a tenth of all gaps are not longer."""
    gaps = sorted(
        max(0, after.begun_us - before.end_us)
        for calls in log.calls.values()
        for before, after in pairwise(calls)
    )
    return gaps[len(gaps) // 10] if gaps else 0


def _call(self: Follower, pid: int, call: Call) -> None:
    """Follow one call."""
    process = self.process(pid)
    if process in self.ready:
        self.thought[process] += max(0, call.begun_us - self.ready[process] - self.done.own_us)
    self.ready[process] = call.end_us
    try:
        for operation in _operations(self, process, call):
            self.emit(operation)
        self.done.replayed[call.name] += 1
    except LeftError as why:
        self.done.left[call.name, str(why)] += 1
    if call.name in ("exit", "exit_group"):
        self.leave(pid)


def _operations(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    """Yield what a call does. Raises `LeftError` if that is nothing that can be replayed."""
    name = call.name
    if name in _CALLS:
        yield from _CALLS[name](self, process, call)
    elif name in _ALONE:
        yield Operation(_ALONE[name], process, call=name)
    elif name not in ("exit", "exit_group"):
        yield from _note(self, process, call)
        raise LeftError(NO_SIGNALS if name in ("kill", "tkill", "tgkill") else NO_CALL)


def _note(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    """Keep what calls without an operation change: the directory, and copies of descriptors."""
    context, arguments = self.contexts[process], call.arguments
    if call.error or call.result is None:
        return
    if call.name == "chdir":
        context.home = self.path(process, call, 0)
    elif call.name == "fchdir":
        context.home = self.file(process, call).path
    elif call.name in ("dup", "dup2", "dup3"):
        closes = "O_CLOEXEC" in " ".join(arguments[-1:])
        yield from self.duplicate(process, descriptor(arguments, 0), call.result, closes)
    elif call.name in ("fcntl", "fcntl64") and len(arguments) > 1:
        fd = descriptor(arguments, 0)
        if arguments[1].startswith("F_DUPFD"):
            yield from self.duplicate(process, fd, call.result, "CLOEXEC" in arguments[1])
        elif arguments[1] == "F_SETFD" and (known := context.fds.get(fd)):
            context.fds[fd] = (known[0], "FD_CLOEXEC" in arguments[-1])
    elif call.name == "close_range" and "CLOEXEC" not in " ".join(arguments[-1:]):
        first, last = descriptor(arguments, 0), descriptor(arguments, 1)
        for fd in [fd for fd in context.fds if first <= fd and (last < 0 or fd <= last)]:
            yield from self.drop(process, fd)


def _flags(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


def _found(call: Call) -> bool:
    """Return whether what a call names was there."""
    return call.error not in ("ENOENT", "ENOTDIR")


Translate = Callable[[Follower, int, Call], Iterator[Operation]]
"""Yields the operations of a call."""


def _open(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    at = call.name == "openat"
    path_at = 1 if at else 0
    flags = call.arguments[path_at + 1] if len(call.arguments) > path_at + 1 else ""
    how = _flags("O_WRONLY|O_CREAT|O_TRUNC" if call.name == "creat" else flags)
    opened = not call.error and call.result is not None and call.result >= 0
    try:
        path = self.path(process, call, path_at, 0 if at else -1)
    except LeftError:
        if opened:
            yield from self.drop(process, call.result or 0)
        raise
    if not opened:
        yield Operation("stat", process, path, found=_found(call), call=call.name)
        return
    file = Opened(path, how, is_directory="O_DIRECTORY" in how)
    yield from self.hold(process, call.result or 0, file, "O_CLOEXEC" in how)
    yield Operation("open", process, path, file=file, call=call.name)


def _stat(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    at = call.name in ("newfstatat", "statx", "faccessat", "faccessat2")
    if at and len(call.arguments) > 1 and call.arguments[1] == '""':
        yield from _fstat(self, process, call)
        return
    path = self.path(process, call, 1 if at else 0, 0 if at else -1)
    directory = "/" if "S_IFDIR" in " ".join(call.arguments) else ""
    yield Operation(
        "stat", process, path, found=_found(call), amount=_size(call), other=directory, call=call.name
    )


def _readlink(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    at = call.name == "readlinkat"
    path = self.path(process, call, 1 if at else 0, 0 if at else -1)
    length = 0 if call.error else call.result or 0
    yield Operation("readlink", process, path, found=_found(call), amount=length, call=call.name)


def _named(kind: str, at: bool = False) -> Translate:
    def translate(self: Follower, process: int, call: Call) -> Iterator[Operation]:
        path = self.path(process, call, 1 if at else 0, 0 if at else -1)
        what = "rmdir" if kind == "unlink" and "AT_REMOVEDIR" in call.arguments[-1] else kind
        if call.error:
            yield Operation("stat", process, path, found=_found(call), call=call.name)
        else:
            yield Operation(what, process, path, call=call.name)

    return translate


def _rename(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    at = call.name != "rename"
    old = self.path(process, call, 1 if at else 0, 0 if at else -1)
    new = self.path(process, call, 3 if at else 1, 2 if at else -1)
    if call.error:
        yield Operation("stat", process, old, found=_found(call), call=call.name)
    else:
        yield Operation("rename", process, old, new, call=call.name)


def _size(call: Call) -> int:
    found = _SIZE.search(" ".join(call.arguments))
    return int(found[1]) if found else 0


def _fstat(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    file = self.file(process, call, pipes=True)
    yield Operation("fstat", process, file=file, amount=_size(call), call=call.name)


def _close(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    self.file(process, call, pipes=True)
    yield from self.drop(process, descriptor(call.arguments, 0), call.name)


def _transfer(kind: str, positioned: bool) -> Translate:
    def translate(self: Follower, process: int, call: Call) -> Iterator[Operation]:
        file = self.file(process, call, pipes=not positioned)
        if call.error or call.result is None or (file.pipe and file.writing != (kind == "write")):
            raise LeftError(FAILED)
        at = file.offset
        if positioned and call.arguments[-1].isdigit():
            at = int(call.arguments[-1])
        else:
            file.offset += call.result
        yield Operation(kind, process, file=file, amount=call.result, at=at, call=call.name)

    return translate


def _lseek(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    file = self.file(process, call)
    if call.error or call.result is None:
        raise LeftError(FAILED)
    file.offset = call.result
    yield Operation("lseek", process, file=file, at=call.result, call=call.name)


def _of_file(kind: str) -> Translate:
    def translate(self: Follower, process: int, call: Call) -> Iterator[Operation]:
        yield Operation(kind, process, file=self.file(process, call), call=call.name)

    return translate


def _mmap(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    if call.error or not call.result:
        raise LeftError(FAILED)
    self.mappings += 1
    maps = self.contexts[process].maps
    maps.setdefault(call.result, self.mappings)
    if maps[call.result] != self.mappings:
        raise LeftError("over a mapping that is there")
    yield Operation("mmap", process, amount=self.mappings, call=call.name)


def _munmap(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    place = call.arguments[0] if call.arguments else ""
    known = re.fullmatch("0x[0-9a-f]{1,16}", place)
    number = self.contexts[process].maps.pop(int(place, 16), 0) if known else 0
    if not number:
        raise LeftError(NOT_OURS)
    yield Operation("munmap", process, amount=number, call=call.name)


def _brk(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    yield Operation("brk", process, amount=call.result or 0, call=call.name)


def _fork(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    if call.error or not call.result or call.result < 0:
        raise LeftError(FAILED)
    yield Operation("fork", process, amount=self.beget(process, call), call=call.name)


def _exec(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    at = call.name == "execveat"
    place, base = (1, 0) if at else (0, -1)
    if call.error or call.result is None:
        yield Operation("stat", process, self.path(process, call, place, base), found=_found(call),
                        call=call.name)  # fmt: skip
        return
    yield from self.execute(process)
    maps = self.contexts[process].maps
    try:
        yield Operation("exec", process, self.path(process, call, place, base), call=call.name)
    except LeftError:
        for number in maps.values():
            yield Operation("munmap", process, amount=number)
        raise
    finally:
        maps.clear()


def _wait(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    told = " ".join(call.arguments)
    who = _WHO.search(told)
    pid = int(who[1]) if call.name == "waitid" and who else call.result
    stopped = any(word in told for word in ("WIFSTOPPED", "WIFCONTINUED", "WNOWAIT"))
    child = None if call.error or stopped or not pid else self.unwaited.pop((process, pid), None)
    if child is None:
        raise LeftError(NOT_A_CHILD)
    yield Operation("wait", process, amount=child, call=call.name)


def _pipe(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    pair = _PAIR.fullmatch(call.arguments[0]) if call.arguments else None
    if call.error or call.result is None or pair is None or pair[1] == pair[2]:
        raise LeftError(FAILED)
    self.pipes += 1
    closes = "O_CLOEXEC" in call.arguments[-1]
    ends = Opened("", pipe=self.pipes), Opened("", pipe=self.pipes, writing=True)
    for fd, end in zip((int(pair[1]), int(pair[2])), ends, strict=True):
        yield from self.hold(process, fd, end, closes)
    yield Operation("pipe", process, file=ends[0], second=ends[1], call=call.name)


def _sleep(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    if call.took_us is None:
        raise LeftError(FAILED)
    if call.took_us > MOST_SLEEP_US:
        raise LeftError(f"sleeps for more than {MOST_SLEEP_US // 1_000_000} seconds")
    yield Operation("sleep", process, amount=call.took_us, call=call.name)


def _signal(self: Follower, process: int, call: Call) -> Iterator[Operation]:
    handler = _HANDLER.match(call.arguments[1]) if len(call.arguments) > 1 else None
    name = call.arguments[0].removeprefix("SIG") if handler else ""
    if call.error or handler is None or name not in _SIGNALS or name in ("KILL", "STOP"):
        raise LeftError(NO_CALL)
    if name == "CHLD":
        raise LeftError(NO_SIGNALS)  # of which this is the only one that a child's end would send
    number = _SIGNALS.index(name) + 1
    yield Operation("signal", process, amount=number, at=_ACTIONS.get(handler[1], HANDLE), call=call.name)


_CALLS: dict[str, Translate] = {
    "open": _open, "openat": _open, "creat": _open,
    **dict.fromkeys(("stat", "lstat", "stat64", "lstat64", "access", "newfstatat", "statx", "faccessat",
                     "faccessat2"), _stat),
    "unlink": _named("unlink"), "unlinkat": _named("unlink", True), "rmdir": _named("rmdir"),
    "mkdir": _named("mkdir"), "mkdirat": _named("mkdir", True),
    "readlink": _readlink, "readlinkat": _readlink,
    "rename": _rename, "renameat": _rename, "renameat2": _rename,
    "close": _close, "fstat": _fstat, "fstat64": _fstat, "lseek": _lseek, "fsync": _of_file("fsync"),
    "fdatasync": _of_file("fsync"), "read": _transfer("read", False), "readv": _transfer("read", False),
    "pread64": _transfer("read", True), "write": _transfer("write", False),
    "writev": _transfer("write", False), "pwrite64": _transfer("write", True), "mmap": _mmap, "mmap2": _mmap,
    "munmap": _munmap, "brk": _brk,
    **dict.fromkeys(BEGETTING, _fork), "execve": _exec, "execveat": _exec, "wait4": _wait, "waitpid": _wait,
    "waitid": _wait, "pipe": _pipe, "pipe2": _pipe, "nanosleep": _sleep, "clock_nanosleep": _sleep,
    "rt_sigaction": _signal, "sigaction": _signal,
}  # fmt: skip
