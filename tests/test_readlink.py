"""readlink: what is a link and what is none, in every kind of kernel, and in replays of strace."""

from pathlib import Path

import numpy as np
import pytest

from lockscape.experiments.result import RunSpec
from lockscape.experiments.run import simulate
from lockscape.kernel.entry import CALLS, READLINK, STAT, TIME, UNLINK
from lockscape.ports.plan import load_plan
from lockscape.workloads.families import call
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import FIRST_DIRECTORY
from lockscape.workloads.replay import load_replay
from lockscape.workloads.user import FIRST_CALL
from run_tools import giving, ran_together

KERNELS = ("giant", "coarse", "coarse-funnel", "coarse-master", "fine", "linux-2.0", "linux-2.2", "linux-2.4",
           "linux-2.6", "lock-free", "reimplementation", "application-kernel", "master-slave", "cells")  # fmt: skip
FOLDER = FIRST_DIRECTORY + 5
TREE = (
    Node((), 1, False, 3000), Node((), 2, False, 0, 17), Node((), FOLDER, True, 0, 80), Node((FOLDER,), 3, False, 0, 5),
)  # fmt: skip
"""A file, a link, a directory that a link leads to, and a link in that."""


def answers(name, *rows):
    """Make calls of one process with the tree; all must be made."""
    return ran_together(name, [np.concatenate(rows)], tree=TREE)


@pytest.mark.parametrize("name", KERNELS)
def test_a_link_is_read_and_what_is_none_is_an_error(name):
    _, made = answers(
        name, giving(17, call(READLINK, 0, 2)), giving(80, call(READLINK, 0, FOLDER)),
        giving(5, call(READLINK, FOLDER, 3)), call(READLINK, 0, 1), call(READLINK, 0, 9), call(READLINK, 99, 1),
        giving(3000, call(STAT, 0, 1)), call(UNLINK, 0, 2), call(READLINK, 0, 2), call(TIME, 1),
    )  # fmt: skip
    assert made["readlink"] == 7
    for row in (call(READLINK, 0, 1), call(READLINK, 0, 9)):
        with pytest.raises(AssertionError):  # the process ends, for the call does not give 0
            answers(name, giving(0, row), call(TIME, 1))


LINKS = """\
1 1.000000 readlink("/usr", 0x1, 4095) = -1 EINVAL (Invalid argument) <0.000010>
1 1.000100 readlink("/bin", "usr/bin", 4095) = 7 <0.000010>
1 1.000200 readlinkat(AT_FDCWD, "/etc/none", 0x1, 4095) = -1 ENOENT (No such file or directory) <0.000010>
1 1.000300 openat(AT_FDCWD, "/bin/sh", O_RDONLY) = 3 <0.000010>
1 1.000400 close(3) = 0 <0.000010>
1 1.000500 readlink("/proc/self/exe", "/bin/sh", 4095) = 7 <0.000010>
1 1.000600 exit_group(0) = ?
"""


def test_a_replay_makes_the_call_and_the_links_are_there(tmp_path: Path) -> None:
    path = tmp_path / "some.strace"
    path.write_text(LINKS)
    found = load_replay(path)
    (stream,), tree = found.parts(2000)
    assert [CALLS[row[0] - FIRST_CALL] for row in stream.rows.tolist()].count("readlink") == 3
    assert [(node.is_directory, node.link) for node in tree if node.link] == [(True, 7)]
    assert "1 calls: a special file (readlink 1)" in found.left_out
    for system in ("linux-2.0", "linux-2.6"):
        result = simulate(RunSpec(system, load_plan(system), 2, found.processes, workload=found))
        assert {each.call: each.count for each in result.calls}["readlink"] == 3
