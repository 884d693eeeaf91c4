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
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import FIRST_DIRECTORY
from lockscape.workloads.replay import Replay, _made, load_replay
from lockscape.workloads.replay_names import PROGRAM_BYTES
from lockscape.workloads.stress import DO_RECEIVE
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


def name_of(kind: int) -> str:
    return "receive" if kind == DO_RECEIVE else CALLS[kind - FIRST_CALL]


def calls(found: Replay) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Return the calls with their arguments of each process that is there first, with its descendants'."""
    streams, _ = found.parts(MHZ)
    return [[(name_of(kind), tuple(rest[:3])) for kind, *rest in stream.rows.tolist()] for stream in streams]


def run(found: Replay, system: str, cpus: int) -> Counter[str]:
    """Replay in a kernel; return the calls that were made."""
    spec = RunSpec(system, load_plan(system), cpus, found.processes, workload=found)
    result = simulate(spec)
    return Counter({each.call: each.count for each in result.calls if each.count})


def check(found: Replay, system: str, cpus: int) -> Counter[str]:
    """Replay, and see that each call is made that is to be, and no other; return these.

    That calls give what is expected `run` looks itself. What comes through a pipe may take several reads.
    """
    asked = Counter(call for each in calls(found) for call, _ in each)
    made = run(found, system, cpus)
    reads = asked["read"] + asked.pop("receive", 0)
    assert made["read"] >= reads
    made["read"] = asked["read"]
    if system == "application-kernel":  # which asks its driver by ioctl
        made["ioctl"] = asked["ioctl"]
    assert +made == +asked
    return asked


def test_a_shell_and_the_program_that_it_waits_for(tmp_path: Path) -> None:
    found = replay(tmp_path, SHELL)
    (made,) = calls(found)
    names = [call for call, _ in made]
    assert names == [
        "mkdir", "open", "write", "fork", "exec", "open", "fstat", "lseek", "read", "write", "mmap", "stat",
        "wait", "rename", "unlink", "rmdir",
    ]  # fmt: skip
    assert made[3][1][0] == 8, "rows of the child, which come behind the fork"
    first = made[0][1][0] & 0xFFFFF
    assert first >= FIRST_DIRECTORY
    assert made[5][1][2] == READING and made[7][1][:2] == (1, 2000)
    assert made[1][1][2] == CREATING | WRITING
    assert [each for call, each in made if call == "write"] == [(0, 5000, 0), (0, 1000, 0)]
    packed = made[0][1][0]
    assert (packed & 0xFFFFF, packed >> 20) == (first, first + 1), "/home/me"
    assert made[1][1][0] >> 40 == made[0][1][1], "the directory that was made is on the way to the file"
    assert found.title == "replay of some.strace: 17 of 20 calls of 2 processes"
    assert (found.processes, found.made) == (1, 1)
    for system in ("fine", "linux-2.0"):
        check(found, system, 2)


def test_what_was_there_before_is_made_in_advance(tmp_path: Path) -> None:
    _, tree = replay(tmp_path, SHELL).parts(MHZ)
    directories = [node for node in tree if node.is_directory]
    files = [node for node in tree if not node.is_directory]
    assert sorted(len(node.above) for node in directories) == [0, 0, 0, 1], "/bin, /home, /etc and /home/me"
    assert [node.size_bytes for node in files] == [PROGRAM_BYTES, 3000]
    assert isinstance(files[0], Node)


def test_computation_comes_before_the_call_that_followed_it(tmp_path: Path) -> None:
    streams, _ = replay(tmp_path, SHELL).parts(MHZ)
    thought = {CALLS[row[0] - FIRST_CALL]: row[5] for row in streams[0].rows.tolist()}
    # a tenth of the gaps are up to 90 µs, which strace is taken to need; from write to vfork it was 990
    assert thought["fork"] == (990 - 90) * MHZ
    assert thought["wait"] == (100 - 90) * MHZ
    assert thought["rmdir"] == 0


def test_what_processes_do_to_each_others_files(tmp_path: Path) -> None:
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
    found = replay(tmp_path, together)
    (made,) = calls(found)
    assert [call for call, _ in made] == [
        "fork", "mkdir", "open", "close", "stat", "open", "close", "stat", "unlink",
    ], "others use the directory: it stays"  # fmt: skip
    assert made[2][1][2] == CREATING & ~WRITING, "the other process may have deleted it by then"
    for cpus in (1, 2):
        check(found, "fine", cpus)


def test_what_a_child_made_is_there_when_it_was_waited_for(tmp_path: Path) -> None:
    lines = [
        "1 1.{} fork() = 2 <0.000010>",
        '2 1.{} openat(AT_FDCWD, "/x", O_WRONLY|O_CREAT, 0666) = 3 <0.000010>',
        '2 1.{} write(3, "x"..., 3000) = 3000 <0.000010>',
        "1 1.{} wait4(-1, NULL, 0, NULL) = 2 <0.000010>",
        '1 1.{} openat(AT_FDCWD, "/x", O_RDONLY) = 3 <0.000010>',
        '1 1.{} read(3, "x"..., 4096) = 3000 <0.000010>',
        '1 1.{} unlink("/x") = 0 <0.000010>',
    ]
    ordered = replay(tmp_path, "".join(f"{each}\n".format(f"{k:06}") for k, each in enumerate(lines)))
    (made,) = calls(ordered)
    assert [each[2] for call, each in made if call == "open"] == [CREATING | WRITING, READING]
    assert ordered.parts(MHZ)[1] == [], "nothing is made in advance"
    check(ordered, "fine", 2)
    del lines[3]
    racing = replay(tmp_path, "".join(f"{each}\n".format(f"{k:06}") for k, each in enumerate(lines)))
    (made,) = calls(racing)
    assert [each[2] for call, each in made if call == "open"] == [CREATING | WRITING, CREATING & ~WRITING]
    assert [node.size_bytes for node in racing.parts(MHZ)[1]] == [3000]
    check(racing, "fine", 2)


PIPELINE = """\
1 1.000000 pipe2([3, 4], O_CLOEXEC) = 0 <0.000010>
1 1.000100 fork() = 2 <0.000010>
1 1.000200 fork() = 3 <0.000010>
1 1.000300 close(3) = 0 <0.000010>
1 1.000310 close(4) = 0 <0.000010>
2 1.000400 dup2(4, 1) = 1 <0.000010>
2 1.000410 execve("/bin/a", ["a"], 0x1) = 0 <0.000010>
2 1.000500 write(1, "x"..., 30000) = 30000 <0.000010>
2 1.000600 write(1, "x"..., 100) = 100 <0.000010>
2 1.000700 exit_group(0) = ?
3 1.000800 dup2(3, 0) = 0 <0.000010>
3 1.000810 execve("/bin/b", ["b"], 0x1) = 0 <0.000010>
3 1.000900 read(0, "x"..., 65536) = 30100 <0.000010>
3 1.001000 read(0, ""..., 65536) = {} <0.000010>
3 1.001100 exit_group(0) = ?
1 1.001200 wait4(-1, NULL, 0, NULL) = 2 <0.000010>
1 1.001300 wait4(-1, NULL, 0, NULL) = 3 <0.000010>
1 1.001400 wait4(-1, 0x1, 0, NULL) = -1 ECHILD (No child processes) <0.000010>
"""


def test_a_pipeline(tmp_path: Path) -> None:
    found = replay(tmp_path, PIPELINE.format(0))
    (made,) = calls(found)
    names = [call for call, _ in made]
    # exec closes what stands for an end besides 0 and 1: the other end, which no descriptor is any more
    assert names == [
        "pipe", "fork", "close", "exec", "write", "write", "fork", "close", "exec", "receive", "read", "close",
        "close", "wait", "wait",
    ]  # fmt: skip
    assert made[9][1][:2] == (0, 30100)
    assert found.left_out[0] == ("2 calls: the simulated kernel has no such call (dup2 2)")
    assert found.left_out[1] == "1 calls: waits for nobody who ended, or not for a child of its own (wait4 1)"
    for system in ("linux-2.0", "linux-2.6", "application-kernel"):
        for cpus in (1, 3):
            check(found, system, cpus)


def test_what_is_left_in_a_pipe_is_not_written(tmp_path: Path) -> None:
    text = PIPELINE.format(0).replace("65536) = 30100", "65536) = 20000")
    found = replay(tmp_path, text)
    (made,) = calls(found)
    assert [each[1] for call, each in made if call in ("write", "receive")] == [20000, 20000]
    assert "1 calls: what nobody reads from a pipe, or writes to it (write 1)" in found.left_out
    check(found, "linux-2.0", 2)


def test_a_reader_that_would_wait_for_ever(tmp_path: Path) -> None:
    """Here nobody closes the end to write to before the reader has ended."""
    lines = PIPELINE.format(0).replace("1 1.000310 close(4) = 0 <0.000010>\n", "")
    found = replay(tmp_path, lines)
    assert "1 calls: would wait for ever in a pipe of the simulated kernel (read 1)" in found.left_out
    (made,) = calls(found)
    assert [call for call, _ in made].count("receive") == 1
    check(found, "linux-2.0", 2)
    both = """\
1 1.000000 pipe([3, 4]) = 0 <0.000010>
1 1.000100 write(4, "x"..., 20000) = 20000 <0.000010>
1 1.000200 read(3, "x"..., 20000) = 20000 <0.000010>
1 1.000300 write(4, "x"..., 0) = 0 <0.000010>
"""
    found = replay(tmp_path, both)
    assert found.left_out[0].startswith("3 calls: would wait for ever"), "its buffer is smaller than Linux'"
    check(found, "linux-2.0", 1)
    found = replay(tmp_path, both.replace("20000", "4096"))
    check(found, "linux-2.0", 1)


def test_a_pipe_that_several_use_at_once(tmp_path: Path) -> None:
    """Who comes first could take what the other one waits for."""
    lines = """\
1 1.000000 pipe([3, 4]) = 0 <0.000010>
1 1.000100 fork() = 2 <0.000010>
1 1.000200 write(4, "xx", 2) = 2 <0.000010>
2 1.000300 read(3, "x", 1) = 1 <0.000010>
1 1.000400 read(3, "x", 1) = 1 <0.000010>
"""
    found = replay(tmp_path, lines)
    assert found.left_out[0] == "3 calls: several processes at once use this end of a pipe (read 2, write 1)"
    waited = lines.replace("1 1.000400", "1 1.000350 wait4(2, NULL, 0, NULL) = 2 <0.000010>\n1 1.000400")
    assert [call for call, _ in calls(replay(tmp_path, waited))[0]] == [
        "pipe", "fork", "receive", "write", "wait", "receive",
    ]  # fmt: skip
    check(found, "fine", 2)


def test_several_write_to_a_reader_that_waits_for_one_of_them(tmp_path: Path) -> None:
    """The other one could fill the pipe while the reader waits for what the first writes elsewhere, later."""
    lines = ["1 1.{} pipe([3, 4]) = 0 <0.000001>", "1 1.{} pipe([5, 6]) = 0 <0.000001>"]
    lines += [f"1 1.{{}} fork() = {pid} <0.000001>" for pid in (2, 3)]
    lines += ['2 1.{} write(4, "x", 4096) = 4096 <0.000001>', '1 1.{} read(3, "x", 4096) = 4096 <0.000001>']
    lines += ['2 1.{} write(6, "x", 1) = 1 <0.000001>', '1 1.{} read(5, "x", 1) = 1 <0.000001>']
    lines += ['3 1.{} write(4, "x", 8192) = 8192 <0.000001>', '1 1.{} read(3, "x", 8192) = 8192 <0.000001>']
    found = replay(tmp_path, "".join(f"{each}\n".format(f"{k:06}") for k, each in enumerate(lines)))
    assert found.left_out[0] == "4 calls: several processes at once use this end of a pipe (write 2, read 2)"
    check(found, "linux-2.0", 2)


@pytest.mark.parametrize("system", ["linux-2.0", "linux-2.6", "application-kernel"])
def test_several_write_to_a_pipe_that_drains(tmp_path: Path, system: str) -> None:
    """The reader writes to a pipe that drains itself; two fill its own, each more than there is room for."""
    lines = ["1 1.{} pipe([3, 4]) = 0 <0.000001>", "1 1.{} pipe([5, 6]) = 0 <0.000001>"]
    lines += [f"1 1.{{}} fork() = {pid} <0.000001>" for pid in (2, 3, 4, 5)]
    lines += [f"1 1.{{}} close({fd}) = 0 <0.000001>" for fd in (3, 4, 5, 6)]
    for _ in range(3):
        lines += [
            f'{pid} 1.{{}} write(4, "x", {size}) = {size} <0.000001>' for pid, size in ((2, 9000), (3, 4096))
        ]
        lines += ['4 1.{} read(3, "x", 13096) = 13096 <0.000001>', '4 1.{} write(6, "x", 10) = 10 <0.000001>']
    lines += ["4 1.{} close(4) = 0 <0.000001>", '4 1.{} read(3, "", 1) = 0 <0.000001>']
    lines += ['5 1.{} read(5, "x", 30) = 30 <0.000001>']
    lines += [f"1 1.{{}} wait4(-1) = {pid} <0.000001>" for pid in (2, 3, 4, 5)]
    text = "".join(f"{each}\n".format(f"{k:06}") for k, each in enumerate(lines))
    found = replay(tmp_path, text)
    assert len(found.left_out) == 1, "but for strace's own time nothing is"
    for cpus in (1, 2, 4):
        check(found, system, cpus)


def test_threads_and_processes_that_nobody_made(tmp_path: Path) -> None:
    lines = """\
1 1.000000 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 2 <0.000010>
1 1.000100 openat(AT_FDCWD, "/x", O_RDONLY) = 3 <0.000010>
2 1.000200 read(3, "x", 10) = 10 <0.000010>
2 1.000300 openat(AT_FDCWD, "/y", O_RDONLY) = 4 <0.000010>
2 1.000400 nanosleep({tv_sec=0, tv_nsec=1000}, NULL) = 0 <0.000060>
7 1.000500 sched_yield() = 0 <0.000010>
7 1.000600 fork() = 99 <0.000010>
7 1.000700 kill(1, SIGTERM) = 0 <0.000010>
7 1.000800 rt_sigaction(SIGCHLD, {sa_handler=0x5, sa_mask=[]}, NULL, 8) = 0 <0.000010>
7 1.000900 rt_sigaction(SIGTERM, {sa_handler=SIG_IGN, sa_mask=[]}, NULL, 8) = 0 <0.000010>
"""
    found = replay(tmp_path, lines)
    assert [[call for call, _ in each] for each in calls(found)] == [
        ["fork", "open", "sleep", "open"], ["yield", "signal"],
    ]  # fmt: skip
    told = "; ".join(found.left_out)
    for what in (
        "1 calls: a file that another thread has opened (read 1)",
        "2 calls: signals are not sent (kill 1, rt_sigaction 1)",
        "1 calls: makes a process that is not in the trace (fork 1)",
        "that 1 threads share memory and descriptors: they have copies",
    ):  # fmt: skip
        assert what in told
    check(found, "fine", 2)


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
    found = load_replay(real)
    asked = check(found, system, 1 if system == "uniprocessor" else 2)
    assert asked["unlink"] >= 4 and asked["rename"] == 2 and asked["mkdir"] == 2
    assert asked["pipe"] and asked["fork"] == asked["wait"] == found.made


PATHS = st.sampled_from(["/a", "/a/b", "/a/b/c", "/d/e/f/g/h", "x", "../y", "/d/e", "/"])
FD = st.integers(-1, 5)
SIZES = st.sampled_from([0, 1, 100, 4096, 5000, 70_000])
ERRORS = st.sampled_from(["ENOENT (No such file or directory)", "EACCES (Permission denied)"])


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Draw lines of any calls, whether a kernel could have answered so or not."""
    made, now = [], 0
    for _ in range(draw(st.integers(1, 25))):
        now += draw(st.integers(0, 300))
        path, other, fd, result, size = draw(PATHS), draw(PATHS), draw(FD), draw(FD), draw(SIZES)
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
            f"pipe([{fd}, {fd + 1}])", f"pipe2([{fd + 1}, {fd}], O_CLOEXEC)", f"read({fd}, x, {size})",
            f"write({fd}, x, {size})", f"wait4({fd}, NULL, 0, NULL)", "fork()", "nanosleep({}, NULL)",
            "close_range(3, 9, 0)", "kill(2, SIGTERM)", "rt_sigaction(SIGCHLD, {sa_handler=0x1}, NULL, 8)",
            "rt_sigaction(SIGPIPE, {sa_handler=SIG_DFL}, NULL, 8)", "gettimeofday({tv_sec=1}, NULL)", "ioctl(1, TCGETS)",
            "sync()", "sched_yield()", "exit_group(0)",
        ]))  # fmt: skip
        answer = str(size) if ", x, " in call else str(result)
        answer = f"-1 {draw(ERRORS)}" if draw(st.integers(0, 4)) == 0 else answer
        took = draw(st.integers(0, 400))
        made.append(f"{draw(st.integers(1, 3))} 1.{now:06} {call} = {answer} <0.{took:06}>\n")
    return "".join(made)


class Drawn:
    """Processes with pipes, as a kernel would have them: draws what any of them can do, and how it is answered."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.now, self.last, self.lines = draw, 0, 1, ["1 1.000000 getpid() = 1 <0.000001>\n"]
        self.fds: dict[int, dict[int, tuple[int, bool]]] = {1: {}}
        self.maker: dict[int, int] = {}
        self.bytes: dict[int, int] = {}
        for _ in range(draw(st.integers(5, 60))):
            if self.fds:
                pid = draw(st.sampled_from(sorted(self.fds)))
                draw(st.sampled_from([self.pipe, self.fork, self.end, self.transfer, self.transfer, self.close,
                                      self.transfer, self.duplicate, self.wait]))(pid)  # fmt: skip

    def say(self, pid: int, call: str, answer: int) -> None:
        self.now += 10
        self.lines.append(f"{pid} 1.{self.now:06} {call} = {answer} <0.000001>\n")

    def pipe(self, pid: int) -> None:
        mine, number = self.fds[pid], len(self.bytes)
        read, write = [fd for fd in range(3, 200) if fd not in mine][:2]
        mine[read], mine[write] = (number, False), (number, True)
        self.bytes[number] = 0
        self.say(pid, f"pipe([{read}, {write}])", 0)

    def fork(self, pid: int) -> None:
        self.last += 1
        self.fds[self.last], self.maker[self.last] = dict(self.fds[pid]), pid
        self.say(pid, "fork()", self.last)
        self.say(self.last, "getpid()", self.last)

    def end(self, pid: int) -> None:
        if self.draw(st.booleans()):
            del self.fds[pid]
            self.say(pid, "exit_group(0)", 0)

    def close(self, pid: int) -> None:
        if self.fds[pid]:
            fd = self.draw(st.sampled_from(sorted(self.fds[pid])))
            del self.fds[pid][fd]
            self.say(pid, f"close({fd})", 0)

    def duplicate(self, pid: int) -> None:
        if self.fds[pid]:
            fd, to = self.draw(st.sampled_from(sorted(self.fds[pid]))), self.draw(st.integers(0, 4))
            self.fds[pid][to] = self.fds[pid][fd]
            self.say(pid, f"dup2({fd}, {to})", to)

    def wait(self, pid: int) -> None:
        ended = [child for child, maker in self.maker.items() if maker == pid and child not in self.fds]
        if ended:
            del self.maker[ended[-1]]
            self.say(pid, "wait4(-1, NULL, 0, NULL)", ended[-1])

    def transfer(self, pid: int) -> None:
        if not self.fds[pid]:
            return
        fd = self.draw(st.sampled_from(sorted(self.fds[pid])))
        number, writing = self.fds[pid][fd]
        size, inside = self.draw(st.sampled_from([1, 3000, 4096, 9000, 40_000])), self.bytes[number]
        others = {end for each in self.fds.values() for end in each.values()}
        if writing and (number, False) in others and inside + size <= 65536:
            self.bytes[number] += size
            self.say(pid, f'write({fd}, "x", {size})', size)
        elif not writing and (inside or (number, True) not in others):
            self.bytes[number] -= min(inside, size)
            self.say(pid, f'read({fd}, "x", {size})', min(inside, size))


MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
KERNEL = st.sampled_from(["fine", "linux-2.0", "linux-2.6", "application-kernel"])


@MANY
@given(text=lines(), system=KERNEL)
def test_whatever_a_trace_says_it_is_replayed(
    tmp_path_factory: pytest.TempPathFactory, text: str, system: str
) -> None:
    check(replay(tmp_path_factory.mktemp("drawn"), text), system, 2)


@MANY
@given(drawn=st.composite(Drawn)(), system=KERNEL, cpus=st.integers(1, 3))
def test_families_with_pipes_come_to_their_ends(
    tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, system: str, cpus: int
) -> None:
    check(replay(tmp_path_factory.mktemp("drawn"), "".join(drawn.lines)), system, cpus)


def test_what_cannot_be_replayed_is_refused_or_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_replay(tmp_path / "none")
    found = replay(tmp_path, SHELL)
    assert found.left_out[0].startswith("2 calls: the simulated kernel has no such call (")
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
    assert f"as workload trace:{path}: replay of some.strace: 17 of 20 calls of 2 processes" in text
    done = call("simulate", "fine", "--workload", f"trace:{path}", "--cpus", "1")
    assert (
        done.code == 0
        and "17 of 20 calls of 2 processes, by 1 simulated process and 1 that are made. Left out:"
        in " ".join(done.out.split())
    )
