"""The mutation proof: every acquisition of a port is needed or explained, and a useless lock is found out."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources

import msgspec
import pytest
from jsonschema import Draft202012Validator

from cli_tools import Command
from lockscape.experiments.choose import choose_plan
from lockscape.experiments.drawn import KINDS, further, of_kind
from lockscape.experiments.mutation import Verdict, can_do, judge
from lockscape.experiments.overlap import Overlaps
from lockscape.experiments.shown import kernel_for, row_of
from lockscape.experiments.trials import SWAPPING, Kernel, Trial, kernel_of, run_trial, trials
from lockscape.machine.execute import RunError
from lockscape.machine.faults import Detector
from lockscape.ports.mutants import Mutant
from lockscape.ports.plan import Plan, load_plan, parse_plan, plan_names
from lockscape.program import opcodes as op
from lockscape.workloads.load import Stream

PORTS = [name for name in plan_names() if name != "uniprocessor"]

CALLS = 14
"""Trials from here on are of pipes, sockets, signals, links, swapping, and files that come and go."""

SERVERS, FAMILIES, SIGNALS = (
    next(k for k, trial in enumerate(trials()) if what in trial.name)
    for what in ("2 servers", "families", "signals")
)
"""Trials of servers, of families and of signals."""

OPEN = {"linux-2.6": ["tcp_bhash_lock taken with interrupts on in new_key (hold 1)"]}
"""Mutants that are neither caught nor explained: a packet would have to come from outside in the few cycles
between queueing one for this kernel itself and looking at it, which no trial has shown."""

USELESS = """
base = "fine"
title = "fine locking with a lock that nobody needs"
[atomic]
"Kernel.processes" = "so process_lock around it keeps nobody from anything"
"""


@pytest.fixture(autouse=True)
def nothing_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In fast tests no trials are drawn: that verdicts stand in them is for the slow one to show."""
    if "slow" not in request.keywords:
        monkeypatch.setattr("lockscape.experiments.mutation.DRAWN", 0)


def mutants(plan: Plan, *functions: str) -> list[Mutant]:
    """Return the mutants of some functions, in the kernel that is judged."""
    kernel = kernel_for(msgspec.json.encode(plan, order="deterministic"))
    return [m for m in kernel.port.mutants() if m.function in functions]


def some(*numbers: int) -> list[Trial]:
    """Return trials of which each process has the first third of its calls: enough for what is judged in them."""
    return [short(trials()[n]) for n in numbers]


def short(trial: Trial) -> Trial:
    return replace(
        trial, streams=tuple(Stream(each.rows[: 1 + len(each.rows) // 3]) for each in trial.streams)
    )


def by_words(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {str(v.mutant): v for v in verdicts}


@pytest.mark.parametrize("name", PORTS)
def test_every_port_has_mutants_of_all_its_acquisitions(name: str) -> None:
    kernel = kernel_of(load_plan(name), swapping=1)  # some locks are for that only
    found = kernel.port.mutants()
    assert len(set(found)) == len(found) >= 18
    unused = {lock.name for lock in kernel.port.plan.lock} - {m.lock for m in found}
    assert unused == ({"mediator", "part_lock", "table_lock"} if name == "reimplementation-shared" else set())
    for mutant in found:
        assert kernel.port.mutated(mutant).program.functions != kernel.port.program.functions


def test_the_giant_lock_is_needed_at_system_calls_and_covers_the_kernels_own_semaphores() -> None:
    plan = load_plan("giant")
    chosen = mutants(plan, "system_call", "timer_interrupt", "new_inode", "sys_mmap")
    found = by_words(judge(plan, chosen, some(0), workers=1))
    assert found["kernel_flag not taken in system_call (hold 1)"].outcome == "caught"
    assert found["kernel_flag not taken in timer_interrupt (hold 1)"].kind == "race"
    covered = found["s_lock not taken in new_inode (hold 1)"]
    assert covered.outcome == "covered"
    assert "kernel_flag" in covered.how
    assert found["mmap_sem not taken in sys_mmap (hold 1)"].outcome == "private"


def test_a_lock_taken_as_a_reader_where_it_must_be_a_writer_is_caught() -> None:
    plan = load_plan("fine")
    chosen = [m for m in mutants(plan, "add_page") if m.change == "shared"]
    assert [v.outcome for v in judge(plan, chosen, some(1), workers=1)] == ["caught"]


@pytest.mark.parametrize(
    ("title", "function", "lock"),
    [
        ("through pipes", "write_pipe", "pipe_sem"),
        ("through pipes", "begin_wait", "wait_lock"),
        ("send signals", "add_timer", "timer_lock"),
        ("servers and", "accept_now", "sk_lock"),
        ("more memory than", "take_slot", "swap_lock"),
        ("ask for links", "missing_page", "i_sem"),
        ("crowds come", "bind", "ports_lock"),
    ],
)
def test_each_kind_of_call_has_a_trial_that_needs_its_locks(title: str, function: str, lock: str) -> None:
    plan = load_plan("fine")
    (trial,) = (each for each in trials() if title in each.name)
    left_out = Mutant(function, 0, lock, "exclusive", "removed")
    (found,) = judge(plan, [left_out], [trial], workers=1)
    assert (found.outcome, found.trial) == ("caught", trial.name)


def test_a_handler_may_come_on_top_of_a_recursive_lock_so_that_keeps_nothing_apart() -> None:
    plan = load_plan("dedicated-processor")  # whose card interrupts where there is one processor
    (trial,) = (each for each in trials() if each.cpus == 1)
    chosen = mutants(plan, "packet_arrived", "packet_sent")
    assert [v.outcome for v in judge(plan, chosen, [trial], workers=1)] == ["private"] * 2


def test_a_read_section_is_needed_where_it_reads_what_is_published() -> None:
    """Linux 2.6 begins one with every lock of System V IPC, where nothing is published in this kernel."""
    plan = load_plan("linux-2.6")
    chosen = [m for m in mutants(plan, "take", "cached") if m.mode == "rcu"]
    two = [each for each in trials() if "pairs talk" in each.name or "ask for links" in each.name]
    found = by_words(judge(plan, chosen, two, workers=1))
    idle = found["rcu not taken in take (hold 1)"]
    assert (idle.outcome, idle.how) == ("covered", "reads nothing that is published for RCU")
    assert found["rcu not taken in cached (hold 1)"].outcome == "caught"


def test_a_funnel_around_a_function_that_comes_to_nothing_itself_is_tried() -> None:
    plan = load_plan("master-slave")
    (verdict,) = judge(plan, mutants(plan, "call_body"), some(0), workers=1)
    assert (verdict.outcome, verdict.kind) == ("caught", "race")


def test_a_timer_that_is_not_set_is_noticed_where_all_sleep() -> None:
    plan = load_plan("virtualization-para")
    unset = [m for m in mutants(plan, "wake_due") if m.lock == "set_timer"]
    (trial,) = (each for each in trials() if each.sleeps)
    assert [(v.outcome, v.kind) for v in judge(plan, unset, [trial], workers=1)] == [
        ("caught", "no progress")
    ]


SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("linux-2.2", "virtualization-para")]
"""Ports of which the tests of each kind of call show the same with less."""


@pytest.mark.parametrize("name", ["linux-2.4", "reimplementation", *SLOWER])
def test_the_trials_of_calls_and_of_little_memory_find_nothing_in_a_port(name: str) -> None:
    made = kernel_of(load_plan(name), **SWAPPING)
    for trial in trials()[CALLS:]:
        assert run_trial(made, trial, Detector)[1] == "", trial.name


def test_a_mutant_is_tried_only_where_its_place_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def noted(kernel: Kernel, trial: Trial, make: Callable[..., Overlaps]) -> tuple[Overlaps, str]:
        tried.append(trial)
        return run_trial(kernel, trial, make)

    plan = load_plan("fine")
    (drop,) = [m for m in mutants(plan, "write_pipe") if m.change == "removed"]
    talks = [each for each in trials() if "pairs talk" in each.name or "through pipes" in each.name]
    monkeypatch.setattr("lockscape.experiments.mutation.run_trial", noted)
    assert judge(plan, [drop], talks, workers=1)[0].outcome == "caught"
    assert tried == [talks[1]]


def test_a_place_that_no_trial_comes_to_is_not_explained() -> None:
    plan = load_plan("coarse")
    chosen = mutants(plan, "sys_brk")
    verdicts = judge(plan, chosen, [trials()[-1]], workers=1)
    assert {v.outcome for v in verdicts} == {"never taken"}
    assert not any(v.explained for v in verdicts)


def test_drawn_trials_differ_are_the_same_each_time_and_find_nothing_in_a_port() -> None:
    drawn = [further(n) for n in range(12)]
    assert len({trial.name for trial in drawn}) == 12
    for trial, again in zip(drawn, map(further, range(12)), strict=True):
        assert (trial.name, trial.cpus, trial.files) == (again.name, again.cpus, again.files)
        for one, other in zip(trial.streams, again.streams, strict=True):
            assert one.rows.tolist() == other.rows.tolist()
    kernel = kernel_of(load_plan("linux-2.6"))
    assert [run_trial(kernel, trial, Detector)[1] for trial in drawn[:2]] == ["", ""]


def test_what_only_drawn_trials_show_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = load_plan("linux-2.6")
    chosen = [m for m in mutants(plan, "detach") if m.lock == "dcache_lock"]
    monkeypatch.setattr("lockscape.experiments.mutation.DRAWN", 2)
    monkeypatch.setattr("lockscape.experiments.mutation.further", lambda n: further(n + 4))
    (found,) = judge(plan, chosen, some(2), workers=1)  # which alone does not: see the command's test
    assert (found.outcome, found.kind) == ("caught", "race")
    assert found.trial.startswith("drawn ")


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_each_kind_of_drawn_trial_finds_nothing_in_a_port_and_differs_with_the_seed(kind: int) -> None:
    one, other = of_kind(kind, 1), of_kind(kind, 2)
    assert one.name != other.name
    assert KINDS[kind] in one.name
    trial = replace(short(one), emptied=False) if KINDS[kind] == "files" else one
    assert run_trial(kernel_of(load_plan("fine"), **SWAPPING), trial, Detector)[1] == ""


def test_what_survives_is_tried_in_all_kinds_of_trials_that_come_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lockscape.experiments.mutation.DRAWN", 1)
    monkeypatch.setattr("lockscape.experiments.mutation.LOOKS", 1)
    # the eighteenth trial of its kind shows it: begin near it
    monkeypatch.setattr("lockscape.experiments.mutation.KINDS", KINDS[: KINDS.index("visits") + 1])
    monkeypatch.setattr("lockscape.experiments.mutation.of_kind", lambda kind, seed: of_kind(kind, seed + 16))
    plan = load_plan("coarse-master")
    (chosen,) = (m for m in mutants(plan, "sys_receive") if m.change == "removed")
    (found,) = judge(plan, [chosen], [trials()[SERVERS]], workers=1)
    assert (found.outcome, found.kind) == ("caught", "broken section")
    assert found.trial.startswith("drawn visits 17")


def test_a_lock_that_only_another_run_shows_in_a_handler_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockscape.experiments.mutation.DRAWN", 1)
    monkeypatch.setattr("lockscape.experiments.mutation.KINDS", KINDS[: KINDS.index("visits") + 1])
    plan = load_plan("linux-2.4")
    (chosen,) = (m for m in mutants(plan, "loop_back") if m.change == "unmasked")
    (found,) = judge(plan, [chosen], [trials()[SERVERS]], workers=1)
    assert (found.outcome, found.kind) == ("caught", "self-deadlock")
    assert "in a run of the port as it is an interrupt handler takes loopback_xmit_lock" in found.how


def test_who_computes_for_ever_is_killed_only_if_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockscape.experiments.mutation.DRAWN", 1)
    monkeypatch.setattr("lockscape.experiments.mutation.LOOKS", 1)
    plan = load_plan("virtualization-para-one")
    (chosen,) = (m for m in mutants(plan, "interrupt_runner") if m.change == "unsent")
    (found,) = judge(plan, [chosen], [trials()[SIGNALS]], workers=1)
    assert (found.outcome, found.kind) == ("caught", "no progress")
    assert "killed" in found.trial


def test_a_trial_with_too_little_memory_is_no_fault_of_the_port() -> None:
    kernel = kernel_of(load_plan("fine"), **SWAPPING)
    scarce = replace(of_kind(KINDS.index("no memory"), 0), memory_pages=120)
    assert not can_do(kernel, scarce)
    wrong = kernel_of(parse_plan('base = "fine"\ntitle = "w"\n[[without]]\nlock = "files_lock"\n', "w"))
    with pytest.raises(RunError, match=r"w, without any change: .*race"):
        can_do(wrong, trials()[0])


def test_a_funnel_is_needless_where_its_caller_was_in_one() -> None:
    plan = load_plan("coarse-master")
    (found,) = judge(plan, mutants(plan, "read_header"), [trials()[FAMILIES]], workers=1)
    assert (found.outcome, found.how) == ("covered", "on the master already")


def test_a_swap_is_needless_on_the_one_processor_that_has_the_kernel() -> None:
    plan = choose_plan("application-kernel")
    swaps = [m for m in mutants(plan, "dput") if m.change == "plain"]
    (found,) = judge(plan, swaps, some(0), workers=1)
    assert found.outcome == "covered"
    assert "one processor" in found.how


def test_a_reason_that_is_only_computed_for_tells_nobody() -> None:
    told = {m.lock for m in mutants(load_plan("virtualization-para-one"), "set_page", "kick", "zap")}
    assert "NOTIFY" in told
    assert "PAGE_TABLE" not in told


def test_a_useless_lock_is_told() -> None:
    plan = parse_plan(USELESS, "useless")
    verdicts = judge(plan, mutants(plan, "sys_exit"), some(0), workers=1)
    assert [(v.outcome, v.how) for v in verdicts] == [("covered", "atomic, one access")] * 2
    needed = load_plan("fine")
    assert {v.outcome for v in judge(needed, mutants(needed, "sys_exit"), some(0), workers=1)} == {"caught"}


def test_a_port_that_is_wrong_itself_is_refused() -> None:
    wrong = parse_plan('base = "fine"\ntitle = "wrong"\n[[without]]\nlock = "files_lock"\n', "wrong")
    with pytest.raises(RunError, match=r"wrong, without any change: .*race on FileTable"):
        judge(wrong, mutants(wrong, "sys_exit"), some(0), workers=1)


def test_verdicts_do_not_depend_on_how_many_work() -> None:
    plan = load_plan("coarse")
    chosen = mutants(plan, "mark_buffer_dirty", "sys_exit")
    assert judge(plan, chosen, some(2), workers=1) == judge(plan, chosen, some(2), workers=2)


def test_the_command_lists_mutants_and_fails_for_an_unexplained_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(plan: Plan, **how: object) -> list[Verdict]:
        return judge(plan, mutants(plan, "sys_mmap"), some(0), workers=1)

    def of_detach(plan: Plan, **how: object) -> list[Verdict]:
        return judge(
            plan, [m for m in mutants(plan, "detach") if m.lock == "dcache_lock"], some(2), workers=1
        )

    monkeypatch.setattr("lockscape.experiments.mutation.judge", few)
    call = Command(capsys)
    good = call("port", "fine", "--mutants")
    assert good.code == 0
    assert "2 mutants: 2 private; 0 unexplained." in " ".join(good.out.split())
    monkeypatch.setattr("lockscape.experiments.mutation.judge", of_detach)
    bad = call("port", "linux-2.6", "--mutants", "--json")
    assert bad.code == 1
    assert bad.err.count("\n") == 1
    assert "dcache_lock not taken in detach (hold 1): survived: DentryCache[0].table" in bad.err
    document = json.loads(bad.out)
    assert document["mutations"][0]["unexplained"] == 1
    shipped = resources.files("lockscape.report") / "schemas" / "port.json"
    Draft202012Validator(json.loads(shipped.read_text("utf-8"))).validate(document)


def test_mutants_go_with_one_name_only(capsys: pytest.CaptureFixture[str]) -> None:
    call = Command(capsys)
    for more in ([], ["fine", "dput"], ["fine", "--effort"], ["fine", "--sources"]):
        assert "--mutants is about one system or method" in call("port", *more, "--mutants").err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PORTS)
def test_every_mutant_of_every_port_is_caught_or_equivalent(name: str) -> None:
    unexplained = [str(v.mutant) for v in judge(load_plan(name)) if not v.explained]
    assert unexplained == OPEN.get(name, [])


@pytest.mark.parametrize("name", ["lock-free", "reimplementation"])
def test_every_compare_and_swap_has_a_row(name: str) -> None:
    kernel = kernel_of(load_plan(name))
    swaps = [mutant for mutant in kernel.port.mutants() if mutant.mode == "cas"]
    assert swaps
    for mutant in swaps:
        assert kernel.binary.code[row_of(kernel, mutant)][0] == op.COMPARE_AND_SWAP
