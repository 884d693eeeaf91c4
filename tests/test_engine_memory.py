"""The engine's memory: what cache lines cost, and collections beside a model in Python."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_tools import Machine, elapsed, program, statistic, stop
from lockscape.machine import layout as at
from lockscape.machine import memory, objects
from lockscape.machine.state import Hardware
from lockscape.program.language import (
    function,
    hold,
    insert,
    now,
    step,
    the,
    this_cpu,
)  # fmt: skip
from lockscape.program.layout import COLLECTION_WORDS
from lockscape.program.locks import LockClass
from lockscape.program.objects import Collection, Object, bitmap, hashed, listed, slotted

TRANSFER, MEMORY, UPGRADE = 100, 70, 30


class Process(Object):
    context: int


class Line(Object, count=2):
    value: int
    other: int


class Log(Object, count=1024):
    """Each processor's own line: only it writes there."""

    before: int
    after: int


# --- cache lines -----------------------------------------------------------------------------------------


class Lines:
    """A line and who has it, by the rules in words: what the engine must do."""

    def __init__(self, group: int = 1, node: int = 1 << 20, remote: int = 100) -> None:
        self.writer: int | None = None
        self.sharers: set[int] = set()
        self.group, self.node, self.remote = group, node, remote

    def access(self, processor: int, write: bool) -> int:
        mine = processor // self.group
        if self.sharers == {mine} and write and self.writer is not None and self.writer != processor:
            cost = TRANSFER
        elif mine in self.sharers:
            cost = UPGRADE if write and self.sharers != {mine} else 0
        elif self.sharers:
            cost = TRANSFER
            if self.writer is not None and self.writer // self.node != processor // self.node:
                cost = cost * self.remote // 100
        else:
            cost = MEMORY
        if write:
            self.writer, self.sharers = processor, {mine}
        else:
            self.sharers.add(mine)
        return cost


def fresh(hardware: Hardware) -> np.ndarray[Any, Any]:
    made = program([read_it], (Process, Line, Log))
    return Machine(made, "read_it", hardware.processors, hardware).state(counted=False).m


@function()
def read_it() -> None:
    line: Line = the(Line)
    log: Log = the(Log, this_cpu())
    log.before = line.value
    stop()


@pytest.mark.parametrize(("processors", "group", "node", "remote"), [
    (1, 1, 0, 100), (8, 1, 0, 100), (62, 1, 0, 100), (63, 2, 0, 100), (64, 2, 0, 100), (65, 4, 0, 100),
    (1024, 32, 0, 100), (16, 1, 4, 250), (256, 8, 64, 130),
])  # fmt: skip
def test_lines_against_the_rules_in_words(processors, group, node, remote):
    hardware = Hardware(processors, TRANSFER, MEMORY, UPGRADE, 0, 0, nodes=node, remote_percent=remote)
    m = fresh(hardware)
    model = Lines(group, node or 1 << 20, remote)
    rng = np.random.default_rng(processors)
    line = len(m) - 8
    costs = set()
    for processor, write in zip(
        rng.integers(0, processors, 600).tolist(), rng.random(600) < 0.4, strict=True
    ):
        cost = int(memory.touch(m, line, processor, int(write)))
        assert cost == model.access(processor, bool(write))
        costs.add(cost)
    if processors > 1:
        assert {0, TRANSFER} <= costs


@function()
def share() -> None:
    """Processor 0 writes a line, all read it twice, and the last writes it."""
    line: Line = the(Line)
    log: Log = the(Log, this_cpu())
    log.after = 0
    step("turn", this_cpu())
    if this_cpu() == 0:
        line.value = 1
    log.before = now()
    n = line.value
    n = line.value
    log.after = now()
    step("long")
    if this_cpu() == 3:
        log.before = now()
        line.value = n
        log.after = now()
        line.value = n
    stop()


def test_reading_a_shared_line_again_is_free_and_writing_it_is_an_upgrade():
    hardware = Hardware(4, TRANSFER, MEMORY, UPGRADE, 0, 0)
    made = program([share], (Process, Line, Log))
    state = Machine(made, "share", 4, hardware, costs={"turn": 1000, "long": 10_000}).run()
    times = [state.system("Log", n) for n in range(4)]
    spent = [state.get(p, "after") - state.get(p, "before") for p in times]
    assert spent == [0, TRANSFER, TRANSFER, UPGRADE]  # the first reads what it wrote; the others once from it
    # a write for each log's line and for the line from memory, three transfers, one upgrade
    assert elapsed(state) == 3000 + 10_000 + MEMORY + TRANSFER + UPGRADE
    assert state.m[at.H_TRANSFERS] == 3


@function()
def write_in_turn() -> None:
    line: Line = the(Line)
    step("turn", this_cpu())
    n = 5
    while n > 0:
        line.value += 1
        step("round")
        n -= 1
    stop()


@pytest.mark.parametrize("processors", [2, 64])
def test_writing_in_turn_transfers_the_line_each_time_also_within_a_group(processors):
    """Beyond 62 processors a bit stands for several of them; writes among them still cost transfers."""
    hardware = Hardware(processors, TRANSFER, MEMORY, UPGRADE, 0, 0)
    made = program([write_in_turn], (Process, Line, Log))
    machine = Machine(
        made, "write_in_turn", processors, hardware, costs={"turn": 500, "round": 500 * processors}
    )
    state = machine.run()
    assert state.get(state.system("Line"), "value") == 5 * processors
    assert state.m[at.H_TRANSFERS] == 5 * processors - 1


class Box(Object, count=1):
    value: int


@function()
def lock_in_turn() -> None:
    box: Box = the(Box)
    step("turn", this_cpu())
    with hold("lock", box):
        step("inside")
    stop()


def test_a_lock_word_is_a_line_of_its_own():
    hardware = Hardware(3, TRANSFER, MEMORY, UPGRADE, 0, 0)
    lock = LockClass("lock", "Box", "spinlock")
    made = program([lock_in_turn], (Process, Box), (lock,))
    state = Machine(made, "lock_in_turn", 3, hardware, costs={"turn": 1000, "inside": 10}).run()
    assert statistic(state, "lock", at.Q_BOUNCED) == 3
    assert elapsed(state) == 2000 + TRANSFER + 10
    assert state.m[at.H_TRANSFERS] == 2


# --- collections -----------------------------------------------------------------------------------------

BITS = 70


class Bag(Object, count=1):
    listed: Collection = listed(base="base", each="each")
    hashed: Collection = hashed(base="base", each="each", buckets=3)
    slotted: Collection = slotted(base="base", each="each", insert_base="place", insert_each="slot")
    bitmap: Collection = bitmap(BITS, base="base", each="each")


class Results(Object, count=1):
    values: Collection = slotted()


FIND, FIND_FROM, POSITION, INSERT, REMOVE, MOVE, FIRST, OLDEST, AFTER, COUNT, FREE = range(1, 12)
NAMES = [
    "",
    "find",
    "find_from",
    "position",
    "insert",
    "remove",
    "move",
    "first",
    "oldest",
    "after",
    "count",
    "first_free",
]


def driver(kind: str) -> str:
    """Return the source of a function that does the workload's operations on one collection."""
    bits = kind == "bitmap"
    calls = {
        FIND: f"find(bag.{kind}, a)", FIND_FROM: f"find_from(bag.{kind}, a, b)", POSITION: f"position(bag.{kind}, a)",
        INSERT: f"insert(bag.{kind}, a, b)", REMOVE: f"remove(bag.{kind}, a)", FIRST: f"first(bag.{kind})",
        OLDEST: f"oldest(bag.{kind})", AFTER: f"after(bag.{kind}, a)", COUNT: f"count(bag.{kind})",
        FREE: f"first_free(bag.{kind}, a)",
    }  # fmt: skip
    wanted = [FIND, INSERT, REMOVE, COUNT, FREE] if bits else [k for k in calls if k != FREE]
    lines = "".join(f"        if kind == {k}:\n            result = {calls[k]}\n" for k in wanted)
    moves = "" if bits else f"        if kind == {MOVE}:\n            move(bag.{kind}, a)\n"
    return (
        f'@function()\ndef {kind}_driver() -> None:\n    bag: Bag = the(Bag)\n    log: Results = the(Results)\n    n = 0\n'
        "    kind = next_operation()\n    while kind != 0:\n        a = operand(1)\n        b = operand(2)\n"
        "        result = 0\n        began = now()\n" + lines + moves +
        "        insert(log.values, n, result)\n        insert(log.values, n + 1, now() - began)\n        n += 2\n"
        "        kind = next_operation()\n    stop()\n"
    )  # fmt: skip


class Model:
    """What a collection means, in Python: results, order, and the positions passed by a search."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values: dict[int, int] = {}
        self.slots: list[int | None] = []
        self.bits: set[int] = set()

    def slot(self, key: int) -> int:
        return self.slots.index(key) if key in self.slots else -1

    def do(self, code: int, a: int, b: int) -> int:  # noqa: C901 - one case an operation
        if self.kind == "bitmap":
            return self.bit(code, a)
        keys = list(self.values)
        match NAMES[code]:
            case "find" | "find_from":
                return self.values.get(a, 0)
            case "position":
                return self.slot(a) if self.kind == "slotted" else (0 if a in self.values else -1)
            case "insert":
                fresh = a not in self.values
                self.values[a] = b
                if fresh:
                    free = self.slots.index(None) if None in self.slots else len(self.slots)
                    self.slots[free : free + 1] = [a]
                return int(fresh)
            case "remove":
                if a in self.slots:
                    self.slots[self.slots.index(a)] = None
                return self.values.pop(a, 0)
            case "move":
                if a in self.values:
                    self.values[a] = self.values.pop(a)
                return 0
            case "first":
                return self.values[keys[0]] if keys else 0
            case "oldest":
                return keys[0] if keys else 0
            case "after":
                later = keys[keys.index(a) + 1 :] if a in self.values else []
                return self.values[later[0]] if later else 0
            case "count":
                return len(keys)
        raise AssertionError(code)

    def bit(self, code: int, a: int) -> int:
        match NAMES[code]:
            case "find":
                return int(a in self.bits)
            case "insert":
                fresh = a not in self.bits
                self.bits.add(a)
                return int(fresh)
            case "remove":
                was = a in self.bits
                self.bits.discard(a)
                return int(was)
            case "count":
                return len(self.bits)
            case "first_free":
                order = [*range(a, BITS), *range(a)]
                return next((k for k in order if k not in self.bits), -1)
        raise AssertionError(code)

    def passed(self, code: int, a: int, b: int) -> int:
        """Return how many positions the operation's cost is multiplied by."""
        keys, name = list(self.values), NAMES[code]
        if self.kind == "bitmap":
            return self.words(a) if name == "first_free" else 0
        if self.kind == "hashed":
            return 1 + len(keys) // 3
        if self.kind == "listed":
            return keys.index(a) + 1 if a in keys else len(keys)
        number = len(keys)
        if name == "insert":
            free = self.slots.index(None) if None in self.slots else len(self.slots)
            return min(free, number)
        if a not in self.values:
            return number
        place = min(self.slot(a), number - 1)
        return place + 1 if name != "find_from" else (place - min(b, number - 1)) % number + 1

    def words(self, goal: int) -> int:
        """Return the 32-bit words that a search from the goal on looks at."""
        found = self.bit(FREE, goal)
        words = (BITS + 31) // 32
        if found < 0 or (found < goal and found // 32 == goal // 32):
            return words + 1
        return (found // 32 - goal // 32) % words + 1


SEARCHES = (FIND, FIND_FROM, FREE)
OPERATIONS = st.tuples(st.sampled_from(range(1, 12)), st.integers(0, 11), st.integers(0, 9))


def legal(kind: str, code: int) -> bool:
    return code in (FIND, INSERT, REMOVE, COUNT, FREE) if kind == "bitmap" else code != FREE


def drivers(tmp: Any) -> Any:
    """Import a module with the drivers of all kinds (the parser wants source files)."""
    import importlib.util
    import sys

    path = tmp / "drivers.py"
    head = "from test_engine_memory import Bag, Results\nfrom engine_tools import stop\n"
    names = "after, count, find, find_from, first, first_free, function, insert, move, next_operation, now, oldest, operand, position, remove, the"
    path.write_text(
        f"from lockscape.program.language import {names}\n{head}\n" + "\n\n".join(driver(k) for k in KINDS)
    )
    spec = importlib.util.spec_from_file_location("collection_drivers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["collection_drivers"] = module
    spec.loader.exec_module(module)
    return module


COSTS = {"base": 100, "each": 7, "place": 40, "slot": 3}
KINDS = ("listed", "hashed", "slotted", "bitmap")


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    module = drivers(tmp_path_factory.mktemp("drivers"))
    return {k: program([getattr(module, f"{k}_driver")], (Process, Bag, Results)) for k in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_collections_against_a_model(kind, machines):
    @settings(deadline=None, max_examples=80)
    @given(st.lists(OPERATIONS, min_size=1, max_size=60), st.booleans())
    def check(operations, scale):
        spread = 6 if kind == "bitmap" and scale else 1
        rows = [(c, a * spread, b + 1) for c, a, b in operations if legal(kind, c)] or [(COUNT, 0, 0)]
        machine = Machine(machines[kind], f"{kind}_driver", costs=COSTS, work=rows)
        state = machine.state()
        for context in state.contexts:
            state.m[context + at.C_WORK_END] = len(rows)
        from lockscape.machine.execute import execute

        assert execute(state).reason == at.REASON_DONE
        got = [v for _, v in sorted(state.items(state.system("Results"), "values"))]
        model = Model(kind)
        for n, (code, a, b) in enumerate(rows):
            positions = model.passed(code, a, b)
            costs = COSTS["base"] + COSTS["each"] * positions if code in SEARCHES else 0
            if code == INSERT and kind == "slotted":
                costs = COSTS["place"] + COSTS["slot"] * positions
            assert got[2 * n + 1] == costs, (n, NAMES[code], a, b)
            expected = model.do(code, a, b)
            if code not in (MOVE,) and not (code == POSITION and kind != "slotted"):
                assert got[2 * n] == expected, (n, NAMES[code], a, b)
        bag = state.system("Bag")
        if kind == "bitmap":
            assert [k for k, _ in state.items(bag, kind)] == sorted(model.bits)
        else:
            assert state.items(bag, kind) == list(model.values.items())

    check()


@pytest.mark.parametrize("number", [63, 64, 65, 200, 1000])
def test_slots_grow_and_are_filled_first_fit(number, machines):
    rows = [(INSERT, k, 1) for k in range(number)] + [(REMOVE, k, 0) for k in (5, 3, number - 1)]
    rows += [(INSERT, 5000 + k, 1) for k in range(4)] + [(POSITION, 5000 + k, 0) for k in range(4)]
    machine = Machine(machines["slotted"], "slotted_driver", work=rows)
    state = machine.state()
    for context in state.contexts:
        state.m[context + at.C_WORK_END] = len(rows)
    from lockscape.machine.execute import execute

    assert execute(state).reason == at.REASON_DONE
    got = [v for _, v in sorted(state.items(state.system("Results"), "values"))]
    assert got[-8::2] == [3, 5, number - 1, number]


@function()
def fill() -> None:
    bag: Bag = the(Bag)
    insert(bag.listed, 9, 1)
    insert(bag.listed, 8, 2)
    insert(bag.slotted, 7, 3)
    stop()


def test_an_object_is_freed_also_when_a_broken_kernel_has_lost_the_index_of_what_it_holds():
    """A kernel that goes on with a freed object does that; it must not keep the engine busy for ever."""
    state = Machine(program([fill], [Process, Bag]), "fill").run()
    bag = state.system("Bag", 0)
    first = bag + (
        int(state.m[state.m[at.H_CLASS] + state.m[bag] * at.CLASS_WORDS + at.K_COLLECTIONS]) & 0xFFFF
    )
    node = int(state.m[first + at.S_FIRST])
    state.m[node + at.N_KEY] = 5  # no bucket has it there
    objects.empty_collections(state.m, bag)
    assert not state.m[first + at.S_FIRST] and not state.m[first + at.S_COUNT]
    assert memory.node_of(state.m, first + 2 * COLLECTION_WORDS, 7) == 0
