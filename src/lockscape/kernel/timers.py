"""Sleeping for a time: timers, and the clock interrupt that runs them.

A timer is queued under the tick at which it is due, those of one tick one behind the other.
"""

from lockscape.kernel.objects import Clock, Process, TimerBase
from lockscape.kernel.waits import INTERRUPTED, call, sleep_interruptibly, wait_until_called
from lockscape.program.language import (
    NONE,
    current,
    find,
    function,
    insert,
    option,
    remove,
    section,
    step,
    the,
    this_cpu,
)

MICROSECONDS = 1_000_000


@function()
def sys_sleep(microseconds: int) -> int:
    """Sleep for a time, which is rounded up to ticks and one more, for the one that has begun (nanosleep)."""
    me: Process = current()
    base = timer_base()
    step("nanosleep")
    ticks = (microseconds * option("hz") + MICROSECONDS - 1) // MICROSECONDS
    if ticks > 0:
        ticks += 1
    me.waiting = 1
    add_timer(base, me, ticks)
    if sleep_interruptibly() == 1:
        return 0
    if delete_timer(base, me) == 1:
        me.waiting = 0
    else:
        wait_until_called()
    return INTERRUPTED


@function()
def timer_base() -> TimerBase:
    """Return the timers of this processor, or those of all."""
    if option("processor_timers"):
        return the(TimerBase, this_cpu())
    return the(TimerBase, 0)


@function()
def add_timer(base: TimerBase, me: Process, ticks: int) -> None:
    """Queue a timer behind those that are due in the same tick."""
    clock: Clock = the(Clock)
    with section("add", base.due, base.time):
        due = clock.jiffies + ticks
        if due <= base.time:
            due = base.time + 1
        me.expires = due
        me.later = NONE
        head: Process = find(base.due, due)
        if head == NONE:
            insert(base.due, due, me)
            me.last = me
        else:
            behind: Process = head.last
            behind.later = me
            head.last = me


@function()
def delete_timer(base: TimerBase, me: Process) -> int:
    """Take a timer off its queue; return 0 if it is due, and somebody has taken it."""
    found = 0
    with section("delete", base.due, base.time):
        head: Process = find(base.due, me.expires)
        p = head
        while p != NONE and p != me:
            before = p
            p = p.later
        if p == me:
            found = 1
            if me == head:
                put_first(base, head)
            else:
                before.later = me.later
                if head.last == me:
                    head.last = before
    return found


@function()
def put_first(base: TimerBase, head: Process) -> None:
    """Let the second of a tick's timers be the first."""
    remove(base.due, head.expires)
    second: Process = head.later
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
    """Take the first timer that is due off its queue, if there is one."""
    clock: Clock = the(Clock)
    with section("due", base.due, base.time):
        p: Process = NONE
        time = base.time
        while p == NONE and time < clock.jiffies:
            p = find(base.due, time + 1)
            if p == NONE:
                time += 1
        base.time = time
        if p != NONE:
            put_first(base, p)
    return p
