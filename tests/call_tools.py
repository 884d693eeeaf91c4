"""Streams of single system calls, with what each must return, and running them."""

import numpy as np

from lockscape.experiments.run import settle
from lockscape.experiments.trials import Trial, run_trial
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.workloads import families, fsck, stress
from lockscape.workloads.load import COLUMNS, Stream, load
from run_tools import kernel_for
from trial_tools import kernel


def call(number, *arguments, gives=None, think=0):
    """Return the row of a call; a process whose call does not return what it `gives` ends there."""
    return families.call(number, *arguments, think_cycles=think, result=gives)[0]


def rows(*parts):
    """Return the rows of calls, and of rows."""
    return np.concatenate([np.array(part, np.int64).reshape(-1, COLUMNS) for part in parts])


def ran(name, *streams, cpus=1, **options):
    """Run processes to their end; return the machine, its end in cycles, and which rows each context has left."""
    built, table, binary = kernel_for(name, **options)
    streams = [Stream(each) for each in streams]
    machine = load(built, table, cpus, streams, binary=binary, program=stress.PROGRAM, together=True)
    state = machine.state
    stopped = execute(state, 1 << 36)
    assert stopped.reason == at.REASON_DONE, stopped.text
    end = int(state.m[at.H_TIME])
    left = [int(state.m[c + at.C_WORK_END] - state.m[c + at.C_WORK]) for c in machine.contexts]
    settle(state)
    assert fsck.check(machine, emptied=False) == []
    return machine, end, left


def fault_in_streams(name, streams, cpus):
    """Return what is wrong in a plan's trial of these streams, under the fault detector, or nothing."""
    trial = Trial("calls", tuple(Stream(each) for each in streams), cpus, True, 2)
    return run_trial(kernel(name), trial, Detector)[1]
