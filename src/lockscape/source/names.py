"""Known names in the form that the compiled lexer reads: a hash table in plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def hash_name(name: bytes) -> int:
    """Return the hash that the lexer computes while it reads an identifier backwards."""
    value = 0
    for byte in reversed(name):
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


@dataclass(frozen=True)
class NameTable:
    """Known identifiers in the form that the lexer reads.

    `names` are in the caller's order: a place's name number is an index into them. `slots` (int64) is an
    open-addressed hash table of name number or -1, `hashes` (int64) the names' hashes, `blob` and
    `offsets` their bytes, `ends` (uint8, 4096) tells which pairs of last characters occur.
    """

    names: tuple[str, ...]
    slots: NDArray[np.int64]
    hashes: NDArray[np.int64]
    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    ends: NDArray[np.uint8]
    longest: int


def name_table(names: Sequence[str]) -> NameTable:
    """Build the lexer's table for distinct identifiers of two or more ASCII characters."""
    encoded = [name.encode() for name in names]
    size = 256
    while size < 4 * len(names):
        size *= 2
    slots = np.full(size, -1, np.int64)
    ends = np.zeros(4096, np.uint8)
    for number, name in enumerate(encoded):
        at = hash_name(name) & (size - 1)
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = number
        ends[(name[-1] & 63) << 6 | (name[-2] & 63)] = 1
    return NameTable(
        tuple(names),
        slots,
        np.array([hash_name(name) for name in encoded] or [0], np.int64),
        np.frombuffer(b"".join(encoded) + b"\0", np.uint8),
        np.cumsum([0, *map(len, encoded)]).astype(np.int64),
        ends,
        max(map(len, encoded), default=0),
    )
