"""Random runs of every port: other workloads, machines, costs and build options, and never a fault.

A run is right if the detector finds no fault in it, all processes end (no wake-up was lost), every operation
was done, the processors account for all of their time, no lock is left held, and the file system is sound.
"""

import os
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from engine_tools import assert_cycles_add_up
from lockscape.experiments.run import settle
from lockscape.experiments.sample import cost_factors, kernel_steps
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.machine.waiting import no_progress
from lockscape.ports.lockorder import check_order
from lockscape.ports.plan import load_plan, plan_names
from lockscape.ports.port import port
from lockscape.workloads import fsck, postmark, user
from lockscape.workloads.load import load, postmark_stream
from scramble import scramble
from trial_tools import SHOWN

PORTS = tuple(name for name in plan_names() if name != "uniprocessor")
FUNNELS = ("coarse-funnel", "coarse-master", "master-slave")
"""Ports whose exclusion ends at every switch of processes, so that their kernel must not be preempted."""

TICKS_OF_REST = 8
"""Ticks after the last process has ended: a dentry is freed at a tick after all processors were quiet."""

MACHINES = ("pentium4", "simics-pentium4", "modern", "pentium-133", "m68030")


@dataclass(frozen=True)
class Case:
    """A run. `tick_kcycles`: thousands of cycles between two ticks, on up to 8 processors.

    `sample`: the draw from the ranges of all costs; `extreme`: costs multiplied by 0 or 10 after that.
    `options`: build options. `together`: all processes in one directory. `flush_at_once`: the first
    write-back is due at the first tick, not after five seconds.
    """

    machine: str
    cpus: int
    streams: (
        tuple  # ("scramble", processes, operations, names, seed, most bytes) or ("postmark", processes, ...)
    )
    together: bool
    tick_kcycles: int
    sample: int
    extreme: tuple[tuple[str, int], ...]
    options: tuple[tuple[str, int], ...]
    flush_at_once: bool

    @property
    def tick_cycles(self):
        """Ticks of all processors contend for one lock, each the longer the more wait: they must leave time for work."""
        return self.tick_kcycles * 1000 * max(1, self.cpus**2 // 64)


def streams_of(case):
    kind, processes, *rest = case.streams
    if kind == "scramble":
        operations, names, number, most_bytes = rest
        return scramble(processes, operations, names, number, most_bytes)
    work, each = rest
    made = [
        postmark.operations(postmark.PostmarkOptions(**dict(work), seed=1 + each * k))
        for k in range(processes)
    ]
    return [postmark_stream(one) for one in made]


def built(name, case, plan):
    """Return the port, its cost table and the streams."""
    clock = preset(case.machine).clock_mhz * 1_000_000
    chosen = {"hz": max(1, clock // case.tick_cycles), **dict(case.options)}
    if name in FUNNELS:
        chosen["preemptible"] = 0
    kernel = port(plan, [user], **chosen)
    check_order(kernel)
    factors = cost_factors(case.sample, case.machine)
    factors |= {cost: factors.get(cost, 1.0) * times for cost, times in case.extreme}
    costs = CostTable(preset(case.machine), kernel_steps(), kernel.plan.costs, factors)
    return kernel, costs, streams_of(case)


def run_case(name, case, traced, plan=None):
    """Run a case to its end; return everything that is wrong with it. `plan`: instead of the port's own."""
    kernel, costs, streams = built(name, case, plan or load_plan(name))
    machine = load(kernel, costs, case.cpus, streams, traced=traced, together=case.together)
    state = machine.state
    if case.flush_at_once:
        for kernel_instance in machine.kernels:
            state.set(state.system("Clock", 0, kernel_instance), flush=0)
    detector = Detector(state, kernel.rules()) if traced else None
    stopped = to_the_end(machine, 20 * case.tick_cycles + 500 * kernel.options["disk_cycles"], detector)
    found = []
    if detector is not None:
        detector.finish(stopped)
        found += [fault.message for fault in detector.faults[:3]]
    if stopped.reason != at.REASON_DONE:
        return [*found, no_progress(state, stopped.text or "no operation was begun for long").message]
    assert_cycles_add_up(state)
    for number, (process, stream) in enumerate(zip(machine.processes, streams, strict=True)):
        context = state.get(process, "context")
        left = int(state.m[context + at.C_WORK_END] - state.m[context + at.C_WORK])
        if left:
            found.append(f"process {number}: {left} of {len(stream.rows)} operations were not done")
    rest(state, case)
    emptied = case.streams[0] == "postmark" and not case.together
    return [*found, *fsck.check(machine, emptied)]


def to_the_end(machine, rare_cycles, detector):
    """Run until all processes are done, or none has begun an operation for much longer than any should take.

    `rare_cycles`: how long what is rare may take, such as waiting for ticks and for the disk.
    """
    state = machine.state
    contexts = [state.get(process, "context") for process in machine.processes]
    patience = 400_000_000 + rare_cycles
    until, last = 0, -1
    while True:
        until += patience
        stopped = execute(state, until, detector.read if detector else None)
        done = sum(int(state.m[context + at.C_WORK]) for context in contexts) + ended(state, contexts)
        if stopped.reason != at.REASON_TIME or done == last:
            return stopped
        last = done


def rest(state, case):
    """Let ticks pass until all processors have been quiet, so that what RCU readers might have had is freed."""
    execute(state, int(state.m[at.H_TIME]) + TICKS_OF_REST * case.tick_cycles)
    settle(state)


def ended(state, contexts):
    return sum(1 for context in contexts if state.m[context + at.C_DONE])


# --- what is drawn ------------------------------------------------------------------------------------------

scrambles = st.tuples(
    st.just("scramble"), st.integers(1, 6), st.integers(3, 25), st.integers(1, 8), st.integers(0, 999),
    st.sampled_from([1, 500, 4096, 9000, 30_000]),
)  # fmt: skip


@st.composite
def postmarks(draw, most=12):
    low = draw(st.integers(1, 3000))
    work = {
        "files": draw(st.integers(1, most)),
        "transactions": draw(st.integers(postmark.MIN_TRANSACTIONS, 3 * most)),
        "size_low_bytes": low,
        "size_high_bytes": low + draw(st.sampled_from([0, 700, 9000])),
        "subdirectories": draw(st.sampled_from([0, 0, 2, 5])),
        "read_bias": draw(st.integers(-1, 10)),
        "create_bias": draw(st.integers(-1, 10)),
    }
    return ("postmark", draw(st.integers(1, 6)), tuple(work.items()), draw(st.integers(0, 1)))


COSTS = tuple(sorted({*kernel_steps(), *(cost.name for cost in preset("pentium4").cost)}))

options = st.fixed_dictionaries({
    "slice_ticks": st.sampled_from([1, 2, 20]),
    "flush_seconds": st.sampled_from([0, 0, 5]),
    "buffer_age_seconds": st.sampled_from([0, 0, 30]),
    "inode_age_seconds": st.sampled_from([0, 5]),
    "disk_cycles": st.sampled_from([1, 3000, 100_000, 16_000_000]),
    "preemptible": st.integers(0, 1),
    "buffered": st.sampled_from([1, 1, 0]),
    "mapped_buffers": st.integers(0, 1),
    "read_block": st.sampled_from([512, 4096, 10_000]),
    "write_block": st.sampled_from([512, 4096, 10_000]),
    "groups": st.sampled_from([8, 1, 2]),
})  # fmt: skip

extremes = st.lists(
    st.tuples(st.sampled_from(COSTS), st.sampled_from([0, 10])), max_size=8, unique_by=lambda e: e[0]
)


def cases(most_work=12):
    return st.builds(
        Case,
        machine=st.sampled_from(MACHINES),
        cpus=st.one_of(st.integers(1, 8), st.sampled_from([2, 3, 12, 33, 70])),
        streams=st.one_of(scrambles, postmarks(most_work)),
        together=st.booleans(),
        tick_kcycles=st.sampled_from([1000, 2000, 5000, 20_000]),
        sample=st.integers(0, 100_000),
        extreme=extremes.map(tuple),
        options=options.map(lambda chosen: tuple(chosen.items())),
        flush_at_once=st.booleans(),
    )


def check(name, traced, examples, number=None, most_work=12):
    """Run random cases of a port; hypothesis shrinks what fails to a small one."""

    @settings(
        max_examples=examples, deadline=None, derandomize=number is None, database=None,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    @given(cases(most_work))
    def right(case):
        assert run_case(name, case, traced) == [], (name, case)

    (right if number is None else seed(number)(right))()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow) for name in PORTS]
)
def test_few_random_runs_show_no_fault(name):
    check(name, traced=True, examples=2)


@pytest.mark.parametrize(
    ("name", "lock", "traced"), [("fine", "group_lock", True), ("giant", "kernel_flag", False)]
)
def test_a_port_without_a_lock_is_seen(name, lock, traced):
    """The checks can fail: by the detector, or by what becomes of the run."""
    plan = load_plan(name)
    rules = tuple(rule for rule in plan.rule if rule.lock != lock)
    bare = msgspec.structs.replace(plan, rule=rules)
    streams = ("scramble", 4, 20 if traced else 400, 4, 1, 5000)
    case = Case("pentium4", 4, streams, True, 1000, 0, (), (("groups", 1),), False)
    assert run_case(name, case, traced) == []
    assert run_case(name, case, traced, bare) != []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PORTS)
def test_many_random_runs_show_no_fault(name):
    check(name, traced=True, examples=int(os.environ.get("LOCKSCAPE_EXAMPLES", "100")), number=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PORTS)
def test_many_long_random_runs_end(name):
    check(
        name, traced=False, examples=int(os.environ.get("LOCKSCAPE_EXAMPLES", "100")), number=2, most_work=400
    )
