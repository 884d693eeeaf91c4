"""Code of the machine's operations: on collections, atomic ones, system calls and the rest."""

from __future__ import annotations

from lockscape.errors import InputError
from lockscape.program import nodes as n
from lockscape.program import opcodes as op
from lockscape.program.values import Values

_NO_ARGUMENT = {
    "current": op.CURRENT, "this_cpu": op.THIS_CPU, "cpus": op.CPUS, "granted": op.GRANTED, "now": op.NOW,
    "interrupted_user": op.FROM_USER, "atomic_depth": op.ATOMIC_DEPTH, "instance": op.INSTANCE,
    "next_operation": op.NEXT_OPERATION,
}  # fmt: skip
_ARGUMENTS = {"operand": op.OPERAND, "run": op.RUN, "guest_time": op.GUEST_TIME, "spawn": op.SPAWN}
_PLAIN = {
    "mask": op.MASK, "unmask": op.UNMASK, "halt": op.HALT, "exit_process": op.EXIT, "barrier": op.BARRIER,
}  # fmt: skip
_EFFECTS = {
    "switch_to": op.SWITCH, "free": op.FREE, "send": op.SEND, "send_instance": op.SEND_INSTANCE,
    "set_timer": op.SET_TIMER, "request": op.REQUEST, "pause": op.PAUSE, "trap": op.TRAP, "grant": op.GRANT,
}  # fmt: skip
_COLLECTIONS = {
    "find": op.FIND, "find_from": op.FIND, "position": op.POSITION, "insert": op.INSERT, "remove": op.REMOVE,
    "move": op.TO_TAIL, "first": op.FIRST, "oldest": op.OLDEST, "after": op.AFTER, "count": op.COUNT,
    "first_free": op.FIRST_FREE,
}  # fmt: skip


class Operations(Values):
    """Rows of expressions with the machine's operations among them."""

    def operation(self, node: n.Op, target: int, wanted: bool) -> int:
        """Emit an operation of the machine."""
        name, args = node.name, node.args
        if name in _COLLECTIONS:
            return self.collection(node, target, wanted)
        if name in _PLAIN:
            if (
                name != "barrier" or self.names.traced
            ):  # which takes no time, and matters to the detector only
                self.emit(_PLAIN[name])
            return target
        if name == "system_call":
            return self.system_call(args, target, wanted)
        if name in ("compare_and_swap", "compare_and_swap2", "swap"):
            return self.atomic(node, target)
        registers = [self.value(a) for a in args]
        for register in registers:
            self.done(register)
        if name in _EFFECTS:
            self.emit(_EFFECTS[name], *registers)
            return target
        target = target if target >= 0 else self.temporary()
        if name in _NO_ARGUMENT:
            self.emit(_NO_ARGUMENT[name], target)
        elif name in _ARGUMENTS:
            self.emit(_ARGUMENTS[name], target, *registers)
        elif name == "new":
            self.emit(op.NEW, target, self.names.classes.index(node.cls))
        elif name == "the_of":
            words = self.names.program.layouts[node.cls].words
            number = self.names.classes.index(node.cls)
            self.emit(op.THE_OF, target, number, registers[0], words, registers[1])
        else:
            raise InputError(f"{self.function.name}: {name}() cannot stand in an expression")
        return target

    def system_call(self, args: tuple[n.Expr, ...], target: int, wanted: bool) -> int:
        """Emit a system call."""
        self.pass_arguments(args)
        if wanted and target < 0:
            target = self.temporary()
        self.calls.append((self.emit(op.SYSTEM_CALL, 0, 0, target if wanted else -1, 0), ""))
        return target

    def atomic(self, node: n.Op, target: int) -> int:
        """Emit a compare-and-swap or swap."""
        places = [a for a in node.args if isinstance(a, n.Field)]
        cycles = self.names.cost("cas2" if node.name.endswith("2") else "cas")
        registers = [self.value(a.base if isinstance(a, n.Field) else a) for a in node.args]
        target = target if target >= 0 else self.temporary()
        offsets = [self.offset(p) for p in places]
        if node.name == "compare_and_swap2":
            block = self.used
            self.used += 6
            for k, register in enumerate(registers):
                self.emit(op.MOVE, block + k, register)
            old = min(self.old(node.args[1]), self.old(node.args[4]))
            self.emit(op.COMPARE_AND_SWAP2, target, block, offsets[0], offsets[1], 0, cycles, old)
        elif node.name == "swap":
            self.emit(op.SWAP, target, registers[0], offsets[0], registers[1], 0, cycles)
        else:
            place, old, new = registers
            self.emit(
                op.COMPARE_AND_SWAP, target, place, offsets[0], old, new, cycles, self.old(node.args[1])
            )
        for register in registers:
            self.done(register)
        return target

    def old(self, value: n.Expr) -> int:
        """Say what the old value of a compare-and-swap is, for the fault detector."""
        if not isinstance(value, n.Var):
            return 0
        return op.ADDED_TO if value.name in self.counting else op.SEEN

    def collection(self, node: n.Op, target: int, wanted: bool) -> int:
        """Emit an operation on a collection."""
        place, *rest = node.args
        if (
            not isinstance(place, n.Field)
            or place.name not in self.names.program.layouts[place.cls].collections
        ):
            raise InputError(f"{self.function.name}: {node.name}() needs a collection first")
        base, offset, how = self.value(place.base), self.offset(place), self.how(place)
        keys = [self.value(r) for r in rest]
        self.search_cost(node.name, place, base, offset, keys)
        for register in (base, *keys):
            self.done(register)
        code = _COLLECTIONS[node.name]
        if node.name == "insert":
            if wanted and target < 0:
                target = self.temporary()
            atomic = self.names.cost("atomic") if how == op.ATOMIC else 0
            self.emit(code, base, offset, keys[0], keys[1], how, target if wanted else -1, atomic)
            return target
        if node.name == "move":
            self.emit(code, base, offset, keys[0], 0, how)
            return target
        if wanted and target < 0:
            target = self.temporary()
        cycles = self.names.cost("atomic") if how == op.ATOMIC and node.name == "remove" else 0
        self.emit(code, target if wanted else -1, base, offset, keys[0] if keys else -1, how, cycles)
        return target

    def search_cost(self, name: str, place: n.Field, base: int, offset: int, keys: list[int]) -> None:
        """Emit what a search costs, before the operation itself."""
        declared = self.names.program.layouts[place.cls].kinds[place.name]
        first, step = declared.base, declared.each
        if name == "insert":
            first, step = declared.insert_base, declared.insert_each
        if name not in ("find", "find_from", "insert", "first_free") or not first:
            return
        cost = self.names.cost
        each = cost(step) if step else 0
        what = {"first_free": 1, "insert": 2}.get(name, 0)
        start = keys[1] if name == "find_from" else -1
        self.emit(op.SEARCH_COST, base, offset, keys[0], start, cost(first), each, what)
