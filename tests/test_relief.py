"""What relieving a lock would gain, from waits alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.experiments.mva import solve
from lockscape.experiments.relief import MOST_SERVERS, Setting, Waited, relieve


def made(customers: int, think: float, demands: list[float], sleeps: bool | None = False):
    """Return locks as a network has them, a setting, and its cycle: 1,000 cycles were measured."""
    found = solve(customers, think, demands)
    cycle = customers / found.throughput
    locks = [
        Waited((float(r) - d) * 1000 * customers, d * 1000 * customers, sleeps)
        for r, d in zip(found.residence, demands, strict=True)
    ]
    return locks, Setting(customers, cycle * 1000), cycle


@given(st.integers(2, 24), st.floats(0.1, 50), st.lists(st.floats(0.05, 5), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_what_the_model_made_it_predicts(customers: int, think: float, demands: list[float]) -> None:
    """A system that is such a network: gains are those of the networks with the change, by both demands."""
    locks, setting, cycle = made(customers, think, demands)
    for by in ("waits", "holds"):
        reliefs, (model,) = relieve(locks, setting, by)
        assert model.matched == pytest.approx(1, abs=1e-4)
        for at, relief in enumerate(reliefs):
            others = demands[:at] + demands[at + 1 :]
            free = customers / solve(customers, think + demands[at], others).throughput
            split = (
                customers / solve(customers, think, [*others, demands[at] / 2, demands[at] / 2]).throughput
            )
            assert relief.free == pytest.approx(cycle / free, rel=1e-3)
            assert relief.split == pytest.approx(cycle / split, rel=1e-3)
            assert relief.busy == pytest.approx(demands[at] * customers / cycle, rel=1e-3)
            # a bound is one, and half a relief is no more than a whole one
            assert 1 - 1e-6 <= relief.split <= relief.free * (1 + 1e-6)
            assert relief.free <= relief.bound * (1 + 1e-6)


def test_the_bound_is_the_share_of_the_time() -> None:
    (relief,), _ = relieve([Waited(6.0)], Setting(4, 2.0))
    assert relief.share == 0.75 and relief.bound == 4.0


def test_a_lock_that_takes_all_the_time_gains_what_its_waits_are() -> None:
    """0.9 of the time is more than three of four that always wait: the rest is how the lock passes on."""
    (relief,), (model,) = relieve([Waited(3.6)], Setting(4, 1.0))
    assert model.matched == pytest.approx(0.75 / 0.9)
    assert relief.free == pytest.approx(relief.bound) == pytest.approx(10)
    assert relief.split == pytest.approx(2 * 4 / 5)  # two balanced queues without think time


def test_times_under_locks_that_nest_mislead() -> None:
    """A big lock that is held around a small one: its holds contain all, its waits do not."""
    locks = [Waited(3.0, 3.9), Waited(0.0, 3.95)]
    by_waits, _ = relieve(locks, Setting(8, 1.0), "waits")
    by_holds, (model,) = relieve(locks, Setting(8, 1.0), "holds")
    assert by_waits[0].free > 1.5
    assert by_holds[0].free < 1.2 and model.matched > 1.5


def test_fewer_processes_than_processors_are_the_customers() -> None:
    (relief,), (model,) = relieve([Waited(1.0)], Setting(8, 1.0, processes=4))
    assert model.customers == 4 and relief.share == 0.25


def test_more_processes_than_processors_sleep_but_do_not_spin() -> None:
    spin, sleep = Waited(1.0, None, False), Waited(4.0, None, True)
    reliefs, models = relieve([sleep, spin], Setting(4, 1.0, processes=16))
    assert [(model.of, model.customers, model.servers) for model in models] == [
        ("spin", 4, 1), ("sleep", 16, 1)
    ]  # fmt: skip
    assert [relief.share for relief in reliefs] == [0.25, 0.25]


def test_who_sleeps_gains_no_more_than_idle_processors() -> None:
    locks = [Waited(2.0, None, True), Waited(1.0, None, False)]
    (mutex, spin), _ = relieve(locks, Setting(4, 1.0, idle=0.2))
    assert mutex.bound == mutex.free == pytest.approx(1.25) and mutex.limited
    assert spin.bound == pytest.approx(4 / 3) and not spin.limited


@pytest.mark.parametrize(
    ("locks", "setting", "why"),
    [
        ([Waited(5.0)], Setting(4, 1.0), "waits are 1.25 times the time of 4 customers"),
        ([Waited(0.5)], Setting(1, 1.0), "a single customer has nobody to wait for"),
    ],
)
def test_what_cannot_be_has_no_model_and_a_reason(locks, setting, why: str) -> None:
    (relief,), (model,) = relieve(locks, setting)
    assert why in model.why and relief.free is None and relief.split is None
    assert (relief.bound is None) == (relief.share >= 1)


def test_the_least_waited_for_are_no_servers_and_keep_their_waits() -> None:
    many = [Waited(0.001 * (at + 1)) for at in range(MOST_SERVERS + 10)]
    reliefs, (model,) = relieve([*many, Waited(0.0)], Setting(8, 1.0))
    assert (model.servers, model.others) == (MOST_SERVERS, 10)
    assert [relief.free is None for relief in reliefs] == [True] * 10 + [False] * MOST_SERVERS + [True]
    whole = sum(lock.wait_s for lock in many) / 8
    assert model.think < 1 - whole


def test_no_waits_at_all() -> None:
    reliefs, (model,) = relieve([Waited(0.0, 1.0)], Setting(4, 1.0))
    assert reliefs[0].bound == 1.0 and model.servers == 0 and not model.why
    assert relieve([], Setting(4, 1.0))[0] == []


def test_holds_that_fill_the_time_are_compared_with_their_own_network() -> None:
    """Half held and half waited: the network of the holds has other waits, and no time in which a lock passes."""
    (relief,), (model,) = relieve([Waited(3.06, 0.88)], Setting(4, 1.0), "holds")
    now = 4 / solve(4, 0.015, [0.22]).throughput
    assert model.matched == pytest.approx((now - 0.235) / 0.765)
    assert relief.free == pytest.approx(now / 0.235) and relief.busy == pytest.approx(0.88 / now)
