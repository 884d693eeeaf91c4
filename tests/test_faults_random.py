"""Random programs: what is locked rightly is clean, and what is missing is found (or would be equivalent)."""

from collections import defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults_tools import Machine, Process, run, stop_here
from lockscape.machine import layout as at
from lockscape.program.locks import LockClass
from lockscape.program.nodes import (
    Add,
    Assign,
    Binary,
    Call,
    Const,
    Do,
    Field,
    Function,
    Hold,
    If,
    Op,
    Section,
    Step,
    Store,
    The,
    Var,
    While,
)  # fmt: skip
from lockscape.program.objects import Object

PARTS = ("a", "b", "c")


class Crate(Object, count=1):
    a: int
    b: int
    c: int


LOCKS = tuple(LockClass(f"lock_{part}", "Crate", "spinlock") for part in PARTS)
accesses = st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from("rwa")), min_size=1, max_size=4)
tasks = st.lists(st.lists(accesses, min_size=1, max_size=3), min_size=2, max_size=3)
"""For each processor its operations, each a list of accesses (part, read / write / add) in one section."""

fast = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
CRATE = Var("crate")


def step_of(part, kind):
    place = Field(CRATE, "Crate", part)
    if kind == "r":
        return Assign("seen", place)
    return Store(place, Const(1)) if kind == "w" else Add(place, Const(1))


def operation(number, deeds, whole, each):
    """One section. `whole`: parts whose lock is held around all of it; `each`: around each access only."""
    steps = []
    for part, kind in deeds:
        one = (step_of(part, kind),)
        if part in each:
            one = (Hold(f"lock_{part}", CRATE, "exclusive", one),)
        steps += [Step("work"), *one]
    named = tuple(Field(CRATE, "Crate", part) for part in PARTS)
    body = (Section(f"op{number}", named, tuple(steps)),)
    for part in sorted(whole, reverse=True):
        body = (Hold(f"lock_{part}", CRATE, "exclusive", body),)
    return body


def program(plan, pauses=()):
    """A function in which each processor does its operations. `plan`: lists of (deeds, whole, each)."""
    body = [Assign("crate", The("Crate")), Assign("cpu", Op("this_cpu"))]
    number = 0
    for cpu, operations in enumerate(plan):
        mine = [Step("pause", Const(pauses[cpu]))] if pauses else []
        for deeds, whole, each in operations:
            mine += operation(number, deeds, whole, each)
            number += 1
        loop = (
            Assign("n", Const(3)),
            While(Binary(">", Var("n"), Const(0)), (Assign("n", Binary("-", Var("n"), Const(1))), *mine)),
        )
        body.append(If(Binary("==", Var("cpu"), Const(cpu)), loop))
    main = Function("main", (), (*body, Do(Call("stop_here"))))
    return Machine(
        (stop_here, main), (Process, Crate), main, LOCKS, cpus=len(plan), costs={"work": 20, "pause": 37}
    )


def right(operations):
    return [[(deeds, {p for p, _ in deeds}, ()) for deeds in mine] for mine in operations]


@fast
@given(tasks, st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_right_programs_are_clean(operations, pauses):
    seen = run(program(right(operations), pauses))
    assert seen.stopped.reason == at.REASON_DONE
    assert seen.faults == []


def writes(deeds, part):
    return any(p == part and kind != "r" for p, kind in deeds)


def touches(deeds, part):
    return any(p == part for p, _ in deeds)


def equivalent(operations, cpu, deeds, part):
    """The lock is not missed: no other processor's operation conflicts, or each that does shares another lock."""
    rest = {p for p, _ in deeds} - {part}
    for other, mine in enumerate(operations):
        for theirs in mine:
            conflict = touches(theirs, part) and (writes(theirs, part) or writes(deeds, part))
            if other != cpu and conflict and not rest & {p for p, _ in theirs}:
                return False
    return True


@fast
@given(tasks, st.data())
def test_a_missing_lock_is_found(operations, data):
    cpu = data.draw(st.integers(0, len(operations) - 1))
    number = data.draw(st.integers(0, len(operations[cpu]) - 1))
    deeds = operations[cpu][number]
    part = data.draw(st.sampled_from(sorted({p for p, _ in deeds})))
    plan = right(operations)
    plan[cpu][number] = (deeds, plan[cpu][number][1] - {part}, ())
    seen = run(program(plan))
    if equivalent(operations, cpu, deeds, part):
        assert seen.faults == []
    else:
        assert "race" in seen.kinds
        assert any(f"Crate[0].{part}" in f.objects for f in seen.faults)


def cyclic(rows, state):
    """The plain definition: all executions of sections, all conflicts between them, and a search for a cycle."""
    current, count, owners = {}, 0, {}
    history = defaultdict(list)
    edges = defaultdict(set)
    crate = state.system("Crate")
    for _, _, ctx, _, kind, place, offset, _ in rows.tolist():
        if kind == at.T_SECTION:
            count += 1
            current[ctx] = count
        elif kind == at.T_SECTION_END:
            del current[ctx]
        elif kind in (at.T_READ, at.T_WRITE) and place == crate:
            if ctx in current:
                me = current[ctx]
            else:
                count += 1
                me = count
            owners[me] = ctx
            for other, write in history[offset]:
                if other != me and (write or kind == at.T_WRITE):
                    edges[other].add(me)
            history[offset].append((me, kind == at.T_WRITE))
    done = {}

    def back(node):
        done[node] = False
        for then in edges[node]:
            if done.get(then) is False or (then not in done and back(then)):
                return True
        done[node] = True
        return False

    return any(back(node) for node in list(edges) if node not in done)


@fast
@given(tasks, st.lists(st.integers(0, 5), min_size=3, max_size=3), st.data())
def test_broken_sections_are_those_of_the_definition(operations, pauses, data):
    """Locks around single steps are free of races, and wrong exactly if the run shows a cycle."""
    plan = []
    for mine in operations:
        plan.append([])
        for deeds in mine:
            whole = {p for p, _ in deeds if data.draw(st.booleans())}
            plan[-1].append((deeds, whole, {p for p, _ in deeds} - whole))
    seen = run(program(plan, pauses))
    assert seen.kinds - {"lock order"} <= {"broken section", "no progress"}
    assert ("broken section" in seen.kinds) == cyclic(seen.rows, seen.state)
