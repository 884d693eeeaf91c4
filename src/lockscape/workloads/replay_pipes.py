"""Pipes of a replay: which transfers can be made so that nobody waits for ever, whoever is quicker.

Where one process after the other writes to a pipe, and one after the other reads from it, an operation that
can go on can still do so after whatever others do. So if one order of all operations comes to the end, every
order does. One is looked for, with the smallest buffer that a simulated pipe has; what is stuck there is left
out, and the search begins again.

Several may write at once to a pipe that drains: whose only reader waits for nothing but that, and is made
without a wait. However they fill it, it is emptied, and none of them waits there for ever.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from lockscape.kernel.objects import PAGE_BYTES
from lockscape.workloads.replay_order import Order, Thread
from lockscape.workloads.strace_files import Opened, Operation

SEVERAL, NOT_PASSED, STUCK, NOT_HELD = (
    "several processes at once use this end of a pipe", "what nobody reads from a pipe, or writes to it",
    "would wait for ever in a pipe of the simulated kernel", "a file that another thread has opened",
)  # fmt: skip
"""Reasons for which a call is not replayed."""

MOST_SEARCHES = 50
"""So often the first operation alone that is stuck is left out; then all of them."""


@dataclass
class _Process:
    """Operations of a process that may wait, or that others may wait for, by number; and how far it is.

    `moved`: bytes of the operation that it is at; `ends`: of pipes to write to, that it has; `done`: it has
    ended, as have so many of its children (`ended`), of whom it has `waited` for some.
    """

    program: list[int]
    at: int = 0
    moved: int = 0
    ends: set[Opened] = field(default_factory=set)
    done: bool = False
    ended: int = 0
    waited: int = 0


class Pipes:
    """`left`: why an operation is left out, by its number; `amounts`: how much others on pipes transfer."""

    def __init__(self, operations: Sequence[Operation], makers: Sequence[int | None]) -> None:
        self.operations, self.makers = operations, makers
        self.left: dict[int, str] = {}
        self.amounts: dict[int, int] = {}
        self.held: dict[int, set[Opened]] = {}
        self.transfers: dict[tuple[int, bool], list[int]] = {}
        self.programs: list[list[int]] = [[] for _ in makers]
        """For each process its operations that may wait, or that others may wait for."""
        self.draining: set[int] = set()
        crowded = self._select()
        while more := {end for end, writing in self.transfers if writing and self._drains(end)}:
            self.draining |= more
        for end, numbers in self.transfers.items():
            if (end[0], False) in crowded or (end[0] not in self.draining and (end[0], True) in crowded):
                self._leave(numbers, SEVERAL)
        for pipe in {pipe for pipe, _ in self.transfers}:
            self._balance(pipe)
        for search in range(len(self.amounts) + 1):
            stuck = sorted(_Search(self).stuck())
            if not stuck:
                break
            for number in stuck if search >= MOST_SEARCHES else stuck[:1]:
                self._give_up(number, STUCK)

    def _select(self) -> set[tuple[int, bool]]:
        """Find the transfers on each end that its process has; return ends that several use at once."""
        order = Order()
        threads: dict[tuple[int, bool], Thread] = {}
        crowded: set[tuple[int, bool]] = set()
        for number, operation in enumerate(self.operations):
            event = order.see(operation)
            self._hold(operation)
            file = operation.file
            if operation.kind in ("fork", "wait", "pipe", "close"):
                self.programs[operation.process].append(number)
            if file is None or not file.pipe or operation.kind not in ("read", "write"):
                continue
            if file not in self.held.get(operation.process, ()):
                self.left[number] = NOT_HELD
                continue
            end = file.pipe, file.writing
            self.transfers.setdefault(end, []).append(number)
            self.amounts[number] = operation.amount
            self.programs[operation.process].append(number)
            if not threads.setdefault(end, Thread(order)).follows(event, True):
                crowded.add(end)
        return crowded

    def _drains(self, pipe: int) -> bool:
        """Return whether a pipe drains, and is not known to."""
        readers = {self.operations[number].process for number in self.transfers.get((pipe, False), [])}
        if pipe in self.draining or len(readers) != 1:
            return False
        (reader,) = readers
        if any(self._waits(number, pipe) for number in self.programs[reader]):
            return False
        maker = self.makers[reader]
        program = [] if maker is None else self.programs[maker]
        between = False
        for number in program:
            operation = self.operations[number]
            if operation.kind == "pipe" and operation.second is not None and operation.second.pipe == pipe:
                between = True
            elif between and operation.kind == "fork" and operation.amount == reader:
                return True
            elif between and self._waits(number, 0):
                return False
        return False

    def _waits(self, number: int, pipe: int) -> bool:
        """Return whether an operation may wait for anything but to read from a pipe."""
        operation = self.operations[number]
        if number not in self.amounts:
            return operation.kind == "wait"
        file = operation.file
        assert file is not None
        return file.pipe not in self.draining if file.writing else file.pipe != pipe

    def _hold(self, operation: Operation) -> None:
        """Keep which ends each process has."""
        mine = self.held.setdefault(operation.process, set())
        if operation.kind == "fork":
            self.held[operation.amount] = set(mine)
        elif operation.kind == "pipe":
            mine |= {end for end in (operation.file, operation.second) if end is not None}
        elif operation.kind == "close" and operation.file is not None:
            mine.discard(operation.file)

    def _leave(self, numbers: Sequence[int], why: str) -> None:
        for number in numbers:
            if self.amounts.pop(number, None) is not None:
                self.left[number] = why

    def _balance(self, pipe: int) -> None:
        """Let as much be read as is written: what is too much at the end of either is left out."""
        ends = [
            [number for number in self.transfers.get((pipe, end), []) if number in self.amounts]
            for end in (False, True)
        ]
        both = min(sum(self.amounts[number] for number in numbers) for numbers in ends)
        for numbers in ends:
            room = both
            for number in numbers:
                part = min(room, self.amounts[number])
                if part < self.amounts[number] and not part:
                    self._leave([number], NOT_PASSED)
                else:
                    self.amounts[number] = part
                room -= part

    def _give_up(self, number: int, why: str) -> None:
        """Leave out a read of the end of a pipe, or with another transfer all that go through that pipe."""
        file = self.operations[number].file
        assert file is not None
        if self.amounts.get(number) == 0:
            self._leave([number], why)
        else:
            self._leave([n for end in (False, True) for n in self.transfers.get((file.pipe, end), [])], why)


class _Search:
    """Lets all processes go on as far as they can, one after the other."""

    def __init__(self, pipes: Pipes) -> None:
        self.pipes, self.operations, self.makers = pipes, pipes.operations, pipes.makers
        self.processes = [_Process(program) for program in pipes.programs]
        self.bytes: Counter[int] = Counter()
        self.writers: Counter[int] = Counter()
        self.waiting: dict[int, set[int]] = {}
        self.ready = deque(n for n, maker in enumerate(self.makers) if maker is None)
        self.at_pipe: set[int] = set()

    def stuck(self) -> list[int]:
        """Return the operations on pipes at which processes are when none can go on."""
        while self.ready:
            self.advance(self.ready.popleft())
        found = []
        for process in self.processes:
            if process.at < len(process.program):
                number = process.program[process.at]
                found += [number] if number in self.pipes.amounts and self.started(number) else []
        return found

    def started(self, number: int) -> bool:
        """Return whether a process that has come to an operation waits there, and has not to be made yet."""
        return self.operations[number].process in self.at_pipe

    def advance(self, who: int) -> None:
        """Let a process go on as far as it can."""
        process = self.processes[who]
        self.at_pipe.discard(who)
        while process.at < len(process.program):
            number = process.program[process.at]
            operation = self.operations[number]
            if number in self.pipes.amounts:
                if not self.transfer(process, operation, self.pipes.amounts[number]):
                    assert operation.file is not None
                    self.waiting.setdefault(operation.file.pipe, set()).add(who)
                    self.at_pipe.add(who)
                    return
            elif operation.kind in ("read", "write"):
                pass  # left out
            elif operation.kind == "wait" and process.ended == process.waited:
                return
            else:
                self.do(process, operation)
            process.at, process.moved = process.at + 1, 0
        if not process.done:
            process.done = True
            self.end(process, self.makers[who])

    def end(self, process: _Process, maker: int | None) -> None:
        for end in list(process.ends):
            self.close(process, end)
        if maker is not None:
            self.processes[maker].ended += 1
            self.ready.append(maker)

    def do(self, process: _Process, operation: Operation) -> None:
        """Do what does not wait."""
        if operation.kind == "fork":
            self.processes[operation.amount].ends = set(process.ends)
            self.writers.update(end.pipe for end in process.ends)
            self.ready.append(operation.amount)
        elif operation.kind == "wait":
            process.waited += 1
        elif operation.kind == "pipe" and operation.second is not None:
            process.ends.add(operation.second)
            self.writers[operation.second.pipe] += 1
        elif operation.file in process.ends:
            self.close(process, operation.file)

    def close(self, process: _Process, end: Opened) -> None:
        process.ends.discard(end)
        self.writers[end.pipe] -= 1
        self.wake(end.pipe)

    def wake(self, pipe: int) -> None:
        self.ready.extend(self.waiting.pop(pipe, ()))

    def transfer(self, process: _Process, operation: Operation, amount: int) -> bool:
        """Transfer as much as can be; return whether that is all."""
        assert operation.file is not None
        pipe = operation.file.pipe
        left = amount - process.moved
        if operation.kind == "write":
            room = PAGE_BYTES - self.bytes[pipe]
            # what fits into a page is written at once or not at all
            part = 0 if amount <= PAGE_BYTES and room < amount else min(room, left)
            if pipe in self.pipes.draining:
                part = left
            self.bytes[pipe] += part
        elif amount == 0:
            return self.writers[pipe] == 0 and self.bytes[pipe] == 0
        else:
            part = min(self.bytes[pipe], left)
            self.bytes[pipe] -= part
        process.moved += part
        if part:
            self.wake(pipe)
        return part == left
