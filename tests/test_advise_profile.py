"""Profiles of the kernel's time: what perf, strace and people write, and everything else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.advise_names import CALLS, call_subsystem, symbol_subsystem
from lockscape.experiments.advise_profile import parse_profile, read_profile
from lockscape.experiments.advise_subsystems import SUBSYSTEMS

PERF = """\
# Samples: 4K of event 'cycles'
#
# Overhead  Command   Shared Object      Symbol
# ........  ........  .................  ...............................
#
    25.00%  postmark  [kernel.kallsyms]  [k] ext4_mark_iloc_dirty
            |
             --5.00%--do_something
    20.00%  postmark  postmark           [.] main
    10.00%  nginx     [kernel.kallsyms]  [k] tcp_sendmsg_locked
    10.00%  postmark  [kernel.kallsyms]  [k] _raw_spin_lock
    10.00%  swapper   [kernel.kallsyms]  [k] default_idle_call
     5.00%  postmark  [ext4]             [k] __x64_sys_unlink
"""

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.012345          12      1000           unlink
 30.00    0.006000           6      1000        10 sendto
 10.00    0.003000           3      1000           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.021345                  3000        10 total
"""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_perf_report() -> None:
    read = parse_profile(PERF, "perf.txt")
    assert (read.form, read.rows) == ("perf report", 5), "an idle processor is not busy"
    assert read.profile.subsystems == pytest.approx({"fs": 0.6, "net": 0.2})
    assert read.profile.other == pytest.approx(0.2), "a lock's own code tells nothing"
    assert read.profile.kernel == pytest.approx(50 / 70)


def test_perf_report_with_children_counts_self() -> None:
    text = """\
# Children      Self  Command  Shared Object      Symbol
    90.00%    10.00%  a        [kernel.kallsyms]  [k] vfs_read
    80.00%    30.00%  a        [kernel.kallsyms]  [k] tcp_ack
"""
    read = parse_profile(text, "perf.txt")
    assert read.profile.subsystems == pytest.approx({"fs": 0.25, "net": 0.75})
    assert read.profile.kernel is None, "only the kernel was recorded: its share is not known"
    with pytest.raises(InputError, match="no Self: run perf report --no-children"):
        parse_profile(text.replace("    10.00%", ""), "perf.txt")


def test_strace_summary() -> None:
    read = parse_profile(STRACE, "s.txt")
    assert (read.form, read.rows, read.profile.kernel) == ("strace -c", 3, None)
    assert read.profile.subsystems == pytest.approx({"fs": 0.6, "net": 0.3})
    assert read.profile.other == pytest.approx(0.1)


def test_numbers_and_toml(tmp_path: Path) -> None:
    assert read_profile("fs=40, net=30").profile.subsystems == {"fs": 0.4, "net": 0.3}
    of_all = read_profile("fs=10,user=60,other=20").profile
    assert (of_all.subsystems, of_all.kernel) == ({"fs": 0.25}, 0.4)
    file = tmp_path / "p.toml"
    file.write_text("[profile]\nfs = 40\nnet = 30\n")
    assert read_profile(str(file)).profile == read_profile("fs=40,net=30").profile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fs=80,net=30", "110 % in all"),
        ("fs=-1", "fs = -1"),
        ("fs=nan", "fs = nan"),
        ("fs=x", "'x' is no number"),
        ("fs=1,fs=2", "'fs' twice"),
        ("disk=1", "unknown subsystem 'disk'"),
        ("user=100", "no time in the kernel"),
        ("fs=0", "no time in the kernel"),
        ("nowhere.txt", "no such file"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_profile(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "hello\n", "write other things"),
        ("p.toml", "profile = 1\n", "write a table"),
        ("p.toml", "[profile]\nfs = true\n", "fs = True: give a number"),
        ("p.toml", "[profile\n", "p.toml: "),
        ("p.txt", PERF + PERF, "140.00 % in all"),
        ("p.txt", STRACE + STRACE, "200.00 % in all"),
        ("p.txt", STRACE.splitlines()[0], "no rows"),
        ("p.txt", "    25.00%  postmark\n", "no row names a function"),
        ("p.txt", "    25.00%  a  b  [k] _raw_spin_lock\n", "no name in it tells a subsystem"),
        (
            "p.txt",
            STRACE.replace("60.00", "0.00").replace("30.00", "0.00").replace("10.00", "0.00"),
            "for longer",
        ),
    ],
)
def test_files_that_are_no_profile(name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_profile(content, name)


ROWS = st.lists(
    st.tuples(
        st.floats(0, 30),
        st.sampled_from(["k", ".", "g"]),
        st.sampled_from(["vfs_read", "tcp_ack", "main", "x"]),
    ),
    max_size=8,
).map(lambda rows: "".join(f"  {p:.2f}%  a  b  [{k}] {n}\n" for p, k, n in rows))


@given(
    st.one_of(st.text(), ROWS, st.text(alphabet="0123456789.% []k\n_afs=")), st.sampled_from(["a", "a.toml"])
)
def test_anything_is_a_profile_or_refused_in_a_line(content: str, name: str) -> None:
    for head in ("", STRACE.splitlines()[0] + "\n", "# Children Self\n"):
        try:
            found = parse_profile(head + content, name).profile
        except InputError:
            continue
        assert set(found.subsystems) <= set(SUBSYSTEMS)
        assert sum(found.subsystems.values()) + found.other == pytest.approx(1)
        assert found.kernel is None or 0 < found.kernel <= 1


@given(st.text(max_size=40))
def test_any_argument_is_read_or_refused(text: str) -> None:
    try:
        read_profile("fs=1," + text)
    except InputError:
        return


def test_names() -> None:
    assert {name: symbol_subsystem(name) for name in (
        "tcp_sendmsg", "__x64_sys_unlinkat", "sys_read", "ext4_lookup", "do_anonymous_page", "__schedule",
        "entry_SYSCALL_64", "pipe_write", "_raw_spin_lock", "memcpy", "x",
    )} == {
        "tcp_sendmsg": "net", "__x64_sys_unlinkat": "fs", "sys_read": "fs", "ext4_lookup": "fs",
        "do_anonymous_page": "mm", "__schedule": "process", "entry_SYSCALL_64": "entry", "pipe_write": "ipc",
        "_raw_spin_lock": None, "memcpy": None, "x": None,
    }  # fmt: skip
    assert set(CALLS.values()) <= set(SUBSYSTEMS)
    assert call_subsystem("epoll_wait") is None


def test_the_command_says_where_a_profile_came_from(call: Command, tmp_path: Path) -> None:
    file = tmp_path / "perf.txt"
    file.write_text(PERF)
    shown = call("advise", "--no-locks", "--profile", str(file), "--cpus", "4")
    assert shown.code == 0, shown.err
    assert "perf report" in shown.out
    assert "5 rows" in shown.out
    share = next(line for line in shown.out.splitlines() if line.startswith("kernel's share of the time"))
    assert share.split()[6] == "71"
    refused = call("advise", "--profile", str(file), "--kernel-share", "20")
    assert (refused.code, refused.out) == (1, "")
    assert "the profile spends 71% in the kernel" in refused.err
