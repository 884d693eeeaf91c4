"""One guest while it runs: its process, what it has told, and whether it still gets on."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from typing import IO

from lockscape.errors import LockscapeError
from lockscape.real.simulator.messages import (
    LONGEST_LINE,
    Begin,
    CallCount,
    End,
    Message,
    Phase,
    ProcessorCount,
    Progress,
    read_message,
)

KEPT_LINES, SHOWN_LINES = 200, 12
"""Lines of the console that are kept, and shown of a guest that failed."""

MOST_CONSOLE_BYTES = 16 << 20
"""A guest that prints more is ended; a boot prints some 30,000."""

_PIECE_BYTES = 1 << 16

FACT = "lockscape: "
"""How the lines of process 1 begin, see native/init.c."""

_PANIC = "Kernel panic"
AFTER_PANIC_S = 2.0
"""After a panic, a guest that says no more for so long is ended: not every kernel restarts by itself."""


class GuestError(LockscapeError, RuntimeError):
    """A guest that failed: why, and the last lines of its console."""

    def __init__(self, why: str, console: Sequence[str]) -> None:
        super().__init__(why)
        self.console = tuple(console)


class Guest:
    """A running QEMU. Give it what arrives on `outputs`; `ended` when there is nothing more to come."""

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], messages: tuple[int, int]
    ) -> None:
        """Start it. `messages`: both ends of the pipe that the command names; they are closed in the end."""
        self.started = time.monotonic()
        reading, writing = messages
        try:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, pass_fds=(writing,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(writing)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._messages = os.fdopen(reading, "rb", buffering=0)
        self._console, self._errors = self._process.stdout, self._process.stderr
        self._rest = {each.fileno(): b"" for each in self.outputs}
        self._alive = time.monotonic()
        self._console_bytes = 0
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.said = ""
        self.panicked = False
        self.facts: dict[str, list[str]] = {}
        self.progress = Progress(0, 0)
        self.begun: float | None = None
        self.phases: list[Phase] = []
        self.processors: list[ProcessorCount] = []
        self.calls: list[CallCount] = []
        self.end: End | None = None
        self.cpu_s = 0.0

    @property
    def outputs(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        """What is to be read: the console, QEMU's own errors, the plugin's messages."""
        return self._console, self._errors, self._messages

    @property
    def silent_s(self) -> float:
        """Since when it has not got on: no text, no call, and no instruction in user mode."""
        return time.monotonic() - self._alive

    def forgive(self, seconds: float) -> None:
        """Do not count so many seconds, in which nobody looked."""
        self._alive = min(self._alive + seconds, time.monotonic())

    def read(self, output: IO[bytes]) -> bool:
        """Take what has arrived on one of the outputs. Returns False at its end."""
        data = os.read(output.fileno(), _PIECE_BYTES)
        *lines, rest = (self._rest[output.fileno()] + data).split(b"\n")
        self._rest[output.fileno()] = rest[-LONGEST_LINE:]
        if not data and rest:
            lines.append(rest)
        if output is self._messages:
            for line in filter(None, lines):
                self._take(read_message(line))
        elif output is self._errors:
            self.said = (self.said + data.decode("utf-8", "replace"))[-LONGEST_LINE:]
        elif data or lines:
            self._alive = time.monotonic()
            self._console_bytes += len(data)
            for line in lines:
                self._take_line(line.decode("utf-8", "replace").strip("\r"))
        return bool(data)

    def _take_line(self, line: str) -> None:
        self.lines.append(line[:LONGEST_LINE])
        self.panicked = self.panicked or _PANIC in line
        # the kernel may print in the middle of a line of process 1: only whole ones count
        if line.startswith(FACT):
            name, _, value = line.removeprefix(FACT).partition(" ")
            self.facts.setdefault(name, []).append(value)

    def _take(self, message: Message) -> None:
        if isinstance(message, Progress):
            if message != self.progress:
                self._alive = time.monotonic()
            self.progress = message
        elif isinstance(message, Begin):
            self.begun = time.monotonic()
        elif isinstance(message, Phase):
            self.phases.append(message)
        elif isinstance(message, ProcessorCount):
            self.processors.append(message)
        elif isinstance(message, CallCount):
            self.calls.append(message)
        else:
            self.end = message

    def check(self, patience_s: float) -> None:
        """Raise `GuestError` if the guest panicked, prints without end, or has not got on for so long."""
        if self.panicked and self.silent_s > AFTER_PANIC_S:
            raise self.failed("the guest's kernel panicked")
        if self._console_bytes > MOST_CONSOLE_BYTES:
            raise self.failed(f"the guest printed more than {MOST_CONSOLE_BYTES >> 20} MB and was ended")
        if not self.panicked and self.silent_s > patience_s:
            raise self.failed(
                f"the guest hangs: nothing printed, no system call and no instruction of a program for "
                f"{patience_s:g} s (--timeout)"
            )

    def failed(self, why: str) -> GuestError:
        """Return the error, with what the console and QEMU said last."""
        lines = [_without_escapes(line) for line in (*self.lines, *self.said.splitlines())]
        return GuestError(why, [line for line in lines if line.strip()][-SHOWN_LINES:])

    def finish(self) -> int:
        """Wait for the process, whose outputs have ended. Returns its exit code."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.close()
        return self._process.returncode

    def close(self) -> None:
        """End it at once, if it still runs, and leave no process and no pipe behind."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for output in self.outputs:
            output.close()


def _without_escapes(line: str) -> str:
    """Return a line of a console without the sequences that move a terminal's cursor or colour it."""
    return re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])", "", line)
