"""Interrupt vectors of the kernel."""

TICK, RESCHEDULE, DISK = 0, 1, 2
"""The timer's, another processor's, the disk's. Ports use 3 for their own."""
ARRIVED, SENT = 4, 5
"""The network card's."""
