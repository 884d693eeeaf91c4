"""A port: the uniprocessor kernel made multiprocessor by a plan; to list, to count and to assemble."""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lockscape.errors import InputError
from lockscape.kernel.build import MASKED_SECTIONS, SEMAPHORES, classes, declared_in, functions, options
from lockscape.machine.findings import Rules
from lockscape.ports.mutants import DELAY_CYCLES, Mutant, mutants, mutate
from lockscape.ports.never import Reached
from lockscape.ports.packages import load_code, owners, told
from lockscape.ports.plan import Plan
from lockscape.ports.rewrite import apply_plan
from lockscape.ports.topology import Topology, topology
from lockscape.program.assemble import Program
from lockscape.program.language import CALLED_ROLES
from lockscape.program.locks import LockClass
from lockscape.program.lower import lower
from lockscape.program.nodes import Function
from lockscape.program.objects import Object, layout
from lockscape.program.walk import calls_in

DAEMONS = {
    "flush_thread": "flush_thread", "swapping": "swap_thread", "interrupt_threads": "interrupt_thread",
}  # fmt: skip
"""The functions in which processes of the kernel itself begin, by the build option that they exist with."""

LOADED = ("Channel", "Ring")
"""Classes of new code of which a machine has objects when it is loaded."""

ANY_PROCESSORS = 2
"""A number of processors at which every kind of instance exists."""


@dataclass(frozen=True)
class Port:
    """A kernel with its synchronisation explicit.

    `new_code`: modules that the port brings; `source`: the uniprocessor functions; `ported`: with the plan
    applied; `program`: those with every operation on a lock explicit, and layouts and locks.
    """

    plan: Plan
    options: dict[str, int]
    new_code: tuple[types.ModuleType, ...]
    source: dict[str, Function]
    ported: dict[str, Function]
    program: Program

    def uniprocessor(self) -> "Port":
        """Return the kernel with the same options for one processor: what effort is counted against."""
        bare = Plan(title="uniprocessor", method="uniprocessor", options=self.options)
        brought = {name for module in self.new_code for name in vars(module)}  # may name locks of the plan
        others = {name: f for name, f in self.source.items() if name not in brought}
        return _build(bare, self.options, (), others | functions(self.options))

    def topology(self) -> Topology:
        """Return which kernel instances a machine has."""
        return topology(self.new_code)

    def mutants(self) -> list[Mutant]:
        """Return every mutant: one acquisition each removed or weakened, of those that can be reached."""
        lowered = frozenset[str]().union(*self.program.calls.values())
        own = lowered - frozenset[str]().union(*(calls_in(f.body) for f in self.ported.values()))
        reached = Reached(self.ported, [*self.roots(), *own], self.made())
        functions = {n: f for n, f in self.ported.items() if n in reached.functions}
        told = frozenset(self.plan.atomic)
        return mutants(functions, self.program.locks, told, self.brought(), reached.statements)

    def made(self) -> frozenset[str]:
        """Return the classes of the new code whose objects only running code makes."""
        own = {each.__name__ for each in self.new_code}
        found = ((name, each) for name, each in Object.declared.items() if each.__module__ in own)
        return frozenset(name for name, each in found if not each.table_size and name not in LOADED)

    def brought(self) -> frozenset[str]:
        """Return the names of the functions that the port's new code has."""
        own = ((name, each, module) for module in self.new_code for name, each in vars(module).items())
        return frozenset(
            name for name, each, module in own
            if name in self.source and getattr(each, "__module__", "") == module.__name__
        )  # fmt: skip

    def roots(self) -> list[str]:
        """Return the functions that the machine enters or contexts begin with."""
        found = [name for name, f in self.program.functions.items() if f.role not in CALLED_ROLES]
        found += [each.idle for each in self.topology().instances(ANY_PROCESSORS, self.options)]
        found += self.topology().threads
        return found + [first for option, first in DAEMONS.items() if self.options[option]]

    def reachable(self) -> set[str]:
        """Return the functions of `roots`, and all that they call."""
        functions = self.program.functions
        found: set[str] = set()
        left = self.roots()
        while left:
            name = left.pop()
            if name not in found and name in functions:
                found.add(name)
                left += self.program.calls[name]
        return found

    def mutated(self, mutant: Mutant, cycles: int = DELAY_CYCLES) -> "Port":
        """Return the port with one mutant's change made, which waits so many `cycles`."""
        told = frozenset(self.plan.atomic)
        changed = mutate(self.ported, self.program.locks, mutant, told, self.brought(), cycles)
        again = _lowered({mutant.function: changed[mutant.function]}, self.program.locks, self.options)
        functions = {**self.program.functions, **again}
        return replace(self, ported=changed, program=replace(self.program, functions=functions))

    def rules(self, weakly_ordered: bool = False) -> Rules:
        """Return what the fault detector must know of the port's data, and of the machine."""
        nesting = frozenset(name for name, lock in self.program.locks.items() if lock.nests)
        preemptible = bool(self.options["preemptible"])
        return Rules(
            _parts(self.plan.local), _parts(self.plan.published), nesting, preemptible, weakly_ordered
        )


def _parts(names: Iterable[str]) -> frozenset[tuple[str, str]]:
    return frozenset((cls, part) for cls, _, part in (name.partition(".") for name in names))


def port(plan: Plan, more: Sequence[types.ModuleType] = (), **chosen: int) -> Port:
    """Build the kernel of a plan. `more` modules join it (user mode); `chosen` options go over the plan's."""
    decided = options(**(plan.options | chosen))
    code = load_code(plan.new_code)
    with told(owners(plan.new_code)):
        return _build(plan, decided, code, functions(decided, [*more, *code]))


def kernel_count(plan: Plan, cpus: int) -> int:
    """Return how many kernels with files of their own there are on so many processors."""
    instances = topology(load_code(plan.new_code)).instances(cpus, options(**plan.options))
    return sum(each.quantities.get("groups", 1) > 0 for each in instances)


def _build(
    plan: Plan, decided: dict[str, int], code: tuple[types.ModuleType, ...], source: dict[str, Function]
) -> Port:
    declared = {lock.name: lock for lock in (*SEMAPHORES, *plan.lock)}
    shapes = {c.__name__: c for c in (*classes(), *(c for module in code for c in declared_in(module)))}
    for lock in declared.values():
        if lock.object not in shapes:
            raise InputError(f"lock {lock.name}: no object class {lock.object!r}")
    if decided["preemptible"]:
        _check_preemptible(plan, declared)
    ported = apply_plan(source, plan, declared, MASKED_SECTIONS, bool(decided["preemptible"]))
    lowered = _lowered(ported, declared, decided)
    layouts = {
        name: layout(cls, tuple(k.name for k in declared.values() if k.object == name))
        for name, cls in shapes.items()
    }
    program = Program(lowered, layouts, declared, _parts(plan.atomic), bool(decided["double_cas"]))
    return Port(plan, decided, code, source, ported, program)


def _check_preemptible(plan: Plan, locks: Mapping[str, LockClass]) -> None:
    """Refuse a funnel in a preemptible kernel: a process could lose it between any two steps.

    A lock that is let go only where a process goes to sleep by itself is none.
    """
    for rule in plan.rule:
        lost = rule.mode == "drop" and " ".join(rule.at.split()) in (
            "body schedule",
            "call schedule/switch_to",
        )
        if rule.mode == "funnel" or (lost and rule.lock in locks and locks[rule.lock].sleeps):
            name = rule.lock or "the master processor"
            raise InputError(
                f"plan {plan.title!r}: a preemptible kernel cannot have a funnel ({name} at {rule.at!r}), "
                "which its holder may lose whenever it is rescheduled: set preemptible = 0"
            )


def _lowered(
    ported: Mapping[str, Function], locks: Mapping[str, LockClass], decided: Mapping[str, int]
) -> dict[str, Function]:
    preemptible = bool(decided["preemptible"])
    return {name: lower(f, locks, preemptible) for name, f in ported.items()}
