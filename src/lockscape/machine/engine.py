"""The engine: executes a program on a simulated multiprocessor, one event at a time.

One function holds the loop, for handing arrays to helpers costs numba a reference count each time; it
keeps the state of the processor that runs in local variables. It never checks that a program is correct:
with tracing on it writes down what happens, and `lockscape.machine.faults` judges.

**Order of events.** Each physical processor and each device has one next event; a tree of winners gives the
earliest, by time, then devices before processors, then by number. An interrupt that is due at the same
time as the running code's next step comes first.
"""

from typing import Any

from lockscape.machine.compiled import compiled
from lockscape.machine.layout import (
    A_FAIR,
    A_PROCESSOR,
    A_RECURSIVE,
    A_SEQUENCE,
    A_SLEEPS,
    A_SPIN,
    ATTRIBUTE_WORDS,
    AWAY,
    BITMAP,
    C_ATOMIC,
    C_CALLS,
    C_DONE,
    C_FRAME,
    C_LIMIT,
    C_MASK,
    C_MODE,
    C_PC,
    C_PROCESS,
    C_SLEEPS,
    C_SPINS,
    C_VIRTUAL,
    C_WORK,
    C_WORK_END,
    CALL_COLUMNS,
    CALL_KINDS,
    CLASS_WORDS,
    D_BUSY,
    D_TARGET,
    D_VECTOR,
    DEVICE_WORDS,
    GUEST,
    H_BREAK,
    H_CLASS,
    H_DEVICE,
    H_DEVICES,
    H_FAULT_PC,
    H_FAULT_VALUE,
    H_FAULT_VIRTUAL,
    H_HANDOVER,
    H_INSTANCE,
    H_INSTANCES,
    H_LEAVES,
    H_LIVE,
    H_LOCK,
    H_POLL,
    H_PROCESSOR,
    H_SHARER_SHIFT,
    H_SIGNAL,
    H_SIZE,
    H_STATISTICS,
    H_STEPS,
    H_TIME,
    H_TRACE,
    H_TRACE_END,
    H_TRACED,
    H_TRANSFER,
    H_TREE,
    H_UNTIL,
    H_VIRTUAL,
    H_VIRTUALS,
    HALTED,
    I_BLOCK,
    I_BLOCK_FRAME,
    I_CPUS,
    I_ENTRY,
    I_ENTRY_FRAME,
    I_NUMBER,
    I_SLOT,
    I_VECTOR,
    I_VIRTUAL,
    I_WAKE,
    I_WAKE_FRAME,
    IDLE,
    INFINITY,
    INTERRUPT,
    INTERRUPT_WORDS,
    K_COLLECTIONS,
    K_FREE,
    K_MADE,
    K_TEMPLATE,
    K_WORDS,
    KERNEL,
    L_DEPTH,
    L_FIRST,
    L_LAST,
    L_OWNER,
    L_READERS,
    L_SEQUENCE,
    L_SHARERS,
    L_SINCE,
    L_WAITERS,
    L_WRITER,
    LEAF_BITS,
    N_NEXT,
    N_SLOT,
    N_VALUE,
    P_ROOT,
    P_RUNS,
    PROCESSOR_WORDS,
    Q_ACQUIRED,
    Q_BOUNCED,
    Q_CONTENDED,
    Q_HELD,
    Q_SLEPT,
    Q_WAIT,
    Q_WAIT_MOST,
    REASON_BUDGET,
    REASON_BUSY,
    REASON_DIVISION,
    REASON_DONE,
    REASON_ILLEGAL,
    REASON_MEMORY,
    REASON_NOT_HELD,
    REASON_NULL,
    REASON_RANGE,
    REASON_RUNNING,
    REASON_STACK,
    REASON_STUCK,
    REASON_TIME,
    REASON_TRACE,
    REASON_UNBALANCED,
    RUNNING,
    S_CAPACITY,
    S_COUNT,
    S_FIRST,
    S_KIND,
    S_REGION,
    S_WRITER,
    SPIN,
    SPINNING,
    STATISTIC_WORDS,
    STOLEN,
    T_ACQUIRE,
    T_ATOMIC,
    T_ATOMIC_END,
    T_BLOCK,
    T_CALL,
    T_CALL_END,
    T_DEPTH,
    T_FREE,
    T_GET,
    T_HALT,
    T_INTERRUPT,
    T_MASK,
    T_NEW,
    T_PUT,
    T_RCU,
    T_RCU_END,
    T_READ,
    T_RELEASE,
    T_RETRY,
    T_RETURN,
    T_RUN,
    T_SECTION,
    T_SECTION_END,
    T_SEND,
    T_SEQ,
    T_SWITCH,
    T_TRAP,
    T_UNMASK,
    T_WAIT,
    T_WAKE,
    T_WRITE,
    TRACE_COLUMNS,
    USER,
    V_ATOMIC,
    V_CONTEXT,
    V_CYCLES,
    V_DUE,
    V_INDEX,
    V_INSTANCE,
    V_MASK,
    V_MODE,
    V_NEXT,
    V_NUMBER,
    V_PERIOD,
    V_PROCESSOR,
    V_REMAINING,
    V_SINCE,
    V_STATE,
    V_TIME,
    VECTORS,
    VIRTUAL_WORDS,
    W_CONTEXT,
    W_GRANTED,
    W_LOCK,
    W_NEXT,
    W_PREVIOUS,
    W_SHARED,
    W_SINCE,
)  # fmt: skip
from lockscape.machine.memory import (
    append,
    bit_of,
    insert_key,
    line_of,
    next_free,
    node_of,
    passed,
    remove_key,
    room_needed,
    touch,
    unlink,
)  # fmt: skip
from lockscape.program import opcodes as op
from lockscape.program.layout import COLLECTION_WORDS, FRAME_HEAD, LOCK_WORDS, OBJECT_WORDS, ROW

LEAF_MASK = (1 << LEAF_BITS) - 1
NEVER = INFINITY << LEAF_BITS
TRACE_MARGIN = 64
"""Rows that the trace must have free before an instruction: more than one instruction writes."""

MARGIN = 64
"""Registers that the stack must have free beyond a new frame."""

EXIT_INTERRUPT, EXIT_HALT, EXIT_SPIN = 1, 2, 3
"""Why a virtual processor left to its hypervisor; a trap gives its own reason."""


@compiled
def set_event(m: Any, leaf: int, key: int) -> None:
    """Set the time of a leaf's next event and let the tree of winners know."""
    tree = m[H_TREE]
    i = m[H_LEAVES] + leaf
    m[tree + i] = key
    while i > 1:
        key = min(key, m[tree + (i ^ 1)])
        i >>= 1
        m[tree + i] = key


@compiled
def account(m: Any, v: int, mode: int, t: int) -> None:
    """Add the time since the last change to a virtual processor's mode, and change it."""
    m[v + V_CYCLES + m[v + V_MODE]] += t - m[v + V_SINCE]
    m[v + V_SINCE] = t
    m[v + V_MODE] = mode


@compiled
def earliest(m: Any, v: int) -> None:
    """Find when a virtual processor's next interrupt is due."""
    best = INFINITY
    for k in range(VECTORS):
        if m[v + V_DUE + k] < best:
            best = m[v + V_DUE + k]
    m[v + V_NEXT] = best


@compiled
def raise_vector(m: Any, v: int, vector: int, due: int, t: int) -> int:
    """Make an interrupt due on a virtual processor; return the leaf whose event moved, or -1."""
    if due < m[v + V_DUE + vector]:
        m[v + V_DUE + vector] = due
        m[v + V_NEXT] = min(m[v + V_NEXT], due)
    p = m[v + V_PROCESSOR]
    if m[v + V_STATE] == AWAY or p < 0:
        return -1
    leaf = p + m[H_DEVICES]
    # an interrupt of a hypervisor takes the processor from its guest, whatever the hypervisor masked
    if m[v + V_MASK] == 0 or m[m[H_PROCESSOR] + p * PROCESSOR_WORDS + P_RUNS] != v:
        when = max(m[v + V_NEXT], t)
        if when << LEAF_BITS < m[m[H_TREE] + m[H_LEAVES] + leaf]:
            set_event(m, leaf, (when << LEAF_BITS) | leaf)
            return leaf
    return -1


@compiled
def queue_waiter(m: Any, lock: int, w: int, shared: int) -> None:
    """Put a wait (a context's spinning or its sleeping one) at the end of a lock's waiters."""
    last = m[lock + L_LAST]
    m[w + W_PREVIOUS] = last
    m[w + W_NEXT] = 0
    if last:
        m[last + W_NEXT] = w
    else:
        m[lock + L_FIRST] = w
    m[lock + L_LAST] = w
    m[lock + L_WAITERS] += 1
    m[w + W_LOCK] = lock
    m[w + W_SHARED] = shared


@compiled
def drop_waiter(m: Any, w: int) -> None:
    """Take a wait out of its lock's waiters."""
    lock = m[w + W_LOCK]
    before = m[w + W_PREVIOUS]
    behind = m[w + W_NEXT]
    if before:
        m[before + W_NEXT] = behind
    else:
        m[lock + L_FIRST] = behind
    if behind:
        m[behind + W_PREVIOUS] = before
    else:
        m[lock + L_LAST] = before
    m[lock + L_WAITERS] -= 1
    m[w + W_LOCK] = 0


@compiled
def release_spinners(m: Any, lock: int, t: int, seen: int, fair: int, by_processor: int) -> None:
    """Give a spin lock to the processor that waits first, or with a reader to all waiting readers.

    It goes on when it has read the lock's line again, which every further waiter delays, for all read it
    (Anderson 1990); it then shares the line and need only take it from the others to write. If an interrupt
    comes first an unfair lock goes to the next (`give_way`), which sees it free at the time `seen`
    (negative: only now does the line start). Nothing happens while it is held.
    """
    w = m[lock + L_FIRST]
    if w == 0 or m[lock + L_OWNER] or (m[lock + L_READERS] and m[w + W_SHARED] == 0):
        return
    if seen < 0:
        seen = t + m[H_TRANSFER] + m[H_HANDOVER] * (m[lock + L_WAITERS] - 1)
    m[lock + L_SINCE] = seen
    seen = max(seen, t)
    shared = m[w + W_SHARED]
    while w:
        behind = m[w + W_NEXT]
        if m[w + W_SHARED] == shared:
            ctx = m[w + W_CONTEXT]
            v = m[ctx + C_VIRTUAL]
            p = m[v + V_PROCESSOR]
            drop_waiter(m, w)
            m[w + W_GRANTED] = lock
            m[lock + L_SHARERS] |= 1 << (p >> m[H_SHARER_SHIFT])
            if not fair:
                m[w + W_SHARED] = 2 + shared
            if shared:
                m[lock + L_READERS] += 1
            else:
                m[lock + L_OWNER] = v if by_processor else ctx
                m[lock + L_DEPTH] = 1
            m[v + V_STATE] = RUNNING
            m[v + V_TIME] = seen
            when = seen
            if m[v + V_MASK] == 0 and m[v + V_NEXT] < when:
                when = max(m[v + V_NEXT], t)
            root = m[m[H_PROCESSOR] + p * PROCESSOR_WORDS + P_ROOT]
            if root != v and m[root + V_NEXT] < when:
                when = max(m[root + V_NEXT], t)
            leaf = p + m[H_DEVICES]
            set_event(m, leaf, (when << LEAF_BITS) | leaf)
            if not shared:
                return
        w = behind


@compiled
def give_way(m: Any, code: Any, ctx: int, t: int) -> int:
    """Let a context that spins, or to which an unfair lock was given, be interrupted; return 1 if it was one.

    It asks for the lock again afterwards, at the end of the waiters. What it no longer claims goes to others.
    """
    w = ctx + C_SPINS
    lock = m[w + W_LOCK]
    seen = -1
    if lock:
        drop_waiter(m, w)
    elif m[w + W_GRANTED] and m[w + W_SHARED] & 2:
        lock = m[w + W_GRANTED]
        if m[w + W_SHARED] & 1:
            m[lock + L_READERS] -= 1
        else:
            m[lock + L_OWNER] = 0
            m[lock + L_DEPTH] = 0
        m[w + W_GRANTED] = 0
        seen = m[lock + L_SINCE]
    else:
        return 0
    attributes = m[H_LOCK] + code[m[ctx + C_PC] * ROW + 3] * ATTRIBUTE_WORDS
    release_spinners(m, lock, t, seen, m[attributes + A_FAIR], m[attributes + A_PROCESSOR])
    return 1


@compiled
def leave_guest(m: Any, code: Any, v: int, root: int, t: int, reason: int) -> None:
    """Take the processor from a virtual processor and let its hypervisor go on after its `run`."""
    ctx = m[v + V_CONTEXT]
    if m[v + V_MODE] != SPIN:
        m[ctx + C_MODE] = m[v + V_MODE]
    account(m, v, STOLEN, t)
    m[v + V_STATE] = AWAY
    m[m[H_PROCESSOR] + m[v + V_PROCESSOR] * PROCESSOR_WORDS + P_RUNS] = root
    m[v + V_PROCESSOR] = -1
    ctx = m[root + V_CONTEXT]
    account(m, root, m[ctx + C_MODE], t)
    m[m[ctx + C_FRAME] + code[(m[ctx + C_PC] - 1) * ROW + 1]] = reason
    m[root + V_STATE] = RUNNING
    m[root + V_TIME] = t


@compiled
def new_object(m: Any, number: int) -> int:
    """Take an object of a class from its free list or from fresh memory; its fields are 0."""
    k = m[H_CLASS] + number * CLASS_WORDS
    words = m[k + K_WORDS]
    place = m[k + K_FREE]
    if place:
        m[k + K_FREE] = m[place + OBJECT_WORDS]
    else:
        place = m[H_BREAK]
        m[H_BREAK] = place + words
        m[place] = number
        m[k + K_MADE] += 1
    m[place + 1] += 1
    template = m[k + K_TEMPLATE]
    packed = m[k + K_COLLECTIONS]
    first = packed & 0xFFFF
    for i in range(OBJECT_WORDS, first):
        m[place + i] = m[template + i]
    # the lines of its parts are where the memory was last used; the memory of a collection is used again
    i = first
    for _ in range(packed >> 16):
        region = m[place + i + S_REGION]
        capacity = m[place + i + S_CAPACITY]
        for j in range(COLLECTION_WORDS):
            m[place + i + j] = m[template + i + j]
        if region:
            m[place + i + S_REGION] = region
            m[place + i + S_CAPACITY] = capacity
        m[place + i + S_WRITER] = m[place + 2]
        m[place + i + S_WRITER + 1] = m[place + 3]
        i += COLLECTION_WORDS
    for j in range(i, words):
        m[place + j] = 0
    i += place
    while i < place + words:
        m[i + L_WRITER] = m[place + 2]
        m[i + L_WRITER + 1] = m[place + 3]
        i += LOCK_WORDS
    return place


@compiled
def empty_collections(m: Any, place: int) -> None:
    """Give back the nodes of the collections of an object that is freed, and clear its bitmaps."""
    packed = m[m[H_CLASS] + m[place] * CLASS_WORDS + K_COLLECTIONS]
    owner = place + (packed & 0xFFFF)
    for _ in range(packed >> 16):
        if m[owner + S_KIND] == BITMAP:
            if m[owner + S_REGION]:
                for i in range((m[owner + S_CAPACITY] + 31) >> 5):
                    m[m[owner + S_REGION] + i] = 0
        else:
            node = m[owner + S_FIRST]
            while node:
                remove_key(m, owner, m[node])
                node = m[owner + S_FIRST]
        owner += COLLECTION_WORDS


@compiled
def stop_at(m: Any, leaf: int, v: int, root: int) -> int:
    """Return the time before which the processor of `leaf` may go on alone: others' events, interrupts."""
    tree = m[H_TREE]
    i = m[H_LEAVES] + leaf
    limit = m[H_UNTIL] << LEAF_BITS
    while i > 1:
        limit = min(limit, m[tree + (i ^ 1)])
        i >>= 1
    stop = (limit >> LEAF_BITS) + (1 if leaf < (limit & LEAF_MASK) else 0)
    if m[v + V_MASK] == 0 and m[v + V_NEXT] < stop:
        stop = m[v + V_NEXT]
    if root != v and m[root + V_NEXT] < stop:
        stop = m[root + V_NEXT]
    return stop


@compiled
def note(
    m: Any, trace: Any, t: int, v: int, ctx: int, pc: int, kind: int, place: int, offset: int, value: int
) -> None:
    """Write one row of the trace."""
    k = m[H_TRACED] * TRACE_COLUMNS
    trace[k] = t
    trace[k + 1] = m[v + V_INDEX]
    trace[k + 2] = ctx
    trace[k + 3] = pc
    trace[k + 4] = kind
    trace[k + 5] = place
    trace[k + 6] = offset
    trace[k + 7] = value
    m[H_TRACED] += 1


@compiled
def enter_frame(m: Any, fp: int, end: int, pc: int, size: int, mode: int, remaining: int) -> int:
    """Push a frame on the running context's stack, from `end` on; return its address."""
    new = end + FRAME_HEAD
    m[new - 1] = pc
    m[new - 2] = fp
    m[new - 3] = -1
    m[new - 4] = size
    m[new - 5] = remaining
    m[new - 6] = mode
    return new


@compiled
def run(m: Any, code: Any, work: Any, columns: int, trace: Any, budget: int, until: int) -> int:
    """Execute until all processes are done or something stops it; return the reason (REASON_…).

    `m`: the machine's memory. `code`: the program's rows, flat. `work`: rows of workloads, `columns` each,
    flat. `trace`: rows of the trace, flat. `budget`: instructions to execute at most. `until`: time at which
    to stop. The call can be repeated: all state is in `m`.
    """
    devices = m[H_DEVICES]
    tree = m[H_TREE]
    tracing = m[H_TRACE] != 0
    m[H_UNTIL] = until
    steps = 0
    polls = 0
    reason = -1
    clock = m[H_TIME]
    write = 0
    more = 0
    r = 0
    while reason < 0:
        key = m[tree + 1]
        leaf = key & LEAF_MASK
        now = key >> LEAF_BITS
        if now >= INFINITY:
            reason = REASON_STUCK
            break
        if now >= until:
            reason = REASON_TIME
            clock = max(clock, until)
            break
        clock = now
        if steps >= budget:
            reason = REASON_BUDGET
            break
        if leaf < devices:
            d = m[H_DEVICE] + leaf * DEVICE_WORDS
            m[d + D_BUSY] = 0
            set_event(m, leaf, NEVER)
            raise_vector(m, m[d + D_TARGET], m[d + D_VECTOR], now, now)
            continue
        p = leaf - devices
        at = m[H_PROCESSOR] + p * PROCESSOR_WORDS
        v = m[at + P_RUNS]
        root = m[at + P_ROOT]
        if root != v and m[root + V_NEXT] <= now:
            # a physical interrupt: the virtual processor leaves to the hypervisor
            m[v + V_REMAINING] = max(m[v + V_TIME] - now, 0)
            if m[v + V_STATE] == HALTED:
                m[v + V_REMAINING] = -1
            elif give_way(m, code, m[v + V_CONTEXT], now):
                m[v + V_REMAINING] = 0
            leave_guest(m, code, v, root, now, EXIT_INTERRUPT)
            v = root
        ctx = m[v + V_CONTEXT]
        fp = m[ctx + C_FRAME]
        pc = m[ctx + C_PC]
        if m[v + V_MASK] == 0 and m[v + V_NEXT] <= now and m[v + V_NEXT] <= m[v + V_TIME]:
            vector = 0
            while m[v + V_DUE + vector] != m[v + V_NEXT]:
                vector += 1
            handler = m[v + V_INSTANCE] + I_VECTOR + 2 * vector
            size = m[handler + 1]
            if (
                m[handler] < 0
                or fp + m[fp - 4] + INTERRUPT_WORDS + FRAME_HEAD + size + MARGIN >= m[ctx + C_LIMIT]
            ):
                m[H_FAULT_PC] = pc
                m[H_FAULT_VIRTUAL] = v
                m[H_FAULT_VALUE] = vector
                reason = REASON_STACK if m[handler] >= 0 else REASON_RANGE
                break
            if vector == 0 and m[v + V_PERIOD]:
                m[v + V_DUE] += m[v + V_PERIOD]
            else:
                m[v + V_DUE + vector] = INFINITY
            earliest(m, v)
            remaining = m[v + V_TIME] - now
            mode = m[v + V_MODE]
            if m[v + V_STATE] == HALTED:
                remaining = 0
                mode = KERNEL
            elif give_way(m, code, ctx, now):
                remaining = 0
            if tracing:
                note(m, trace, now, v, ctx, pc, T_INTERRUPT, vector, 0, mode)
            # below the handler's frame: the wait that it came into, for it may wait for locks itself
            k = fp + m[fp - 4]
            m[k] = m[ctx + C_SPINS + W_GRANTED]
            m[k + 1] = m[ctx + C_SPINS + W_SINCE]
            m[k + 2] = m[ctx + C_MODE]
            m[ctx + C_SPINS + W_GRANTED] = 0
            m[ctx + C_SPINS + W_SINCE] = 0
            fp = enter_frame(m, fp, k + INTERRUPT_WORDS, pc, size, mode + 256, remaining)
            pc = m[handler]
            m[v + V_STATE] = RUNNING
            m[v + V_MASK] = 1
            account(m, v, INTERRUPT, now)
        t = now
        m[v + V_TIME] = now
        bit = 1 << (p >> m[H_SHARER_SHIFT])
        me = p + 1
        stop = stop_at(m, leaf, v, root)
        base = now
        while steps < budget:
            r = pc * ROW
            o = code[r]
            o1 = code[r + 1]
            o2 = code[r + 2]
            o3 = code[r + 3]
            o4 = code[r + 4]
            steps += 1
            pc += 1
            if tracing and m[H_TRACED] + TRACE_MARGIN >= m[H_TRACE_END]:
                reason = REASON_TRACE
                pc -= 1
                steps -= 1
                break
            delay = 0
            if o <= op.JUMP_GE:
                # registers and time, nothing that others could see
                if o == op.COMPUTE:
                    delay = o1
                elif o == op.COMPUTE_TIMES:
                    delay = o1 * m[fp + o2]
                    if delay < 0:
                        reason = REASON_RANGE
                        break
                elif o == op.PAUSE:
                    delay = m[fp + o1]
                    if delay < 0:
                        reason = REASON_RANGE
                        break
                elif o == op.SET:
                    m[fp + o1] = o2
                elif o == op.MOVE:
                    m[fp + o1] = m[fp + o2]
                elif o >= op.ADD and o <= op.GE:
                    x = m[fp + o2]
                    y = o3 if o4 else m[fp + o3]
                    if o == op.ADD:
                        x += y
                    elif o == op.SUB:
                        x -= y
                    elif o == op.MUL:
                        x *= y
                    elif o == op.DIV or o == op.MOD:
                        if y == 0:
                            reason = REASON_DIVISION
                            break
                        x = x // y if o == op.DIV else x % y
                    elif o == op.AND:
                        x &= y
                    elif o == op.OR:
                        x |= y
                    elif o == op.SHL:
                        x <<= y
                    elif o == op.SHR:
                        x >>= y
                    elif o == op.EQ:
                        x = 1 if x == y else 0
                    elif o == op.NE:
                        x = 1 if x != y else 0
                    elif o == op.LT:
                        x = 1 if x < y else 0
                    elif o == op.LE:
                        x = 1 if x <= y else 0
                    elif o == op.GT:
                        x = 1 if x > y else 0
                    else:
                        x = 1 if x >= y else 0
                    m[fp + o1] = x
                elif o == op.JUMP:
                    pc = o1
                elif o == op.JUMP_ZERO:
                    if m[fp + o1] == 0:
                        pc = o2
                elif o == op.JUMP_NOT_ZERO:
                    if m[fp + o1] != 0:
                        pc = o2
                elif o >= op.JUMP_EQ and o <= op.JUMP_GE:
                    x = m[fp + o1]
                    y = o3 if o4 else m[fp + o3]
                    if o == op.JUMP_EQ:
                        taken = x == y
                    elif o == op.JUMP_NE:
                        taken = x != y
                    elif o == op.JUMP_LT:
                        taken = x < y
                    else:
                        taken = x >= y
                    if taken:
                        pc = o2
                if delay:
                    base = t
                    t += delay
                    if t >= stop:
                        break
                continue
            kind = 0
            also = 0
            line = 0
            place = 0
            offset = 0
            value = 0
            if o == op.LOAD:
                x = m[fp + o2]
                if x <= 0:
                    reason = REASON_NULL
                    break
                if m[x + 3] & bit == 0:
                    line = x + 2
                    write = 0
                m[fp + o1] = m[x + o3]
                kind = T_READ
                place = x
                offset = o3
                value = o4
            elif o == op.STORE:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                if m[x + 2] != me or m[x + 3] != bit:
                    line = x + 2
                    write = 1
                m[x + o2] = o3 if o4 else m[fp + o3]
                kind = T_WRITE
                place = x
                offset = o2
                value = code[r + 5]
            elif o == op.ADD_FIELD:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                if m[x + 2] != me or m[x + 3] != bit:
                    line = x + 2
                    write = 1
                delay += code[r + 6]
                y = m[x + o2] + (o3 if o4 else m[fp + o3])
                m[x + o2] = y
                if code[r + 5] >= 0:
                    m[fp + code[r + 5]] = y
                kind = T_WRITE
                place = x
                offset = o2
                value = code[r + 7]
            elif o == op.CALL:
                new = fp + o2
                if new + o4 + MARGIN >= m[ctx + C_LIMIT]:
                    reason = REASON_STACK
                    break
                m[new - 1] = pc
                m[new - 2] = fp
                m[new - 3] = o3
                m[new - 4] = o4
                m[new - 6] = 0
                if tracing and o1 == m[m[v + V_INSTANCE] + I_WAKE] and m[new] > 0:
                    kind = T_WAKE
                    place = m[new]
                    value = m[m[new] + OBJECT_WORDS]
                fp = new
                pc = o1
            elif o == op.RETURN:
                x = o1 if o2 else m[fp + o1]
                if m[fp - 2] == 0:
                    reason = REASON_ILLEGAL  # a context has nothing below its first function
                    break
                pc = m[fp - 1]
                y = m[fp - 3]
                fp = m[fp - 2]
                if y >= 0:
                    m[fp + y] = x
                continue
            elif o == op.THE:
                x = m[m[v + V_INSTANCE] + I_SLOT + o2]
                if o3 >= 0:
                    y = m[fp + o3]
                    if y < 0 or y >= m[x - 1]:
                        reason = REASON_RANGE
                        break
                    x += y * o4
                m[fp + o1] = x
                continue
            elif o == op.NEW:
                k = m[H_CLASS] + o2 * CLASS_WORDS
                if m[H_BREAK] + m[k + K_WORDS] > m[H_SIZE]:
                    reason = REASON_MEMORY
                    pc -= 1
                    steps -= 1
                    break
                x = new_object(m, o2)
                m[fp + o1] = x
                kind = T_NEW
                place = x
                offset = o2
            elif o == op.FREE:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                kind = T_FREE
                place = x
                offset = m[x]
                value = 0
                empty_collections(m, x)
                m[x + 1] += 1
                k = m[H_CLASS] + m[x] * CLASS_WORDS
                m[x + OBJECT_WORDS] = m[k + K_FREE]
                m[k + K_FREE] = x
            elif o == op.SEARCH_COST:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                y = m[fp + o4] if o4 >= 0 else -1
                delay = code[r + 5]
                if code[r + 6]:
                    delay += code[r + 6] * passed(m, x + o2, m[fp + o3], y, code[r + 7])
            elif (
                o >= op.FIND and o <= op.FIRST_FREE and o != op.INSERT and o != op.TO_TAIL
            ) or o == op.OLDEST:
                x = m[fp + o2]
                if x <= 0:
                    reason = REASON_NULL
                    break
                s = x + o3
                y = m[fp + o4] if o4 >= 0 else 0
                if (
                    m[s + S_KIND] == BITMAP
                    and (o == op.FIND or o == op.REMOVE)
                    and (y < 0 or y >= m[s + S_CAPACITY])
                ):
                    reason = REASON_RANGE
                    break
                node = 0
                found = 0
                write = 0
                if o == op.FIND:
                    if m[s + S_KIND] == BITMAP:
                        found = bit_of(m, s, y)
                    else:
                        node = node_of(m, s, y)
                        found = m[node + N_VALUE] if node else 0
                    line = line_of(m, s, y, node)
                elif o == op.REMOVE:
                    node = node_of(m, s, y)
                    line = line_of(m, s, y, node)
                    delay = code[r + 6]
                    found = remove_key(m, s, y)
                    write = 1
                elif o == op.POSITION:
                    node = node_of(m, s, y)
                    found = m[node + N_SLOT] if node else -1
                elif o == op.FIRST:
                    found = m[m[s + S_FIRST] + N_VALUE] if m[s + S_FIRST] else 0
                    line = s + S_WRITER
                elif o == op.OLDEST:
                    found = m[m[s + S_FIRST]] if m[s + S_FIRST] else 0
                    line = s + S_WRITER
                elif o == op.AFTER:
                    node = node_of(m, s, y)
                    found = m[m[node + N_NEXT] + N_VALUE] if node and m[node + N_NEXT] else 0
                elif o == op.COUNT:
                    found = m[s + S_COUNT]
                    line = s + S_WRITER
                else:
                    found = next_free(m, s, y)
                    line = line_of(m, s, max(found, 0), 0)
                if o1 >= 0:
                    m[fp + o1] = found
                kind = T_WRITE if write else T_READ
                place = x
                offset = o3
                value = code[r + 5]
                if found > 0:
                    also = T_GET
                    more = found
            elif o == op.INSERT or o == op.TO_TAIL:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                s = x + o2
                y = m[fp + o3]
                if m[s + S_KIND] == BITMAP and (y < 0 or y >= m[s + S_CAPACITY]):
                    reason = REASON_RANGE
                    break
                if o == op.INSERT:
                    if m[H_BREAK] + room_needed(m, s) > m[H_SIZE]:
                        reason = REASON_MEMORY
                        pc -= 1
                        steps -= 1
                        break
                    found = m[s + S_COUNT]
                    node = insert_key(m, s, y, m[fp + o4])
                    if code[r + 6] >= 0:
                        m[fp + code[r + 6]] = m[s + S_COUNT] - found
                else:
                    node = node_of(m, s, y)
                    if node:
                        unlink(m, s, node)
                        append(m, s, node)
                line = line_of(m, s, y, node)
                write = 1
                if o == op.INSERT:
                    delay = code[r + 7]
                    also = T_PUT
                    more = m[fp + o4]
                kind = T_WRITE
                place = x
                offset = o2
                value = code[r + 5]
            elif o == op.COMPARE_AND_SWAP:
                x = m[fp + o2]
                if x <= 0:
                    reason = REASON_NULL
                    break
                line = x + 2
                write = 1
                delay = code[r + 6]
                done = int(m[x + o3] == m[fp + o4])
                if done:
                    m[x + o3] = m[fp + code[r + 5]]
                m[fp + o1] = done
                kind = T_WRITE if done else T_READ
                place = x
                offset = o3
                value = op.ATOMIC
            elif o == op.COMPARE_AND_SWAP2:
                block = fp + o2
                x = m[block]
                y = m[block + 3]
                if x <= 0 or y <= 0:
                    reason = REASON_NULL
                    break
                line = x + 2
                write = 1
                delay = code[r + 6]
                if y != x:
                    delay += touch(m, y + 2, p, 1)
                done = 0
                if m[x + o3] == m[block + 1] and m[y + o4] == m[block + 4]:
                    done = 1
                    m[x + o3] = m[block + 2]
                    m[y + o4] = m[block + 5]
                m[fp + o1] = done
                kind = T_WRITE if done else T_READ
                place = x
                offset = o3
                value = op.ATOMIC
                if tracing:
                    note(m, trace, t, v, ctx, pc - 1, kind, y, o4, value)
            elif o == op.SWAP:
                x = m[fp + o2]
                if x <= 0:
                    reason = REASON_NULL
                    break
                line = x + 2
                write = 1
                delay = code[r + 6]
                y = m[x + o3]
                m[x + o3] = m[fp + o4]
                m[fp + o1] = y
                kind = T_WRITE
                place = x
                offset = o3
                value = op.ATOMIC
            elif o == op.ACQUIRE:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                lock = x + o2
                a = m[H_LOCK] + o3 * ATTRIBUTE_WORDS
                q = m[H_STATISTICS] + o3 * STATISTIC_WORDS
                shared = o4
                sleeps = m[a + A_SLEEPS]
                w = ctx + (C_SLEEPS if sleeps else C_SPINS)
                me_owner = v if m[a + A_PROCESSOR] else ctx
                depth = m[fp + code[r + 6]] if code[r + 6] >= 0 else 1
                place = x
                offset = o2
                value = o3 * 2 + shared
                granted = m[w + W_GRANTED] == lock
                if granted:
                    m[w + W_GRANTED] = 0
                    kind = T_ACQUIRE
                    if shared == 0:
                        m[lock + L_DEPTH] = depth
                elif code[r + 6] >= 0 and (depth == 0 or m[lock + L_OWNER] == me_owner):
                    # nothing was let go; or a lock of the processor passes to the context that now runs here
                    if m[lock + L_OWNER] == me_owner and m[a + A_PROCESSOR]:
                        m[lock + L_DEPTH] = depth
                        if depth == 0:
                            m[lock + L_OWNER] = 0
                            m[q + Q_HELD] += t - m[lock + L_SINCE]
                            kind = T_RELEASE
                            release_spinners(m, lock, t, -1, m[a + A_FAIR], m[a + A_PROCESSOR])
                            stop = -1
                        else:
                            kind = T_DEPTH
                            value = depth
                elif shared:
                    if m[lock + L_OWNER] == 0 and not (m[a + A_FAIR] and m[lock + L_FIRST]):
                        m[lock + L_READERS] += 1
                        kind = T_ACQUIRE
                    else:
                        kind = T_WAIT
                elif m[lock + L_OWNER] == me_owner and m[a + A_RECURSIVE]:
                    m[lock + L_DEPTH] += depth
                    delay = code[r + 5]
                    if tracing:
                        note(m, trace, t, v, ctx, pc - 1, T_ACQUIRE, x, o2, value)
                elif (
                    m[lock + L_OWNER] == 0
                    and m[lock + L_READERS] == 0
                    and not (m[a + A_FAIR] and sleeps and m[lock + L_FIRST])
                ):
                    m[lock + L_OWNER] = me_owner
                    m[lock + L_DEPTH] = depth
                    kind = T_ACQUIRE
                else:
                    kind = T_WAIT
                if kind == T_ACQUIRE:
                    delay = touch(m, lock + L_WRITER, p, 1)
                    if delay:
                        m[q + Q_BOUNCED] += 1
                    delay += code[r + 5]
                    m[q + Q_ACQUIRED] += 1
                    if m[w + W_SINCE]:
                        y = t - m[w + W_SINCE] + 1
                        m[q + Q_WAIT] += y
                        m[q + Q_WAIT_MOST] = max(y, m[q + Q_WAIT_MOST])
                        m[w + W_SINCE] = 0
                        if m[v + V_MODE] == SPIN:
                            account(m, v, m[ctx + C_MODE], t)
                    if depth != 1:
                        also = T_DEPTH
                        more = depth
                    if shared:
                        m[q + Q_HELD] -= t
                    else:
                        m[lock + L_SINCE] = t
                        if m[a + A_SEQUENCE]:
                            m[lock + L_SEQUENCE] += 1
                elif kind == T_WAIT:
                    pc -= 1
                    if m[w + W_SINCE] == 0:
                        m[w + W_SINCE] = t + 1
                        m[q + Q_CONTENDED] += 1
                    touch(m, lock + L_WRITER, p, 0)
                    if tracing:
                        note(m, trace, t, v, ctx, pc, T_WAIT, x, o2, value)
                    kind = 0
                    owner = m[lock + L_OWNER]
                    polling = (
                        sleeps
                        and m[a + A_SPIN]
                        and owner
                        and not shared
                        and m[owner + C_VIRTUAL]
                        and t + 1 - m[w + W_SINCE] < m[a + A_SPIN]
                    )
                    if (polling or not sleeps) != (m[v + V_MODE] == SPIN):
                        if m[v + V_MODE] == SPIN:
                            account(m, v, m[ctx + C_MODE], t)
                        else:
                            m[ctx + C_MODE] = m[v + V_MODE]
                            account(m, v, SPIN, t)
                    if polling:
                        polls += 1
                        delay = m[H_POLL]
                    elif sleeps:
                        m[q + Q_SLEPT] += 1
                        queue_waiter(m, lock, w, shared)
                        hook = m[v + V_INSTANCE]
                        k = fp + m[fp - 4]
                        if k + m[hook + I_BLOCK_FRAME] + FRAME_HEAD + MARGIN >= m[ctx + C_LIMIT]:
                            reason = REASON_STACK
                            break
                        kind = T_BLOCK
                        fp = enter_frame(m, fp, k, pc, m[hook + I_BLOCK_FRAME], 0, 0)
                        pc = m[hook + I_BLOCK]
                    else:
                        queue_waiter(m, lock, w, shared)
                        m[v + V_STATE] = SPINNING
                        base = t
                        t = INFINITY
                        break
            elif o == op.RELEASE:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                lock = x + o2
                a = m[H_LOCK] + o3 * ATTRIBUTE_WORDS
                q = m[H_STATISTICS] + o3 * STATISTIC_WORDS
                shared = o4
                me_owner = v if m[a + A_PROCESSOR] else ctx
                count = 1
                if code[r + 6] >= 0:
                    # let go whatever the depth, which the context keeps; a processor's lock stays with it
                    count = m[lock + L_DEPTH] if m[lock + L_OWNER] == me_owner else 0
                    m[fp + code[r + 6]] = count
                    if m[a + A_PROCESSOR]:
                        count = 0
                elif (m[lock + L_READERS] if shared else m[lock + L_OWNER]) == 0:
                    reason = REASON_NOT_HELD
                    break
                if count:
                    delay = code[r + 5] + touch(m, lock + L_WRITER, p, 1)
                    kind = T_RELEASE
                    place = x
                    offset = o2
                    value = o3 * 2 + shared
                    if shared:
                        m[lock + L_READERS] -= 1
                        m[q + Q_HELD] += t
                    else:
                        m[lock + L_DEPTH] -= count
                        if m[lock + L_DEPTH] == 0:
                            m[lock + L_OWNER] = 0
                            m[q + Q_HELD] += t - m[lock + L_SINCE]
                            if m[a + A_SEQUENCE]:
                                m[lock + L_SEQUENCE] += 1
                    if m[lock + L_FIRST] and m[a + A_SLEEPS] == 0:
                        release_spinners(m, lock, t, -1, m[a + A_FAIR], m[a + A_PROCESSOR])
                        stop = -1
            elif o == op.WAKE_WAITERS:
                x = m[fp + o1]
                lock = x + o2
                a = m[H_LOCK] + o3 * ATTRIBUTE_WORDS
                w = m[lock + L_FIRST]
                if w and m[lock + L_OWNER] == 0 and (m[w + W_SHARED] or m[lock + L_READERS] == 0):
                    waiter = m[w + W_CONTEXT]
                    again = m[w + W_SHARED]
                    hook = m[v + V_INSTANCE]
                    k = fp + m[fp - 4]
                    if k + m[hook + I_WAKE_FRAME] + FRAME_HEAD + MARGIN >= m[ctx + C_LIMIT]:
                        reason = REASON_STACK
                        break
                    drop_waiter(m, w)
                    if m[a + A_FAIR]:
                        m[w + W_GRANTED] = lock
                        if again:
                            m[lock + L_READERS] += 1
                        else:
                            m[lock + L_OWNER] = waiter
                            m[lock + L_DEPTH] = 1
                    kind = T_WAKE
                    place = x
                    offset = o2
                    value = waiter
                    fp = enter_frame(m, fp, k, pc - again, m[hook + I_WAKE_FRAME], 0, 0)
                    m[fp] = m[waiter + C_PROCESS]
                    pc = m[hook + I_WAKE]
            elif o == op.SEQ_BEGIN:
                x = m[fp + o2]
                if x <= 0:
                    reason = REASON_NULL
                    break
                lock = x + o3
                delay = touch(m, lock + L_WRITER, p, 0)
                y = m[lock + L_SEQUENCE]
                if (y & 1) != (m[v + V_MODE] == SPIN):
                    if y & 1:
                        m[ctx + C_MODE] = m[v + V_MODE]
                        account(m, v, SPIN, t)
                    else:
                        account(m, v, m[ctx + C_MODE], t)
                if y & 1:
                    pc -= 1
                    polls += 1
                    delay += m[H_POLL]
                else:
                    m[fp + o1] = y
                    kind = T_SEQ
                    place = x
                    offset = o3
                    value = o4 * 2
            elif o == op.SEQ_RETRY:
                x = m[fp + o2]
                lock = x + o3
                line = lock + L_WRITER
                write = 0
                done = int(m[lock + L_SEQUENCE] == m[fp + o1])
                if not done:
                    pc = code[r + 5]
                    m[m[H_STATISTICS] + o4 * STATISTIC_WORDS + Q_CONTENDED] += 1
                kind = T_RETRY
                place = x
                offset = o3
                value = o4 * 2 + done
            elif o == op.MASK:
                m[v + V_MASK] += 1
                kind = T_MASK
                value = m[v + V_MASK]
            elif o == op.UNMASK:
                if m[v + V_MASK] <= 0:
                    reason = REASON_UNBALANCED
                    break
                m[v + V_MASK] -= 1
                if m[v + V_MASK] == 0:
                    stop = min(stop, m[v + V_NEXT])
                kind = T_UNMASK
                value = m[v + V_MASK]
            elif o == op.ATOMIC_BEGIN:
                m[v + V_ATOMIC] += 1
                kind = T_ATOMIC
                value = m[v + V_ATOMIC]
            elif o == op.ATOMIC_END:
                if m[v + V_ATOMIC] <= 0:
                    reason = REASON_UNBALANCED
                    break
                m[v + V_ATOMIC] -= 1
                kind = T_ATOMIC_END
                value = m[v + V_ATOMIC]
            elif o == op.ATOMIC_DEPTH:
                m[fp + o1] = m[v + V_ATOMIC]
            elif o == op.CURRENT:
                m[fp + o1] = m[ctx + C_PROCESS]
            elif o == op.THIS_CPU:
                m[fp + o1] = m[v + V_NUMBER]
            elif o == op.CPUS:
                m[fp + o1] = m[m[v + V_INSTANCE] + I_CPUS]
            elif o == op.INSTANCE:
                m[fp + o1] = m[m[v + V_INSTANCE] + I_NUMBER]
            elif o == op.THE_OF:
                k = m[fp + o3]
                y = m[fp + code[r + 5]]
                if k < 0 or k >= m[H_INSTANCES]:
                    reason = REASON_RANGE
                    break
                x = m[m[m[H_INSTANCE] + k] + I_SLOT + o2]
                if y < 0 or y >= m[x - 1]:
                    reason = REASON_RANGE
                    break
                m[fp + o1] = x + y * o4
            elif o == op.SWITCH:
                x = m[fp + o1]
                if x <= 0:
                    reason = REASON_NULL
                    break
                new = m[x + OBJECT_WORDS]
                if new <= 0 or (new != ctx and m[new + C_VIRTUAL]):
                    m[H_FAULT_VALUE] = x
                    reason = REASON_RUNNING if new > 0 else REASON_NULL
                    break
                if new != ctx:
                    if tracing:
                        note(m, trace, t, v, ctx, pc - 1, T_SWITCH, x, 0, new)
                    m[ctx + C_PC] = pc
                    m[ctx + C_FRAME] = fp
                    m[ctx + C_MASK] = m[v + V_MASK]
                    m[ctx + C_ATOMIC] = m[v + V_ATOMIC]
                    m[ctx + C_MODE] = m[v + V_MODE]
                    m[ctx + C_VIRTUAL] = 0
                    ctx = new
                    m[v + V_CONTEXT] = ctx
                    m[ctx + C_VIRTUAL] = v
                    m[v + V_MASK] = m[ctx + C_MASK]
                    m[v + V_ATOMIC] = m[ctx + C_ATOMIC]
                    account(m, v, m[ctx + C_MODE], t)
                    pc = m[ctx + C_PC]
                    fp = m[ctx + C_FRAME]
                    if m[v + V_MASK] == 0:
                        stop = min(stop, m[v + V_NEXT])
            elif o == op.EXIT:
                m[ctx + C_DONE] = t
                m[H_LIVE] -= 1
                if m[H_LIVE] == 0:
                    reason = REASON_DONE
                    break
            elif o == op.GRANTED:
                m[fp + o1] = 1 if m[ctx + C_SLEEPS + W_LOCK] == 0 else 0
            elif o == op.FROM_USER:
                y = fp
                while m[y - 6] < 128 and m[y - 2]:
                    y = m[y - 2]
                m[fp + o1] = 1 if m[y - 6] & 127 == USER else 0
            elif o == op.HALT:
                m[v + V_MASK] = 0
                if tracing:
                    note(m, trace, t, v, ctx, pc - 1, T_HALT, 0, 0, 0)
                m[v + V_STATE] = HALTED
                if root == v:
                    account(m, v, IDLE, t)
                    base = t
                    t = INFINITY
                    break
                # the guest has nothing to do: its hypervisor takes the processor
                m[v + V_REMAINING] = -1
                m[ctx + C_PC] = pc
                m[ctx + C_FRAME] = fp
                leave_guest(m, code, v, root, t, EXIT_HALT)
                v = root
                ctx = m[v + V_CONTEXT]
                pc = m[ctx + C_PC]
                fp = m[ctx + C_FRAME]
                stop = -1
            elif o == op.SEND or o == op.SEND_INSTANCE:
                x = m[fp + o1]
                vector = m[fp + o2]
                k = m[v + V_INSTANCE]
                if o == op.SEND_INSTANCE:
                    if x < 0 or x >= m[H_INSTANCES]:
                        reason = REASON_RANGE
                        break
                    k = m[m[H_INSTANCE] + x]
                    x = m[fp + o2]
                    vector = m[fp + o3]
                if x < 0 or x >= m[k + I_CPUS] or vector < 0 or vector >= VECTORS:
                    reason = REASON_RANGE
                    break
                kind = T_SEND
                place = m[k + I_VIRTUAL] + x * VIRTUAL_WORDS
                offset = vector
                value = m[place + V_INDEX]
                raise_vector(m, place, vector, t + m[H_SIGNAL], t)
                stop = -1
            elif o == op.SET_TIMER:
                vector = m[fp + o1]
                if vector < 0 or vector >= VECTORS or m[fp + o2] < 0:
                    reason = REASON_RANGE
                    break
                m[v + V_DUE + vector] = t + m[fp + o2]
                kind = T_SEND
                place = v
                offset = vector
                value = m[v + V_INDEX]
                earliest(m, v)
                if m[v + V_MASK] == 0:
                    stop = min(stop, m[v + V_NEXT])
            elif o == op.REQUEST:
                k = m[fp + o1]
                x = m[fp + o3]
                y = m[v + V_INSTANCE]
                if k < 0 or k >= devices or x < 0 or x >= m[y + I_CPUS] or m[fp + o2] < 0:
                    reason = REASON_RANGE
                    break
                d = m[H_DEVICE] + k * DEVICE_WORDS
                if m[d + D_BUSY]:
                    reason = REASON_BUSY
                    break
                kind = T_SEND
                place = m[y + I_VIRTUAL] + x * VIRTUAL_WORDS
                offset = m[d + D_VECTOR]
                value = m[place + V_INDEX]
                m[d + D_TARGET] = place
                m[d + D_BUSY] = 1
                set_event(m, k, ((t + m[fp + o2]) << LEAF_BITS) | k)
                stop = -1
            elif o == op.NOW:
                m[fp + o1] = t
            elif o == op.SYSTEM_CALL:
                new = fp + o2
                hook = m[v + V_INSTANCE]
                if new + m[hook + I_ENTRY_FRAME] + MARGIN >= m[ctx + C_LIMIT]:
                    reason = REASON_STACK
                    break
                m[new - 1] = pc
                m[new - 2] = fp
                m[new - 3] = o3
                m[new - 4] = m[hook + I_ENTRY_FRAME]
                m[new - 5] = t + 1
                m[new - 6] = m[v + V_MODE] + 128
                kind = T_CALL
                place = m[new]
                value = m[v + V_MODE]
                fp = new
                pc = m[hook + I_ENTRY]
                account(m, v, KERNEL, t)
            elif o == op.RETURN_ENTRY:
                x = o1 if o2 else m[fp + o1]
                y = m[fp - 6]
                k = m[fp - 3]
                if y >= 256:
                    delay = m[fp - 5]
                    k = fp - FRAME_HEAD - INTERRUPT_WORDS
                    m[ctx + C_SPINS + W_GRANTED] = m[k]
                    m[ctx + C_SPINS + W_SINCE] = m[k + 1]
                    m[ctx + C_MODE] = m[k + 2]
                    m[v + V_MASK] -= 1
                    if m[v + V_MASK] == 0:
                        stop = min(stop, m[v + V_NEXT])
                    k = -1
                elif m[fp - 5] > 0 and 0 <= m[fp] and m[fp] < CALL_KINDS:
                    q = ctx + C_CALLS + m[fp] * CALL_COLUMNS
                    w = t + 1 - m[fp - 5]
                    m[q] += 1
                    m[q + 1] += w
                    m[q + 2] = max(w, m[q + 2])
                pc = m[fp - 1]
                fp = m[fp - 2]
                if k >= 0:
                    m[fp + k] = x
                account(m, v, y & 127, t)
                kind = T_RETURN if y >= 256 else T_CALL_END
                value = y & 127
            elif o == op.NEXT_OPERATION:
                x = m[ctx + C_WORK]
                if x < m[ctx + C_WORK_END]:
                    m[fp + o1] = work[x * columns]
                    m[ctx + C_WORK] = x + 1
                else:
                    m[fp + o1] = 0
            elif o == op.OPERAND:
                x = m[ctx + C_WORK] - 1
                y = m[fp + o2]
                if x < 0 or y < 0 or y >= columns:
                    reason = REASON_RANGE
                    break
                m[fp + o1] = work[x * columns + y]
            elif o == op.RUN:
                x = m[fp + o2]
                y = m[H_VIRTUAL] + x * VIRTUAL_WORDS
                if root != v or x < 0 or x >= m[H_VIRTUALS]:
                    reason = REASON_RANGE if root == v else REASON_ILLEGAL
                    break
                if m[y + V_STATE] != AWAY:
                    reason = REASON_RUNNING
                    break
                if tracing:
                    note(m, trace, t, v, ctx, pc - 1, T_RUN, y, 0, m[y + V_INDEX])
                m[ctx + C_PC] = pc
                m[ctx + C_FRAME] = fp
                m[ctx + C_MODE] = m[v + V_MODE]
                account(m, v, GUEST, t)
                v = y
                m[at + P_RUNS] = v
                m[v + V_PROCESSOR] = p
                ctx = m[v + V_CONTEXT]
                pc = m[ctx + C_PC]
                fp = m[ctx + C_FRAME]
                delay = m[v + V_REMAINING]
                stop = -1
                if delay < 0:
                    m[v + V_STATE] = HALTED
                    account(m, v, IDLE, t)
                    base = t
                    t = INFINITY
                    break
                m[v + V_STATE] = RUNNING
                account(m, v, m[ctx + C_MODE], t)
            elif o == op.GUEST_TIME:
                x = m[fp + o2]
                if x < 0 or x >= m[H_VIRTUALS]:
                    reason = REASON_RANGE
                    break
                m[fp + o1] = m[m[H_VIRTUAL] + x * VIRTUAL_WORDS + V_NEXT]
            elif o == op.TRAP:
                x = m[fp + o1]
                if root == v:
                    reason = REASON_ILLEGAL
                    break
                if tracing:
                    note(m, trace, t, v, ctx, pc - 1, T_TRAP, root, 0, m[root + V_INDEX])
                m[v + V_REMAINING] = 0
                m[ctx + C_PC] = pc
                m[ctx + C_FRAME] = fp
                leave_guest(m, code, v, root, t, x)
                v = root
                ctx = m[v + V_CONTEXT]
                pc = m[ctx + C_PC]
                fp = m[ctx + C_FRAME]
                stop = -1
            elif o == op.RCU_BEGIN:
                kind = T_RCU
            elif o == op.RCU_END:
                kind = T_RCU_END
            elif o == op.SECTION:
                kind = T_SECTION if o2 else T_SECTION_END
                place = o1
                offset = 0
            else:
                reason = REASON_ILLEGAL
                break
            if tracing and kind:
                note(m, trace, t, v, ctx, r // ROW, kind, place, offset, value)
                if also:
                    note(m, trace, t, v, ctx, r // ROW, also, place, offset, more)
            if line:
                delay += touch(m, line, p, write)
            base = t
            t += delay
            if t >= stop:
                if stop >= 0:
                    break
                # the instruction changed when something else is due
                stop = stop_at(m, leaf, v, root)
                if t >= stop:
                    break
        # the processor stops here: write its state back and find its next event
        m[ctx + C_PC] = pc
        m[ctx + C_FRAME] = fp
        t = min(t, INFINITY)
        m[v + V_TIME] = t
        when = t
        if m[v + V_MASK] == 0 and m[v + V_NEXT] < when:
            when = max(m[v + V_NEXT], base)
        if root != v and m[root + V_NEXT] < when:
            when = max(m[root + V_NEXT], base)
        set_event(m, leaf, (when << LEAF_BITS) | leaf)
        if reason >= 0 and reason != REASON_MEMORY and reason != REASON_TRACE:
            clock = t
            m[H_FAULT_PC] = r // ROW
            m[H_FAULT_VIRTUAL] = v
    m[H_TIME] = clock
    m[H_STEPS] += steps - polls
    if reason != REASON_BUDGET and reason != REASON_MEMORY and reason != REASON_TRACE:
        for k in range(m[H_VIRTUALS]):
            v = m[H_VIRTUAL] + k * VIRTUAL_WORDS
            account(m, v, m[v + V_MODE], clock)
    return reason
