"""New code of the funnel to the master processor: bind a process to it, as OSF/1's unix_master() does.

unix_master() sets the thread's bound_processor, and calls the scheduler if that is another one.
unix_release() clears it, and the thread goes on where it is (kern/parallel.c of OSF/1 1.0: to block at once
is there, but left out). What sends it away is Mach's scheduler: threads bound to a processor lie in a queue
of that processor, which is looked at first, and one that waits there is a reason to switch at the end of a
system call ("it is OK to go back on a slave") and at interrupts. Here all lie in one queue, where the master
looks for bound ones first.

That a waiting thread interrupts the master, unless a bound one runs there, is as in OSF's later Mach
(osfmk/kern/sched_prim.c:thread_setrun); OSF/1 1.0 saved that signal, so that the thread waited for a tick.
"""

from lockscape.kernel.kicks import MASTER
from lockscape.kernel.objects import Process, Processor, RunQueue
from lockscape.kernel.scheduler import pick_best, schedule
from lockscape.program.language import NONE, after, current, first, function, step, this_cpu


@function()
def enter_master() -> None:
    """Go on as the master processor only; calls nest."""
    me: Process = current()
    step("bind")
    me.bound += 1
    while this_cpu() != MASTER:
        schedule()


@function()
def leave_master() -> None:
    """Undo one `enter_master`: any processor may go on, this one until a bound process wants it."""
    me: Process = current()
    step("bind")
    me.bound -= 1


@function(replaces=True)
def pick(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Choose from the queue: the master takes bound processes before all others."""
    best = processor.idle
    if this_cpu() == MASTER:
        best = pick_bound(queue, me, processor)
    if best == processor.idle:
        best = pick_best(queue, me, processor)
    return best


@function()
def pick_bound(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Return the bound process with the longest slice, or the idle process."""
    best: Process = processor.idle
    p: Process = first(queue.tasks)
    while p != NONE:
        if p.bound > 0 and (p.running == 0 or p == me):
            step("goodness")
            if best == processor.idle or p.slice > best.slice:
                best = p
        p = after(queue.tasks, p)
    return best
