"""Closed queueing networks: laws that every solution obeys, published figures, and the way back from waits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.experiments.mva import network_of, solve
from repairman import birth_death

times = st.floats(1e-3, 1e3)
networks = st.tuples(
    st.integers(1, 40), st.one_of(st.just(0.0), times), st.lists(times, min_size=1, max_size=6)
)


@given(networks)
@settings(max_examples=80, deadline=None)
def test_customers_are_conserved_and_throughput_is_within_asymptotic_bounds(network) -> None:
    """Little's law over the whole network; bounds of Lazowska et al. 1984, section 5.2."""
    customers, think, demands = network
    found = solve(customers, think, demands)
    assert found.throughput * think + found.queue.sum() == pytest.approx(customers, rel=1e-9)
    alone = think + sum(demands)
    assert found.throughput <= min(1 / max(demands), customers / alone) * (1 + 1e-9)
    # the worst case: each waits for all others everywhere
    assert found.throughput >= customers / (think + customers * sum(demands)) * (1 - 1e-9)
    assert (found.throughput * np.asarray(demands) <= 1 + 1e-9).all()


@given(st.integers(1, 40), times, times)
@settings(max_examples=40, deadline=None)
def test_one_server_is_the_machine_repairman(customers: int, think: float, work: float) -> None:
    assert solve(customers, think, [work]).throughput == pytest.approx(
        birth_death(customers, think, work), rel=1e-9
    )


@pytest.mark.parametrize("customers", [1, 2, 5, 9])
def test_several_servers_are_the_product_form(customers: int) -> None:
    """Against the sum over all states (Gordon and Newell 1967): another way to the same numbers."""
    think, demands = 2.5, (1.0, 0.7, 0.2)

    def weight(states: int) -> float:
        total = 0.0
        for counts in itertools.product(range(states + 1), repeat=len(demands)):
            rest = states - sum(counts)
            if rest >= 0:
                product = math.prod(d**n for d, n in zip(demands, counts, strict=True))
                total += product * think**rest / math.factorial(rest)
        return total

    assert solve(customers, think, demands).throughput == pytest.approx(
        weight(customers - 1) / weight(customers), rel=1e-12
    )


def test_published_example() -> None:
    """Lazowska et al. 1984, page 117: three centres, 15 s of think time, 3 customers.

    Its queue lengths, as the regression test of the solver LQNS records them (libmva, test0: exact).
    """
    found = solve(3, 15.0, [121 * 0.005, 70 * 0.030, 50 * 0.027])
    assert found.queue == pytest.approx([0.0976, 0.3947, 0.2350], abs=5e-5)


@given(
    st.integers(2, 64),
    st.one_of(st.just(0.0), times),
    st.lists(times, min_size=1, max_size=6),
)
@settings(max_examples=25, deadline=None)
def test_from_waits_back_to_the_network(customers: int, think: float, demands: list[float]) -> None:
    seen = solve(customers, think, demands)
    cycle = customers / seen.throughput
    waits = seen.residence - np.asarray(demands)
    if waits.min() / cycle < 1e-9:  # what nobody waits for tells nothing
        return
    found = network_of(customers, cycle, waits)
    again = solve(customers, found.think, found.demands)
    assert found.matched == pytest.approx(1, abs=1e-5)
    assert customers / again.throughput == pytest.approx(cycle, rel=1e-5)
    assert again.residence - found.demands == pytest.approx(waits, rel=1e-4)


@given(st.integers(2, 32), st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8), st.floats(0.01, 0.999))
@settings(max_examples=25, deadline=None)
def test_any_waits_have_a_network_or_a_part_of_them(
    customers: int, weights: list[float], all_: float
) -> None:
    waits = np.asarray(weights) * all_ / sum(weights)
    found = network_of(customers, 1.0, waits)
    again = solve(customers, found.think, found.demands)
    assert 0 < found.matched <= 1 and found.think >= 0
    assert again.residence - found.demands == pytest.approx(waits * found.matched, rel=1e-4)
    assert customers / again.throughput == pytest.approx(1, rel=1e-5)
    # what does not match is more than anybody can wait, and only then
    assert (found.matched == 1) or found.think == 0


def test_waits_beyond_the_saturated_network_are_told() -> None:
    """One server without think time: N - 1 of N wait, and no more."""
    assert network_of(4, 1.0, [0.7]).matched == 1
    beyond = network_of(4, 1.0, [0.9])
    assert beyond.matched == pytest.approx(0.75 / 0.9)
    assert beyond.demands == pytest.approx([0.25]) and beyond.think == 0
