"""The engine: executes a program on a simulated multiprocessor, one event at a time.

One function holds the loop and keeps the state of the processor that runs in local variables; what is long
or seldom executed it calls. It is long on purpose, and this file with it: an operation in a function of its
own would get those variables as arguments and hand them back, every time, and most operations are no more
than an addition or a comparison.

The engine never checks that a program is correct: with tracing on it writes down what happens, and
`lockscape.machine.faults` judges.

**Order of events.** Each physical processor and each device has one next event; a tree of winners gives the
earliest, by time, then devices before processors, then by number. An interrupt that is due at the same
time as the running code's next step comes first.
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.ahead import is_ahead, stay
from lockscape.machine.attempts import attempt, commit, look
from lockscape.machine.compiled import compiled, entry, variant, words
from lockscape.machine.events import LEAF_MASK, NEVER, account, raise_vector, set_event, stop_at
from lockscape.machine.frames import MARGIN, interrupt
from lockscape.machine.free_locks import acquire_ahead, clock_of, next_turn, release_ahead, stop_ahead
from lockscape.machine.guests import EXIT_INTERRUPT, leave_guest
from lockscape.machine.keyed import (
    ask,
    compare_and_swap,
    compare_and_swap2,
    find,
    insert,
    remove,
    search_cost,
    swap,
    to_tail,
)  # fmt: skip
from lockscape.machine.latency import called
from lockscape.machine.locking import WAITS, acquire, begin_retry, end_retry, grant, release, wait, wake_first
from lockscape.machine.looking import end_rest
from lockscape.machine.memory import touch
from lockscape.machine.seldom import seldom
from lockscape.machine.tracing import note, room
from lockscape.machine.waiters import give_way
from lockscape.program import opcodes as op
from lockscape.program.layout import OBJECT_WORDS, ROW

FREES = False
"""Whether a run has free locks: a constant where the loop is compiled, `run_free` is the other one."""


@compiled
def evaluate(o: int, x: int, y: int) -> int:
    """Return the result of an operation on bits or a comparison."""
    value = 0
    if o == op.AND:
        value = x & y
    elif o == op.OR:
        value = x | y
    elif o == op.SHL:
        value = x << y
    elif o == op.SHR:
        value = x >> y
    elif o == op.EQ:
        value = 1 if x == y else 0
    elif o == op.NE:
        value = 1 if x != y else 0
    elif o == op.LT:
        value = 1 if x < y else 0
    elif o == op.LE:
        value = 1 if x <= y else 0
    elif o == op.GT:
        value = 1 if x > y else 0
    else:
        value = 1 if x >= y else 0
    return value


@entry
def run(memory: Any, program: Any, workload: Any, columns: int, rows: Any, budget: int, until: int) -> int:
    """Execute until all processes are done or something stops it; return the reason (``REASON_…``).

    `memory`: the machine's. `program`: its rows, flat. `workload`: rows, `columns` each, flat. `rows`: of the
    trace, flat. `budget`: instructions to execute at most. `until`: time at which to stop. The call can be
    repeated: all state is in `memory`.
    """
    m = words(memory)
    code = words(program)
    work = words(workload)
    trace = words(rows)
    devices = m[at.H_DEVICES]
    tree = m[at.H_TREE]
    tracing = m[at.H_TRACE] != 0
    m[at.H_UNTIL] = until
    steps = 0
    reason = -1
    clock = m[at.H_TIME]
    r = 0
    while reason < 0:
        key = m[tree + 1]
        leaf = key & LEAF_MASK
        now = key >> at.LEAF_BITS
        if now >= at.INFINITY:
            reason = at.REASON_STUCK
            break
        if now >= until:
            reason = at.REASON_TIME
            clock = max(clock, until)
            break
        clock = now
        # instructions that may be executed before this is looked at again
        limit = min(budget, steps + room(m))
        if steps >= limit:
            reason = at.REASON_BUDGET if steps >= budget else at.REASON_TRACE
            break
        if leaf < devices:
            d = m[at.H_DEVICE] + leaf * at.DEVICE_WORDS
            m[d + at.D_BUSY] = 0
            set_event(m, leaf, NEVER)
            raise_vector(m, m[d + at.D_TARGET], m[d + at.D_VECTOR], now, now)
            continue
        p = leaf - devices
        processor = m[at.H_PROCESSOR] + p * at.PROCESSOR_WORDS
        v = m[processor + at.P_RUNS]
        root = m[processor + at.P_ROOT]
        if root != v and m[root + at.V_NEXT] <= now:
            # a physical interrupt: the virtual processor leaves to the hypervisor
            m[v + at.V_REMAINING] = max(m[v + at.V_TIME] - now, at.NONE)
            if m[v + at.V_STATE] == at.HALTED:
                m[v + at.V_REMAINING] = -1
            elif give_way(m, code, m[v + at.V_CONTEXT], now):
                m[v + at.V_REMAINING] = 0
            leave_guest(m, code, v, root, now, EXIT_INTERRUPT)
            v = root
        if m[v + at.V_LOOKS]:
            end_rest(m, v, now)
        due = m[v + at.V_MASK] == 0 and m[v + at.V_NEXT] <= now and m[v + at.V_NEXT] <= m[v + at.V_TIME]
        t = now
        if FREES:
            m[at.H_NOW] = now
            due = due and (is_ahead(m, v) == 0 or m[v + at.V_STATE] == at.SPINNING)
            if not due:
                t = clock_of(m, v, now)
        if due and m[v + at.V_TRY] != at.COMMITTING:
            reason = interrupt(m, code, trace, v, now)
            if reason >= 0:
                break
        ctx = m[v + at.V_CONTEXT]
        fp = m[ctx + at.C_FRAME]
        pc = m[ctx + at.C_PC]
        m[v + at.V_TIME] = t
        bit = 1 << (p >> m[at.H_SHARER_SHIFT])
        me = p + 1
        stop = stop_at(m, leaf, v, root)
        if FREES:
            stop = stop_ahead(m, v, now, stop)
        trying = m[v + at.V_TRY]
        base = t
        while steps < limit:
            r = pc * ROW
            o = code[r]
            o1 = code[r + 1]
            o2 = code[r + 2]
            o3 = code[r + 3]
            o4 = code[r + 4]
            steps += 1
            pc += 1
            # The order is by frequency, roughly: LLVM makes one table of jumps of the first forty.
            # Registers and jumps: no time, and nothing that others could see
            if o == op.SET:
                m[fp + o1] = o2
                continue
            if o == op.MOVE:
                m[fp + o1] = m[fp + o2]
                continue
            if o == op.JUMP:
                pc = o1
                continue
            if o == op.JUMP_ZERO:
                if m[fp + o1] == 0:
                    pc = o2
                continue
            if o == op.JUMP_NOT_ZERO:
                if m[fp + o1] != 0:
                    pc = o2
                continue
            if o == op.JUMP_EQ:
                if m[fp + o1] == (o3 if o4 else m[fp + o3]):
                    pc = o2
                continue
            if o == op.JUMP_NE:
                if m[fp + o1] != (o3 if o4 else m[fp + o3]):
                    pc = o2
                continue
            if o == op.JUMP_LT:
                if m[fp + o1] < (o3 if o4 else m[fp + o3]):
                    pc = o2
                continue
            if o == op.JUMP_GE:
                if m[fp + o1] >= (o3 if o4 else m[fp + o3]):
                    pc = o2
                continue
            if o == op.ADD:
                m[fp + o1] = m[fp + o2] + (o3 if o4 else m[fp + o3])
                continue
            if o == op.SUB:
                m[fp + o1] = m[fp + o2] - (o3 if o4 else m[fp + o3])
                continue
            if o == op.MUL:
                m[fp + o1] = m[fp + o2] * (o3 if o4 else m[fp + o3])
                continue
            if o == op.DIV:
                y = o3 if o4 else m[fp + o3]
                if y == 0:
                    reason = at.REASON_DIVISION
                    break
                m[fp + o1] = m[fp + o2] // y
                continue
            if o == op.MOD:
                y = o3 if o4 else m[fp + o3]
                if y == 0:
                    reason = at.REASON_DIVISION
                    break
                m[fp + o1] = m[fp + o2] % y
                continue
            if o == op.CURRENT:
                m[fp + o1] = m[ctx + at.C_PROCESS]
                continue
            if o == op.GRANTED:
                m[fp + o1] = 1 if m[ctx + at.C_SLEEPS + at.W_LOCK] == 0 else 0
                continue
            if o == op.GRANT:
                if m[fp + o1] <= 0:
                    reason = at.REASON_NULL
                    break
                if trying != at.TRYING:
                    grant(m, m[m[fp + o1] + OBJECT_WORDS])
                continue
            if o == op.THIS_CPU:
                m[fp + o1] = m[v + at.V_NUMBER]
                continue
            if o == op.THE:
                x = m[m[v + at.V_INSTANCE] + at.I_SLOT + o2]
                if o3 >= 0:
                    y = m[fp + o3]
                    if y < 0 or y >= m[x - 1]:
                        reason = at.REASON_RANGE
                        break
                    x += y * o4
                m[fp + o1] = x
                continue
            if o == op.CALL:
                new = fp + o2
                if new + o4 + MARGIN >= m[ctx + at.C_LIMIT]:
                    reason = at.REASON_STACK
                    break
                m[new - 1] = pc
                m[new - 2] = fp
                m[new - 3] = o3
                m[new - 4] = o4
                m[new - 6] = 0
                if code[r + 5] and m[new] > 0:
                    hook = o1 == m[m[v + at.V_INSTANCE] + at.I_WAKE]
                    if hook or code[r + 5] == op.WAKER:
                        called(m, v, fp, m[m[new] + OBJECT_WORDS], t)
                    if tracing and hook:
                        note(m, trace, t, v, r, at.T_WAKE, m[new], at.NONE, m[m[new] + OBJECT_WORDS])
                fp = new
                pc = o1
                continue
            if o == op.RETURN:
                x = o1 if o2 else m[fp + o1]
                if m[fp - 2] == 0:
                    reason = at.REASON_ILLEGAL  # a context has nothing below its first function
                    break
                pc = m[fp - 1]
                y = m[fp - 3]
                fp = m[fp - 2]
                if y >= 0:
                    m[fp + y] = x
                continue
            if o == op.OPERAND:
                x = m[ctx + at.C_WORK] - 1
                y = m[fp + o2]
                if x < 0 or y < 0 or y >= columns:
                    reason = at.REASON_RANGE
                    break
                m[fp + o1] = work[x * columns + y]
                continue
            # what the processor masks
            if o == op.MASK:
                m[v + at.V_MASK] += 1
                if tracing:
                    note(m, trace, t, v, r, at.T_MASK, at.NONE, at.NONE, m[v + at.V_MASK])
                continue
            if o == op.ATOMIC_BEGIN:
                m[v + at.V_ATOMIC] += 1
                if tracing:
                    note(m, trace, t, v, r, at.T_ATOMIC, at.NONE, at.NONE, m[v + at.V_ATOMIC])
                continue
            if o == op.ATOMIC_END:
                if m[v + at.V_ATOMIC] <= 0:
                    reason = at.REASON_UNBALANCED
                    break
                m[v + at.V_ATOMIC] -= 1
                if tracing:
                    note(m, trace, t, v, r, at.T_ATOMIC_END, at.NONE, at.NONE, m[v + at.V_ATOMIC])
                continue
            # what may take time
            if o == op.COMPUTE:
                delay = o1
            elif o == op.STORE:
                x = m[fp + o1]
                if x <= 0:
                    reason = at.REASON_NULL
                    break
                if trying:
                    if trying == at.TRYING:
                        continue
                    m[v + at.V_TRY_WORDS] += at.RACY_WORD if code[r + 5] == op.RACY else 1
                if tracing:
                    note(m, trace, t, v, r, at.T_WRITE, x, o2, code[r + 5])
                m[x + o2] = o3 if o4 else m[fp + o3]
                if m[x + 2] == me and m[x + 3] == bit:
                    continue
                delay = touch(m, x + 2, p, at.WRITES)
            elif o == op.COMPUTE_TIMES:
                delay = o1 * m[fp + o2]
                if delay < 0:
                    reason = at.REASON_RANGE
                    break
            elif o == op.LOAD:
                x = m[fp + o2]
                if x <= 0:
                    reason = at.REASON_NULL
                    break
                if tracing:
                    note(m, trace, t, v, r, at.T_READ, x, o3, o4)
                m[fp + o1] = m[x + o3]
                if m[x + 3] & bit:
                    continue
                delay = touch(m, x + 2, p, at.READS)
            elif o == op.ADD_FIELD:
                x = m[fp + o1]
                if x <= 0:
                    reason = at.REASON_NULL
                    break
                y = m[x + o2] + (o3 if o4 else m[fp + o3])
                if code[r + 5] >= 0:
                    m[fp + code[r + 5]] = y
                if trying:
                    if trying == at.TRYING:
                        continue
                    m[v + at.V_TRY_WORDS] += at.RACY_WORD if code[r + 7] == op.RACY else 1
                if tracing:
                    note(m, trace, t, v, r, at.T_WRITE, x, o2, code[r + 7])
                m[x + o2] = y
                delay = code[r + 6]
                if m[x + 2] != me or m[x + 3] != bit:
                    delay += touch(m, x + 2, p, at.WRITES)
            elif o == op.SEARCH_COST:
                delay = search_cost(m, code, r, fp)
            elif o == op.FIND:
                delay = find(m, code, trace, r, fp, v, p, t)
            elif trying == at.TRYING and (o == op.INSERT or o == op.REMOVE or o == op.TO_TAIL):
                delay = look(m, code, r, fp, p)
            elif o == op.INSERT:
                delay = insert(m, code, trace, r, fp, v, p, t)
            elif o == op.REMOVE:
                delay = remove(m, code, trace, r, fp, v, p, t)
            elif o == op.UNMASK:
                if m[v + at.V_MASK] <= 0:
                    reason = at.REASON_UNBALANCED
                    break
                m[v + at.V_MASK] -= 1
                if tracing:
                    note(m, trace, t, v, r, at.T_UNMASK, at.NONE, at.NONE, m[v + at.V_MASK])
                if m[v + at.V_MASK]:
                    continue
                stop = -1 if FREES else min(stop, m[v + at.V_NEXT])
                delay = 0
            elif o == op.ACQUIRE:
                if code[r + 6] >= 0 or FREES or m[at.H_LOOKER]:
                    stop = -1  # it may be released to others, others hurried, or look again
                if FREES:
                    delay = acquire_ahead(m, code, trace, r, fp, v, p, t)
                else:
                    delay = acquire(m, code, trace, r, fp, v, p, t)
                if delay == WAITS:
                    m[ctx + at.C_PC] = pc - 1
                    m[ctx + at.C_FRAME] = fp
                    delay = wait(m, code, trace, r, fp, v, p, t)
                    if m[v + at.V_LOOKS]:
                        stop = t  # it goes on only after others
                    pc = m[ctx + at.C_PC]
                    fp = m[ctx + at.C_FRAME]
            elif o == op.RELEASE:
                x = m[fp + o1] + o2
                if m[at.H_LOOKER] or (
                    m[x + at.L_FIRST] and m[m[at.H_LOCK] + o3 * at.ATTRIBUTE_WORDS + at.A_SLEEPS] == 0
                ):
                    stop = -1  # others go on
                if FREES:
                    stop = -1
                    delay = release_ahead(m, code, trace, r, fp, v, p, t)
                else:
                    delay = release(m, code, trace, r, fp, v, p, t)
            elif o == op.WAKE_WAITERS:
                x = m[fp + o1]
                if m[x + o2 + at.L_FIRST] == 0 or m[x + o2 + at.L_OWNER]:
                    continue
                m[ctx + at.C_PC] = pc
                m[ctx + at.C_FRAME] = fp
                if m[at.H_LOOKER]:
                    stop = -1
                delay = wake_first(m, code, trace, r, v, t, x)
                pc = m[ctx + at.C_PC]
                fp = m[ctx + at.C_FRAME]
            elif o == op.TO_TAIL:
                delay = to_tail(m, code, trace, r, fp, v, p, t)
            elif (
                o == op.POSITION
                or o == op.FIRST
                or o == op.AFTER
                or o == op.COUNT
                or o == op.FIRST_FREE
                or o == op.OLDEST
            ):
                delay = ask(m, code, trace, r, fp, v, p, t)
            elif o == op.COMPARE_AND_SWAP:
                delay = compare_and_swap(m, code, trace, r, fp, v, p, t)
            elif o == op.COMPARE_AND_SWAP2:
                delay = compare_and_swap2(m, code, trace, r, fp, v, p, t)
            elif o == op.SWAP:
                delay = swap(m, code, trace, r, fp, v, p, t)
            elif FREES and (o == op.EXIT or o == op.HALT or o == op.RUN or o == op.TRAP) and is_ahead(m, v):
                stay(m, v)
                pc -= 1
                steps -= 1
                base = t
                break
            elif o == op.HALT and root == v:
                m[v + at.V_MASK] = 0
                if tracing:
                    note(m, trace, t, v, r, at.T_HALT, at.NONE, at.NONE, at.NONE)
                m[v + at.V_STATE] = at.HALTED
                account(m, v, at.IDLE, t)
                base = t
                t = at.INFINITY
                break
            elif o == op.SEQ_BEGIN:
                m[ctx + at.C_PC] = pc
                if FREES:
                    stop = -1
                delay = begin_retry(m, code, trace, r, fp, v, p, t)
                pc = m[ctx + at.C_PC]
            elif o == op.SEQ_RETRY:
                m[ctx + at.C_PC] = pc
                delay = end_retry(m, code, trace, r, fp, v, p, t)
                pc = m[ctx + at.C_PC]
            elif o >= op.AND and o <= op.GE:
                m[fp + o1] = evaluate(o, m[fp + o2], o3 if o4 else m[fp + o3])
                continue
            elif o == op.ATTEMPT:
                delay = attempt(m, code, trace, r, fp, v, p, t)
                trying = m[v + at.V_TRY]
            elif o == op.COMMIT:
                m[ctx + at.C_PC] = pc
                if m[at.H_LOOKER]:
                    stop = -1
                delay = commit(m, code, trace, r, v, p, t)
                pc = m[ctx + at.C_PC]
                trying = m[v + at.V_TRY]
            elif o == op.REQUEST and trying == at.TRYING:
                continue
            elif o == op.NEXT_OPERATION:
                x = m[ctx + at.C_WORK]
                if x < m[ctx + at.C_WORK_END]:
                    m[fp + o1] = work[x * columns]
                    m[ctx + at.C_WORK] = x + 1
                else:
                    m[fp + o1] = 0
                continue
            elif o == op.RCU_BEGIN:
                if tracing:
                    note(m, trace, t, v, r, at.T_RCU, at.NONE, at.NONE, at.NONE)
                continue
            elif o == op.RCU_END:
                if tracing:
                    note(m, trace, t, v, r, at.T_RCU_END, at.NONE, at.NONE, at.NONE)
                continue
            elif o == op.SECTION:
                if tracing:
                    note(m, trace, t, v, r, at.T_SECTION if o2 else at.T_SECTION_END, o1, at.NONE, at.NONE)
                continue
            elif o == op.BARRIER:
                if tracing:
                    note(m, trace, t, v, r, at.T_BARRIER, at.NONE, at.NONE, at.NONE)
                continue
            elif o == op.PAUSE:
                delay = m[fp + o1]
                if delay < 0:
                    reason = at.REASON_RANGE
                    break
            else:
                m[ctx + at.C_PC] = pc
                m[ctx + at.C_FRAME] = fp
                delay = seldom(m, code, trace, r, fp, v, root, t)
                v = m[processor + at.P_RUNS]
                ctx = m[v + at.V_CONTEXT]
                pc = m[ctx + at.C_PC]
                fp = m[ctx + at.C_FRAME]
                trying = m[v + at.V_TRY]
                stop = -1
            if delay < 0:
                reason = -1 - delay
                if reason == at.REASON_MEMORY:  # it is executed again when there is more
                    pc -= 1
                    steps -= 1
                break
            base = t
            if trying == at.COMMITTING:
                # at one instant: its lines are paid at the end, and its words instead of atomic operations
                if o == op.INSERT or o == op.REMOVE or o == op.TO_TAIL:
                    m[v + at.V_TRY_WORDS] += 1
                if o == op.INSERT:
                    delay -= code[r + 7]
                elif o == op.REMOVE or o == op.ADD_FIELD:
                    delay -= code[r + 6]
                elif o != op.STORE and o != op.TO_TAIL:
                    delay = 0
                m[v + at.V_TRY_DEBT] += delay
                delay = 0
            t += delay
            if t >= stop:
                if stop >= 0:
                    break
                # the instruction changed when something else is due
                stop = stop_at(m, leaf, v, root)
                if FREES:
                    stop = stop_ahead(m, v, now, stop)
                if t >= stop:
                    break
        # the processor stops here: write its state back and find its next event
        m[ctx + at.C_PC] = pc
        m[ctx + at.C_FRAME] = fp
        t = min(t, at.INFINITY)
        m[v + at.V_TIME] = t
        when = t
        if m[v + at.V_MASK] == 0 and m[v + at.V_NEXT] < when:
            when = max(m[v + at.V_NEXT], base)
        if root != v and m[root + at.V_NEXT] < when:
            when = max(m[root + at.V_NEXT], base)
        if FREES:
            when = next_turn(m, v, now, t, when)
        set_event(m, leaf, (when << at.LEAF_BITS) | leaf)
        if reason >= 0 and reason != at.REASON_MEMORY:
            clock = t
            m[at.H_FAULT_PC] = r // ROW
            m[at.H_FAULT_VIRTUAL] = v
    m[at.H_TIME] = clock
    m[at.H_STEPS] += steps
    if reason != at.REASON_BUDGET and reason != at.REASON_MEMORY and reason != at.REASON_TRACE:
        for k in range(m[at.H_VIRTUALS]):
            v = m[at.H_VIRTUAL] + k * at.VIRTUAL_WORDS
            account(m, v, m[v + at.V_MODE], clock)
    return reason


run_free = entry(variant(run, "run_free", FREES=True))
"""`run` for machines with free locks (H_FREE is 1). Two functions, for the tests would slow the loop down."""
