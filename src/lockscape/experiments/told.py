"""What explains a mutant of a message or barrier that is not caught.

A word that is stored plainly, or told before what it is about is filled in, does nothing wrong if no other
thread comes to the same parts of objects (**private**); if a lock is held each time that anybody comes to
them (**covered**); or if in all runs the thread was the last to come to them, nobody changed them after a
second thread had come, or all who came knew of it by something else, as a signal sent afterwards: else the
detector would have seen a race (`OBSERVED`: no rule of the port). A barrier that is left out does nothing
wrong if no other processor reads what its function wrote (**private**), or if all that did so in runs knew
of it by something else, as a lock or a later message. What is not sent because there is no other processor
to send it to is **private**.
"""

from lockscape.experiments.need import SET_BEFORE, TAKEN_DOWN
from lockscape.experiments.overlap import Overlaps, Region
from lockscape.machine import layout as at

OTHERWISE = "known otherwise"
"""Excuse of a store or a barrier left out: others knew of what was written before by something else."""

LAST = "last"
"""Excuse of a store: no other thread came to the word again."""

OBSERVED = (TAKEN_DOWN, SET_BEFORE, OTHERWISE, LAST)
"""Excuses that are no rule of the port, but what happened in runs."""


def excuses(watched: Overlaps) -> set[str] | None:
    """Return what keeps the changed message of one run from doing harm: nothing if nobody could notice, None
    if nothing explains it."""
    mutant = watched.mutant
    if mutant.change == "removed":
        wrote = {watched.state.binary.where[pc] for pc, _ in watched.publishing.met}
        return {OTHERWISE} if mutant.function in wrote else set()
    found: set[str] = set()
    for region in watched.bare:
        for part in region.parts:
            why = _excuse(watched, region, part)
            if why is None:
                return None
            found |= why
    return found


def _excuse(watched: Overlaps, region: Region, part: tuple[int, int, int]) -> set[str] | None:
    """Return what keeps others from noticing what was done to one part."""
    life = watched.lives[part[:2]]
    uses = life.parts[part[2]]
    if len(uses.last) == 1:
        return set()
    if watched.mutant.change == "early" and not uses.plain:
        return set()  # the message itself, which is not what it tells of
    if uses.locks:
        return {_lock_name(watched, lock) for lock in uses.locks}
    if uses.is_last(region.thread, region.began):
        return {TAKEN_DOWN if life.freed else LAST}
    if life.set_before(part[2]):
        return {SET_BEFORE}
    return {OTHERWISE} if uses.plain else None  # of what is racy on purpose no race is seen


def _lock_name(watched: Overlaps, lock: int) -> str:
    """Return the name of the lock at an address."""
    place = watched.tracker.lock_places[lock]
    return watched.places.lock(place, lock - place).partition(" of ")[0]


def alone(watched: Overlaps) -> bool:
    """Say whether a mutant's function was executed, but only by kernels of one processor."""
    m, state = watched.state.m, watched.state
    kernels = {int(m[state.virtuals[virtual] + at.V_INSTANCE]) for virtual in watched.executed}
    return bool(kernels) and all(int(m[kernel + at.I_CPUS]) == 1 for kernel in kernels)
