"""``lockscape laws``: what it reads, what it prints, and what it refuses."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.curve_file import read_curves
from lockscape.experiments.laws import usl
from lockscape.report.plot import Curve as Drawn
from lockscape.report.plot import draw
from test_schemas import check

SDM91 = str(Path(__file__).parents[1] / "docs" / "examples" / "sdm91.csv")


@pytest.fixture
def lockscape(capsys):
    return Command(capsys)


@pytest.fixture
def given_file(tmp_path):
    def write(text, name="curve.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def piped(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_the_table_has_parameters_peak_doubts_drawing_and_residuals(lockscape):
    done = lockscape("laws", SDM91)
    assert done.code == 0 and done.err == ""
    words = " ".join(done.out.split())
    assert "alpha (sigma) 0.07365 0.0257 0.02773 0.00912" in words
    assert "beta 0.0001044 1.99e-05" in words
    assert "USL: peak at N = 96.5 (78.4 to 138.9), there 20.9 ± 3.6 times one, 1884." in words
    assert "Doubt: At N = 1 the USL is 39% too high." in words
    assert "o measured . USL - Amdahl" in words
    assert "216 1702 1876 -174 -9.3% 1646 +56 +3.4%" in words
    assert "[" not in done.out and "nan" not in done.out
    assert (
        max(len(line) for line in done.out.splitlines() if not line.startswith(("Preferred", "Amdahl:")))
        <= 100
    )


def test_json_and_csv_have_the_same_figures(lockscape):
    out = lockscape("laws", SDM91, "--json").out
    check("laws", out)
    (each,) = json.loads(out)["curves"]
    (row,) = csv.DictReader(io.StringIO(lockscape("laws", SDM91, "--csv").out))
    assert (
        float(row["usl_alpha"]) == each["fits"]["usl"]["alpha"]["value"] == pytest.approx(0.0277285, abs=5e-8)
    )
    assert float(row["usl_beta_se"]) == each["fits"]["usl"]["beta"]["standard_error"]
    assert float(row["peak"]) == each["fits"]["peak"]["cpus"] and row["doubts"] == "far-points"
    assert each["amdahl_limit"] == pytest.approx(1 / each["fits"]["amdahl"]["alpha"]["value"])


SIMULATED = ("simulate", "giant", "fine", "--cpus", "1-5", "--transactions", "20", "--number", "10")


def test_simulated_curves_are_fitted_from_csv_and_from_json(lockscape, monkeypatch, tmp_path, given_file):
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    text, document = lockscape(*SIMULATED, "--csv").out, lockscape(*SIMULATED, "--json").out
    for by in ("speedup", "makespan"):
        piped(monkeypatch, text)
        from_csv = lockscape("laws", "-", "--by", by, "--csv").out
        assert from_csv.splitlines()[1].startswith(f"giant,{by},")
        assert from_csv.splitlines()[2].startswith(f"fine,{by},")
        assert lockscape("laws", given_file(document, "made.json"), "--by", by, "--csv").out == from_csv
    piped(monkeypatch, text)  # so short a run has no moment with all processes in their transactions
    assert "no value of giant in the column of throughput" in lockscape("laws", "-", "--by", "throughput").err
    (giant, fine) = read_curves(given_file(document, "made.json"))
    assert (giant.name, fine.name, giant.processes) == ("giant", "fine", 8)
    assert giant.measure == "speedup" and giant.cpus == (1, 2, 3, 4, 5) and giant.values[0] == 1


def test_the_throughput_of_a_simulated_curve_is_that_of_its_steady_time(given_file):
    point = {"makespan_s": 2.0, "speedup": 1.0}
    points = [{"cpus": 1, "steady_per_s": 10.5, **point}, {"cpus": 2, "steady_per_s": None, **point}]
    made = {
        "document": "simulate",
        "workload": {"processes": 4},
        "systems": [{"name": "fine", "points": points}],
    }
    (found,) = read_curves(given_file(json.dumps(made)), "throughput")
    assert (found.cpus, found.values, found.processes) == ((1,), (10.5,), 4)
    assert found.left_out == ("N = 2 has no throughput and was left out.",)


def test_curves_of_one_file_are_named_by_what_tells_them_apart(given_file):
    rows = "".join(f"{s},{p},pentium4,{n},{n}\n" for s, p in (("a", "a"), ("a", "b")) for n in (1, 2, 3))
    found = read_curves(given_file(f"system,plan,machine,cpus,speedup\n{rows}"))
    assert [each.name for each in found] == ["a", "b"]
    one = read_curves(given_file("system,cpus,speedup\nfine,2,1.9\nfine,1,1\n"))
    assert [(each.name, each.cpus, each.values) for each in one] == [("fine", (1, 2), (1.0, 1.9))]
    alone = given_file("N;X\n1;10\n2;19\n")
    assert [(c.name, c.measure, c.axis) for c in read_curves(alone)] == [(alone, "throughput", "processors")]


def test_missing_values_are_reported_and_not_fitted(lockscape, given_file):
    rows = "".join(f"{n},{100 * usl(n, 0.1, 0.01)}\n" for n in (1, 2, 3, 4, 6, 8))
    path = given_file(f"cpus,throughput\n5,\n7,0\n{rows}")
    out = lockscape("laws", path).out
    assert "N = 5 has no throughput and was left out." in out and "N = 7 has no throughput" in out
    (each,) = json.loads(lockscape("laws", path, "--json").out)["curves"]
    assert (
        each["fits"]["usl"]["alpha"]["value"] == pytest.approx(0.1)
        and len(each["fits"]["curve"]["cpus"]) == 6
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; the first line must name the columns"),
        ("1,2\n3,4\n", "no column of processors among '1', '2'; name one cpus,"),
        ("cpus,colour\n1,2\n", "no column of what was measured among 'cpus', 'colour'; name one speedup,"),
        ("cpus,speedup\n", "headings, but no point below them"),
        ("cpus,speedup\n1,1\n2\n", "line 3: 1 fields under 2 headings"),
        ("cpus,speedup\n1.5,1\n", "line 2, cpus: '1.5' is no count"),
        ("cpus,speedup\n0,1\n", "line 2, cpus: '0' is no count"),
        ("cpus,speedup\n1,fast\n", "line 2, speedup: 'fast' is no number"),
        ("cpus,speedup\n1,nan\n", "line 2, speedup: 'nan' is no number"),
        ("cpus,speedup\n1,-2\n", "line 2, speedup: '-2' is negative"),
        ("cpus,speedup\n1,\n2,\n", "in the column of speedup; choose another with --by"),
        ("cpus,speedup\n1,1\n2,2\n", "1 different N besides N = 1; a fit needs at least 2: measure more"),
        ("cpus,speedup\n1,1\n2,\x1b[2J\n", "'\\x1b[2J' is no number"),
        (b"cpus,speedup\n1,\xff\n", "not UTF-8 text"),
        ("{", "no document of simulate"),
        ('{"document": "census"}', "a document 'census'; give that of simulate"),
        ('{"document": "simulate", "systems": []}', "no curve in it; run simulate without"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(lockscape, given_file, text, message):
    done = lockscape("laws", given_file(text))
    assert done.code == 1 and done.out == ""
    assert done.err.startswith("lockscape: ") and done.err.count("\n") == 1
    assert message in done.err


def test_missing_files_and_measures_are_told(lockscape, given_file):
    assert "nowhere.csv: no such file or directory; give a CSV file" in lockscape("laws", "nowhere.csv").err
    done = lockscape("laws", SDM91, "--by", "makespan")
    assert done.code == 1 and "no column of makespan among 'load', 'throughput'" in done.err
    assert lockscape("laws").code == 2


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: f"cpus,x\n1,2\n{t}".encode()))
def test_no_input_crashes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        found = read_curves(str(path))
    except InputError as error:
        assert str(error)
    else:
        assert all(each.cpus and min(each.values) > 0 for each in found)


def test_a_drawing_tells_points_from_lines():
    line = [(1 + k / 50, 2.0) for k in range(351)]
    lines = draw([Drawn("points", [(1, 1.0), (8, 2.0)], "o", ""), Drawn("law", line, "", "-")], 60, "N")
    text = ["".join(part for part, _ in each) for each in lines]
    assert sum(each.count("o") for each in text[:16]) == 2
    assert max(each.count("-") for each in text[:16]) >= 50 and text[-1].strip() == "o points   - law"
    assert text[17].split() == ["1", "8"]
