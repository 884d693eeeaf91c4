"""Who uses a part of an object, and when: what excuses of mutants rest on."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockscape.experiments.follow import Life
from lockscape.experiments.need import CUT_OFF, _simplified
from lockscape.experiments.witness import Access, Span
from lockscape.machine.activity import Lockset
from lockscape.program import opcodes as op

A, B, C = 1, 2, 3
LOCK = 77
NONE_HELD = Lockset(frozenset())


def life(*uses: str, freed: bool = True) -> Life:
    """Return the life of an object with one part: each use a thread and ``r`` or ``w``, at times 1, 2, 3 ..."""
    found = Life(0, freed=freed)
    for when, (thread, deed) in enumerate(uses, 1):
        number = {"a": A, "b": B, "c": C}[thread]
        found.parts[8].use(number, when, deed == "w", NONE_HELD, op.EXCLUSIVE)
        if deed == "w":
            found.parts[8].changed.setdefault((number, frozenset()), when)
    return found


def test_a_part_is_taken_down_by_who_comes_last_before_the_object_is_freed():
    assert life("aw", "bw", "aw").takes_down(8, A, 3)
    assert not life("aw", "bw", "aw").takes_down(8, A, 2)
    assert not life("aw", "bw", "aw", freed=False).takes_down(8, A, 3)


def test_an_object_is_cut_off_if_the_run_ends_before_another_thread_comes_or_it_is_freed():
    assert life("aw", "bw", "aw", freed=False).cut_off(A, 3)
    assert not life("aw", "bw", "aw", freed=False).cut_off(A, 2)
    assert not life("aw", "bw", "aw").cut_off(A, 3)
    other = life("aw", "bw", "aw", freed=False)
    other.parts[16].use(B, 4, False, NONE_HELD, op.EXCLUSIVE)
    assert not other.cut_off(A, 3), "b comes to another part of it"


@pytest.mark.parametrize(("count", "excuse"), [("", CUT_OFF), ("1", "")])
def test_only_what_is_allocated_is_cut_off(count: str, excuse: str) -> None:
    """A system object is in use until the end of every run: that nobody came again says nothing of it."""
    used = life("aw", "bw", "aw", freed=False)
    span = Span(0, 0, False, 0, A, 0, 0, 0, 3, False, True, False, last=3)
    span.parts[1, 0, 8] = Access(True, frozenset(), (0, 0, 0, 0), frozenset(), False, 0)
    watched = SimpleNamespace(
        lives={(1, 0): used}, state=SimpleNamespace(layouts=[SimpleNamespace(count=count)])
    )
    _simplified(span, watched, ())  # type: ignore[arg-type]
    assert span.parts[1, 0, 8].alone == excuse


def test_a_part_is_set_before_if_nobody_changes_it_once_a_second_thread_has_come():
    assert life("aw", "aw", "br", "cr", "ar").set_before(8)
    assert life("aw", "br", "cw").set_before(8), "taken down by c"
    assert not life("aw", "br", "cw", freed=False).set_before(8)
    assert not life("ar", "bw", "ar").set_before(8)
    assert not life("aw", "br", "aw", "br").set_before(8)


def test_who_has_met_a_part():
    uses = life("ar", "br", "ar", "cr").parts[8]
    assert [uses.met(when) for when in (1, 2, 3, 4)] == [{A}, {A, B}, {A, B}, {A, B, C}]


def test_a_change_without_a_lock_does_not_count_while_the_part_is_taken_down():
    assert life("aw", "br").changed_without(8, LOCK)
    assert not life("ar", "bw").changed_without(8, LOCK)


USES = st.lists(st.sampled_from(["ar", "aw", "br", "bw", "cr", "cw"]), min_size=1, max_size=12)


@given(USES)
def test_a_part_that_is_set_before_is_the_same_to_all_but_who_takes_it_down(uses):
    """What a thread reads does not depend on when it comes, if another than itself set it."""
    if life(*uses, freed=False).set_before(8):
        writes = [k for k, use in enumerate(uses) if use[1] == "w"]
        others = [k for k, use in enumerate(uses) if writes and use[0] != uses[writes[-1]][0]]
        assert len({uses[k][0] for k in writes}) <= 1
        assert not writes or not others or max(writes) < min(others)
