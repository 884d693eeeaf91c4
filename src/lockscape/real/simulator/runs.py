"""Runs guests, several side by side, and ends all of them whatever happens."""

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from lockscape.real.simulator.guest import Guest

LOOK_S = 0.2
"""Between two looks whether a guest hangs."""

STOPPED_S = 2.0
"""When so much more has gone by since the last look, this program was stopped, and its guests perhaps too."""


class Task(NamedTuple):
    """A guest to run on `cpus` processors. `command` makes QEMU's from the messages' descriptor; `calls` are
    expected in all."""

    cpus: int
    command: Callable[[int], list[str]]
    environment: dict[str, str]
    calls: int


Told = Callable[[float, int], None]
"""Called with the share of all that is done, and the number of guests that have ended."""


def run_all(
    tasks: Sequence[Task], jobs: int, patience_s: float, told: Told | None = None
) -> Generator[tuple[int, Guest]]:
    """Run the tasks, `jobs` at once, and yield each task's number and its guest when it has ended.

    Those with the most processors begin first: what takes longest should not end alone.
    Raises `GuestError` for the first that fails; then, and when it is interrupted, all others are ended.
    """
    waiting = sorted(range(len(tasks)), key=lambda number: tasks[number].cpus)
    running: dict[int, Guest] = {}
    ended = 0
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        stack.callback(_close, running)
        looked = time.monotonic()
        while waiting or running:
            while waiting and len(running) < jobs:
                number = waiting.pop()
                running[number] = _started(tasks[number])
                for output in running[number].outputs:
                    selector.register(output, selectors.EVENT_READ, number)
            for key, _ in selector.select(LOOK_S):
                if not running[key.data].read(key.fileobj):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
            gone_s, looked = time.monotonic() - looked, time.monotonic()
            open_ones = {key.data for key in selector.get_map().values()}
            for number, guest in list(running.items()):
                if gone_s > STOPPED_S:
                    guest.forgive(gone_s)
                guest.check(patience_s)
                if number not in open_ones:
                    _check_end(guest, guest.finish())
                    del running[number]
                    ended += 1
                    yield number, guest
            if told is not None:
                told(_share(tasks, running, waiting), ended)


def _close(running: dict[int, Guest]) -> None:
    for guest in running.values():
        guest.close()


def _started(task: Task) -> Guest:
    reading, writing = os.pipe()
    return Guest(task.command(writing), task.environment, (reading, writing))


def _share(tasks: Sequence[Task], running: dict[int, Guest], waiting: Sequence[int]) -> float:
    """Return the share that is done: of the calls, and each guest's start as a hundredth of its own."""

    def done(number: int) -> float:
        if number in running:
            guest = running[number]
            part = guest.progress.calls / tasks[number].calls if tasks[number].calls else 0.5
            return 0.01 * (guest.begun is not None) + 0.99 * min(part, 1.0)
        return 0.0 if number in waiting else 1.0

    return sum(map(done, range(len(tasks)))) / len(tasks)


def _check_end(guest: Guest, code: int) -> None:
    """Raise `GuestError` if a guest that has ended did not do everything."""
    if guest.panicked:
        raise guest.failed("the guest's kernel panicked")
    failures = guest.facts.get("failed", []) + guest.facts.get("process", [])
    if failures:
        raise guest.failed(f"in the guest failed: {failures[0][:200]}")
    if guest.end is None or "done" not in guest.facts:
        where = "before it began to measure" if guest.begun is None else "while it measured"
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise guest.failed(f"QEMU ended {where} ({ending})")
