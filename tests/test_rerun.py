"""``lockscape rerun``: every command's document made again, what differs told, nothing of the user's written."""

import copy
import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli_tools import LINUX_FILES, Command, Result, write_tree
from lockscape.cli.main import COMMANDS, main
from lockscape.cli.rerun import REFUSED, REPEATABLE
from lockscape.errors import InputError
from lockscape.experiments import unlock as unlocking
from lockscape.experiments.trials import trials
from lockscape.inputs import noted, noting, read_file
from lockscape.report.repeated import compared, parse_result
from lockscape.workloads.postmark_commands import read_commands
from test_calibrate import boot_document
from test_schemas import check

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SMALL = ("--transactions", "20", "--number", "10", "--processes", "2")
STRACE = (
    '7 1.000000 openat(AT_FDCWD, "a", O_RDONLY) = 3 <0.000010>\n'
    "7 1.000100 close(3) = 0 <0.000010>\n"
    "7 1.000200 +++ exited with 0 +++\n"
)
EXPERIMENT = (
    'systems = ["giant", "outside.toml"]\nprocessors = [1, 2]\nprocesses = 2\n'
    "[postmark]\nfiles = 10\ntransactions = 20\n"
)


@pytest.fixture
def lockscape(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with something to read of every kind; runs are kept in another."""
    here = tmp_path / "here"
    here.mkdir()
    for name in (
        "outside.toml",
        "my-rtos.toml",
        "toy-rtos.toml",
        "watch.toml",
        "sdm91.csv",
        "small.pm",
        "lock_stat.txt",
    ):
        shutil.copy(EXAMPLES / name, here)
    write_tree(here / "linux", LINUX_FILES)
    (here / "other.csv").write_text("cpus,speedup\n1,1\n2,1.8\n")
    (here / "third.csv").write_text("cpus,speedup\n1,1\n2,1.9\n")
    calls = {"open-read": (50, 900.0), "open-create": (50, 30_000.0), "fstat": (100, 700.0)}
    (here / "boot.json").write_text(json.dumps(boot_document(calls, 60_000)))
    (here / "make.strace").write_text(STRACE)
    (here / "grid.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(here)
    monkeypatch.setenv("LOCKSCAPE_CACHE", str(tmp_path / "cache"))
    yield here


def printed(lockscape: Command, *arguments: str) -> str:
    code, out, err = lockscape(*arguments, "--json")
    assert code == 0, err
    return out


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    every = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in every}


def again(lockscape: Command, text: str, *arguments: str) -> tuple[Result, dict[str, Any]]:
    """Repeat a document; whatever comes out, no file is made or changed."""
    path = Path("result.json")
    path.write_text(text)
    before = files_in(Path.cwd().parent)
    done = lockscape("rerun", str(path), "--json", *arguments)
    assert files_in(Path.cwd().parent) == before
    if done.out:
        check("rerun", done.out)
    return done, json.loads(done.out or "{}")


CASES = {
    "study": ["study", "linux", "--recorded", "-o", "page.html", "-j", "1"],
    "systems": ["systems", "--method", "fine"],
    "systems show": ["systems", "show", "linux-2.0"],
    "methods": ["methods", "show", "coarse"],
    "census": ["census", "linux", "--by", "dir", "-j", "1"],
    "census with a profile": [
        "census",
        "linux",
        "--profile",
        "toy-rtos.toml",
        "--files",
        "**/*.c",
        "-j",
        "1",
    ],
    "footprint": ["footprint", "linux", "-j", "1"],
    "simulate a trace": ["simulate", "giant", "--cpus", "1", "--workload", "trace:make.strace", "-j", "1"],
    "sweep": ["sweep", "grid.toml", "-o", "rows.parquet", "-j", "1"],
    "figure2": ["figure2"],
    "table1": ["table1"],
    "laws": ["laws", "sdm91.csv"],
    "verify": ["verify", "aix"],
    "port": ["port", "giant", "unlink_entry", "--sources"],
    "compare": ["compare", "third.csv", "other.csv"],
    "contention": ["contention", "lock_stat.txt", "--cpus", "4", "--elapsed", "100"],
}
"""What can be repeated, by name: every command, and ways of it that read or write something else."""

SLOW = {
    "simulate": ["simulate", "giant", "my-rtos.toml", "--cpus", "1-2", *SMALL, "--resume", "kept", "-j", "1"],
    "simulate --band": ["simulate", "giant", "--cpus", "1", *SMALL, "--band", "2", "-j", "1"],
    "simulate --postmark": ["simulate", "giant", "--cpus", "1", "--processes", "2", "--postmark", "small.pm",
                            "-j", "1"],
    "simulate --without": ["simulate", "fine", "--without", "inode_lock", "--cpus", "2"],
    "simulate --faults": ["simulate", "outside.toml", "--faults", "--cpus", "2", *SMALL],
    "simulate --fail": ["simulate", "cells", "--cpus", "4", *SMALL, "--fail", "1@0.2"],
    "port --effort": ["port", "--effort", "outside.toml"],
    "workloads": ["workloads", "watch.toml", "--strace", "make.strace"],
    "unlock": ["unlock", "linux-2.0", *SMALL, "--cpus", "2", "--steps", "1", "--wide", "1", "--trials", "1",
               "-j", "1"],
    "map": ["map", "giant", "coarse", "--cpus", "2", "--workload", "compute", "--svg", "map.svg", "-j", "1"],
    "advise": ["advise", "--workload", "compute", "--no-locks", "-j", "1"],
    "calibrate": ["calibrate", "boot.json", "-j", "1"],
    "whatif": ["whatif", "giant", *SMALL, "--cpus", "2", "--trials", "1", "-j", "1"],
}  # fmt: skip
"""What takes longer."""


def test_every_command_is_repeated_or_refused_with_a_reason() -> None:
    assert sorted([*REPEATABLE, *REFUSED]) == sorted(COMMANDS)
    assert {case[0] for case in [*CASES.values(), *SLOW.values()]} == set(REPEATABLE)


@pytest.mark.parametrize("name", CASES)
def test_every_command_comes_out_identical(name: str, folder: Path, lockscape: Command) -> None:
    check_identical(CASES[name], lockscape)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SLOW)
def test_longer_commands_come_out_identical(
    name: str, folder: Path, lockscape: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tuple(trial for trial in trials() if trial.name.startswith("3 families"))
    monkeypatch.setattr(unlocking, "trials", lambda: short)
    check_identical(SLOW[name], lockscape)


def check_identical(arguments: list[str], lockscape: Command) -> None:
    done, document = again(lockscape, printed(lockscape, *arguments), "-j", "1")
    assert (done.code, document["verdict"], document["differing"]) == (0, "identical", 0), done.err
    assert document["values"] > 10
    assert document["command"] == ["lockscape", *arguments, "--json"]


WRITES = {"output", "trace", "resume", "scheduler", "svg"}
"""Options that write files or connect to others: they are not followed. What else has a file reads it."""

READS = {"booted", "file", "workload", "profile", "traces", "curves", "trees", "names", "systems", "system", "target",
         "experiment", "base", "baseline", "costs", "tree", "measured", "workloads"}  # fmt: skip


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(main)
    for name in REPEATABLE:
        command = main.get_command(context, name)  # type: ignore[attr-defined]
        yield from ((name, each) for each in command.params)


def test_options_that_write_are_known() -> None:
    for name, each in parameters():
        shown = f"{each.metavar} {each.type.name}"
        if any(word in shown for word in ("FILE", "FOLDER", "://", "path", "file", "directory")):
            option = {opt.lstrip("-") for opt in each.opts}
            assert option & WRITES or each.name in READS, f"{name} {each.opts}: does it write?"
            assert bool(option & WRITES) == (each.callback is not None), f"{name} {each.opts}"


def test_what_is_not_followed_is_said(folder: Path, lockscape: Command) -> None:
    trace = ["simulate", "giant", "--cpus", "1", *SMALL, "--trace", "run.pftrace", "-j", "1"]
    text = printed(lockscape, *trace)
    assert Path("run.pftrace").exists()
    Path("run.pftrace").unlink()
    _, document = again(lockscape, text, "-j", "1")
    assert document["left_out"] == ["--trace run.pftrace"]
    seen = lockscape("rerun", "result.json", "-j", "1").out
    assert "Not followed, since nothing of yours is written: --trace run.pftrace." in seen
    assert "identical: all" in seen and "systems[].points[].host_s (how long a run took" in seen


def test_differences_are_shown_with_both_values(folder: Path, lockscape: Command) -> None:
    found = json.loads(printed(lockscape, "systems", "--method", "giant"))
    found["systems"][0]["latency"] = "\x1b[2Jlow"
    del found["systems"][1]["references"]
    found["systems"][2]["more"] = [1, 2]
    found["manifest"]["lockscape"] = "0.0.1"
    done, document = again(lockscape, json.dumps(found))
    assert (done.code, document["verdict"], document["differing"]) == (1, "differs", 3)
    first, second, third = document["differences"]
    assert first == {"where": "systems[0].latency", "recorded": r'"\u001b[2Jlow"', "now": '"high"'}
    assert second["where"] == "systems[1].references" and second["recorded"] is None
    assert third == {"where": "systems[2].more", "recorded": "[1, 2]", "now": None}
    seen = lockscape("rerun", "result.json").out
    assert "\x1b" not in seen
    assert "differs in 3 of" in seen and "Made by lockscape 0.0.1" in seen and "this is lockscape" in seen
    rows = list(csv.DictReader(io.StringIO(lockscape("rerun", "result.json", "--csv").out)))
    assert [row["where"] for row in rows] == [each["where"] for each in document["differences"]]


@pytest.mark.parametrize(
    ("name", "input", "text"),
    [
        ("simulate a trace", "make.strace", "7 1.000300 +++ exited with 0 +++\n"),
        ("census with a profile", "toy-rtos.toml", "# another remark\n"),
        ("census", "linux", None),
        ("laws", "sdm91.csv", "\n"),
    ],
)
def test_an_input_that_changed_is_named(
    name: str, input: str, text: str | None, folder: Path, lockscape: Command
) -> None:
    made = printed(lockscape, *CASES[name])
    if text is None:
        (folder / "linux/fs/open.c").write_text("void h(void)\n{\n}\n")
    else:
        with Path(input).open("a") as file:
            file.write(text)
    done, document = again(lockscape, made, "-j", "1")
    assert (done.code, document["verdict"]) == (1, "inputs changed"), done.err
    (changed,) = document["inputs"]
    assert changed["name"] == input and changed["recorded"] != changed["now"]
    assert "inputs changed" in lockscape("rerun", "result.json", "-j", "1").out


def test_standard_input_is_given_again(
    folder: Path, lockscape: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(text: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))

    curve = Path("sdm91.csv").read_bytes()
    given(curve)
    text = printed(lockscape, "laws", "-")
    given(curve)
    assert again(lockscape, text)[1]["verdict"] == "identical"
    given(curve + b"\n")
    assert again(lockscape, text)[1]["verdict"] == "inputs changed"


def test_rows_of_a_sweep_are_repeated_from_parquet(folder: Path, lockscape: Command) -> None:
    printed(lockscape, *CASES["sweep"])
    code, out, err = lockscape("rerun", "rows.parquet", "--json", "-j", "1")
    assert (code, json.loads(out)["verdict"]) == (0, "identical"), err
    with Path("outside.toml").open("a") as file:
        file.write("# another remark\n")
    code, out, _ = lockscape("rerun", "rows.parquet", "--json", "-j", "1")
    assert (code, [each["name"] for each in json.loads(out)["inputs"]]) == (1, ["outside.toml"])


def test_no_cluster_is_connected_to(folder: Path, lockscape: Command) -> None:
    found = json.loads(printed(lockscape, *CASES["sweep"]))
    found["manifest"]["command"] += ["--scheduler", "tcp://192.0.2.1:8786", "--resume", "/no/such", "--fresh"]
    done, document = again(lockscape, json.dumps(found), "-j", "1")
    assert (done.code, document["verdict"]) == (0, "identical"), done.err
    assert document["left_out"] == [
        "--output rows.parquet", "--scheduler tcp://192.0.2.1:8786", "--resume /no/such",
    ]  # fmt: skip


def test_a_manifest_without_inputs_says_so(folder: Path, lockscape: Command) -> None:
    found = json.loads(printed(lockscape, "laws", "sdm91.csv"))
    del found["manifest"]["inputs"]
    done, document = again(lockscape, json.dumps(found))
    assert (done.code, document["verdict"], document["inputs_known"]) == (0, "identical", False)
    assert "was not recorded" in lockscape("rerun", "result.json").out


def with_command(*command: str) -> str:
    return json.dumps({"document": "x", "manifest": {"lockscape": "0.1.0", "command": command}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no document of lockscape"),
        ("[1]", "no document of lockscape"),
        ("[" * 100_000, "no document of lockscape"),
        ('{"document": "x"}', "no document of lockscape"),
        (with_command(), "is not repeated"),
        (with_command("sh", "-c", "touch x"), "the command 'sh -c' is not repeated: it is none of"),
        (with_command("lockscape", "fetch", "linux-2.0.40"), "is not repeated: it downloads"),
        (with_command("lockscape", "rerun", "result.json"), "is not repeated: repeat the result"),
        (with_command("lockscape", "--version"), "is not repeated"),
        (with_command("lockscape", "systems"), "what the recorded command printed: no document"),
        (with_command("lockscape", "systems", "--help"), "what the recorded command printed: no document"),
        (with_command("lockscape", "systems", "--no", "--json"), "the recorded command is none"),
        (with_command("lockscape", "census", "/no/such", "--json"), "it cannot be repeated: no tree"),
        (with_command("lockscape", "port", "x\x1b.toml", "--json"), r"x\x1b.toml"),
        (with_command("lockscape", "laws", "/dev/zero", "--json"), "is no regular file"),
        (with_command("lockscape", "simulate", "giant", "--workload", "trace:pipe", "--json"), "no regular file"),
        (with_command("lockscape", "workloads", "--strace", "pipe", "--json"), "no regular file"),
        (with_command("lockscape", "census", "linux", "--profile", "pipe.toml", "--json"), "no regular file"),
        (with_command("lockscape", "sweep", "pipe.toml", "--json"), "no regular file"),
    ],
)  # fmt: skip
def test_what_cannot_be_repeated_is_one_line(text: str, words: str, folder: Path, lockscape: Command) -> None:
    os.mkfifo("pipe")
    os.mkfifo("pipe.toml")
    done, _ = again(lockscape, text)
    assert (done.code, done.out) == (2, "")
    assert words in done.err and done.err.count("\n") == 1 and "\x1b" not in done.err


@pytest.mark.parametrize("name", ["none.json", "none.parquet", "grid.toml", "."])
def test_files_that_are_none(name: str, folder: Path, lockscape: Command) -> None:
    code, out, err = lockscape("rerun", name)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_parquet_file_of_others(folder: Path, lockscape: Command) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.copy("grid.toml", "text.parquet")
    pq.write_table(pa.table({"a": [1]}), "other.parquet")
    bad = {b"lockscape": b'{"lockscape": "1", "sources": "", "experiment": {"systems": [], "seeds": [0]}}'}
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(bad), "bad.parquet")
    for name in ("text.parquet", "other.parquet", "bad.parquet"):
        code, _, err = lockscape("rerun", name)
        assert code == 2 and "not the Parquet file of a sweep" in err and err.count("\n") == 1


# --- comparison, and what is noted ------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


SMALL_EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def document_of(content: dict[str, Any]) -> Any:
    manifest = {"lockscape": "0.1.0", "command": ["lockscape", "systems"]}
    return parse_result(json.dumps({**content, "document": "x", "manifest": manifest}), "test")


@SMALL_EXAMPLES
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_a_document_is_identical_with_itself(content: dict[str, Any]) -> None:
    found = compared(document_of(content), document_of(content))
    assert (found.differing, found.inputs) == (0, ())


@SMALL_EXAMPLES
@given(JSON, JSON)
def test_different_values_are_told_apart(one: Any, other: Any) -> None:
    found = compared(document_of({"a": one}), document_of({"a": other}))
    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert bool(found.differing) != alike or not leaves(one) or not leaves(other)


def leaves(value: Any) -> bool:
    """Return whether there is anything but empty lists and objects in a value."""
    if isinstance(value, dict | list):
        return any(leaves(each) for each in (value.values() if isinstance(value, dict) else value))
    return True


@SMALL_EXAMPLES
@given(st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_is_a_document_or_refused(text: str | bytes) -> None:
    try:
        parse_result(text, "x")
    except InputError as error:
        assert "no document of lockscape" in str(error)


def test_what_is_not_the_same_twice_is_not_compared() -> None:
    point = {"host_s": 1.0, "kept": True, "cpus": 1}
    other = copy.deepcopy(point) | {"host_s": 2.0}

    def simulated(each: dict[str, Any]) -> Any:
        return document_of({"systems": [{"points": [each]}]})._replace(kind="simulate")

    found = compared(simulated(point), simulated(other))
    assert (found.differing, found.skipped) == (
        0, ("systems[].points[].host_s", "systems[].points[].kept"),
    )  # fmt: skip
    (one,) = compared(simulated(point), simulated(other | {"cpus": True})).differences
    assert (one.where, one.recorded, one.now) == ("systems[0].points[0].cpus", "1", "true")


def test_files_of_postmark_are_noted_from_where_one_is(folder: Path) -> None:
    Path("more.pm").write_text("load small.pm\n")
    with noting(("lockscape",)) as found:
        read_commands(Path("more.pm"))
    assert list(found.files) == ["more.pm", "small.pm"]


def test_nothing_is_noted_without_a_command(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    read_file(tmp_path / "a")
    assert noted().files == {}
    with noting(("lockscape",)) as outer:
        read_file(tmp_path / "a")
        with noting(("lockscape", "x")) as inner:
            read_file(tmp_path / "a", 0)
        assert [list(each.files) for each in (outer, inner)] == [[str(tmp_path / "a")]] * 2
    assert outer.files != inner.files
