"""Virtualization: several kernels on one machine, each with virtual processors that a hypervisor runs.

The kernel need not be ported to a multiprocessor at all: with a guest for each processor (placement *spread*)
each runs the uniprocessor kernel, without a lock, for its own part of the processes, files and memory. What
guests share is the hypervisor's: physical processors, and the disk. Nothing of a guest's can be shared with
another, so that one application on common files gains nothing. With all processes in one guest (placement
*one*) that guest must have a multiprocessor kernel; it has as many virtual processors as the product allows.

In *full* virtualization the guest is unmodified: its kernel runs in translated code, system calls and page
faults enter the hypervisor, page tables have shadows, and the disk controller is emulated. A *paravirtual*
guest calls the hypervisor where it matters: hypercalls for page tables, event channels, and split drivers,
of which the backend is in an instance of its own. Where there are more virtual processors than physical ones,
one can be preempted while it holds a spin lock, for which its siblings then wait; co-scheduling and delayed
preemption avoid that (`lockscape.ports.coscheduling`).

*Cells* divide the machine among kernels without sharing, so that a fault takes down one cell and no other.
"""

PLANS = {
    "virtualization-full": "an unmodified uniprocessor guest for each processor",
    "virtualization-full-one": "one guest with the fine-grained port, up to 4 virtual processors",
    "virtualization-para": "a uniprocessor guest for each processor, changed to call the hypervisor",
    "virtualization-para-one": "one guest with the fine-grained port, up to 32 virtual processors",
    "virtualization-gang": "two guests on all processors, one at a time",
    "cells": "a kernel for every two processors, each with its own disk",
}
"""The method's plans, and what each is."""
