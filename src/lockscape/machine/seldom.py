"""Instructions that are executed seldom, or that change which context, frame or processor goes on.

Each returns the cycles that it takes, or -1 - reason. `r` is the address of the instruction's row, `fp` of
the running function's registers, `v` of the virtual processor, `root` of the one that owns the physical
processor, `t` the time. The running context's next row and frame are in its memory (C_PC, C_FRAME).
"""

from typing import Any

from lockscape.machine import layout as at
from lockscape.machine.compiled import compiled
from lockscape.machine.events import earliest, raise_vector, set_event
from lockscape.machine.frames import entered_from_user, return_from_entry, system_call
from lockscape.machine.guests import halt, run_guest, switch, trap
from lockscape.machine.objects import free, make
from lockscape.machine.spawning import spawn
from lockscape.machine.tracing import note
from lockscape.program import opcodes as op

ILLEGAL = -1 - at.REASON_ILLEGAL
"""What an operation returns that the machine does not have."""
RANGE = -1 - at.REASON_RANGE
"""What it returns of a number outside of its range."""


@compiled
def seldom(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, root: int, t: int) -> int:
    """Execute an instruction that the engine's loop does not execute itself."""
    o = code[r]
    o1 = code[r + 1]
    o2 = code[r + 2]
    delay = 0
    if o == op.SYSTEM_CALL:
        delay = system_call(m, code, trace, r, v, t)
    elif o == op.RETURN_ENTRY:
        delay = return_from_entry(m, code, trace, r, v, t)
    elif o == op.SWITCH:
        delay = switch(m, trace, r, v, t, m[fp + o1])
    elif o == op.HALT:
        delay = halt(m, code, trace, r, v, root, t)
    elif o == op.RUN:
        delay = run_guest(m, trace, r, v, root, t, m[fp + o2])
    elif o == op.TRAP:
        delay = trap(m, code, trace, r, v, root, t, m[fp + o1])
    elif o == op.EXIT:
        m[m[v + at.V_CONTEXT] + at.C_DONE] = t
        m[at.H_LIVE] -= 1
        delay = 0 if m[at.H_LIVE] else -1 - at.REASON_DONE
    else:
        delay = other(m, code, trace, r, fp, v, t)
    return delay


@compiled
def other(m: Any, code: Any, trace: Any, r: int, fp: int, v: int, t: int) -> int:
    """Execute an instruction after which the same context goes on with its next row."""
    o = code[r]
    o1 = code[r + 1]
    o2 = code[r + 2]
    delay = 0
    if o == op.NEW:
        delay = make(m, trace, r, fp, v, t, o1, o2)
    elif o == op.FREE:
        delay = free(m, trace, r, v, t, m[fp + o1])
    elif o == op.SEND:
        delay = send(m, trace, r, v, t, m[v + at.V_INSTANCE], m[fp + o1], m[fp + o2])
    elif o == op.SEND_INSTANCE:
        if m[fp + o1] < 0 or m[fp + o1] >= m[at.H_INSTANCES]:
            return RANGE
        instance = m[m[at.H_INSTANCE] + m[fp + o1]]
        delay = send(m, trace, r, v, t, instance, m[fp + o2], m[fp + code[r + 3]])
    elif o == op.SET_TIMER:
        delay = set_timer(m, trace, r, v, t, m[fp + o1], m[fp + o2])
    elif o == op.REQUEST:
        delay = request(m, trace, r, v, t, m[fp + o1], m[fp + o2], m[fp + code[r + 3]])
    elif o == op.SPAWN:
        made = spawn(m, trace, r, v, t, m[fp + o2], m[fp + code[r + 3]])
        m[fp + o1] = made
        delay = min(made, 0)
    elif o == op.THE_OF:
        delay = object_of(m, code, r, fp)
    else:
        delay = inform(m, code, r, fp, v, t)
    return delay


@compiled
def inform(m: Any, code: Any, r: int, fp: int, v: int, t: int) -> int:
    """Tell something of the processor, its instance or its context."""
    o = code[r]
    known = 0
    if o == op.ATOMIC_DEPTH:
        known = m[v + at.V_ATOMIC]
    elif o == op.CPUS:
        known = m[m[v + at.V_INSTANCE] + at.I_CPUS]
    elif o == op.INSTANCE:
        known = m[m[v + at.V_INSTANCE] + at.I_NUMBER]
    elif o == op.FROM_USER:
        known = entered_from_user(m, fp)
    elif o == op.NOW:
        known = t
    elif o == op.GUEST_TIME:
        number = m[fp + code[r + 2]]
        if number < 0 or number >= m[at.H_VIRTUALS]:
            return RANGE
        known = m[m[at.H_VIRTUAL] + number * at.VIRTUAL_WORDS + at.V_NEXT]
    else:
        return ILLEGAL
    m[fp + code[r + 1]] = known
    return 0


@compiled
def object_of(m: Any, code: Any, r: int, fp: int) -> int:
    """Give the address of a system object of another instance."""
    instance = m[fp + code[r + 3]]
    number = m[fp + code[r + 5]]
    if instance < 0 or instance >= m[at.H_INSTANCES]:
        return RANGE
    place = m[m[m[at.H_INSTANCE] + instance] + at.I_SLOT + code[r + 2]]
    if number < 0 or number >= m[place - 1]:
        return RANGE
    m[fp + code[r + 1]] = place + number * code[r + 4]
    return 0


@compiled
def send(m: Any, trace: Any, r: int, v: int, t: int, instance: int, cpu: int, vector: int) -> int:
    """Interrupt a processor of an instance."""
    if cpu < 0 or cpu >= m[instance + at.I_CPUS] or vector < 0 or vector >= at.VECTORS:
        return RANGE
    target = m[instance + at.I_VIRTUAL] + cpu * at.VIRTUAL_WORDS
    raise_vector(m, target, vector, t + m[at.H_SIGNAL], t)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SEND, target, vector, m[target + at.V_INDEX])
    return 0


@compiled
def set_timer(m: Any, trace: Any, r: int, v: int, t: int, vector: int, cycles: int) -> int:
    """Interrupt this processor after so many cycles."""
    if vector < 0 or vector >= at.VECTORS or cycles < 0:
        return RANGE
    m[v + at.V_DUE + vector] = t + cycles
    earliest(m, v)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SEND, v, vector, m[v + at.V_INDEX])
    return 0


@compiled
def request(m: Any, trace: Any, r: int, v: int, t: int, number: int, cycles: int, cpu: int) -> int:
    """Ask a device for service, after which it interrupts a processor."""
    instance = m[v + at.V_INSTANCE]
    if number < 0 or number >= m[at.H_DEVICES] or cpu < 0 or cpu >= m[instance + at.I_CPUS] or cycles < 0:
        return RANGE
    device = m[at.H_DEVICE] + number * at.DEVICE_WORDS
    if m[device + at.D_BUSY]:
        return -1 - at.REASON_BUSY
    target = m[instance + at.I_VIRTUAL] + cpu * at.VIRTUAL_WORDS
    m[device + at.D_TARGET] = target
    m[device + at.D_BUSY] = 1
    set_event(m, number, ((t + cycles) << at.LEAF_BITS) | number)
    if m[at.H_TRACE]:
        note(m, trace, t, v, r, at.T_SEND, target, m[device + at.D_VECTOR], m[target + at.V_INDEX])
    return 0
