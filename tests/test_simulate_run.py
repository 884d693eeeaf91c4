"""One simulated run: what it gives, that it adds up, and that it is the same every time."""

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from lockscape.errors import InputError
from lockscape.experiments import run as run_module
from lockscape.experiments.choose import check_plan, choose, choose_plan
from lockscape.experiments.result import RunResult, plan_digest
from lockscape.experiments.run import ConservationError, damage, load_run, run_to_end, simulate
from lockscape.experiments.sample import cost_factors, kernel_steps
from lockscape.kernel.build import OPTIONS
from lockscape.machine.costs import preset
from lockscape.machine.execute import RunError
from lockscape.ports.plan import load_plan, parse_plan, plan_names
from lockscape.systems.load import system_ids
from lockscape.workloads import fsck, postmark
from lockscape.workloads.choose import choose_workload
from lockscape.workloads.reach import reach
from lockscape.workloads.workload_file import Workload
from simulate_tools import WORK, result, spec
from stdio_calls import system_calls

PLANS = ("giant", "coarse", "fine")


@pytest.mark.parametrize("system", PLANS)
@pytest.mark.parametrize("cpus", [1, 3])
def test_a_run_adds_up(system: str, cpus: int) -> None:
    found = result(system, cpus)
    assert len(found.processors) == cpus
    assert {each.total_cycles for each in found.processors} == {found.makespan_cycles}
    assert sum(
        found.share(mode) for mode in ("user", "kernel", "interrupt", "spin", "idle")
    ) == pytest.approx(1)
    assert found.makespan_cycles == max(process.end_cycles for process in found.processes)
    assert found.makespan_s == found.makespan_cycles / 2e9
    for process in found.processes:
        assert all(early < late for early, late in pairwise((*process.marks_cycles, process.end_cycles)))
    for lock in found.locks:
        assert lock.wait_cycles >= lock.wait_max_cycles >= 0
        assert lock.hold_cycles >= 0


def test_giant_waits_only_with_company() -> None:
    alone, three = (next(k for k in result("giant", n).locks if k.lock == "kernel_flag") for n in (1, 3))
    assert (alone.contentions, alone.wait_cycles, alone.wait_mean_cycles) == (0, 0, 0.0)
    assert three.contentions > 100
    assert three.wait_mean_cycles > 0
    assert alone.acquisitions > 1000
    assert 0 < alone.hold_mean_cycles * alone.acquisitions <= result("giant", 1).makespan_cycles


def expected_calls(options: postmark.PostmarkOptions, libc: postmark.Libc) -> Counter[str]:
    made = postmark.operations(options)
    return Counter(call.name for _, call in system_calls(made, libc))


@pytest.mark.parametrize("libc", ["2005", "modern"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size_low_bytes": 100, "size_high_bytes": 12_000, "subdirectories": 3},
        {"size_high_bytes": 9000, "buffered": False, "read_block_bytes": 1000},
    ],
    ids=["paper", "sizes", "unbuffered"],
)
def test_the_calls_are_those_of_the_c_library(libc: postmark.Libc, changes: dict[str, int]) -> None:
    work = msgspec.structs.replace(WORK, **changes)
    found = simulate(spec("giant", 2, processes=2, postmark=work, libc=libc, seeding="same"))
    made = {each.call: each.count for each in found.calls if each.call != "time"}
    assert made == {call: 2 * count for call, count in expected_calls(work, libc).items()}


def test_twice_the_same_and_every_input_matters() -> None:
    base = result("fine", 3)
    assert simulate(spec("fine", 3)) == base
    changed = {
        "machine": spec("fine", 3, machine="modern"),
        "libc": spec("fine", 3, libc="modern"),
        "seeding": spec("fine", 3, seeding="same"),
        "sample": spec("fine", 3, cost_sample=7, cost_factors=cost_factors(7, "pentium4")),
        "work": spec("fine", 3, postmark=msgspec.structs.replace(WORK, seed=43)),
    }
    makespans = {name: simulate(each).makespan_cycles for name, each in changed.items()}
    assert base.makespan_cycles not in makespans.values()
    assert len(set(makespans.values())) == len(makespans)


def test_plain_python_gives_the_same_bits() -> None:
    code = """
import sys; sys.path.insert(0, sys.argv[1])
import msgspec
from simulate_tools import spec
from lockscape.experiments.run import simulate
from lockscape.workloads.postmark import PostmarkOptions
work = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=8, transactions=10)
print(msgspec.json.encode(simulate(spec("fine", 2, processes=2, postmark=work))).decode())
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True,
            env={**os.environ, "NUMBA_DISABLE_JIT": flag}, timeout=100,
        ).stdout
        for flag in ("0", "1")
    ]  # fmt: skip
    assert outputs[0] == outputs[1]
    assert msgspec.json.decode(outputs[0], type=RunResult).processes[0].transactions == 10


def test_throughput_is_measured_while_all_are_in_their_transactions() -> None:
    long = msgspec.structs.replace(WORK, transactions=600)
    found = simulate(spec("fine", 3, postmark=long))
    assert found.steady is not None
    assert found.steady.begin_cycles >= max(p.marks_cycles[1] for p in found.processes)
    assert (
        found.steady.end_cycles
        <= min(p.marks_cycles[2] for p in found.processes) + found.steady.resolution_cycles
    )
    seconds = (found.steady.end_cycles - found.steady.begin_cycles) / 2e9
    assert found.steady_per_s == pytest.approx(found.steady.operations / seconds)
    mean = 3 * 2 * 600 / (max(p.marks_cycles[2] - p.marks_cycles[1] for p in found.processes) / 2e9)
    assert found.steady_per_s == pytest.approx(mean, rel=0.25)


def test_no_throughput_when_processes_follow_each_other() -> None:
    assert result("giant", 1).steady is None  # each is done within its time slice
    assert result("giant", 1).steady_per_s is None


def test_progress_runs_from_nothing_to_all() -> None:
    seen: list[float] = []
    simulate(spec("giant", 1, postmark=msgspec.structs.replace(WORK, transactions=500)), seen.append)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] <= 1


# --- what must be noticed -----------------------------------------------------------------------------------


def ended(system: str = "giant", cpus: int = 1):  # type: ignore[no-untyped-def]
    loaded = load_run(spec(system, cpus))
    run_to_end(loaded)
    return loaded


def damages(**places: str) -> list:  # type: ignore[type-arg]
    return [pytest.param(name, words, id=name) for name, words in places.items()]


@pytest.mark.parametrize(
    ("what", "words"),
    damages(
        blocks="free blocks", inodes="free inodes", bit="bits without an owner", links="links", entry="there is no inode",
        count="references", name="names are left", page="pages", lock="is held", leak="nothing refers to them",
        freed="freed objects", descriptor="descriptors", reserved="still reserved",
    ),
)  # fmt: skip
def test_fsck_sees_every_kind_of_damage(what: str, words: str) -> None:
    loaded = ended()
    assert damage(loaded) == []
    state = loaded.machine.state
    process = loaded.machine.processes[0]
    home = state.get(process, "directory")
    sb, group = state.system("SuperBlock"), state.system("BlockGroup")
    if what in ("blocks", "inodes"):
        state.set(sb, **{f"free_{what}": state.get(sb, f"free_{what}") + 1})
    elif what == "bit":
        state.insert(group, "block_map", 500, 1)
    elif what == "links":
        state.set(home, nlink=7)
    elif what in ("entry", "name"):
        state.insert(home, "entries", 5, 99 if what == "entry" else state.get(home, "number"))
    elif what == "count":
        state.set(home, count=4)
    elif what == "page":
        state.set(state.system("Zone"), free=3)
    elif what == "lock":
        kernel = state.system("Kernel")
        state.m[kernel + state.class_of(kernel).locks["kernel_flag"]] = 12345
    elif what == "leak":
        state.new("Inode")
    elif what == "freed":
        state.m[home + 1] += 1
    elif what == "descriptor":
        state.insert(state.get(process, "files"), "used", 3, 1)
    elif what == "reserved":
        state.set(home, reserved=2)
    live = reach(state, loaded.machine.processes)
    found = [*fsck.held(live), *fsck.problems(live, loaded.machine.processes)]
    assert any(words in each for each in found), found


def test_a_plan_without_locks_is_caught() -> None:
    bare = msgspec.structs.replace(
        spec("fine", 4, processes=4), plan=load_plan("uniprocessor"), system="mine"
    )
    with pytest.raises((ConservationError, RunError)) as error:
        simulate(bare)
    assert "mine on 4 processors" in str(error.value)


DEADLOCK = """
title = "Takes a lock that it has"
method = "giant"
[[lock]]
name = "one"
object = "Kernel"
kind = "spinlock"
[[rule]]
at = "body sys_open"
lock = "one"
[[rule]]
at = "section new_descriptor/reserve"
lock = "one"
"""


def test_locks_in_a_cycle_are_refused() -> None:
    plan = parse_plan(DEADLOCK, "mine")
    with pytest.raises(InputError, match="its locks are taken in a cycle: one while holding one"):
        simulate(msgspec.structs.replace(spec("giant", 2), plan=plan, system="mine"))


def test_a_deadlock_ends_with_who_waits_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "check_order", lambda port: None)
    plan = msgspec.structs.replace(parse_plan(DEADLOCK, "mine"), title="unchecked")
    with pytest.raises(RunError, match=r"mine on 2 processors cannot go on: .*one") as error:
        simulate(msgspec.structs.replace(spec("giant", 2), plan=plan, system="mine"))
    assert "\n" not in str(error.value)


def test_all_may_wait_for_a_disk_as_long_as_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "PATIENCE_S", 0.5)
    plan = load_plan("giant")
    slow = msgspec.structs.replace(plan, options=plan.options | {"disk_cycles": 2_000_000_000})
    mail = choose_workload("mailsync")
    assert isinstance(mail, Workload)
    work = mail.changed(operations=2, processes=2)
    found = simulate(msgspec.structs.replace(spec("giant", 2, processes=2, workload=work), plan=slow))
    assert found.makespan_cycles > 2 * 2_000_000_000  # each request takes a second


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpus": 0}, "0 processors: from 1 to 1024"),
        ({"cpus": 1025}, "1025 processors"),
        ({"processes": 0}, "0 processes: from 1"),
        ({"processes": 4096, "postmark": postmark.PostmarkOptions(transactions=100_000)}, "give fewer"),
    ],
)
def test_impossible_runs_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        msgspec.structs.replace(spec(), **changes)


# --- costs and plans ----------------------------------------------------------------------------------------


def test_samples_stay_in_their_ranges_and_differ() -> None:
    stated = {step.name: (step.low, step.instructions, step.high) for step in kernel_steps().values()}
    stated |= {cost.name: (cost.low, cost.cycles, cost.high) for cost in preset("pentium4").cost}
    samples = [cost_factors(number, "pentium4") for number in range(1, 60)]
    for factors in samples:
        for name, factor in factors.items():
            low, middle, high = stated[name]
            assert min(low, middle) <= round(factor * middle) <= max(high, middle), name
    drawn = [factors["syscall_entry"] for factors in samples]
    assert len(set(drawn)) > 10
    assert 15 < sum(factor < 1 for factor in drawn) < 45
    kept = cost_factors(3, "pentium4")
    changed = cost_factors(3, "pentium4")
    changed |= {"syscall_entry": 10.0}
    assert cost_factors(3, "pentium4") == kept, "what a caller does to its own is not seen by others"
    assert cost_factors(0, "pentium4") == {}
    with pytest.raises(InputError, match="from 0"):
        cost_factors(-1, "pentium4")


def test_a_plan_is_chosen_by_name_or_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert choose_plan("Coarse Funnel") == load_plan("coarse-funnel")
    (tmp_path / "mine.toml").write_text(DEADLOCK)
    assert plan_digest(choose_plan(str(tmp_path / "mine.toml"))) == plan_digest(parse_plan(DEADLOCK, "x"))
    assert choose("uniprocessor").most_processors == 1
    with pytest.raises(InputError, match="did you mean giant"):
        choose_plan("gaint")
    with pytest.raises(InputError, match="cannot be read"):
        choose_plan(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[options]\nhz = 0", "build option hz = 0: give a number from 1"),
        ("[options]\ndentry_cache = -1", "dentry_cache = -1: give a number from 0"),
        ("[options]\ndentry_cash = 1", "did you mean dentry_cache"),
        ("[costs]\nschedule = -5", "schedule = -5 instructions"),
        ("[costs]\nscedule = 5", "unknown cost 'scedule': did you mean schedule"),
        ('new_code = ["os"]', "unknown module of new code 'os'"),
    ],
)
def test_impossible_plans_are_refused(text: str, words: str) -> None:
    lines = (
        [text, 'title = "t"\nmethod = "giant"']
        if not text.startswith("[")
        else ['title = "t"\nmethod = "giant"', text]
    )
    with pytest.raises(InputError, match=words):
        check_plan(parse_plan("\n".join(lines), "mine"), "mine")


def test_every_option_of_a_plan_of_ours_is_possible() -> None:
    assert OPTIONS["hz"] > 1
    for name in {*plan_names()} - {*system_ids()}:  # a system's name is that of the system
        assert choose_plan(name) == load_plan(name)
    for name in system_ids():
        check_plan(choose_plan(name), name)


def test_results_are_plain_data() -> None:
    found = result("giant", 3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=RunResult) == found
    assert json.loads(msgspec.json.encode(found))["makespan_cycles"] == found.makespan_cycles


def test_interrupts_wait_for_the_giant_lock() -> None:
    work = postmark.PostmarkOptions(files=50, transactions=500)  # long enough for ticks
    found = {}
    for system in ("giant", "fine"):
        events = {each.event: each for each in simulate(spec(system, 3, postmark=work)).events}
        begun, done = events["timer_interrupt begins"], events["timer_interrupt done"]
        assert 0 < done.count <= begun.count
        assert begun.mean_cycles < done.mean_cycles <= done.max_cycles
        found[system] = done.mean_cycles
    assert found["fine"] > preset("pentium4").clock_mhz  # the handler alone takes more than a microsecond
    assert found["giant"] > 3 * found["fine"]


def test_a_process_that_is_woken_runs_some_time_later() -> None:
    shared = msgspec.structs.replace(spec("fine", 2), plan=load_plan("application-kernel"))
    found = {each.event: each for each in simulate(shared).events}
    assert found["process runs"].count > 100
    assert found["process runs"].mean_cycles > 0
    assert {"call_forwarded begins", "thread_tick done"} <= found.keys()
