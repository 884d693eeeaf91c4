"""Builds the machine's memory: instances, processors, contexts and system objects, before a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lockscape.errors import InputError
from lockscape.machine import layout as at
from lockscape.machine import memory
from lockscape.machine.compiled import PLAIN
from lockscape.machine.events import set_event
from lockscape.machine.objects import empty_collections, new_object
from lockscape.program.assemble import Binary, Program
from lockscape.program.layout import FRAME_HEAD, OBJECT_WORDS
from lockscape.program.objects import KINDS, Layout

Memory = NDArray[np.int64]
"""The machine's memory: words of 8 bytes."""

MOST_PROCESSORS = 1024
"""Physical ones."""

LARGE_WORDS = 1 << 19
"""From this size on, 4 MB, numpy asks for large pages: the program is read all over (fewer TLB misses)."""

_HASH_BITS = 17


@dataclass(frozen=True)
class Hardware:
    """What a machine costs, in cycles, and how many processors it has.

    `transfer`: a cache line comes from another processor; `memory`: from memory; `upgrade`: a shared line is
    written; `handover`: for each further waiter of a spin lock; `signal`: an interprocessor interrupt;
    `poll`: one look of a waiting loop. `nodes`: processors in one NUMA node, a power of two (0: all),
    `remote_percent`: a transfer between nodes, in percent of one within. `devices`: the interrupt vector that
    each device raises.
    """

    processors: int
    transfer: int
    memory: int
    upgrade: int
    handover: int
    signal: int
    poll: int = 50
    nodes: int = 0
    remote_percent: int = 100
    devices: tuple[int, ...] = (2,)

    def __post_init__(self) -> None:
        """Refuse impossible machines."""
        if not 1 <= self.processors <= MOST_PROCESSORS:
            raise InputError(f"{self.processors} processors: from 1 to {MOST_PROCESSORS}")
        for name in (
            "transfer",
            "memory",
            "upgrade",
            "handover",
            "signal",
            "poll",
            "nodes",
            "remote_percent",
        ):
            least = 1 if name == "poll" else 0
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: at least {least}")
        if self.nodes & (self.nodes - 1):
            raise InputError(f"{self.nodes} processors in a NUMA node: a power of two")
        for vector in self.devices:
            if not 0 <= vector < at.VECTORS:
                raise InputError(f"interrupt vector {vector}: from 0 to {at.VECTORS - 1}")


@dataclass(frozen=True)
class Instance:
    """A kernel instance: how many virtual processors it has and which functions the machine enters.

    `vectors`: handler of each interrupt vector; `quantities`: sizes of its tables of system objects;
    `native`: its virtual processors are the physical ones of the same number, from `first` on.
    `ticks`: how many it has in the time of one tick of the kernels. `messages`: vectors by which another
    instance asks it for something: no interrupts of devices, to which processes respond.
    """

    cpus: int
    entry: str
    vectors: Mapping[int, str]
    idle: str
    block: str
    wake: str
    quantities: Mapping[str, int] = field(default_factory=dict)
    native: bool = True
    first: int = 0
    ticks: int = 1
    tick_cycles: int = 0
    messages: tuple[int, ...] = ()


class State:
    """The memory of a machine that runs a program. Addresses are words of `m`."""

    def __init__(self, program: Program, binary: Binary, hardware: Hardware, instances: Sequence[Instance],
                 work: NDArray[np.int64], words: int = 1 << 20) -> None:  # fmt: skip
        self.program = program
        self.binary = binary
        self.hardware = hardware
        self.layouts: list[Layout] = [program.layouts[name] for name in binary.classes]
        self.work = np.ascontiguousarray(work, np.int64)
        self.code: Memory = np.zeros(max(binary.code.size, LARGE_WORDS), np.int64)
        self.code[: binary.code.size] = binary.code.ravel()
        self.m: Memory = np.zeros(words, np.int64)
        self.next = at.HEAD_WORDS
        self.instances: list[int] = []
        self.virtuals: list[int] = []
        self.contexts: list[int] = []
        self.processes = 0
        self.costs()
        self.events(sum(i.cpus for i in instances))
        self.locks()
        self.classes()
        self.m[at.H_CALLS] = self.take(at.CALL_KINDS * at.HISTOGRAM_WORDS)
        self.m[at.H_EVENTS] = self.take(2 * at.EVENT_KINDS * at.HISTOGRAM_WORDS)
        table = self.take(len(instances))
        self.m[at.H_INSTANCE], self.m[at.H_INSTANCES] = table, len(instances)
        for number, instance in enumerate(instances):
            self.m[table + number] = self.instance(number, instance)

    # --- tables -----------------------------------------------------------------------------------------

    def take(self, words: int) -> int:
        """Return the address of so many fresh words."""
        place = self.next
        self.next += words
        while self.next + 4096 > len(self.m):
            self.m = np.concatenate([self.m, np.zeros(len(self.m), np.int64)])
        self.m[at.H_BREAK] = self.next
        self.m[at.H_SIZE] = len(self.m) - 4096
        return place

    def costs(self) -> None:
        """Write the hardware's costs into the head."""
        h, m = self.hardware, self.m
        m[at.H_TRANSFER], m[at.H_MEMORY], m[at.H_UPGRADE] = h.transfer, h.memory, h.upgrade
        m[at.H_HANDOVER], m[at.H_SIGNAL], m[at.H_POLL] = h.handover, h.signal, h.poll
        m[at.H_SHARER_SHIFT] = max(0, (h.processors - 1).bit_length() - 5) if h.processors > 62 else 0
        m[at.H_NODE_SHIFT] = (h.nodes - 1).bit_length() if h.nodes else 20
        m[at.H_REMOTE] = h.remote_percent
        m[at.H_HASH_MASK] = (1 << _HASH_BITS) - 1
        m[at.H_HASH] = self.take(1 << _HASH_BITS)

    def events(self, virtuals: int) -> None:
        """Make the tree of events, devices and processors."""
        h = self.hardware
        leaves = 1
        devices = len(h.devices)
        while leaves < h.processors + devices:
            leaves *= 2
        tree = self.take(2 * leaves)
        device, processor = self.take(devices * at.DEVICE_WORDS), self.take(h.processors * at.PROCESSOR_WORDS)
        virtual = self.take(virtuals * at.VIRTUAL_WORDS)
        m = self.m
        m[tree : tree + 2 * leaves] = at.INFINITY << at.LEAF_BITS
        m[at.H_LEAVES], m[at.H_TREE], m[at.H_DEVICES], m[at.H_DEVICE] = leaves, tree, devices, device
        for number, vector in enumerate(h.devices):
            m[device + number * at.DEVICE_WORDS + at.D_VECTOR] = vector
        m[at.H_PROCESSORS], m[at.H_PROCESSOR] = h.processors, processor
        m[at.H_VIRTUALS], m[at.H_VIRTUAL] = virtuals, virtual

    def locks(self) -> None:
        """Write the attributes of the lock classes."""
        names = self.binary.locks
        self.m[at.H_LOCK] = self.take(max(1, len(names)) * at.ATTRIBUTE_WORDS)
        self.m[at.H_STATISTICS] = self.take(max(1, len(names)) * at.STATISTIC_WORDS)
        for number, name in enumerate(names):
            lock = self.program.locks[name]
            a = self.m[at.H_LOCK] + number * at.ATTRIBUTE_WORDS
            self.m[a + at.A_READERS] = lock.has_readers
            self.m[a + at.A_SLEEPS] = lock.sleeps
            self.m[a + at.A_SPIN] = lock.spin_cycles
            self.m[a + at.A_RECURSIVE] = lock.recursive
            self.m[a + at.A_PROCESSOR] = lock.owner == "processor"
            self.m[a + at.A_FAIR] = lock.fair
            self.m[a + at.A_SEQUENCE] = lock.kind == "seqlock"
            self.m[a + at.A_FREE] = lock.free
            self.m[at.H_FREE] |= lock.free

    def classes(self) -> None:
        """Write size and template of each class of objects."""
        self.m[at.H_CLASS] = self.take(len(self.layouts) * at.CLASS_WORDS)
        for number, shape in enumerate(self.layouts):
            k = int(self.m[at.H_CLASS]) + number * at.CLASS_WORDS
            words = max(shape.words, OBJECT_WORDS + 1)
            self.m[k + at.K_TABLE] = int(bool(shape.count))
            template = self.take(words)
            first = OBJECT_WORDS + len(shape.fields)
            self.m[k + at.K_WORDS], self.m[k + at.K_TEMPLATE] = words, template
            self.m[k + at.K_COLLECTIONS] = (len(shape.collections) << 16) | first
            for name, offset in shape.collections.items():
                kind = shape.kinds[name]
                self.m[template + offset + at.S_KIND] = KINDS.index(kind.kind)
                self.m[template + offset + at.S_CAPACITY] = kind.slots
                self.m[template + offset + at.S_PARAMETER] = kind.buckets if kind.kind == "hashed" else 0

    # --- instances --------------------------------------------------------------------------------------

    def instance(self, number: int, spec: Instance) -> int:
        """Make a kernel instance with its virtual processors and system objects; return its address."""
        place = self.take(at.I_SLOT + len(self.layouts))
        self.instances.append(place)
        m, starts, frames = self.m, self.binary.starts, self.binary.frames
        m[place + at.I_CPUS], m[place + at.I_NUMBER] = spec.cpus, number
        for word, name in ((at.I_BLOCK, spec.block), (at.I_WAKE, spec.wake), (at.I_ENTRY, spec.entry)):
            m[place + word], m[place + word + 1] = starts[name], frames[name]
        m[place + at.I_MESSAGES] = sum(1 << vector for vector in spec.messages)
        m[place + at.I_VECTOR : place + at.I_SLOT : 2] = -1
        for vector, name in spec.vectors.items():
            word = place + at.I_VECTOR + 2 * vector
            m[word], m[word + 1] = starts[name], frames[name]
        for slot, shape in enumerate(self.layouts):
            if shape.count:
                size = (
                    spec.quantities.get(shape.count, spec.cpus)
                    if not shape.count.isdigit()
                    else int(shape.count)
                )
                self.m[place + at.I_SLOT + slot] = self.table(slot, shape, size)
        self.m[place + at.I_VIRTUAL] = self.m[at.H_VIRTUAL] + len(self.virtuals) * at.VIRTUAL_WORDS
        for cpu in range(spec.cpus):
            self.virtual(place, spec, cpu)
        return place

    def table(self, slot: int, shape: Layout, size: int) -> int:
        """Make a table of system objects."""
        place = self.take(size * shape.words + 1) + 1
        self.m[place - 1] = size
        k = int(self.m[at.H_CLASS]) + slot * at.CLASS_WORDS
        template = int(self.m[k + at.K_TEMPLATE])
        for number in range(size):
            here = place + number * shape.words
            self.m[here : here + shape.words] = self.m[template : template + shape.words]
            self.m[here], self.m[here + 1] = slot, 1
        return place

    def virtual(self, instance: int, spec: Instance, cpu: int) -> None:
        """Make a virtual processor with its idle context."""
        index = len(self.virtuals)
        v = int(self.m[at.H_VIRTUAL]) + index * at.VIRTUAL_WORDS
        self.virtuals.append(v)
        m = self.m
        m[v + at.V_DUE : v + at.V_DUE + at.VECTORS] = at.INFINITY
        m[v + at.V_NEXT] = at.INFINITY
        m[v + at.V_INSTANCE], m[v + at.V_NUMBER], m[v + at.V_INDEX] = instance, cpu, index
        m[v + at.V_MODE], m[v + at.V_PROCESSOR], m[v + at.V_STATE] = at.STOLEN, -1, at.AWAY
        if spec.tick_cycles:
            phase = spec.tick_cycles * (cpu + 1) // spec.cpus
            m[v + at.V_PERIOD], m[v + at.V_DUE], m[v + at.V_NEXT] = spec.tick_cycles, phase, phase
        if spec.native:
            p = spec.first + cpu
            if p >= self.hardware.processors:
                raise InputError(f"virtual processor {index} needs physical processor {p}: the machine has "
                                 f"{self.hardware.processors}")  # fmt: skip
            word = int(m[at.H_PROCESSOR]) + p * at.PROCESSOR_WORDS
            m[word + at.P_RUNS] = m[word + at.P_ROOT] = v
            m[v + at.V_PROCESSOR], m[v + at.V_STATE], m[v + at.V_MODE] = p, at.RUNNING, at.KERNEL
            set_event(m, p + int(m[at.H_DEVICES]), p + int(m[at.H_DEVICES]))
        ctx = self.context(self.idle_process(), spec.idle, "", at.KERNEL)
        self.m[ctx + at.C_VIRTUAL] = v
        self.m[v + at.V_CONTEXT] = ctx

    def idle_process(self) -> int:
        """Make the process object of an idle context; kernels keep it in their table of processors."""
        return self.new("Process") if "Process" in self.binary.classes else 0

    # --- objects ----------------------------------------------------------------------------------------

    def new(self, cls: str) -> int:
        """Make an object."""
        number = self.binary.classes.index(cls)
        self.reserve(self.layouts[number].words)
        place = int(new_object(self.m, self.instances[0], number))
        self.next = int(self.m[at.H_BREAK])
        return place

    def free(self, place: int) -> None:
        """Give the nodes of an object's collections back (the object itself stays)."""
        empty_collections(self.m, place)

    def reserve(self, words: int) -> None:
        """Make sure that so many fresh words can be taken."""
        while self.next + words + 8192 > len(self.m):
            self.m = np.concatenate([self.m, np.zeros(len(self.m), np.int64)])
        self.m[at.H_SIZE] = len(self.m) - 4096

    def class_of(self, place: int) -> Layout:
        """Return the layout of an object."""
        return self.layouts[int(self.m[place])]

    def get(self, place: int, name: str) -> int:
        """Return a field of an object."""
        return int(self.m[place + self.class_of(place).fields[name]])

    def set(self, place: int, **values: int) -> None:
        """Set fields of an object."""
        for name, value in values.items():
            self.m[place + self.class_of(place).fields[name]] = value

    def insert(self, place: int, collection: str, key: int, value: int) -> None:
        """Put a key into a collection of an object."""
        owner = place + self.class_of(place).collections[collection]
        self.reserve(int(memory.room_needed(self.m, owner)))
        memory.insert_key(self.m, owner, key, value)
        self.next = int(self.m[at.H_BREAK])

    def items(self, place: int, collection: str) -> list[tuple[int, int]]:
        """Return (key, value) of a collection in its order; the set bits of a bitmap with value 1."""
        owner = place + self.class_of(place).collections[collection]
        m = self.m
        if m[owner + at.S_KIND] == at.BITMAP:
            return [(k, 1) for k in self.bits(place, collection).tolist()]
        found = []
        node = int(m[owner + at.S_FIRST])
        while node:
            found.append((int(m[node + at.N_KEY]), int(m[node + at.N_VALUE])))
            node = int(m[node + at.N_NEXT])
        return found

    def bits(self, place: int, bitmap: str) -> Memory:
        """Return the numbers of the set bits of a bitmap."""
        owner = place + self.class_of(place).collections[bitmap]
        region, slots = int(self.m[owner + at.S_REGION]), int(self.m[owner + at.S_CAPACITY])
        if region == 0:
            return np.zeros(0, np.int64)
        words = self.m[region : region + (slots + memory.BITS_PER_WORD - 1) // memory.BITS_PER_WORD]
        return np.flatnonzero((words[:, np.newaxis] >> np.arange(memory.BITS_PER_WORD)) & 1)

    def system(self, cls: str, number: int = 0, instance: int = 0) -> int:
        """Return the address of a system object."""
        slot = self.binary.classes.index(cls)
        return int(self.m[self.instances[instance] + at.I_SLOT + slot]) + number * self.layouts[slot].words

    def rests(self, v: int) -> bool:
        """Return whether a virtual processor halts, on a physical one or off it."""
        halts = self.m[v + at.V_STATE] == at.HALTED
        return bool(halts or (self.m[v + at.V_STATE] == at.AWAY and self.m[v + at.V_REMAINING] < 0))

    # --- contexts ---------------------------------------------------------------------------------------

    def context(self, process: int, first: str, main: str, mode: int, rows: tuple[int, int] = (0, 0),
                masks: int = 0) -> int:  # fmt: skip
        """Make a context that starts in the function `first`, below which lies `main` in user mode, if any.

        `process` is its process object, whose first field becomes the context's address. `rows`: the part
        of the workload that it fetches, as a range of rows. `masks`: how often interrupts are masked when it
        starts; a kernel that switches with interrupts off has a new process end that, too.
        """
        place = self.take(at.CONTEXT_WORDS)
        m = self.m
        m[place + at.C_LIMIT] = place + at.CONTEXT_WORDS
        m[place + at.C_PROCESS], m[place + at.C_MODE] = process, mode
        m[place + at.C_WORK], m[place + at.C_WORK_END] = rows
        m[place + at.C_MASK] = masks
        for wait in (at.C_SPINS, at.C_SLEEPS):
            m[place + wait + at.W_CONTEXT] = place
        frame = place + at.C_STACK + FRAME_HEAD
        m[frame - 3], m[frame - 6] = -1, mode
        starts, frames = self.binary.starts, self.binary.frames
        if main:
            m[frame - 4] = frames[main]
            below, frame = frame, frame + frames[main] + FRAME_HEAD
            m[frame - 1], m[frame - 2], m[frame - 3], m[frame - 6] = starts[main], below, -1, 128 + at.USER
        m[frame - 4] = frames[first]
        m[place + at.C_PC], m[place + at.C_FRAME] = starts[first], frame
        if process:
            m[process + OBJECT_WORDS] = place
        self.contexts.append(place)
        return place

    def spare_contexts(self, instance: int, count: int, first: str, main: str, masks: int) -> list[int]:
        """Make contexts for processes that are made in the run; they begin as `context` says. Return them."""
        if not count:
            return []
        place = self.instances[instance]
        made = [self.context(0, first, main, at.KERNEL, masks=masks) for _ in range(count + 1)]
        self.m[place + at.I_TEMPLATE], self.m[place + at.I_SPARE] = made[:2]
        for one, following in zip(made[1:], [*made[2:], 0], strict=True):
            self.m[one + at.C_SPARE] = following
        return made[1:]

    def counted(self, place: int) -> None:
        """Say that the run ends when this context, and all others so marked, are done."""
        self.m[at.H_LIVE] += 1
        self.processes += 1

    def flat(self) -> tuple[object, object, object]:
        """Return memory, code and workload as the engine takes them: lists when it runs as plain Python."""
        if PLAIN:
            return self.m.tolist(), self.binary.code.ravel().tolist(), self.work.ravel().tolist()
        return self.m, self.code, self.work.ravel()
