"""Advice from a source tree, and the next locks to split."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_tools import LINUX_FILES, Command, write_tree
from lockscape.experiments.advise_kernel import Kernel
from lockscape.experiments.advise_locks import nearest_port, next_locks
from lockscape.experiments.advise_record import make, recorded
from lockscape.report.advise import advice_for
from lockscape.report.advise_tree import given_tree, lock_name, nearest_system, tree_facts
from lockscape.source.open_tree import open_tree

FILES = LINUX_FILES | {
    "fs/inode.c": "void a(void)\n{\n\tspin_lock(&inode->i_lock);\n\tspin_unlock(&inode->i_lock);\n"
    "\tif (spin_trylock(&p->i_lock))\n\t\tspin_unlock(&p->i_lock);\n\tspin_lock(&ipc->lock);\n}\n",
}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.mark.parametrize(
    ("text", "operation", "name"),
    [
        ("spin_lock(&inode->i_lock);", "spin_lock", "i_lock"),
        ("spin_lock (&rq->lock, flags)", "spin_lock", "rq->lock"),
        ("spin_lock_irqsave(&a[f(1, 2)].table.lock, flags)", "spin_lock_irqsave", "table->lock"),
        ("down(&(sem))", "down", "sem"),
        ("lock_kernel()", "lock_kernel", "lock_kernel"),
        ("read_lock(&hash[i & MASK])", "read_lock", "hash"),
        ("spin_lock", "spin_lock", None),
        ("spin_lock(&a", "spin_lock", None),
        ("spin_lock(f(x) + 1)", "spin_lock", None),
    ],
)
def test_the_lock_of_a_call(text: str, operation: str, name: str | None) -> None:
    assert lock_name(text, operation) == name


@given(st.text(max_size=400))
def test_any_text_has_a_lock_or_none(text: str) -> None:
    found = lock_name("f(" + text, "f")
    assert found is None or len(found) < 200


def test_what_a_tree_says(tmp_path: Path) -> None:
    tree = open_tree(str(write_tree(tmp_path / "linux", FILES)))
    facts = tree_facts(tree, workers=1)
    assert (facts.profile, facts.lines, facts.unnamed) == ("paper", 17, 0)
    assert facts.sites == 13
    locks = {each.lock: (each.kind, each.places, each.files) for each in facts.locks}
    assert locks["i_lock"] == ("spin", 2, 1)
    assert {"runqueue_lock", "ipc->lock", "lock_kernel", "sem", "l", "m"} < set(locks)
    assert facts.locks[0].lock == "i_lock", "that most places take is first"
    assert nearest_system(facts) == "linux-2.4"
    known = {each.what: each for each in given_tree(facts)}
    assert known["lines of the kernel"].value == "17"
    assert "tree linux" in known["places of locks"].source
    assert list(given_tree(None)) == []


def test_the_command_with_a_tree(call: Command, tmp_path: Path) -> None:
    tree = str(write_tree(tmp_path / "linux", FILES))
    found = json.loads(call("advise", tree, "--no-locks", "-j", "1", "--json").out)
    assert (found["size"], found["size_of"]) == (17, "the kernel")
    assert found["tree"]["locks"][0]["lock"] == "i_lock"
    assert found["next_locks"] is None
    refused = call("advise", tree, "--kernel-lines", "5", "-j", "1")
    assert refused.code == 1
    assert "drop one of them" in refused.err


def test_the_port_whose_locks_are_told() -> None:
    found = advice_for(Kernel(shared_memory=True, kernel_share=0.6), recorded())
    port, why = nearest_port(found) or ("", "")
    assert port in {name for each in found.ways if each.way == "fine" for name in each.members}
    assert "fine-grained" in why
    assert nearest_port(found, "linux-2.2") == (
        "linux-2.2", "of its models the nearest to the tree by places of locks per line",
    )  # fmt: skip
    contained = advice_for(Kernel(containment=True), recorded())
    assert nearest_port(contained) is None


def test_the_next_locks_of_a_run(tmp_path: Path) -> None:
    found = advice_for(Kernel(workload="netserve", methods=("giant",)), recorded())
    told = next_locks("giant", "asked for", found, recorded(), tmp_path)
    assert (told.workload, told.cpus) == ("netserve", 8)
    assert told.locks[0].lock == "kernel_flag"
    assert 0.1 < told.locks[0].wait_share < 1
    assert told.locks[0].bound is not None
    assert told.locks[0].bound > 1
    assert told.command == "lockscape whatif giant --workload netserve --cpus 8"


@pytest.mark.slow
def test_other_processors_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lockscape.experiments import advise_record

    monkeypatch.setattr(advise_record, "all_names", lambda: ["giant", "fine"])
    kernel = Kernel(cpus=3, workload="compute")
    made = make(recorded(), kernel, tmp_path, 1)
    assert [each.name for each in made.tradeoff.items] == ["giant", "fine"]
    assert made.tradeoff.items[0].scaling[0].points[-1].cpus == 3
    assert [each.workload for each in made.shares] == [each.workload for each in recorded().shares]


def test_the_json_fits_its_schema(call: Command, tmp_path: Path) -> None:
    from test_schemas import check

    tree = str(write_tree(tmp_path / "linux", FILES))
    kept = ("--resume", str(tmp_path / "runs"), "-j", "1", "--json")
    check("advise", call("advise", tree, "--workload", "netserve", "--profile", "net=50,user=50", *kept).out)
    check("advise", call("advise", "--no-locks", "--fault-containment", "--preemptible", "--json").out)
