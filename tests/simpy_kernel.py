"""An independent model of a ported kernel in SimPy: processors, processes, interrupts and locks in order of arrival.

Cache lines cost nothing here; everything else that takes time is modelled. The kernel's functions run as Python
generators (`simpy_kernel_source`) on Python objects (`simpy_kernel_objects`); ties at one time are broken as the
documentation of the machine says (`simpy_kernel_machine`).
"""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence

import simpy
from simpy.events import Event

from lockscape.kernel import objects as declared
from simpy_kernel_machine import (
    COMMITTING,
    DEVICE_FIRST,
    DEVICES,
    HANDLERS,
    TICK,
    TRYING,
    Abandoned,
    Due,
    Guard,
    Lock,
    Processor,
    Wait,
    ready,
)
from simpy_kernel_objects import ObjectOperations, Thing, classes, fresh_file_system, system_objects
from simpy_kernel_source import Generators, Rules


class Context(ObjectOperations):
    """A process as the machine sees it. Its methods are the operations of the language; those that take time
    are generators."""

    def __init__(self, kernel: "Kernel", me: Thing, masks: int, rows: Sequence[Sequence[int]] = ()) -> None:
        self.kernel, self.env, self.me, self.masks = kernel, kernel.env, me, masks
        self.kept = 0  # how often it is said that this processor keeps this process
        self.trying = self.open = self.words = 0
        self.wrote = self.requested = False
        self.versions: list[tuple[Lock, int]] = []
        self.rows = iter(rows)
        self.row: Sequence[int] = ()
        self.cpu: Processor
        self.wake = Event(self.env)
        self.waits: Wait | None = None
        self.asks: tuple[Lock, Wait] | None = None
        self.user = False
        self.from_user = [True]  # a new process goes to user mode
        self.end = -1
        self.process: simpy.Process

    # --- time and interrupts ----------------------------------------------------------------------------

    def compute(self, cycles: int, let_others: bool = False) -> Generator:
        """Compute; interrupts leave the rest for later. `let_others`: who is due now and comes first, does."""
        if self.trying == COMMITTING:
            return
        while cycles or let_others:
            let_others = False
            begin = self.env.now
            try:
                yield Due(self.env, cycles, self.cpu.priority)
                return
            except simpy.Interrupt:
                cycles -= self.env.now - begin
                abandoned, self.trying = self.trying, 0
                yield from self.interrupts()
                if abandoned:
                    raise Abandoned from None

    def interrupts(self) -> Generator:
        """Handle what is due."""
        while self.masks == 0 and (vector := self.cpu.next_vector()) >= 0:
            self.cpu.take(vector)
            self.masks = 1
            self.from_user.append(self.user)
            self.user = False
            yield from self.kernel.functions[HANDLERS[vector]](self)
            self.user = self.from_user.pop()
            self.masks -= 1

    def step(self, name: str, times: int = 1) -> Generator:
        yield from self.compute(self.kernel.costs[name] * times)

    def barrier(self) -> None:
        """Take no time: all is seen at once here."""

    def mask(self) -> None:
        self.masks += 1

    def unmask(self) -> Generator:
        self.masks -= 1
        yield from self.interrupts()

    def halt(self) -> Generator:
        self.masks = 0
        if self.cpu.next_vector() < 0:
            with contextlib.suppress(simpy.Interrupt):
                yield Event(self.env)
        yield from self.interrupts()

    def send(self, cpu: int, vector: int) -> Generator:
        self.kernel.cpus[cpu].raise_at(vector, self.kernel.signal_cycles)
        yield from self.compute(0, let_others=True)

    def request(self, device: int, cycles: int, cpu: int) -> Generator:
        if self.trying == TRYING:
            return
        done = Due(self.env, cycles, DEVICE_FIRST + device)
        done.callbacks.append(lambda _: self.kernel.cpus[cpu].raise_at(DEVICES[device], 0))
        self.requested = True
        yield from self.compute(0, let_others=True)

    def atomic_depth(self) -> int:
        return self.kept

    def interrupted_user(self) -> int:
        return int(self.from_user[-1])

    # --- locks ------------------------------------------------------------------------------------------

    def owner_of(self, lock: Lock) -> object:
        return self.cpu if lock.by_processor else self

    def cost(self, lock: Lock, operation: str) -> int:
        return self.kernel.costs[f"{lock.kind}_{operation}"]

    def acquire(self, lock: Lock, shared: bool = False) -> Generator:
        if lock.recursive and lock.owner is self.owner_of(lock):
            lock.depth += 1
        else:
            yield from self.obtain(lock, shared)
            self.kernel.taken[lock.name] = self.kernel.taken.get(lock.name, 0) + 1
            lock.sequence += not shared
        yield from self.compute(self.cost(lock, "acquire"))

    def obtain(self, lock: Lock, shared: bool) -> Generator:
        """Get a lock at once, or wait: spinning, or asleep by the kernel's own means."""
        while not lock.open_to(shared):
            wait = Wait(self, shared)
            lock.waiters.append(wait)
            if lock.sleeps:
                self.waits, self.asks = wait, (lock, wait)
                yield from self.kernel.functions["wait_for_lock"](self)
                self.asks = None
            else:
                try:
                    yield wait.event
                except simpy.Interrupt:
                    self.give_way(lock, wait)
                    yield from self.interrupts()
            if wait.given:
                return
        lock.give(self.owner_of(lock), shared)

    def holds(self, lock: Lock) -> bool:
        """Say whether a lock is held by more than being given to who sleeps for it."""
        given = self.asks is not None and self.asks[0] is lock and self.asks[1].given
        return lock.owner is self.owner_of(lock) and not given

    def give_way(self, lock: Lock, wait: Wait) -> None:
        """Let an interrupt come first: ask again afterwards, unless a fair lock has been given already."""
        if not wait.given:
            lock.waiters.remove(wait)
        elif not lock.fair:
            wait.given = False
            lock.take_back(wait.shared)
            self.hand_over(lock)

    def release(self, lock: Lock, shared: bool = False, depth: int = 1) -> Generator:
        if shared:
            lock.readers -= 1
        else:
            lock.depth -= depth
            if lock.depth == 0:
                lock.owner = None
                lock.sequence += 1
        if not lock.sleeps:
            self.hand_over(lock)
        yield from self.compute(self.cost(lock, "release"), let_others=True)
        yield from self.wake_waiters(lock)

    def wake_waiters(self, lock: Lock) -> Generator:
        """Wake who waits asleep for a lock that is free: the first one, or readers. A fair lock is theirs at once."""
        while lock.sleeps and lock.waiters and lock.free_for(lock.waiters[0].shared):
            wait = lock.waiters.popleft()
            wait.woken = True
            if lock.fair:
                wait.given = True
                lock.give(wait.context, wait.shared)
            yield from self.kernel.functions["wake"](self, wait.context.me)
            if not wait.shared:
                break

    def hand_over(self, lock: Lock) -> None:
        """Give a spin lock that is free to who has waited longest; if that reads, to all waiting readers."""
        if not lock.waiters or not lock.free_for(lock.waiters[0].shared):
            return
        shared = lock.waiters[0].shared
        chosen = [w for w in lock.waiters if w.shared] if shared else [lock.waiters[0]]
        for wait in chosen:
            lock.waiters.remove(wait)
            wait.given = True
            lock.give(wait.context.owner_of(lock), shared)
            self.env.schedule(ready(wait.event), wait.context.cpu.priority)

    def retake(self, lock: Lock, depth: int) -> Generator:
        """After a switch: have a lock as deep as before it; what the processor passed on may be let go."""
        if lock.by_processor and lock.owner is self.cpu:
            lock.depth = depth
            if depth == 0:
                lock.owner = None
                self.hand_over(lock)
                yield from self.compute(0, let_others=True)
        elif depth:
            yield from self.acquire(lock)
            lock.depth = depth

    def guard(self, number: int, local, given: bool) -> Guard:
        """Make the guard of a rule: of the object `local` if that is given, else as the rule says."""
        rule = {"mode": "exclusive", **self.kernel.rules.numbered[number]}
        if given or "lock" not in rule:
            return Guard(self, rule, local if given else None)
        if "of" not in rule:
            return Guard(self, rule, self.kernel.the[self.kernel.locks[rule["lock"]]["object"]][0])
        name, *fields = rule["of"].split(".")
        where = local[name]
        for field in fields:
            where = getattr(where, field)
        return Guard(self, rule, where)

    def granted(self) -> int:
        return int(self.waits is None)

    def grant(self, process: Thing) -> None:
        other = process.context
        if self.trying != TRYING and other is not None and other.waits is not None and other.waits.woken:
            other.waits = None

    # --- processes --------------------------------------------------------------------------------------

    def live(self, first: Callable[["Context"], Generator]) -> Generator:
        """Live: wait for a processor, then do what there is to do."""
        yield self.wake
        yield from first(self)

    def switch_to(self, process: Thing) -> Generator:
        other = process.context
        if other is self:
            return
        cpu, self.wake = self.cpu, Event(self.env)
        other.cpu, cpu.context = cpu, other
        del self.cpu  # of none until it is switched to again
        self.env.schedule(ready(other.wake), cpu.priority)
        with contextlib.suppress(simpy.Interrupt):
            yield self.wake
        yield from self.interrupts()

    def exit_process(self) -> Generator:
        self.end = self.env.now
        self.kernel.running -= 1
        if self.kernel.running == 0:
            self.kernel.done.succeed()
            yield Event(self.env)  # the run ends here, whatever could still be done at this time

    def spawn(self, process: Thing, rows: int) -> int:
        self.kernel.running += 1
        self.kernel.made.append(self.kernel.context(process, [next(self.rows) for _ in range(rows)]))
        return 1

    def pause(self, cycles: int) -> Generator:
        yield from self.compute(cycles)

    def current(self) -> Thing:
        return self.me

    def this_cpu(self) -> int:
        return self.cpu.number

    def cpus(self) -> int:
        return len(self.kernel.cpus)

    def now(self) -> int:
        return self.env.now

    # --- user mode --------------------------------------------------------------------------------------

    def next_operation(self) -> int:
        self.row = next(self.rows, ())
        return self.row[0] if self.row else 0

    def operand(self, column: int) -> int:
        return self.row[column]

    def system_call(self, *args: int) -> Generator:
        self.from_user.append(True)
        self.user = False
        result = yield from self.kernel.functions["system_call"](self, *args)
        self.from_user.pop()
        self.user = True
        return result


SEMAPHORES = {
    name: {"kind": "sema"}
    for name in ("i_sem", "i_zombie", "I_LOCK", "s_lock", "PG_locked", "pipe_sem", "sk_lock")
}
SEMAPHORES["mmap_sem"] = {"kind": "rwsem"}
"""Sleeping locks that the uniprocessor kernel has already."""


class Kernel:
    """A kernel with a plan on a machine, loaded with a stream of operations for each process.

    `costs`: cycles by name, of steps and of operations on locks. `tick_cycles` 0: no timer. `fair`: all locks go
    to who has waited longest; else whoever comes first has a sleeping lock, and who is interrupted loses its turn.
    """

    def __init__(
        self, plan: Mapping, options: Mapping[str, int], costs: Mapping[str, int], cpus: int, signal_cycles: int,
        streams: Sequence[Sequence[Sequence[int]]], together: bool = False, tick_cycles: int = 0, fair: bool = True, program: str = "postmark",
    ) -> None:  # fmt: skip
        self.env = simpy.Environment()
        self.options, self.costs, self.signal_cycles = options, costs, signal_cycles
        self.fair, self.program = fair, program
        self.rules = Rules(plan, options["preemptible"])
        self.functions = Generators(self.rules, options, Context)
        self.locks = SEMAPHORES | self.rules.locks
        self.atomic = set(plan.get("atomic", ()))
        self.cpus = [self.processor(number) for number in range(cpus)]
        queues = cpus if options["processor_queues"] else 1 + options["slave_queue"]
        self.classes = classes(self.rules.modules)
        self.the = system_objects(self.classes, cpus, queues, options["groups"])
        self.taken: dict[str, int] = {}
        self.over = False
        self.done = Event(self.env)
        self.processes = [self.process(number, rows) for number, rows in enumerate(streams)]
        self.running = len(self.processes)
        self.made: list[Context] = []
        self.the["Kernel"][0].processes = self.running
        fresh_file_system(self.classes, self.the, [x.me for x in self.processes], together)
        if options["flush_thread"]:
            self.flusher()
        for cpu in self.cpus:
            self.idle(cpu)
            cpu.period = tick_cycles
            if tick_cycles and not (options["boot_tick"] and cpu.number):
                cpu.raise_at(TICK, tick_cycles * (cpu.number + 1) // cpus)

    def make(self, cls: type) -> Thing:
        return Thing(self.classes[cls.__name__])

    def processor(self, number: int) -> Processor:
        return Processor(self.env, number)

    def lock(self, name: str, where: Thing) -> Lock:
        return where.locks.setdefault(name, Lock(name, self.locks[name], self.fair))

    def process(self, number: int, rows: Sequence[Sequence[int]]) -> Context:
        """Make a process that is runnable and has never run; it begins with interrupts masked, in a switch."""
        me = self.make(declared.Process)
        x = self.context(me, rows)
        queues = self.the["RunQueue"]
        me.cpu = number % len(queues) if self.options["processor_queues"] else 0
        queue = queues[me.cpu] if self.options["processor_queues"] else queues[-1]
        me.number, me.queued = number + 1, 1
        me.slice = me.weight = self.options["slice_ticks"]
        me.files, me.memory = self.make(declared.Files), self.make(declared.Memory)
        queue.tasks.insert(me, me)
        queue.length += 1
        me.waits, me.references = self.make(declared.WaitQueue), 2
        table = self.the["ProcessTable"][0]
        table.table.insert(number + 1, me)
        table.last = number + 1
        return x

    def context(self, me: Thing, rows: Sequence[Sequence[int]]) -> Context:
        """Make what a process is to the machine: it begins with interrupts masked, in a switch."""
        x = me.context = Context(self, me, 1, rows)
        x.process = self.env.process(x.live(self.begin))
        return x

    def begin(self, x: Context) -> Generator:
        yield from self.functions["start_process"](x, 0)
        x.from_user.pop()
        x.user = True
        yield from self.functions[self.program](x)

    def flusher(self) -> None:
        """Make the process that writes back; it sleeps until a tick wakes it."""
        me = self.the["Clock"][0].flusher = self.make(declared.Process)
        x = me.context = Context(self, me, 1)
        me.state = declared.BLOCKED
        me.slice = me.weight = self.options["slice_ticks"]
        x.process = self.env.process(x.live(self.functions["flush_thread"]))

    def idle(self, cpu: Processor) -> None:
        """Make the idle process of a processor, which runs there first and looks for another one at once."""
        me = self.make(declared.Process)
        x = me.context = cpu.context = Context(self, me, 0)
        me.cpu, me.running, me.slice = cpu.number, 1, -1
        x.cpu = cpu
        mine = self.the["Processor"][cpu.number]
        mine.idle, mine.need_resched = me, 1
        x.process = self.env.process(x.live(self.functions["cpu_idle"]))
        self.env.schedule(ready(x.wake), cpu.priority)

    def run(self) -> int:
        """Run until all processes have ended; return the makespan in cycles."""
        try:
            self.env.run(until=self.done)
        finally:
            self.over = True
        return max(x.end for x in (*self.processes, *self.made))
