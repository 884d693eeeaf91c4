"""Giant locking: the whole kernel is one critical section.

One recursive spin lock is taken at every entry to the kernel (system call, fault, interrupt) and released at
its exit. The uniprocessor kernel inside stays as it is: with one processor in the kernel at a time, all its
assumptions hold. What must change is the way in and out, and the task switch: a process that sleeps lets the
lock go, and takes it again when it runs, at the depth that it had. The lock stays with the *processor* over a
switch, so that the next process, if it is in the kernel too, goes on without asking.

So there are as few places to change as there are ways into the kernel, and a second processor helps only as
long as it is in user mode.
"""

PLANS = {"giant": "one lock, handed over at the switch"}
"""The method's plans, and what each is."""
