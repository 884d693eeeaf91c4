"""Children of a mixed workload: each runs a program, does what the file says, and is waited for."""

from collections.abc import Mapping
from typing import Annotated, Optional

import msgspec
import numpy as np

from lockscape.kernel.areas import RANGE_PAGES
from lockscape.kernel.entry import EXEC, FAULT, WAIT
from lockscape.kernel.objects import PAGE_BYTES
from lockscape.workloads.families import Rows, call, fork
from lockscape.workloads.stress import stress_streams
from lockscape.workloads.user import KIND, PROBES

DO_RUN = 63
"""The kind of operation that makes a child; it stands in no stream, which has the child's rows instead."""

TEXT, FIRST_RANGE = 1, 2
"""Numbers of a program's mapped ranges: its file, and from here on its fresh ones."""

Some = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""How many, or none."""
Mix = dict[str, Annotated[int, msgspec.Meta(ge=1, le=1000)]]
"""Of each operation, how often it is drawn."""


class Child(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a child does: it becomes a program and uses its pages, and then does `operations` of a mix.

    `program_bytes`: length of the program's file, of which it uses `text_pages`; `data_pages` of fresh memory
    besides. `bytes`, `think_cycles`: as of a workload. `child`: what its own children do, if its mix has
    ``run``.
    """

    mix: Mix = {}
    operations: Some = 0
    program_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 26)] = 9000
    text_pages: Some = 1
    data_pages: Some = 2
    bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)] = 4096
    think_cycles: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    child: Optional["Child"] = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        check_mix(self.mix, self.child, bool(self.operations))

    @property
    def pages(self) -> int:
        """Return how many pages the program's file has."""
        return -(-self.program_bytes // PAGE_BYTES)

    @property
    def ranges(self) -> int:
        """Return how many fresh ranges hold its data: at least the two of data and stack."""
        return max(2, -(-self.data_pages // RANGE_PAGES))

    def most_rows(self) -> int:
        """Return how many rows a child takes at most, with its fork and the wait for it."""
        inside = self.child.most_rows() if self.child is not None else 1
        return 3 + min(self.text_pages, self.pages) + self.data_pages + self.operations * inside

    def levels(self) -> "list[Child]":
        """Return this kind of child, the kind that its children are, and so on."""
        return [self, *(self.child.levels() if self.child is not None else [])]


def check_mix(mix: Mix, child: Child | None, needed: bool) -> None:
    """Refuse a mix that is missing, or does not go with what is said of children. Raises `ValueError`."""
    if needed and not mix:
        raise ValueError("mix names no operation")
    if ("run" in mix) != (child is not None):
        has, lacks = (
            ("run = … in its mix", "no [child]") if child is None else ("a [child]", "no run in its mix")
        )
        raise ValueError(f"a workload with {has} has {lacks}: say both or neither")


def with_children(
    rows: Rows,
    child: Child,
    kinds: Mapping[str, int],
    names: int,
    directories: int,
    seed: int,
    level: int = 1,
) -> Rows:
    """Return rows with a child instead of each operation ``run``: the same on every computer.

    `kinds` are the numbers of the operations, `names` and `directories` those that they are drawn from. The
    program of a child of `level` is the file behind all names with that number added.
    """
    runs = np.flatnonzero(rows[:, KIND] == DO_RUN)
    if not len(runs):
        return rows
    start = np.concatenate([
        call(EXEC, 0, names + level, child.ranges),
        *(call(FAULT, TEXT, k) for k in range(min(child.text_pages, child.pages))),
        *(call(FAULT, FIRST_RANGE + k // RANGE_PAGES, k % RANGE_PAGES) for k in range(child.data_pages)),
    ])  # fmt: skip
    drawn = _drawn(child, kinds, len(runs), names, directories, seed)
    parts, last = [], 0
    for number, run in enumerate(runs.tolist()):
        mine = drawn[number * child.operations : (number + 1) * child.operations]
        if child.child is not None:
            mine = with_children(
                mine, child.child, kinds, names, directories, seed + 7919 * (number + 1), level + 1
            )
        work = np.concatenate([start, mine])
        parts += [rows[last:run], fork(work, int(rows[run, PROBES])), call(WAIT)]
        last = run + 1
    return np.concatenate([*parts, rows[last:]])


def _drawn(
    child: Child, kinds: Mapping[str, int], runs: int, names: int, directories: int, seed: int
) -> Rows:
    """Draw the operations of all children of one kind, one behind the other."""
    if not child.operations:
        return call(WAIT)[:0]
    drawn_from = [kinds[name] for name, weight in child.mix.items() for _ in range(weight)]
    (stream,) = stress_streams(
        runs * child.operations, names, seed, [drawn_from], directories, child.bytes, child.think_cycles
    )
    return stream.rows
