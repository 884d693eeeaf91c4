"""Races: each fault provoked by a tiny program, with a twin that is correct."""

# ruff: noqa: F841, SIM117  (programs of the simulator: values only read, one hold for each `with`)

from typing import Annotated

import pytest

from faults_tools import Machine, Process, run, stop_here
from lockscape.machine.faults import Rules, interleaving
from lockscape.program.language import (
    compare_and_swap,
    first,
    free,
    function,
    halt,
    hold,
    insert,
    masked,
    new,
    remove,
    send,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.locks import LockClass
from lockscape.program.objects import Collection, Object, Racy, listed

SPIN = LockClass("lock", "Box", "spinlock")
READERS = LockClass("lock", "Box", "rwlock")
SEQUENCE = LockClass("lock", "Box", "seqlock")
OTHER = LockClass("other", "Box", "spinlock")


class Item(Object):
    size: int
    state: int


class Box(Object, count=1):
    value: int
    second: int
    hint: Annotated[int, Racy("a guess")]
    item: Item
    items: Collection = listed(Item)


class Own(Object, count="cpus"):
    value: int


CLASSES = (Process, Item, Box, Own)


@function()
def add_unlocked() -> None:
    box: Box = the(Box)
    step("work")
    box.value += 1
    stop_here()


@function()
def add_locked() -> None:
    box: Box = the(Box)
    with hold("lock", box):
        step("work")
        box.value += 1
    stop_here()


@function()
def one_forgets() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with hold("lock", box):
            box.value += 1
    else:
        step("long")
        step("long")
        box.value += 1
    stop_here()


@function()
def wrong_lock() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with hold("lock", box):
            box.value += 1
    else:
        with hold("other", box):
            box.value += 1
    stop_here()


@function()
def writer_as_reader() -> None:
    box: Box = the(Box)
    with hold("lock", box, "shared"):
        step("work")
        box.value += 1
    stop_here()


@function()
def readers_and_writer() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        with hold("lock", box):
            box.value += 1
    else:
        with hold("lock", box, "shared"):
            step("work")
            seen = box.value
    stop_here()


@function()
def hints() -> None:
    box: Box = the(Box)
    box.hint = this_cpu()
    stop_here()


def machine(body, locks=(), **more):
    return Machine((stop_here, body), CLASSES, body, locks, **more)


@pytest.mark.parametrize(
    ("body", "locks"),
    [(add_unlocked, ()), (one_forgets, (SPIN,)), (wrong_lock, (SPIN, OTHER)), (writer_as_reader, (READERS,))],
)
def test_unprotected_write_is_a_race(body, locks):
    seen = run(machine(body, locks))
    assert seen.kinds == {"race"}
    (fault,) = seen.faults
    assert fault.objects == ("Box[0].value",)
    assert {p.function for p in fault.places} == {body.__name__}
    assert all(p.text == "box.value += 1" for p in fault.places)
    assert set(fault.processors) == {0, 1}
    assert "\n" not in fault.message and "hold one lock" in fault.message


@pytest.mark.parametrize(
    ("body", "locks"), [(add_locked, (SPIN,)), (readers_and_writer, (READERS,)), (hints, ())]
)
def test_protected_write_is_none(body, locks):
    assert run(machine(body, locks)).faults == []


def test_one_processor_needs_no_lock():
    assert run(machine(add_unlocked, cpus=1)).faults == []


def test_atomic_addition_may_meet_its_like_only():
    atomic = frozenset({("Box", "value")})
    assert run(machine(add_unlocked, atomic=atomic)).faults == []


@function()
def plain_and_atomic() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        compare_and_swap(box.value, 0, 1)
    else:
        seen = box.value
    stop_here()


def test_atomic_and_plain_must_not_meet():
    assert run(machine(plain_and_atomic)).kinds == {"race"}
    assert run(machine(plain_and_atomic, atomic=frozenset({("Box", "value")}))).faults == []


# --- sequence locks --------------------------------------------------------------------------------------


@function()
def sequence_reader() -> None:
    box: Box = the(Box)
    n = 5
    while n > 0:
        n -= 1
        if this_cpu() == 0:
            with hold("lock", box):
                box.value += 1
                step("work")
                box.second += 1
        else:
            with hold("lock", box, "retry"):
                a = box.value
                step("work")
                b = box.second
    stop_here()


@function()
def sequence_writer_forgets() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        step("long")
        box.value += 1
    else:
        with hold("lock", box, "retry"):
            a = box.value
    stop_here()


def test_sequence_lock():
    assert run(machine(sequence_reader, (SEQUENCE,))).faults == []
    assert run(machine(sequence_writer_forgets, (SEQUENCE,))).kinds == {"race"}


# --- happens-before --------------------------------------------------------------------------------------


@function()
def sender() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        box.value = 7
        send(1, 1)
        stop_here()
    with masked():
        halt()
    stop_here()


@function()
def sender_too_late() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        send(1, 1)
        box.value = 7
        stop_here()
    with masked():
        halt()
    stop_here()


@function("interrupt")
def receive() -> None:
    box: Box = the(Box)
    seen = box.value


def test_message_orders_what_was_before_it():
    def with_handler(body):
        return Machine((stop_here, body, receive), CLASSES, body, vectors={1: receive})

    assert run(with_handler(sender)).faults == []
    seen = run(with_handler(sender_too_late))
    assert seen.kinds == {"race"}
    assert "an interrupt handler" in seen.faults[0].message


@function()
def push() -> None:
    box: Box = the(Box)
    item: Item = new(Item)
    item.size = 3
    done = 0
    while done == 0:
        old: Item = box.item
        item.state = old
        done = compare_and_swap(box.item, old, item)
    last: Item = box.item
    size = last.size
    stop_here()


@function()
def push_early() -> None:
    box: Box = the(Box)
    item: Item = new(Item)
    done = 0
    while done == 0:
        old: Item = box.item
        done = compare_and_swap(box.item, old, item)
    step("long")
    item.size = 3
    last: Item = box.item
    size = last.size
    last.state = size
    stop_here()


def test_compare_and_swap_publishes():
    atomic = frozenset({("Box", "item")})
    assert run(machine(push, atomic=atomic)).faults == []
    assert run(machine(push_early, atomic=atomic, cpus=3)).kinds == {"race"}


@function()
def pass_on() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        item.size = 3
        with hold("lock", box):
            insert(box.items, item, item)
            item.state = 1
        stop_here()
    got: Item = 0
    while got == 0:
        step("work")
        with hold("lock", box):
            got = first(box.items)
            if got != 0:
                remove(box.items, got)
    got.size += 1
    got.state += 1
    with hold("lock", box):
        insert(box.items, got, got)
    stop_here()


@function()
def pass_on_and_keep() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("lock", box):
            insert(box.items, item, item)
        item.size = 3
        step("long")
        step("long")
        item.size = 4
        stop_here()
    got: Item = 0
    while got == 0:
        step("work")
        with hold("lock", box):
            got = first(box.items)
    got.size += 1
    stop_here()


def test_collection_hands_an_object_over():
    assert run(machine(pass_on, (SPIN,))).faults == []
    assert run(machine(pass_on_and_keep, (SPIN,))).kinds == {"race"}


@function()
def take_down() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("lock", box):
            insert(box.items, item, item)
        step("long")
        with hold("lock", box):
            remove(box.items, item)
        item.size = 0
        free(item)
        stop_here()
    got: Item = 0
    while got == 0:
        step("work")
        with hold("lock", box):
            got = first(box.items)
            if got != 0:
                got.size += 1
    stop_here()


@function()
def touch_after() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("lock", box):
            insert(box.items, item, item)
        step("long")
        item.size = 0
        stop_here()
    n = 100
    while n > 0:
        n -= 1
        step("work")
        with hold("lock", box):
            got: Item = first(box.items)
            if got != 0:
                got.size += 1
    stop_here()


def test_taking_down_is_no_race_while_nobody_comes():
    assert run(machine(take_down, (SPIN,), costs={"long": 2000})).faults == []
    assert run(machine(touch_after, (SPIN,), costs={"long": 2000})).kinds == {"race"}


# --- interrupts and preemption on one processor ----------------------------------------------------------


@function()
def open_to_interrupts() -> None:
    box: Box = the(Box)
    n = 20
    while n > 0:
        n -= 1
        box.value += 1
        step("work")
    stop_here()


@function()
def closed_to_interrupts() -> None:
    box: Box = the(Box)
    n = 20
    while n > 0:
        n -= 1
        with masked():
            box.value += 1
        step("work")
    stop_here()


@function("interrupt")
def tick_adds() -> None:
    box: Box = the(Box)
    box.value += 1


def test_handler_and_what_it_interrupts():
    def ticking(body):
        return Machine(
            (stop_here, body, tick_adds), CLASSES, body, cpus=1, vectors={0: tick_adds}, tick_cycles=300
        )

    seen = run(ticking(open_to_interrupts))
    assert seen.kinds == {"race"}
    assert "mask interrupts" in seen.faults[0].message
    assert run(ticking(closed_to_interrupts)).faults == []


def test_interleaving_shows_both_parties():
    seen = run(machine(one_forgets, (SPIN,)))
    lines = interleaving(seen.state, seen.rows, seen.faults[0], around=10_000)
    assert any("takes lock of Box[0]" in line and "spin_lock(" in line for line in lines)
    assert all(any(f"processor {k}" in line for line in lines) for k in (0, 1))
    times = [int(line.split()[0]) for line in lines]
    assert times == sorted(times)
    assert interleaving(seen.state, seen.rows, seen.faults[0], around=0) != lines


@function()
def own_counter() -> None:
    own: Own = the(Own, this_cpu())
    own.value += 1
    stop_here()


@function()
def others_counter() -> None:
    own: Own = the(Own, this_cpu())
    own.value += 1
    if this_cpu() == 1:
        step("long")
        other: Own = the(Own, 0)
        seen = other.value
    stop_here()


def test_processor_local_data():
    rules = Rules(local=frozenset({("Own", "value")}))
    assert run(machine(own_counter), rules).faults == []
    seen = run(machine(others_counter), rules)
    assert seen.kinds == {"processor-local data elsewhere"}
    assert seen.faults[0].processors == (0, 1)
    assert "Own[0].value" in seen.faults[0].message


# --- an object that moves from one lock to another -------------------------------------------------------


class Rack(Object, count=2):
    items: Collection = listed(Item)


RACK = LockClass("rack", "Rack", "spinlock")


@function()
def moves_between() -> None:
    mine: Rack = the(Rack, 0)
    theirs: Rack = the(Rack, 1)
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("rack", mine):
            insert(mine.items, 1, item)
        step("long")
        stop_here()
    if this_cpu() == 1:
        step("work")
        with hold("rack", mine):
            got: Item = first(mine.items)
            got.size += 1
        step("long")
        stop_here()
    step("long")
    with hold("rack", mine):
        with hold("rack", theirs):
            got = first(mine.items)
            remove(mine.items, 1)
            insert(theirs.items, 1, got)
    with hold("rack", theirs):
        got = first(theirs.items)
        got.size += 1
    stop_here()


@function()
def moves_one_after_the_other() -> None:
    mine: Rack = the(Rack, 0)
    theirs: Rack = the(Rack, 1)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("rack", mine):
            insert(mine.items, 1, item)
        step("long")
        stop_here()
    if this_cpu() == 1:
        step("work")
        with hold("rack", mine):
            got: Item = first(mine.items)
            got.size += 1
        step("long")
        stop_here()
    step("long")
    with hold("rack", mine):
        got = first(mine.items)
        remove(mine.items, 1)
    got.state = 1
    with hold("rack", theirs):
        insert(theirs.items, 1, got)
        got.size += 1
    stop_here()


@function()
def moves_under_the_wrong_lock() -> None:
    mine: Rack = the(Rack, 0)
    theirs: Rack = the(Rack, 1)
    if this_cpu() == 0:
        item: Item = new(Item)
        with hold("rack", mine):
            insert(mine.items, 1, item)
        step("long")
        stop_here()
    if this_cpu() == 1:
        step("work")
        with hold("rack", mine):
            got: Item = first(mine.items)
            got.size += 1
        step("long")
        stop_here()
    step("long")
    with hold("rack", theirs):
        got = first(mine.items)
        remove(mine.items, 1)
        insert(theirs.items, 1, got)
        got.size += 1
    stop_here()


def test_object_moves_from_one_lock_to_another_under_both():
    def moving(body):
        return Machine(
            (stop_here, body), (Process, Item, Box, Rack), body, (RACK,), cpus=3, costs={"long": 3000, "work": 400}
        )  # fmt: skip

    rules = Rules(nesting=frozenset({"rack"}))
    assert run(moving(moves_between), rules).faults == []
    assert run(moving(moves_one_after_the_other), rules).faults == []
    seen = run(moving(moves_under_the_wrong_lock), rules)
    assert seen.kinds == {"race"}
    assert any("Item" in name for f in seen.faults for name in f.objects)
