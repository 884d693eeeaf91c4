"""What strace has written is replayed: the calls that it tells of, no others, in every kernel."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.kernel.entry import CALLS
from lockscape.kernel.files import CREATING, READING, WRITING
from lockscape.ports.plan import load_plan, plan_names
from lockscape.workloads.load import FIRST_DIRECTORY, Node
from lockscape.workloads.replay import Replay, _made, load_replay
from lockscape.workloads.strace import read_strace
from lockscape.workloads.strace_lanes import lanes_of
from lockscape.workloads.user import FIRST_CALL
from tools import require

MHZ = 2000

SHELL = """\
1 1.000000 getcwd("/home/me", 4096) = 9 <0.000010>
1 1.000100 mkdir("d", 0777) = 0 <0.000010>
1 1.000200 openat(AT_FDCWD, "d/a", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3 <0.000010>
1 1.000300 dup2(3, 1) = 1 <0.000010>
1 1.000400 close(3) = 0 <0.000010>
1 1.000500 write(1, "x"..., 5000) = 5000 <0.000010>
1 1.001500 vfork() = 2 <0.000500>
2 1.001600 execve("/bin/cat", ["cat"], 0x1 /* 1 var */) = 0 <0.000100>
2 1.001800 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3 <0.000010>
2 1.001900 fstat(3, {st_mode=S_IFREG|0644, st_size=3000, ...}) = 0 <0.000010>
1 1.002100 wait4(-1,  <unfinished ...>
2 1.002200 pread64(3, "r"..., 1000, 2000) = 1000 <0.000010>
2 1.002300 write(1, "r"..., 1000) = 1000 <0.000010>
2 1.002400 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f00 <0.000010>
2 1.002500 openat(AT_FDCWD, "/etc/none", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000010>
2 1.002600 exit_group(0) = ?
1 1.002700 <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = 2 <0.000600>
1 1.002800 rename("d/a", "d/b") = 0 <0.000010>
1 1.002900 unlink("/home/me/d/b") = 0 <0.000010>
1 1.003000 rmdir("d") = 0 <0.000010>
1 1.003100 exit_group(0) = ?
"""


def replay(folder: Path, text: str) -> Replay:
    path = folder / "some.strace"
    path.write_text(text)
    return load_replay(path)


def calls(found: Replay) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Return each simulated process' calls with their arguments."""
    streams, _ = found.parts(MHZ)
    return [
        [(CALLS[kind - FIRST_CALL], tuple(rest[:3])) for kind, *rest in stream.rows.tolist()]
        for stream in streams
    ]


def run(found: Replay, system: str, cpus: int) -> Counter[str]:
    """Replay in a kernel; return the calls that were made."""
    spec = RunSpec(system, load_plan(system), cpus, found.processes, workload=found)
    result = simulate(spec)
    return Counter({each.call: each.count for each in result.calls if each.count})


def test_a_shell_and_the_program_that_it_waits_for_are_one_process(tmp_path: Path) -> None:
    found = replay(tmp_path, SHELL)
    (made,) = calls(found)
    first = made[0][1][0] & 0xFFFFF
    assert first >= FIRST_DIRECTORY
    names = [call for call, _ in made]
    assert names == [
        "mkdir", "open", "write", "open", "fstat", "lseek", "read", "write", "mmap", "stat", "close", "munmap",
        "rename", "unlink", "rmdir", "close",
    ]  # fmt: skip
    arguments = dict(zip(names[:8], (each for _, each in made[:8]), strict=True))
    assert arguments["open"][2] == READING
    assert arguments["lseek"][:2] == (1, 2000)
    assert names.count("stat") == 1
    assert made[1][1][2] == CREATING | WRITING
    assert [each for call, each in made if call == "write"] == [(0, 5000, 0), (0, 1000, 0)]
    packed = made[0][1][0]
    assert (packed & 0xFFFFF, packed >> 20) == (first, first + 1), "/home/me"
    assert made[1][1][0] >> 40 == made[0][1][1], "the directory that was made is on the way to the file"
    assert found.title == "replay of some.strace: 15 of 20 calls of 2 processes"


def test_what_was_there_before_is_made_in_advance(tmp_path: Path) -> None:
    _, tree = replay(tmp_path, SHELL).parts(MHZ)
    directories = [node for node in tree if node.is_directory]
    files = [node for node in tree if not node.is_directory]
    assert sorted(len(node.above) for node in directories) == [0, 0, 1], "/home, /etc and /home/me"
    assert [node.size_bytes for node in files] == [3000]
    assert isinstance(files[0], Node)


def test_computation_comes_before_the_call_that_followed_it(tmp_path: Path) -> None:
    streams, _ = replay(tmp_path, SHELL).parts(MHZ)
    thought = {CALLS[row[0] - FIRST_CALL]: row[5] for row in streams[0].rows.tolist()}
    # a tenth of the gaps are up to 90 µs, which strace is taken to need; from write to vfork it was 990
    assert thought["rename"] == (990 - 90 + 100 - 90 + 100 - 90) * MHZ
    assert thought["rmdir"] == 0


def test_processes_at_work_together_are_several(tmp_path: Path) -> None:
    together = """\
1 1.000000 clone(child_stack=NULL, flags=SIGCHLD) = 2 <0.000010>
1 1.000100 openat(AT_FDCWD, "/a/x", O_RDWR|O_CREAT, 0666) = 3 <0.000010>
2 1.000150 mkdir("/a/d", 0777) = 0 <0.000010>
1 1.000200 close(3) = 0 <0.000010>
2 1.000250 openat(AT_FDCWD, "/a/x", O_RDONLY) = 3 <0.000010>
1 1.000300 stat("/a/d/f", 0x1) = -1 ENOENT (No such file or directory) <0.000010>
2 1.000350 close(3) = 0 <0.000010>
1 1.000400 unlink("/a/x") = 0 <0.000010>
2 1.000450 rmdir("/a/d") = 0 <0.000010>
"""
    log = read_strace(together.splitlines(keepends=True))
    assert lanes_of(log) == {1: 0, 2: 1}
    found = replay(tmp_path, together)
    first, second = calls(found)
    assert [call for call, _ in first] == ["open", "close", "stat", "unlink"]
    assert [call for call, _ in second] == ["mkdir", "open", "close", "stat"], (
        "others use the directory: it stays"
    )
    assert second[1][1][2] == CREATING & ~WRITING, "the other process may have deleted it by then"
    for cpus in (1, 2):
        assert run(found, "fine", cpus) == {
            "open": 2, "close": 2, "stat": 2, "unlink": 1, "mkdir": 1,
        }  # fmt: skip


def test_one_after_the_other_takes_the_same_lane() -> None:
    lines = []
    for pid in range(2, 8):
        begin = pid * 1000
        lines.append(f'{pid} 1.{begin:06} openat(AT_FDCWD, "/a", O_RDONLY) = 3 <0.000100>\n')
        lines.append(f"{pid} 1.{begin + 700 * (pid != 4) + 1700 * (pid == 4):06} close(3) = 0 <0.000100>\n")
    assert [*lanes_of(read_strace(lines)).values()] == [0, 0, 0, 1, 0, 0]


PROGRAM = (
    "for i in 1 2; do (mkdir d$i; cp {tools} d$i/a; tar cf d$i/x d$i/a; cat d$i/x >/dev/null; mv d$i/a d$i/b;"
    " rm -r d$i) & done; wait; ls / | wc -l"
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what strace writes of a shell with two loops side by side."""
    folder = tmp_path_factory.mktemp("replay")
    script = PROGRAM.format(tools=Path(__file__).parent / "tools.py")
    command = [require("strace"), "-f", "-ttt", "-T", "-o", "real.strace", "sh", "-c", script]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "real.strace"


FEW = ("application-kernel", "cells", "fine", "giant", "linux-2.0", "lock-free", "reimplementation")
EVERY = [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in plan_names()]


@pytest.mark.parametrize("system", EVERY)
def test_a_real_program_in_every_kernel(real: Path, system: str) -> None:
    """Each call that is to be made is made; that opens and mappings give what is expected, `run` looks itself."""
    found = load_replay(real)
    asked = Counter(call for each in calls(found) for call, _ in each)
    cpus = 1 if system == "uniprocessor" else 2
    made = run(found, system, cpus)
    if system == "application-kernel":  # which asks its driver by ioctl
        made["ioctl"] = asked["ioctl"]
    assert made == +asked
    assert asked["unlink"] >= 4 and asked["rename"] == 2 and asked["mkdir"] == 2


PATHS = st.sampled_from(["/a", "/a/b", "/a/b/c", "/d/e/f/g/h", "x", "../y", "/d/e", "/"])
FD = st.integers(-1, 5)
ERRORS = st.sampled_from(["ENOENT (No such file or directory)", "EACCES (Permission denied)"])


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Draw lines of any calls, whether a kernel could have answered so or not."""
    made, now = [], 0
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.integers(0, 300))
        path, other, fd, result = draw(PATHS), draw(PATHS), draw(FD), draw(FD)
        flags = draw(
            st.sampled_from(["O_RDONLY", "O_RDWR|O_CREAT|O_CLOEXEC", "O_WRONLY|O_APPEND", "O_DIRECTORY"])
        )
        call = draw(st.sampled_from([
            f'openat(AT_FDCWD, "{path}", {flags})', f'openat({fd}, "{path}", {flags})', f"close({fd})",
            f'read({fd}, "x", 9000)', f'pwrite64({fd}, "x", 10, 5000)', f"lseek({fd}, 7, SEEK_SET)",
            f'newfstatat({fd}, "", {{st_mode=S_IFDIR, st_size=9000}}, AT_EMPTY_PATH)', f'unlink("{path}")',
            f'stat("{path}", 0x1)', f'mkdir("{path}", 0777)', f'rename("{path}", "{other}")', f'rmdir("{path}")',
            f'unlinkat({fd}, "{path}", AT_REMOVEDIR)', f"dup2({fd}, {fd + 1})", f'chdir("{path}")', "vfork()",
            f"munmap(0x{fd + 2:x}, 4096)", "mmap(NULL, 4096, PROT_READ, 2, 3, 0)", f"fsync({fd})", "wait4(-1)",
            'execve("/a", [], [])', f"fcntl({fd}, F_DUPFD_CLOEXEC, 3)", "clone3({flags=CLONE_FILES})", "brk(NULL)",
            "gettimeofday({tv_sec=1}, NULL)", "ioctl(1, TCGETS)", "sync()", "sched_yield()", "exit_group(0)",
        ]))  # fmt: skip
        answer = f"-1 {draw(ERRORS)}" if draw(st.integers(0, 4)) == 0 else str(result)
        took = draw(st.integers(0, 400))
        made.append(f"{draw(st.integers(1, 3))} 1.{now:06} {call} = {answer} <0.{took:06}>\n")
    return "".join(made)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=lines())
def test_whatever_a_trace_says_it_is_replayed(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    found = replay(tmp_path_factory.mktemp("drawn"), text)
    asked = Counter(call for each in calls(found) for call, _ in each)
    assert run(found, "fine", 2) == +asked


def test_what_cannot_be_replayed_is_refused_or_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_replay(tmp_path / "none")
    found = replay(tmp_path, SHELL)
    assert found.left_out[0].startswith("5 calls: the simulated kernel has no such call (")
    (tmp_path / "some.strace").write_text(SHELL + "1 1.004 nonsense\n")
    _made.cache_clear()
    with pytest.raises(
        InputError, match=r"some\.strace: has changed since it was read; run the command again"
    ):
        found.parts(MHZ)
    many = "".join(f'1 1.{n:06} open("/f{n}", O_RDONLY) = {n} <0.000001>\n' for n in range(300))
    with pytest.raises(InputError, match="more than 256 files open at once"):
        replay(tmp_path, many)
    call = Command(capsys)
    path = tmp_path / "some.strace"
    path.write_text(SHELL)
    refused = call("simulate", "fine", "--workload", f"trace:{path}", "--processes", "3")
    assert refused.code == 2 and "--processes: a trace says itself what its processes do" in refused.err
    shown = call("workloads", "--strace", str(path))
    text = " ".join(shown.out.split())
    assert f"as workload trace:{path}: replay of some.strace: 15 of 20 calls of 2 processes" in text
    done = call("simulate", "fine", "--workload", f"trace:{path}", "--cpus", "1")
    assert done.code == 0 and "15 of 20 calls of 2 processes, by 1 simulated process. Left out:" in " ".join(
        done.out.split()
    )
