"""New code of master-slave: a queue for the master's jobs and one for the slaves', and moving between them.

Queue 0 has the processes that are in the kernel, which the master alone runs; queue 1 those in user mode,
which the slaves run, and the master when it has no other. A process that enters the kernel changes its queue,
and so its processor: the slave switches away from it, the master to it. It stays with the master afterwards,
in user mode, until the master has something to do in the kernel.
"""

from lockscape.kernel.kicks import MASTER, choose_cpu, kick, kick_master
from lockscape.kernel.objects import INTERRUPTIBLE, Process, Processor, RunQueue
from lockscape.kernel.scheduler import enqueue, pick_best, schedule
from lockscape.kernel.signals import interrupt_runner
from lockscape.program.language import (
    current,
    function,
    grant,
    insert,
    remove,
    section,
    step,
    the,
    this_cpu,
)  # fmt: skip

MASTERS_JOBS, SLAVES_JOBS = 0, 1
"""Numbers of the queues."""


@function()
def enter_master() -> None:
    """Go on as a job of the master; calls nest."""
    me: Process = current()
    me.bound += 1
    if me.bound == 1:
        change_queue(me, SLAVES_JOBS, MASTERS_JOBS)
    while this_cpu() != MASTER:
        schedule()


@function()
def leave_master() -> None:
    """Undo one `enter_master`: be a job for user mode again, and make way if the master has others."""
    me: Process = current()
    me.bound -= 1
    if me.bound == 0:
        change_queue(me, MASTERS_JOBS, SLAVES_JOBS)
        jobs: RunQueue = the(RunQueue, MASTERS_JOBS)
        if jobs.length > 0:
            processor: Processor = the(Processor, MASTER)
            processor.need_resched = 1


@function()
def change_queue(me: Process, old: int, new: int) -> None:
    """Take a running process from one queue to the other."""
    left: RunQueue = the(RunQueue, old)
    entered: RunQueue = the(RunQueue, new)
    with section("change", left.tasks, entered.tasks):
        step("dequeue")
        remove(left.tasks, me)
        left.length -= 1
        step("enqueue")
        insert(entered.tasks, me, me)
        entered.length += 1


@function(replaces=True)
def queue_of(cpu: int) -> RunQueue:
    """Return the queue that a processor takes from first."""
    queue: RunQueue = the(RunQueue, cpu != MASTER)
    return queue


@function(replaces=True)
def pick(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Choose from a queue; the master runs a job of the slaves' if it has none of its own."""
    best = pick_best(queue, me, processor)
    if best == processor.idle and this_cpu() == MASTER:
        slaves: RunQueue = the(RunQueue, SLAVES_JOBS)
        best = pick_best(slaves, me, processor)
    return best


@function(replaces=True)
def wake_new(child: Process) -> None:
    """Let a new process run: it is on its way to user mode, so it is a job of the slaves'."""
    step("wake")
    queue: RunQueue = the(RunQueue, SLAVES_JOBS)
    with section("enqueue", queue.tasks, child.state):
        enqueue(queue, child)
    kick(choose_cpu(child.cpu))


@function("hook", replaces=True)
def wake(p: Process) -> None:
    """Make a process runnable: it sleeps in the kernel, so it is a job of the master's."""
    step("wake")
    queue: RunQueue = the(RunQueue, MASTERS_JOBS)
    woken = 0
    with section("enqueue", queue.tasks, p.state):
        woken = enqueue(queue, p)
        grant(p)
    if woken == 1:
        kick_master()


@function("waker", replaces=True)
def call(p: Process) -> None:
    """Let a process that was taken off its wait queue go on: it sleeps in the kernel."""
    step("wake")
    queue: RunQueue = the(RunQueue, MASTERS_JOBS)
    woken = 0
    with section("call", queue.tasks, p.state, p.waiting):
        woken = enqueue(queue, p)
        p.waiting = 0  # last: it looks without the lock, and may go on and end
    if woken == 1:
        kick_master()


@function("waker", replaces=True)
def signal_wake_up(p: Process) -> None:
    """Let a process notice a signal: from its sleep, which was in the kernel, or where it runs."""
    queue: RunQueue = the(RunQueue, MASTERS_JOBS)
    woken = 0
    with section("wake", queue.tasks, p.state, p.pending):
        p.pending = 1
        running = p.running
        if p.state == INTERRUPTIBLE:
            woken = enqueue(queue, p)
    if woken == 1:
        kick_master()
    elif running == 1:
        interrupt_runner(p.cpu)
