"""Flags by which threads claim objects: what counts as one, and when it keeps two threads apart."""

from types import SimpleNamespace
from typing import Any, cast

from lockscape.experiments.claims import Claims, flags
from lockscape.experiments.follow import Life, Part
from lockscape.machine.activity import Lockset
from lockscape.machine.state import State
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.program import opcodes as op

OWNER, HANDLER = 1, 2
SET, CLEAR, LOOK = 0, 1, 2
"""Rows of code: of a function that sets the flag, of one that clears it, and of one that reads it."""

LOCK = 77
FLAG: Part = (400, 1, 6)


def claims() -> Claims:
    """Return claims of one flag, in objects of class 0."""
    shape = SimpleNamespace(name="Socket", fields={"owned": FLAG[2]})
    program = SimpleNamespace(functions={})
    state: Any = SimpleNamespace(
        binary=SimpleNamespace(where=["set", "clear", "look"]), layouts=[shape], program=program
    )
    found = Claims(cast(State, state))
    found.stored = {(0, FLAG[2]): {"set": 1, "clear": 0}}
    return found


def come(to: Claims, thread: int, row: int, holding: int = 1) -> None:
    to.access(thread, row, row != LOOK, FLAG, 0, frozenset({(LOCK, holding, False)}))


def flags_of(all_: Claims, thread: int, *holdings: int) -> set[int]:
    """Return the numbers of the flags that a thread has under some holdings of the lock."""
    held = frozenset((LOCK, holding, False) for holding in holdings)
    return {lock for lock, _, _ in all_.held(thread, held)}


def test_a_flag_is_a_field_into_which_each_function_stores_either_0_or_1() -> None:
    found = flags(port(load_plan("fine")).program.functions)
    assert found["Socket", "owned"] == {"own_socket": 1, "next_of_backlog": 0}
    assert ("Process", "state") not in found
    assert ("Socket", "closed") not in found, "never cleared"


def test_a_flag_is_had_by_who_set_it_until_he_clears_it_and_by_who_found_it_clear_under_one_holding() -> None:
    all_ = claims()
    come(all_, HANDLER, LOOK, 1)
    assert len(flags_of(all_, HANDLER, 1)) == 1
    assert flags_of(all_, HANDLER, 2) == set()
    come(all_, OWNER, SET, 3)
    mine = flags_of(all_, OWNER)
    assert len(mine) == 1
    come(all_, HANDLER, LOOK, 4)
    assert flags_of(all_, HANDLER, 4) == set()
    come(all_, OWNER, CLEAR, 5)
    assert flags_of(all_, OWNER) == set()
    come(all_, HANDLER, LOOK, 6)
    assert flags_of(all_, HANDLER, 6) == mine


def kept(all_: Claims, exclusive: bool) -> list[str]:
    life = Life(0)
    locks = frozenset({(LOCK, not exclusive, False)})
    life.parts[FLAG[2]].use(OWNER, 1, True, Lockset(locks), op.EXCLUSIVE)
    return [*all_.kept({FLAG[:2]: life}).values()]


def test_a_flag_counts_if_all_had_the_lock_and_nobody_changed_what_another_had_set() -> None:
    all_ = claims()
    come(all_, OWNER, SET)
    flags_of(all_, OWNER)
    assert kept(all_, True) == ["flag Socket.owned"]
    assert kept(all_, False) == []
    come(all_, HANDLER, SET)
    assert kept(all_, True) == []
    assert flags_of(all_, OWNER) == set()
