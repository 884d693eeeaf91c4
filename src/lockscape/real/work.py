"""The workloads of real runs: PostMark, and controls whose curves are known beforehand."""

from typing import Literal, NamedTuple

import numpy as np

from lockscape.errors import InputError
from lockscape.real.stream import compute, one_file, pack
from lockscape.workloads.postmark import APPEND, CREATE, KIND, READ, Operations, PostmarkOptions, operations
from lockscape.workloads.stdio import Libc

WorkName = Literal["postmark", "compute", "one-directory", "one-file"]

WORKLOADS: dict[WorkName, str] = {
    "postmark": "each process runs PostMark in a directory of its own",
    "compute": "each process only computes, in user mode: it scales by itself",
    "one-directory": "PostMark in one directory of all processes, with names of their own: it contends on purpose",
    "one-file": "all processes read and write over one file: it contends on purpose",
}
"""What is run, for people."""

ITERATIONS = 10_000
"""Of the computing loop, in place of each transaction."""


class Work(NamedTuple):
    """What processes do: packed streams, which they take in turns, in one directory (`shared`) or in their own.

    `calls` is about how many system calls a process makes; `made` what PostMark's stream was packed from.
    """

    name: WorkName
    streams: tuple[bytes, ...]
    shared: bool
    calls: int
    made: Operations | None


def work_of(name: str, options: PostmarkOptions, processes: int, libc: Libc) -> Work:
    """Return a workload by its name. Raises `InputError` for one that is none, and for options it cannot have."""
    if name == "postmark":
        made = operations(options)
        return Work("postmark", (pack(made, libc=libc),), False, _calls(made), made)
    if name == "one-directory":
        made = operations(options)
        streams = tuple(pack(made, f"p{number}.", libc) for number in range(processes))
        return Work("one-directory", streams, True, _calls(made), made)
    if name == "one-file":
        return Work("one-file", (one_file(options, libc),), True, 8 * options.transactions, None)
    if name == "compute":
        return Work("compute", (compute(options.transactions * ITERATIONS),), False, 0, None)
    raise InputError(f"{name!r} does not run for real: use one of {', '.join(WORKLOADS)}")


def _calls(made: Operations) -> int:
    """Return about how many calls a stream makes: four a file that is opened, one a file that is deleted."""
    opened = int(np.isin(made.rows[:, KIND], (CREATE, READ, APPEND)).sum())
    return 3 * opened + len(made.rows)
