"""Linux 2.0, 2.2, 2.4 and 2.6 as plans: complete, true to their sources, and without faults."""

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from linux_citations import CITATION, citations, missing, places
from linux_locks import CALLS, LEFT_OUT, LOCKS, ORDER, TREES, counts
from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import _built, _machine_of, kernel_key, load_run, run_to_end, simulate
from lockscape.experiments.sample import kernel_steps
from lockscape.kernel import entry
from lockscape.kernel.build import OPTIONS, SEMAPHORES
from lockscape.kernel.vectors import TICK
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.ports.plan import Plan, load_plan
from lockscape.ports.port import Port, port
from lockscape.program.listing import site_kind, sites
from lockscape.program.nodes import Function, Hold, Section, Sync
from lockscape.program.walk import called, walk
from lockscape.source.census import census
from lockscape.source.profile import load_profile
from lockscape.source.tree import Directory
from lockscape.workloads import user
from lockscape.workloads.load import Stream, load, postmark_stream
from lockscape.workloads.postmark import PostmarkOptions, operations

VERSIONS = list(TREES)
WORK = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=10, transactions=50)
MIXED = PostmarkOptions(
    size_low_bytes=500, size_high_bytes=20000, files=10, transactions=30, subdirectories=3
)


def plan_of(version: str) -> Plan:
    return load_plan(f"linux-{version}")


@cache
def built(version: str) -> Port:
    return port(plan_of(version), [user])


# --- the plans as data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_rule_cites_the_source(version):
    plan = plan_of(version)
    for rule in plan.rule:
        assert CITATION.match(rule.source), f"{rule.at} {rule.lock}: {rule.source!r} begins with no citation"
    for name, text in {**plan.atomic, **plan.features}.items():
        assert text, name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_of_a_plan_is_a_feature_with_its_source(version):
    plan = plan_of(version)
    for option, value in plan.options.items():
        assert value != OPTIONS[option] or option in ("slice_ticks",), f"{option} = {value} is the default"
        said = {"inode_age_seconds": "flush_thread"}.get(option, option)
        assert said in plan.features, option
    cited = [name for name, text in plan.features.items() if citations(text)]
    assert set(plan.features) - set(cited) <= {"spread_interrupts"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_lock_of_the_source_has_a_rule_or_is_left_out(version):
    plan = plan_of(version)
    declared = {lock.name for lock in (*SEMAPHORES, *plan.lock)}
    used = {rule.lock for rule in plan.rule} | {
        node.lock for f in built(version).source.values() for node in walk(f.body) if isinstance(node, Hold)
    }
    for name in LOCKS[version].split():
        assert name in declared and name in used, name
    for name in LEFT_OUT[version].split():
        assert name in plan.features["left_out"], name
    assert {lock.name for lock in plan.lock} <= set(LOCKS[version].split())


@pytest.mark.parametrize("version", VERSIONS)
def test_costs_differ_from_the_reference_and_stay_positive(version):
    for step, instructions in plan_of(version).costs.items():
        assert instructions > 0, step


# --- runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_two_processes_run_to_the_end_and_add_up(version, cpus):
    name = f"linux-{version}"
    result = simulate(RunSpec(name, load_plan(name), cpus, processes=2, postmark=WORK, seeding="each"))
    assert result.makespan_cycles > 0
    assert min(process.transactions for process in result.processes) == 50


@pytest.mark.parametrize("version", VERSIONS)
def test_no_faults_with_four_processes_on_four_processors(version):
    name = f"linux-{version}"
    spec = RunSpec(name, load_plan(name), 4, processes=4, postmark=MIXED, seeding="each")
    loaded = load_run(spec, traced=True)
    detector = Detector(loaded.machine.state, loaded.port.rules())
    run_to_end(loaded, reader=detector.read)
    assert [fault.message for fault in detector.faults] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_no_faults_in_one_directory_while_everything_is_written_back(version):
    """Names collide; ticks come every 100,000 cycles, and at each the flusher writes all that is dirty."""
    plan = plan_of(version)
    busy = {
        "buffer_age_seconds": 0,
        "inode_age_seconds": 0,
        "flush_seconds": 0,
        "disk_cycles": 30_000,
        "slice_ticks": 1,
    }
    made = port(plan, [user], **busy)
    costs = CostTable(preset("pentium4"), kernel_steps(), plan.costs)
    streams = [postmark_stream(operations(structs.replace(MIXED, seed=42 + k))) for k in range(3)]
    state = load(made, costs, 3, streams, traced=True, together=True).state
    for number, v in enumerate(state.virtuals):
        if state.m[v + at.V_PERIOD]:
            state.m[v + at.V_PERIOD] = 100_000
            state.m[v + at.V_DUE + TICK] = state.m[v + at.V_NEXT] = 30_000 * (number + 1)
    state.set(state.system("Clock"), flush=4)
    detector = Detector(state, made.rules())
    stopped = execute(state, reader=detector.read)
    assert stopped.reason == at.REASON_DONE, stopped.text
    assert [fault.message for fault in detector.faults] == []
    flusher = state.get(state.system("Clock"), "flusher")
    assert int(state.m[state.get(flusher, "context") + at.C_PC]) != state.binary.starts["flush_thread"], (
        "never ran"
    )


# --- the order of locks, call by call -----------------------------------------------------------------------

FILE = 7
STEPS = [
    (user.DO_CREATE, ["creat", "fstat", "mmap", "fault", "first write", "close after write", "munmap"]),
    (user.DO_READ, ["open", "fstat", "mmap", "fault", "first read", "close after read", "munmap"]),
    (user.DO_READ, ["open", "fstat", "mmap", "fault", "read", "close after read", "munmap"]),
    (user.DO_APPEND, ["", "fstat", "mmap", "fstat", "lseek", "fault", "append", "", "munmap"]),
    (user.DO_DELETE, ["unlink"]),
]
"""One file's life, and what each of its system calls is."""


def life(warm: int) -> Stream:
    """Return the operations: some files to warm everything up, then one file's life."""
    rows = [(user.DO_CREATE, 0, 100 + k, 100, 0, 0) for k in range(warm)]
    rows += [(user.DO_READ, 0, 100 + k, 100, 0, 0) for k in range(warm)]
    rows += [(user.DO_DELETE, 0, 100 + k, 0, 0, 0) for k in range(1, warm)]
    rows += [(kind, 0, FILE, 50 if kind == user.DO_APPEND else 100, 0, 0) for kind, _ in STEPS]
    return Stream(np.array(rows, np.int64))


@cache
def taken(version: str) -> dict[str, list[str]]:
    """Return the locks that each call takes, in order, in a run of one process on one processor."""
    spec = RunSpec("", plan_of(version), 1, processes=1, postmark=WORK)
    made = _built(kernel_key(spec), True, False, *_machine_of(spec))
    state = load(made.port, made.costs, 1, [life(6)], True, made.binary).state
    calls: list[tuple[int, list[str]]] = []
    inside = [0, 0]

    def read(rows):
        for _, _, _, _, kind, place, _, value in rows.tolist():
            if kind == at.T_CALL:
                calls.append((place, []))
                inside[0] = 1
            elif kind == at.T_CALL_END:
                inside[0] = 0
            elif kind in (at.T_INTERRUPT, at.T_RETURN):
                inside[1] += 1 if kind == at.T_INTERRUPT else -1
            elif kind == at.T_ACQUIRE and inside == [1, 0]:
                calls[-1][1].append(made.binary.locks[value >> 1] + ("R" if value & 1 else ""))

    assert execute(state, reader=read).reason == at.REASON_DONE
    labels = [label for _, some in STEPS for label in some]
    numbers = [number for number, _ in calls]
    end = numbers.index(entry.EXIT) if entry.EXIT in numbers else len(calls)
    last = [locks for _, locks in calls[end - len(labels) : end]]
    return {label: locks for label, locks in zip(labels, last, strict=True) if label}


@pytest.mark.parametrize(("version", "call"), list(ORDER))
def test_each_call_takes_its_locks_in_the_order_of_the_source(version, call):
    assert " ".join(taken(version)[call]) == ORDER[version, call]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_call_takes_each_lock_as_often_as_the_source(version):
    for call in CALLS:
        found = Counter(outermost(taken(version)[call]))
        for lock, (least, most) in counts(version)[call].items():
            assert least <= found[lock] <= most, (call, lock, found[lock])


def outermost(locks: list[str]) -> list[str]:
    """Return the locks without those taken again by who has them (the big kernel lock twice in a row)."""
    kept = [
        lock for k, lock in enumerate(locks) if not (lock == "kernel_flag" and k and locks[k - 1] == lock)
    ]
    return [lock.removesuffix("R") for lock in kept]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_section_that_runs_has_a_rule_or_a_reason(version):
    """For the giant lock the rule is that of the entry; sections of a processor's own data name none."""
    plan = plan_of(version)
    ruled = {rule.at.removeprefix("section ") for rule in plan.rule if rule.at.startswith("section ")}
    if any(rule.at == "entry" for rule in plan.rule):
        return
    reached = reachable(
        built(version).source, "system_call", "timer_interrupt", "disk_interrupt", "flush_thread"
    )
    executed = {
        f"{name}/{node.name}"
        for name in reached
        for node in walk(built(version).source[name].body)
        if isinstance(node, Section)
    }
    bodies = {rule.at.removeprefix("body ") for rule in plan.rule if rule.at.startswith("body ")}
    inside = {f"{name}/{s}" for name in bodies for s in sections_of(built(version).source, name)}
    assert executed - ruled - inside - set(plan.covered) == set()
    assert set(plan.covered) - executed == set(), "covers what is not there"


def sections_of(functions: dict[str, Function], name: str) -> list[str]:
    return [node.name for node in walk(functions[name].body) if isinstance(node, Section)]


def reachable(functions: dict[str, Function], *roots: str) -> set[str]:
    """Return the functions that some functions call, directly or through others."""
    waiting, seen = list(roots), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        waiting += [each for node in walk(functions[name].body) for each in called(node)]
    return seen


# --- against the real trees ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_citation_is_in_the_real_tree(version, trees):
    text = (Path(__file__).parent.parent / f"src/lockscape/ports/plans/linux-{version}.toml").read_text(
        "utf-8"
    )
    cited = dict.fromkeys(citations(text))
    assert len(cited) >= len(plan_of(version).rule) // 2
    assert [problem for each in cited if (problem := missing(trees / TREES[version], each))] == []


OPERATIONS = [
    "spin_lock",
    "spin_lock_irq",
    "spin_lock_irqsave",
    "read_lock",
    "write_lock",
    "write_lock_irq",
    "lock_kernel",
    "read_seqbegin",
    "write_seqlock",
    "rcu_read_lock",
]


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_each_cited_operation_is_a_site_of_the_census(version, trees):
    """Where a rule cites a lock's operation, the census of the tree has an acquisition of that name."""
    tree = trees / TREES[version]
    found = census(Directory(str(tree)), load_profile("linux"), sites=True)
    taken_in = defaultdict(list)
    for site in found.sites():
        if site.role == "acquire":
            taken_in[site.path].append(site)
    compared = 0
    for rule in plan_of(version).rule:
        for each in citations(rule.source):
            operation = each.text.partition("(")[0]
            if operation in OPERATIONS:
                lines = (tree / each.file).read_text("latin-1").split("\n")
                bodies = list(places(lines, each.function))
                inside = [s.name for s in taken_in[each.file] if any(a < s.line <= b + 1 for a, b in bodies)]
                assert operation in inside, f"{rule.at}: {each}"
                compared += 1
    assert compared >= {"2.0": 0, "2.2": 20, "2.4": 40, "2.6": 40}[version]


def test_sites_by_kind():
    """The plans' effort, as `lockscape port --effort` counts it: more with each version, and of more kinds."""
    found = {}
    for version in VERSIONS:
        total = Counter()
        for function in built(version).program.functions.values():
            total.update(sites(function, built(version).program.locks))
        found[version] = total
    assert found["2.0"]["spinlock"] == found["2.0"]["rwlock"] == 0 < found["2.0"]["bkl"]
    assert found["2.2"]["bkl"] > found["2.4"]["bkl"] > found["2.6"]["bkl"] == 0
    assert found["2.2"]["spinlock"] < found["2.4"]["spinlock"] < found["2.6"]["spinlock"]
    assert found["2.6"]["rcu"] > 0 and found["2.6"]["seqlock"] > 0
    assert site_kind(Sync("acquire", "kernel_flag"), dict(built("2.2").program.locks)) == "bkl"
