"""fsync and sync: what they write, that they wait for the disk, and that every port does them without a fault."""

from functools import cache

import numpy as np
import pytest

from lockscape.experiments.run import settle
from lockscape.kernel.entry import CLOSE, FSYNC, OPEN, SYNC, WRITE
from lockscape.kernel.files import APPENDING, CREATING
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.workloads import fsck, stress
from lockscape.workloads.load import Stream, load
from lockscape.workloads.user import FIRST_CALL
from run_tools import kernel_for
from trial_tools import fault_in, other_plans

DISK_CYCLES = 5_000_000
KERNELS = ("giant", "fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "reimplementation")


@cache
def ran(name, calls, processes=1, cpus=1):
    """Let processes append 9,000 bytes each to one file, then make the calls; return the machine and its end."""
    kernel, table, binary = kernel_for(name, disk_cycles=DISK_CYCLES)
    rows = [(OPEN, 0, 1, CREATING + APPENDING), (WRITE, 0, 9000, 0), *calls, (CLOSE, 0, 0, 0)]
    stream = Stream(np.array([(FIRST_CALL + row[0], *row[1:], 0, 0) for row in rows], np.int64))
    machine = load(
        kernel, table, cpus, [stream] * processes, binary=binary, together=True, program=stress.PROGRAM
    )
    stopped = execute(machine.state, 1 << 40)
    assert stopped.reason == at.REASON_DONE, stopped.text
    end = int(machine.state.m[at.H_TIME])
    served = machine.state.get(machine.state.system("Disk"), "served")
    settle(machine.state)
    assert fsck.check(machine, emptied=False) == []
    return machine.state, end, served


@pytest.mark.parametrize("name", KERNELS)
def test_fsync_waits_for_what_the_file_has_and_no_more(name):
    _, without, _ = ran(name, ())
    _, end, served = ran(name, ((FSYNC, 0, 0, 0),))
    assert served == 4  # three pages and the block of its inode
    assert 4 * DISK_CYCLES <= end - without < 5 * DISK_CYCLES
    _, again, served = ran(
        name,
        (
            (FSYNC, 0, 0, 0),
            (FSYNC, 0, 0, 0),
        ),
    )
    assert served == 4
    assert again - end < DISK_CYCLES  # nothing is dirty the second time


@pytest.mark.parametrize("name", KERNELS)
def test_sync_leaves_nothing_dirty(name):
    state, _, served = ran(
        name,
        (
            (CLOSE, 0, 0, 0),
            (SYNC, 0, 0, 0),
        ),
    )  # closing frees reserved blocks
    assert served > 4  # bitmaps and descriptors, too
    for cls in ("BufferCache", "InodeCache"):
        assert not state.items(state.system(cls), "dirty")


def test_processes_that_share_a_file_each_wait_for_their_own_request():
    _, end, served = ran("fine", ((FSYNC, 0, 0, 0),), processes=4, cpus=4)
    assert served >= 4
    assert end >= served * DISK_CYCLES


def test_what_is_not_open_cannot_be_written():
    _, without, _ = ran("fine", ())
    _, end, served = ran("fine", ((FSYNC, 7, 0, 0),))
    assert (served, end - without < 10_000) == (0, True)


@other_plans
def test_every_port_writes_to_disk_at_once_without_a_fault(name):
    assert fault_in(name, "write to disk at once") == ""
