"""System V semaphores: sets that are there from the start, with all their semaphores at 0.

A process that cannot go on enters its set's list of sleepers. Whoever changes a semaphore looks through the
list for who can go now. Linux 2.2 and 2.4 call the first one, which then tries again itself and keeps its
place on the list until it succeeds (option ``semaphore_handover`` 0); 2.0 and 2.6 do the operations of all
who can go for them (1). Who waits for 0 is taken off the list and called in all versions.
"""

from lockscape.kernel.objects import Process
from lockscape.kernel.waits import call, wait_until_called
from lockscape.program.language import (
    NONE,
    after,
    current,
    find,
    first,
    function,
    insert,
    option,
    remove,
    section,
    step,
    the,
)
from lockscape.program.objects import Collection, Object, listed

INVALID, TOO_BIG, OUT_OF_RANGE = -22, -27, -34
"""Results of calls that fail, as in Unix."""

SEMAPHORES, MOST = 250, 32767
"""Semaphores of a set, and the highest value of one (include/linux/sem.h: SEMMSL, SEMVMX)."""

ASLEEP, AGAIN = 1, 2
"""What `Process.given` says: still asleep, or called to try again; 0: the operation is done."""


class SemaphoreSet(Object, count="semaphore_sets"):
    """A System V semaphore set: `values` by number + 1, of which `total` is the sum."""

    total: int
    values: Collection = listed()
    sleepers: Collection = listed(Process)


@function()
def sys_semop(number: int, semaphore: int, change: int) -> int:
    """Change a semaphore of a set, and sleep until that does not make it negative; or wait until it is 0."""
    me: Process = current()
    step("semop")
    if number < 0 or number >= option("semaphore_sets"):
        return INVALID
    if semaphore < 0 or semaphore >= SEMAPHORES:
        return TOO_BIG
    semaphores: SemaphoreSet = the(SemaphoreSet, number)
    me.asked = semaphore + 1
    me.change = change
    result = AGAIN
    while result == AGAIN:
        me.waiting = 1
        result = operate(semaphores, me)
        if result == ASLEEP:
            wait_until_called()
            result = me.given
        else:
            me.waiting = 0
    return result


@function()
def operate(semaphores: SemaphoreSet, me: Process) -> int:
    """Try an operation; if it succeeds and changes something, see who of the sleepers can go on now."""
    result = try_operation(semaphores, me)
    if result == 0 and me.change != 0:
        update_queue(semaphores)
    return result


@function()
def try_operation(semaphores: SemaphoreSet, me: Process) -> int:
    """Do an operation if it is possible, or enter the list of sleepers (try_atomic_semop)."""
    with section("try", semaphores.values, semaphores.total, semaphores.sleepers):
        step("semaphore_try")
        result = outcome(semaphores, me)
        if result == ASLEEP:
            insert(semaphores.sleepers, me, me)
            me.given = ASLEEP
        else:
            remove(semaphores.sleepers, me)
            if result == 0:
                change_value(semaphores, me)
    return result


@function()
def outcome(semaphores: SemaphoreSet, p: Process) -> int:
    """Return what would come of a process' operation: 0, that it must sleep, or an error."""
    value = find(semaphores.values, p.asked)
    result = 0
    if p.change == 0:
        if value != 0:
            result = ASLEEP
    elif value + p.change < 0:
        result = ASLEEP
    elif value + p.change > MOST:
        result = OUT_OF_RANGE
    return result


@function()
def change_value(semaphores: SemaphoreSet, p: Process) -> None:
    """Do an operation that is possible."""
    insert(semaphores.values, p.asked, find(semaphores.values, p.asked) + p.change)
    semaphores.total += p.change


@function()
def update_queue(semaphores: SemaphoreSet) -> None:
    """Let sleepers go on: all who can, or up to the first one that must try again itself."""
    p = next_ready(semaphores)
    while p != NONE:
        tries = p.change != 0
        call(p)
        p = NONE
        if tries == 0 or option("semaphore_handover"):
            p = next_ready(semaphores)


@function()
def next_ready(semaphores: SemaphoreSet) -> Process:
    """Return the first sleeper that can go on; it is off the list with its operation done, or is to try."""
    with section("ready", semaphores.values, semaphores.total, semaphores.sleepers):
        p: Process = first(semaphores.sleepers)
        while p != NONE:
            step("look_at_sleeper")
            if p.given == ASLEEP and outcome(semaphores, p) != ASLEEP:
                break
            p = after(semaphores.sleepers, p)
        if p != NONE:
            if option("semaphore_handover") or p.change == 0:
                remove(semaphores.sleepers, p)
                p.given = 0
                change_value(semaphores, p)
            else:
                p.given = AGAIN
    return p
