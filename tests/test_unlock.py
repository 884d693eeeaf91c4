"""The path from a giant lock to a fine-grained kernel: merged locks, both ends, and the greedy walk."""

import io
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field
from functools import cache

import msgspec
import pytest

from cli_tools import Command
from lockscape.cli.main import run
from lockscape.errors import InputError
from lockscape.experiments import releases as releasing
from lockscape.experiments import unlock as unlocking
from lockscape.experiments.curve import run_all
from lockscape.experiments.releases import kernel_port
from lockscape.experiments.result import RunSpec
from lockscape.experiments.trials import kernel_of, run_trial, trials
from lockscape.experiments.unlock import Setting, _Walk
from lockscape.experiments.unlock_ends import Ends, ends
from lockscape.machine.faults import Detector
from lockscape.ports.effort import NO_CHANGE, Effort, added_sites, both, difference, effort
from lockscape.ports.lockorder import check_order
from lockscape.ports.plan import Plan, load_plan
from lockscape.report.records import recorded_unlock
from lockscape.report.unlock import UnlockDocument, print_unlock, unlock_csv
from test_schemas import check

TARGETS = ("linux-2.0", "giant", "fine", "linux-2.6")


@cache
def path(system: str) -> Ends:
    return ends(system)


@pytest.fixture
def lockscape(capsys):
    return Command(capsys)


# --- both ends --------------------------------------------------------------------------------------------


def test_the_ends_are_one_kernel():
    one = path("linux-2.0")
    assert one.start == load_plan("linux-2.0") and "dcache_lock" in one.dead
    assert path("linux-2.6").fine == load_plan("linux-2.6")
    assert {r.lock for r in path("linux-2.6").start.rule} == {"kernel_flag"}
    assert set(path("linux-2.6").parts) >= {"rcu", "dcache_lock"}


@pytest.mark.parametrize(
    ("system", "target", "message"),
    [
        ("linux-2.2", None, "linux-2.2: no fine-grained kernel to go to is known: write a plan with base"),
        ("cells", None, "cells: 'Cells.*' brings code of its own"),
        ("uniprocessor", None, "no fine-grained kernel"),
        (
            "linux-2.0",
            "fine",
            "is another kernel, with dentry_cache = 1 instead of 0: write a plan with base",
        ),
        ("linux-2.4", "linux-2.4", "is not fine-grained: "),
        ("linux-2.0", "linux-3", "unknown system or method 'linux-3'"),
    ],
)
def test_paths_without_an_end_are_refused(system, target, message):
    with pytest.raises(InputError, match=message) as caught:
        ends(system, target)
    assert "\n" not in str(caught.value)


SHORT_TRIALS = ("3 families", "2 servers", "processes send signals")


@pytest.mark.parametrize("system", ["linux-2.0", pytest.param("giant", marks=pytest.mark.slow)])
@pytest.mark.parametrize("split", [0, None])
def test_known_ends_are_clean_also_with_one_lock_for_all(system, split):
    one = path(system)
    kernel = kernel_of(one.between(one.parts[:split]), swapping=1)
    check_order(kernel.port)
    chosen = [trial for trial in trials() if trial.name.startswith(SHORT_TRIALS)]
    assert len(chosen) == len(SHORT_TRIALS)
    assert [run_trial(kernel, trial, Detector)[1] for trial in chosen] == [""] * len(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("system", TARGETS)
def test_both_ends_are_clean_in_every_trial(system):
    one = path(system)
    for plan in (one.start, one.between(()), one.fine):
        kernel = kernel_of(plan, swapping=1)
        for trial in trials():
            assert run_trial(kernel, trial, Detector)[1] == "", trial.name


# --- the walk ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lock:
    lock: str
    acquisitions: int
    hold_cycles: int


@dataclass(frozen=True)
class Made:
    """What the walk needs of a run."""

    makespan_s: float
    locks: tuple[Lock, ...]
    makespan_cycles: int = 1000

    def share(self, mode):
        return 0.25


@dataclass(frozen=True)
class Told(Setting):
    """Runs whose makespans are told: 1 less what the locks that are out gain together."""

    gains: dict[frozenset[str], float] = field(default_factory=dict)
    wanted: list[frozenset[str]] = field(default_factory=list)

    def run(self, specs):
        return [self.made(spec) for spec in specs]

    def made(self, spec):
        out = {rule.lock or rule.mode for rule in spec.plan.rule}
        self.wanted.append(frozenset(out))
        gained = sum(gain for locks, gain in self.gains.items() if locks <= out)
        locks = tuple(Lock(lock, 1, 1000 - k) for k, lock in enumerate(USED) if lock in out)
        return Made(1.0 if spec.cpus == 1 else 1.0 - gained, locks)


USED = ("queue_lock", "inode_lock", "lru_list_lock", "tree_lock", "pages_lock", "sb_lock")


def told(gains, most=None, wide=8):
    one = path("linux-2.0")
    spec = RunSpec("linux-2.0", one.start, 8)
    return Told(spec, most, wide, 1, None, 1, nullcontext, gains={frozenset(k): g for k, g in gains.items()})


@pytest.fixture
def effort_told(monkeypatch):
    """Count no effort, and read the order of locks once."""
    nothing = Effort("", "", {}, {}, NO_CHANGE, 0, ())
    monkeypatch.setattr(unlocking, "effort", lambda pair: nothing)
    monkeypatch.setattr(unlocking, "both", lambda built: None)
    monkeypatch.setattr(unlocking, "difference", lambda before, after: NO_CHANGE)
    monkeypatch.setattr(unlocking, "kernel_port", lambda plan: _built(msgspec.json.encode(plan)))


@cache
def _built(key):
    return kernel_port(msgspec.json.decode(key, type=Plan))


def walked(setting, faults=lambda plan: ""):
    walk = _Walk(path("linux-2.0"), setting)
    walk.fault = faults
    return walk.walk()


@pytest.mark.usefixtures("effort_told")
def test_the_best_lock_leaves_first_and_what_gains_nothing_leaves_together():
    found = walked(told({("queue_lock",): 0.1, ("inode_lock",): 0.3, ("sb_lock",): 0.2985}))
    assert [(step.kind, step.locks) for step in found.steps[:5]] == [
        ("giant", ()), ("sections", ()), ("lock", ("inode_lock",)), ("lock", ("sb_lock",)),
        ("lock", ("queue_lock",)),
    ]  # fmt: skip
    rest = found.steps[5]
    assert rest.kind == "rest" and found.steps[5:] == (rest,) and found.left == ()
    out = [lock for step in found.steps for lock in step.locks]
    assert sorted(out) == sorted(path("linux-2.0").parts)
    assert found.steps[2].close == (("sb_lock",),) and found.steps[3].close == ()
    assert set(found.unused) == set(path("linux-2.0").parts) - set(USED)
    tried = {each.locks: each.makespan_s for each in found.steps[2].tried}
    assert tried["queue_lock",] == pytest.approx(0.9) and tried["inode_lock",] == pytest.approx(0.7)


@pytest.mark.usefixtures("effort_told")
def test_a_lock_that_cannot_be_out_alone_takes_along_what_is_taken_under_it():
    found = walked(told({("lru_list_lock",): 0.3}))
    first = found.steps[2]
    assert first.locks == ("lru_list_lock", "disk_lock")
    check_order(kernel_port(path("linux-2.0").between(first.locks)))
    with pytest.raises(InputError, match="lru_list_lock while holding kernel_flag in forget_buffer"):
        check_order(kernel_port(path("linux-2.0").between(["lru_list_lock"])))


def test_the_order_read_from_the_fine_grained_kernel_is_that_of_the_merged_one():
    walk = _Walk(path("linux-2.0"), told({}))
    for lock in ("lru_list_lock", "tree_lock", "hash_lock", "queue_lock", "clock_lock"):
        try:
            check_order(kernel_port(walk.path.between([lock])))
            real = ""
        except InputError as error:
            real = str(error)
        assert bool(walk.order({lock})) == bool(real), lock


@pytest.mark.usefixtures("effort_told")
def test_two_locks_that_gain_only_together_are_found():
    found = walked(told({("tree_lock", "pages_lock"): 0.3}))
    assert (found.steps[2].kind, set(found.steps[2].locks)) == ("pair", {"tree_lock", "pages_lock"})


@pytest.mark.usefixtures("effort_told")
def test_a_plateau_is_crossed_and_told():
    found = walked(told({("queue_lock", "sb_lock", "inode_lock"): 0.3, ("sb_lock",): 0.004}))
    assert [step.kind for step in found.steps[2:4]] == ["plateau", "plateau"]
    assert found.steps[2].locks == ("sb_lock",)
    assert found.steps[-2].makespan_s < 0.71 and found.steps[-1].kind == "rest"


@pytest.mark.usefixtures("effort_told")
def test_a_state_with_a_fault_does_not_enter_the_path():
    def faults(plan):
        own = {rule.lock for rule in plan.rule}
        return "race: told" if "inode_lock" in own and "queue_lock" not in own else ""

    found = walked(told({("queue_lock",): 0.1, ("inode_lock",): 0.3}), faults)
    assert [step.locks for step in found.steps[2:4]] == [("queue_lock",), ("inode_lock",)]
    (wrong,) = (each for each in found.steps[2].tried if each.fault)
    assert (wrong.locks, wrong.fault) == (("inode_lock",), "race: told")


@pytest.mark.usefixtures("effort_told")
def test_a_path_whose_end_is_faulty_is_refused():
    merged_all = path("linux-2.0").between(())
    with pytest.raises(
        InputError, match=r"The kernel of Linux 2.0, .*, one lock around all is faulty itself: a race"
    ):
        walked(told({}), lambda plan: "a race" if plan == merged_all else "")


@pytest.mark.usefixtures("effort_told")
def test_few_are_tried_at_once_but_all_before_it_is_said_that_none_gains():
    setting = told({("sb_lock",): 0.3}, most=1, wide=2)
    found = walked(setting)
    assert found.steps[2].locks == ("sb_lock",) and len(found.steps[2].tried) == len(USED)
    assert len(found.steps) == 3 and "queue_lock" in found.left
    setting = told({("queue_lock",): 0.3}, most=1, wide=2)
    assert len(walked(setting).steps[2].tried) == 2


# --- a real one, and what is printed ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """What the command prints of a path of two processors and one lock, really run; its trials are short."""
    short = tuple(trial for trial in trials() if trial.name.startswith("3 families"))
    size = ("--transactions", "20", "--number", "10", "--processes", "2", "--cpus", "2", "--jobs", "1")
    how = ("--steps", "1", "--wide", "1", "--trials", "1", "--resume", str(tmp_path_factory.mktemp("runs")))
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(unlocking, "trials", lambda: short)
        patch.setattr(releasing, "RELEASES", ("linux-2.4",))
        with pytest.raises(SystemExit) as stop:
            run(["unlock", "linux-2.0", *size, *how, "--json"])
    assert not stop.value.code
    check("unlock", out.getvalue())
    return msgspec.json.decode(out.getvalue(), type=UnlockDocument)


def test_a_small_path_is_run_for_real(document):
    found = document.path
    giant, sections, first = found.steps
    assert [step.kind for step in found.steps] == ["giant", "sections", "lock"]
    assert giant.giant_share > 0 < sections.giant_share and giant.makespan_s < giant.alone_s * 1.5
    assert giant.added < sections.added <= first.added and giant.edited == giant.lines < sections.edited
    assert 0 < first.edited < sections.edited
    assert first.makespan_s == min(each.makespan_s for each in first.tried)
    assert len(found.left) == len(path("linux-2.0").parts) - 1 and "sock_lock" in found.unused
    assert [each.name for each in document.linux] == ["linux-2.4"]
    assert all(each.makespan_s > 0 and each.lines > 100 for each in document.linux)


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["postmark", "kernelbuild"])
def test_recorded_paths_give_the_same_bits_again(workload):
    found = recorded_unlock(workload)
    work, one, split, specs = found.workload, path(found.path.system), list[str](), list[RunSpec]()
    for step in found.path.steps:
        split += step.locks
        plan = one.between(split) if step.number else one.start
        specs += [
            RunSpec("", plan, cpus, work.processes, work.postmark, workload=work.mixed)
            for cpus in (found.path.cpus, 1)
        ]
    made = [point.result.makespan_s for point in run_all(specs)]
    assert made == [each for step in found.path.steps for each in (step.makespan_s, step.alone_s)]
    built = [kernel_port(spec.plan) for spec in specs[::2]]
    counted = [effort(both(each)) for each in built]
    edited = [counted[0].change, *map(difference, built, built[1:])]
    assert [
        (each.sites, added_sites(each), each.change.changed, change.changed)
        for each, change in zip(counted, edited, strict=True)
    ] == [(step.sites, step.added, step.lines, step.edited) for step in found.path.steps]


def test_the_csv_has_a_row_for_each_step(document):
    assert document.steps[0].speedup_alone == 1.0
    edited = [step.state.edited for step in document.steps]
    assert [step.edited for step in document.steps] == [sum(edited[: k + 1]) for k in range(3)]
    table = unlock_csv(document)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["kind"] for row in rows] == ["giant", "sections", "lock"]
    assert rows[2]["locks"] == document.path.steps[2].locks[0]
    assert (rows[2]["own_lock_in"], rows[2]["off_big_lock_in"]) == ("2.4", "-")


def test_people_see_the_path_its_effort_and_linux(document):
    out = io.StringIO()
    print_unlock(document, out)
    text = out.getvalue()
    for words in (
        "the giant lock, from entry to exit",
        "left: the other",
        "What Linux did with the same data",
        "Linux 2.4",
        "The fault detector finds nothing",
        "lines edited so far",
    ):
        assert words in text, words
    assert "-       -" not in text


def test_the_command_refuses_in_one_line(lockscape):
    done = lockscape("unlock", "linux-2.2")
    assert done.code == 1 and done.err.count("\n") == 1 and "name it with --to" in done.err
    assert lockscape("unlock", "linux-2.0", "--cpus", "1").code == 2
    wrong = lockscape("unlock", "linux-2.0", "--workload", "kernelbuild", "--number", "3")
    assert wrong.code == 2 and "--number is PostMark's" in wrong.err
