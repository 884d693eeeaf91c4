"""Tails of latencies: buckets and percentiles by themselves, and against every single time in a trace."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockscape.experiments.histogram import (
    RELATIVE_ERROR,
    buckets_of,
    longest,
    percentile,
    shortest,
    together,
)
from lockscape.experiments.result import PERMILLE, RunSpec
from lockscape.experiments.run import Loaded, simulate
from lockscape.kernel.entry import CALLS
from lockscape.machine import layout as at
from lockscape.machine.latency import bucket
from lockscape.ports.plan import load_plan
from lockscape.workloads.postmark import PostmarkOptions
from lockscape.workloads.workload_file import named_workload

TIMES = st.integers(0, (1 << 52) - 1)


@given(TIMES)
def test_a_time_is_in_a_bucket_as_narrow_as_the_time_is_short(cycles: int) -> None:
    number = bucket(cycles)
    low = shortest(number)
    assert 0 <= number < at.BUCKETS
    assert low <= cycles <= longest(low)
    assert longest(low) - low <= low * RELATIVE_ERROR
    assert bucket(low) == bucket(longest(low)) == number
    assert bucket(longest(low) + 1) == number + 1


def test_short_times_are_exact() -> None:
    assert [longest(shortest(bucket(cycles))) for cycles in range(32)] == list(range(32))


def histogram(times: list[int]) -> tuple[tuple[int, int], ...]:
    """Return the buckets of times, counted as the machine does."""
    counts = [0] * at.BUCKETS
    for cycles in times:
        counts[bucket(cycles)] += 1
    return buckets_of(counts)


@given(st.lists(TIMES, min_size=1, max_size=60), st.integers(1, 1000))
def test_a_percentile_is_never_too_low_and_at_most_a_bucket_too_high(times: list[int], permille: int) -> None:
    exact = sorted(times)[-(-len(times) * permille // 1000) - 1]
    found = percentile(histogram(times), max(times), permille)
    assert exact <= found <= exact * (1 + RELATIVE_ERROR)
    assert percentile(histogram(times), max(times), 1000) == max(times)


@given(st.lists(st.lists(TIMES, max_size=20), max_size=4))
def test_histograms_together_are_that_of_all_times(parts: list[list[int]]) -> None:
    assert together(map(histogram, parts)) == histogram([cycles for part in parts for cycles in part])


def test_no_times_have_percentiles_of_nothing() -> None:
    assert percentile((), 0, 990) == 0


class Times:
    """Reads a trace: every call's time from entry to exit, and every wait of a woken process until it runs."""

    def __init__(self, loaded: Loaded) -> None:
        self.counted = set(loaded.machine.contexts)
        self.calls: dict[str, list[int]] = defaultdict(list)
        self.runs: list[int] = []
        self.open: dict[int, tuple[str, int]] = {}
        self.woken: dict[int, int] = {}
        self.running = {int(loaded.machine.state.m[v + at.V_CONTEXT]) for v in loaded.machine.state.virtuals}

    def read(self, rows) -> None:  # type: ignore[no-untyped-def]
        """Read further rows."""
        for time, _, ctx, _, kind, place, _, value in rows.tolist():
            if kind == at.T_CALL and ctx in self.counted:
                self.open[ctx] = (CALLS[place], time)
            elif kind == at.T_CALL_END and ctx in self.open:
                name, began = self.open.pop(ctx)
                self.calls[name].append(time - began)
            elif kind == at.T_WAKE and value > 0 and value not in self.running:
                self.woken.setdefault(value, time)
            elif kind == at.T_SWITCH:
                self.running = self.running - {ctx} | {value}
                if value in self.woken:
                    self.runs.append(time - self.woken.pop(value))


def assert_is(latency, times) -> None:  # type: ignore[no-untyped-def]
    """Say that a latency is that of these times."""
    assert (latency.count, latency.total_cycles, latency.max_cycles) == (
        len(times),
        sum(times),
        max(times, default=0),
    )
    assert latency.buckets == tuple(sorted(Counter(shortest(bucket(each)) for each in times).items()))
    for name, permille in PERMILLE.items() if times else ():
        exact = sorted(times)[-(-len(times) * permille // 1000) - 1]
        assert exact <= getattr(latency, name) <= exact * (1 + RELATIVE_ERROR)


@pytest.mark.parametrize("system", ["coarse", "coarse-funnel", "linux-2.6", "virtualization-para-one"])
def test_latencies_are_those_of_every_call_and_wait_in_the_trace(system: str) -> None:
    workload = named_workload("mailserver").changed(processes=6, operations=60)
    spec = RunSpec(system, load_plan(system), 3, 6, workload=workload)
    read: list[Times] = []

    def watch(loaded: Loaded):  # type: ignore[no-untyped-def]
        read.append(Times(loaded))
        return read[0].read

    result = simulate(spec, watch=watch)
    (seen,) = read
    assert {each.call for each in result.calls} == {name for name, times in seen.calls.items() if times}
    for each in result.calls:
        assert_is(each, seen.calls[each.call])
    assert_is(result.all_calls, [took for times in seen.calls.values() for took in times])
    assert_is(result.event("process runs"), seen.runs)


def test_calls_that_others_make_for_a_process_are_not_counted_twice() -> None:
    """In an application kernel's port the process and the one that does its calls both enter a kernel."""
    work = PostmarkOptions(files=20, transactions=60)
    counts = {}
    for system in ("uniprocessor", "application-kernel"):
        spec = RunSpec(system, load_plan(system), 1 + (system != "uniprocessor"), 2, work)
        counts[system] = {each.call: each.count for each in simulate(spec).calls}
    assert counts["uniprocessor"]["open"] == counts["application-kernel"]["open"]
