"""Person-months for a number of lines by COCOMO II.2000, not calibrated: a range, with all that it assumes.

The post-architecture model: ``PM = A * KSLOC ** E * product of effort multipliers``, ``E = B + 0.01 * sum of
scale factors``. Boehm et al., Software Cost Estimation with COCOMO II, Prentice Hall 2000; COCOMO II Model
Definition Manual, version 2.1, USC 2000, from which all constants are. Multipliers that nobody can rate for a
kernel that is not there yet span the range; the others are nominal, 1.
"""

import math
from collections.abc import Mapping

import msgspec

A, B = 2.94, 0.91
"""Constants of the calibration of 2000, to 161 projects."""

SCALE_FACTORS: Mapping[str, float] = {"PREC": 3.72, "FLEX": 3.04, "RESL": 4.24, "TEAM": 3.29, "PMAT": 4.68}
"""Nominal scale factors: precedentedness, flexibility, resolved risks, team, maturity of the process."""

LOW: Mapping[str, float] = {"CPLX": 1.34, "ACAP": 0.85, "PCAP": 0.88}
"""Effort multipliers at the low end: see `HIGH`."""
HIGH: Mapping[str, float] = {"CPLX": 1.74, "ACAP": 1.19, "PCAP": 1.15}
"""Effort multipliers at both ends. Complexity is *very high* for synchronisation of tasks and reentrant code,
*extra high* for scheduling with changing priorities and microcode-level control (the manual's words for its
ratings); analysts and programmers from *high* to *low*."""

LEAST_KSLOC = 2.0
"""Below that the model was not calibrated."""

HOURS = 152
"""Hours of a person-month."""

ASSUMPTIONS = (
    f"COCOMO II.2000, post-architecture model, not calibrated: PM = {A} x KSLOC^E x multipliers, "
    f"E = {B} + 0.01 x {sum(SCALE_FACTORS.values()):.2f} = {B + sum(SCALE_FACTORS.values()) / 100:.4f}.",
    "Scale factors nominal: " + ", ".join(f"{name} {value}" for name, value in SCALE_FACTORS.items()) + ".",
    "Effort multipliers from " + ", ".join(f"{name} {value}" for name, value in LOW.items())
    + f" (product {math.prod(LOW.values()):.2f}) to "
    + ", ".join(f"{name} {value}" for name, value in HIGH.items())
    + f" (product {math.prod(HIGH.values()):.2f}); the other 14 nominal, 1.",
    "Size: modified and new lines with new code; removed lines are not counted, nor what it takes to "
    "understand the kernel first. A line of the simulated kernel's listing is taken as one logical line of "
    "source: the simulated kernel is a small part of a real one, so that figures tell ratios, no project.",
    f"A person-month has {HOURS} hours. Below {LEAST_KSLOC:.0f} KSLOC it is not calibrated (marked *).",
    "Even with all drivers rated, its authors found 75% of their 161 projects within 30% (Chulani, Boehm and "
    "Steece, IEEE TSE 25(4), 1999; from memory); that error comes on top of the range.",
)  # fmt: skip
"""Everything that a figure assumes, a sentence or two each."""


class PersonMonths(msgspec.Struct, frozen=True):
    """A range of person-months for so many lines. `calibrated`: the size is one that the model is for."""

    lines: int
    low: float
    high: float
    calibrated: bool


def person_months(lines: int) -> PersonMonths:
    """Return the range for a number of logical lines of source. Raises `ValueError` for a negative one."""
    if lines < 0:
        raise ValueError(f"{lines} lines of code: give 0 or more")
    nominal = A * (lines / 1000) ** (B + sum(SCALE_FACTORS.values()) / 100)
    return PersonMonths(
        lines, nominal * math.prod(LOW.values()), nominal * math.prod(HIGH.values()),
        lines >= 1000 * LEAST_KSLOC,
    )  # fmt: skip
