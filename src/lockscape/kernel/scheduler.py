"""The scheduler: which process runs where. Kernel code like the rest, with sections of its own."""

from lockscape.kernel.balance import pull, pull_when_idle
from lockscape.kernel.deferral import note_quiet
from lockscape.kernel.kicks import MASTER, THREAD_SLICE, kick_for, wish_of
from lockscape.kernel.objects import (
    BLOCKED,
    RUNNABLE,
    Process,
    Processor,
    RunQueue,
)
from lockscape.kernel.release import put_process
from lockscape.program.language import (
    NONE,
    after,
    atomic,
    current,
    first,
    function,
    grant,
    granted,
    halt,
    insert,
    move,
    option,
    remove,
    section,
    step,
    switch_to,
    the,
    this_cpu,
    unmask,
)  # fmt: skip
from lockscape.program.language import mask as mask_interrupts

URGENT = 1000
"""What makes an urgent process better than any other (kernel/sched.c of 2.4.31: goodness{weight = 1000})."""


@function()
def queue_of(cpu: int) -> RunQueue:
    """Return the run queue that a processor takes from."""
    if option("processor_queues"):
        return the(RunQueue, cpu)
    return the(RunQueue, 0)


@function()
def schedule() -> None:
    """Give the processor to another process, if there is one that should have it."""
    with atomic():
        me: Process = current()
        processor: Processor = the(Processor, this_cpu())
        queue = queue_of(this_cpu())
        if option("executable_queue"):
            step("ready_chain")
        else:
            step("schedule")
        if option("processor_queues"):
            if queue.length == 0:
                pull(queue, this_cpu())
        next: Process = me
        with section("pick", queue.tasks, me.state):
            processor.need_resched = 0
            if me.state != RUNNABLE and me.queued == 1:
                step("dequeue")
                remove(queue.tasks, me)
                me.queued = 0
                queue.length -= 1
            next = pick(queue, me, processor)
            next.running = 1
            next.cpu = this_cpu()
            processor.idling = next == processor.idle
            if option("boot_tick"):
                processor.runs = next
        if option("processor_queues"):
            if next == processor.idle and next != me:
                pull_when_idle(queue, processor)
        if option("rcu_lookup"):
            note_quiet()
        if next != me:
            step("context_switch")
            processor.previous = me
            switch_to(next)
            finish_switch()


@function()
def finish_switch() -> None:
    """Let go of the process that ran here before: from now on another processor may take it."""
    processor: Processor = the(Processor, this_cpu())
    previous: Process = processor.previous
    queue = queue_of(this_cpu())
    wish = wish_of(previous)
    waiting = 0
    with section("leave", queue.tasks, previous.running):
        previous.running = 0
        if not option("split_switch"):
            if previous.queued == 1:
                waiting = 1
    if option("split_switch"):
        if previous != processor.idle:
            with section("again", queue.tasks, previous.running):
                if previous.queued == 1 and previous.running == 0:
                    waiting = 1
    if waiting == 1:
        kick_for(wish, this_cpu())
    if option("sharing"):
        processor.previous = NONE
        ended: Process = processor.leaving
        if ended != NONE:
            processor.leaving = NONE
            put_process(ended)


@function()
def pick(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Choose from a queue: the best by remaining slice, or in the order of the queue."""
    if option("executable_queue"):  # each jumps into the one behind it, however long it has run
        if me.state == RUNNABLE and me.queued == 1:
            move(queue.tasks, me)
            if me.slice <= 0:
                me.slice = me.weight
        return pick_first(queue, me, processor)
    if option("processor_queues"):
        step("pick_first")
        if me.state == RUNNABLE and me.queued == 1 and me.slice <= 0:
            remove(queue.tasks, me)
            insert(queue.tasks, me, me)
            me.slice = me.weight
        if option("interrupt_threads"):
            thread = pick_thread(queue, me)
            if thread != NONE:
                return thread
        return pick_first(queue, me, processor)
    return pick_best(queue, me, processor)


@function()
def pick_first(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Return the first process of a queue that no processor runs, an urgent one first, or the idle one."""
    if option("urgent"):
        urgent = find_urgent(queue, me)
        if urgent != NONE:
            return urgent
    p: Process = first(queue.tasks)
    while p != NONE:
        if (p.running == 0 or p == me) and (not option("binding") or may_run(p) == 1):
            return p
        p = after(queue.tasks, p)
    return processor.idle


@function()
def find_urgent(queue: RunQueue, me: Process) -> Process:
    """Return the first urgent process of a queue that may run here, if any (sched_find_first_bit)."""
    p: Process = first(queue.tasks)
    while p != NONE:
        if p.urgent == 1 and (p.running == 0 or p == me) and (not option("binding") or may_run(p) == 1):
            return p
        p = after(queue.tasks, p)
    return NONE


@function()
def pick_thread(queue: RunQueue, me: Process) -> Process:
    """Return an interrupt's thread, or else a process that one waits for, or nothing."""
    best: Process = NONE
    p: Process = first(queue.tasks)
    while p != NONE:
        if p.slice >= THREAD_SLICE and (p.running == 0 or p == me):
            if p.weight >= THREAD_SLICE:
                return p
            best = p
        p = after(queue.tasks, p)
    return best


@function()
def pick_best(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Look at every runnable process (goodness): the longest slice, favouring this processor's own."""
    best: Process = processor.idle
    most = 0
    some = 0
    p: Process = first(queue.tasks)
    while p != NONE:
        if (p.running == 0 or p == me) and (not option("binding") or may_run(p) == 1):
            step("goodness")
            some = 1
            good = p.slice
            if good > 0:
                if p.cpu == this_cpu():
                    good += option("affinity")
                if p == me:
                    good += 1
            if option("urgent"):
                if p.urgent == 1:
                    good = URGENT
            if good > most:
                most = good
                best = p
        p = after(queue.tasks, p)
    if some == 1 and most == 0:
        best = recharge(queue, me, processor)
    return best


@function()
def recharge(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """All slices are used up: fill every one, and choose the process that has waited longest."""
    best: Process = processor.idle
    p: Process = first(queue.tasks)
    while p != NONE:
        step("recharge")
        p.slice = p.slice // 2 + p.weight
        if best == processor.idle and p.running == 0 and (not option("binding") or may_run(p) == 1):
            best = p
        p = after(queue.tasks, p)
    if (
        best == processor.idle
        and me.state == RUNNABLE
        and me.queued == 1
        and (not option("binding") or may_run(me) == 1)
    ):
        best = me
    return best


@function()
def may_run(p: Process) -> int:
    """Return 1 unless a process is bound to another processor than this one."""
    if p.bound > 0 and this_cpu() != MASTER:
        return 0
    return 1


@function("hook")
def wake(p: Process) -> None:
    """Make a process runnable and see that some processor takes it.

    Who waited for a lock goes on once that is granted, and may end: it is not looked at after that. A process
    that was preempted here would let it wait.
    """
    with atomic():
        step("wake")
        cpu = p.cpu
        wish = wish_of(p)
        woken = -1
        while woken < 0:
            cpu = p.cpu
            queue = queue_of(cpu)
            with section("enqueue", queue.tasks, p.state):
                # it may have moved to another queue before this one was kept
                if not option("processor_queues") or p.cpu == cpu:
                    woken = enqueue(queue, p)
                    grant(p)
    if woken == 1:
        kick_for(wish, cpu)


@function()
def enqueue(queue: RunQueue, p: Process) -> int:
    """Make a process runnable on a queue; return 1 if it was not there: then some processor should look."""
    p.state = RUNNABLE
    if p.queued == 1:
        return 0
    step("enqueue")
    insert(queue.tasks, p, p)
    p.queued = 1
    queue.length += 1
    return 1


@function("hook")
def wait_for_lock() -> None:
    """Sleep until the sleeping lock that this process asked for is given to it or free again."""
    me: Process = current()
    step("sleep")
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


@function()
def sleep_until_called() -> None:
    """Sleep until somebody has taken this process off what it waits for, and called it.

    The first look is without the run queue's lock: who calls is done with the process by then.
    """
    me: Process = current()
    while me.waiting == 1:
        asleep = 0
        with atomic():
            queue = queue_of(this_cpu())
            with section("sleep", queue.tasks, me.state, me.waiting):
                if me.waiting == 1:
                    me.state = BLOCKED
                    asleep = 1
        if asleep == 1:
            step("sleep")
            schedule()


@function()
def sleep_until_woken() -> None:
    """Sleep until another process or an interrupt wakes this one."""
    me: Process = current()
    with atomic():
        queue = queue_of(this_cpu())
        with section("sleep", queue.tasks, me.state):
            me.state = BLOCKED
    schedule()


@function()
def cpu_idle() -> None:
    """Run when nothing else wants to: halt until an interrupt asks for the scheduler."""
    processor: Processor = the(Processor, this_cpu())
    while True:
        mask_interrupts()
        if processor.need_resched == 0:
            processor.idling = 1
            halt()
        else:
            unmask()
        if processor.need_resched == 1:
            enter_scheduler()


@function()
def enter_scheduler() -> None:
    """Call the scheduler from the idle loop, which is outside the kernel's own exclusion."""
    schedule()


@function("entry")
def start_process(unused: int) -> int:
    """Begin a new process in the middle of a switch to it, and go to user mode."""
    finish_switch()
    unmask()
    return unused
