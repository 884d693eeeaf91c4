"""Locking plans: what they may say, what is refused, and what the pass makes of them."""

import pytest

from lockscape.errors import InputError
from lockscape.experiments.choose import choose_plan
from lockscape.ports import asymmetric, coarse, fine, giant, virtualization
from lockscape.ports.lockorder import check_order, find_cycle, lock_edges
from lockscape.ports.plan import load_plan, parse_plan, plan_names
from lockscape.ports.port import port
from lockscape.program.listing import listing

TWO = """
title = "two locks"
method = "fine"
[[lock]]
name = "one"
object = "DentryCache"
kind = "spinlock"
[[lock]]
name = "two"
object = "FileTable"
kind = "spinlock"
"""


def rule(at, lock, **more):
    text = f'[[rule]]\nat = "{at}"\nlock = "{lock}"\n'
    return text + "".join(f'{k} = "{v}"\n' for k, v in more.items())


@pytest.mark.parametrize("name", plan_names())
def test_every_plan_builds_and_orders_its_locks(name):
    built = port(load_plan(name))
    check_order(built)
    assert built.plan.title
    for lock in built.plan.lock:
        assert lock.evidence, lock.name


@pytest.mark.parametrize("module", [giant, coarse, fine, asymmetric, virtualization])
def test_each_method_opens_with_its_definition_and_has_plans(module):
    assert len(module.__doc__.split()) > 80
    for name in module.PLANS:
        assert load_plan(name).method == module.__name__.rpartition(".")[2]


def test_rules_nest_in_the_order_of_the_file():
    built = port(
        parse_plan(TWO + rule("section dput/put", "one") + rule("section dput/put", "two"), "nested")
    )
    lines = [line.strip() for line in listing(built.program.functions["dput"], built.program.locks)]
    taken = [line for line in lines if "spin_" in line]
    assert taken == ["spin_lock(one)", "spin_lock(two)", "spin_unlock(two)", "spin_unlock(one)"]
    assert ("one", "two") in lock_edges(built)
    check_order(built)


def test_a_cycle_is_refused_with_its_places():
    text = TWO + rule("section dput/put", "one") + rule("section dput/put", "two")
    text += rule("section list_file/list", "two") + rule("section list_file/list", "one")
    with pytest.raises(InputError, match="its locks are taken in a cycle: ") as caught:
        check_order(port(parse_plan(text, "cycle")))
    assert "two while holding one in dput" in str(caught.value)
    assert "one while holding two in list_file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_of_locks_nests_only_as_declared():
    text = TWO + rule("section dput/put", "one") + rule("section dput/put", "one")
    with pytest.raises(InputError, match="one while holding one in dput"):
        check_order(port(parse_plan(text, "twice")))
    nests = text.replace('name = "one"\n', 'name = "one"\nnests = "outer first"\n')
    check_order(port(parse_plan(nests, "declared")))


def test_find_cycle():
    assert find_cycle({("a", "b"): "f", ("b", "c"): "f"}) == []
    assert find_cycle({("a", "b"): "f", ("b", "c"): "f", ("c", "b"): "f"}) == ["b", "c", "b"]
    assert find_cycle({("a", "a"): "f"}) == ["a", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TWO + rule("section dput/puts", "one"),
            "rule at 'section dput/puts': this kernel has no such place",
        ),
        (TWO + rule("section dput/put", "three"), "unknown lock 'three'"),
        (
            TWO + rule("section dput/put", "one", of="dentrie"),
            "unknown variable 'dentrie': did you mean dentry",
        ),
        (
            TWO + rule("section dput/put", "one", of="dentry"),
            "dentry is of class Dentry; one lies in DentryCache",
        ),
        (TWO + rule("section dput/put", "one", mode="shy"), "not a plan: .*shy"),
        (TWO.replace("FileTable", "FileTabel"), "lock two: no object class 'FileTabel'"),
        ("title = 3\nmethod = 'fine'", "not a plan: Expected `str`"),
        ("title", "not a plan: "),
        (TWO + "speed = 3\n", "not a plan: .*speed"),
        (TWO.replace('method = "fine"', 'method = "fine"\n[options]\nturbo = 1'), "no build option 'turbo'"),
    ],
)
def test_plans_that_mean_nothing_are_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        port(parse_plan(text, "mine"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "what"),
    [("coarse-funnel", "fs_funnel"), ("coarse-master", "the master"), ("master-slave", "the master")],
)
def test_a_funnel_in_a_preemptible_kernel_is_refused(base, what):
    text = f'base = "{base}"\ntitle = "v"\n[options]\npreemptible = 1\n'
    with pytest.raises(InputError, match=f"cannot have a funnel \\({what}.*: set preemptible = 0"):
        port(parse_plan(text, "mine"))


def test_plans_by_name_and_from_files(tmp_path):
    with pytest.raises(InputError, match="unknown plan 'gaint': did you mean giant"):
        load_plan("gaint")
    with pytest.raises(InputError, match="cannot be read as a plan"):
        choose_plan(str(tmp_path / "none.toml"))
    (tmp_path / "mine.toml").write_text(TWO)
    assert choose_plan(str(tmp_path / "mine.toml")).title == "two locks"


def test_the_giant_plan_takes_one_lock_at_every_entry():
    built = port(load_plan("giant"))
    entries = [f for f in built.program.functions.values() if f.role in ("entry", "interrupt")]
    assert len(entries) >= 4
    for function in entries:
        text = "\n".join(listing(function, built.program.locks))
        assert ("reacquire_kernel_lock" if function.name == "start_process" else "lock_kernel(") in text
        assert "unlock_kernel(" in text


# --- variants ---------------------------------------------------------------------------------------------


def test_a_variant_says_only_what_it_changes():
    base = load_plan("linux-2.4")
    text = 'base = "linux-2.4"\ntitle = "v"\n[options]\nhz = 50\n[[without]]\nlock = "runqueue_lock"\n'
    plan = parse_plan(text + rule("body search", "kernel_flag", mode="drop"), "mine")
    assert (plan.title, plan.method, plan.options) == ("v", base.method, base.options | {"hz": 50})
    kept = tuple(r for r in base.rule if r.lock != "runqueue_lock")
    assert plan.rule[:-1] == kept and len(kept) < len(base.rule)
    assert (plan.rule[-1].at, plan.rule[-1].mode) == ("body search", "drop")
    assert plan.lock == tuple(lock for lock in base.lock if lock.name != "runqueue_lock")
    assert (plan.costs, plan.atomic) == (base.costs, base.atomic)


def test_a_variant_can_have_the_locking_of_another_plan():
    plan = parse_plan('base = "linux-2.6"\nlocks = "giant"\ntitle = "v"\n', "mine")
    assert plan.options == load_plan("linux-2.6").options
    assert plan.rule == load_plan("giant").rule
    assert plan.method == "giant"


def test_a_lock_goes_with_the_last_of_its_rules():
    whole, kept = (
        load_plan("fine"),
        '[[rule]]\nat = "section sys_yield/yield"\nlock = "queue_lock"\nof = "queue"',
    )
    text = 'base = "fine"\ntitle = "v"\n[[without]]\nlock = "queue_lock"\n'
    names = [lock.name for lock in whole.lock]
    gone = [lock.name for lock in parse_plan(text, "v").lock]
    assert gone == [name for name in names if name != "queue_lock"]
    assert [lock.name for lock in parse_plan(text + kept, "v").lock] == names


def test_an_empty_text_takes_an_entry_of_a_table_out():
    text = 'base = "linux-2.4"\ntitle = "v"\n[atomic]\n"Dentry.count" = ""\n"Zone.free" = "mine"\n'
    plan = parse_plan(text, "mine")
    assert "Dentry.count" not in plan.atomic and plan.atomic["Zone.free"] == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "linux-2.5"\ntitle = "v"', "unknown plan 'linux-2.5'"),
        ('base = "fine"\ntitle = "v"\n[[without]]\nlock = "big"', "no rule of big to take out"),
        ('base = "fine"\ntitle = "v"\n[[without]]\nat = "body x"', "no rule at 'body x' to take out"),
        ('base = "fine"\ntitle = "v"\n[[without]]\n', "neither a place"),
        ('base = "fine"', "missing required field `title`"),
    ],
)
def test_a_variant_that_means_nothing_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_plan(text, "mine.toml")
