"""Work in worker processes: all is done, and a worker that dies takes one task with it at most."""

import os
import signal

import pytest

from lockscape.experiments.pool import each_done
from lockscape.machine.execute import RunError

DEADLY = 3


def square(number: int) -> int:
    if number == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers: int) -> None:
    assert sorted(each_done(square, [5, 1, 2], workers)) == [(0, 25), (1, 1), (2, 4)]
    assert not list(each_done(square, [], workers, died=lambda number: -number))


def test_who_dies_takes_one_task_along() -> None:
    done = dict(each_done(square, [1, 2, DEADLY, 4, 5], 2, died=lambda number: -number))
    assert done == {0: 1, 1: 4, 2: -DEADLY, 3: 16, 4: 25}
    assert dict(each_done(square, [DEADLY], 2, died=lambda number: -number)) == {0: -DEADLY}


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(RunError, match="a worker process died"):
        dict(each_done(square, [1, DEADLY, 2], 2))
