"""Says what compare-and-swaps are needed for in a run: words that two threads change at the same time."""

from itertools import permutations

from lockscape.experiments.need import LATER, ONE_PROCESSOR
from lockscape.experiments.witness import Witness


def need_of_swap(witness: Witness, row: int) -> tuple[str, set[str]]:
    """Return what only the compare-and-swap of a row keeps apart, in words, or what else does.

    Two threads that change a word are kept apart by a lock that both hold whenever they do, or by the one
    processor that both are on; or one has come to it for the last time before the other first changes it
    (what happened, not a rule of the port).
    """
    excuses = set[str]()
    for place, generation, offset in sorted(witness.swapped.get(row, ())):
        uses = witness.lives[place, generation].parts[offset]
        for (thread, held), (other, also) in permutations(uses.changed, 2):
            if thread == other:
                continue
            if held & also:
                excuses |= {witness.names[lock] for lock in held & also if lock in witness.names}
            elif (
                uses.last[thread] < uses.changed[other, also] or uses.last[other] < uses.changed[thread, held]
            ):
                excuses.add(LATER)
            elif len(uses.where[thread] | uses.where[other]) == 1 and -1 not in uses.where[thread]:
                excuses.add(ONE_PROCESSOR)
            else:
                return f"{witness.places.part(place, offset)}: changed by two threads in turn", set()
    return "", excuses
