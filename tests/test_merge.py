"""One lock in place of several, which locks are held where, and what Linux did with the same data."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.experiments.releases import RELEASES, all_placed, kernel_port, placed
from lockscape.experiments.unlock_ends import ends
from lockscape.ports.effort import difference
from lockscape.ports.held import held_in_sections
from lockscape.ports.merge import merged, parts
from lockscape.ports.plan import load_plan, parse_plan

TARGETS = ("linux-2.0", "giant", "fine", "linux-2.6")
path = cache(ends)


# --- merged locks -----------------------------------------------------------------------------------------


@given(st.sampled_from(TARGETS), st.data())
@settings(deadline=None, max_examples=60)
def test_merging_changes_locks_and_nothing_else(system, data):
    one = path(system)
    every = parts(one.fine)
    split = data.draw(st.sets(st.sampled_from(every)))
    plan = merged(one.fine, split, one.giant)
    assert {r.at for r in plan.rule} == {r.at for r in one.fine.rule}
    sleeping = {k.name for k in one.fine.lock if k.sleeps}
    others = {r.lock or r.mode for r in plan.rule} - sleeping - {"barrier"} - split
    assert others == ({one.giant.name} if len(split) < len(every) else set())
    giant = [r for r in plan.rule if r.lock == one.giant.name]
    assert len({r.at for r in giant}) == len(giant)
    assert all(r.mode == "exclusive" and r.of == "" for r in giant)
    kept = [r for r in one.fine.rule if (r.lock or r.mode) in split | sleeping | {"barrier"}]
    assert [r for r in plan.rule if r not in giant] == kept
    if giant:
        (lock,) = (k for k in plan.lock if k.name == one.giant.name)
        gone = {k for k in one.fine.lock if k.name in every and k.name not in split}
        assert lock.recursive and lock.masks == any(k.masks for k in gone)
    assert (plan.options, plan.atomic, plan.covered) == (one.fine.options, one.fine.atomic, one.fine.covered)


@pytest.mark.parametrize("system", TARGETS)
def test_with_every_lock_on_its_own_a_plan_is_itself(system):
    one = path(system)
    assert one.between(one.parts) == one.fine
    assert merged(one.fine, parts(one.fine), one.giant) is one.fine


@pytest.mark.parametrize("system", ["linux-2.0", "linux-2.6"])
def test_merged_kernels_build_and_differ_less_the_more_locks_are_out(system):
    one = path(system)
    fine = kernel_port(one.fine)
    changes = []
    for number in (0, len(one.parts) // 2, len(one.parts)):
        split = (*one.parts[::2], *one.parts[1::2])[:number]
        changes.append(difference(kernel_port(one.between(split)), fine).changed)
    assert changes[0] > changes[1] > changes[2] == 0


def test_what_is_no_plan_of_locks_of_data_is_refused():
    with pytest.raises(InputError, match="is not fine-grained: drop kernel_flag at 'body schedule'"):
        parts(load_plan("linux-2.4"))
    with pytest.raises(InputError, match="unknown lock 'dcache_lok': did you mean dcache_lock"):
        merged(load_plan("fine"), ["dcache_lok"], path("fine").giant)


# --- what is held where -----------------------------------------------------------------------------------


def test_linux_2_0_does_everything_under_its_one_lock_and_2_6_nothing():
    held = held_in_sections(kernel_port(load_plan("linux-2.0")))
    assert len(held) > 150 and all("kernel_flag" in h for sets in held.values() for h in sets)
    shares = [all_placed(name) for name in RELEASES]
    assert [each.own / each.places for each in shares] == sorted(each.own / each.places for each in shares)
    assert [each.out / each.places for each in shares] == sorted(each.out / each.places for each in shares)
    assert shares[-1].out == shares[-1].places > shares[0].out > 0


def test_a_lock_let_go_around_a_call_is_not_held_in_it():
    held = held_in_sections(kernel_port(load_plan("linux-2.2")))
    assert held["cached/lookup"] == {frozenset({"kernel_flag"}), frozenset({"kernel_flag", "i_sem"})}
    dropped = (
        'base = "linux-2.2"\ntitle = "v"\n[[rule]]\nat = "body cached"\nlock = "kernel_flag"\nmode = "drop"'
    )
    again = held_in_sections(kernel_port(parse_plan(dropped, "mine")))
    assert again["cached/lookup"] == {frozenset(), frozenset({"i_sem"})}
    assert again["dput/put"] == held["dput/put"]


def test_what_linux_did_with_data_is_read_from_its_plans():
    one = path("linux-2.0")
    found = placed(one.fine, one.parts)
    inodes, names = found["inode_lock"], found["name_cache_lock"]
    assert [(each.release, each.own == each.places) for each in inodes] == [(r, True) for r in RELEASES]
    assert inodes[0].out == 0 and inodes[2].out == inodes[2].places
    assert [each.places for each in names] == [0, 0, 0]  # dentries came instead
    dentries = placed(load_plan("fine"), ["dcache_lock"])["dcache_lock"]
    assert dentries[0].own == 0 < dentries[0].places and dentries[1].own == dentries[1].places
