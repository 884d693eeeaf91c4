"""``lockscape contention``: what it prints and refuses, and how near its predictions come to real runs."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cli_tools import Command
from lockscape.real.contention import read_contention
from test_contention_files import CALLERS, LOCK_STAT, LOCKS_CSV, document
from test_schemas import check
from tools import require


@pytest.fixture
def lockscape(capsys):
    return Command(capsys)


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "measured"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(path)

    return write


def words(text: str) -> str:
    return " ".join(text.split())


def test_perf_by_lock_has_shares_gains_and_what_they_rest_on(lockscape, file) -> None:
    done = lockscape("contention", file(LOCKS_CSV), "--cpus", "4", "--elapsed", "2")
    assert done.code == 0 and done.err == ""
    out = words(done.out)
    assert "1 ffff8f3bc0a00000 mutex 8,123 3,370.0 42.1% 1.73" in out
    assert "2 tasklist_lock rwlock 100 380.9 4.8% 1.05" in out
    assert "4 processors, for 2 s." in out and "exact mean value analysis" in out
    assert "perf does not say how long locks were held" in out
    assert "Who sleeps leaves its processor to others" in out


def test_without_processors_or_time_there_is_a_ranking_and_no_gain(lockscape, file) -> None:
    for given in ((), ("--cpus", "4"), ("--elapsed", "2")):
        out = words(lockscape("contention", file(LOCKS_CSV), *given).out)
        assert "of waits" in out and "89.8%" in out and "give --cpus and --elapsed for gains" in out
        assert "Bound" not in out


def test_tasks_have_a_bound_only(lockscape, file) -> None:
    text = "# output: contended, total wait, pid, comm\n3, 1000000000, 7, worker\n"
    out = words(lockscape("contention", file(text), "--cpus", "2", "--elapsed", "1").out)
    assert "1 worker (7) 3 1.0 50.0% 2.00" in out or "1 worker (7) 3 1,000.0 50.0% 2.00" in out
    assert "A row is a task, not a lock" in out and "Model" not in out and "Split" not in out


def test_lock_stat_compares_holds_with_what_waits_need(lockscape, file) -> None:
    out = words(lockscape("contention", file(LOCK_STAT), "--cpus", "8", "--elapsed", "0.02").out)
    assert "1 &a->sem rw fault 184" in out
    assert "too long for its waits: several locks, readers, or holds that sleep" in out
    assert "Whether waiters spin or sleep is not known of all" in out
    out = words(
        lockscape("contention", file(LOCK_STAT), "--cpus", "8", "--elapsed", "9", "--demand", "holds").out
    )
    assert "as if no lock was taken under another" in out and "times the measured ones" in out


@pytest.mark.parametrize(
    "text", [CALLERS, LOCKS_CSV, LOCK_STAT, document(), "# output: contended, total wait, cgroup\n"]
)
@pytest.mark.parametrize(
    "given", [(), ("--cpus", "8", "--elapsed", "1000", "--processes", "9", "--idle", "5")]
)
def test_json_fits_its_schema_and_csv_has_its_figures(lockscape, file, text, given) -> None:
    given = ("--system", "a") if text == document() else given
    name = file(text)
    out = lockscape("contention", name, *given, "--json").out
    check("contention", out)
    made = json.loads(out)
    rows = list(csv.DictReader(io.StringIO(lockscape("contention", name, *given, "--csv").out)))
    assert [row["lock"] for row in rows] == [each["lock"]["name"] for each in made["locks"]]
    waits = [each["lock"]["wait_s"] for each in made["locks"]]
    assert [float(row["wait_s"]) for row in rows] == waits == sorted(waits, reverse=True)
    gains = [each["relief"] and each["relief"]["free"] for each in made["locks"]]
    assert [float(row["free"]) if row["free"] else None for row in rows] == gains
    assert (made["setting"] is None) == (not given)


def test_lines_that_are_not_understood_are_told_whatever_the_form(lockscape, file) -> None:
    name = file(LOCKS_CSV + "bad \x1b[2J line\n" * 7)
    for form in ((), ("--json",), ("--csv",)):
        err = lockscape("contention", name, *form).err
        assert err.startswith("lockscape: line 5 not understood: bad \\x1b[2J line\n")
        assert err.endswith("lockscape: and 2 more lines not understood\n") and "\x1b" not in err
    assert json.loads(lockscape("contention", name, "--json").out)["lines_not_understood"] == 7


def test_names_cannot_act_on_the_terminal(lockscape, file) -> None:
    evil = "\x1b]0;owned\x07\u202egnp\udcff"
    name = file(f"# output: contended, total wait, type, caller\n1, 5, {evil}, {evil}\n")
    for form in ((), ("--csv",), ("--json",)):
        out = lockscape("contention", name, *form).out
        assert "owned" in out and not {"\x1b", "\x07", "\u202e"} & set(out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--cpus", "0"], 2, "0 is not in the range"),
        (["--elapsed", "0", "--cpus", "2"], 2, "0.0 is not in the range"),
        (["--elapsed", "nan", "--cpus", "2"], 2, "nan"),
        (["--idle", "100"], 2, "100.0 is not in the range"),
        (["--demand", "holds"], 1, "no times under locks; leave out --demand holds"),
        (["--system", "x"], 1, "leave out --system and --at"),
        (["--json", "--csv"], 2, "exclude each other"),
    ],
)
def test_wrong_calls(lockscape, file, arguments: list[str], code: int, message: str) -> None:
    done = lockscape("contention", file(LOCKS_CSV), *arguments)
    assert done.code == code and message in done.err and done.err.count("\n") == 1


def test_a_run_says_itself_what_was_measured(lockscape, file) -> None:
    done = lockscape("contention", file(document()), "--system", "a", "--cpus", "4")
    assert done.code == 2 and "--cpus: the run says that itself" in done.err
    out = words(lockscape("contention", file(document()), "--system", "b").out)
    assert "2 processors, 25.0% of their time idle, 8 processes" in out


def test_nobody_waited(lockscape, file) -> None:
    out = lockscape("contention", file("# output: contended, total wait, type, caller\n")).out
    assert out == "perf lock contention by caller: nobody waited for a lock.\n"


CONTENDS = """
import os, time
part, end = next((n for n in range(3) if os.fork() == 0), 3), time.monotonic() + 0.5
while time.monotonic() < end:
    os.close(os.open(str(part), os.O_CREAT))
    os.unlink(str(part))
"""
"""Four processes that create and delete in one directory: a machine at rest has nothing to record."""


def test_what_perf_itself_prints(lockscape, tmp_path: Path) -> None:
    """The real program, on this machine's own locks, if its kernel lets them be recorded."""
    perf, data = require("perf"), str(tmp_path / "perf.data")
    recorded = subprocess.run(
        [perf, "lock", "record", "-a", "-o", data, "--", sys.executable, "-c", CONTENDS],
        capture_output=True,
        cwd=tmp_path,
        text=True,
        check=False,
    )
    if recorded.returncode or not Path(data).exists():
        pytest.skip(f"this kernel lets no locks be recorded: {recorded.stderr.strip()[:80]}")
    done = lockscape("contention", data)
    assert done.code == 1 and "perf lock contention -i FILE" in done.err
    for option, rows_are in (("-v", "caller"), ("-t", "task")):
        printed = subprocess.run(
            [perf, "lock", "contention", option, "-i", data], capture_output=True, text=True, check=True
        )
        text = printed.stdout + printed.stderr
        (tmp_path / "out").write_text(text)
        found = read_contention(str(tmp_path / "out"))
        heading = next(at for at, line in enumerate(text.splitlines(), 1) if line.startswith(" contended"))
        assert found.rows_are == rows_are and all(line.line < heading for line in found.unread)


@pytest.mark.slow
@pytest.mark.parametrize(("system", "off"), [("linux-2.2", 0.1), ("linux-2.4", 0.2)])
def test_predictions_are_near_runs(tmp_path: Path, system: str, off: float) -> None:
    """The lock that is waited for longest, predicted from waits and run again at no cost."""
    from lockscape.experiments.choose import choose
    from lockscape.experiments.curve import run_all
    from lockscape.experiments.relief import Setting, Waited, relieve
    from lockscape.experiments.request import Request, run_on
    from lockscape.ports.changed_locks import freed
    from lockscape.workloads.postmark import PostmarkOptions

    size = PostmarkOptions(files=100, transactions=300)
    spec = run_on(choose(system), Request(8, "same", "2005", None, 0, size, None), 8)
    (base,) = run_all([spec], tmp_path / "kept")
    lock = base.result.busiest_locks[0]
    (again,) = run_all([msgspec.structs.replace(spec, plan=freed(spec.plan, lock.lock))], tmp_path / "kept")
    waited = [Waited(float(each.wait_cycles), float(each.hold_cycles)) for each in base.result.busiest_locks]
    reliefs, _ = relieve(waited, Setting(8, float(base.result.makespan_cycles)))
    gain = base.result.makespan_cycles / again.result.makespan_cycles
    assert gain > 1.3 and reliefs[0].free == pytest.approx(gain, rel=off)
    # times under locks say something else: they nest
    by_holds, _ = relieve(waited, Setting(8, float(base.result.makespan_cycles)), "holds")
    assert abs(by_holds[0].free - gain) > abs(reliefs[0].free - gain)
