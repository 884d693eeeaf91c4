"""What real runs are made of: processes together, room, medians, facts about a host, perf's table, doubts."""

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import Program, alive, children_of
from lockscape.errors import InputError
from lockscape.real import facts, perf_lock
from lockscape.real.executors import ProcessRun
from lockscape.real.host_curve import curve_of, host_doubts
from lockscape.real.host_result import HostRun
from lockscape.real.host_run import Ticks, host_run, in_transactions
from lockscape.real.median import CONFIDENCE, LEAST_RUNS, median_of
from lockscape.real.room import ENTRY_BYTES, need_of
from lockscape.real.together import RunError, Together, check_descriptors, run_together
from lockscape.workloads.postmark import APPEND, CREATE, DELETE, MKDIR, RMDIR, PostmarkOptions, operations


@contextlib.contextmanager
def folders(base: Path, number: int) -> Iterator[list[int]]:
    made = []
    for k in range(number):
        (base / f"p{k}").mkdir()
        made.append(os.open(base / f"p{k}", os.O_RDONLY))
    try:
        yield made
    finally:
        for fd in made:
            os.close(fd)


TELL = """
at = time.monotonic_ns()
print(at, sorted(os.sched_getaffinity(0)), os.getcwd(), os.getpgrp() == os.getpid(), sep="|")
"""


def test_processes_start_together_on_their_processors_in_their_folders(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    with folders(tmp_path, 4) as made:
        done = run_together([Program(TELL)] * 4, made, frozenset(usable[:1]))
    assert [each.code for each in done.ended] == [0] * 4
    for number, each in enumerate(done.ended):
        at, processors, folder, own_group = each.output.decode().strip().split("|")
        assert done.start_ns <= int(at) <= done.end_ns
        assert (processors, folder, own_group) == (str(usable[:1]), str(tmp_path / f"p{number}"), "True")
        assert each.usage.ru_utime + each.usage.ru_stime > 0  # so short a time may all be of one kind
    assert os.sched_getaffinity(0) == set(usable)


def test_the_last_end_counts_and_the_watch_lasts_from_before_the_start_to_after_the_end(
    tmp_path: Path,
) -> None:
    seen: list[int] = []

    @contextlib.contextmanager
    def watch(processes: list[int]) -> Iterator[None]:
        assert len(processes) == 2 and all(map(alive, processes))
        seen.append(time.monotonic_ns())
        yield
        seen.append(time.monotonic_ns())

    slow, quick = Program("time.sleep(0.3)"), Program("pass")
    with folders(tmp_path, 2) as made:
        done = run_together([slow, quick], made, frozenset(os.sched_getaffinity(0)), watch)
    assert 0.3e9 <= done.end_ns - done.start_ns < 20e9
    assert seen[0] <= done.start_ns and done.end_ns <= seen[1]


def test_a_process_that_is_not_ready_ends_all_others(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    before = set(children_of(os.getpid()))  # other tests of this process may have some
    waits = Program(f"open({str(marker)!r}, 'w').write('begun')")
    with folders(tmp_path, 3) as made, pytest.raises(RunError, match=r"was not ready .no such thing"):
        run_together(
            [waits, Program("", "print('no such thing')"), waits], made, frozenset(os.sched_getaffinity(0))
        )
    time.sleep(0.2)
    assert not marker.exists()
    assert set(children_of(os.getpid())) <= before


def test_what_is_printed_beyond_the_limit_is_not_kept_and_hinders_nobody(tmp_path: Path) -> None:
    with folders(tmp_path, 1) as made:
        done = run_together([Program("print('x' * 1000000)")], made, frozenset(os.sched_getaffinity(0)))
    assert done.ended[0].code == 0 and len(done.ended[0].output) == 1 << 16


def test_too_many_processes_for_the_descriptors_are_refused() -> None:
    check_descriptors(8)
    with pytest.raises(InputError, match="1000000 processes need 2000064 descriptors"):
        check_descriptors(1_000_000)


@given(st.lists(st.integers(1, 999), min_size=1, max_size=20))
def test_an_interval_holds_the_median_and_is_of_what_was_measured(values: list[int]) -> None:
    found = median_of(values)
    assert found.low <= found.value <= found.high
    assert {found.low, found.high} <= set(values)
    assert found.value == float(np.median(values))


def test_intervals_of_medians_have_their_confidence_and_no_more_than_they_need() -> None:
    """Exact: with n measurements, the rank k is below the true median with the chance of a binomial."""
    for count in range(1, 60):
        values = list(map(float, range(count)))
        found = median_of(values)
        rank = int(found.low)
        assert found.high == count - 1 - rank

        def outside(rank: int, count: int = count) -> float:
            return 2 * sum(math.comb(count, place) for place in range(rank + 1)) / 2**count

        if count >= LEAST_RUNS:
            assert 1 - outside(rank) >= CONFIDENCE
        else:
            assert rank == 0 and 1 - outside(0) < CONFIDENCE
        if rank + 1 < count // 2:
            assert 1 - outside(rank + 1) < CONFIDENCE


@given(
    st.integers(1, 40), st.integers(10, 120), st.integers(1, 9000), st.integers(0, 9000), st.integers(0, 4),
    st.integers(-1, 10), st.sampled_from([512, 4096]),
)  # fmt: skip
def test_room_is_the_most_that_is_in_use_at_once(
    files: int, transactions: int, low: int, more: int, subdirectories: int, create_bias: int, block: int
) -> None:
    options = PostmarkOptions(
        low,
        low + more,
        files=files,
        transactions=transactions,
        subdirectories=subdirectories,
        create_bias=create_bias,
    )
    work = operations(options)
    sizes: dict[int, int] = {}
    folders_made = most_blocks = most_files = 0
    for kind, _, name, count, before, _ in work.rows.tolist():
        if kind in (CREATE, APPEND):
            assert sizes.get(name, 0) == before
            sizes[name] = before + count
        elif kind == DELETE:
            del sizes[name]
        folders_made += (kind == MKDIR) - (kind == RMDIR)
        blocks = sum(-(-size // block) for size in sizes.values()) + folders_made
        most_blocks = max(most_blocks, blocks)
        most_files = max(most_files, len(sizes) + folders_made)
    need = need_of(work, block)
    assert need.files == most_files + 1
    assert need.bytes == (most_blocks + 1) * block + most_files * ENTRY_BYTES


def test_a_run_s_times_are_those_of_its_processes() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    one = ProcessRun(0.5, 1.0, 3, 4, 3_000_000_000, (1, 1_000_000_000, 2_000_000_000, 3))
    two = ProcessRun(0.25, 0.5, 1, 1, 2_500_000_000, (1, 1_500_000_000, 2_500_000_000, 3))
    run = host_run(Together(0, 9_000_000_000, ()), [one, two], [100, 200], Ticks(3 * tick, tick // 2), 2)
    assert (run.makespan_s, run.user_s, run.system_s) == (3.0, 0.75, 1.5)
    assert (run.voluntary_switches, run.involuntary_switches) == (4, 5)
    assert run.steady_per_s == pytest.approx(100 + 200)
    assert run.others_share == pytest.approx((3 - 2.25) / 6) and run.stolen_share == pytest.approx(0.5 / 6)
    short = replace_end(one, 100_000_000)
    assert host_run(Together(0, 1, ()), [short], [1], Ticks(50, 50), 1).others_share is None
    apart = one._replace(marks_ns=(1, 2_600_000_000, 2_700_000_000, 3))
    assert host_run(Together(0, 1, ()), [apart, two], [1, 1], Ticks(0, 0), 1).steady_per_s is None
    untold = one._replace(end_ns=None, marks_ns=())
    told = host_run(Together(0, 4_000_000_000, ()), [untold], [1], Ticks(0, 0), 1)
    assert (told.makespan_s, told.steady_per_s, told.others_share) == (4.0, None, 0.0)


def replace_end(run: ProcessRun, end_ns: int) -> ProcessRun:
    return run._replace(end_ns=end_ns)


def test_operations_without_effect_are_no_throughput() -> None:
    plain = operations(PostmarkOptions(files=500, transactions=60))
    full = operations(
        PostmarkOptions(100, 100, files=9, transactions=60, read_bias=0)
    )  # appends to full files
    assert in_transactions(plain) == 120
    assert in_transactions(full) == 60


def runs(*seconds: float, others: float | None = 0.0, stolen: float | None = 0.0) -> list[HostRun]:
    return [HostRun(each, each, each, 0, 0, None, others, stolen) for each in seconds]


QUIET = facts.HostFacts(
    kernel="6.1", kernel_version="#1", machine="x86_64", cpu="a processor", virtual_machine=False, online=16,
    processors=tuple(range(4, 20)), cpu_quota=None, threads=(), governor="performance", mitigations={},
    memory_bytes=1 << 34, scheduling="other 0", load=0.1,
)  # fmt: skip


def test_a_curve_is_of_medians_and_a_quiet_one_has_no_doubts() -> None:
    made = {1: runs(8, 8.1, 7.9, 8, 8.2), 2: runs(4, 4.1, 4, 4.1, 3.9)}
    curve = curve_of("postmark", "native", made, None, QUIET.processors)
    assert [(p.cpus, p.processors, p.makespan_s, p.speedup) for p in curve.points] == [
        (1, (4,), 8.0, 1.0), (2, (4, 5), 4.0, 2.0),
    ]  # fmt: skip
    assert (curve.points[0].speedup_low, curve.points[0].speedup_high) == (1.0, 1.0)
    assert curve.points[1].speedup_low == pytest.approx(7.9 / 4.1)
    assert curve.points[1].speedup_high == pytest.approx(8.2 / 3.9)
    assert curve.doubts == () and host_doubts(QUIET, 2, 8, 5) == ()


@pytest.mark.parametrize(
    ("made", "kind", "text"),
    [
        ({1: runs(8, 8, 8, 8, 9.5), 2: runs(4, 4, 4, 4, 4)}, "spread", "on 1 processor the median's interval is 19% of it"),
        ({1: runs(*[0.2] * 5), 2: runs(*[0.1] * 5)}, "short", "runs of 0.10 s"),
        ({1: runs(*[8] * 5), 2: runs(*[4] * 5, others=0.3)}, "busy", "took 30% of these processors' time"),
        ({1: runs(*[8] * 5), 2: runs(*[4] * 5, stolen=0.3)}, "stolen", "the hypervisor took 30%"),
        ({1: runs(*[8] * 5), 2: runs(*[3] * 5)}, "superlinear", "2 processors are 2.67 times as fast as one"),
        ({1: runs(8, 8, 8, 8, 8.2), 2: runs(8.1, 8.1, 8.1, 8.1, 8.1)}, "undecided", "1 and 2 processors differ by less"),
    ],
)  # fmt: skip
def test_doubts_of_a_curve(made: dict[int, list[HostRun]], kind: str, text: str) -> None:
    doubts = curve_of("postmark", "native", made, None, QUIET.processors).doubts
    assert [doubt.kind for doubt in doubts] == [kind]
    assert text in doubts[0].text and doubts[0].text.endswith(".")


@pytest.mark.parametrize(
    ("change", "arguments", "kind", "text"),
    [
        ({}, (2, 8, 4), "few", "4 runs of each point"),
        ({"load": 3.0}, (2, 8, 5), "load", "3.0 at the beginning"),
        ({"cpu_quota": 1.5}, (2, 8, 5), "quota", "the time of 1.5 processors"),
        ({"threads": ((4, 5), (6, 7))}, (2, 8, 5), "threads", "Processors 4, 5 are threads of one core"),
        ({"governor": "powersave"}, (2, 8, 5), "governor", "(governor powersave)"),
        ({"online": 4}, (2, 8, 5), "small", "8 processes on a host of 4 processors"),
    ],
)  # fmt: skip
def test_doubts_of_a_host(
    change: dict[str, object], arguments: tuple[int, int, int], kind: str, text: str
) -> None:
    host = msgspec.structs.replace(QUIET, **change)
    (doubt,) = host_doubts(host, *arguments)
    assert doubt.kind == kind and text in doubt.text
    assert host_doubts(msgspec.structs.replace(QUIET, threads=((4, 9),)), 2, 8, 5) == ()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
          "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
          "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, 4.0),
        ({"proc/self/cgroup": "3:cpuset:/x\n2:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
          "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"proc/self/cgroup": "2:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_control_groups_limit_a_host(
    files: dict[str, str], quota: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, files)
    monkeypatch.setattr(facts, "PROC", tmp_path / "proc")
    monkeypatch.setattr(facts, "SYS", tmp_path / "sys")
    assert facts.cpu_quota() == quota


def test_facts_are_those_of_this_host_and_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = facts.host_facts()
    assert found.kernel == os.uname().release and found.processors == tuple(sorted(os.sched_getaffinity(0)))
    assert found.cpu and found.memory_bytes > 1 << 26
    monkeypatch.setattr(facts, "PROC", tmp_path / "proc")
    monkeypatch.setattr(facts, "SYS", tmp_path / "sys")
    bare = facts.host_facts()
    assert (bare.governor, bare.mitigations, bare.threads, bare.virtual_machine) == (None, {}, (), False)
    write(tmp_path, {f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": "0-1\n" for n in (0, 1)})
    write(tmp_path, {"proc/cpuinfo": "model name\t: A  b\nflags\t\t: fpu hypervisor\n"})
    assert facts.host_facts().cpu == "A  b" and facts.host_facts().virtual_machine
    assert facts._threads((0, 1)) == ((0, 1),) and facts._threads((1,)) == ()


def test_a_file_system_is_found_by_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    device = os.fstat(fd).st_dev
    at = f"{os.major(device)}:{os.minor(device)}"
    write(tmp_path, {"proc/self/mountinfo": (
        "22 27 0:999 / /proc rw - proc proc rw\n"
        f"25 24 {at} / /mnt/a\\040b rw,noatime shared:3 - ext2 /dev/sdb rw\n"
    )})  # fmt: skip
    monkeypatch.setattr(facts, "PROC", tmp_path / "proc")
    found = facts.file_system(fd)
    assert (found.kind, found.mounted_on, found.options, found.in_memory) == (
        "ext2",
        "/mnt/a b",
        "rw,noatime",
        False,
    )
    os.close(fd)


PERF_6_1 = """ contended   total wait     max wait     avg wait         type   caller

        13    278.18 ms     82.85 ms     21.40 ms      rwsem:W   vfs_write+0x22f
         7    229.21 ms     90.30 ms     32.74 ms      rwsem:W   vfs_write+0x22f
         4     75.30 us     42.59 us     18.83 us     spinlock   try_to_wake_up+0x42a
         1      1.50 s       1.50 s       1.50 s         mutex   __page_cache_release.part.0+0x58
=== output for debug===
bad: 12, total: 99
"""


def test_perf_s_table_is_read_and_rows_of_one_place_are_added() -> None:
    assert perf_lock.waits_in(PERF_6_1) == (
        perf_lock.LockWait("__page_cache_release.part.0+0x58", "mutex", 1, 1_500_000_000, 1_500_000_000),
        perf_lock.LockWait("vfs_write+0x22f", "rwsem:W", 20, 507_390_000, 90_300_000),
        perf_lock.LockWait("try_to_wake_up+0x42a", "spinlock", 4, 75_300, 42_590),
    )


@given(st.text())
def test_any_other_text_is_no_row(text: str) -> None:
    assert isinstance(perf_lock.waits_in(text), tuple)


def perf_that(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "perf").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "perf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Error:'; echo 'Access to performance monitoring is limited.'; exit 255",
         "perf says: Access to performance monitoring is limited."),
        ("exit 129", "perf says: nothing"),
    ],
)  # fmt: skip
def test_a_perf_that_may_not_is_told_in_one_line(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf_that(tmp_path, script, monkeypatch)
    perf = perf_lock.PerfLock()
    with folders(tmp_path, 1) as made:
        done = run_together([Program("pass")], made, frozenset(os.sched_getaffinity(0)), perf.watch)
    assert done.ended[0].code == 0
    assert (perf.why_not, perf.waits) == (why, ())


def test_without_perf_its_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    perf = perf_lock.PerfLock()
    with perf.watch([1]):
        pass
    assert perf.why_not == "no program 'perf' (apt install linux-perf)"


FIGHT = """
fd = os.open(".", os.O_RDONLY)
for k in range(3000):
    os.close(os.open("x%d" % (k % 7), os.O_RDWR | os.O_CREAT)); os.unlink("x%d" % (k % 7))
"""


@pytest.mark.slow
def test_perf_sees_what_processes_wait_for(tmp_path: Path) -> None:
    """Where perf may: processes that make and remove files in one directory wait for its lock."""
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed")
    perf = perf_lock.PerfLock()
    with folders(tmp_path, 1) as made:
        programs = [Program(FIGHT.replace("x%d", f"p{k}.%d")) for k in range(4)]
        run_together(programs, made * 4, frozenset(os.sched_getaffinity(0)), perf.watch)
    if perf.why_not is not None:
        pytest.skip(perf.why_not)
    assert len(os.sched_getaffinity(0)) == 1 or sum(wait.contended for wait in perf.waits) > 0
