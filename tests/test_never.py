"""What a port never comes to, and that the loader makes no objects of which it is said that only code does."""

import pytest

from lockscape.experiments.trials import kernel_of, trials
from lockscape.ports.never import Reached
from lockscape.ports.plan import load_plan, plan_names
from lockscape.ports.port import port
from lockscape.program.language import NONE, compare_and_swap, first, function, insert
from lockscape.program.objects import Collection, Object, listed
from lockscape.program.parse import parse
from lockscape.workloads import stress
from lockscape.workloads.load import load
from lockscape.workloads.reach import reach


class Door(Object):
    """An object of these tests."""

    state: int
    number: int
    left: int
    keys: Collection = listed(Object)


OPENED = 3


@function()
def enter(door: Door) -> int:
    """Ask for states: only 0 and 1 are ever made, and no key."""
    door.state = 1
    result = 0
    if door.state == 0:
        result = zero(door)
    if door.state == OPENED:
        result = opened(door)
    key: Door = first(door.keys)
    while key != NONE:
        result = keyed(door)
        key = first(door.keys)
    if door.left == OPENED:
        result = left(door)
    return result


@function()
def zero(door: Door) -> int:
    """Is come to: an object begins with 0."""
    return 1


@function()
def opened(door: Door) -> int:
    """Would put a key in, if somebody came."""
    insert(door.keys, door, door)
    return 2


@function()
def keyed(door: Door) -> int:
    """Is come to only with a key."""
    return 3


@function()
def left(door: Door) -> int:
    """Is come to: a sum may be anything."""
    return 4


@function()
def add(door: Door, number: int) -> None:
    """Makes the field that `left` depends on anything."""
    door.left += number


@function()
def unlock(door: Door) -> None:
    """Makes the state that opens."""
    door.state = OPENED


def reached(*roots: str) -> set[str]:
    code = {each.__name__: parse(each, {}) for each in (enter, zero, opened, keyed, left, add, unlock)}
    return Reached(code, roots, {"Door"}).functions


def test_what_waits_for_a_state_that_nobody_makes_is_never_come_to() -> None:
    assert reached("enter") == {"enter", "zero"}
    assert reached("enter", "add") == {"enter", "zero", "add", "left"}


def test_a_state_that_is_made_opens_what_only_comes_after_it() -> None:
    assert reached("enter", "unlock") == {"enter", "zero", "unlock", "opened", "keyed"}


def test_the_page_caches_that_are_not_distributed_have_no_mutants_of_the_distributed_kind() -> None:
    functions = {m.function for m in port(load_plan("reimplementation-shared")).mutants()}
    distributed = {m.function for m in port(load_plan("reimplementation")).mutants()} - functions
    assert distributed == {
        "add_page", "distribute", "enter_part", "find_page", "forget_part", "missing_part", "moved_from_part",
        "note_use", "part_of",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in plan_names() if name != "uniprocessor"])
def test_a_loaded_machine_has_no_objects_that_only_running_code_makes(name: str) -> None:
    kernel = kernel_of(load_plan(name))
    streams = trials()[0].streams[:2]
    machine = load(kernel.port, kernel.costs, 2, streams, True, kernel.binary, False, stress.PROGRAM)
    there = {cls for cls, places in reach(machine.state, machine.owners).of.items() if len(places)}
    assert "Process" in there
    assert there & kernel.port.made() == set()


@function()
def swapped(door: Door) -> int:
    """Changes a field in the value that it returns."""
    return compare_and_swap(door.left, 0, OPENED)


def test_a_change_in_a_returned_value_counts() -> None:
    code = {each.__name__: parse(each, {}) for each in (enter, zero, opened, keyed, left, swapped)}
    assert "left" in Reached(code, ("enter", "swapped"), {"Door"}).functions
