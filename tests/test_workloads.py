"""Workload files: strict, with evidence, the same on every computer; and the command that shows them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.workload_run import measure_workload
from lockscape.kernel.entry import FAULT, FORK
from lockscape.workloads.children import DO_RUN
from lockscape.workloads.serving import DO_SERVE
from lockscape.workloads.user import FIRST_CALL
from lockscape.workloads.workload_file import (
    OPERATIONS,
    Workload,
    named_workload,
    parse_workload,
    workload_names,
)
from simulate_tools import result

MINE = """
title = "Mine"
evidence = ["counted"]
processes = 2
operations = 300
names = 10
[mix]
create = 1
read = 2
stat = 1
"""


@pytest.mark.parametrize("name", workload_names())
def test_what_comes_with_lockscape_is_complete(name: str) -> None:
    workload = named_workload(name)
    assert all(len(text) > 40 for text in workload.evidence)
    streams = workload.streams()
    assert len(streams) == workload.processes
    if isinstance(workload, Workload):
        assert_has_its_mix(workload, set(np.concatenate([stream.rows[:, 0] for stream in streams])))
    assert all((a.rows == b.rows).all() for a, b in zip(streams, workload.streams(), strict=True))


def assert_has_its_mix(workload: Workload, kinds: set[int]) -> None:
    """Look whether each operation of the mixes is in the rows; some are calls there, which others are too."""
    children = workload.child.levels() if workload.child is not None else []
    mixes = (workload.mix, *(child.mix for child in children))
    mixed = {OPERATIONS[operation] for mix in mixes for operation in mix} - {DO_RUN, DO_SERVE}
    assert mixed <= kinds
    assert {kind for kind in kinds if kind < DO_SERVE} <= mixed


CHILDREN = (
    MINE
    + """
run = 1
[child]
program_bytes = 9000
data_pages = 70
operations = 3
[child.mix]
stat = 1
run = 1
[child.child]
"""
)


def test_children_do_what_their_part_of_the_file_says() -> None:
    workload = parse_workload(CHILDREN.replace("300", "40"), "mine")
    rows = np.concatenate([stream.rows for stream in workload.streams()])
    forks = int((rows[:, 0] == FIRST_CALL + FORK).sum())
    made = measure_workload(workload).calls
    assert made["fork"] == made["exec"] == made["wait"] == forks > 10
    assert made["fault"] >= int((rows[:, 0] == FIRST_CALL + FAULT).sum()) > 70
    assert [node.size_bytes for node in workload.tree()] == [9000, 9000]
    assert {node.name for node in workload.tree()} == {11, 12}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[child.child]\n", "", r"run = … in its mix has no \[child\]: say both or neither"),
        ("stat = 1\nrun = 1\n[child.child]", "stat = 1\n[child.child]", r"a \[child\] has no run in its mix"),
        ("[child.mix]\nstat", "[child.mix]\nstatt", "unknown operation 'statt': did you mean stat"),
        ("operations = 3\n", "operations = 900000\n", "operations in all: at most 10,000,000"),
    ],
)
def test_what_is_wrong_about_children_is_said(old: str, new: str, message: str) -> None:
    text = CHILDREN.replace(old, new)
    assert text != CHILDREN
    with pytest.raises(InputError, match=message):
        parse_workload(text, "mine")


def test_operations_are_drawn_with_their_weights() -> None:
    (stream, _) = parse_workload(MINE.replace("300", "10000"), "mine").streams()
    shares = np.bincount(stream.rows[:, 0], minlength=20) / 10_000
    for name, share in (("create", 0.25), ("read", 0.5), ("stat", 0.25)):
        assert abs(shares[OPERATIONS[name]] - share) < 0.02


def test_a_run_calls_what_the_mix_says() -> None:
    measured = measure_workload(parse_workload(MINE, "mine"))
    rows = np.concatenate([s.rows for s in parse_workload(MINE, "mine").streams()])
    assert measured.calls["stat"] == int((rows[:, 0] == OPERATIONS["stat"]).sum())
    creates = int((rows[:, 0] == OPERATIONS["create"]).sum())
    assert creates <= measured.calls["open"] <= int((rows[:, 0] != OPERATIONS["stat"]).sum())
    assert 0.5 < measured.kernel_share < 1
    thinking = measure_workload(parse_workload("think_cycles = 1000000" + MINE, "mine"))
    assert thinking.kernel_share < measured.kernel_share / 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("create = 1", "creat = 1", r"unknown operation 'creat': did you mean create\?"),
        ("create = 1", "create = 0", r"Expected `int` >= 1 - at `\$.mix"),
        ('["counted"]', "[]", "evidence is empty: say where the mix comes from"),
        ('["counted"]', '[" "]', "evidence is empty"),
        ("processes = 2", "processes = 4096\nseed = 0\nbytes = 0", r"Expected `int` >= 1 - at `\$.bytes`"),
        ("operations = 300", "operations = 1000000", None),
        ("names = 10", "think = 10", "contains unknown field `think`"),
        ("create = 1\nread = 2\nstat = 1", "", "mix names no operation: use create, "),
        ("[mix]", "[mix", "not a workload: Expected ']'"),
    ],
)
def test_errors_name_the_value_and_the_remedy(old: str, new: str, message: str | None) -> None:
    text = MINE.replace(old, new)
    assert text != MINE
    if message is None:
        assert parse_workload(text, "mine").operations == 1_000_000
        return
    with pytest.raises(InputError, match=f"^mine: not a workload: .*{message}|{message}") as error:
        parse_workload(text, "mine")
    assert "\n" not in str(error.value).strip()


def test_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="20,000,000 operations in all: at most 10,000,000"):
        parse_workload(MINE.replace("300", "1000000").replace("processes = 2", "processes = 20"), "mine")


def test_a_workload_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown workload 'mailservr': did you mean mailserver\?"):
        named_workload("mailservr")
    with pytest.raises(InputError, match="cannot be read as a workload"):
        named_workload(str(tmp_path / "none.toml"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    result("giant", 1)  # compiles the engine if need be, which it says on stderr
    return Command(capsys)


def test_the_command_shows_what_was_measured(call: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    path = str(tmp_path / "mine.toml")
    code, out, err = call("workloads", path)
    assert (code, err) == (0, "") and "open" in out and "Mine" in out
    (found,) = json.loads(call("workloads", path, "--json").out)["workloads"]
    measured = measure_workload(parse_workload(MINE, "mine"))
    assert {each["call"]: each["count"] for each in found["calls"]} == measured.calls
    assert found["kernel_share"] == measured.kernel_share
    assert [each["count"] for each in found["calls"]] == sorted(measured.calls.values(), reverse=True)


def test_the_command_counts_what_strace_says_and_what_is_missing(call: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.strace"
    path.write_text(
        "7 1.000000 openat(AT_FDCWD, \"x\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000010>\n"
        "7 1.000100 openat(AT_FDCWD, \"y\", O_RDONLY) = 3 <0.000020>\n"
        "7 1.000200 landlock_create_ruleset(NULL, 0, 1) = 4 <0.000001>\n"
        "7 1.000250 --- SIGUSR1 {si_signo=SIGUSR1} ---\n"
        "nonsense\n7 1.000300 read(3,  <unfinished ...>\n7 1.000400 +++ exited with 0 +++\n"
    )  # fmt: skip
    code, out, err = call("workloads", "--strace", str(path))
    assert (code, err) == (0, "")
    assert "1 of 4 calls are of 1 kinds that the simulated kernel does not have" in " ".join(out.split())
    assert "1 lines were not understood" in out and "line 5: nonsense" in out
    document: Any = json.loads(call("workloads", "--strace", str(path), "--json").out)
    (trace,) = document["traces"]
    assert document["workloads"] == []
    assert trace["calls"] == [
        {"call": "openat", "count": 2, "failed": 1, "us": 30, "simulated": "open"},
        {"call": "landlock_create_ruleset", "count": 1, "failed": 0, "us": 1, "simulated": None},
        {"call": "read", "count": 1, "failed": 0, "us": 0, "simulated": "read"},
    ]
    assert (trace["signals"], trace["ends"], trace["cut"]) == (
        {"SIGUSR1": 1},
        {"exited with 0": 1},
        {"read": 1},
    )
    assert (trace["unread"], trace["processes"]) == (1, 1)


def test_simulate_runs_a_workload(call: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    args = ("simulate", "giant", "fine", "--workload", str(tmp_path / "mine.toml"), "--cpus", "1,2")
    kept = ("--resume", str(tmp_path / "runs"), "--jobs", "1")
    document = json.loads(call(*args, *kept, "--json").out)
    mine = parse_workload(MINE, "mine")
    assert document["workload"]["name"] == "mixed"
    assert document["workload"]["mixed"]["title"] == mine.title
    for curve in document["systems"]:
        for point in curve["points"]:
            done = [each["operations"] for each in point["result"]["processes"]]
            assert done == [mine.operations] * mine.processes
    other = json.loads(call(*args, *kept, "--seed", "9", "--processes", "3", "--json").out)
    assert len(other["systems"][0]["points"][0]["result"]["processes"]) == 3
    assert other["workload"]["mixed"]["seed"] == 9
    assert f"{mine.title}; 2 processes of 300 operations (seed 1)" in call(*args, *kept).out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("mailservr",), "unknown workload 'mailservr': did you mean mailserver?"),
        (("postmrk",), "did you mean postmark?"),
        (("mailserver", "--transactions", "50"), "--transactions is PostMark's: say --workload postmark"),
        (("mailserver", "--report-postmark"), "--report-postmark is PostMark's: say --workload postmark"),
    ],
)
def test_simulate_refuses_what_a_workload_has_not(call: Command, more: tuple[str, ...], says: str) -> None:
    code, out, err = call("simulate", "fine", "--workload", *more)
    assert code != 0 and out == "" and says in err
    assert err.count("\n") == 1
