"""The engine against an independent SimPy model of the ported kernels: the same times to the cycle.

The issue's case is the giant and fine ports with locks in order of arrival, no timer, and a processor for each
process. The model goes further, to interrupts, slices, the disk and every port. Only cache lines cost nothing.
Ties are broken as the machine's documentation says: devices, then processors by number, interrupts first.
"""

import functools
import os
import tomllib
from dataclasses import dataclass, replace
from importlib import resources

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import simpy_kernel
from lockscape.experiments.sample import kernel_steps
from lockscape.kernel.build import options as build_options
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.ports.plan import load_plan, plan_names
from lockscape.ports.port import port
from lockscape.program.assemble import assemble
from lockscape.workloads import postmark, stress, user
from lockscape.workloads.families import family
from lockscape.workloads.load import Stream, load, postmark_stream
from lockscape.workloads.network import peers, server
from scramble import scramble
from simpy_kernel_machine import DEVICE_FIRST
from trial_tools import SHOWN

LINES = ("line_transfer", "line_memory", "line_upgrade", "spin_handover")
LOCK_KINDS = ("bkl", "spinlock", "rwlock", "seqlock", "sema", "rwsem")
COSTS = (
    *kernel_steps(),
    *(f"{kind}_{does}" for kind in LOCK_KINDS for does in ("acquire", "release")),
    "atomic",
    "cas",
    "cas2",
)
MACHINE = "pentium4"
CLOCK_HZ = preset(MACHINE).clock_mhz * 1_000_000


@dataclass(frozen=True)
class Case:
    """A run: `costs` in cycles by name; `hz` ticks a simulated second, 0 for no timer at all.

    `fair`: all locks in order of arrival, else as the plan says: whoever comes first has a sleeping lock.
    """

    cpus: int
    streams: tuple
    together: bool
    costs: dict[str, int]
    signal_cycles: int
    hz: int = 0
    options: tuple[tuple[str, int], ...] = ()
    fair: bool = True


@dataclass(frozen=True)
class Times:
    """What both must agree on: the makespan, when each process ended, how often each lock was taken, what is left."""

    makespan: int
    ends: tuple[int, ...]
    taken: dict[str, int]
    left: tuple[int, ...]


LEFT = (
    ("SuperBlock", "free_inodes"), ("SuperBlock", "free_blocks"), ("SuperBlock", "generation"), ("InodeCache", "inodes"),
    ("DentryCache", "entries"), ("PageCache", "pages"), ("BufferCache", "heads"), ("FileTable", "open"), ("Clock", "jiffies"),
)  # fmt: skip


def chosen_options(case):
    """Return the build options of a case; the first write-back is due at the first tick, if there are ticks."""
    return {"hz": case.hz or 1, **dict(case.options)}


@functools.lru_cache(maxsize=8)
def port_of(name, chosen, fair):
    """Return a port; a fair one has locks that are handed over in order of arrival, and not taken back meanwhile."""
    plan = load_plan(name)
    if not fair:
        return port(plan, [user, stress], **dict(chosen))
    declared = port(plan, [user, stress], **dict(chosen)).program.locks.values()
    locks = tuple(msgspec.structs.replace(lock, fair=True) for lock in declared)
    return port(msgspec.structs.replace(plan, lock=locks), [user, stress], **dict(chosen))


def program_of(case):
    """Return the function of user mode that the processes of a case begin in."""
    return stress.PROGRAM if case.streams[0] in ("families", "network") else "postmark"


def simulated(name, case, streams):
    """Run the port on the simulator."""
    kernel = port_of(name, tuple(chosen_options(case).items()), case.fair)
    table = CostTable(preset(MACHINE), kernel_steps(), factors=dict.fromkeys(LINES, 0.0))
    table.machine["ipi_delivery"] = case.signal_cycles
    binary = assemble(kernel.program, case.costs.__getitem__)
    machine = load(
        kernel, table, case.cpus, streams, binary=binary, together=case.together, program=program_of(case)
    )
    state = machine.state
    state.set(state.system("Clock"), flush=0)
    if not case.hz:
        for v in state.virtuals:
            state.m[v + at.V_PERIOD] = 0
            state.m[v + at.V_DUE] = state.m[v + at.V_NEXT] = at.INFINITY
    stopped = execute(state, 1_000 * CLOCK_HZ)
    assert stopped.reason == at.REASON_DONE, stopped.text
    ends = tuple(int(state.m[state.get(process, "context") + at.C_DONE]) for process in machine.processes)
    taken = {}
    for number, lock in enumerate(state.binary.locks):
        count = int(state.m[state.m[at.H_STATISTICS] + number * at.STATISTIC_WORDS + at.Q_ACQUIRED])
        if count:
            taken[lock] = count
    left = tuple(state.get(state.system(cls), field) for cls, field in LEFT)
    return Times(int(state.m[at.H_TIME]), ends, taken, left)


def stated(name):
    """Read a plan's file; of a variant, with what its base says: tables go over the base's, lists come after.

    A lock that a variant does without goes, with its rules.
    """
    plan = tomllib.loads((resources.files("lockscape.ports") / "plans" / f"{name}.toml").read_text("utf-8"))
    gone = plan.pop("without", [])
    assert "locks" not in plan and all(set(each) == {"lock"} for each in gone), (
        "more of a variant than is read"
    )
    base = stated(plan["base"]) if "base" in plan else {}
    without = {each["lock"] for each in gone}
    if without:
        base["rule"] = [rule for rule in base["rule"] if rule.get("lock") not in without]
        base["lock"] = [lock for lock in base["lock"] if lock["name"] not in without]
    over = {key: base[key] | value for key, value in plan.items() if isinstance(value, dict) and key in base}
    more = {key: base[key] + value for key, value in plan.items() if isinstance(value, list) and key in base}
    return base | plan | over | more


def modelled(name, case, streams, kernel=simpy_kernel.Kernel):
    """Run the SimPy model, which reads the plan's file itself."""
    plan = stated(name)
    options = build_options(**{**plan.get("options", {}), **chosen_options(case)})
    tick_cycles = CLOCK_HZ // case.hz if case.hz else 0
    rows = [stream.rows.tolist() for stream in streams]
    model = kernel(
        plan,
        options,
        case.costs,
        case.cpus,
        case.signal_cycles,
        rows,
        case.together,
        tick_cycles,
        case.fair,
        program_of(case),
    )
    makespan = model.run()
    ends = tuple(x.end for x in model.processes)
    left = tuple(getattr(model.the[cls][0], field) for cls, field in LEFT)
    return Times(makespan, ends, model.taken, left)


def streams_of(drawn):
    kind, processes, *rest = drawn
    if kind == "scramble":
        return scramble(processes, *rest)
    if kind == "network":
        return [Stream(server(80, processes, 1, *rest)), Stream(peers(81, processes, *rest))]
    if kind == "families":
        return [Stream(family(*rest, number)) for number in range(processes)]
    work, each = rest
    made = [
        postmark.PostmarkOptions(**dict(work), seed=work_seed)
        for work_seed in (1 + each * k for k in range(processes))
    ]
    return [postmark_stream(postmark.operations(options)) for options in made]


def agree(name, case):
    streams = streams_of(case.streams)
    assert simulated(name, case, streams) == modelled(name, case, streams), (name, case)


def drawn_costs(number, most):
    """Return a cost for every name, drawn with a seed from 0 to `most` cycles: many ties if that is little."""
    draw = np.random.Generator(np.random.PCG64(number))
    return dict(zip(COSTS, draw.integers(0, most + 1, len(COSTS)).tolist(), strict=True))


STATED = {name: CostTable(preset(MACHINE), kernel_steps())(name) for name in COSTS}
POSTMARK = (("files", 20), ("transactions", 60))

costs = st.builds(drawn_costs, st.integers(0, 1 << 30), st.sampled_from([1, 3, 20, 5000]))


@st.composite
def apart(draw, files=20, transactions=60):
    """PostMark as the issue states it: a processor for each process, each in its own directory, no timer."""
    processes = draw(st.integers(1, 4))
    work = (
        ("files", draw(st.integers(1, files))),
        ("transactions", draw(st.integers(postmark.MIN_TRANSACTIONS, transactions))),
        ("size_high_bytes", draw(st.sampled_from([500, 4097, 10_000]))),
        ("subdirectories", draw(st.sampled_from([0, 0, 3]))),
    )
    streams = ("postmark", processes, work, draw(st.integers(0, 1)))
    return Case(draw(st.integers(processes, 6)), streams, False, draw(costs), draw(st.integers(0, 5000)))


@st.composite
def anyhow(draw):
    """More than that: shared directories and files, more processes than processors, ticks, slices and the disk."""
    case = draw(apart(6, 12))
    if draw(st.booleans()):
        shape = (
            draw(st.integers(1, 6)),
            draw(st.integers(1, 20)),
            draw(st.integers(1, 6)),
            draw(st.integers(0, 999)),
        )
        case = replace(
            case, streams=("scramble", *shape, draw(st.sampled_from([1, 5000, 20_000]))), together=True
        )
    options = {
        "slice_ticks": draw(st.sampled_from([1, 3])), "flush_seconds": draw(st.sampled_from([0, 1])),
        "buffer_age_seconds": draw(st.sampled_from([0, 30])), "disk_cycles": draw(st.sampled_from([0, 777, 50_000])),
        "buffered": draw(st.integers(0, 1)), "mapped_buffers": draw(st.integers(0, 1)),
        "write_block": draw(st.sampled_from([512, 5000])), "read_block": draw(st.sampled_from([512, 5000])),
        "groups": draw(st.sampled_from([1, 8])), "preemptible": draw(st.integers(0, 1)),
    }  # fmt: skip
    # a tick must leave time for work: its handler takes some forty steps, and some for each buffer written back
    most = max(case.costs.values())
    hz = draw(st.sampled_from([0, CLOCK_HZ // (400 * most + 1000), CLOCK_HZ // (4000 * most + 777)]))
    cpus, fair = draw(st.integers(1, 6)), draw(st.booleans())
    return replace(case, cpus=cpus, hz=hz, options=tuple(options.items()), fair=fair)


def examples(count):
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


FEW, MANY = examples(2), examples(int(os.environ.get("LOCKSCAPE_EXAMPLES", "300")))
ports = pytest.mark.parametrize("name", ["giant", "fine"])
ONE_KERNEL = {"application-kernel", "cells", "dedicated-processor"}
PORTS = [
    name
    for name in plan_names()
    if name != "uniprocessor" and name not in ONE_KERNEL and not name.startswith("virtualization")
]
"""Every port with one instance of the kernel: the model here has no others."""

FUNNELS = {"coarse-funnel", "coarse-master", "master-slave"}
"""Ports that a preemptible kernel cannot have."""

every_port = pytest.mark.parametrize("name", PORTS)
shown_ports = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow) for name in PORTS]
)
"""The same, but slow for all ports that are not `SHOWN`: `test_every_other_port_takes_the_same_time` is of each."""


@ports
def test_postmark_with_the_stated_costs_takes_the_same_time(name):
    agree(name, Case(4, ("postmark", 4, POSTMARK, 1), False, STATED, 3000))


@ports
@FEW
@given(case=apart())
def test_postmark_takes_the_same_time(name, case):
    agree(name, case)


@ports
@FEW
@given(case=anyhow())
def test_interrupts_and_sleeping_locks_take_the_same_time(name, case):
    agree(name, case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@ports
@MANY
@given(case=apart())
def test_postmark_takes_the_same_time_in_many_cases(name, case):
    agree(name, case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@every_port
@MANY
@given(case=anyhow())
def test_every_port_takes_the_same_time_in_many_cases(name, case):
    if name in FUNNELS:
        case = replace(case, options=(*case.options, ("preemptible", 0)))
    agree(name, case)


@pytest.mark.parametrize("name", sorted({*PORTS} - {"giant", "fine"}))
def test_every_other_port_takes_the_same_time(name):
    ticks = CLOCK_HZ // 100_000
    agree(name, Case(3, ("scramble", 4, 8, 3, 1, 5000), True, drawn_costs(1, 100), 20, ticks, fair=False))


def test_a_funnel_that_is_given_to_who_goes_to_sleep_for_it_stays_his():
    """It is given between looking and switching, which lets go of what the process held before."""
    options = (("buffered", 1), ("groups", 1), ("preemptible", 0))
    streams = ("scramble", 4, 5, 2, 0, 5000)
    agree("coarse-funnel", Case(2, streams, True, drawn_costs(407, 20), 0, 0, options))


@shown_ports
def test_families_take_the_same_time(name):
    """Processes that make others, which execute programs, share pages and are waited for, or are not."""
    ticks = CLOCK_HZ // 100_000
    agree(name, Case(3, ("families", 3, 7), True, drawn_costs(2, 100), 20, ticks, fair=False))


@shown_ports
def test_servers_and_peers_take_the_same_time(name):
    """Processes that talk, with clients of the outside world by way of the card, and with each other."""
    ticks, options = CLOCK_HZ // 100_000, (("wire_byte_cycles", 5), ("round_trip_cycles", 7777))
    network = ("network", 2, 3, 100, 17_000)
    agree(name, Case(3, network, True, drawn_costs(3, 100), 20, ticks, options, fair=False))


class FirstDueFirst(simpy_kernel.Kernel):
    """The model with another rule for ties: processors come in the order in which they were due."""

    def processor(self, number):
        made = super().processor(number)
        made.priority = DEVICE_FIRST + 2
        return made


@ports
def test_another_rule_for_ties_does_not_agree(name):
    """The comparison can fail: it sees even in which order processors come at one time."""
    work = (("files", 6), ("transactions", 12))
    for seed in range(1, 4):  # small costs make many ties, but not each changes a time
        case = Case(4, ("postmark", 4, work, 1), False, drawn_costs(seed, 2), 2)
        streams = streams_of(case.streams)
        right = simulated(name, case, streams)
        assert modelled(name, case, streams) == right
        if modelled(name, case, streams, FirstDueFirst) != right:
            return
    pytest.fail("no tie changed a time")


def test_a_lock_that_the_model_does_not_take_is_seen():
    case = Case(4, ("postmark", 4, POSTMARK, 1), False, STATED, 3000)
    streams = streams_of(case.streams)

    class Without(simpy_kernel.Kernel):
        def __init__(self, plan, *args):
            rules = [rule for rule in plan["rule"] if rule["at"] != "section dput/put"]
            super().__init__(plan | {"rule": rules}, *args)

    found = modelled("fine", case, streams, Without)
    assert found.makespan < simulated("fine", case, streams).makespan


def test_a_cycle_more_is_seen():
    case = Case(2, ("postmark", 2, (("files", 3), ("transactions", 10)), 1), False, STATED, 3000)
    streams = streams_of(case.streams)
    slower = replace(case, costs=case.costs | {"walk_base": case.costs["walk_base"] + 1})
    assert modelled("giant", slower, streams).makespan > simulated("giant", case, streams).makespan
