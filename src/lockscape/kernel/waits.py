"""Wait queues: processes that sleep until something happens, and waking them.

A process enters the queue of what it waits for, looks whether it need wait at all, and sleeps until it is
called. Whoever takes it off the queue must call it, and nobody else does: until then it does not go on, so
that who has taken it off may still look at it.
"""

from lockscape.kernel.kicks import kick_for, wish_of
from lockscape.kernel.objects import INTERRUPTIBLE, Process, WaitQueue
from lockscape.kernel.scheduler import enqueue, queue_of, schedule, sleep_until_called
from lockscape.program.language import (
    NONE,
    atomic,
    current,
    first,
    function,
    insert,
    option,
    remove,
    section,
    step,
    this_cpu,
)

INTERRUPTED = -4
"""What a call returns whose sleep a signal has ended (EINTR)."""


@function()
def begin_wait(queue: WaitQueue) -> None:
    """Enter a wait queue (add_wait_queue): from now on this process may be called."""
    me: Process = current()
    me.waiting = 1
    step("wait_queue")
    with section("enter", queue.sleepers):
        insert(queue.sleepers, me, me)


@function()
def end_wait(queue: WaitQueue) -> None:
    """Leave a wait queue (remove_wait_queue). Who has been taken off it waits until it is called as well."""
    me: Process = current()
    with section("leave", queue.sleepers):
        left = remove(queue.sleepers, me) != NONE
    if left == 1:
        me.waiting = 0
    else:
        wait_until_called()


@function()
def wait_until_called() -> None:
    """Sleep until called, where this process looks at nothing that its system call has found before."""
    sleep_until_called()


@function()
def wait_interruptibly(queue: WaitQueue) -> None:
    """Sleep until somebody has called this process or a signal has come; it is on the queue no more."""
    if sleep_interruptibly() == 0:
        end_wait(queue)


@function()
def sleep_interruptibly() -> int:
    """Sleep until somebody has called this process or a signal has come; return 1 if it was called."""
    me: Process = current()
    while me.waiting == 1 and me.signals == 0:
        asleep = 0
        with atomic():
            queue = queue_of(this_cpu())
            with section("rest", queue.tasks, me.state, me.waiting):
                if me.waiting == 1 and me.signals == 0:
                    me.state = INTERRUPTIBLE
                    asleep = 1
        if asleep == 1:
            step("sleep")
            schedule()
    return me.waiting == 0


@function()
def take_sleeper(queue: WaitQueue) -> Process:
    """Take the process that has waited longest off a wait queue, if there is one; the caller must call it."""
    with section("take", queue.sleepers):
        p: Process = first(queue.sleepers)
        if p != NONE:
            remove(queue.sleepers, p)
    return p


@function("waker")
def call(p: Process) -> None:
    """Let a process that was taken off its wait queue go on (wake_up_process)."""
    step("wake")
    cpu = p.cpu
    wish = wish_of(p)
    woken = -1
    while woken < 0:
        cpu = p.cpu
        queue = queue_of(cpu)
        with section("call", queue.tasks, p.state, p.waiting):
            # it may have moved to another queue before this one was kept
            if not option("processor_queues") or p.cpu == cpu:
                woken = enqueue(queue, p)
                p.waiting = 0  # last: it looks without the lock, and may go on and end
    if woken == 1:
        kick_for(wish, cpu)


@function()
def wake_up(queue: WaitQueue) -> None:
    """Let all who wait go on."""
    step("wake_up")
    p = take_sleeper(queue)
    while p != NONE:
        call(p)
        p = take_sleeper(queue)


@function()
def wake_up_one(queue: WaitQueue) -> None:
    """Let the one who has waited longest go on."""
    step("wake_up")
    p = take_sleeper(queue)
    if p != NONE:
        call(p)
