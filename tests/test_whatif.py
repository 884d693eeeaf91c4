"""What if: changes of a lock, which of its places belong together, what is safe, what is said."""

import msgspec
import pytest

from cli_tools import Command
from lockscape.errors import InputError
from lockscape.experiments import whatif as experiment
from lockscape.experiments.lock_sites import Touch, Touches, halves, shared_parts
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.experiments.whatif import Change, WhatIf, fault_of, whatif
from lockscape.ports.changed_locks import freed, lock_classes, per_instance, rules_of_holds, sites, split
from lockscape.ports.mutants import holds
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.report.whatif import advice
from lockscape.workloads.postmark import PostmarkOptions

FAMILIES = 2
"""Number (of `QUICK`) of a trial that takes a second: processes that make others."""


def small(system: str, cpus: int = 4) -> RunSpec:
    options = PostmarkOptions(files=20, transactions=40)
    return RunSpec(system, load_plan(system), cpus, cpus, options)


# --- changes of a plan ------------------------------------------------------------------------------------


def test_a_split_takes_its_rules_along_and_is_let_go_with_the_first_half() -> None:
    plan = load_plan("coarse")
    second = sites(plan, "fs_lock")[:2]
    made = split(plan, "fs_lock", second)
    assert [made.rule[k].lock for k in second] == ["fs_lock_2"] * 2
    # the last to be let go is the first to be taken back
    let_go = [(rule.lock, rule.at) for rule in made.rule if rule.mode == "drop" and "fs_lock" in rule.lock]
    assert let_go == [("fs_lock_2", "body schedule"), ("fs_lock", "body schedule")]
    assert len(sites(made, "fs_lock")) + 2 == len(sites(plan, "fs_lock"))
    assert lock_classes(made)["fs_lock_2"].recursive


def test_the_page_cache_lock_of_2_4_becomes_one_for_each_inode_as_in_2_6() -> None:
    made = per_instance(port(load_plan("linux-2.4")), "pagecache_lock")
    assert list(made) == ["Inode"]
    rules = [rule for rule in made["Inode"].rule if rule.lock == "pagecache_lock"]
    assert {rule.of for rule in rules} == {"inode"}
    assert lock_classes(made["Inode"])["pagecache_lock"].object == "Inode"
    assert port(made["Inode"]).program.layouts["Inode"].locks["pagecache_lock"]


@pytest.mark.parametrize(
    ("system", "lock", "why"),
    [
        ("giant", "kernel_flag", "is let go at"),
        ("linux-2.4", "slab_lock", "is one for each Slab already"),
        ("linux-2.4", "zone_lock", "names no object that has instances"),
    ],
)
def test_why_a_lock_cannot_be_one_for_each_instance(system: str, lock: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        per_instance(port(load_plan(system)), lock)


def test_every_rule_that_holds_a_lock_is_found_in_the_port() -> None:
    built = port(load_plan("linux-2.4"))
    found = rules_of_holds(built)
    for (function, ordinal), number in found.items():
        hold = holds(built.ported[function].body)[ordinal]
        assert hold.lock == built.plan.rule[number].lock
        assert hold.mode == built.plan.rule[number].mode
    own = {k for k, rule in enumerate(built.plan.rule) if rule.lock and rule.mode in ("exclusive", "shared")}
    assert own == {number for number in found.values() if number in own}


# --- which places belong together -------------------------------------------------------------------------


def test_places_share_data_that_one_writes_and_no_other_lock_protects() -> None:
    none, other = frozenset[str](), frozenset({"other"})
    shown = Touches({}, {
        (1, (7, 4)): Touch(True, none), (2, (7, 4)): Touch(False, none),  # 1 writes what 2 reads
        (2, (7, 5)): Touch(False, none), (3, (7, 5)): Touch(False, none),  # only read
        (3, (8, 4)): Touch(True, other), (4, (8, 4)): Touch(True, other),  # under another lock, both
        (1, (9, 4)): Touch(True, none), (9, (9, 4)): Touch(True, none),  # 9 is of another lock
    })  # fmt: skip
    assert shared_parts(shown, [1, 2, 3, 4]) == {(1, 2): 1}


def test_halves_keep_together_what_shares_data_and_are_held_equally_long() -> None:
    held = {1: 10, 2: 50, 3: 20, 4: 30, 5: 5}
    assert halves([1, 2, 3, 4, 5], {(1, 2): 3, (3, 4): 1}, held) == ({3, 4, 5}, True)


def test_one_piece_is_cut_where_it_shares_least() -> None:
    shared = {(1, 2): 5, (2, 3): 5, (1, 3): 5, (3, 4): 1, (4, 5): 5, (5, 6): 5, (4, 6): 5}
    assert halves(range(1, 7), shared, dict.fromkeys(range(1, 7), 1)) == ({4, 5, 6}, False)


def test_what_is_held_at_one_place_cannot_be_split() -> None:
    assert halves([1], {}, {1: 5}) == (frozenset(), False)
    assert halves([1, 2], {}, {1: 5}) == (frozenset(), False)


# --- runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "lock", "least"), [("giant", "kernel_flag", 1.5), ("coarse", "fs_lock", 1.2)]
)
def test_a_giant_lock_that_costs_nothing_keeps_nobody_waiting(system: str, lock: str, least: float) -> None:
    """The file system comes out whole (`simulate` looks), every cycle is accounted for, and it is faster."""
    spec = small(system)
    held = simulate(spec)
    free = simulate(msgspec.structs.replace(spec, plan=freed(spec.plan, lock)))
    waits = [next(k.wait_cycles for k in run.locks if k.lock == lock) for run in (held, free)]
    assert waits[1] < waits[0] / 100
    assert held.makespan_cycles > least * free.makespan_cycles


def test_a_split_through_data_that_places_share_is_found_out() -> None:
    plan = load_plan("coarse")
    second = [k for k in sites(plan, "memory_lock") if plan.rule[k].at == "section slab_take/take"]
    assert fault_of((plan, [FAMILIES])) == ""
    assert "slab_" in fault_of((split(plan, "memory_lock", second), [FAMILIES]))


def test_locks_in_a_cycle_are_refused_before_they_run() -> None:
    plan = load_plan("coarse")
    second = [k for k in sites(plan, "fs_lock") if plan.rule[k].at in ("body share_file", "body sys_close")]
    assert "taken in a cycle" in fault_of((split(plan, "fs_lock", second, first_last=True), [FAMILIES]))


def test_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "QUICK", (experiment.QUICK[FAMILIES],))
    found = whatif(small("giant"), tried=1, workers=1)
    assert [lock.lock for lock in found.locks] == ["kernel_flag"]
    kinds = {c.kind: c for c in found.changes}
    assert set(kinds) == {"free", "split", "instance"}
    bound = kinds["free"]
    assert bound.verdict == "bound" and bound.gain is not None and bound.gain > 1.5
    assert bound.gain == found.makespan_cycles / (bound.makespan_cycles or 0)
    assert all((c.gain is None) == (c.verdict in ("unsafe", "none")) for c in found.changes)
    assert all(c.why for c in found.changes if c.verdict in ("unsafe", "none"))


# --- what is said -----------------------------------------------------------------------------------------


def told(*changes: Change) -> str:
    return advice(WhatIf(small("coarse"), 100, 2000, (), changes))


def test_advice_names_the_best_safe_change_and_the_lock_that_stops_most() -> None:
    bound = Change("a", "free", "costs nothing", "bound", gain=3.0)
    safe = Change("b", "instance", "one for each Inode", "safe", gain=1.5)
    unsafe = Change("a", "split", "split in two (no data in common)", "unsafe", why="race at f")
    assert told(bound, safe, unsafe) == (
        "Next: b, one for each Inode: 1.50 times as fast. a stops most: if it cost nothing, the run would be 3.00 "
        "times as fast; split in two it is unsafe (race at f): take that out of it first."
    )
    assert told() == "No lock keeps this run waiting enough to be worth a change."
    assert told(bound).startswith("No change of one lock that was tried here is safe and gains something.")


def test_an_unknown_system_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = Command(capsys)("whatif", "linux-2.5")
    assert code == 1 and "linux-2.4" in err
