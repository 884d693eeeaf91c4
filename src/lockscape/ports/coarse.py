"""Coarse-grained locking: a lock for each subsystem.

The kernel is cut into subsystems (files, address spaces, the scheduler, memory, devices), each with one lock,
so that processors in different subsystems run in parallel. What one lock covers is still a uniprocessor
kernel inside: its holder may sleep, and then lets the lock go.

Two variants are *funnels*, for subsystems that are not ready for several processors. A funnel may be a
blocking lock that is released whenever its holder is rescheduled and taken again before it goes on
(Mac OS X); or a bond to one processor, the master, on which the whole subsystem then runs (unix_master of
OSF/1).
"""

PLANS = {
    "coarse": "spin locks of subsystems, let go on sleep",
    "coarse-funnel": "blocking locks, let go on rescheduling",
    "coarse-master": "files run on the master processor only",
}
"""The method's plans, and what each is."""
