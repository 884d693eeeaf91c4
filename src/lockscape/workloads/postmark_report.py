"""PostMark's own output: progress, the verbose and the terse report, byte for byte.

Kept, because scripts that read PostMark's reports expect it:

- PostMark's times are whole seconds. `exact_seconds` gives the same report with exact times.
- Bytes are added up in single precision, so beyond 16 million they are rounded, and so is every quotient.
- Rates in the verbose report are truncated to whole numbers.
- The report prints 0 in bytes and anything below a kilobyte in kilobytes.
- A run that is out of files has no report.

The 13 fields of the terse report: seconds in all, seconds of transactions, then per second: transactions,
files created, created alone, created in transactions, read, appended, deleted, deleted alone, deleted in
transactions, bytes read, bytes written. Versions are said to print creations as the 9th, and to divide the
10th by the time of creation; Debian's 1.53 does neither, seen with deletions made to fail and with unequal
times.
"""

from itertools import pairwise
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.workloads.postmark import (
    APPEND,
    BYTES,
    CREATE,
    DELETE,
    KIND,
    MARK,
    READ,
    Operations,
)

KILOBYTE, MEGABYTE = 1024, 1024 * 1024
"""In bytes, as PostMark counts them."""

_DOTS = 10
"""A dot is printed after the first transaction, and then after each tenth part of all."""


class Seconds(NamedTuple):
    """How long a run and its parts took. Whole numbers are printed as PostMark does, others exactly."""

    total_s: float
    creation_s: float
    transactions_s: float
    deletion_s: float


class Counts(NamedTuple):
    """What a run did. The bytes are exact; the single-precision sums are PostMark's."""

    transactions: int
    created_alone: int
    created_mixed: int
    read: int
    appended: int
    deleted_alone: int
    deleted_mixed: int
    read_bytes: int
    written_bytes: int
    read_bytes_single: float
    written_bytes_single: float


def exact_seconds(marks_s: tuple[float, float, float, float]) -> Seconds:
    """Return the times between the marks, in seconds: START, CREATED, TRANSACTED and DELETED.

    Raises InputError if they are not in order.
    """
    start, created, transacted, deleted = (float(mark) for mark in _ordered(marks_s))
    return Seconds(deleted - start, created - start, transacted - created, deleted - transacted)


def _ordered(marks_s: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not all(-inf < early <= late < inf for early, late in pairwise(marks_s)):
        raise InputError(
            f"times {marks_s}: the marks of a run must be in order: give them as the clock showed them"
        )
    return marks_s


def count(operations: Operations) -> Counts:
    """Return what the operations do, by phase."""
    kind, sizes = operations.rows[:, KIND], operations.rows[:, BYTES]
    created, transacted = np.flatnonzero(kind == MARK)[1:3]
    mixed = slice(created, transacted)
    creations, deletions = int((kind == CREATE).sum()), int((kind == DELETE).sum())
    creations_mixed, deletions_mixed = int((kind[mixed] == CREATE).sum()), int((kind[mixed] == DELETE).sum())
    reads, writes = sizes[kind == READ], sizes[(kind == CREATE) | (kind == APPEND)]
    return Counts(
        operations.transactions,
        creations - creations_mixed,
        creations_mixed,
        len(reads),
        int((kind == APPEND).sum()),
        deletions - deletions_mixed,
        deletions_mixed,
        int(reads.sum()),
        int(writes.sum()),
        _single_sum(reads),
        _single_sum(writes),
    )


def _single_sum(sizes: NDArray[np.int64]) -> float:
    """Return the sum in single precision, rounded after each number as in a loop."""
    return float(np.add.accumulate(sizes, dtype=np.float32)[-1]) if len(sizes) else 0.0


def progress(operations: Operations) -> str:
    """Return what PostMark prints while it runs."""
    many = operations.options.subdirectories > 1
    step = operations.options.transactions // _DOTS
    lines = ["Creating subdirectories...Done"] if many else []
    lines += ["Creating files...Done", "Performing transactions" + "." * -(-operations.transactions // step)]
    if operations.out_of_files:
        lines[-1] += "out of files!"
        lines += [
            "For this workload, either increase the number of files or",
            "decrease the number of transactions.",
        ]
    else:
        lines[-1] += "Done"
    lines.append("Deleting files...Done")
    lines += ["Deleting subdirectories...Done"] if many else []
    return _text(lines)


def report(operations: Operations, seconds: Seconds, terse: bool = False) -> str:
    """Return PostMark's report, in either format; it is empty if the run was out of files.

    Whole `seconds` give PostMark's own text; those of `exact_seconds`, times and rates with decimals.
    """
    if operations.out_of_files:
        return ""
    counts = count(operations)
    return _terse(counts, seconds) if terse else _verbose(counts, seconds)


def _verbose(counts: Counts, seconds: Seconds) -> str:
    total, creation, mixed, deletion = seconds
    created = counts.created_alone + counts.created_mixed
    deleted = counts.deleted_alone + counts.deleted_mixed
    return _text(
        [
            "Time:",
            f"\t{_time(total)} seconds total",
            f"\t{_time(mixed)} seconds of transactions ({_rate(counts.transactions, mixed)} per second)",
            "",
            "Files:",
            f"\t{created} created ({_rate(created, total)} per second)",
            f"\t\tCreation alone: {_files(counts.created_alone, creation)}",
            f"\t\tMixed with transactions: {_files(counts.created_mixed, mixed)}",
            f"\t{counts.read} read ({_rate(counts.read, mixed)} per second)",
            f"\t{counts.appended} appended ({_rate(counts.appended, mixed)} per second)",
            f"\t{deleted} deleted ({_rate(deleted, total)} per second)",
            f"\t\tDeletion alone: {_files(counts.deleted_alone, deletion)}",
            f"\t\tMixed with transactions: {_files(counts.deleted_mixed, mixed)}",
            "",
            "Data:",
            f"\t{_data(counts.read_bytes_single, total, 'read')}",
            f"\t{_data(counts.written_bytes_single, total, 'written')}",
        ]
    )


def _terse(counts: Counts, seconds: Seconds) -> str:
    total, creation, mixed, deletion = seconds
    rates = (
        _single(counts.transactions, mixed),
        _single(counts.created_alone + counts.created_mixed, total),
        _single(counts.created_alone, creation),
        _single(counts.created_mixed, mixed),
        _single(counts.read, mixed),
        _single(counts.appended, mixed),
        _single(counts.deleted_alone + counts.deleted_mixed, total),
        _single(counts.deleted_alone, deletion),
        _single(counts.deleted_mixed, mixed),
        _single(counts.read_bytes_single, total),
        _single(counts.written_bytes_single, total),
    )
    return " ".join([_time(total), _time(mixed), *(f"{rate:.2f}" for rate in rates)]) + "\n"


def _files(number: int, seconds: float) -> str:
    return f"{number} files ({_rate(number, seconds)} per second)"


def _rate(number: int, seconds: float) -> str:
    """Return a whole number for whole seconds, as PostMark does, else two decimals."""
    return str(number // seconds) if isinstance(seconds, int) else f"{_single(number, seconds):.2f}"


def _time(seconds: float) -> str:
    return str(seconds) if isinstance(seconds, int) else f"{seconds:.6f}"


def _single(number: float, seconds: float) -> float:
    """Return a quotient of single precision; nothing in no time is 0."""
    if not seconds:
        return inf if number else 0.0
    return float(np.float32(number) / np.float32(seconds))


def _data(single: float, seconds: float, done: str) -> str:
    return f"{_amount(single)} {done} ({_amount(_single(single, seconds))} per second)"


def _amount(single: float) -> str:
    """Return bytes as the report prints them: only 0 is in bytes, and one megabyte still in kilobytes."""
    if single > MEGABYTE:
        return f"{single / MEGABYTE:.2f} megabytes"
    return f"{single / KILOBYTE:.2f} kilobytes" if single > 0 else f"{single:f} bytes"


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
