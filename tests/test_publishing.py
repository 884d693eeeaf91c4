"""Publishing without a barrier: a fault on weakly ordered machines only, and what stands for a barrier."""

from dataclasses import replace

import pytest

from faults_tools import Machine, Process, run, stop_here
from lockscape.errors import InputError
from lockscape.experiments.trials import kernel_of, run_trial, trials
from lockscape.machine.costs import preset
from lockscape.machine.faults import Detector, Rules
from lockscape.ports.effort import both, effort
from lockscape.ports.plan import load_plan, parse_plan
from lockscape.ports.port import port
from lockscape.program.language import (
    barrier,
    compare_and_swap,
    find,
    function,
    hold,
    insert,
    new,
    option,
    section,
    send,
    step,
    the,
    this_cpu,
)
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Hold
from lockscape.program.objects import Collection, Object, listed
from lockscape.program.parse import parse
from lockscape.program.walk import walk

WEAK = Rules(weakly_ordered=True)
PUBLISHED = Rules(published=frozenset({("Box", "items")}), weakly_ordered=True)
LOCK = LockClass("lock", "Box", "spinlock")


class Item(Object):
    size: int


class Box(Object, count=1):
    asked: int
    number: int
    items: Collection = listed(Item)


@function()
def tell() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        box.number = 7
        if option("how") == 1:
            barrier()
        elif option("how") == 2:
            compare_and_swap(box.asked, 0, 2)
        elif option("how") == 3:
            with hold("lock", box):
                step("work")
        box.asked = 1
        stop_here()
    while box.asked != 1:
        step("work")
    number = box.number
    box.number = number
    stop_here()


@function()
def fill_in() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        item: Item = new(Item)
        item.size = 3
        with hold("lock", box), section("enter", box.items):
            if option("how") == 1:
                barrier()
            insert(box.items, 1, item)
            step("long")
        stop_here()
    found: Item = 0
    while found == 0:
        step("work")
        with hold("", box, "rcu"):
            found = find(box.items, 1)
    stop_here()


@function()
def tell_the_processor() -> None:
    box: Box = the(Box)
    if this_cpu() == 0:
        box.number = 7
        box.asked = 1
        send(1, 1)
        stop_here()
    step("long")
    stop_here()


@function("interrupt")
def told() -> None:
    box: Box = the(Box)
    if box.asked == 1:
        box.number += 1


def faults(source, how, rules):
    tree = parse(source, {"how": how})
    machine = Machine(
        (stop_here, tree, told), (Box, Item, Process), tree, (LOCK,), vectors={1: told},
        atomic=frozenset({("Box", "asked")}), costs={"long": 9000},
    )  # fmt: skip
    return run(machine, rules).faults


@pytest.mark.parametrize("how", [0, 3])
def test_a_word_that_is_stored_before_its_contents_are_seen(how):
    (fault,) = faults(tell, how, WEAK)  # a lock taken and released in between is no barrier
    assert fault.kind == "publish without barrier"
    assert [place.text for place in fault.places] == ["box.number = 7", "number = box.number"]
    assert "put a barrier between the two stores" in fault.message
    assert faults(tell, how, Rules()) == []


@pytest.mark.parametrize("how", [1, 2])
def test_a_barrier_and_an_atomic_operation_order_stores(how):
    assert faults(tell, how, WEAK) == []


def test_an_object_that_is_found_before_it_is_filled_in():
    (fault,) = faults(fill_in, 0, PUBLISHED)
    assert fault.kind == "publish without barrier"
    assert [place.text for place in fault.places] == ["item.size = 3", "found = find(box.items, 1)"]
    assert faults(fill_in, 1, PUBLISHED) == []
    assert faults(fill_in, 0, replace(PUBLISHED, weakly_ordered=False)) == []


def test_an_interrupt_orders_what_was_stored_before_it():
    assert faults(tell_the_processor, 0, WEAK) == []


# --- ports --------------------------------------------------------------------------------------------------


def test_a_plan_puts_a_barrier_before_what_it_publishes_and_it_is_counted():
    counted = effort(both(port(load_plan("linux-2.6"))))
    assert counted.sites["barrier"] == 1
    lines = both(port(load_plan("linux-2.6"))).lines("answer")[1]
    place = next(
        k for k, line in enumerate(lines) if "insert(DentryCache.table" in line or "insert(cache" in line
    )
    assert lines[place - 1].strip() == "barrier()"


def test_a_barrier_where_nothing_is_published_is_refused():
    text = 'base = "linux-2.6"\ntitle = "wrong"\n[[rule]]\nat = "section cached/lookup"\nmode = "barrier"\n'
    with pytest.raises(InputError, match="nothing is put into what the plan's"):
        port(parse_plan(text, "wrong"))


def test_linux_without_its_barrier_is_wrong_on_a_weakly_ordered_machine_only():
    kernel = kernel_of(load_plan("linux-2.6"))
    assert kernel.rules.weakly_ordered
    (mutant,) = [each for each in kernel.port.mutants() if each.mode == "barrier"]
    text = 'base = "linux-2.6"\ntitle = "none"\n[[without]]\nat = "section answer/rehash"\n[[rule]]\n'
    without = kernel_of(parse_plan(text + 'at = "section answer/rehash"\nlock = "dcache_lock"\n', "none"))
    assert str(mutant) == "barrier left out in answer (barrier 1)"
    assert not any(
        isinstance(each, Hold) and each.lock == "d_lock" for each in walk(without.port.ported["answer"].body)
    )
    _, wrong = run_trial(without, trials()[2], Detector)
    assert wrong.startswith("publish without barrier: Dentry@")
    strong = replace(without, rules=replace(without.rules, weakly_ordered=False))
    assert run_trial(strong, trials()[2], Detector)[1] == ""


def test_the_machines_of_the_presets_store_in_order():
    for name in ("pentium4", "simics-pentium4", "modern", "pentium-133", "m68030"):
        assert preset(name).stores_in_order
        assert preset(name).stores_evidence
