"""strace's output: real programs are read whole, and whatever comes, nothing is skipped in silence."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.workloads.strace import Call, Log, load_strace, read_strace
from tools import require

FILE = """\
100 1700000000.000001 execve("/bin/sh", ["sh", "-c", "a, b)"], 0x7ffc /* 20 vars */) = 0 <0.000321>
100 1700000000.000500 openat(AT_FDCWD, "/etc/x\\"y, (z", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory) <0.000010>
100 1700000000.000600 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 101 <0.000100>
100 1700000000.000800 wait4(-1,  <unfinished ...>
101 1700000000.000900 write(1, "a"..., 1) = 1 <0.000005>
101 1700000000.000950 select(4, [3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 1 (in [3], left {tv_sec=0, tv_usec=9}) <0.000007>
101 1700000000.000970 read(0,  <unfinished ...>
101 1700000000.000980 +++ killed by SIGKILL (core dumped) +++
100 1700000000.001000 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 101 <0.000200>
100 1700000000.001100 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101} ---
100 1700000000.001150 umask(022) = 022 <0.000001>
100 1700000000.001160 brk(NULL) = 0x55d0 <0.000001>
100 1700000000.001170 rt_sigsuspend([], 8) = ? ERESTARTNOHAND (To be restarted if no handler) <0.000002>
100 1700000000.001200 exit_group(0) = ?
100 1700000000.001300 +++ exited with 0 +++
"""


def read(text: str) -> Log:
    return read_strace(text.splitlines(keepends=True))


def test_every_form_of_a_line() -> None:
    log = read(FILE)
    assert (log.unread, log.examples, log.notes) == (0, [], 0)
    assert log.parents == {101: 100}
    assert log.signals == {"SIGCHLD": 1} and log.ends == {"exited with 0": 1, "killed by SIGKILL": 1}
    assert log.cut == {"read": 1}
    begin = 1_700_000_000_000_000
    execve, openat, clone, wait4, umask, brk, suspended, leave = log.calls[100]
    assert execve.arguments == ('"/bin/sh"', '["sh", "-c", "a, b)"]', "0x7ffc /* 20 vars */")
    assert openat == Call(
        "openat", ("AT_FDCWD", '"/etc/x\\"y, (z"', "O_RDONLY|O_CLOEXEC"), -1, "ENOENT", begin + 500, 10
    )  # fmt: skip
    assert (clone.result, wait4.begun_us, wait4.took_us, wait4.result) == (101, begin + 800, 200, 101)
    assert wait4.arguments == ("-1", "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]", "0", "NULL")
    assert (umask.result, brk.result, suspended.result, suspended.error) == (
        0o22,
        0x55D0,
        None,
        "ERESTARTNOHAND",
    )
    assert leave == Call("exit_group", ("0",), None, "", begin + 1200, None)
    assert [(call.name, call.result) for call in log.calls[101]] == [
        ("write", 1),
        ("select", 1),
        ("read", None),
    ]


def test_a_terminal_names_the_first_process_only_while_there_are_several() -> None:
    log = read("""\
1700000000.000001 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD/usr/bin/strace: Process 12 attached
, child_tidptr=0x7f) = 12 <0.000100>
[pid    11] 1700000000.000200 wait4(-1,  <unfinished ...>
/usr/bin/strace: Process 13 attached
[pid    12] 1700000000.000300 close(3) = 0 <0.000001>
[pid    12] 1700000000.000400 +++ exited with 0 +++
1700000000.000500 <... wait4 resumed>NULL, 0, NULL) = 12 <0.000300>
1700000000.000600 close(4) = 0 <0.000001>
""")
    assert (log.unread, log.notes, log.parents) == (0, 2, {12: 11})
    assert log.calls[11][0].arguments[1] == "flags=CLONE_CHILD_CLEARTID|SIGCHLD"
    assert {pid: [call.name for call in calls] for pid, calls in log.calls.items()} == {
        11: ["clone", "wait4", "close"], 12: ["close"],
    }  # fmt: skip


def test_what_is_not_understood_is_counted_and_shown() -> None:
    log = read(
        FILE
        + "".join(f"nonsense {n}\n" for n in range(9))
        + "100 1700000000.000001 <... read resumed>) = 0\n"
    )
    assert log.unread == 10
    assert log.examples == [(16 + n, f"nonsense {n}") for n in range(5)]
    assert log.count() == read(FILE).count()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_strace(tmp_path / "none")
    (tmp_path / "empty").write_bytes(b"\x00\xff\n")
    with pytest.raises(InputError, match="no system call in it; make it with: strace -f -ttt -T"):
        load_strace(tmp_path / "empty")


PROGRAMS = {
    "tar": "tar cf {out}/a.tar {tests}",
    "sh": "ls / | wc -l >{out}/n; (sleep 0.01; true) & wait; kill -USR1 $$",
    "gcc": "echo 'int main(void) {{ return 0; }}' >{out}/a.c; gcc -o {out}/a {out}/a.c",
    "git": "git init -q {out}/r; git -C {out}/r status >{out}/s",
}


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("program", PROGRAMS)
def test_real_programs_are_read_whole(tmp_path: Path, program: str, terminal: bool) -> None:
    require(program)
    traced, counted = tmp_path / "trace", tmp_path / "counts"
    script = PROGRAMS[program].format(out=tmp_path, tests=Path(__file__).parent)
    strace = [require("strace"), "-f"]
    to = ["-o", "/dev/stderr"] if terminal else ["-o", str(traced)]
    with traced.open("w") if terminal else counted.open("w") as errors:
        form = [] if terminal else to
        subprocess.run(
            [*strace, "-ttt", "-T", *form, "sh", "-c", script + " 2>/dev/null"], stderr=errors, check=False
        )
    log = load_strace(traced)
    assert (log.unread, log.examples) == (0, [])
    lines = [line for line in traced.read_text(errors="replace").splitlines() if line.strip()]
    whole = sum(
        "(" in line and "resumed>" not in line and " +++ " not in line and " --- " not in line
        for line in lines
    )
    assert abs(whole - sum(log.count().values())) <= log.notes + len(log.signals) + 2
    roots = [pid for pid in log.calls if pid not in log.parents]
    assert len(roots) == 1, "every other process was made by one in the trace"
    assert sum(log.ends.values()) == len(log.calls)
    timed = [call for calls in log.calls.values() for call in calls if call.took_us is not None]
    assert len(timed) >= sum(log.count().values()) - len(log.calls) - sum(log.cut.values()), (
        "all but exit_group"
    )


LINES = st.sampled_from(FILE.splitlines())
PIECES = st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=12)


@given(PIECES, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=200)
def test_any_order_of_lines_is_read_and_every_line_counts(lines, random) -> None:
    random.shuffle(lines)
    log = read_strace(lines)
    heard = sum(log.count().values()) + sum(log.signals.values()) + sum(log.ends.values()) + log.notes
    resumed = sum("resumed>" in line for line in lines)
    some = sum(bool(line.strip()) for line in lines)
    assert heard + log.unread <= some + sum(log.cut.values())
    assert heard + log.unread + resumed >= some - sum("unfinished" in line for line in lines)
    assert len(log.examples) == min(log.unread, 5)


@given(LINES, st.integers(0, 200), st.integers(0, 200), st.text(max_size=5))
@settings(deadline=None, max_examples=300)
def test_torn_lines_never_stop_it(line: str, begin: int, end: int, instead: str) -> None:
    log = read_strace([line[:begin] + instead + line[end:], line])
    assert isinstance(log.count(), Counter)


@given(st.binary(max_size=2000))
@settings(deadline=None)
def test_garbage_is_counted(data: bytes) -> None:
    lines = data.decode("utf-8", "replace").split("\n")
    log = read_strace(lines)
    assert log.unread + log.notes + sum(log.signals.values()) + sum(log.ends.values()) + sum(
        log.count().values()
    ) >= sum(bool(line.strip()) for line in lines)  # fmt: skip


@pytest.mark.parametrize("nasty", ["(" * 200_000, '"' * 200_000, "\\" * 200_000, "1 1.000000 a(" + "{(" * 100_000,
                                   "1 1.000000 a(" + '"\\' * 100_000, "1 1.000000 a()" + " = " * 70_000,
                                   "1 1.000000 " + "--- A " * 30_000, "strace: " * 30_000])  # fmt: skip
def test_long_lines_take_no_time(nasty: str) -> None:
    assert read_strace([nasty]).unread == 1


CALLS = st.builds(
    lambda name, arguments, result, us: (name, tuple(arguments), result, us),
    st.sampled_from(["read", "openat", "mmap", "futex"]),
    st.lists(st.sampled_from(["3", '"a, b)\\"("...', "[1, 2]", "{st_mode=S_IFREG|0644, st_size=3}", "NULL"]), max_size=4),
    st.integers(-1, 1 << 40), st.integers(0, 10**9),
)  # fmt: skip


@given(st.lists(CALLS, max_size=8), st.data())
@settings(deadline=None)
def test_what_was_written_is_read(calls, data) -> None:
    """Calls come back as they were, in one line or in two parts with others between."""
    text = []
    for number, (name, arguments, result, us) in enumerate(calls):
        inside, time = ", ".join(arguments), f"{us // 10**6}.{us % 10**6:06d}"
        end = f"= {result} <0.000001>"
        if data.draw(st.booleans()):
            text.append(f"7 {time} {name}({inside}) {end}")
        else:
            cut = data.draw(st.sampled_from([0, len(inside)]))
            text.append(f"7 {time} {name}({inside[:cut]} <unfinished ...>")
            text.append(f"8 {time} close({number}) = 0 <0.000002>")
            text.append(f"7 {time} <... {name} resumed>{inside[cut:]}) {end}")
    log = read_strace(text)
    assert log.unread == 0
    assert [(c.name, c.arguments, c.result, c.begun_us) for c in log.calls.get(7, [])] == calls
