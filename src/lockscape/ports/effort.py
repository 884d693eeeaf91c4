"""What a port takes, counted in the listing: places that take or release a lock, and lines that differ.

Everything is counted against the uniprocessor kernel with the same build options, so that a structural
feature (a queue for each processor) is not taken for locking. New code is counted apart. A line is one of a
kernel's source: what a lock's operation does by itself, such as preemption off, is not written beside it.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from lockscape.errors import InputError, unknown
from lockscape.kernel.build import MASKED_SECTIONS, functions
from lockscape.ports.plan import Rule
from lockscape.ports.port import Port
from lockscape.ports.rewrite import ARRIVAL, apply_plan
from lockscape.program.listing import listing, sites
from lockscape.program.lower import lower
from lockscape.program.nodes import Body, Function, Stmt, Sync
from lockscape.program.walk import with_bodies

KINDS = ("bkl", "spinlock", "rwlock", "seqlock", "rcu", "sema", "rwsem", "version", "cas", "barrier")
"""Kinds of locks, in the order of the paper's Table 2, reader-writer semaphores added."""


class Line(msgspec.Struct, frozen=True):
    """A line of two listings: `mark` is `` `` in both, ``+`` only in the ported one, ``-`` only in the other.

    `rules`: numbers of the plan's rules that add it, as in the plan's file from 0.
    """

    mark: str
    text: str
    rules: tuple[int, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """Lines of a listing that differ, counted as in Table 3: a place that both have counts as modified."""

    lines_uniprocessor: int
    lines_ported: int
    modified: int
    new: int
    removed: int

    @property
    def changed(self) -> int:
        """Return modified, new and removed lines together."""
        return self.modified + self.new + self.removed

    def __add__(self, other: "Change") -> "Change":
        """Return the sums."""
        return Change(
            self.lines_uniprocessor + other.lines_uniprocessor, self.lines_ported + other.lines_ported,
            self.modified + other.modified, self.new + other.new, self.removed + other.removed,
        )  # fmt: skip


NO_CHANGE = Change(0, 0, 0, 0, 0)
"""Of a port that changes nothing."""


class FunctionEffort(msgspec.Struct, frozen=True):
    """A function that the port changes or brings; `sites` are all of its places, by kind of lock."""

    name: str
    is_new: bool
    change: Change
    sites: dict[str, int]


class Effort(msgspec.Struct, frozen=True):
    """The effort of a port. Sites of all its functions and, for comparison, of the uniprocessor kernel.

    `change` is of the kernel's functions, `new_lines` are those of functions that the port brings.
    """

    title: str
    method: str
    sites: dict[str, int]
    sites_uniprocessor: dict[str, int]
    change: Change
    new_lines: int
    functions: tuple[FunctionEffort, ...]


def added_sites(counted: Effort) -> int:
    """Return how many places that take or release a lock a port has besides the uniprocessor kernel's."""
    return sum(counted.sites.values()) - sum(counted.sites_uniprocessor.values())


@dataclass(frozen=True)
class Both:
    """A port beside its uniprocessor kernel; `new` are the functions that only the port has."""

    port: Port
    uniprocessor: Port
    new: frozenset[str]

    def lines(self, name: str) -> tuple[list[str], list[str]]:
        """Return the listings of a function: uniprocessor (empty if the port brings it) and ported."""
        before = [] if name in self.new else _listing(self.uniprocessor, name)
        return before, _listing(self.port, name)


def _listing(port: Port, name: str) -> list[str]:
    function = port.program.functions[name]
    return listing(function.with_body(_as_written(function.body)), port.program.locks)


def _as_written(body: Body) -> Body:
    """Return statements as a kernel's source has them: who takes a spin lock, or begins to read under RCU,
    does not write that preemption goes off, for that is what taking it does (Linux 2.6.11,
    kernel/spinlock.c:_spin_lock{preempt_disable();})."""
    found: list[Stmt] = []
    for before, node, after in zip((None, *body), body, (*body[1:], None), strict=False):
        implied = isinstance(node, Sync) and (
            (node.op == "preempt_off" and _takes(after)) or (node.op == "preempt_on" and _gives(before))
        )
        if not implied:
            found.append(with_bodies(node, _as_written))
    return tuple(found)


def _takes(node: Stmt | None) -> bool:
    return isinstance(node, Sync) and node.op in ("acquire", "rcu_read_lock")


def _gives(node: Stmt | None) -> bool:
    return isinstance(node, Sync) and node.op in ("release", "rcu_read_unlock")


def both(port: Port) -> Both:
    """Put a port beside its uniprocessor kernel."""
    own = functions(port.options) if port.plan.new_code else port.source
    return Both(port, port.uniprocessor(), frozenset(set(port.source) - set(own)))


def effort(pair: Both) -> Effort:
    """Count a port that was built without user mode."""
    port = pair.port
    names = reached(pair)
    changes = {name: count_changes(*pair.lines(name)) for name in names}
    kernel = [change for name, change in changes.items() if name not in pair.new]
    new_lines = sum(change.lines_ported for name, change in changes.items() if name in pair.new)
    found = tuple(
        FunctionEffort(name, name in pair.new, change, _sites(port, [name]))
        for name, change in changes.items()
        if change.changed
    )
    return Effort(
        port.plan.title, port.plan.method, _sites(port, names),
        _sites(pair.uniprocessor, [name for name in names if name not in pair.new]),
        sum(kernel, NO_CHANGE), new_lines, found,
    )  # fmt: skip


def difference(before: Port, after: Port) -> Change:
    """Count the lines in which two ports of one kernel differ: what is edited to make one of the other."""
    either = before.reachable() | after.reachable()
    names = [name for name in after.source if name in either]
    return sum((count_changes(_listing(before, name), _listing(after, name)) for name in names), NO_CHANGE)


def reached(pair: Both) -> list[str]:
    """Return the functions that either kernel can come to: others belong to kernels with other options."""
    either = pair.port.reachable() | pair.uniprocessor.reachable()
    return [name for name in pair.port.source if name in either]


def _sites(port: Port, names: Iterable[str]) -> dict[str, int]:
    total = dict.fromkeys(KINDS, 0)
    for name in names:
        for kind, count in sites(port.program.functions[name], port.program.locks).items():
            total[kind] += count
    return {kind: count for kind, count in total.items() if count}


def count_changes(before: Sequence[str], after: Sequence[str]) -> Change:
    """Count the lines in which two listings differ."""
    modified = new = removed = 0
    for tag, a1, a2, b1, b2 in _opcodes(before, after):
        if tag != "equal":
            common = min(a2 - a1, b2 - b1)
            modified += common
            removed += a2 - a1 - common
            new += b2 - b1 - common
    return Change(len(before), len(after), modified, new, removed)


def _opcodes(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Compare line by line; indentation does not matter, as with ``diff -w``."""
    bare = [[line.strip() for line in lines] for lines in (before, after)]
    return list(difflib.SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_opcodes())


def function_change(lines: Sequence[Line]) -> Change:
    """Count a comparison's lines."""
    return count_changes(
        [line.text for line in lines if line.mark != "+"], [line.text for line in lines if line.mark != "-"]
    )


def compare(pair: Both, name: str, with_rules: bool = False) -> tuple[Line, ...]:
    """Return the lines of a function in both kernels, ``with_rules`` with what adds them.

    Raises `InputError` for a function that the kernel does not have.
    """
    port = pair.port
    if name not in port.source:
        raise InputError(unknown("function", name, sorted(port.source)))
    before, after = pair.lines(name)
    causes = _causes(port, name, after) if with_rules and name not in pair.new else {}
    found: list[Line] = []
    for tag, a1, a2, b1, b2 in _opcodes(before, after):
        if tag == "equal":
            found += [Line(" ", text) for text in after[b1:b2]]
        else:
            found += [Line("-", text) for text in before[a1:a2]]
            found += [Line("+", after[k], causes.get(k, ())) for k in range(b1, b2)]
    return tuple(found)


def _causes(port: Port, name: str, after: list[str]) -> dict[int, tuple[int, ...]]:
    """Return for each line of a ported function the rules without which it would not be there."""
    rules = {k: rule for k, rule in enumerate(port.plan.rule) if _concerns(rule, port.source[name])}
    found: dict[int, tuple[int, ...]] = {}
    for number in rules:
        left = tuple(rule for k, rule in rules.items() if k != number)
        for tag, _, _, b1, b2 in _opcodes(_ported(port, name, left), after):
            if tag != "equal":
                for line in range(b1, b2):
                    found[line] = (*found.get(line, ()), number)
    return found


def _concerns(rule: Rule, function: Function) -> bool:
    """Say whether a rule's anchor lies in a function."""
    kind, _, place = " ".join(rule.at.split()).partition(" ")
    if kind == "entry":
        return function.role in ("entry", "interrupt") and function.name != ARRIVAL
    return place.partition("/")[0] == function.name


def _ported(port: Port, name: str, rules: tuple[Rule, ...]) -> list[str]:
    """Return the listing of a function ported by some of the plan's rules."""
    plan = msgspec.structs.replace(port.plan, rule=rules)
    preemptible = bool(port.options["preemptible"])
    ported = apply_plan({name: port.source[name]}, plan, port.program.locks, MASKED_SECTIONS, preemptible)
    lowered = lower(ported[name], port.program.locks, preemptible)
    return listing(lowered.with_body(_as_written(lowered.body)), port.program.locks)
