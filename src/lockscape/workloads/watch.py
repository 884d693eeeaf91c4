"""A workload to measure a kernel's response with: urgent processes that sleep for a time, among others.

A file of this kind looks like this::

    type = "watch"
    title = "…"
    evidence = ["…"]
    load = 8                # processes that do PostMark's operations meanwhile
    transactions = 10000    # of each, on so many files of 100 bytes
    files = 1000
    urgent = 4              # processes of the highest priority
    sleeps = 100            # of each of these, and how long each is
    microseconds = 10000

The others go on for longer than the urgent ones, or the kernel was not loaded all the time.
"""

from typing import Annotated

import msgspec
import numpy as np

from lockscape.errors import InputError
from lockscape.kernel.entry import SLEEP
from lockscape.workloads.families import call
from lockscape.workloads.file_system import Node
from lockscape.workloads.load import Stream, postmark_stream
from lockscape.workloads.postmark import PostmarkOptions, operations


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="watch"):
    """Urgent processes among others as their file says; see the module."""

    title: str
    evidence: tuple[str, ...]
    load: Annotated[int, msgspec.Meta(ge=0, le=2048)]
    urgent: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    transactions: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 10_000
    files: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    sleeps: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    microseconds: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 10_000
    lacks: tuple[str, ...] = ()

    @property
    def processes(self) -> int:
        """Return how many processes there are: first those that load the kernel, then the urgent ones."""
        return self.load + self.urgent

    @property
    def operations(self) -> int:
        """Return about how many operations each process does."""
        return (self.transactions + self.files) * self.load // self.processes + self.sleeps

    shared = False
    empty_files = memory_pages = 0

    def changed(self, **changes: int) -> "Watch":
        """Refuse another number of processes, which the file says as two, and a seed: nothing is drawn."""
        for name in changes:
            raise InputError(f"{name}: a workload with urgent processes has no such setting")
        return self

    def tree(self) -> list[Node]:
        """Return the files that must be there: none."""
        return []

    def streams(self) -> list[Stream]:
        """Return what each process does."""
        work = PostmarkOptions(
            size_low_bytes=100, size_high_bytes=100, files=self.files, transactions=self.transactions
        )
        loading = [postmark_stream(operations(work))] * self.load
        sleeping = Stream(np.concatenate([call(SLEEP, self.microseconds, result=0)] * self.sleeps))
        return [*loading, *[sleeping] * self.urgent]
