"""Where the machine keeps its state: one flat int64 array, addressed by words.

Names starting with H are words of its head, V of a virtual processor, C of a context, P of a physical
processor, D of a device, I of a kernel instance, K of a class of objects, L of a lock, N of a node of a
collection, S of a collection's head, A of a lock class' attributes and Q of its statistics.
"""

INFINITY = 1 << 51
"""Never: later than any time. Times must fit into 52 bits, for the event key is ``time << 11 | leaf``."""

LEAF_BITS = 11
"""Bits of an event's key that say whose it is."""

NONE, UNSEEN, READS, WRITES = 0, -1, 0, 1
"""Arguments that are constant: numba makes a copy of a function for each number written out in a call."""

(
    H_LEAVES, H_TREE, H_DEVICES, H_DEVICE, H_PROCESSORS, H_PROCESSOR, H_VIRTUALS, H_VIRTUAL,
    H_INSTANCE, H_CLASS,
    H_LOCK, H_STATISTICS, H_BREAK, H_SIZE, H_NODES, H_HASH, H_HASH_MASK, H_LIVE, H_STEPS, H_TIME, H_TRANSFER,
    H_MEMORY, H_UPGRADE, H_HANDOVER, H_SIGNAL, H_POLL, H_SHARER_SHIFT, H_NODE_SHIFT, H_REMOTE,
    H_TRACE, H_TRACED,
    H_TRACE_END, H_FAULT_PC, H_FAULT_VIRTUAL, H_FAULT_VALUE, H_TRANSFERS, H_INSTANCES, H_UNTIL, H_CALLS,
    H_EVENTS, H_FREE, H_NOW, H_LOOKER,
) = range(43)  # fmt: skip
"""H_FREE: 1 if some lock class is free; H_NOW: in such a run, the time of the event that is handled.
H_CALLS: a histogram for each kind of system call; H_EVENTS: one for each kind of event of the first kernel
instance, then of all others (a hypervisor's guests). H_LOOKER: the virtual processor that rests between looks
since the least time (`lockscape.machine.looking`)."""
HEAD_WORDS = 48
"""Of the head; some are free."""

(E_TOTAL, E_MOST, E_BUCKETS) = range(3)
"""A histogram of times: cycles in all, most cycles, then how often each bucket's times came."""
EXACT_BITS = 4
"""Bits of a time, behind its first one, that a bucket keeps: 16 buckets for each power of two."""
BUCKETS = (52 - EXACT_BITS + 1) << EXACT_BITS
"""Of a histogram: for times of up to 52 bits."""
HISTOGRAM_WORDS = E_BUCKETS + BUCKETS
"""Of a histogram, in all."""
EVENT_KINDS = 2 * 8 + 2
"""For each vector from due to its handler, for each vector from due until it is handled, processes from being
woken to running, and from the interrupt that woke them to user mode."""

(P_RUNS, P_ROOT) = range(2)
"""The virtual processor that a physical one runs, and the one that
it begins with: its hypervisor's, if any."""
PROCESSOR_WORDS = 2
"""Of a physical processor."""

(D_TARGET, D_VECTOR, D_BUSY) = range(3)
"""Whom a device interrupts, with which vector; D_BUSY: 1 while it does what it was asked for."""
DEVICE_WORDS = 4
"""Of a device; one is free."""

VECTORS = 8
"""Interrupts of a virtual processor."""
(V_CONTEXT, V_MASK, V_ATOMIC, V_NEXT, V_TIME, V_STATE, V_MODE, V_SINCE, V_INSTANCE, V_NUMBER, V_PROCESSOR,
 V_PERIOD, V_REMAINING, V_INDEX) = range(14)  # fmt: skip
"""V_CONTEXT: what it runs; V_NEXT: when its next interrupt is due; V_TIME: how far it is; V_SINCE: since when
it is in V_MODE; V_PROCESSOR: the physical one that it is on; V_INDEX: its number among all, V_NUMBER in its
instance; V_REMAINING: what is left until its timer is due while it is not on a processor."""
V_DUE = 14
"""A word for each vector: since when it is due, else never."""
V_CYCLES = V_DUE + VECTORS
"""A word for each of the MODES: cycles in it."""
MODES = 8
"""Kinds of time that a virtual processor's cycles are added up in; one is free."""
USER, KERNEL, INTERRUPT, SPIN, IDLE, GUEST, STOLEN = range(7)
"""The kinds. GUEST: it runs a virtual processor of its own; STOLEN: it could run, but was not let."""
(V_TRY, V_TRY_OPEN, V_TRY_PC, V_TRY_FRAME, V_TRY_SINCE, V_TRY_WORDS, V_TRY_DEBT, V_TRY_COUNT) = range(
    V_CYCLES + MODES, V_CYCLES + MODES + 8
)
"""A lock-free section: TRYING or COMMITTING (0: none is under way), versions whose part is open, its row,
frame and beginning; words that its commit changed, cycles that this took, and how many versions it has."""
V_TRIES = V_TRY_COUNT + 1
"""Where its versions begin."""
TRY_WORDS, MOST_TRIES = 4, 4
"""Of each version: its object, offset, lock class and value at the beginning."""
V_AHEAD = V_TRIES + TRY_WORDS * MOST_TRIES
"""As C_AHEAD, for locks that the processor owns."""
(V_LOOKS, V_LOOKED, V_LOOKER) = range(V_AHEAD + 1, V_AHEAD + 4)
"""Of who rests between looks: the lock (0: it does not rest), when it looked last, and who rests longer."""
VIRTUAL_WORDS = V_LOOKER + 1
"""Of a virtual processor."""
TRYING, COMMITTING = 1, 2
"""States of a lock-free section (V_TRY)."""
RACY_WORD = 1 << 20
"""What a word counts that a commit writes and that is racy on purpose."""

RUNNING, SPINNING, HALTED, AWAY = range(4)
"""States of a virtual processor; AWAY: not on a physical processor."""

(C_PC, C_FRAME, C_PROCESS, C_MASK, C_ATOMIC, C_MODE, C_VIRTUAL, C_WORK, C_WORK_END, C_LIMIT,
 C_DONE, C_WOKEN, C_SPARE, C_CALLS, C_CAUSE, C_AHEAD) = range(16)  # fmt: skip
"""C_SPARE: the next context that is free for a new process; SPAWNED while a new process has it. C_CALLS: 1 if
its system calls are counted. C_CAUSE: when the interrupt was due that woke it, + 1, until it is in user mode.
C_AHEAD, and V_AHEAD for locks of the processor: for how many locks it runs ahead (`lockscape.machine.ahead`).
"""
SPAWNED = -1
"""What C_SPARE is while a new process has the context."""
(W_PREVIOUS, W_NEXT, W_LOCK, W_SHARED, W_SINCE, W_GRANTED, W_CONTEXT) = range(7)
"""W_LOCK: the lock in whose queue it is; W_SHARED: 1 to read, + 2 if an interrupt takes the given lock back;
W_SINCE: when it began to wait, + 1; W_GRANTED: the lock that was given to it, until it goes on."""
UNGRANTED = -1
"""W_LOCK of who was taken off the queue of a sleeping lock, until who wakes it has granted it."""
WAIT_WORDS = 7
"""Of a place in a queue of waiters."""
C_SPINS = C_AHEAD + 1
"""Where its place in the queue of a spinning lock begins; C_SLEEPS: of a sleeping one."""
C_SLEEPS = C_SPINS + WAIT_WORDS
"""A context waits for at most one spinning lock and one sleeping one at a time (falling asleep takes spin
locks): its two places in queues of waiters."""
INTERRUPT_WORDS = 5
"""Below the frame of an interrupt, what it came into: W_GRANTED and W_SINCE of the spinning wait, C_MODE.
Then its vector, and since when it was due, + 1, until it is handled."""
ENTERED = 128
"""Added to the mode of a frame below which lies another mode; twice for an interrupt."""
CALL_KINDS = 48
"""System calls that are told apart."""
C_STACK = C_SLEEPS + WAIT_WORDS
"""Where a context's frames begin."""
STACK_WORDS = 1200
"""Of its frames, together."""
CONTEXT_WORDS = C_STACK + STACK_WORDS
"""Of a context."""

(I_CPUS, I_VIRTUAL, I_BLOCK, I_BLOCK_FRAME, I_WAKE, I_WAKE_FRAME, I_ENTRY, I_ENTRY_FRAME, I_NUMBER, I_SPARE,
 I_TEMPLATE, I_MESSAGES) = range(12)  # fmt: skip
"""I_SPARE: the first context that is free for a new process; I_TEMPLATE: what such a one begins as.
I_MESSAGES: a bit for each vector that tells of a message: who is woken by one responds to no interrupt."""
I_VECTOR = 12
"""Two words for each vector: first row and frame of its handler."""
I_SLOT = I_VECTOR + 2 * VECTORS
"""Of each class of system objects the address of its table, of each other class the instance's free objects:
an instance has its own memory, and what another freed has never been in its processors' caches."""

(K_WORDS, K_TABLE, K_TEMPLATE, K_MADE, K_COLLECTIONS) = range(5)
"""K_TABLE: 1 for a class of system objects, which stand in tables and are not made and freed in a run."""
CLASS_WORDS = 5
"""Of a class of objects."""

(L_OWNER, L_DEPTH, L_READERS, L_FIRST, L_LAST, L_WRITER, L_SHARERS, L_SINCE, L_SEQUENCE, L_WAITERS, L_UNTIL,
 L_BUSY, L_HURRIED) = range(13)  # fmt: skip
"""Only where H_FREE is 1: when it was released last, by the clock of who had it (L_UNTIL), and since when it
had always been held or waited for (L_BUSY); L_HURRIED: its holder runs ahead until it is released."""

(A_READERS, A_SLEEPS, A_SPIN, A_RECURSIVE, A_PROCESSOR, A_FAIR, A_SEQUENCE, A_FREE) = range(8)
"""What a lock class is, each 0 or 1 but A_SPIN, in cycles: see `lockscape.program.locks.LockClass`."""
ATTRIBUTE_WORDS = 8
"""Of a lock class."""

(Q_ACQUIRED, Q_CONTENDED, Q_WAIT, Q_WAIT_MOST, Q_HELD, Q_BOUNCED, Q_SLEPT) = range(7)
"""Of all locks of a class: how often it was taken and waited for; cycles waited in all and at most, and held;
how often its line came from another processor; how often a waiter slept."""
STATISTIC_WORDS = 8
"""Of a lock class' statistics; one is free."""

(S_FIRST, S_LAST, S_COUNT, S_KIND, S_REGION, S_CAPACITY, S_PARAMETER, S_WRITER, S_SHARERS) = range(9)
"""S_REGION: a table of slots, bits or chains; S_CAPACITY: how many slots or bits; S_PARAMETER: how many
chains, or below which slot all are taken."""
LISTED, HASHED, SLOTTED, BITMAP = range(4)
"""Kinds of collections: see `lockscape.program.objects.Kind`."""

(N_KEY, N_VALUE, N_PREVIOUS, N_NEXT, N_OWNER, N_CHAIN, N_SLOT) = range(7)
"""N_OWNER: the collection that it is in; N_CHAIN: the next one with its hash; N_SLOT: its slot."""
NODE_WORDS = 8
"""Of a node; one is free."""

(REASON_DONE, REASON_BUDGET, REASON_MEMORY, REASON_TRACE, REASON_STUCK, REASON_NULL, REASON_STACK,
 REASON_RUNNING,
 REASON_ILLEGAL, REASON_DIVISION, REASON_NOT_HELD, REASON_TIME, REASON_RANGE, REASON_BUSY,
 REASON_UNBALANCED) = range(15)  # fmt: skip
"""Why the engine returned: `lockscape.machine.execute` has the errors in words."""

TRACE_COLUMNS = 8
"""Of a row of the trace."""
(T_READ, T_WRITE, T_ACQUIRE, T_RELEASE, T_NEW, T_FREE, T_SECTION, T_SECTION_END, T_SWITCH,
 T_INTERRUPT, T_RETURN,
 T_MASK, T_UNMASK, T_RCU, T_RCU_END, T_SEND, T_BLOCK, T_WAKE, T_CALL, T_CALL_END, T_SEQ, T_RETRY, T_HALT,
 T_ATOMIC, T_ATOMIC_END, T_WAIT, T_DEPTH, T_PUT, T_GET, T_RUN, T_TRAP, T_SPAWN,
 T_BARRIER) = range(1, 34)  # fmt: skip
"""Kinds of trace rows: (time, virtual processor, context, row of code, kind, object, offset, value).

The value is: of an access how it is made (a compare-and-swap that fails is a read); of a lock its class * 2
+ 1 if shared (of T_DEPTH, its depth after it was taken back); of T_PUT and T_GET what goes into or comes out
of a collection; of T_SWITCH, T_WAKE and T_SPAWN the other context; of T_SEND, T_RUN and T_TRAP the other
virtual processor's number.
"""
