"""Delivery of signals, on the way to user mode: a handler gets a frame, without one the process ends."""

from lockscape.kernel.objects import Process
from lockscape.kernel.processes import sys_exit
from lockscape.kernel.signals import FRAME_LINES
from lockscape.program.language import current, function, section, step


@function()
def check_signals() -> None:
    """Deliver what signals have come."""
    me: Process = current()
    if me.pending == 1:
        deliver_signals(me)


@function()
def deliver_signals(me: Process) -> None:
    """Take the signals that have come, and let the program handle them when it goes on, or end it."""
    me.pending = 0
    step("do_signal")
    with section("take", me.signals, me.handled):
        taken = me.signals
        me.signals = 0
        deadly = taken - (taken & me.handled)
    if deadly != 0:
        end_by_signal()
    while taken != 0:
        step("signal_frame")
        step("copy_line", FRAME_LINES)
        me.frames += 1
        taken = taken & (taken - 1)


@function()
def end_by_signal() -> None:
    """End the current process, for a signal came that it does not handle."""
    sys_exit()
