"""Starts processes together on some processors, waits for all, and says what they took."""

import contextlib
import os
import resource
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lockscape.errors import InputError, LockscapeError

READY_SECONDS = 60.0
"""A process that is not ready after so long is given up: it only has to start and map its stream."""

MOST_OUTPUT_BYTES = 1 << 16
"""What a process prints beyond this is not kept."""


Watch = Callable[[list[int]], contextlib.AbstractContextManager[None]]
"""Gets the numbers of processes that are ready, is entered before their start and left after the last end."""


class RunError(LockscapeError, RuntimeError):
    """A process of a real run that failed."""


class Executor(Protocol):
    """Makes the command of a process that does a workload's operations."""

    def command(self, folder: int, ready: int, start: int) -> tuple[list[str], tuple[int, ...]]:
        """Return the words of the command, and the descriptors besides these that it must have.

        The process goes to the directory `folder`, writes a byte to `ready`, and starts when reading from
        `start` returns.
        """
        ...


@dataclass
class Ended:
    """A process that is done: exit code (-signal), what it printed, and all that it took since its start."""

    code: int
    output: bytes
    usage: resource.struct_rusage


@dataclass(frozen=True)
class Together:
    """Processes that are done, in order. Times in ns of CLOCK_MONOTONIC: the common start, the last end."""

    start_ns: int
    end_ns: int
    ended: Sequence[Ended]


@dataclass(eq=False)
class _Started:
    process: subprocess.Popen[bytes]
    output: bytearray = field(default_factory=bytearray)
    ended: Ended | None = None


def run_together(
    executors: Sequence[Executor],
    folders: Sequence[int],
    processors: frozenset[int],
    watch: Watch | None = None,
) -> Together:
    """Run a process for each executor, in the folder of the same place, on the set of `processors`.

    The operating system places them on that set as it likes. Each is in a process group of its own, so that a
    terminal's Ctrl-C reaches this process only, which ends them; they are killed if it dies. They stay in one
    session: Linux schedules sessions as groups (autogroup). Raises `RunError` if one cannot be
    started.
    """
    started: list[_Started] = []
    gate = _Gate()
    try:
        for executor, folder in zip(executors, folders, strict=True):
            started.append(_start(executor, folder, gate))
        gate.wait(started)
        for each in started:
            os.sched_setaffinity(each.process.pid, processors)
        with watch([each.process.pid for each in started]) if watch else contextlib.nullcontext():
            start = time.monotonic_ns()
            gate.open()
            end = _wait_for_all(started)
        return Together(start, end, [each.ended for each in started if each.ended is not None])
    finally:
        _end_all(started)  # before the gate opens, or those that wait would begin
        gate.close()


class _Gate:
    """Two pipes: processes write to `ready`; `start` has an end when they may go."""

    def __init__(self) -> None:
        self._read_ready, self.ready = os.pipe()
        self.start, self._start = os.pipe()
        self._open = {self._read_ready, self.ready, self.start, self._start}

    def wait(self, started: Sequence[_Started]) -> None:
        """Wait until all are ready."""
        count, until = 0, time.monotonic() + READY_SECONDS
        while count < len(started):
            if select.select([self._read_ready], [], [], 0.05)[0]:
                count += len(os.read(self._read_ready, len(started)))
                continue
            dead = next((each for each in started if _is_over(each.process.pid)), None)
            if dead is not None or time.monotonic() > until:
                raise RunError(_why_not_ready(dead or started[0]))

    def open(self) -> None:
        """Let all go."""
        self._close(self._start)

    def close(self) -> None:
        for fd in list(self._open):
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        os.close(fd)


def _is_over(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _why_not_ready(each: _Started) -> str:
    assert each.process.stdout is not None
    os.set_blocking(each.process.stdout.fileno(), False)
    said = (each.process.stdout.read() or b"").decode("utf-8", "replace").strip()
    return (
        f"a process of the run was not ready ({said or 'it said nothing'}): try again, or fewer --processes"
    )


def _start(executor: Executor, folder: int, gate: _Gate) -> _Started:
    words, descriptors = executor.command(folder, gate.ready, gate.start)
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=(folder, gate.ready, gate.start, *descriptors), process_group=0,
        )  # fmt: skip
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RunError(f"cannot start {words[0]!r}: {why}; fewer --processes may help") from error
    return _Started(process)


def _wait_for_all(started: Sequence[_Started]) -> int:
    """Collect what the processes print until each is over; return when the last one was, in ns."""
    end = time.monotonic_ns()
    with selectors.DefaultSelector() as selector:
        for each in started:
            assert each.process.stdout is not None
            selector.register(each.process.stdout, selectors.EVENT_READ, each)
        while selector.get_map():
            for key, _ in selector.select():
                piece = os.read(key.fd, MOST_OUTPUT_BYTES)
                key.data.output += piece[: MOST_OUTPUT_BYTES - len(key.data.output)]
                if not piece:
                    selector.unregister(key.fileobj)
                    _collect(key.data)
                    end = time.monotonic_ns()
    return end


def _collect(each: _Started) -> None:
    _, status, usage = os.wait4(each.process.pid, 0)
    each.process.returncode = os.waitstatus_to_exitcode(status)
    each.ended = Ended(each.process.returncode, bytes(each.output), usage)


def _end_all(started: Sequence[_Started]) -> None:
    """Kill what still runs, and leave no zombie and no pipe."""
    for each in started:
        if each.process.returncode is None:
            each.process.send_signal(signal.SIGKILL)
    for each in started:
        each.process.wait()
        if each.process.stdout is not None:
            each.process.stdout.close()


def check_descriptors(processes: int) -> None:
    """Raise InputError if there are not enough descriptors for so many processes: two each."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and 2 * processes + 64 > soft:
        raise InputError(
            f"{processes} processes need {2 * processes + 64} descriptors, {soft} are allowed: ulimit -n"
        )
