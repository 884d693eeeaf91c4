"""``lockscape host``: real runs on this machine, small ones; what they leave behind; what is refused."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from cli_tools import Command
from host_tools import SMALL, alive, children_of, start_long, wait_until_gone
from lockscape.experiments.curve_file import read_curves
from lockscape.real import executors, facts, host, scratch, stopping
from lockscape.real.executors import Postmark
from lockscape.real.room import check_room
from lockscape.real.together import Ended, RunError
from lockscape.workloads.postmark import PostmarkOptions, operations
from lockscape.workloads.postmark_report import Seconds, progress, report
from test_schemas import check
from tools import require


@pytest.fixture
def lockscape(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(autouse=True)
def compiler() -> None:
    require("cc")


def test_all_workloads_are_measured_and_nothing_is_left(lockscape: Command, tmp_path: Path) -> None:
    done = lockscape(
        "host", "postmark", "one-directory", "one-file", "compute", "--executor", "native", *SMALL,
        "--no-overhead", "--no-locks", "--seed-each", "--directory", str(tmp_path), "--json",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    check("host", done.out)
    document = json.loads(done.out)
    assert [(curve["name"], curve["executor"]) for curve in document["curves"]] == [
        (name, "native") for name in ("postmark", "one-directory", "one-file", "compute")
    ]
    for curve in document["curves"]:
        (point,) = curve["points"]
        assert point["speedup"] == 1 and point["processors"] == [min(os.sched_getaffinity(0))]
        assert len(point["runs"]) == 2
        for run in point["runs"]:
            assert 0 < run["user_s"] + run["system_s"] < run["makespan_s"] * 1.5 + 0.05
    assert {doubt["kind"] for doubt in document["doubts"]} >= {"few"}
    assert list(tmp_path.iterdir()) == []


def test_postmark_itself_is_measured_and_compared_with_the_worker(lockscape: Command, tmp_path: Path) -> None:
    require("postmark")
    file = tmp_path / "curve.json"
    (tmp_path / "runs").mkdir()
    done = lockscape(
        "host", "postmark", *SMALL, "--no-locks", "--directory", str(tmp_path / "runs"), "--json"
    )
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    (curve,) = document["curves"]
    assert curve["executor"] == "postmark"
    for run in curve["points"][0]["runs"]:  # its start counts too, which is no part of the makespan
        assert 0 < run["system_s"] < run["makespan_s"] * 1.5 + 0.05
    overhead = document["overhead"]
    assert overhead["ratio"] == pytest.approx(overhead["native_s"]["value"] / overhead["postmark_s"]["value"])
    assert 0.02 < overhead["ratio"] < 5
    file.write_text(done.out)
    (read,) = read_curves(str(file))
    assert (read.name, read.measure, read.cpus, read.values, read.processes) == (
        "postmark",
        "speedup",
        (1,),
        (1.0,),
        3,
    )
    assert list((tmp_path / "runs").iterdir()) == []


def test_people_see_what_ran_where_and_how_sure_it_is(lockscape: Command, tmp_path: Path) -> None:
    done = lockscape("host", "one-file", *SMALL, "--directory", str(tmp_path), "--no-locks")
    assert done.code == 0
    words = " ".join(done.out.split())
    assert (
        "Measured: 3 processes of 100 transactions on 20 files of 100 bytes (seed 42, the same for all); 2 runs of each point."
        in words
    )
    assert f"File system: {facts.file_system(os.open(tmp_path, os.O_RDONLY)).kind} on " in words
    assert "Speedup over one processor, measured processors 1" in words
    assert "Doubt: 2 runs of each point" in words
    assert max(map(len, done.out.splitlines())) <= 120


def test_the_table_of_a_spreadsheet_is_read_by_laws(lockscape: Command, tmp_path: Path) -> None:
    done = lockscape(
        "host", "one-file", "compute", *SMALL, "--directory", str(tmp_path), "--no-locks", "--csv"
    )
    (tmp_path / "curve.csv").write_text(done.out)
    curves = read_curves(str(tmp_path / "curve.csv"), "makespan")
    assert [curve.name for curve in curves] == ["one-file", "compute"]
    assert all(curve.cpus == (1,) and curve.values[0] > 0 for curve in curves)


@pytest.mark.parametrize(("number", "executor"), [(signal.SIGINT, "native"), (signal.SIGTERM, "postmark")])
def test_interrupted_runs_leave_nothing(number: int, executor: str, tmp_path: Path) -> None:
    if executor == "postmark":
        require("postmark")
    process = start_long(tmp_path, "--executor", executor)
    children = children_of(process.pid)
    assert len(children) == 3 and all(map(alive, children))
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert output.strip() == (b"lockscape: interrupted" if number == signal.SIGINT else b"")
    assert list(tmp_path.iterdir()) == []
    assert not any(map(alive, children))


def test_a_killed_run_takes_its_processes_with_it_and_the_next_one_tells_what_is_left(
    lockscape: Command, tmp_path: Path
) -> None:
    process = start_long(tmp_path, "--executor", "native")
    children = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_until_gone(children)
    (left,) = tmp_path.iterdir()
    (tmp_path / "lockscape-host-1-abcdefgh").mkdir()  # of a process that lives
    (tmp_path / "lockscape-host-x").mkdir()  # of nobody
    done = lockscape("host", "compute", *SMALL, "--directory", str(tmp_path), "--no-locks", "--csv")
    assert done.err == f"lockscape: {left}: left by an earlier run that was killed; remove it\n"


def test_what_this_host_cannot_do_is_refused(
    lockscape: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable = len(os.sched_getaffinity(0))
    done = lockscape("host", "postmark", "--cpus", f"1-{usable + 1}")
    assert done.code == 1 and f"this process may use {usable} processor" in done.err
    assert f"give --cpus 1-{usable}" in done.err
    done = lockscape("host", "postmark", "one-file", "--executor", "postmark", "--cpus", "1")
    assert "it cannot do 'one-file'; give --executor auto" in done.err
    done = lockscape("host", "postmark", *SMALL, "--directory", str(tmp_path / "none"))
    assert done.code == 1 and "no such file or directory; give a directory" in done.err
    done = lockscape("host", "postmark", "--size", "5000-100", "--cpus", "1")
    assert done.code == 1 and "size_low_bytes 5000: give a number from 1 to 100" in done.err
    monkeypatch.setenv("PATH", str(tmp_path))
    done = lockscape("host", "postmark", *SMALL, "--executor", "postmark")
    assert done.code == 1 and "install it (apt install postmark) or use --executor native" in done.err
    monkeypatch.delenv("CC", raising=False)
    done = lockscape("host", "compute", *SMALL)
    assert done.code == 1 and "no C compiler: install one (apt install gcc)" in done.err
    monkeypatch.setattr(facts.platform, "system", lambda: "Darwin")
    done = lockscape("host", "compute")
    assert done.code == 1 and "real runs need Linux, this is Darwin" in done.err


def small_file_system(folder: Path, *options: str) -> None:
    """Mount a small file system in memory, or skip where that is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode().strip()}")


@pytest.mark.parametrize(
    ("options", "what"),
    [(["size=1m"], "bytes are needed"), (["size=100m", "nr_inodes=50"], "inodes are needed")],
)
def test_a_file_system_that_is_too_small_is_refused_before_anything_runs(
    lockscape: Command, tmp_path: Path, options: list[str], what: str
) -> None:
    small_file_system(tmp_path / "small", *options)
    try:
        done = lockscape(
            "host", "postmark", *SMALL, "--number", "300", "--directory", str(tmp_path / "small")
        )
        assert done.code == 1 and what in done.err and "another --directory" in done.err
        assert list((tmp_path / "small").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


@pytest.mark.parametrize("executor", ["native", "postmark"])
def test_a_file_system_that_fills_up_meanwhile_ends_the_run_with_why(
    lockscape: Command, tmp_path: Path, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if executor == "postmark":
        require("postmark")
    small_file_system(tmp_path / "small", "size=100m", "nr_inodes=50")
    monkeypatch.setattr(host, "check_room", lambda *_: None)
    try:
        done = lockscape(
            "host",
            "postmark",
            *SMALL,
            "--number",
            "300",
            "--executor",
            executor,
            "--directory",
            str(tmp_path / "small"),
        )
        assert done.code == 1
        if executor == "native":
            assert "the worker failed: open " in done.err and "no space left on device" in done.err
        else:
            assert 'PostMark ended with exit code 0 and said "Error: cannot open ' in done.err
        assert list((tmp_path / "small").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


def test_room_in_memory_counts_as_well(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    check_room(fd, host.Need(1 << 20, 10), 4 << 20)
    with pytest.raises(
        host.InputError, match="bytes of memory are needed for files, 1,048,576 are available"
    ):
        check_room(fd, host.Need(1 << 20, 10), 1 << 20)
    os.close(fd)


class Used:
    """What a process used, as the kernel says it."""

    ru_utime, ru_stime, ru_nvcsw, ru_nivcsw = 1.5, 2.5, 7, 9


def test_postmark_s_own_report_must_be_that_of_its_operations() -> None:
    work = operations(PostmarkOptions(files=20, transactions=100))
    other = operations(PostmarkOptions(files=20, transactions=100, seed=43))
    postmark = Postmark("postmark", 0, work)

    def ended(output: str, code: int = 0) -> Ended:
        return Ended(code, ("0.5 0.25 3 4\n" + output).encode(), Used())  # type: ignore[arg-type]

    def printed(of: object) -> str:
        return progress(of) + report(of, Seconds(7, 2, 3, 2))  # type: ignore[arg-type]

    run = postmark.read(ended("PostMark v1.51 : 8/14/01\n" + printed(work)))
    assert run == executors.ProcessRun(1.0, 2.25, 4, 5, None, ())
    with pytest.raises(RunError, match="not that of the operations"):
        postmark.read(ended(printed(other)))
    with pytest.raises(RunError, match="Cannot delete '7'"):
        postmark.read(ended("Error: Cannot delete '7'\n" + printed(work)))
    with pytest.raises(RunError, match="signal 9"):
        postmark.read(ended(printed(work), code=-9))


def test_a_link_in_the_directory_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("")
    (tmp_path / "base").mkdir()
    with scratch.scratch(tmp_path / "base") as made:
        (made.path / "file-link").symlink_to(tmp_path / "outside" / "kept")
        (made.path / "folder-link").symlink_to(tmp_path / "outside")
        (made.path / "p1").symlink_to(tmp_path / "outside")
        with pytest.raises(FileExistsError):
            made.fresh(["p1"])
        (made.path / "deep").mkdir()
        (made.path / "deep" / "link").symlink_to(tmp_path / "outside")
        assert made.path.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "base").iterdir()) == []
    assert (tmp_path / "outside" / "kept").exists()


def test_a_directory_that_is_moved_away_is_emptied_and_what_took_its_name_is_not(tmp_path: Path) -> None:
    with pytest.raises(host.InputError, match="cannot remove"), scratch.scratch(tmp_path) as made:
        (fd,) = made.fresh(["p0"])
        made.path.rename(tmp_path / "moved")
        made.path.mkdir()
        (made.path / "precious").write_text("")
        os.close(fd)
    assert (made.path / "precious").exists()
    assert list((tmp_path / "moved").iterdir()) == []


def test_handlers_of_signals_are_as_before_afterwards(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in stopping.STOPPING]
    with scratch.scratch(tmp_path), pytest.raises(SystemExit):
        assert signal.getsignal(signal.SIGTERM) != before[1]
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in stopping.STOPPING] == before


def test_the_default_directory_lies_in_memory_where_that_is_possible() -> None:
    shared = Path("/dev/shm")
    found = host.default_directory()
    fd = os.open(found, os.O_RDONLY)
    assert found == shared or facts.file_system(fd).kind != "tmpfs" or not os.access(shared, os.W_OK)
    os.close(fd)
