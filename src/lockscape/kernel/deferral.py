"""Freeing what readers without a lock may still look at, when every processor has been elsewhere (RCU)."""

from lockscape.kernel.allocate import slab_free
from lockscape.kernel.objects import DENTRIES, Clock, Dentry, Processor
from lockscape.program.language import (
    NONE,
    count,
    cpus,
    first,
    free,
    function,
    insert,
    interrupted_user,
    masked,
    remove,
    section,
    step,
    the,
    this_cpu,
)


@function()
def defer_free(dentry: Dentry) -> None:
    """Have a dentry freed on this processor when no reader can have it any more (call_rcu)."""
    clock: Clock = the(Clock)
    step("defer_free")
    with masked():
        mine: Processor = the(Processor, this_cpu())
        dentry.since = clock.jiffies
        insert(mine.deferred, dentry, dentry)


@function()
def note_quiet() -> None:
    """Note that this processor reads nothing without a lock now: it switches, idles or was in user mode."""
    clock: Clock = the(Clock)
    mine: Processor = the(Processor, this_cpu())
    mine.quiet = clock.jiffies


@function()
def check_deferred(processor: Processor) -> None:
    """At a tick, free what every processor has been quiet since (rcu_check_callbacks)."""
    if interrupted_user() == 1 or processor.idling == 1:
        note_quiet()
    if count(processor.deferred) > 0:
        limit = quiet_since()
        dentry: Dentry = first(processor.deferred)
        while dentry != NONE and dentry.since < limit:
            remove(processor.deferred, dentry)
            free(dentry)
            slab_free(DENTRIES)
            dentry = first(processor.deferred)


@function()
def quiet_since() -> int:
    """Return the time since which every processor has been quiet at least once."""
    clock: Clock = the(Clock)
    earliest = clock.jiffies
    cpu = 0
    while cpu < cpus():
        step("look_at_cpu")
        other: Processor = the(Processor, cpu)
        with section("look", other.quiet):
            quiet = other.quiet
        if quiet < earliest:
            earliest = quiet
        cpu += 1
    return earliest
