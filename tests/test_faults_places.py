"""Rows of code are found in the listing, whatever was left out when they were assembled."""

from faults_tools import Machine, Process, stop_here
from lockscape.machine.places import Places
from lockscape.program import opcodes as op
from lockscape.program.language import compare_and_swap, function, hold, section, step, the, this_cpu
from lockscape.program.listing import listing
from lockscape.program.locks import LockClass
from lockscape.program.objects import Object

LOCKS = (LockClass("lock", "Shelf", "spinlock"), LockClass("seq", "Shelf", "seqlock"))


class Shelf(Object, count=2):
    value: int
    other: int


@function()
def everything() -> int:
    shelf: Shelf = the(Shelf, this_cpu())
    step("one")
    n = 3
    while n > 0:
        step("two")
        with section("s", shelf.value):
            step("three")
            if n == 2:
                with hold("lock", shelf):
                    shelf.value += 1
            else:
                if n == 1 and shelf.other == 0:
                    shelf.other = 2
                step("four")
        with hold("seq", shelf, "retry"):
            step("five")
            n = n - 1 + shelf.value * 0
        if compare_and_swap(shelf.value, 0, 0) == 1:
            break
    return shelf.other


def lines(costs, traced):
    machine = Machine((stop_here, everything), (Process, Shelf), stop_here, LOCKS, costs=costs)
    state = machine.state()
    if not traced:
        from lockscape.program.assemble import assemble

        state.binary = assemble(machine.program(), lambda name: costs.get(name, 0))
    places = Places(state)
    start = state.binary.starts["everything"]
    end = next(
        k
        for k in range(start, len(state.binary.where))
        if k + 1 == len(state.binary.where) or state.binary.where[k + 1] != "everything"
    )
    found = [(int(state.binary.code[k, 0]), places.place(k)) for k in range(start, end + 1)]
    return [(code, place) for code, place in found if code not in (op.COMPUTE, op.SECTION)], state


def test_places_do_not_depend_on_what_costs_nothing():
    full, state = lines({}, traced=True)
    bare, _ = lines({"two": 5, "four": 1}, traced=False)
    assert full == bare
    text = listing(state.program.functions["everything"], dict(state.program.locks))
    assert all(text[place.line - 1].strip() == place.text for _, place in full)


def test_each_row_lies_where_its_operation_is():
    full, _ = lines({}, traced=True)
    shown = {code: {p.text for c, p in full if c == code} for code, _ in full}
    assert shown[op.ACQUIRE] == {"spin_lock(shelf.lock)"}
    assert shown[op.RELEASE] == {"spin_unlock(shelf.lock)"}
    assert shown[op.ADD_FIELD] == {"shelf.value += 1"}
    assert shown[op.STORE] == {"shelf.other = 2"}
    assert shown[op.COMPARE_AND_SWAP] == {"if compare_and_swap(shelf.value, 0, 0) == 1:"}
    assert any("seq" in text for text in shown[op.SEQ_RETRY])
