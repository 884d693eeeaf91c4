"""Operations of the binary form. A row is (operation, a, b, c, d, e, f, g); registers are numbers of words.

`rd` is the register that takes the result; a *value* is a register, or the integer itself where the row
says *immediate*.
"""

COMPUTE = 0  #: a: cycles
COMPUTE_TIMES = 1  #: a: cycles each, b: register of how often
PAUSE = 2  #: a: register of cycles
SET = 3  #: a: rd, b: integer
MOVE = 4  #: a: rd, b: register
ADD = 5  #: arithmetic and comparisons: a: rd, b: register, c: value, d: c is immediate
SUB = 6  #: as ADD
MUL = 7  #: as ADD
DIV = 8  #: as ADD, rounded down
MOD = 9  #: as ADD
AND = 10  #: as ADD, of bits
OR = 11  #: as ADD, of bits
SHL = 12  #: as ADD
SHR = 13  #: as ADD
EQ = 14  #: as ADD: 1 or 0
NE = 15  #: as EQ
LT = 16  #: as EQ
LE = 17  #: as EQ
GT = 18  #: as EQ
GE = 19  #: as EQ
JUMP = 20  #: a: target
JUMP_ZERO = 21  #: a: register, b: target
JUMP_NOT_ZERO = 22  #: as JUMP_ZERO
JUMP_EQ = 23  #: a: register, b: target, c: value, d: c is immediate
JUMP_NE = 24  #: as JUMP_EQ
JUMP_LT = 25  #: as JUMP_EQ
JUMP_GE = 26  #: as JUMP_EQ
#: a: rd, b: register of the object, c: offset, d: how it is accessed, e: ADDED_TO or 0, see COMPARE_AND_SWAP
LOAD = 27
STORE = 28  #: a: register of the object, b: offset, c: value, d: c is immediate, e: how it is accessed
ADD_FIELD = 29  #: a: object, b: offset, c: value, d: c is immediate, e: rd or -1, f: cycles, g: how
CALL = 30  #: a: target, b: distance of the new frame, c: rd or -1, d: its size, e: HOOK, WAKER or 0
RETURN = 31  #: a: value, b: 0 register, 1 immediate
THE = 32  #: a: rd, b: slot of the class, c: register of the number or -1, d: words of one
NEW = 33  #: a: rd, b: class number
FREE = 34  #: a: register
#: a: object, b: offset, c: key or goal, d: start (registers or -1), e: base, f: each, g: what
SEARCH_COST = 35
FIND = 36  #: a: rd, b: object, c: offset, d: register of the key, e: how
POSITION = 37  #: as FIND
INSERT = 38  #: a: object, b: offset, c: register of the key, d: of the value, e: how, f: rd or -1, g: cycles
REMOVE = 39  #: a: rd or -1, b: object, c: offset, d: register of the key, e: how, f: cycles
TO_TAIL = 40  #: a: object, b: offset, c: register of the key, e: how
FIRST = 41  #: a: rd, b: object, c: offset, e: how
AFTER = 42  #: a: rd, b: object, c: offset, d: register of the key, e: how
COUNT = 43  #: a: rd, b: object, c: offset, e: how
FIRST_FREE = 44  #: a: rd, b: object, c: offset, d: register of the goal, e: how
#: a: rd, b: object, c: offset, d: old, e: new (registers), f: cycles, g: old is ADDED_TO, SEEN, or 0
COMPARE_AND_SWAP = 45
#: a: rd, b: first of six registers (object, old, new, twice), c, d: offsets, f: cycles, g: as above
COMPARE_AND_SWAP2 = 46
SWAP = 47  #: a: rd, b: object, c: offset, d: register of the new value, f: cycles
#: a: object, b: offset of the lock, c: lock class, d: 1 shared, e: cycles, f: register of depth or -1,
#: g: 0 waits; else 1 + the register that takes 1 + the holder's processor instead
ACQUIRE = 48
RELEASE = 49  #: a: object, b: offset, c: lock class, d: 1 shared, e: cycles, f: register for the depth or -1
WAKE_WAITERS = 50  #: a: object, b: offset, c: lock class
SEQ_BEGIN = 51  #: a: rd, b: object, c: offset, d: lock class
SEQ_RETRY = 52  #: a: register, b: object, c: offset, d: lock class, e: target
MASK = 53  #: interrupts off
UNMASK = 54  #: interrupts on
ATOMIC_BEGIN = 55  #: preemption off
ATOMIC_END = 56  #: preemption as before
ATOMIC_DEPTH = 57  #: a: rd
CURRENT = 58  #: a: rd
THIS_CPU = 59  #: a: rd
CPUS = 60  #: a: rd
INSTANCE = 61  #: a: rd
THE_OF = 62  #: a: rd, b: slot, c: register of the instance, d: words, e: register of the number
SWITCH = 63  #: a: register of the process
EXIT = 64  #: the process ends
GRANTED = 65  #: a: rd
FROM_USER = 66  #: a: rd
HALT = 67  #: until an interrupt
SEND = 68  #: a: register of the processor, b: register of the vector
SEND_INSTANCE = 69  #: a: instance, b: processor, c: vector (registers)
SET_TIMER = 70  #: a: vector, b: cycles (registers)
REQUEST = 71  #: a: device, b: cycles, c: processor (registers)
NOW = 72  #: a: rd
SYSTEM_CALL = 73  #: a: register of the number, b: distance of the new frame, c: rd or -1
NEXT_OPERATION = 74  #: a: rd
OPERAND = 75  #: a: rd, b: register of the column
RUN = 76  #: a: rd, b: register of the virtual processor
GUEST_TIME = 77  #: a: rd, b: register of the virtual processor
RCU_BEGIN = 78  #: of a reader
RCU_END = 79  #: of a reader
SECTION = 80  #: a: number of the section, b: 1 begins, 0 ends
RETURN_ENTRY = 81  #: a: value, b: 1 immediate; back to what was interrupted or to user mode
TRAP = 82  #: a: register of the reason: a virtual processor leaves to its hypervisor
OLDEST = 83  #: a: rd, b: object, c: offset, e: how
ATTEMPT = 84  #: a: object, b: offset of the version, c: lock class
COMMIT = 85  #: a: cycles of a compare-and-swap, b: of a double one, -1 without
SPAWN = 86  #: a: rd, b: register of the process, c: of how many rows of the workload
BARRIER = 87  #: for the fault detector: what was written before is seen before what is written after
GRANT = 88  #: a: register of the process

EXCLUSIVE, ATOMIC, RACY, OPTIMISTIC = range(4)
"""How an access is made, for the fault detector."""

ADDED_TO, SEEN = 1, 2
"""What the old value of a compare-and-swap is, for the fault detector: used for nothing but the addition, or
what a variable has; 0 is any other."""

HOOK, WAKER = 1, 2
"""Roles of called functions that the machine looks at."""
