"""New code of turnstiles: an interrupt's thread that sleeps for a lock lends its urgency to who holds it.

Otherwise the holder, if it was preempted, would wait for its turn among the processes while the thread waits
for it (priority inversion). The thread takes what it lent back when it has been woken; with ``inheritance`` =
0 none is lent. Who holds the lock is told by the machine, as the argument of `wait_for_lock`. That a holder
which waits for another lock hands the urgency on is left out.
"""

from lockscape.kernel.kicks import THREAD_SLICE, preempt
from lockscape.kernel.objects import BLOCKED, Process
from lockscape.kernel.release import put_process
from lockscape.kernel.scheduler import queue_of, schedule
from lockscape.ports.interrupt_threads import InterruptThread
from lockscape.program.language import (
    NONE,
    atomic,
    current,
    function,
    granted,
    option,
    section,
    step,
    the,
    this_cpu,
)


@function("hook", replaces=True)
def wait_for_lock(holder: Process) -> None:
    """Sleep until the sleeping lock that this process asked for is given to it or free again."""
    me: Process = current()
    step("sleep")
    if option("inheritance") and me.weight == THREAD_SLICE and holder != NONE:
        lend(the(InterruptThread, me.number), holder)
    while granted() == 0:
        asleep = 0
        with atomic():
            queue = queue_of(this_cpu())
            with section("sleep", queue.tasks, me.state):
                if granted() == 0:
                    me.state = BLOCKED
                    asleep = 1
        if asleep == 1:
            schedule()
    if option("inheritance") and me.weight == THREAD_SLICE:
        take_back(the(InterruptThread, me.number))


@function()
def lend(thread: InterruptThread, holder: Process) -> None:
    """Make the holder of a lock urgent, and have a processor take it, if it only waits for one."""
    step("bind")
    if change_urgency(holder, 1) == 1:
        if option("sharing"):
            holder.references += 1
        thread.lent = holder
        preempt(holder.cpu)


@function()
def take_back(thread: InterruptThread) -> None:
    """Make who held the lock an ordinary process again, with a slice that begins."""
    holder: Process = thread.lent
    if holder != NONE:
        step("bind")
        thread.lent = NONE
        change_urgency(holder, 0)
        if option("sharing"):
            put_process(holder)


@function()
def change_urgency(p: Process, urgent: int) -> int:
    """Make a process urgent or ordinary, wherever it is; return 1 if it was not so."""
    changed = -1
    while changed < 0:
        cpu = p.cpu
        queue = queue_of(cpu)
        with section("change", queue.tasks, p.slice):
            # it may have moved to another queue before this one was kept
            if not option("processor_queues") or p.cpu == cpu:
                changed = (p.slice >= THREAD_SLICE) != urgent
                if changed == 1:
                    p.slice = p.weight + urgent * THREAD_SLICE
    return changed
