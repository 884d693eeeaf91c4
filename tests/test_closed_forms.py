"""Closed forms: one delay station and one lock in order of arrival are the machine-repairman model."""

import math

import numpy as np
import pytest

from engine_tools import FREE, Machine, assert_cycles_add_up, program, statistic, stop
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.program.language import function, hold, next_operation, operand, pause, the
from lockscape.program.locks import LockClass
from lockscape.program.objects import Object
from repairman import birth_death, mean_value_analysis

THINK, WORK = 20_000, 1_000
"""Mean cycles outside and under the lock: it is saturated beyond 21 processors."""

TOTAL = 24_000
"""Operations drawn for a whole run; a run ends while all processors still have some."""


class Process(Object):
    context: int


class Lock(Object, count=1):
    uses: int


@function()
def customer() -> None:
    """Think and work, for the drawn times."""
    lock: Lock = the(Lock)
    while next_operation() != 0:
        pause(operand(1))
        with hold("lock", lock):
            pause(operand(2))
            lock.uses += 1
    stop()


def run(processors: int, think: np.ndarray, work: np.ndarray) -> tuple[float, float]:
    """Return the throughput and its 95 % half width, by the method of batch means (20 batches).

    `think` and `work`: cycles, of shape (processors, operations).
    """
    count = think.shape[1]
    rows = np.stack([np.ones_like(think), think, work], axis=-1).reshape(-1, 3)
    lock = LockClass("lock", "Lock", "spinlock", fair=True)
    made = program([customer], (Process, Lock), (lock,))
    state = Machine(made, "customer", processors, FREE, work=rows).state()
    for number, context in enumerate(state.contexts):
        state.m[context + at.C_WORK] = number * count
        state.m[context + at.C_WORK_END] = (number + 1) * count
    # stop at a fixed time while everybody still has operations left
    until = int(0.8 * min(think.sum(axis=1) + work.sum(axis=1)))
    batches = 20
    uses = []
    for batch in range(batches + 2):
        stopped = execute(state, until=until * (batch + 1) // (batches + 2))
        assert stopped.reason == at.REASON_TIME
        uses.append(state.get(state.system("Lock"), "uses"))
    assert_cycles_add_up(state)
    assert statistic(state, "lock", at.Q_ACQUIRED) >= uses[-1]
    rates = np.diff(uses)[1:] / (until / (batches + 2))  # the first two batches warm up
    return float(rates.mean()), float(2.093 * rates.std(ddof=1) / math.sqrt(batches))


def exponential(rng: np.random.Generator, processors: int, mean: int) -> np.ndarray:
    count = TOTAL * max(1, 20 // processors) // processors + 50
    return np.rint(rng.exponential(mean, (processors, count))).astype(np.int64)


COUNTS = (1, 2, 4, 8, 16, 20, 24, 32, 64)


@pytest.mark.parametrize("processors", COUNTS)
def test_the_two_forms_agree(processors: int) -> None:
    ours, chain = mean_value_analysis(processors, THINK, WORK), birth_death(processors, THINK, WORK)
    assert ours == pytest.approx(chain, rel=1e-12)


def test_exponential_times_give_the_closed_form() -> None:
    """Of the nine 95 % intervals at most one misses the exact value, and then by little; the seeds are fixed."""
    misses = []
    for processors in COUNTS:
        rng = np.random.default_rng(processors)
        think, work = exponential(rng, processors, THINK), exponential(rng, processors, WORK)
        rate, half = run(processors, think, work)
        exact = mean_value_analysis(processors, THINK, WORK)
        assert half / exact < 0.04
        if abs(rate - exact) > half:
            misses.append((processors, (rate - exact) / half))
    assert len(misses) <= 1
    assert all(abs(by) < 1.5 for _, by in misses)


def test_constant_times_do_not() -> None:
    """The check can fail: without randomness nobody queues before the lock is full, and the formula is far off."""
    processors = 20
    shape = (processors, TOTAL // processors)
    think, work = np.full(shape, THINK), np.full(shape, WORK)
    rate, half = run(processors, think, work)
    exact = mean_value_analysis(processors, THINK, WORK)
    assert abs(rate - exact) > 3 * half
    assert rate / exact > 1.1
