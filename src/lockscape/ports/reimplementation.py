"""Reimplementation: the kernel is written anew, for many processors.

Every object of the kernel is a *clustered object*: one to whoever calls it, several inside. Its root makes a
*representative* for each processor, or each block group, that uses it, and what is local to one is changed by
that one: the dispatcher's queue, pools of memory, counts, a directory's names, a file's pages, the inodes and
buffers of a block group. Locks are inside objects; none is held while another object is called, but where a
process moves between two dispatchers and where a buffer goes into the disk's queue.

Programs call *servers* by protected calls: the caller's processor crosses into the server's address space,
with a worker of its own, and meets no scheduler and no lock on the way. What others may still look at is
freed when all calls have ended that were active at its deletion. A file's page cache is *replaced in use*, by
a distributed one, when processors take turns at it.

Written anew are: the ways into the kernel, scheduling, names, inodes in memory and their numbers, page
caches, buffers in memory, and memory allocation. Reused as they are: what is on the disk (entries of
directories, blocks of a file and reserved ones), reading and writing by descriptors, address spaces, and the
disk's queue.

The models are Tornado (Gamsa, Krieger, Appavoo, Stumm, OSDI 1999) and K42 (Soules et al., USENIX 2003;
Appavoo et al., ACM TOCS 2007).
"""

PLANS = {
    "reimplementation": "clustered objects, servers called in place, page caches replaced in use",
    "reimplementation-shared": "the same, but a file's page cache stays one object",
}
"""The method's plans, and what each is."""
