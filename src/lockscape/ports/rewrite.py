"""The locking pass: applies a plan to the uniprocessor kernel's functions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lockscape.errors import InputError, unknown
from lockscape.ports.barriers import with_barriers
from lockscape.ports.plan import Plan, Rule
from lockscape.ports.swaps import swap_loops
from lockscape.program.locks import LockClass
from lockscape.program.nodes import Body, Expr, Field, Function, Hold, Section, Stmt, The, Var
from lockscape.program.objects import Object, layout
from lockscape.program.walk import called, with_bodies

LOCKLESS = ("rcu", "funnel", "cas", "barrier")
"""Modes of rules that name no lock."""

ARRIVAL = "start_process"
"""The entry that a new process comes through: it arrives in the middle of a switch."""


def apply_plan(
    functions: Mapping[str, Function],
    plan: Plan,
    locks: Mapping[str, LockClass],
    masked: frozenset[str],
    preemptible: bool,
) -> dict[str, Function]:
    """Return the functions with every rule of the plan applied.

    Sections without a lock keep the uniprocessor's means: those of `masked` (named ``function/section``) are
    done with interrupts masked, in a preemptible kernel the others with preemption off unless the plan
    covers them. Raises `InputError` for a rule whose anchor, lock or object does not exist.
    """
    pass_ = _Pass(functions, plan, locks, masked, preemptible)
    found = {name: pass_.function(f) for name, f in functions.items()}
    pass_.check_all_used()
    return found


class _Pass:
    def __init__(
        self, functions: Mapping[str, Function], plan: Plan, locks: Mapping[str, LockClass],
        masked: frozenset[str], preemptible: bool,
    ) -> None:  # fmt: skip
        self.functions = functions
        self.locks = locks
        self.masked = masked
        self.preemptible = preemptible
        self.covered = set(plan.covered)
        self.atomic = frozenset(plan.atomic)
        self.published = frozenset(plan.published)
        self.rules: dict[str, list[Rule]] = {}
        for rule in plan.rule:
            self.check_lock(rule)
            self.rules.setdefault(" ".join(rule.at.split()), []).append(rule)
        places = (anchor.partition(" ") for anchor in self.rules)
        self.with_calls = {place.partition("/")[0] for kind, _, place in places if kind == "call"}
        self.used: set[str] = set()
        self.now = Function("", (), ())

    def check_lock(self, rule: Rule) -> None:
        if rule.mode not in LOCKLESS and rule.lock not in self.locks:
            raise InputError(f"rule at {rule.at!r}: " + unknown("lock", rule.lock, list(self.locks)))

    def check_all_used(self) -> None:
        """Refuse rules that were applied nowhere: a plan that names what does not exist."""
        for anchor in self.rules:
            if anchor not in self.used:
                raise InputError(f"rule at {anchor!r}: this kernel has no such place; see `lockscape port`")

    def function(self, source: Function) -> Function:
        self.now = source
        body = self.body(source.body)
        rules = self.find(f"body {source.name}")
        if source.role in ("entry", "interrupt") and source.name != ARRIVAL:
            rules = [*self.find("entry"), *rules]
        return source.with_body(self.wrapped(rules, body))

    def find(self, anchor: str) -> list[Rule]:
        if anchor in self.rules:
            self.used.add(anchor)
        return self.rules.get(anchor, [])

    def wrapped(self, rules: Sequence[Rule], body: Body) -> Body:
        for rule in reversed(rules):
            body = (Hold(rule.lock, self.where(rule), rule.mode, body),)
        return body

    def where(self, rule: Rule) -> Expr | None:
        """Return the object of a rule's lock as an expression of the function that is being rewritten."""
        if rule.mode in LOCKLESS:
            return None
        cls = self.locks[rule.lock].object
        if not rule.of:
            return The(cls)
        name, *fields = rule.of.split(".")
        if name not in self.now.types:
            raise InputError(f"rule at {rule.at!r}: " + unknown("variable", name, list(self.now.types)))
        value: Expr = Var(name)
        of = self.now.types[name]
        for field in fields:
            value, of = Field(value, of, field), layout(Object.declared[of]).infos[field].refers
        if of != cls:
            raise InputError(
                f"rule at {rule.at!r}: {rule.of} is of class {of or 'int'}; {rule.lock} lies in {cls}"
            )
        return value

    def body(self, statements: Body) -> Body:
        found: list[Stmt] = []
        for statement in statements:
            inner = with_bodies(statement, self.body)
            calls = called(statement) if self.now.name in self.with_calls else ()
            rules = [r for name in calls for r in self.find(f"call {self.now.name}/{name}")]
            if isinstance(statement, Section):
                found.extend(self.section(inner))
            else:
                found.extend(self.wrapped(rules, (inner,)))
        return tuple(found)

    def section(self, node: Stmt) -> Body:
        assert isinstance(node, Section)
        name = f"{self.now.name}/{node.name}"
        every = self.find(f"section {name}")
        found = [rule for rule in every if rule.mode != "barrier"]
        if len(found) < len(every):
            node = replace(node, body=with_barriers(node.body, self.published, name))
        rules = [rule for rule in found if rule.mode != "cas"]
        body: Body = self.wrapped(rules, (node,))
        if len(rules) < len(found):
            body = self.wrapped(rules, (replace(node, body=swap_loops(node.body, self.atomic, name)),))
        # an interrupt that changes a version, or a word before it is swapped, only has it done again; and
        # what lies under a lock that sleeps is nothing that a handler enters
        held = [self.locks[r.lock] for r in rules if r.lock]
        masks = len(rules) < len(found) or any(
            lock.masks or lock.sleeps or lock.kind == "version" for lock in held
        )
        if name in self.masked and not masks:
            return (Hold("", None, "mask", body),)
        if self.preemptible and not found and name not in self.covered:
            return (Hold("", None, "preempt", body),)
        return body
