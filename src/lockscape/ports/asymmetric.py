"""Asymmetric kernels: the processors do not all do the same.

In a *master-slave* system one processor, the master, executes the kernel, and the others user programs
only. A process that calls the kernel, or takes a page fault, on a slave is put into the master's queue, and
the slave switches to another; interrupts and devices are the master's. All of the uniprocessor kernel stays
as it is but the scheduler, which has a queue for the master's jobs, one for the slaves', and a lock for them.

An *application kernel* leaves even that scheduler alone: the unmodified uniprocessor kernel has one
processor, programs run on the others on a small kernel of their own, and each has a bootstrap thread on the
first, an ordinary process, which does its calls and page faults for it. All of the port is new code.

With a *dedicated processor* one of them runs nothing but a lightweight device kernel, which takes no
interrupts: it polls the devices and a lock-free queue of requests from the kernel of the others. That is
multiprocessor by another method, if they are several; here by one giant lock, as the kernel of the first such
system, so that this method adds a processor for devices and nothing for the rest.

In the first two, one processor is in the kernel at a time, as with a giant lock, but nobody waits for it
spinning; instead each call from a slave costs two switches, so that a workload of short calls runs slower
than on one processor.
"""

PLANS = {
    "master-slave": "the kernel on the master only, separate queues for master and slave jobs",
    "dedicated-processor": "a polling device kernel on the last processor, beside a giant-locked kernel",
    "application-kernel": "the uniprocessor kernel on one processor, programs on a small one on the others",
}
"""The method's plans, and what each is."""
