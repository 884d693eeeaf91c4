"""Runs one process in a kernel, call by call, and shows what it made of it."""

from functools import cache

import numpy as np

from lockscape.experiments.run import settle
from lockscape.experiments.sample import kernel_steps
from lockscape.kernel.entry import CALLS
from lockscape.machine import layout as at
from lockscape.machine.costs import CostTable, preset
from lockscape.machine.execute import execute
from lockscape.ports.plan import load_plan
from lockscape.ports.port import port
from lockscape.program.assemble import assemble
from lockscape.workloads import fsck, stress, user
from lockscape.workloads.load import Stream, load
from lockscape.workloads.user import BEFORE


@cache
def kernel_for(name, **options):
    """Return the port of a plan with user mode, its costs and its binary, with some build options changed."""
    built = port(load_plan(name), [user, stress], **options)
    table = CostTable(preset("pentium4"), kernel_steps(), built.plan.costs)
    return built, table, assemble(built.program, table)


def giving(result, row):
    """Return a call that must give this result: its process does nothing further if it does not."""
    row = row.copy()
    row[0, BEFORE] = result + 1
    return row


def ran(name, *rows, cpus=2):
    """Run one process; return its machine, and how often it and its descendants made each call."""
    machine, made = ran_together(name, [np.concatenate(rows)], cpus)
    return machine, made


def ran_together(name, streams, cpus=2, **placed):
    """The same for several processes. All must do all of their rows."""
    built, table, binary = kernel_for(name, **({"swapping": 1} if "memory_pages" in placed else {}))
    machine = load(built, table, cpus, [Stream(rows) for rows in streams], binary=binary,
                   program=stress.PROGRAM, **placed)  # fmt: skip
    state = machine.state
    stopped = execute(state, 1 << 40)
    assert stopped.reason == at.REASON_DONE, stopped.text
    ends = np.cumsum([len(rows) for rows in streams]).tolist()
    contexts = machine.contexts[: len(streams)]
    assert [int(state.m[context + at.C_WORK]) for context in contexts] == ends
    settle(state)
    assert fsck.check(machine, emptied=False) == []
    histograms = {call: state.m[at.H_CALLS] + k * at.HISTOGRAM_WORDS for k, call in enumerate(CALLS)}
    made = {
        call: int(state.m[place + at.E_BUCKETS : place + at.HISTOGRAM_WORDS].sum())
        for call, place in histograms.items()
    }
    return machine, {name: count for name, count in made.items() if count}
