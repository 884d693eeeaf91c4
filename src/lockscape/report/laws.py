"""Fitted laws of scalability: a document, tables, and a drawing of each curve with both laws."""

from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

import msgspec

from lockscape.experiments.laws import CONFIDENCE, Estimate, Fit, Fits
from lockscape.experiments.laws_doubts import Doubt, doubts
from lockscape.report.manifest import Manifest
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.plot import Curve, print_plot
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.table import Row, Table, print_tables

DENSE = 200
"""Points of a drawn law, evenly over N and again over its logarithm."""

_UNITS = {
    "speedup": "speedup",
    "throughput": "throughput",
    "makespan": "speed by makespan, over that of the smallest N",
}


class FittedCurve(msgspec.Struct, frozen=True):
    """A curve with both laws; `amdahl_limit` is the speedup that Amdahl's law never exceeds, if any."""

    name: str
    fits: Fits
    amdahl_limit: float | None
    doubts: tuple[Doubt, ...]


class LawsDocument(msgspec.Struct, frozen=True):
    """The result of ``lockscape laws``. `confidence` is that of intervals."""

    schema_version: int
    document: Literal["laws"]
    manifest: Manifest
    confidence: float
    curves: tuple[FittedCurve, ...]


def laws_document(fitted: Sequence[Fits], manifest: Manifest) -> LawsDocument:
    """Return the document of fitted curves."""
    curves = tuple(FittedCurve(each.curve.name, each, _limit(each.amdahl), doubts(each)) for each in fitted)
    return LawsDocument(SCHEMA_VERSION, "laws", manifest, CONFIDENCE, curves)


def _limit(amdahl: Fit) -> float | None:
    return 1 / amdahl.alpha.value if amdahl.alpha.value > 0 else None


def laws_csv(document: LawsDocument) -> Table:
    """Return one row for each curve: parameters with their standard errors, peak, doubts by name."""
    columns = (
        "curve", "measure", "scale", "points", "amdahl_sigma", "amdahl_sigma_se", "amdahl_gamma",
        "amdahl_limit", "amdahl_r_squared", "amdahl_aicc", "usl_alpha", "usl_alpha_se", "usl_beta",
        "usl_beta_se", "usl_gamma", "usl_gamma_se", "usl_r_squared", "usl_aicc", "peak", "peak_low",
        "peak_high", "peak_speedup", "peak_speedup_se", "peak_throughput", "preferred", "doubts",
    )  # fmt: skip
    rows: list[Row] = []
    for each in document.curves:
        fits, one, two, peak = each.fits, each.fits.amdahl, each.fits.usl, each.fits.peak
        assert two.beta is not None
        rows.append((
            each.name, fits.curve.measure, fits.scale, len(fits.curve.cpus),
            one.alpha.value, one.alpha.standard_error, one.gamma.value, each.amdahl_limit,
            one.r_squared, one.aicc,
            two.alpha.value, two.alpha.standard_error, two.beta.value, two.beta.standard_error,
            two.gamma.value, two.gamma.standard_error, two.r_squared, two.aicc,
            peak.cpus, peak.low, peak.high, peak.speedup, peak.speedup_standard_error, peak.throughput,
            fits.preferred, " ".join(doubt.kind for doubt in each.doubts),
        ))  # fmt: skip
    return Table("", columns, tuple(rows), frozenset({0, 1, 2, 24, 25}))


def print_laws(document: LawsDocument, out: TextIO) -> None:
    """Write everything for people, curve by curve."""
    for number, each in enumerate(document.curves):
        if number:
            out.write("\n")
        print_tables((_parameters(each),), out)
        print_prose([Paragraph(line, "note") for line in _verdicts(each)], out)
        print_prose([Paragraph(f"Doubt: {doubt.text}", "note", hang=4) for doubt in each.doubts], out)
        out.write("\n")
        _plot(each.fits, out)
        out.write("\n")
        print_tables((_residuals(each.fits),), out)
    out.write("\n")
    print_prose([Paragraph(line, "note") for line in _LEGEND], out)


_LEGEND = (
    "Amdahl: gamma N / (1 + sigma (N - 1)). USL: gamma N / (1 + alpha (N - 1) + beta N (N - 1)). alpha "
    "(sigma): contention, what is done one at a time; beta: coherency, what every pair costs; gamma: one's. "
    f"±: standard error. Intervals are of {CONFIDENCE:.0%}.",
)


def _parameters(each: FittedCurve) -> Table:
    fits = each.fits
    curve, one, two = fits.curve, fits.amdahl, fits.usl
    rows: list[Row] = [
        ("alpha (sigma)", *_estimate(one.alpha), *_estimate(two.alpha)),
        ("beta", "", "", *_estimate(two.beta)),
        ("gamma", *_estimate(one.gamma), *_estimate(two.gamma)),
        ("R²", f"{one.r_squared:.4f}", "", f"{two.r_squared:.4f}", ""),
        ("error of a point", _four(one.residual_standard_error), "", _four(two.residual_standard_error), ""),
        ("AICc", _one(one.aicc), "", _one(two.aicc), ""),
    ]
    return Table(
        f"{each.name}: {_UNITS[curve.measure]}, {len(curve.cpus)} points, N = {curve.axis}",
        ("", "Amdahl", "±", "USL", "±"), tuple(rows), notes=curve.left_out,
    )  # fmt: skip


def _estimate(found: Estimate | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    error = found.standard_error
    return _four(found.value), "bound" if found.at_bound else _three(error)


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _four(value: float | None) -> str:
    if value is None:
        return ""
    if value == 0 or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:#.4g}".rstrip(".")


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"


def _one(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _verdicts(each: FittedCurve) -> Iterator[str]:
    fits = each.fits
    scale = (
        "fitted" if fits.scale == "fitted" else "what was measured with N = 1, and that point does not count"
    )
    yield f"gamma is {scale}."
    yield _peak(fits)
    yield (
        f"Amdahl: at most {each.amdahl_limit:.4g} times one."
        if each.amdahl_limit is not None
        else "Amdahl: linear, no limit."
    )
    names = {"amdahl": "Amdahl's law", "usl": "the USL", None: "neither law"}
    if fits.aicc_difference is None:
        yield "Too few points to prefer a law by AICc."
    else:
        why = f"AICc: Amdahl's minus the USL's is {fits.aicc_difference:+.1f}"
        if fits.preferred is None and fits.aicc_difference < -2:
            why += ", but beta differs from 0"
        yield f"Preferred: {names[fits.preferred]} ({why})."


def _peak(fits: Fits) -> str:
    """Return the sentence about the peak."""
    peak = fits.peak
    if peak.cpus is None or peak.speedup is None:
        return "USL: no peak."
    if peak.cpus == 1:
        return "USL: the peak is one; more is slower."
    if peak.low is None:
        between = ""
    elif peak.high is None:
        between = f" (from {peak.low:.1f} on, no upper end)"
    else:
        between = f" ({peak.low:.1f} to {peak.high:.1f})"
    value = f", {_four(peak.throughput)}" if fits.curve.measure == "throughput" else ""
    error = "" if peak.speedup_standard_error is None else f" ± {peak.speedup_standard_error:.2g}"
    return f"USL: peak at N = {peak.cpus:.1f}{between}, there {peak.speedup:.3g}{error} times one{value}."


def _plot(fits: Fits, out: TextIO) -> None:
    curve = fits.curve
    low, high = min(curve.cpus), max(curve.cpus)
    if low == high:
        return
    steps = [step / DENSE for step in range(DENSE + 1)]
    xs = sorted({low + (high - low) * s for s in steps} | {low * (high / low) ** s for s in steps})
    measured = list(zip(curve.cpus, curve.throughputs().tolist(), strict=True))
    print_plot(
        f"{curve.name}: {_UNITS[curve.measure]}",
        [
            Curve("measured", measured, "o", ""),
            Curve("USL", [(x, fits.usl.throughput(x)) for x in xs], "", "."),
            Curve("Amdahl", [(x, fits.amdahl.throughput(x)) for x in xs], "", "-"),
        ],
        curve.axis, out,
    )  # fmt: skip


def _residuals(fits: Fits) -> Table:
    """Return what was measured and what the laws miss: measured minus fitted, and its share of the fitted."""
    curve = fits.curve
    rows: list[Row] = []
    for at, (n, value) in enumerate(zip(curve.cpus, curve.throughputs().tolist(), strict=True)):
        cells: list[str] = []
        for law in (fits.amdahl, fits.usl):
            share = law.residuals[at] / law.fitted[at]
            cells += [_four(law.fitted[at]), _signed(law.residuals[at]), f"{share:+.1%}"]
        rows.append((n, _four(value), *cells))
    heads = ("N", "measured", "Amdahl", "residual", "", "USL", "residual", "")
    return Table("Residuals: measured minus fitted", heads, tuple(rows), frozenset())
