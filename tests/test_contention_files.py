"""Reading perf lock contention, /proc/lock_stat and runs: every form, and everything that is none."""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.real.contention import LARGEST, read_contention
from lockscape.real.contention_rows import Choice, Place

CALLERS = """\
 contended   total wait     max wait     avg wait         type   caller

         8      3.37 ms      3.31 ms    420.76 us     spinlock   wake_up+0x72
         2    500.00 ns    300.00 ns    250.00 ns      rwsem:W   do_mmap+0x10
         3      1.20 s       1.18 s     399.00 ms     spinlock   wake_up+0x72
         1      2.00 m       2.00 m       2.00 m        strange   odd name with blanks
"""

STACKS = """\
         8      3.37 ms      3.31 ms    420.76 us     spinlock   wake_up+0x72
\t\t\t0xffffffff822014be  slowpath+0x10e
\t\t\t0x7f1140981e1d  \n"""

LOCKS_CSV = """\
# output: contended, total wait, max wait, avg wait, address, symbol, type
8123, 3370000000, 5000000, 414871, ffff8f3bc0a00000, , mutex
100, 380890000, 254160, 3808900, ffffffff9b6c4e80, tasklist_lock, rwlock
# debug: total=8223, bad=4, bad_task=4, bad_stack=0
"""

LOCK_STAT = f"""\
lock_stat version 0.4
{"-" * 221}
{"class name":>40} {"con-bounces":>14} {"contentions":>14}
{"-" * 221}

{"&a->sem-W":>40}:{46:14} {84:14} {"0.26":>14} {"939.10":>14} {"16371.53":>14} {"194.90":>14} {47291:14} {2922365:14} {"0.16":>14} {"20.69":>14} {"2000000.00":>14} {"5.99":>14}
{"&a->sem-R":>40}:{37:14} {100:14} {"1.31":>14} {"2995.21":>14} {"3256.52":>14} {"3256.30":>14} {212344:14} {34316685:14} {"0.10":>14} {"77.91":>14} {"950169.20":>14} {"2.77":>14}
{"-" * 9:>40}
{"&a->sem":>40} {1:14} {"[<ffffffff811502a7>]":>29} scan+0x57/0x280
{"&a->sem":>40} {96:14} {"[<(____ptrval____)>]":>29} fault+0x1d4/0x510 [ext4]
{"-" * 9:>40}
{"&a->sem":>40} {60:14} {"[<ffffffff81129e29>]":>29} mprotect+0xe9/0x250

{"." * 221}

{"(work)(&(&b: c)->work)#2/1":>40}:{5:14} {6:14} {"0.21":>14} {"49.24":>14} {"163.91":>14} {"1.46":>14} {7:14} {66312:14} {"0.12":>14} {"624.42":>14} {"31589.81":>14} {"0.48":>14}
"""


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "measured"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.fixture
def read(tmp_path):
    return lambda text, choice=None: read_contention(write(tmp_path, text), choice or Choice())


def test_perf_for_people_by_caller(read) -> None:
    found = read(CALLERS)
    assert (found.source, found.rows_are, found.lines_not_understood) == ("perf", "caller", 0)
    wake, mmap, odd = found.locks
    assert (wake.name, wake.type, wake.sleeps, wake.waits, wake.rows) == (
        "wake_up+0x72",
        "spinlock",
        False,
        11,
        2,
    )
    assert wake.wait_s == pytest.approx(1.20337) and wake.wait_max_s == pytest.approx(1.18)
    assert mmap.wait_s == pytest.approx(500e-9) and mmap.sleeps is True
    assert (odd.name, odd.sleeps, odd.wait_s) == ("odd name with blanks", None, 120.0)
    assert wake.hold_s is None and found.elapsed_s is None


def test_perf_with_stacks_footer_and_messages_around_it(read) -> None:
    text = "[ perf record: 1 wakeup ]\n" + CALLERS[: CALLERS.index("\n\n") + 2] + STACKS
    found = read(
        text
        + "\n=== output for debug===\n\nbad: 2, total: 47\nbad rate: 4.26 %\nhistogram of events caused bad sequence\n    acquire: 0\n"
    )
    assert [lock.name for lock in found.locks] == ["wake_up+0x72"]
    assert [(line.line, line.text) for line in found.unread] == [(1, "[ perf record: 1 wakeup ]")]
    assert found.notes == ("perf could not use 2 of 47 events: their waits are missing.",)


def test_perf_owner_stacks_are_no_rows(read) -> None:
    text = CALLERS.replace("type   caller", " pid   owner", 1).split("\n\n")[0]
    text += "\n\n         2      1.00 ms      1.00 ms    500.00 us         1234   odd name"
    found = read(
        text + "\n\n === owner stack trace ===\n\n  3   31.24 us  15.27 us  10.41 us   mutex   pipe+0x3\n"
    )
    assert found.rows_are == "owner" and [lock.name for lock in found.locks] == ["odd name (1234)"]
    assert found.notes and found.lines_not_understood == 0


def test_perf_by_lock_with_commas(read) -> None:
    found = read(LOCKS_CSV)
    unnamed, named = found.locks
    assert found.rows_are == "lock"
    assert (unnamed.name, unnamed.type, unnamed.sleeps) == ("ffff8f3bc0a00000", "mutex", True)
    assert unnamed.wait_s == pytest.approx(3.37) and unnamed.waits == 8123
    assert (named.name, named.sleeps, named.wait_max_s) == ("tasklist_lock", False, pytest.approx(254.16e-6))
    assert "4 of 8,223" in found.notes[0]


@pytest.mark.parametrize(
    ("heading", "row", "rows_are", "name", "seconds"),
    [
        ("# output: total wait; contended; pid; comm", "5000; 2; 77; a; b", "task", "a; b (77)", 5e-6),
        ("# output: contended\t total wait\t cgroup", "1\t 9\t /user.slice", "cgroup", "/user.slice", 9e-9),
        ("# output: contended, avg wait, type, caller", "4, 250, mutex, f+0x1", "caller", "f+0x1", 1e-6),
        (
            "# output: contended, total wait, type, caller, stacktrace",
            "4, 250, mutex, f+0x1, 0xff f+0x1: 0xfe g+0x2", "caller", "f+0x1", 250e-9,
        ),
        (" contended   total wait            pid   comm", "  3  9.00 us   12   kworker/0:2, x", "task", "kworker/0:2, x (12)", 9e-6),
        (" contended   total wait            address   symbol", "  3  9.00 us   ffff00   rq_lock (spinlock)", "lock", "rq_lock", 9e-6),
        (" contended   total wait            address   symbol", "  3  9.00 us   ffff00    (mutex)", "lock", "ffff00", 9e-6),
        (" contended   total wait            address   symbol", "  3  9.00 us   ffff00   ", "lock", "ffff00", 9e-6),
        ("   total wait  contended   cgroup", "     1.00 h           3   /a b", "cgroup", "/a b", 3600.0),
    ],
)  # fmt: skip
def test_every_set_of_columns(read, heading: str, row: str, rows_are: str, name: str, seconds: float) -> None:
    found = read(f"{heading}\n{row}\n")
    (lock,) = found.locks
    assert (found.rows_are, lock.name, found.lines_not_understood) == (rows_are, name, 0)
    assert lock.wait_s == pytest.approx(seconds)


def test_lock_stat_with_readers_places_and_odd_names(read) -> None:
    found = read(LOCK_STAT)
    assert (found.source, found.rows_are, found.title) == ("lock_stat", "class", "lock_stat version 0.4")
    sem, work = found.locks
    assert found.lines_not_understood == 0
    assert (sem.name, sem.type, sem.sleeps, sem.waits, sem.rows) == ("&a->sem", "rw", None, 184, 2)
    assert sem.wait_s == pytest.approx(0.01962805) and sem.hold_s == pytest.approx(2.9501692)
    assert sem.wait_max_s == pytest.approx(2.99521e-3) and sem.acquisitions == 37239050
    assert sem.callers == (Place("fault+0x1d4/0x510 [ext4]", 96), Place("scan+0x57/0x280", 1))
    assert sem.holders == (Place("mprotect+0xe9/0x250", 60),)
    assert work.name == "(work)(&(&b: c)->work)#2/1" and work.type == "" and work.callers == ()


def test_lock_stat_of_version_03_and_as_grep_leaves_it(read) -> None:
    row = f"{'lock':>40}:{1:14} {2:14} {'0.30':>14} {'4.00':>14} {'5.00':>14} {6:14} {7:14} {'0.80':>14} {'9.00':>14} {'10.00':>14}"
    for text in (f"lock_stat version 0.3\nls_acquire: 5\n\n{row}\n", row):
        (lock,) = read(text).locks
        assert (lock.waits, lock.wait_s, lock.acquisitions, lock.hold_s) == (2, 5e-6, 7, 1e-5)
    assert read(f"lock_stat version 0.4\n*WARNING* lock debugging disabled!! - possibly\n{row}").notes
    # the kernel cuts a time to 14 characters
    (cut,) = read(row.replace("10.00", "17464026916322")).locks
    assert cut.hold_s == pytest.approx(17464026.916322)


@pytest.mark.parametrize("text", ["nan", "-3.00", "1e9", "inf", "0x10", "1.2.3", "99999999999999999999999"])
def test_figures_that_are_none_are_counted(read, text: str) -> None:
    found = read(LOCK_STAT.replace("163.91", text))
    assert [lock.name for lock in found.locks] == ["&a->sem"] and found.lines_not_understood == 1
    assert found.unread[0].line == 16
    perf = read(LOCKS_CSV.replace("3370000000", text))
    assert len(perf.locks) == 1 and perf.unread[0].line == 2


def test_places_of_another_class_are_counted(read) -> None:
    found = read(LOCK_STAT.replace("&a->sem-W", "&z->sem-W").replace("&a->sem-R", "&z->sem-R"))
    assert found.lines_not_understood == 3 and found.locks[0].callers == ()


def test_truncated_files_lose_one_line(read) -> None:
    for text in (CALLERS, LOCKS_CSV, LOCK_STAT):
        lines = text.splitlines(keepends=True)
        last = max(at for at, line in enumerate(lines) if line[:9].strip(" #"))
        found = read("".join(lines[:last]) + lines[last][: len(lines[last]) // 3])
        assert found.lines_not_understood <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; give the output of perf"),
        ("some text\n", "nothing known; give"),
        (b"\xff\xfe\x00\x01" * 100, "nothing known; give"),
        (b"PERFILE2\x00\x00", "perf's own recording; give what 'perf lock contention"),
        (" contended     max wait         type   caller\n 1  2 us  mutex  f\n", "no column 'total wait'"),
        (LOCKS_CSV + CALLERS, "rows by lock and by caller are the same waits"),
        ("# output: contended, total wait, type, caller\nxx\nyy\n", "no row that is understood; lines not understood: 2, the first is line 2: 'xx'"),
        ("lock_stat version 0.5\n", "lock_stat version 0.5; known are 0.3 and 0.4"),
        (LOCK_STAT + LOCK_STAT, "2 outputs of /proc/lock_stat; keep one"),
        ("{}", "no document of a run"),
        ('{"document": "census"}', "a document 'census' has no locks"),
        ('{"document": "simulate", "workload": {"processes": 8}, "systems": []}', "no run in it"),
        (b'{"document": "\xff"}', "no document of a run"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line_with_the_remedy(read, text, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_not_there_or_too_large(tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="no such file or directory; give"):
        read_contention(str(tmp_path / "none"))
    with pytest.raises(InputError, match="is a directory"):
        read_contention(str(tmp_path))
    monkeypatch.setattr("lockscape.real.contention.LARGEST", 100)
    with pytest.raises(InputError, match="more than 100 bytes; keep the first lines"):
        read_contention(write(tmp_path, LOCKS_CSV))
    assert LARGEST >= 2**24


def test_standard_input(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOCKS_CSV.encode())))
    assert len(read_contention("-").locks) == 2


def test_only_a_run_has_something_to_choose(read) -> None:
    with pytest.raises(InputError, match="leave out --system and --at"):
        read(LOCKS_CSV, Choice("fine"))


def document(**changes: object) -> str:
    lock = dict.fromkeys(
        ("acquisitions", "contentions", "wait_cycles", "wait_max_cycles", "hold_cycles", "sleeps"), 5
    )
    result = {
        "makespan_cycles": 1000,
        "clock_mhz": 100,
        "locks": [{"lock": "l", "kind": "sema", "object": "", **lock}],
    }
    point = {"cpus": 2, "time_shares": {"idle": 0.25}, "result": result}
    systems = [{"name": "a", "points": [point, point | {"cpus": 4}]}, {"name": "b", "points": [point]}]
    return json.dumps({"document": "simulate", "workload": {"processes": 8}, "systems": systems} | changes)


def test_a_run_is_chosen_by_system_and_processors(read) -> None:
    found = read(document(), Choice("a"))
    assert (found.cpus, found.processes, found.idle, found.elapsed_s) == (4, 8, 0.25, 1e-5)
    assert found.locks[0].sleeps and found.locks[0].wait_s == pytest.approx(5e-8)
    assert read(document(), Choice("b", 2)).title == "simulate b"
    for choice, message in (
        (Choice(), "2 systems; choose one with --system a"),
        (Choice("c"), "unknown system 'c'"),
        (Choice("a", 3), "no run of a on 3 processors; give --at one of 2, 4"),
    ):
        with pytest.raises(InputError, match=message):
            read(document(), choice)
    for many in (2**70, -1, "x", 5000):
        with pytest.raises(InputError, match="no document of a run"):
            read(document(workload={"processes": many}), Choice("a"))


def test_a_run_on_this_host_has_what_perf_recorded(read) -> None:
    wait = {"caller": "f+0x1", "kind": "rwsem:W", "contended": 3, "wait_total_ns": 5000, "wait_max_ns": 4000}
    run = {"cpus": 2, "makespan_s": 1.5, "waits": [wait, wait], "why_not": None}

    def host(*curves: object) -> str:
        return json.dumps({"document": "host", "workload": {"processes": 8}, "curves": curves})

    found = read(host({"name": "postmark", "contention": run}, {"name": "compute", "contention": None}))
    (lock,) = found.locks
    assert (found.source, found.rows_are, found.cpus, found.processes, found.elapsed_s) == (
        "perf",
        "caller",
        2,
        8,
        1.5,
    )
    assert (lock.name, lock.sleeps, lock.waits, lock.wait_s) == ("f+0x1", True, 6, 1e-5)
    for curves, choice, message in (
        (
            [{"name": "a", "contention": None}],
            Choice(),
            "no waits for locks in it; run host without --no-locks",
        ),
        (
            [{"name": "a", "contention": run}] * 1 + [{"name": "b", "contention": run}],
            Choice(),
            "choose one with --system a",
        ),
        ([{"name": "a", "contention": run}], Choice("c"), "unknown workload 'c'"),
        ([{"name": "a", "contention": run}], Choice("a", 8), "on 2 processors only; leave out --at"),
        (
            [{"name": "a", "contention": run | {"why_not": "no program 'perf'"}}],
            Choice(),
            "recorded: no program 'perf'",
        ),
    ):
        with pytest.raises(InputError, match=message):
            read(host(*curves), choice)


# --- whatever comes ---------------------------------------------------------------------------------------


@given(st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([*CALLERS.splitlines(), *LOCKS_CSV.splitlines(), *LOCK_STAT.splitlines()]), max_size=12).map(
        lambda lines: "\n".join(lines).encode()
    ),
    st.tuples(st.sampled_from([CALLERS, LOCKS_CSV, LOCK_STAT, document()]), st.integers(0, 2000), st.binary(max_size=8)).map(
        lambda cut: cut[0].encode()[: cut[1]] + cut[2] + cut[0].encode()[cut[1] :]
    ),
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data: bytes) -> None:
    name = write(tmp_path_factory.getbasetemp(), data)
    try:
        found = read_contention(name)
    except InputError as error:
        assert str(error)
        return
    assert all(0 <= lock.wait_s < 1e30 and (lock.hold_s or 0) >= 0 for lock in found.locks)
    assert len(found.unread) == min(found.lines_not_understood, 5)


names = st.text(
    st.characters(exclude_characters=",", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=20
)


@given(
    st.lists(
        st.tuples(names, st.integers(1, 10**6), st.integers(1, 10**15)),
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
@settings(max_examples=60, deadline=None)
def test_perf_rows_come_back_as_they_were_written(tmp_path_factory, rows) -> None:
    lines = [f"{count}, {wait}, mutex, {name}" for name, count, wait in rows]
    text = "\n".join(["# output: contended, total wait, type, caller", *lines])
    found = read_contention(write(tmp_path_factory.getbasetemp(), text))
    assert [(lock.name, lock.waits, pytest.approx(lock.wait_s)) for lock in found.locks] == [
        (name, count, wait * 1e-9) for name, count, wait in rows
    ]
    assert found.lines_not_understood == 0


@given(
    st.lists(
        st.tuples(names, st.integers(0, 10**6), st.integers(0, 10**9)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
@settings(max_examples=60, deadline=None)
def test_lock_stat_rows_come_back_as_they_were_written(tmp_path_factory, rows) -> None:
    rows = [(f"c:{name}", count, wait) for name, count, wait in rows]
    line = "{:>40}:{:14} {:14} 0.00 0.00 {:14}.07 0.00 {:14} {:14} 0.00 0.00 1.00 0.00"
    text = "\n".join(line.format(name, 0, count, wait, 0, count) for name, count, wait in rows)
    found = read_contention(write(tmp_path_factory.getbasetemp(), f"lock_stat version 0.4\n{text}\n"))
    assert [(lock.name, lock.waits, pytest.approx(lock.wait_s)) for lock in found.locks] == [
        (name, count, (wait + 0.07) * 1e-6) for name, count, wait in rows
    ]
