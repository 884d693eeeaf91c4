"""Broken sections and freed objects: each fault provoked by a tiny program, with a twin that is correct."""

# ruff: noqa: F841, SIM117  (programs of the simulator: values only read, one hold for each `with`)

import pytest

from faults_tools import Machine, Process, run, stop_here
from lockscape.machine.faults import Rules
from lockscape.program.language import (
    compare_and_swap,
    find,
    first,
    free,
    function,
    hold,
    insert,
    new,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.objects import Collection, Object, hashed, listed

SPIN = LockClass("lock", "Box", "spinlock")
SECOND = LockClass("second_lock", "Box", "spinlock")
SEQUENCE = LockClass("lock", "Box", "seqlock")


class Item(Object):
    size: int


class Box(Object, count=1):
    value: int
    second: int
    head: Item
    names: Collection = hashed()
    items: Collection = listed(Item)


CLASSES = (Process, Item, Box)


def machine(body, locks=(SPIN,), **more):
    return Machine((stop_here, body), CLASSES, body, locks, **more)


# --- sections --------------------------------------------------------------------------------------------


@function()
def each_step_locked() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with section("take", box.value):
            with hold("lock", box):
                seen = box.value
            step("work")
            with hold("lock", box):
                box.value = seen + 1
    stop_here()


@function()
def whole_section_locked() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with hold("lock", box):
            with section("take", box.value):
                seen = box.value
                step("work")
                box.value = seen + 1
    stop_here()


def test_a_lock_around_every_step_is_race_free_and_wrong():
    seen = run(machine(each_step_locked))
    assert seen.kinds == {"broken section"}
    fault = seen.faults[0]
    assert fault.objects == ("Box[0].value",)
    assert "each_step_locked/take" in fault.message
    assert len(set(fault.contexts)) == 2
    assert list(fault.times_cycles) == sorted(fault.times_cycles)


def test_a_lock_around_the_section_is_right():
    assert run(machine(whole_section_locked)).faults == []


@function()
def insert_if_missing() -> None:
    box: Box = the(Box)
    with section("enter", box.names):
        with hold("lock", box):
            there = find(box.names, 5)
        step("work")
        if there == 0:
            with hold("lock", box):
                insert(box.names, 5, 1)
    stop_here()


def test_look_up_then_insert():
    assert run(machine(insert_if_missing)).kinds == {"broken section"}


@function()
def two_locks_crossed() -> None:
    box: Box = the(Box)
    with section("both", box.value, box.second):
        if this_cpu() == 0:
            with hold("lock", box):
                box.value += 1
            step("work")
            with hold("second_lock", box):
                box.second += 1
        else:
            with hold("second_lock", box):
                box.second += 1
            step("work")
            with hold("lock", box):
                box.value += 1
    stop_here()


@function()
def three_in_a_circle() -> None:
    box: Box = the(Box)
    k = this_cpu()
    with section("turn", box.value, box.second, box.names):
        if k == 0:
            with hold("lock", box):
                box.value += 1
            step("work")
            with hold("lock", box):
                box.second += 1
        if k == 1:
            with hold("lock", box):
                box.second += 1
            step("work")
            with hold("lock", box):
                insert(box.names, 1, 1)
        if k == 2:
            with hold("lock", box):
                insert(box.names, 1, 1)
            step("work")
            with hold("lock", box):
                box.value += 1
    stop_here()


def test_cycle_of_two_sections_over_two_parts():
    seen = run(machine(two_locks_crossed, (SPIN, SECOND)))
    assert seen.kinds == {"broken section"}
    assert set(seen.faults[0].objects) == {"Box[0].value", "Box[0].second"}


def test_cycle_of_three_sections():
    seen = run(machine(three_in_a_circle, cpus=3))
    assert seen.kinds == {"broken section"}
    assert len(set(seen.faults[0].contexts)) == 3


@function()
def other_parts_do_not_count() -> None:
    box: Box = the(Box)
    with section("take", box.value):
        with hold("lock", box):
            box.second += 1
        step("work")
        with hold("lock", box):
            box.second += 1
    stop_here()


def test_a_section_covers_what_it_names():
    assert run(machine(other_parts_do_not_count)).faults == []


@function()
def optimistic_section() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        if this_cpu() == 0:
            with section("write", box.value, box.second):
                with hold("lock", box):
                    box.value += 1
                    step("work")
                    box.second += 1
        else:
            with section("read", box.value, box.second):
                with hold("lock", box, "retry"):
                    a = box.value
                    step("work")
                    b = box.second
    stop_here()


def test_reads_that_are_retried_do_not_count():
    seen = run(machine(optimistic_section, (SEQUENCE,)))
    assert seen.faults == []


@function()
def swap_until_done() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with section("push", box.head):
            done = 0
            while done == 0:
                old: Item = box.head
                step("work")
                done = compare_and_swap(box.head, old, old + 1)
    stop_here()


@function()
def swap_and_ignore() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with section("push", box.head):
            old: Item = box.head
            step("work")
            box.head = old + 1
    stop_here()


def test_attempts_of_compare_and_swap_that_fail_do_not_count():
    atomic = frozenset({("Box", "head")})
    assert run(machine(swap_until_done, (), atomic=atomic, cpus=3)).faults == []
    assert run(machine(swap_and_ignore, (), atomic=atomic, cpus=3)).kinds == {"broken section"}


@function()
def counts_in_turns() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with section("count", box.value, box.second):
            seen = box.value
            while compare_and_swap(box.value, seen, seen + 1) == 0:
                seen = box.value
            step("work", 1 + 3 * this_cpu())
            other = box.second
            while compare_and_swap(box.second, other, other - 1) == 0:
                other = box.second
    stop_here()


@function()
def counts_and_looks() -> None:
    box: Box = the(Box)
    n = 10
    while n > 0:
        n -= 1
        with section("count", box.value, box.second):
            seen = box.value
            while compare_and_swap(box.value, seen, seen + 1) == 0:
                seen = box.value
            step("work", 1 + 3 * this_cpu())
            other = box.second
            while compare_and_swap(box.second, other, other - 1) == 0:
                other = box.second
            box.head = seen + other
    stop_here()


def test_additions_by_compare_and_swap_commute_unless_their_result_is_looked_at():
    atomic = frozenset({("Box", part) for part in ("value", "second", "head")})
    assert run(machine(counts_in_turns, (), atomic=atomic, cpus=3)).faults == []
    assert run(machine(counts_and_looks, (), atomic=atomic, cpus=3)).kinds == {"broken section"}


@function()
def reads_and_counts() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with section("read", box.value, box.second):
            before = box.value
            seen = box.second
            step("work", 9)
            while compare_and_swap(box.second, seen, seen + 1) == 0:
                seen = box.second
            box.value = before + 1
    else:
        step("work", 3)
        box.value = 7
        box.second += 1
    stop_here()


def test_an_addition_that_is_tried_again_keeps_what_was_read_before():
    atomic = frozenset({("Box", "value"), ("Box", "second")})
    assert run(machine(reads_and_counts, (), atomic=atomic)).kinds == {"broken section"}


@function()
def goes_and_comes_back() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with section("count", box.value):
            seen = box.value
            step("work", 9)
            while compare_and_swap(box.value, seen, seen + 1) == 0:
                seen = box.value
            if seen == 3:
                box.head = seen
    else:
        step("work", 3)
        box.value += 1
        box.value -= 1
    stop_here()


@function()
def pops_what_came_back() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with section("pop", box.head, box.second):
            top = box.head
            below = box.second
            step("work", 9)
            while compare_and_swap(box.head, top, below) == 0:
                top = box.head
                below = box.second
    else:
        step("work", 3)
        with section("push", box.head, box.second):
            box.head = 5
            box.second = 7
            box.head = 0
    stop_here()


@function()
def pops_what_came_back_late() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with section("pop", box.head, box.second):
            below = box.second
            top = box.head
            step("work", 9)
            while compare_and_swap(box.head, top, below) == 0:
                below = box.second
                top = box.head
    else:
        step("work", 3)
        with section("push", box.head, box.second):
            box.second = 7
            box.head = 5
            box.head = 0
    stop_here()


@function()
def looks_and_counts() -> None:
    box: Box = the(Box)
    with section("limit", box.value):
        if box.value < 1:
            step("work", 3)
            seen = box.value
            while compare_and_swap(box.value, seen, seen + 1) == 0:
                seen = box.value
    stop_here()


@function()
def looks_and_claims() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with section("claim", box.value):
            before = box.value
            step("work", 9)
            if compare_and_swap(box.value, 0, 1) == 1:
                box.second = before
    else:
        step("work", 3)
        box.value = 0
    stop_here()


def test_a_part_that_comes_back_is_as_it_was_but_what_hangs_on_it_is_not():
    atomic = frozenset({("Box", part) for part in ("value", "second", "head")})
    assert run(machine(goes_and_comes_back, (), atomic=atomic)).faults == []
    assert run(machine(pops_what_came_back, (), atomic=atomic)).kinds == {"broken section"}
    assert run(machine(pops_what_came_back_late, (), atomic=atomic)).kinds == {"broken section"}
    assert run(machine(looks_and_counts, (), atomic=atomic)).kinds == {"broken section"}
    assert run(machine(looks_and_claims, (), atomic=atomic, quantities={})).kinds == {"broken section"}


def test_memory_of_the_graph_stays_bounded():
    seen = run(machine(whole_section_locked, cpus=4))
    assert len(seen.detector.sections.nodes) == 0
    assert len(seen.detector.sections.live) == 0


# --- freed objects ---------------------------------------------------------------------------------------


@function()
def reader_frees_too_early() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        item.size = 1
        with hold("lock", box):
            insert(box.items, 1, item)
        step("long")
        with hold("lock", box):
            remove(box.items, 1)
        free(item)
        stop_here()
    n = 40
    while n > 0:
        n -= 1
        step("look")
        with hold("", 0, "rcu"):
            got: Item = first(box.items)
            if got != 0:
                step("work")
                size = got.size
    stop_here()


@function()
def reader_freed_late() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        item.size = 1
        with hold("lock", box):
            insert(box.items, 1, item)
        step("long")
        with hold("lock", box):
            remove(box.items, 1)
        step("grace")
        free(item)
        stop_here()
    n = 40
    while n > 0:
        n -= 1
        step("look")
        with hold("", 0, "rcu"):
            got: Item = first(box.items)
            if got != 0:
                step("work")
                size = got.size
    stop_here()


@function()
def frees_twice() -> None:
    item: Item = new(Item)
    free(item)
    free(item)
    stop_here()


def rcu_machine(body):
    return machine(body, costs={"long": 1000, "work": 3000, "grace": 9000})


PUBLISHED = Rules(published=frozenset({("Box", "items")}))


def test_rcu_reader_of_a_freed_object():
    seen = run(rcu_machine(reader_frees_too_early), PUBLISHED)
    assert seen.kinds == {"use after free"}
    assert "RCU readers" in seen.faults[0].message
    assert [p.text for p in seen.faults[0].places] == ["free(item)", "size = got.size"]


def test_rcu_reader_may_meet_publishing_writer():
    assert run(rcu_machine(reader_freed_late), PUBLISHED).faults == []


def test_without_the_declaration_it_is_a_race():
    assert run(rcu_machine(reader_freed_late)).kinds == {"race"}


def test_double_free():
    assert run(machine(frees_twice, cpus=1)).kinds == {"use after free"}


@pytest.mark.parametrize(
    "what",
    [
        {"published": frozenset({("Bix", "items")})},
        {"local": frozenset({("Box", "vlaue")})},
        {"nesting": frozenset({"lck"})},
        {"patience_cycles": -1},
    ],
)
def test_rules_that_name_nothing_are_refused(what):
    with pytest.raises(ValueError, match=r"did you mean|use 0 for none"):
        run(machine(whole_section_locked), Rules(**what))
