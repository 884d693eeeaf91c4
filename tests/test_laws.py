"""Amdahl's law and the USL: a published fit, drawn curves, noise, bounds, and the queue behind the laws."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from lockscape.errors import InputError
from lockscape.experiments.curve_file import read_curves
from lockscape.experiments.figure2 import CPUS, recorded
from lockscape.experiments.laws import Curve, amdahl, fit, peak_cpus, usl
from lockscape.experiments.laws_doubts import doubts, idle, runs_chance
from repairman import mean_value_analysis, synchronous_bound

SDM91 = Curve(
    "sdm91",
    "throughput",
    (1, 18, 36, 72, 108, 144, 216),
    (64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2),
)
"""SPEC SDM91 on a Sun SPARCcenter 2000 with 16 processors, October 1994: scripts an hour by simulated users.
SPEC's results, in Gunther, Guerrilla Capacity Planning (2007), and as `specsdm91` in the R package usl 3.0."""


def curve(values, cpus=None, measure="speedup", **more):
    cpus = cpus or range(1, len(values) + 1)
    return Curve("made", measure, tuple(cpus), tuple(map(float, values)), **more)


def kinds(found):
    return {doubt.kind for doubt in doubts(found)}


def test_the_published_fit_of_sdm91_is_found():
    """What R's nls gives, as printed in the README, summary and residuals of the package usl."""
    found = fit(SDM91)
    two = found.usl
    assert round(two.alpha.value, 4) == 0.0277 and round(two.beta.value, 6) == 0.000104
    assert two.alpha.value == pytest.approx(0.0277285, abs=5e-8)
    assert two.alpha.standard_error == pytest.approx(0.0091217, abs=5e-8)
    assert two.beta.value == pytest.approx(0.0001044, abs=5e-8)
    assert two.beta.standard_error == pytest.approx(0.00001988, abs=5e-9)
    assert two.gamma.value == pytest.approx(89.9952330, abs=2e-6)
    assert two.gamma.standard_error == pytest.approx(14.2134894, abs=2e-6)
    assert two.residual_standard_error == pytest.approx(82.85, abs=5e-3)
    assert two.degrees_of_freedom == 4
    assert two.residuals == pytest.approx((-25.10, -81.66, 111.09, 3.05, -49.99, -46.60, 56.00), abs=6e-3)
    assert found.peak.cpus == pytest.approx(96.51956, abs=1e-5)
    assert found.peak.throughput == pytest.approx(1884, abs=0.5)
    assert found.peak.low < 96.5 < found.peak.high < 216
    assert kinds(found) == {"far-points"}  # the fitted scale is 39 % above what one user got


def test_the_example_in_the_documentation_is_that_curve():
    (read,) = read_curves(str(Path(__file__).parents[1] / "docs" / "examples" / "sdm91.csv"))
    assert (read.measure, read.cpus, read.values) == (SDM91.measure, SDM91.cpus, SDM91.values)


COUNTS = st.lists(st.integers(2, 200), min_size=4, max_size=12, unique=True).map(lambda n: (1, *sorted(n)))


@given(COUNTS, st.floats(0.001, 0.5), st.floats(1e-5, 0.05), st.floats(1e-3, 1e6), st.booleans())
def test_exact_curves_give_their_parameters(cpus, alpha, beta, gamma, scaled):
    made = curve([gamma * usl(n, alpha, beta) for n in cpus], cpus, "throughput")
    found = fit(made, "fitted" if scaled else "measured")
    assert found.usl.alpha.value == pytest.approx(alpha, rel=1e-4, abs=1e-6)
    assert found.usl.beta.value == pytest.approx(beta, rel=1e-4, abs=1e-8)
    assert found.usl.gamma.value == pytest.approx(gamma, rel=1e-4)
    assert found.peak.cpus == pytest.approx(peak_cpus(alpha, beta), rel=1e-4)
    assert found.usl.r_squared == pytest.approx(1)


@given(COUNTS, st.floats(0.001, 0.9))
def test_exact_curves_of_amdahl_are_told_as_such(cpus, sigma):
    found = fit(curve([amdahl(n, sigma) for n in cpus], cpus))
    assert found.amdahl.alpha.value == pytest.approx(sigma, rel=1e-6)
    assert found.usl.beta.value == pytest.approx(0, abs=1e-9)
    assert found.preferred != "usl"


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(-0.1, 1.2), st.floats(-0.02, 0.05), st.booleans())
def test_no_allowed_parameters_are_nearer(seed, alpha, beta, scaled):
    """Also where the best ones are outside the bounds: a dense grid finds no smaller sum of squares."""
    rng = np.random.default_rng(seed)
    n = np.arange(1, 9)
    below = 1 + alpha * (n - 1) + beta * n * (n - 1)
    values = np.abs(n / np.maximum(below, 0.2)) * rng.uniform(0.9, 1.1, 8)
    found = fit(curve(values, measure="throughput"), "fitted" if scaled else "measured")
    for one in (found.amdahl, found.usl):
        ours = sum(r * r for r in one.residuals)
        for a in np.linspace(0, 1, 41):
            for b in np.linspace(0, 0.2, 41) if one.law == "usl" else (0.0,):
                shape = n / (1 + a * (n - 1) + b * n * (n - 1))
                gamma = values @ shape / (shape @ shape) if scaled else values[0]
                assert ours <= ((values - gamma * shape) ** 2).sum() * (1 + 1e-9)
        assert 0 <= one.alpha.value <= 1 and (one.beta is None or one.beta.value >= 0)


def test_intervals_cover_what_is_true():
    """Of 95 % intervals from curves with known noise, 95 % hold the true value (400 curves, fixed seed)."""
    rng = np.random.default_rng(5)
    cpus = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
    true = {"alpha": 0.03, "beta": 0.0006, "gamma": 100.0}
    exact = np.array([true["gamma"] * usl(n, true["alpha"], true["beta"]) for n in cpus])
    trials, half = 400, t.ppf(0.975, len(cpus) - 3)
    hits = dict.fromkeys((*true, "peak", "speedup"), 0)
    peak = peak_cpus(true["alpha"], true["beta"])
    for _ in range(trials):
        found = fit(curve(exact + rng.normal(0, 25, len(cpus)), cpus, "throughput"))
        for name, value in true.items():
            one = getattr(found.usl, name)
            hits[name] += (
                one.standard_error is not None and abs(one.value - value) < half * one.standard_error
            )
        low, high = found.peak.low or math.inf, found.peak.high or math.inf
        hits["peak"] += low < peak < high
        error = found.peak.speedup_standard_error
        hits["speedup"] += (
            error is not None
            and abs(found.peak.speedup - usl(peak, true["alpha"], true["beta"])) < half * error
        )
    shares = {name: hit / trials for name, hit in hits.items()}
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


def test_standard_errors_shrink_with_the_noise():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 12)
    exact = np.array([usl(n, 0.05, 0.002) for n in range(1, 13)])
    wide, narrow = (fit(curve(exact + size * noise, measure="throughput")).usl for size in (0.02, 0.002))
    assert wide.alpha.standard_error == pytest.approx(10 * narrow.alpha.standard_error, rel=0.2)


def test_the_measured_scale_takes_one_processor_as_it_is():
    found = fit(SDM91, "measured")
    assert found.usl.gamma.value == pytest.approx(64.9) and found.usl.gamma.standard_error is None
    assert found.usl.residuals[0] == pytest.approx(0) and found.usl.degrees_of_freedom == 4
    with pytest.raises(InputError, match="nothing was measured with N = 1"):
        fit(curve([9, 8, 7], (2, 4, 8), "throughput"), "measured")


def test_times_are_fitted_as_speeds():
    times = [10 / usl(n, 0.1, 0.01) for n in range(1, 9)]
    found = fit(curve(times, measure="makespan"))
    assert found.usl.alpha.value == pytest.approx(0.1) and found.usl.gamma.value == pytest.approx(1)


def test_an_estimate_that_the_points_do_not_tell_has_no_error():
    exactly = fit(curve([100 * usl(n, 0.1, 0.01) for n in (1, 4, 9)], (1, 4, 9), "throughput"))
    assert exactly.usl.degrees_of_freedom == 0 and exactly.usl.alpha.standard_error is None
    assert exactly.peak.cpus == pytest.approx(peak_cpus(0.1, 0.01)) and exactly.peak.low is None
    assert exactly.preferred is None and "few-points" in kinds(exactly)
    with pytest.raises(InputError, match="made: 2 different N; a fit needs at least 3"):
        fit(curve([1, 2], measure="throughput"))
    with pytest.raises(InputError, match="1 different N besides N = 1; a fit needs at least 2"):
        fit(curve([1, 2]))


def test_bounds_are_kept_and_told():
    linear = fit(curve([1, 2.1, 3.2, 4.4, 5.5, 6.7, 7.7, 9.0]))
    assert linear.usl.alpha.value == linear.usl.beta.value == 0 and linear.peak.cpus is None
    assert kinds(linear) >= {"superlinear", "alpha-at-bound", "beta-at-bound"}
    falls = fit(curve([1, 0.95, 0.93, 0.92, 0.90, 0.89, 0.88, 0.87]))
    assert falls.usl.alpha.value == 1 and falls.usl.alpha.at_bound and falls.usl.alpha.standard_error is None
    assert falls.peak.cpus == 1 and "alpha-at-bound" in kinds(falls)


def test_a_peak_beyond_the_measurements_is_told():
    values = [usl(n, 0.02, 0.002) for n in range(1, 9)]
    found = fit(curve(np.array(values) + np.resize([0.03, -0.03], 8)))
    assert found.peak.cpus > 8 and {"extrapolated-peak", "no-certain-peak"} <= kinds(found)
    exact = fit(curve([usl(n, 0.02, 0.002) for n in range(1, 41)]))
    assert exact.peak.cpus == pytest.approx(math.sqrt(0.98 / 0.002)) and not kinds(exact)


def test_neither_law_is_preferred_where_the_criteria_disagree():
    found = fit(SDM91)
    assert found.aicc_difference < -2 and found.peak.high is not None and found.preferred is None


@pytest.mark.parametrize(("ups", "downs"), [(1, 1), (2, 3), (4, 4), (1, 6), (5, 3)])
def test_chances_of_runs_are_counted(ups, downs):
    """Against all orders of the signs."""
    orders = [
        [k in chosen for k in range(ups + downs)]
        for chosen in itertools.combinations(range(ups + downs), ups)
    ]
    runs = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in orders]
    for order, number in zip(orders, runs, strict=True):
        assert runs_chance(order) == pytest.approx(sum(each <= number for each in runs) / len(runs))


def test_idle_time_of_equal_processes():
    assert [idle(8, n) for n in (1, 2, 4, 8)] == [0] * 4
    assert idle(8, 7) == pytest.approx(14 / 8 - 1) and idle(8, 16) == 1


@pytest.mark.parametrize("processes", [8, None])
def test_steps_of_a_makespan_are_told(processes):
    """Figure 2 as recorded: by makespan 2.6 shows eight processes on 5 to 7 processors, by throughput not."""
    sample = recorded("pentium4").samples[0]
    cycles, rates = sample.makespan_cycles["linux-2.6"], sample.steady_per_s["linux-2.6"]
    assert "steps" in kinds(fit(curve(cycles, CPUS, "makespan", processes=processes)))
    assert "steps" in kinds(fit(curve([cycles[0] / c for c in cycles], CPUS, processes=processes)))
    assert "steps" not in kinds(fit(curve(rates, CPUS, "throughput", processes=processes)))


THINK, WORK = 20_000.0, 1_000.0


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0, 0.5), st.integers(1, 500))
def test_the_synchronous_bound_is_the_law(think, work, exchange, n):
    """Gunther's theorems: alpha is the server's share of one cycle, beta that share times the exchange."""
    share = work / (think + work)
    capacity = synchronous_bound(n, think, work, exchange) / synchronous_bound(1, think, work, exchange)
    assert capacity == pytest.approx(usl(n, share, share * exchange))
    assert mean_value_analysis(n, think, work) >= synchronous_bound(n, think, work) * (1 - 1e-12)


def test_a_fit_of_the_synchronous_bound_gives_the_queue_back():
    cpus = (1, 2, 4, 8, 16, 32, 64)
    values = [synchronous_bound(n, THINK, WORK, 0.002) for n in cpus]
    found = fit(curve(values, cpus, "throughput"))
    assert found.usl.alpha.value == pytest.approx(1 / 21) and found.usl.beta.value == pytest.approx(
        0.002 / 21
    )
    none = fit(curve([synchronous_bound(n, THINK, WORK) for n in cpus], cpus, "throughput"))
    assert none.amdahl.alpha.value == pytest.approx(1 / 21) and none.usl.beta.value == pytest.approx(
        0, abs=1e-9
    )


def test_a_real_queue_is_not_the_law():
    """Exact mean value analysis: throughput grows without end, yet the USL finds a peak. The doubts say so."""
    few = (1, 2, 4, 8, 16, 32, 64)
    assert kinds(fit(curve([mean_value_analysis(n, THINK, WORK) for n in few], few, "throughput"))) == {
        "no-fall"
    }
    cpus = tuple(range(1, 65))
    values = [mean_value_analysis(n, THINK, WORK) for n in cpus]
    assert values == sorted(values)
    found = fit(curve(values, cpus, "throughput"))
    assert found.usl.beta.value > 5 * found.usl.beta.standard_error
    assert found.usl.alpha.value < 1 / 21 and found.peak.cpus < 64
    assert {"systematic", "no-fall", "far-points"} <= kinds(found)
