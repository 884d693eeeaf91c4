"""The 22 systems: each file loads, its kernel can be built, its mechanism shows, and no two are the same."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from lockscape import catalog
from lockscape.errors import InputError
from lockscape.experiments.choose import choose, expand
from lockscape.experiments.observe import observe, show_mechanism, trial_spec
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import load_run, simulate
from lockscape.systems.load import convert_system, load_system, system_ids
from lockscape.workloads.postmark import PostmarkOptions
from trial_tools import SYSTEMS

SMALL = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=20, transactions=40)

MECHANISMS = [(name, each.id) for name in SYSTEMS for each in load_system(name).mechanisms]

QUICK = ("freebsd-4.9", "solaris", "qnx", "synthesis", "piglet", "cellular-disco")
"""Systems that the fast tier runs."""

FEW = {("linux-2.0", "interrupts-to-one-processor"), ("freebsd-4.9", "forwarded-interrupts")}
"""Mechanisms that the fast tier looks at."""

MINE = """
machine = "pentium4"
machine_evidence = "mine"

[plan]
base = "giant"
title = "mine"

[[mechanism]]
id = "spread"
text = "interrupts go to who asked"
source = "me"
confidence = "E"
off = {options = {spread_interrupts = 0}}
shown = {workload = "postmark", cpus = 2, observable = "first.interrupt", direction = "lower"}

[[variant]]
id = "slow"
title = "mine, with a slow clock"
change = {options = {hz = 10}}
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SYSTEMS]
)
def test_a_system_runs(name: str) -> None:
    found = load_system(name)
    assert catalog.system(found.id.partition("@")[0]).id == found.id.partition("@")[0]
    cpus = min(2, found.most_processors)
    spec = RunSpec(name, found.plan, cpus, 2, SMALL, "each", machine=found.machine)
    assert simulate(spec).makespan_cycles > 0
    assert found.listing in load_run(spec).port.ported


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [pytest.param(*each, marks=() if each in FEW else pytest.mark.slow) for each in MECHANISMS],
)
def test_a_mechanism_shows(name: str, mechanism: str) -> None:
    found = load_system(name)
    moved = show_mechanism(found, next(each for each in found.mechanisms if each.id == mechanism))
    assert moved.expected, (
        f"{moved.mechanism.shown.observable}: {moved.with_it} with it, {moved.without_it} without"
    )


def digest(name: str) -> str:
    """Return what a system's programs, topology and machine are on four processors, if it has so many."""
    found = load_system(name)
    cpus = min(4, found.most_processors)
    loaded = load_run(RunSpec(name, found.plan, cpus, 2, SMALL, machine=found.machine))
    topology = loaded.port.topology().instances(cpus, loaded.port.options)
    content = f"{loaded.machine.state.binary.code.tobytes()!r} {topology} {found.machine}"
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.slow
def test_no_two_systems_are_the_same() -> None:
    found = {name: digest(name) for name in SYSTEMS}
    assert len(set(found.values())) == len(found)


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    found = choose(str(path))
    assert found.plan.title == "mine"
    assert choose(f"{path}@slow").plan.options == {"hz": 10}
    assert found.without("spread").plan.options == {"spread_interrupts": 0}
    assert choose(str(path)).variants == {"slow": "mine, with a slow clock"}


def mine(**changes: object) -> dict[str, object]:
    """Return a small system's table with some keys changed; None takes one out."""
    shown = {"workload": "postmark", "cpus": 2, "observable": "steps", "direction": "lower"}
    mechanism = {"id": "m", "text": "t", "source": "s", "confidence": "E", "off": {}, "shown": shown}
    table: dict[str, object] = {
        "machine": "pentium4", "machine_evidence": "e", "plan": "giant", "mechanism": [mechanism]
    } | changes  # fmt: skip
    return {key: value for key, value in table.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": None}, "not a system: Object missing required field `machine`"),
        ({"machine": "vax"}, "unknown machine 'vax'"),
        ({"mechanism": []}, "not a system: Expected `array` of length >= 1"),
        ({"most_processors": 2}, "most_processors needs most_evidence"),
        ({"colour": 1}, "unknown field `colour`"),
        ({"plan": "gaint"}, "did you mean giant"),
        ({"plan": {"base": "giant"}}, "not a plan"),
        ({"variant": [{"id": "a", "title": "t"}] * 2}, "two variants have the id 'a'"),
    ],
)
def test_bad_files_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        convert_system(mine(**changes), "mine.toml")


def test_names_that_are_none() -> None:
    with pytest.raises(InputError, match=r"did you mean linux-2\.0"):
        choose("linux-20")
    with pytest.raises(InputError, match="mine: unknown variant 'x': use one of uniprocessor"):
        convert_system(mine(), "mine", "x")
    with pytest.raises(InputError, match="unknown mechanism 'x'"):
        convert_system(mine(), "mine").without("x")
    assert choose("linux-2.0@uniprocessor").plan.rule == ()
    assert expand(["giant", "all", "linux-2.0"]) == ["giant", *system_ids()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("colour", "unknown observable"),
        ("share.rest", "unknown mode"),
        ("calls.read.size", "unknown field of calls 'size'"),
    ],
)
def test_observables_that_are_none(name: str, words: str) -> None:
    found = load_system("linux-2.0")
    shown = msgspec.structs.replace(found.mechanisms[0].shown, workload="postmark", cpus=1, operations=20)
    result = simulate(trial_spec(found, shown))
    assert observe(result, "makespan_s") == result.makespan_s
    assert observe(result, "calls.none.count") == 0
    read = next(each for each in result.calls if each.call == "read")
    assert observe(result, "calls.read.mean_us") == read.mean_cycles / result.clock_mhz
    assert observe(result, "calls.read.total_share") == read.total_cycles / result.makespan_cycles
    with pytest.raises(InputError, match=words):
        observe(result, name)
