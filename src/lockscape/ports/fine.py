"""Fine-grained locking: a lock for each object, or for each class of objects that change together.

Every section of the uniprocessor kernel names the objects that must be seen together; each gets the lock that
fits how it is used: a spin lock for short changes, a reader-writer lock where looking up is more common than
changing, a sequence lock for a word that is read at every call and written rarely, a sleeping semaphore where
the kernel sleeps inside (which a uniprocessor kernel has already). What can be each processor's own is: run
queues, free pages, free slab objects.

Processors meet only where they use the same object, so the kernel scales as far as its workload's objects are
distinct; but every section becomes a place where a lock must be chosen, ordered and paired.
"""

PLANS = {"fine": "locks of objects, processors' own queues and stores"}
"""The method's plans, and what each is."""
