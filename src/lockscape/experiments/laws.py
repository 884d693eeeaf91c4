"""Laws of scalability: Amdahl's and Gunther's universal scalability law (USL), fitted to a curve.

Over N processors the relative capacity is ``N / (1 + alpha (N - 1) + beta N (N - 1))``. `alpha` is the share
of the work that is done one at a time (contention; sigma in Amdahl's law, which has no `beta`), `beta` what
every pair of processors costs (coherency). Gunther, Guerrilla Capacity Planning, Springer 2007, chapters 4
to 6; the symbols alpha, beta and gamma are those of the R package usl.

A fit is by ordinary least squares of throughputs, so a curve's errors are taken to be of one size at every N.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError

if TYPE_CHECKING:
    Floats = NDArray[np.float64]

Law = Literal["amdahl", "usl"]
"""A law of scalability."""
Measure = Literal["speedup", "throughput", "makespan"]
"""What a curve gives over numbers of processors: more is better, but of a makespan."""
Scale = Literal["measured", "fitted"]
"""Whether a law's value at one processor is the measured one, or fitted with the rest."""

CONFIDENCE = 0.95
"""Of every interval."""

EXACT = 1e-12
"""Residuals below this share of the largest value are rounding."""

NEAR = 2.0
"""Difference of AICc up to which neither law is preferred (Burnham and Anderson 2002, section 2.6)."""


@dataclass(frozen=True)
class Curve:
    """What was measured: a value for each number of processors (or users, threads), in ascending order.

    `measure`: `values` are speedups, throughputs (operations in some time) or times to do the same work.
    `processes`: so many equal processes did the work, None if it is not known. `left_out` says which
    points have no value, a sentence each. `axis` is what is counted.
    """

    name: str
    measure: Measure
    cpus: tuple[int, ...]
    values: tuple[float, ...]
    processes: int | None = None
    left_out: tuple[str, ...] = ()
    axis: str = "processors"

    def throughputs(self) -> "Floats":
        """Return what the laws are of: the values, or for times the speed over that with the least N."""
        values = np.asarray(self.values, dtype=float)
        return values[0] / values if self.measure == "makespan" else values


@dataclass(frozen=True)
class Estimate:
    """A parameter. Without a standard error it was not estimated, or the curve does not tell it.

    `at_bound`: the best value would lie outside of what the law allows, so it is the bound.
    """

    value: float
    standard_error: float | None
    at_bound: bool = False


@dataclass(frozen=True)
class Fit:
    """A law fitted to a curve.

    `alpha` is sigma in Amdahl's law; `gamma` the throughput of one processor (with the scale `measured` its
    value in the curve). `fitted` and `residuals` (measured minus fitted) are in the curve's order, as
    throughputs. `aicc` is None with too few points for it. `covariance` is of gamma, alpha and beta.
    """

    law: Law
    alpha: Estimate
    beta: Estimate | None
    gamma: Estimate
    fitted: tuple[float, ...]
    residuals: tuple[float, ...]
    degrees_of_freedom: int
    residual_standard_error: float | None
    r_squared: float
    aicc: float | None
    covariance: tuple[tuple[float, ...], ...] | None

    def throughput(self, cpus: float) -> float:
        """Return what the law predicts."""
        beta = self.beta.value if self.beta else 0.0
        return self.gamma.value * usl(cpus, self.alpha.value, beta)


@dataclass(frozen=True)
class Peak:
    """Where the USL has its largest capacity: `cpus`, None if it grows without end.

    `low` and `high` bound it with `CONFIDENCE`; `high` is None where the curve does not exclude that there is
    no peak, and both are None where the interval cannot be told. `speedup` is over one processor.
    """

    cpus: float | None
    low: float | None
    high: float | None
    speedup: float | None
    speedup_standard_error: float | None
    throughput: float | None


@dataclass(frozen=True)
class Fits:
    """Both laws fitted to a curve, and the peak by the USL.

    `preferred`: the law with the lower AICc. None if the difference is not above `NEAR`, cannot be told, or
    speaks for Amdahl's while the peak's interval is bounded, so that beta differs from 0: AICc is strict with
    few points. `aicc_difference` is Amdahl's minus the USL's.
    """

    curve: Curve
    scale: Scale
    amdahl: Fit
    usl: Fit
    peak: Peak
    preferred: Law | None
    aicc_difference: float | None


def amdahl(cpus: float, sigma: float) -> float:
    """Return Amdahl's speedup on so many processors, with a serial share `sigma` (Amdahl 1967)."""
    return usl(cpus, sigma, 0.0)


def usl(cpus: float, alpha: float, beta: float) -> float:
    """Return the relative capacity by the universal scalability law."""
    return cpus / (1 + alpha * (cpus - 1) + beta * cpus * (cpus - 1))


def peak_cpus(alpha: float, beta: float) -> float | None:
    """Return where the universal scalability law has its peak, at least 1, or None without one."""
    return None if beta <= 0 else max(1.0, math.sqrt(max(1 - alpha, 0.0) / beta))


def default_scale(curve: Curve) -> Scale:
    """Return `measured` for speedups, which are relative already, and `fitted` for the rest."""
    return "measured" if curve.measure == "speedup" else "fitted"


def fit(curve: Curve, scale: Scale | None = None) -> Fits:
    """Fit both laws.

    `scale`: gamma is another parameter (`fitted`), or the mean value on one processor (`measured`); that
    point then says nothing about the laws and does not count. Raises `InputError` for too few points.
    """
    scale = scale or default_scale(curve)
    problem = _Problem(curve, scale)
    one, two = problem.fit("amdahl"), problem.fit("usl")
    peak = _peak(two)
    difference = None if one.aicc is None or two.aicc is None else one.aicc - two.aicc
    return Fits(curve, scale, one, two, peak, _preferred(difference, peak), difference)


def _preferred(difference: float | None, peak: Peak) -> Law | None:
    if difference is None or abs(difference) <= NEAR:
        return None
    if difference > 0:
        return "usl"
    return "amdahl" if peak.high is None else None


ACTIVE: tuple[dict[int, float], ...] = ({}, {2: 0}, {1: 0}, {1: 1}, {1: 0, 2: 0}, {1: 1, 2: 0})
"""Which of (gamma, alpha, beta) may lie at a bound: 0 <= alpha <= 1, 0 <= beta."""


class _Problem:
    """The points that are fitted, as throughputs relative to the largest one."""

    def __init__(self, curve: Curve, scale: Scale) -> None:
        self.all_cpus = np.asarray(curve.cpus, dtype=float)
        self.values = curve.throughputs()
        self.unit = float(self.values.max())
        self.gamma: float | None = None
        chosen = np.ones(len(self.values), dtype=bool)
        if scale == "measured":
            alone = self.values[self.all_cpus == 1]
            if not len(alone) and curve.measure != "speedup":
                raise InputError(
                    f"{curve.name}: nothing was measured with N = 1, which the scale is to be taken from: "
                    "add it, or say --scale fitted"
                )
            self.gamma = float(alone.mean()) / self.unit if len(alone) else 1 / self.unit
            chosen = self.all_cpus > 1
        self.cpus, self.y = self.all_cpus[chosen], self.values[chosen] / self.unit
        need, found = 3 if self.gamma is None else 2, len(set(self.cpus.tolist()))
        if found < need:
            beside = "" if self.gamma is None else " besides N = 1"
            raise InputError(
                f"{curve.name}: {found} different N{beside}; a fit needs at least {need}: measure more"
            )

    def fit(self, law: Law) -> Fit:
        """Return the fit with the least squares of all that keep the bounds."""
        fixed: dict[int, float] = {} if self.gamma is None else {0: self.gamma}
        if law == "amdahl":
            fixed[2] = 0.0
        free = self._solve(fixed)
        at_bound: dict[int, float] = {}
        if not _allowed(free):
            tried = [
                (bound, self._solve(fixed | bound)) for bound in ACTIVE if not fixed.keys() & bound.keys()
            ]
            kept = [
                (self._squares(values), number)
                for number, (_, values) in enumerate(tried)
                if _allowed(values)
            ]
            at_bound, free = tried[min(kept)[1]]
        return self._result(law, free, fixed, at_bound)

    def _solve(self, fixed: dict[int, float]) -> "Floats":
        """Return gamma, alpha and beta with the least squares, those that are fixed as they are."""
        from scipy.optimize import least_squares

        values = self._start(fixed)
        free = [number for number in range(3) if number not in fixed]

        def filled(found: "Floats") -> "Floats":
            values[free] = found
            return values

        if free:
            done = least_squares(
                lambda found: _model(self.cpus, filled(found)) - self.y, values[free],
                lambda found: _jacobian(self.cpus, filled(found))[:, free],
                method="lm", x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14,
            )  # fmt: skip
            filled(done.x)
        return values

    def _start(self, fixed: dict[int, float]) -> "Floats":
        """Return a start: N / X is linear in 1 / gamma, alpha / gamma and beta / gamma."""
        from scipy.optimize import nnls

        n, weight = self.cpus, self.y**2 / self.cpus
        columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
        (one, a, b), _ = nnls(columns * weight[:, None], self.y)
        gamma = fixed.get(0, 1 / one if one > 0 else self.y[0])
        start = np.array([gamma, min(a * gamma, 0.99), b * gamma])
        for number, value in fixed.items():
            start[number] = value
        return start

    def _squares(self, values: "Floats") -> float:
        return float(np.sum((self.y - _model(self.cpus, values)) ** 2))

    def _result(self, law: Law, values: "Floats", fixed: dict[int, float], at_bound: dict[int, float]) -> Fit:
        free = [number for number in range(3) if number not in fixed | at_bound]
        points, squares = len(self.y), self._squares(values)
        freedom = points - len(free)
        unit = np.array([self.unit, 1.0, 1.0])
        covariance = _covariance(_jacobian(self.cpus, values)[:, free], squares, freedom, free)
        if covariance is not None:
            covariance *= np.outer(unit, unit)
        gamma, alpha, beta = (
            Estimate(float(values[n] * unit[n]), _error(covariance, n, free), n in at_bound) for n in range(3)
        )
        fitted = _model(self.all_cpus, values) * self.unit
        return Fit(
            law, alpha, beta if law == "usl" else None, gamma,
            tuple(fitted.tolist()), tuple((self.values - fitted).tolist()), freedom,
            math.sqrt(squares / freedom) * self.unit if freedom > 0 else None,
            1 - squares / float(np.sum((self.y - self.y.mean()) ** 2) or 1.0),
            _aicc(squares, points, 3 - len(fixed)),
            None if covariance is None else tuple(map(tuple, covariance.tolist())),
        )  # fmt: skip


def _error(covariance: "Floats | None", number: int, free: Sequence[int]) -> float | None:
    if covariance is None or number not in free:
        return None
    return math.sqrt(covariance[number, number])


def _allowed(values: "Floats") -> bool:
    gamma, alpha, beta = values
    return bool(gamma > 0 and 0 <= alpha <= 1 and beta >= 0)


def _model(n: "Floats", values: "Floats") -> "Floats":
    gamma, alpha, beta = values
    found: Floats = gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))
    return found


def _jacobian(n: "Floats", values: "Floats") -> "Floats":
    gamma, alpha, beta = values
    below = 1 + alpha * (n - 1) + beta * n * (n - 1)
    by_alpha = -gamma * n * (n - 1) / below**2
    return np.stack([n / below, by_alpha, by_alpha * n], axis=1)


def _covariance(jacobian: "Floats", squares: float, freedom: int, free: Sequence[int]) -> "Floats | None":
    """Return the covariance of all three parameters, zero for those not free; None if it has none."""
    if freedom <= 0 or not free:
        return None
    length = np.linalg.norm(jacobian, axis=0)
    columns = jacobian / length
    if np.linalg.matrix_rank(columns, tol=1e-10) < len(free):
        return None
    inner = np.linalg.inv(columns.T @ columns) / np.outer(length, length)
    found: Any = np.zeros((3, 3))
    found[np.ix_(free, free)] = inner * squares / freedom
    return found  # type: ignore[no-any-return]


def _aicc(squares: float, points: int, parameters: int) -> float | None:
    """Return Akaike's criterion, corrected for few points; the variance is a parameter, too."""
    k = parameters + 1
    if points - k - 1 <= 0:
        return None
    return points * math.log(max(squares / points, EXACT**2)) + 2 * k + 2 * k * (k + 1) / (points - k - 1)


def _peak(found: Fit) -> Peak:
    """Return the peak of a fit of the USL, with its interval.

    The interval is by the delta method, of ``q = beta / (1 - alpha)``, which is ``N* ** -2``: that is nearly
    linear in the parameters, so nearly normal, and where it may be 0 the peak may be anywhere. A bootstrap
    would have to draw from residuals, of which there are too few in most curves.
    """
    assert found.beta is not None
    alpha, beta = found.alpha.value, found.beta.value
    cpus = peak_cpus(alpha, beta)
    if cpus is None:
        return Peak(None, None, None, None, None, None)
    speedup = usl(cpus, alpha, beta)
    if found.covariance is None or found.beta.standard_error is None or alpha >= 1:
        return Peak(cpus, None, None, speedup, None, found.throughput(cpus))
    covariance = np.array(found.covariance)
    by_q = np.array([0.0, beta / (1 - alpha) ** 2, 1 / (1 - alpha)])
    half = _student(found.degrees_of_freedom) * math.sqrt(by_q @ covariance @ by_q)
    low, high = (beta / (1 - alpha) + sign * half for sign in (1, -1))
    # at the peak the capacity does not change with N, so its error is that of the parameters alone
    by_speedup = np.array([0.0, -(cpus - 1), -cpus * (cpus - 1)]) * speedup**2 / cpus
    return Peak(
        cpus, max(1.0, low**-0.5), max(1.0, high**-0.5) if high > 0 else None, speedup,
        math.sqrt(by_speedup @ covariance @ by_speedup), found.throughput(cpus),
    )  # fmt: skip


def _student(freedom: int) -> float:
    """Return how many standard errors a `CONFIDENCE` interval reaches to both sides."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
