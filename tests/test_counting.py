"""Which loops of compare-and-swap are additions whose result nobody looks at."""

import pytest

from lockscape.program.counting import counting
from lockscape.program.language import compare_and_swap, function, step, the
from lockscape.program.objects import Object
from lockscape.program.parse import parse


class Jar(Object, count=1):
    value: int
    other: int


@function()
def adds_and_takes_away() -> None:
    jar: Jar = the(Jar)
    seen = jar.value
    while compare_and_swap(jar.value, seen, seen + 1) == 0:
        seen = jar.value
    seen = jar.other
    while compare_and_swap(jar.other, seen, seen - 1) == 0:
        seen = jar.other


@function()
def returns_it() -> int:
    jar: Jar = the(Jar)
    seen = jar.value
    while compare_and_swap(jar.value, seen, seen + 1) == 0:
        seen = jar.value
    return seen + 1


@function()
def looks_elsewhere() -> None:
    jar: Jar = the(Jar)
    seen = jar.other
    while compare_and_swap(jar.value, seen, seen + 1) == 0:
        seen = jar.value


@function()
def adds_what_it_reads() -> None:
    jar: Jar = the(Jar)
    seen = jar.value
    while compare_and_swap(jar.value, seen, seen + jar.other) == 0:
        seen = jar.value


@function()
def adds_itself() -> None:
    jar: Jar = the(Jar)
    seen = jar.value
    while compare_and_swap(jar.value, seen, seen + seen) == 0:
        seen = jar.value


@function()
def does_more_in_its_loop() -> None:
    jar: Jar = the(Jar)
    seen = jar.value
    while compare_and_swap(jar.value, seen, seen + 1) == 0:
        step("wait")
        seen = jar.value


@function()
def tries_once() -> None:
    jar: Jar = the(Jar)
    seen = jar.value
    if compare_and_swap(jar.value, seen, seen + 1) == 0:
        seen = jar.value


def test_a_variable_may_count_several_fields() -> None:
    assert counting(parse(adds_and_takes_away, {}).body) == {"seen"}


@pytest.mark.parametrize(
    "source",
    [returns_it, looks_elsewhere, adds_what_it_reads, adds_itself, does_more_in_its_loop, tries_once],
)
def test_what_is_looked_at_is_no_addition(source) -> None:  # type: ignore[no-untyped-def]
    assert counting(parse(source, {}).body) == frozenset()
