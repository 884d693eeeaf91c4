"""Work on all cores: tasks that are independent of each other, done in worker processes."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from lockscape.machine.execute import RunError

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")


def core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each_done(
    work: Callable[[_Task], _Done],
    tasks: Sequence[_Task],
    workers: int | None = None,
    died: Callable[[_Task], _Done] | None = None,
) -> Iterator[tuple[int, _Done]]:
    """Do every task and yield its number and result, as they become ready.

    `workers` processes work at once (default: as many as there are cores); with one of them all is done
    here, and so is one task. Raises what a task raises, and `RunError` when a worker dies: unless `died` is
    given, which then says the result of the task that it died of. When it is interrupted the workers end.
    """
    workers = workers or core_count()
    if workers <= 1 or not tasks or (len(tasks) == 1 and died is None):
        yield from ((number, work(task)) for number, task in enumerate(tasks))
        return
    left = dict(enumerate(tasks))
    try:
        for number, done in _in_workers(work, left, min(workers, len(tasks))):
            del left[number]
            yield number, done
    except BrokenProcessPool as error:
        if died is None:
            raise RunError("a worker process died, perhaps for want of memory: try with --jobs 1") from error
        for number, task in left.items():  # each by itself: only that it died of is lost
            try:
                ((_, done),) = _in_workers(work, {number: task}, 1)
            except BrokenProcessPool:
                done = died(task)
            yield number, done


def _in_workers(
    work: Callable[[_Task], _Done], tasks: Mapping[int, _Task], workers: int
) -> Iterator[tuple[int, _Done]]:
    """Do tasks in worker processes. Raises `BrokenProcessPool` when one dies."""
    method = "fork" if sys.platform == "linux" else "spawn"
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, multiprocessing.get_context(method), _ignore_interrupt) as pool:
        waiting: dict[Future[_Done], int] = {}
        try:
            for number, task in tasks.items():
                waiting[pool.submit(work, task)] = number
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for each in sorted(done, key=lambda future: waiting[future]):
                    yield waiting.pop(each), each.result()
        except BrokenProcessPool:
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, which ends its workers and says that it was interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
