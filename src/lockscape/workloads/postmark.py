"""PostMark 1.5: its options, and the exact stream of operations that it makes of them.

Written from what the program does (Debian's 1.53, which calls itself 1.51), not from its source; tests run
that program and compare. What is peculiar in it is kept, because the stream depends on it:

- The source of what it writes is 2 * size_high_bytes random characters, drawn before anything else.
- A size is low + RND(high - low): high itself is never chosen. RND(x) is a number modulo x; for x <= 0 it
  is 0 and draws nothing.
- A file's directory is drawn before its size: first the location, if there are several, then the
  subdirectory. One subdirectory is the same as none.
- The table of files has 2 * files places. A new file takes the place after the one taken last, if that is
  free, else the first free one. When the table is full, creating does nothing, and draws nothing.
- A file to read, append to or delete is found by drawing places until one is in use.
- An append to a file of full size does nothing.
- A bias of -1 leaves out that half of every transaction, with its draws.
- It ends early (*out of files!*) and without a report when a transaction begins with no file left.
- Fewer than MIN_TRANSACTIONS transactions kill it: it divides by their tenth after the first one. That has
  no stream, and `operations` refuses it.
"""

import heapq
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.workloads.twister import Twister

Libc = Literal["modern", "2005"]
"""The C library through which an operation makes system calls: glibc 2.36 (``modern``), whose streams have
buffers from malloc, or 2.3 (``2005``), which maps every buffer, so that a stream adds an mmap, a munmap and a
page fault."""

Seeding = Literal["same", "each"]
"""Whether all processes have one seed, or each the next one."""

MKDIR, CREATE, READ, APPEND, DELETE, RMDIR, NOTHING, MARK = range(8)
"""What an operation is. NOTHING is half a transaction without effect: an append to a file of full size (the
row names the file), or a creation in a full table (its name is 0)."""

KIND, DIRECTORY, NAME, BYTES, BEFORE, PROBES = range(6)
"""The columns of an operation.

DIRECTORY is an index into `Operations.directories`. NAME is the file's name, a number from 1 in order of
creation; for a MARK, which one. BYTES are written (CREATE, APPEND) or read (READ), else 0. BEFORE is the
size of the file before the operation, in bytes. PROBES are the places of the table that were drawn to find
the file.
"""

COLUMNS = 6
"""Of an operation."""

START, CREATED, TRANSACTED, DELETED = range(4)
"""The marks, where PostMark takes the time: before the first file is created, after the last one of the
first phase, after the transactions, and after the rest is deleted (but before the subdirectories are)."""

MIN_TRANSACTIONS = 10
"""With fewer PostMark dies."""

_MAX_FILES = 250_000
_MAX_TRANSACTIONS = 1_000_000
_MAX_DIRECTORIES = 250_000
MAX_LOCATIONS = 256
"""Bounds of ours, so that a stream takes seconds and some hundred megabytes at most."""

MAX_SIZE_BYTES = 2**30 - 1
"""PostMark cannot allocate twice more than this: it counts in an int of 32 bits."""

MAX_INT = 2**31 - 1
"""The largest number that PostMark can hold."""


class Location(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A working folder, and how many times more often than one of weight 1 it is chosen."""

    path: str
    weight: int = 1


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} {value}: give a number from {low} to {high}")


def _check_locations(locations: tuple[Location, ...]) -> None:
    if len(locations) > MAX_LOCATIONS:
        raise InputError(f"{len(locations)} locations: give at most {MAX_LOCATIONS}")
    seen: set[str] = set()
    for location in locations:
        if not location.path or not location.path.isprintable():
            raise InputError(f"location {location.path!r}: give a path, without control characters")
        if location.path in seen:
            raise InputError(
                f"location {location.path!r} is given twice: give it once, with the sum of the weights"
            )
        seen.add(location.path)
        _within(f"the weight of location {location.path!r},", location.weight, 1, MAX_INT)
    _within("the sum of all weights,", sum(location.weight for location in locations), 0, MAX_INT)


class PostmarkOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that PostMark's stream depends on, with PostMark's defaults.

    `files` is PostMark's *number*. Without `locations` the working folder is the current one. `read_bias`
    of 10 transactions read, the others append; `create_bias` of 10 create, the others delete; -1 leaves
    them out. Raises InputError for a value that PostMark does not accept or that would not fit in memory.
    """

    size_low_bytes: int = 500
    size_high_bytes: int = 10_000
    files: int = 500
    transactions: int = 500
    seed: int = 42
    subdirectories: int = 0
    locations: tuple[Location, ...] = ()
    read_block_bytes: int = 512
    write_block_bytes: int = 512
    read_bias: int = 5
    create_bias: int = 5
    buffered: bool = True

    def __post_init__(self) -> None:
        _within("size_low_bytes", self.size_low_bytes, 1, self.size_high_bytes)
        _within("size_high_bytes", self.size_high_bytes, 1, MAX_SIZE_BYTES)
        _within("files", self.files, 1, _MAX_FILES)
        _within("transactions", self.transactions, 1, _MAX_TRANSACTIONS)
        _within("seed", self.seed, 1, MAX_INT)
        _within("subdirectories", self.subdirectories, 0, _MAX_DIRECTORIES // max(1, len(self.locations)))
        _within("read_block_bytes", self.read_block_bytes, 1, MAX_INT)
        _within("write_block_bytes", self.write_block_bytes, 1, MAX_INT)
        _within("read_bias", self.read_bias, -1, 10)
        _within("create_bias", self.create_bias, -1, 10)
        _check_locations(self.locations)


PAPER = PostmarkOptions(size_low_bytes=100, size_high_bytes=100, files=1000, transactions=10_000)
"""What the paper says of its PostMark, and the default: 10,000 transactions, 1,000 files, 100 bytes."""

PROCESSES = 8
"""The paper's processes, each with a PostMark of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """The stream of one run of PostMark.

    `rows` is int64 of shape (operations, COLUMNS), in the order of execution. `directories` are the folders
    that files are in: the locations, or the subdirectories of each. `transactions` were done; if they are
    fewer than asked for, the run was out of files.
    """

    options: PostmarkOptions
    rows: NDArray[np.int64]
    directories: tuple[str, ...]
    transactions: int

    @property
    def out_of_files(self) -> bool:
        """Whether the run ended before all transactions were done."""
        return self.transactions < self.options.transactions

    def path(self, row: int) -> str:
        """Return the path, as PostMark writes it, of the file or folder of operation number `row`."""
        folder: str = self.directories[self.rows[row, DIRECTORY]]
        if self.rows[row, KIND] in (MKDIR, RMDIR):
            return folder
        return f"{folder}/{self.rows[row, NAME]}" if folder else str(self.rows[row, NAME])


def operations(options: PostmarkOptions) -> Operations:
    """Return the stream of operations of PostMark with `options`.

    Raises InputError for fewer than MIN_TRANSACTIONS transactions.
    """
    check_runnable(options)
    generation = _Generation(options)
    done = generation.run()
    rows = np.frombuffer(generation.rows, np.int64).reshape(-1, COLUMNS)
    rows.flags.writeable = False
    return Operations(options, rows, generation.directories, done)


def check_runnable(options: PostmarkOptions) -> None:
    """Raise InputError if PostMark would die of these options."""
    if options.transactions < MIN_TRANSACTIONS:
        raise InputError(
            f"{options.transactions} transactions: PostMark divides by a tenth of them and dies (SIGFPE) with"
            f" fewer than {MIN_TRANSACTIONS}: set at least {MIN_TRANSACTIONS}"
        )


class _Generation:
    """A run while it is made: the draws, and the table of files (by place; a name of 0 is a free place)."""

    def __init__(self, options: PostmarkOptions) -> None:
        twister = Twister(options.seed)
        twister.skip(2 * options.size_high_bytes)
        self._draw = twister.numbers().__next__
        self._options = options
        self._places = 2 * options.files
        self._names = [0] * self._places
        self._sizes = [0] * self._places
        self._homes = [0] * self._places
        self._free = list(range(self._places))  # a heap; places in use may still stand in it
        self._next = 0
        self._used = 0
        self._created = 0
        self._split = options.subdirectories if options.subdirectories > 1 else 1
        self._ends = tuple(accumulate(location.weight for location in options.locations)) or (1,)
        self.directories = _directories(options)
        self.rows = array("q")  # COLUMNS numbers a row

    def run(self) -> int:
        """Make all rows, and return how many transactions were done."""
        options, rows = self._options, self.rows
        folders = range(len(self.directories)) if self._split > 1 else ()
        for folder in folders:
            rows.extend((MKDIR, folder, 0, 0, 0, 0))
        rows.extend((MARK, 0, START, 0, 0, 0))
        for _ in range(options.files):
            self._create()
        rows.extend((MARK, 0, CREATED, 0, 0, 0))
        done = self._transactions()
        rows.extend((MARK, 0, TRANSACTED, 0, 0, 0))
        for place, name in enumerate(self._names):
            if name:
                rows.extend((DELETE, self._homes[place], name, 0, self._sizes[place], 0))
        rows.extend((MARK, 0, DELETED, 0, 0, 0))
        for folder in folders:
            rows.extend((RMDIR, folder, 0, 0, 0, 0))
        return done

    def _transactions(self) -> int:
        """Make the transactions, and return how many were done before the files ran out."""
        draw, read_bias, create_bias = self._draw, self._options.read_bias, self._options.create_bias
        for number in range(self._options.transactions):
            if not self._used:
                return number
            if read_bias >= 0:
                if draw() % 10 < read_bias:
                    self._read()
                else:
                    self._append()
            if create_bias >= 0:
                if draw() % 10 < create_bias:
                    self._create()
                else:
                    self._delete()
        return self._options.transactions

    def _find(self) -> tuple[int, int]:
        """Return a place in use, and how many places were drawn for it."""
        draw, places, names = self._draw, self._places, self._names
        probes = 1
        place = draw() % places
        while not names[place]:
            place = draw() % places
            probes += 1
        return place, probes

    def _take_place(self) -> int:
        """Return a new file's place: the one after the last taken if it is free, else the first free one."""
        place = self._next
        if place == self._places or self._names[place]:
            place = heapq.heappop(self._free)
            while self._names[place]:
                place = heapq.heappop(self._free)
        self._next = place + 1
        self._used += 1
        return place

    def _create(self) -> None:
        if self._used == self._places:
            self.rows.extend((NOTHING, 0, 0, 0, 0, 0))
            return
        place = self._take_place()
        home = 0
        if len(self._ends) > 1:
            home = bisect_right(self._ends, self._draw() % self._ends[-1]) * self._split
        if self._split > 1:
            home += self._draw() % self._split
        span = self._options.size_high_bytes - self._options.size_low_bytes
        size = self._options.size_low_bytes + (self._draw() % span if span else 0)
        self._created += 1
        self._names[place], self._sizes[place], self._homes[place] = self._created, size, home
        self.rows.extend((CREATE, home, self._created, size, 0, 0))

    def _read(self) -> None:
        place, probes = self._find()
        size = self._sizes[place]
        self.rows.extend((READ, self._homes[place], self._names[place], size, size, probes))

    def _append(self) -> None:
        place, probes = self._find()
        name, size, home = self._names[place], self._sizes[place], self._homes[place]
        room = self._options.size_high_bytes - size
        if room:
            added = self._draw() % room + 1
            self._sizes[place] = size + added
            self.rows.extend((APPEND, home, name, added, size, probes))
        else:
            self.rows.extend((NOTHING, home, name, 0, size, probes))

    def _delete(self) -> None:
        place, probes = self._find()
        self.rows.extend((DELETE, self._homes[place], self._names[place], 0, self._sizes[place], probes))
        self._names[place] = 0
        self._used -= 1
        heapq.heappush(self._free, place)


def _directories(options: PostmarkOptions) -> tuple[str, ...]:
    """Return the folders that files are in: the locations, or subdirectories s0, s1, … of each."""
    bases = [location.path for location in options.locations] or [""]
    if options.subdirectories < 2:
        return tuple(bases)
    return tuple(
        f"{base}/s{number}" if base else f"s{number}"
        for base in bases
        for number in range(options.subdirectories)
    )
