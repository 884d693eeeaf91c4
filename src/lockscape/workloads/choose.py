"""Workloads by name: those that come with lockscape, a file of the user's, or what strace has written."""

from pathlib import Path

from lockscape.workloads.chat import Chat
from lockscape.workloads.replay import Replay, load_replay
from lockscape.workloads.watch import Watch
from lockscape.workloads.workload_file import Workload, named_workload

AnyWorkload = Workload | Chat | Watch | Replay
"""What can be run instead of PostMark."""

TRACE = "trace:"
"""Begins a workload that is a file of ``strace -f -ttt -T``."""


def choose_workload(name: str, others: tuple[str, ...] = ()) -> AnyWorkload:
    """Return a workload by name, or from a file, ``….toml`` or ``trace:…``.

    Raises `InputError` for an unknown name, naming the nearest, among `others` too, and for a bad file.
    """
    if name.startswith(TRACE):
        return load_replay(Path(name.removeprefix(TRACE)))
    return named_workload(name, others)
