"""Signals that end a program: it cleans up first."""

import contextlib
import signal
from collections.abc import Iterator

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a program."""

DEFAULT_INT = signal.default_int_handler
"""What Python does at SIGINT."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let the first signal that would end the program raise an exception, so that it cleans up.

    Further ones do not interrupt that. A signal that is ignored (as by nohup) or handled stays so.
    """
    numbers = tuple(each for each in STOPPING if signal.getsignal(each) in (signal.SIG_DFL, DEFAULT_INT))

    def stop(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    with _handling(stop, numbers):
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal interrupt the cleaning up."""
    with _handling(signal.SIG_IGN, STOPPING):
        yield


@contextlib.contextmanager
def later() -> Iterator[None]:
    """Hold signals back: what is made is known before one of them ends the program."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _handling(handler: object, numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    try:
        before = [signal.signal(number, handler) for number in numbers]  # type: ignore[arg-type]
    except ValueError:  # not in the main thread, where signals do not arrive either
        yield
        return
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
