"""Which kernel locks the processes of a run waited for: from perf's tracepoints, where that is permitted.

`perf lock record` attaches to the processes before they start. It needs the tracepoints lock:contention_begin
and _end (Linux 5.19), a perf of 5.10 or newer, and permission (root, or CAP_PERFMON with a
kernel.perf_event_paranoid that allows it). Its events cost time, so it watches a run of its own.
"""

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lockscape.errors import InputError
from lockscape.real.contention_perf import is_perf, read_perf

ANSWER_SECONDS = 30.0
"""perf that has not answered after so long is given up."""

MOST_RECORDED = "128M"
"""perf stops recording when its file is so large."""

_SHOWN_CHARACTERS = 160


class LockWait(msgspec.Struct, frozen=True):
    """Waits for locks of a kind in one place of the kernel. `caller`: the function, with perf's offset."""

    caller: str
    kind: str
    contended: int
    wait_total_ns: int
    wait_max_ns: int


class Contention(msgspec.Struct, frozen=True):
    """What a run waited for, the longest first, or `why_not` there is nothing.

    Of one run more on `cpus` processors, which took `makespan_s` with perf.
    """

    cpus: int
    makespan_s: float | None
    waits: tuple[LockWait, ...]
    why_not: str | None


class PerfLock:
    """Records what processes wait for. Afterwards `waits` are there, or `why_not` says why there are none."""

    def __init__(self) -> None:
        self.waits: tuple[LockWait, ...] = ()
        self.why_not: str | None = None

    @contextlib.contextmanager
    def watch(self, processes: list[int]) -> Iterator[None]:
        """Record the waits of these processes until it is left."""
        if shutil.which("perf") is None:
            self.why_not = "no program 'perf' (apt install linux-perf)"
            yield
            return
        with tempfile.TemporaryDirectory(prefix="lockscape-perf-") as folder:
            file = Path(folder) / "locks.data"
            with _Recorder(processes, file) as recorder:
                self.why_not = recorder.enable()
                yield
                if self.why_not is None:
                    self.why_not = recorder.stop()
            if self.why_not is None:
                self.waits = _read(file)


class _Recorder:
    """A running `perf lock record` that is told by a pipe when to begin and to end."""

    def __init__(self, processes: list[int], file: Path) -> None:
        command, self._command = os.pipe()
        self._answer, answer = os.pipe()
        try:
            self._perf = subprocess.Popen(
                ["perf", "lock", "record", "-p", ",".join(map(str, processes)), "-o", str(file), "-D", "-1",
                 f"--control=fd:{command},{answer}", f"--max-size={MOST_RECORDED}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                pass_fds=(command, answer), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(command)
            os.close(answer)

    def __enter__(self) -> "_Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._command)
        os.close(self._answer)
        self._end()

    def enable(self) -> str | None:
        """Begin; return why it cannot, or None."""
        try:
            os.write(self._command, b"enable\n")
        except BrokenPipeError:
            return self._failure()
        ready = select.select([self._answer], [], [], ANSWER_SECONDS)[0]
        return None if ready and os.read(self._answer, 16).startswith(b"ack") else self._failure()

    def stop(self) -> str | None:
        """End; return why there is no record, or None."""
        with contextlib.suppress(BrokenPipeError):  # it has ended with the last process
            os.write(self._command, b"stop\n")
        try:
            output, _ = self._perf.communicate(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            return f"perf did not end in {ANSWER_SECONDS:.0f} s"
        return None if self._perf.returncode == 0 else _first_line(output)

    def _failure(self) -> str:
        return _first_line(self._end())

    def _end(self) -> bytes:
        """End perf, if it has not ended itself, and return what it said and was not yet read."""
        if self._perf.poll() is None:
            self._perf.kill()
        assert self._perf.stdout is not None
        return b"" if self._perf.stdout.closed else self._perf.communicate()[0]


def _first_line(output: bytes) -> str:
    """Return what perf says in one line: its first one that is no heading."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    told = next((line for line in lines if line and line not in ("Error:", "Events disabled")), "nothing")
    return f"perf says: {told[:_SHOWN_CHARACTERS]}"


def _read(file: Path) -> tuple[LockWait, ...]:
    done = subprocess.run(
        ["perf", "lock", "contention", "-i", str(file)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return waits_in(done.stdout.decode("utf-8", "replace"))


def waits_in(text: str) -> tuple[LockWait, ...]:
    """Return the rows of perf's table, those of one place and kind added up, the longest waits first.

    What is no table (perf says only why there is none) has no rows.
    """
    lines = text.splitlines()
    try:
        rows = read_perf(lines, "perf").locks if is_perf(lines) else ()
    except InputError:  # a heading without rows
        return ()
    waits = [
        LockWait(r.name, r.type, r.waits or 0, round(r.wait_s * 1e9), round((r.wait_max_s or 0) * 1e9))
        for r in rows
    ]
    return tuple(sorted(waits, key=lambda wait: -wait.wait_total_ns))
