"""The workloads of booted kernels: PostMark, and controls whose curves are known beforehand."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from lockscape.errors import InputError
from lockscape.real.host_result import WorkloadName
from lockscape.real.room import Need, need_of
from lockscape.real.stream import compute, one_file, pack
from lockscape.workloads.postmark import (
    APPEND,
    CREATE,
    KIND,
    READ,
    Libc,
    Operations,
    PostmarkOptions,
    Seeding,
    operations,
)

OF_A_FILE: dict[Libc, int] = {"2005": 5, "modern": 3}
"""Calls besides open for a small file: fstat, read or write, close; and a mapped buffer's mmap and munmap."""


class Asked(NamedTuple):
    """What is asked of the processes: see `PostmarkOptions`; `seeding`: one seed, or the next one for each.

    `iterations`: of computing, of each process.
    """

    processes: int
    postmark: PostmarkOptions
    seeding: Seeding
    libc: Libc
    iterations: int


class Work(NamedTuple):
    """What processes do: packed streams, which they take in turns; `shared`: all in one directory.

    `calls`: about how many system calls a process makes. `made`: what PostMark's streams are packed from.
    """

    name: WorkloadName
    streams: tuple[bytes, ...]
    shared: bool
    calls: int
    made: tuple[Operations, ...]

    def need(self, block_bytes: int, processes: int) -> Need:
        """Return what all processes need of a file system with blocks of so many bytes."""
        each = [need_of(made, block_bytes) for made in self.made] or [Need(1 << 20, 16)]
        turns = [each[number % len(each)] for number in range(processes)]
        return Need(sum(need.bytes for need in turns), sum(need.files for need in turns))


def work_of(name: WorkloadName, asked: Asked) -> Work:
    """Return a workload. Raises `InputError` for options that it cannot have."""
    options = asked.postmark
    if name == "compute":
        return Work(name, (compute(asked.iterations),), False, 0, ())
    if name == "one-file":
        calls = 2 * options.transactions * (1 + OF_A_FILE[asked.libc])
        return Work(name, (one_file(options, asked.libc),), True, calls, ())
    seeds = asked.processes if asked.seeding == "each" else 1
    if options.seed + seeds - 1 > 2**31 - 1:
        raise InputError(f"seed {options.seed}: the last process would have no seed; give a lower one")
    made = [operations(msgspec.structs.replace(options, seed=options.seed + k)) for k in range(seeds)]
    calls = _calls(made[0], asked.libc)
    return Work(name, _streams(name, made, asked), name == "one-directory", calls, tuple(made))


def _streams(name: WorkloadName, made: Sequence[Operations], asked: Asked) -> tuple[bytes, ...]:
    if name == "postmark":
        return tuple(pack(each, libc=asked.libc) for each in made)
    return tuple(
        pack(made[number % len(made)], f"p{number}.", asked.libc) for number in range(asked.processes)
    )


def _calls(made: Operations, libc: Libc) -> int:
    """Return about how many calls a stream makes: exactly for files no larger than a buffer."""
    opened = int(np.isin(made.rows[:, KIND], (CREATE, READ, APPEND)).sum())
    return OF_A_FILE[libc] * opened + len(made.rows)
