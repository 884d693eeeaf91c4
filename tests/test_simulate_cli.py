"""``lockscape simulate`` as a person meets it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli_tools import Command
from lockscape.experiments.curve import Point
from lockscape.ports.plan import load_plan
from lockscape.report.manifest import Stopwatch
from lockscape.report.plot import PIPED, Curve, draw, print_plot
from lockscape.report.simulate import SimulateDocument, simulate_document
from lockscape.report.simulate_tables import print_curves
from simulate_tools import WORK, result, spec
from terminal_tools import Terminal, plain_lines
from test_schemas import closed, shipped

SMALL = ("--transactions", "60", "--number", "20", "--processes", "3", "--seed-each", "--jobs", "1")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    result("giant", 1)  # compiles the engine if need be, which it says on stderr
    return Command(capsys)


def document(
    systems: tuple[str, ...] = ("giant", "fine"), cpus: tuple[int, ...] = (1, 3)
) -> SimulateDocument:
    points = [Point(spec(name, n), result(name, n), 0.1, False) for name in systems for n in cpus]
    return simulate_document([*points, points[0]], Stopwatch().manifest(), based=True)


def check(out: str) -> Any:
    found = json.loads(out)
    Draft202012Validator(closed(shipped("simulate"))).validate(found)
    return found


def test_prints_everything_asked_for(call: Command) -> None:
    code, out, err = call("simulate", "giant", "fine", "--cpus", "1,3", *SMALL)
    assert (code, err) == (0, "")
    for words in (
        "Simulated: PostMark, 3 processes of 60 transactions on 20 files of 100 bytes",
        "Speedup over one processor of the same system", "shows balancing as much as locking", "A giant   B fine",
        "Where the time goes", "Locks of giant on 3 processors", "kernel_flag", "Latency of system calls", "unlink",
    ):  # fmt: skip
        assert words in out
    assert "Speedup over linux-2.0" not in out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())
    plot = out[out.index("Speedup over one processor of the same system\n", out.index("balancing")) :]
    assert plot[: plot.index("Where")].isascii()


def test_json_csv_and_the_library_agree(call: Command) -> None:
    arguments = ("simulate", "giant", "--cpus", "3", "--baseline", "fine", *SMALL)
    found = check(call(*arguments, "--json").out)
    assert [point["cpus"] for point in found["systems"][0]["points"]] == [1, 3]
    one, three = found["systems"][0]["points"]
    assert three["result"]["makespan_cycles"] == result("giant", 3).makespan_cycles
    assert three["speedup"] == one["makespan_s"] / three["makespan_s"]
    assert found["baseline"] == {"name": "fine", "makespan_s": result("fine", 1).makespan_s}
    assert three["speedup_over_baseline"] == result("fine", 1).makespan_s / three["makespan_s"]
    rows = list(csv.DictReader(io.StringIO(call(*arguments, "--csv").out)))
    assert [float(row["speedup"]) for row in rows] == [1.0, three["speedup"]]
    again = check(call(*arguments, "--json", "--fresh").out)
    assert strip(again) == strip(found)
    kept = check(call(*arguments, "--json").out)
    assert all(point["kept"] for point in kept["systems"][0]["points"])
    assert strip(kept) == strip(found)


def strip(found: Any) -> Any:
    """Return a document without what tells one making of it from another."""
    points = [
        {k: v for k, v in p.items() if k not in ("host_s", "kept")}
        for s in found["systems"]
        for p in s["points"]
    ]
    return {**{k: v for k, v in found.items() if k not in ("manifest", "systems")}, "points": points}


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_fits_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    print_curves(document(cpus=(1, 3)), out)
    lines = plain_lines(out.getvalue())
    if columns >= 80:
        assert max(map(len, lines)) <= columns
    plot = lines[next(k for k, line in enumerate(lines) if line.startswith("Speedup over giant on one p")) :]
    drawn = [line for line in plot if " |" in line or " +-" in line]
    assert drawn
    assert max(map(len, drawn)) <= columns
    assert any("1.00" in line and line.startswith("giant") for line in lines)


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        print_plot(
            "Speedup", [Curve("a", [(1, 1.0), (2, 1.5)]), Curve("b", [(1, 1.0), (2, 0.5)])], "processors", out
        )
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b" not in pipe.getvalue()
    assert max(map(len, pipe.getvalue().splitlines())) <= PIPED


def texts(curves: list[Curve], width: int) -> list[str]:
    return ["".join(text for text, _ in line) for line in draw(curves, width, "processors")]


def test_points_are_drawn_where_they_are() -> None:
    lines = texts(
        [Curve("one", [(1, 1.0), (2, 2.0), (4, 4.0)]), Curve("two", [(1, 1.0), (2, 1.0), (4, 1.0)])], 60
    )
    area = [line[line.index("|") + 1 :] for line in lines if "|" in line]
    assert area[0].rstrip().endswith("A")
    assert sum(line.count("A") for line in area) == 2
    assert sum(line.count("B") for line in area) == 2
    assert sum(line.count("*") for line in area) == 1
    (numbers,) = (line for line in lines if line.strip().startswith("1 "))
    assert numbers.split() == ["1", "2", "4"]
    column = next(line.index("A", 0, -3) for line in area if "A" in line[:-3])
    assert numbers[numbers.index("2")] == "2"
    assert abs(numbers.index("2") - (column + len(lines[0]) - len(area[0]))) <= 1


@pytest.mark.parametrize(
    "points", [[(1, 0.0), (2, 0.0)], [(5, 3.0)], [(1, 1e-9), (1024, 2e-9)], [(1, 1e12), (2, 1.0)]]
)
def test_odd_curves_are_drawn(points: list[tuple[int, float]]) -> None:
    for width in (10, 40, 100):
        lines = texts([Curve("c" * 50, points)], width)
        assert any("A" in line or "*" in line for line in lines)


def test_many_curves_keep_their_names() -> None:
    curves = [Curve(f"system {n}", [(1, 1.0), (8, 1.0 + n)]) for n in range(60)]
    text = "\n".join(texts(curves, 80))
    assert all(f"system {n}" in text for n in range(60))


def test_postmarks_own_report(call: Command, tmp_path: Path) -> None:
    configuration = tmp_path / "pm.cfg"
    configuration.write_text(
        "set size 100 100\nset number 20\nset transactions 60\nset report terse\nrun\nquit\n"
    )
    out = call(
        "simulate", "giant", "--cpus", "1", "--processes", "2", "--postmark", str(configuration), "--report-postmark",
        "--jobs", "1",
    ).out  # fmt: skip
    report = out[out.index("PostMark, process 1 of giant on 1 processor") :].splitlines()
    assert len(report[1].split()) == 13
    assert float(report[1].split()[2]) > 1000
    verbose = call("simulate", "giant", "--cpus", "1", *SMALL, "--report-postmark").out
    assert verbose.count("seconds total") == 3
    assert "60 transactions on 20 files" in verbose


def test_details_on_a_chosen_number_of_processors(call: Command) -> None:
    out = call("simulate", "giant", "--cpus", "1-3", "--at", "2", *SMALL).out
    assert "Locks of giant on 2 processors" in out
    assert "on 3 processors" not in out
    assert call("simulate", "fine", "--cpus", "3", "--locks", "all", *SMALL).out.count("spinlock") > 5


def test_a_kernel_without_exclusion_runs_on_one_processor(call: Command) -> None:
    found = check(call("simulate", "uniprocessor", "giant", "--cpus", "1,3", *SMALL, "--json").out)
    assert [[p["cpus"] for p in s["points"]] for s in found["systems"]] == [[1], [1, 3]]


def test_your_own_plan(call: Command, tmp_path: Path) -> None:
    from importlib import resources

    text = (resources.files("lockscape.ports") / "plans" / "giant.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(text)
    name = str(tmp_path / "mine.toml")
    found = check(call("simulate", name, "giant", "--cpus", "3", *SMALL, "--json").out)
    mine, giant = found["systems"]
    assert mine["name"] == name
    assert mine["points"][1]["result"] == giant["points"][1]["result"]
    (tmp_path / "mine.toml").write_text(
        text.replace("call cpu_idle/enter_scheduler", "call cpu_idle/nothing")
    )
    code, out, err = call("simulate", name, "--cpus", "3", *SMALL)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "no such place" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["gaint"], 1, "unknown system or method 'gaint': did you mean giant?"),
        (["giant", "--workload", "postmrk"], 1, "unknown workload 'postmrk': did you mean postmark?"),
        (["giant", "--machine", "pentium5"], 1, "unknown machine 'pentium5': did you mean pentium4?"),
        (["giant", "--cpus", "0"], 2, "give numbers from 1 to 1024"),
        (["giant", "--cpus", "8-1"], 2, "the smaller first"),
        (["giant", "--cpus", "many"], 2, "'many' is no number of processors: write 4, 1-8 or 1,2,4"),
        (["giant", "--cpus", "9" * 4000], 2, "give numbers from 1 to 1024"),
        (["giant", "--processes", "0"], 2, "0 is not in the range"),
        (["giant", "--transactions", "9"], 2, "9 is not in the range"),
        (["giant", "--size", "5-"], 2, "is no size"),
        (["giant", "--size", "500-100"], 1, "size_low_bytes 500"),
        (["giant", "--seed", "0"], 2, "0 is not in the range"),
        (["giant", "--cpus", "1-4", "--at", "5"], 1, "add it to --cpus"),
        (["giant", "--postmark", "/no/such"], 1, "is no file"),
        (["giant", "--postmark", "/no/such", "--number", "5"], 2, "exclude each other"),
        (["giant", "--without", "kernel_lock"], 1, "unknown lock 'kernel_lock': did you mean kernel_flag?"),
        (["uniprocessor", "--without", "i_sem"], 1, "no lock to take out"),
        (["giant", "--processes", "4096"], 1, "give fewer"),
        (["cells", "--cpus", "4", "--transactions", "20", "--fail", "2@1"], 1, "those from 0 to 1"),
        (["fine", "--cpus", "2", "--transactions", "20", "--fail", "0@9999999"], 1, "the run ends after"),
        (["cells", "--fail", "one"], 2, "'one' is no failure: write 2@50"),
        (["cells", "--fail", "1@1", "--without", "i_sem"], 1, "shows one failure by itself"),
        (["giant", "--faults", "--without", "kernel_flag"], 1, "--faults: looks at a system as it is"),
        (["giant", "--band", "2", "--faults"], 1, "--faults: looks at a system as it is"),
        (["giant", "--without", ""], 1, "unknown lock ''"),
        (["/no/such.toml"], 1, "cannot be read as a plan"),
        (["giant", "--baseline", "linux-9"], 1, "unknown system or method 'linux-9'"),
        (["giant", "--json", "--csv"], 2, "exclude each other"),
    ],
)  # fmt: skip
def test_errors_are_one_line(call: Command, arguments: list[str], code: int, message: str) -> None:
    found = call("simulate", *arguments)
    assert message in found.err
    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("lockscape: ")
    assert found.err.count("\n") == 1


def test_a_missing_lock_shows_its_race(call: Command) -> None:
    out = call("simulate", "giant", "--without", "kernel_flag", "--processes", "3").out
    rules = len(load_plan("giant").rule)
    assert f"giant without kernel_flag: not taken at {rules} places, 4 processors" in out
    assert "race" in out
    assert "processor 0" in out
    assert "What came of it" in out
    found = check(call("simulate", "giant", "--without", "kernel_flag", "--processes", "3", "--json").out)
    (removal,) = found["without"]
    assert removal["lock"] == "kernel_flag"
    kinds = {fault["kind"] for fault in removal["faults"]}
    assert "race" in kinds
    race = next(fault for fault in removal["faults"] if fault["kind"] == "race")
    assert len({line.split()[2] for line in race["interleaving"]}) > 1  # at least two processors take part
    assert found["systems"] == []


def test_a_plan_is_looked_at_as_it_is(call: Command, tmp_path: Path) -> None:
    forgotten = Path(__file__).parents[1] / "docs" / "examples" / "forgotten.toml"
    size = ("--faults", "--cpus", "2", "--processes", "2", "--transactions", "20", "--number", "10")
    found = check(call("simulate", str(forgotten), "fine", *size, "--json").out)
    forgot, whole = found["without"]
    assert (forgot["lock"], forgot["rules"], forgot["cpus"]) == ("", 0, 2)
    assert {fault["kind"] for fault in forgot["faults"]} == {"race"}
    assert all("dput" in " ".join(fault["places"]) for fault in forgot["faults"])
    assert (whole["faults"], whole["ended"], whole["damage"]) == ([], "", [])
    assert "fine under the fault detector, 2 processors\n  No fault" in call("simulate", "fine", *size).out


def test_a_failed_cell_takes_its_processes_down_and_no_others(call: Command) -> None:
    command = ("simulate", "cells", "--cpus", "4", "--transactions", "60", "--number", "20", "--processes", "4",
               "--fail", "1@1")  # fmt: skip
    out = call(*command).out
    assert "cells on 4 processors: instance 1 fails at 1 ms and takes down 2 of 4 processes" in out
    assert out.count(" lost\n") == out.count("as before") == 2
    rows = [line.split(",") for line in call(*command, "--csv").out.splitlines()]
    assert [row[4:6] for row in rows] == [
        ["process", "lost"], ["1", "0"], ["2", "1"], ["3", "0"], ["4", "1"]
    ]  # fmt: skip
    (failure,) = check(call(*command, "--json").out)["failures"]
    assert failure["instances"] == [1]
    assert [p["operations"] < p["asked"] for p in failure["processes"]] == [False, True, False, True]


def test_the_whole_port_has_nothing_to_show() -> None:
    assert document().without == ()
    assert WORK.files == 20


@pytest.mark.parametrize("name", ["linux-2.4", "linux-2.6"])
def test_more_files_than_a_group_has_places_for_eight_blocks(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file begins where eight blocks are free; when no eight are, it takes the next free one."""
    small = ("--cpus", "1", "--processes", "1", "--transactions", "10", "--size", "100")
    assert Command(capsys)("simulate", name, *small, "--number", "4300").code == 0
