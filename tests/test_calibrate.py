"""Costs from the calls of a booted kernel, and curves side by side."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.cli.main import main
from lockscape.errors import InputError
from lockscape.experiments import calibrate
from lockscape.experiments.choose import choose
from lockscape.experiments.cost_file import cost_files, read_costs
from lockscape.experiments.request import Request, run_on
from lockscape.experiments.run import simulate
from lockscape.experiments.sample import kernel_steps
from lockscape.workloads.postmark import PostmarkOptions

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=30, transactions=60)
STEPS = ("dir_scan", "stat_copy", "munmap", "read", "write", "postmark_operation")


@given(
    st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.2, 6),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_nearest_factors_meet_what_is_wanted(calls: int, steps: int, seed: int, scale: float) -> None:
    draw = np.random.default_rng(seed)
    shares = draw.uniform(0, 1000, (calls, calls + steps)) * draw.integers(0, 2, (calls, calls + steps))
    shares[:, :calls] += np.diag(draw.uniform(50, 500, calls))  # each call has a step of its own
    hidden = draw.uniform(0.3, 1.0, calls + steps) * scale
    counts = draw.integers(1, 1000, calls).astype(float)
    factors = calibrate._nearest(shares, shares @ hidden, counts)
    assert np.allclose(shares @ factors, shares @ hidden, rtol=1e-5)
    weight = counts @ shares

    def entropy(f: np.ndarray) -> float:
        return float(weight @ (f * np.log(np.maximum(f, 1e-300)) - f))

    assert entropy(factors) <= entropy(hidden) + 1e-6 * weight.sum()  # nearer to 1 than what was hidden


def test_nothing_to_change_gives_no_factors() -> None:
    shares = np.array([[3.0, 0.0, 5.0], [0.0, 2.0, 5.0]])
    assert np.allclose(calibrate._nearest(shares, shares.sum(axis=1), np.array([1.0, 2.0])), 1)


def boot_document(calls: dict[str, tuple[int, float]], user: int, processes: int = 1) -> dict:
    return {
        "document": "boot",
        "kernel": {"release": "9.9-test"},
        "workload": {"processes": processes, "libc": "2005", "postmark": msgspec.to_builtins(SMALL)},
        "curves": [
            {
                "name": "postmark",
                "points": [{"cpus": 1, "runs": [{"processors": [{"user_cycles": user}]}]}],
                "calls": [{"call": n, "count": c, "mean": m} for n, (c, m) in calls.items()],
            }
        ],
    }


def test_a_kernel_with_other_costs_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(1, machine=calibrate.MACHINE, postmark=SMALL)
    spec = run_on(choose("linux-2.6"), request, 1)
    hidden = {"dir_scan": 3.0, "stat_copy": 2.0, "munmap": 4.0, "postmark_operation": 1.5}
    other = simulate(msgspec.structs.replace(spec, cost_factors=hidden))
    calls = {e.call: (e.count, e.mean_cycles) for e in other.calls if e.call in ("open", "fstat", "munmap")}
    count, mean = calls.pop("open")
    calls |= {"open-read": (count // 2, mean), "open-create": (count - count // 2, mean)}  # one call here
    path = tmp_path / "boot.json"
    path.write_text(json.dumps(boot_document(calls, sum(p.user_cycles for p in other.processors))))
    few = {name: step for name, step in kernel_steps().items() if name in STEPS}
    monkeypatch.setattr(calibrate, "kernel_steps", lambda: few)
    found = calibrate.calibrate(spec, calibrate.read_measurement(path), tmp_path, 1)
    assert {each.call for each in found.calls} == {"open", "fstat", "munmap", calibrate.USER}
    for each in found.calls:
        assert each.fitted == pytest.approx(each.measured, rel=0.03)  # ticks fall into other calls
    assert found.factors["stat_copy"] > 1.8  # of fstat alone
    assert found.factors.get("write", 1) == pytest.approx(1, abs=0.01)  # not measured


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "no document of boot"),
        ('{"document": "simulate"}', "a document 'simulate'"),
        (json.dumps(boot_document({}, 1, processes=8)), "8 processes"),
        (json.dumps(boot_document({}, 1) | {"curves": []}), "no run of PostMark on one processor"),
    ],
)
def test_other_documents_are_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        calibrate.read_measurement(path)


def test_costs_that_come_along_name_steps_of_the_kernel() -> None:
    for name in cost_files():
        costs = read_costs(name)
        assert costs.machine == calibrate.MACHINE
        assert set(costs.factors) <= set(kernel_steps())


def test_wrong_costs_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"document": "calibrate", "factors": {"open": -1}}')
    for name, told in (("linux-9", "unknown costs"), (str(wrong), "factor -1.0 of open"),
                       (str(tmp_path / "none.json"), "(?i)no such file")):  # fmt: skip
        with pytest.raises(InputError, match=told):
            read_costs(name)


def test_curves_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("cpus,speedup,makespan_s\n1,1,8\n2,2,4\n4,4,2\n")
    (tmp_path / "b.csv").write_text("cpus,speedup,makespan_s\n1,1,10\n2,1.5,6.7\n")
    names = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    result = CliRunner().invoke(main, ["compare", *names, "--json"])
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.output)["curves"]
    assert [p["speedup_ratio"] for p in first["points"]] == [1, 1, 1]
    assert [p["speedup_ratio"] for p in second["points"]] == [1, 0.75, None]
    assert [p["makespan_ratio"] for p in second["points"]] == [1.25, 1.675, None]
    shown = CliRunner().invoke(main, ["compare", *names]).output
    assert "0.75" in shown
    assert "1.25" in shown
    (tmp_path / "c.csv").write_text("cpus,throughput\n1,20\n2,30\n")  # speedups are made of it
    third = json.loads(
        CliRunner().invoke(main, ["compare", names[0], str(tmp_path / "c.csv"), "--json"]).output
    )
    assert [p["speedup"] for p in third["curves"][1]["points"]] == [1, 1.5, None]
    alone = CliRunner().invoke(main, ["compare", names[0]])
    assert alone.exit_code != 0
