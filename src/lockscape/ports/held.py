"""Which locks are held where: for each section of a port, every set of locks that it is done under.

Read from the functions before anything runs, over every call from every way in. A branch that is never taken
counts as taken, and what one context holds while another is switched to is not followed.
"""

from lockscape.ports.port import Port
from lockscape.program.nodes import Body, Hold, Section, Stmt
from lockscape.program.walk import bodies, called

Held = frozenset[str]
"""Names of locks that are held; ``rcu`` and ``cas`` for sections that need none to write or read."""


def held_in_sections(port: Port) -> dict[str, frozenset[Held]]:
    """Return for each section that can be reached, ``function/section``, the sets of locks held in it."""
    return _Follower(port).follow()


class _Follower:
    def __init__(self, port: Port) -> None:
        self.functions = port.ported
        self.locks = port.program.locks
        self.hooks = [name for name, f in self.functions.items() if f.role == "hook"]
        self.swapped = {rule.at.partition(" ")[2] for rule in port.plan.rule if rule.mode == "cas"}
        self.left = [(name, Held()) for name in port.roots() if name not in self.hooks]
        self.seen = set(self.left)
        self.found: dict[str, set[Held]] = {}
        self.now = ""

    def follow(self) -> dict[str, frozenset[Held]]:
        while self.left:
            self.now, held = self.left.pop()
            self.body(self.functions[self.now].body, held)
        return {section: frozenset(sets) for section, sets in self.found.items()}

    def body(self, body: Body, held: Held) -> None:
        for statement in body:
            for name in called(statement):
                self.enter(name, held)
            inner = self.within(statement, held)
            for each in bodies(statement):
                self.body(each, inner)

    def within(self, node: Stmt, held: Held) -> Held:
        """Return what is held in the bodies of a statement."""
        if isinstance(node, Section):
            name = f"{self.now}/{node.name}"
            self.found.setdefault(name, set()).add(held | {"cas"} if name in self.swapped else held)
        if not isinstance(node, Hold):
            return held
        if node.lock in self.locks and self.locks[node.lock].sleeps:
            for hook in self.hooks:  # in which the machine lets a process wait for it
                self.enter(hook, held)
        if node.mode == "drop":
            return held - {node.lock}
        if node.mode == "rcu":
            return held | {"rcu"}
        return held | {node.lock} if node.lock else held

    def enter(self, name: str, held: Held) -> None:
        if name in self.functions and (name, held) not in self.seen:
            self.seen.add((name, held))
            self.left.append((name, held))
