"""Sleeping for a time: timers, and the clock interrupt that runs them.

A timer is queued under the tick at which it is due, those of one tick one behind the other.
"""

from lockscape.kernel.objects import Clock, Process, Timer, TimerBase
from lockscape.kernel.waits import INTERRUPTED, call, sleep_interruptibly, wait_until_called
from lockscape.program.language import (
    NONE,
    current,
    find,
    free,
    function,
    insert,
    new,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)

MICROSECONDS = 1_000_000
"""Of a second."""


@function()
def sys_sleep(microseconds: int) -> int:
    """Sleep for a time, which is rounded up to ticks and one more, for the one that has begun (nanosleep)."""
    me: Process = current()
    base = timer_base()
    step("nanosleep")
    ticks = (microseconds * option("hz") + MICROSECONDS - 1) // MICROSECONDS
    if ticks > 0:
        ticks += 1
    timer: Timer = new(Timer)
    timer.process = me
    me.waiting = 1
    add_timer(base, timer, ticks)
    result = 0
    if sleep_interruptibly() == 0:
        result = INTERRUPTED
        if delete_timer(base, timer) == 1:
            me.waiting = 0
        else:
            wait_until_called()
    free(timer)
    return result


@function()
def timer_base() -> TimerBase:
    """Return the timers of this processor, or those of all."""
    if option("processor_timers"):
        return the(TimerBase, this_cpu())
    return the(TimerBase, 0)


@function()
def add_timer(base: TimerBase, timer: Timer, ticks: int) -> None:
    """Queue a timer behind those that are due in the same tick."""
    clock: Clock = the(Clock)
    with section("add", base.due, base.time):
        due = clock.jiffies + ticks
        if due <= base.time:
            due = base.time + 1
        timer.expires = due
        head: Timer = find(base.due, due)
        if head == NONE:
            insert(base.due, due, timer)
            timer.last = timer
        else:
            before: Timer = head.last
            before.later = timer
            head.last = timer


@function()
def delete_timer(base: TimerBase, timer: Timer) -> int:
    """Take a timer off its queue; return 0 if it was due, and somebody has taken it."""
    with section("delete", base.due, base.time):
        head: Timer = find(base.due, timer.expires)
        before = head
        found: Timer = head
        while found != NONE and found != timer:
            before = found
            found = found.later
        if found != NONE:
            if found == head:
                put_second_first(base, head)
            else:
                before.later = timer.later
                if head.last == timer:
                    head.last = before
    return found == timer


@function()
def put_second_first(base: TimerBase, head: Timer) -> None:
    """Take the first of a tick's timers off the queue."""
    remove(base.due, head.expires)
    second: Timer = head.later
    if second != NONE:
        second.last = head.last
        insert(base.due, second.expires, second)


@function()
def run_due_timers() -> None:
    """Wake who sleeps until now: a part of the clock interrupt."""
    base = timer_base()
    p = take_due(base)
    while p != NONE:
        step("run_timer")
        call(p)
        p = take_due(base)


@function()
def take_due(base: TimerBase) -> Process:
    """Take the first timer that is due off its queue; return whose it is, or nothing."""
    clock: Clock = the(Clock)
    with section("due", base.due, base.time):
        timer: Timer = NONE
        p: Process = NONE
        time = base.time
        while timer == NONE and time < clock.jiffies:
            timer = find(base.due, time + 1)
            if timer == NONE:
                time += 1
        base.time = time
        if timer != NONE:
            put_second_first(base, timer)
            p = timer.process
    return p
