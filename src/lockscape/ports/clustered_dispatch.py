"""New code of the reimplemented kernel: the dispatchers, one for each processor, each with its own lock.

A processor runs what its own dispatcher has. Whoever wakes a process goes to the dispatcher of the processor
where it ran last; a processor that runs out of processes takes one from the longest queue.
"""

from lockscape.kernel.balance import move_task
from lockscape.kernel.kicks import kick
from lockscape.kernel.objects import (
    BLOCKED,
    DONE,
    INTERRUPTIBLE,
    RUNNABLE,
    Process,
    Processor,
    RunQueue,
)
from lockscape.kernel.release import put_process
from lockscape.kernel.scheduler import enqueue, find_urgent
from lockscape.kernel.signals import interrupt_runner
from lockscape.ports.clustered import advance_generation, begin_call, end_call
from lockscape.ports.clustered_memory import give_what_is_asked
from lockscape.program.language import (
    NONE,
    after,
    atomic,
    cpus,
    current,
    first,
    function,
    grant,
    granted,
    hold,
    insert,
    option,
    remove,
    section,
    step,
    switch_to,
    the,
    this_cpu,
    unmask,
)  # fmt: skip

PERIOD = 200
"""Ticks after which a busy processor looks for longer queues than its own."""


@function(replaces=True)
def schedule() -> None:
    """Give the processor to the next process of its dispatcher."""
    with atomic():
        me: Process = current()
        processor: Processor = the(Processor, this_cpu())
        queue: RunQueue = the(RunQueue, this_cpu())
        step("schedule")
        next = next_process(queue, me, processor)
        if next == processor.idle and steal(queue) == 1:
            next = next_process(queue, me, processor)
        if next != me:
            step("context_switch")
            processor.previous = me
            switch_to(next)
            finish_switch()


@function()
def next_process(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Take this process off the queue if it rests, and return the one to run next, or the idle one."""
    with hold("dispatcher_lock", queue), section("choose", queue.tasks, me.state):
        processor.need_resched = 0
        if me.state != RUNNABLE and me.queued == 1:
            step("dequeue")
            remove(queue.tasks, me)
            me.queued = 0
            queue.length -= 1
        next = choose(queue, me, processor)
        next.running = 1
        next.cpu = this_cpu()
        processor.idling = next == processor.idle
    return next


@function()
def choose(queue: RunQueue, me: Process, processor: Processor) -> Process:
    """Return the first process that does not run; the one that has used its slice up goes to the end."""
    step("pick_first")
    if me.state == RUNNABLE and me.queued == 1 and me.slice <= 0:
        remove(queue.tasks, me)
        insert(queue.tasks, me, me)
        me.slice = me.weight
    if option("urgent"):
        urgent = find_urgent(queue, me)
        if urgent != NONE:
            return urgent
    p: Process = first(queue.tasks)
    while p != NONE:
        if p.running == 0 or p == me:
            return p
        p = after(queue.tasks, p)
    return processor.idle


@function(replaces=True)
def finish_switch() -> None:
    """Let go of the process that ran here before: from now on another processor may take it."""
    processor: Processor = the(Processor, this_cpu())
    previous: Process = processor.previous
    queue: RunQueue = the(RunQueue, this_cpu())
    with hold("dispatcher_lock", queue), section("let_go", queue.tasks, previous.running):
        previous.running = 0
    if option("sharing"):
        processor.previous = NONE
        ended: Process = processor.leaving
        if ended != NONE:
            processor.leaving = NONE
            put_process(ended)


@function("hook", replaces=True)
def wake(p: Process) -> None:
    """Make a process runnable where it ran last."""
    step("wake")
    cpu = p.cpu
    woken = -1
    while woken < 0:
        cpu = p.cpu
        queue: RunQueue = the(RunQueue, cpu)
        with hold("dispatcher_lock", queue), section("add", queue.tasks, p.state):
            if p.cpu == cpu:  # it may have moved before this dispatcher was locked
                woken = enqueue(queue, p)
                grant(p)
    if woken == 1:
        kick(cpu)


@function("hook", replaces=True)
def wait_for_lock() -> None:
    """Sleep until the sleeping lock that this process asked for is given to it or free again."""
    me: Process = current()
    step("sleep")
    while granted() == 0:
        asleep = 0
        with atomic():
            queue: RunQueue = the(RunQueue, this_cpu())
            with hold("dispatcher_lock", queue), section("rest", queue.tasks, me.state):
                if granted() == 0:
                    me.state = BLOCKED
                    asleep = 1
        if asleep == 1:
            schedule()


@function(replaces=True)
def sleep_until_called() -> None:
    """Sleep until somebody has taken this process off what it waits for, and called it."""
    me: Process = current()
    while me.waiting == 1:
        asleep = 0
        with atomic():
            queue: RunQueue = the(RunQueue, this_cpu())
            with (
                hold("dispatcher_lock", queue),
                section("wait", queue.tasks, me.state, me.waiting),
            ):
                if me.waiting == 1:
                    me.state = BLOCKED
                    asleep = 1
        if asleep == 1:
            step("sleep")
            schedule()


@function(replaces=True)
def wait_until_called() -> None:
    """Sleep until this process is called; it is in no call meanwhile, for which deletion would wait."""
    end_call()
    sleep_until_called()
    begin_call()


@function(replaces=True)
def sleep_interruptibly() -> int:
    """Sleep until this process is called or a signal has come, in no call meanwhile; return 1 if called."""
    me: Process = current()
    end_call()
    while me.waiting == 1 and me.signals == 0:
        asleep = 0
        with atomic():
            queue: RunQueue = the(RunQueue, this_cpu())
            with (
                hold("dispatcher_lock", queue),
                section("repose", queue.tasks, me.state, me.waiting),
            ):
                if me.waiting == 1 and me.signals == 0:
                    me.state = INTERRUPTIBLE
                    asleep = 1
        if asleep == 1:
            step("sleep")
            schedule()
    begin_call()
    return me.waiting == 0


@function("waker", replaces=True)
def call(p: Process) -> None:
    """Let a process that was taken off its wait queue go on, where it ran last."""
    step("wake")
    cpu = p.cpu
    woken = -1
    while woken < 0:
        cpu = p.cpu
        queue: RunQueue = the(RunQueue, cpu)
        with (
            hold("dispatcher_lock", queue),
            section("call", queue.tasks, p.state, p.waiting),
        ):
            if p.cpu == cpu:
                woken = enqueue(queue, p)
                p.waiting = 0  # last: it looks without the lock, and may go on and end
    if woken == 1:
        kick(cpu)


@function("waker", replaces=True)
def signal_wake_up(p: Process) -> None:
    """Let a process notice a signal: from its sleep, or on the processor where it runs."""
    cpu = p.cpu
    running = 0
    woken = -1
    while woken < 0:
        cpu = p.cpu
        queue: RunQueue = the(RunQueue, cpu)
        with (
            hold("dispatcher_lock", queue),
            section("notice", queue.tasks, p.state, p.pending),
        ):
            if p.cpu == cpu:
                woken = 0
                p.pending = 1
                running = p.running
                if p.state == INTERRUPTIBLE:
                    woken = enqueue(queue, p)
    if woken == 1:
        kick(cpu)
    elif running == 1:
        interrupt_runner(cpu)


@function(replaces=True)
def start_daemon() -> None:
    """Begin in the middle of a switch; what a process of the kernel does is a call, which it ends to wait."""
    finish_switch()
    unmask()
    begin_call()


@function(replaces=True)
def share_slice(me: Process, child: Process) -> None:
    """Give a new process half of this one's slice."""
    queue: RunQueue = the(RunQueue, this_cpu())
    with hold("dispatcher_lock", queue), section("share", queue.tasks, me.slice):
        half = (me.slice + 1) // 2
        me.slice = me.slice - half
        child.slice = half


@function(replaces=True)
def leave_queue(me: Process) -> None:
    """Mark the process as ended; the scheduler takes it off its queue."""
    with atomic():
        queue: RunQueue = the(RunQueue, this_cpu())
        with hold("dispatcher_lock", queue), section("end", queue.tasks, me.state):
            me.state = DONE


@function(replaces=True)
def sys_yield() -> int:
    """Let others run first: give the rest of the slice up; the dispatcher then takes another process."""
    me: Process = current()
    processor: Processor = the(Processor, this_cpu())
    step("yield")
    with atomic():
        queue: RunQueue = the(RunQueue, this_cpu())
        with hold("dispatcher_lock", queue), section("yield", queue.tasks, me.slice):
            me.slice = 0
            processor.need_resched = 1
    return 0


@function(replaces=True)
def tick_process() -> None:
    """Charge the running process for a tick, and do what this processor does from time to time."""
    me: Process = current()
    processor: Processor = the(Processor, this_cpu())
    queue: RunQueue = the(RunQueue, this_cpu())
    step("tick_accounting")
    if processor.idle != me:
        with hold("dispatcher_lock", queue), section("use", queue.tasks, me.slice):
            me.slice -= 1
            if me.slice <= 0:
                processor.need_resched = 1
    look_for_work(queue, processor)
    advance_generation()
    give_what_is_asked()


@function()
def look_for_work(queue: RunQueue, processor: Processor) -> None:
    """Take a process of a longer queue now and then: an idle processor at each tick, a busy one rarely."""
    step("balance_check")
    processor.ticks += 1
    if queue.length == 0 or processor.ticks >= PERIOD:
        processor.ticks = 0
        steal(queue)
        if queue.length > 0 and processor.idling == 1:
            processor.need_resched = 1


@function()
def steal(queue: RunQueue) -> int:
    """Take a process from the longest queue, if that is longer than this one by two; return 1 if it is."""
    longest = queue.length + 1
    busiest = this_cpu()
    other = 0
    step("balance")
    while other < cpus():
        step("look_at_cpu")
        source: RunQueue = the(RunQueue, other)
        if source.length > longest:
            longest = source.length
            busiest = other
        other += 1
    if busiest < this_cpu():
        source = the(RunQueue, busiest)
        move_task(source, queue, source, queue, this_cpu())
    elif busiest > this_cpu():
        source = the(RunQueue, busiest)
        move_task(queue, source, source, queue, this_cpu())
    found: int = busiest != this_cpu()
    return found
