"""PostMark's random numbers: the Mersenne Twister MT19937 as its authors seeded it in 1999.

The recurrence is numpy's; the seeding is not. numpy fills the state with ``init_genrand`` of 2002. The
version of 1999 takes the upper halves of two successive values of x -> 69069 x + 1 (mod 2^32) for each word
of the state (M. Matsumoto, T. Nishimura, ACM TOMACS 8 (1998) 3-30, and their program of 28 October 1999).
PostMark shows the numbers in the files that it writes, each byte 32 + number % 95; a test compares them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WORDS = 624
"""Words of the generator's state, 32 bits each."""

_BLOCK = 4096
"""Numbers drawn at a time: enough that the calls into numpy cost nothing beside the numbers."""


def seeded_state(seed: int) -> NDArray[np.uint32]:
    """Return the WORDS words of state that the seeding of 1999 makes of `seed`, taken modulo 2^32."""
    state = np.empty(WORDS, np.uint32)
    x = seed & 0xFFFFFFFF
    for at in range(WORDS):
        high = x & 0xFFFF0000
        x = (69069 * x + 1) & 0xFFFFFFFF
        state[at] = high | x >> 16
        x = (69069 * x + 1) & 0xFFFFFFFF
    return state


class Twister:
    """A stream of 32-bit numbers from a seed."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": seeded_state(seed), "pos": WORDS}}

    def skip(self, count: int) -> None:
        """Draw `count` numbers and forget them."""
        self._bits.random_raw(count, output=False)

    def numbers(self) -> Iterator[int]:
        """Yield the numbers that follow, without end. They are drawn in blocks: use one such stream only."""
        while True:
            yield from self._bits.random_raw(_BLOCK).tolist()
