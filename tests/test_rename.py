"""rename: what it changes in the directory, what becomes of a file that is replaced, and every port without a fault."""

import numpy as np
import pytest

from lockscape.experiments.run import settle
from lockscape.kernel.entry import CLOSE, FSTAT, MKDIR, OPEN, RENAME, UNLINK, WRITE
from lockscape.kernel.files import CREATING
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.workloads import fsck, stress
from lockscape.workloads.load import COLUMNS, Stream, load
from lockscape.workloads.reach import Live
from lockscape.workloads.user import FIRST_CALL
from run_tools import kernel_for
from trial_tools import fault_in, other_plans

KERNELS = ("fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "lock-free")
WRITTEN = ((OPEN, 0, 1, CREATING), (WRITE, 0, 5000, 0), (CLOSE, 0, 0, 0))
"""Make file 1 with 5,000 bytes."""


def entries(name, *calls):
    """Make the calls in a process' directory; return its names with their inodes' sizes, and how many inodes there are."""
    kernel, table, binary = kernel_for(name)
    rows = np.array([(FIRST_CALL + row[0], *row[1:], 0, 0) for row in calls], np.int64)
    rows = rows.reshape(-1, COLUMNS)
    machine = load(kernel, table, 1, [Stream(rows)], binary=binary, program=stress.PROGRAM)
    state = machine.state
    stopped = execute(state, 1 << 40)
    assert stopped.reason == at.REASON_DONE, stopped.text
    settle(state)
    assert fsck.check(machine, emptied=False) == []
    inodes = dict(Live(state).members("InodeCache", "table"))
    found = dict(state.items(state.get(machine.processes[0], "directory"), "entries"))
    return {key: state.get(inodes[number], "size") for key, number in found.items()}, len(inodes)


@pytest.mark.parametrize("name", KERNELS)
def test_a_file_gets_another_name(name):
    before, inodes = entries(name, *WRITTEN)
    assert entries(name, *WRITTEN, (RENAME, 0, 1, 2)) == ({2: before[1]}, inodes)


@pytest.mark.parametrize("name", KERNELS)
def test_the_file_of_that_name_goes_also_while_it_is_open(name):
    other = ((OPEN, 0, 2, CREATING), (FSTAT, 0, 0, 0))
    _, inodes = entries(name, *WRITTEN)
    assert entries(name, *WRITTEN, *other, (CLOSE, 0, 0, 0), (RENAME, 0, 1, 2)) == ({2: 5000}, inodes)
    assert entries(name, *WRITTEN, *other, (RENAME, 0, 1, 2), (WRITE, 0, 9, 0), (CLOSE, 0, 0, 0)) == (
        {2: 5000},
        inodes,
    )


@pytest.mark.parametrize("name", KERNELS)
def test_what_was_renamed_can_be_deleted_and_the_old_name_made_again(name):
    _, inodes = entries(name)
    assert entries(name, *WRITTEN, (RENAME, 0, 1, 2), (UNLINK, 0, 2, 0)) == ({}, inodes)
    again = entries(name, *WRITTEN, (RENAME, 0, 1, 2), (OPEN, 0, 1, CREATING), (CLOSE, 0, 0, 0))
    assert again == ({1: 0, 2: 5000}, inodes + 2)


@pytest.mark.parametrize("name", KERNELS)
def test_directories_missing_files_and_the_same_name_change_nothing(name):
    folder = ((MKDIR, 0, 7, 0),)
    expected = entries(name, *WRITTEN, *folder)
    for renamed in ((7, 8), (1, 7), (3, 4), (1, 1)):
        assert entries(name, *WRITTEN, *folder, (RENAME, 0, *renamed)) == expected


@other_plans
def test_every_port_renames_and_yields_without_a_fault(name):
    assert fault_in(name, "rename the same files") == ""


@pytest.mark.parametrize("title", ["rename the same files", "rename files that others have open"])
def test_who_makes_a_name_in_linux_2_2_sees_that_another_renamed_a_file_to_it_meanwhile(title):
    assert fault_in("linux-2.2", title) == ""
