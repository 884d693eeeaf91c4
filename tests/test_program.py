"""The language: parsing, lowering, listing and assembling."""

from typing import Annotated

import pytest

from lockscape.errors import InputError
from lockscape.program import opcodes as op
from lockscape.program.assemble import Program, assemble, row_text
from lockscape.program.language import (
    NONE,
    current,
    find,
    function,
    hold,
    insert,
    masked,
    new,
    option,
    section,
    step,
    the,
)
from lockscape.program.layout import LOCK_WORDS
from lockscape.program.listing import listing, sites
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.nodes import Hold, Op, Section, While
from lockscape.program.objects import Collection, Object, Racy, layout, slotted
from lockscape.program.parse import parse

LIMIT = 7


class Leaf(Object):
    weight: int
    seen: Annotated[int, Racy("a hint")]


class Tree(Object, count=2):
    total: int
    best: Leaf
    leaves: Collection = slotted(Leaf, base="scan", each="entry")


LOCKS = {
    "tree_lock": LockClass("tree_lock", "Tree", "spinlock"),
    "tree_sem": LockClass("tree_sem", "Tree", "sema"),
    "tree_rw": LockClass("tree_rw", "Tree", "rwlock", masks=True),
    "tree_seq": LockClass("tree_seq", "Tree", "seqlock"),
}


@function()
def weigh(tree: Tree, name: int) -> int:
    """Add a leaf's weight."""
    step("start")
    with section("sum", tree.total, tree.leaves):
        leaf: Leaf = find(tree.leaves, name)
        if leaf == NONE:
            leaf = new(Leaf)
            insert(tree.leaves, name, leaf)
        leaf.weight += 1
        tree.total += leaf.weight
    return tree.total


@function()
def guarded(tree: Tree) -> int:
    with hold("tree_lock", tree):
        if tree.total > LIMIT:
            return 0
        while tree.total < 3:
            with masked():
                tree.total += 1
                if tree.total == 2:
                    break
    return tree.total + 1


@function()
def optional() -> int:
    if option("fast") and not option("slow"):
        return 1
    if current() == NONE or option("slow") == 1:
        return 2
    return 3


def code_of(*sources, locks=None, costs=None, **options):
    functions = {s.__name__: lower(parse(s, options), locks or {}, False) for s in sources}
    layouts = {
        c.__name__: layout(c, tuple(k.name for k in (locks or {}).values() if k.object == c.__name__))
        for c in (Leaf, Tree)
    }
    return assemble(
        Program(functions, layouts, locks or {}), lambda name: (costs or {}).get(name, 10), traced=True
    )


def test_layout_has_head_fields_collections_and_locks():
    shape = layout(Tree, ("tree_lock",))
    assert shape.fields == {"total": 4, "best": 5}
    assert shape.collections == {"leaves": 6}
    assert shape.locks == {"tree_lock": 15}
    assert shape.words == 15 + LOCK_WORDS
    assert shape.count == "2"
    assert shape.infos["best"].refers == "Leaf"
    assert layout(Leaf).infos["seen"].racy == "a hint"


def test_parse_keeps_sections_and_classes():
    parsed = parse(weigh, {})
    assert parsed.params == ("tree", "name")
    assert parsed.types["leaf"] == "Leaf"
    inside = next(s for s in parsed.body if isinstance(s, Section))
    assert inside.name == "sum"
    assert [t.name for t in inside.targets] == ["total", "leaves"]


def test_listing_reads_as_written():
    assert listing(parse(weigh, {}), {}) == [
        "weigh(tree, name)",
        "    step start",
        "    section sum, tree.total, tree.leaves:",
        "        leaf = find(tree.leaves, name)",
        "        if leaf == NONE:",
        "            leaf = new(Leaf)",
        "            insert(tree.leaves, name, leaf)",
        "        leaf.weight += 1",
        "        tree.total += leaf.weight",
        "    return tree.total",
    ]


def test_every_way_out_of_a_hold_releases():
    lowered = lower(parse(guarded, {}), LOCKS, False)
    lines = listing(lowered, LOCKS)
    assert lines == [
        "guarded(tree)",
        "    spin_lock(tree.tree_lock)",
        "    if tree.total > LIMIT:",
        "        spin_unlock(tree.tree_lock)",
        "        return 0",
        "    while tree.total < 3:",
        "        local_irq_disable()",
        "        tree.total += 1",
        "        if tree.total == 2:",
        "            local_irq_enable()",
        "            break",
        "        local_irq_enable()",
        "    spin_unlock(tree.tree_lock)",
        "    return tree.total + 1",
    ]
    assert sites(lowered, LOCKS) == {"spinlock": 3}


def test_a_preemptible_kernel_turns_preemption_off_with_spin_locks_only():
    @function()
    def apart(tree: Tree) -> None:
        with hold("tree_sem", tree), masked():
            step("a")
        with hold("tree_rw", tree, "shared"):
            step("b")

    assert listing(lower(parse(apart, {}), LOCKS, True), LOCKS)[1:] == [
        "    down(tree.tree_sem)",
        "    local_irq_disable()",
        "    step a",
        "    local_irq_enable()",
        "    up(tree.tree_sem)",
        "    local_irq_disable()",
        "    preempt_off()",
        "    read_lock(tree.tree_rw)",
        "    step b",
        "    read_unlock(tree.tree_rw)",
        "    preempt_on()",
        "    local_irq_enable()",
    ]


def test_a_sequence_lock_is_listed_as_a_loop_and_counts_two_sites():
    @function()
    def reads(tree: Tree) -> int:
        with hold("tree_seq", tree, "retry"):
            total = tree.total
        return total + 0

    lowered = lower(parse(reads, {}), LOCKS, False)
    assert listing(lowered, LOCKS)[1:4] == [
        "    do: seq = read_seqbegin(tree.tree_seq)",
        "        total = tree.total",
        "    while read_seqretry(tree.tree_seq, seq)",
    ]
    assert sites(lowered, LOCKS) == {"seqlock": 2}
    binary = code_of(reads, locks=LOCKS)
    loads = [r for r in binary.code if r[0] == op.LOAD]
    assert [r[4] for r in loads] == [op.OPTIMISTIC]
    retry = next(r for r in binary.code if r[0] == op.SEQ_RETRY)
    assert binary.code[retry[5]][0] == op.SEQ_BEGIN


def test_options_are_decided_before_anything_else():
    assert listing(parse(optional, {"fast": 1, "slow": 0}), {}) == [
        "optional()",
        "    return 1",
        "    if current() == NONE:",
        "        return 2",
        "    return 3",
    ]
    assert listing(parse(optional, {"fast": 0, "slow": 1}), {})[1:3] == [
        "    if (current() == NONE) or 1:",
        "        return 2",
    ]


def test_searching_costs_base_and_each():
    binary = code_of(weigh, costs={"scan": 100, "entry": 7})
    costs = [r.tolist() for r in binary.code if r[0] == op.SEARCH_COST]
    assert [(c[5], c[6], c[7]) for c in costs] == [(100, 7, 0)]
    assert "find" not in row_text(binary, 0)
    assert binary.sections == ["weigh/sum"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    for x in 3:\n        pass", "the language has no For"),
        ("    return missing", "missing has no value yet"),
        ("    return the(Nothing)", "takes an object class, not 'Nothing'"),
        ("    return the(Tree).height", "Tree has no part 'height': total, best, leaves"),
        ("    return option('speed')", "no build option 'speed': fast"),
        ("    return print(1)", "print is not a function of the simulator"),
        ("    return find(the(Tree).leaves)", "find takes 2 arguments, not 1"),
        ("    the(Tree).total *= 2", r"changed by \+= and -= only"),
        (
            "    with hold('tree_lock', the(Tree), 'shy'):\n        pass",
            "mode 'shy': one of exclusive, shared",
        ),
        ("    x = 3\n    return x.weight", "the class of x is not known"),
    ],
)
def test_what_the_language_lacks_is_named_with_its_line(body, message, tmp_path, monkeypatch):
    source = "from lockscape.program.language import *\nfrom test_program import Tree\n\n\n@function()\ndef wrong() -> int:\n"
    (tmp_path / "wrong_source.py").write_text(source + body + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    import importlib
    import sys

    sys.modules.pop("wrong_source", None)
    module = importlib.import_module("wrong_source")
    with pytest.raises(InputError, match=message) as caught:
        parse(module.wrong, {"fast": 1})
    assert "wrong_source.wrong, line " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_locks_and_calls_are_refused():
    @function()
    def takes(tree: Tree) -> None:
        with hold("tree_luck", tree):
            step("a")

    with pytest.raises(InputError, match="no lock 'tree_luck'; the plan declares: tree_lock"):
        lower(parse(takes, {}), LOCKS, False)

    @function()
    def calls(tree: Tree) -> int:
        return weigh(tree, 1)

    with pytest.raises(InputError, match="calls calls 'weigh', which is not a function of this kernel"):
        code_of(calls)


def test_python_does_not_run_simulated_operations():
    with pytest.raises(TypeError, match=r"find\(\) means something only inside a function marked"):
        find(1, 2)
    with pytest.raises(ValueError, match="role 'nurse': one of kernel, waker, user"):
        function("nurse")


def test_a_loop_jumps_back_and_break_leaves_it():
    binary = code_of(guarded, locks=LOCKS)
    targets = [int(r[1]) for r in binary.code if r[0] == op.JUMP]
    assert all(0 <= t <= len(binary.code) for t in targets)
    parsed = parse(guarded, {})
    assert any(isinstance(s, Hold) and any(isinstance(x, While) for x in s.body) for s in parsed.body)


def test_system_objects_by_number():
    @function()
    def second() -> int:
        tree: Tree = the(Tree, 1)
        return tree.total

    row = next(r for r in code_of(second).code if r[0] == op.THE)
    assert row[4] == layout(Tree).words
    assert isinstance(parse(second, {}).body[0].value, type(parse(second, {}).body[0].value))
    assert not isinstance(parse(second, {}).body[0].value, Op)
