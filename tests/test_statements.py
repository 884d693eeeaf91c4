"""The paper's statements about Figure 2 as conditions on curves."""

import pytest

from lockscape.experiments.statements import LINEAR, NO_GAIN, STATEMENTS, SYSTEMS, best, speedup

CPUS = range(1, 9)
FLAT = dict.fromkeys(CPUS, 1.0)
PAPER = {
    "linux-2.0": FLAT,
    "linux-2.2": dict.fromkeys(CPUS, 1.05),
    "linux-2.4": {c: 1.5 * min(c, 3) ** 0.5 for c in CPUS},
    "linux-2.6": {c: 1.2 * c * (1.0 if c < 8 else 0.8) for c in CPUS},
}


def test_curves_like_the_paper_s_fulfil_all():
    assert tuple(PAPER) == SYSTEMS
    assert [s.name for s in STATEMENTS if not s.holds(PAPER)] == []


@pytest.mark.parametrize(
    ("name", "system", "curve"),
    [
        ("2.0 and 2.2 flat", "linux-2.2", {c: 1 + 0.2 * (c > 1) for c in CPUS}),
        ("2.4 up to 3", "linux-2.4", FLAT),
        ("2.4 up to 3", "linux-2.4", {c: float(c) for c in CPUS}),
        ("2.6 linear", "linux-2.6", {c: min(c, 4) for c in CPUS}),
        ("2.4 fastest", "linux-2.6", {c: 3.0 * c for c in CPUS}),
    ],
)
def test_each_can_fail_alone(name, system, curve):
    changed = PAPER | {system: curve}
    assert name in [s.name for s in STATEMENTS if not s.holds(changed)]


def test_measures():
    assert speedup({1: 2.0, 4: 6.0}, 4) == 3.0
    assert best({1: 1.0, 2: 5.0, 4: 3.0}) == 5.0
    assert best({1: 1.0, 2: 5.0, 4: 3.0}, 3) == 3.0
    assert NO_GAIN > 1 > LINEAR
