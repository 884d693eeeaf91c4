"""The tree form of a function: what the kernel's source parses to, ports rewrite, and the assembler reads."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Const:
    """An integer; `name` is how the listing prints it, if it has a name."""

    value: int
    name: str = ""


@dataclass(frozen=True)
class Var:
    """A local variable or parameter."""

    name: str


@dataclass(frozen=True)
class Field:
    """A field or collection of an object: `base` is an expression of class `cls`."""

    base: "Expr"
    cls: str
    name: str


@dataclass(frozen=True)
class The:
    """A system object of this kernel instance: the only one, or the one of number `index`."""

    cls: str
    index: "Expr | None" = None


@dataclass(frozen=True)
class Binary:
    """Arithmetic or comparison; the latter gives 1 or 0."""

    op: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True)
class Logic:
    """Short-circuit ``and`` / ``or``, or ``not`` with one part."""

    op: str
    parts: tuple["Expr", ...]


@dataclass(frozen=True)
class Call:
    """Call of a function of the program by name."""

    function: str
    args: tuple["Expr", ...] = ()


@dataclass(frozen=True)
class Op:
    """A machine operation that gives a value or has an effect: `name` is one of `language.OPERATIONS`.

    `cls` is the object class that it makes, or the class of the values of its collection.
    """

    name: str
    args: tuple["Expr", ...] = ()
    cls: str = ""


Expr = Const | Var | Field | The | Binary | Logic | Call | Op
"""What has a value."""


@dataclass(frozen=True)
class Step:
    """Compute: the cost `name`, once or `times` times."""

    name: str
    times: Expr | None = None


@dataclass(frozen=True)
class Assign:
    """Set a local variable."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Store:
    """Write a field; `plain`: not atomically, whatever the object table says of it."""

    target: Field
    value: Expr
    plain: bool = False


@dataclass(frozen=True)
class Add:
    """Add to a field; `result` names a variable that takes the new value, if any."""

    target: Field
    value: Expr
    result: str = ""


@dataclass(frozen=True)
class Do:
    """Evaluate for the effect."""

    value: Expr


@dataclass(frozen=True)
class If:
    """Branch."""

    test: Expr
    then: tuple["Stmt", ...]
    other: tuple["Stmt", ...] = ()


@dataclass(frozen=True)
class While:
    """Loop while the test holds."""

    test: Expr
    body: tuple["Stmt", ...]


@dataclass(frozen=True)
class Break:
    """Leave the innermost loop."""


@dataclass(frozen=True)
class Return:
    """Return a value, or nothing."""

    value: Expr | None = None


@dataclass(frozen=True)
class Section:
    """Statements that must be seen together; `targets` are the fields and collections that they concern."""

    name: str
    targets: tuple[Field, ...]
    body: tuple["Stmt", ...]


@dataclass(frozen=True)
class Hold:
    """Statements done while holding a lock. `mode` is one of `MODES`.

    `lock` is the name of a lock class; `where` the object that embeds it. Modes: ``exclusive``,
    ``shared`` (readers of a reader-writer lock), ``retry`` (readers of a sequence lock), ``rcu``,
    ``drop`` (the lock is let go around the body), ``arrive`` (a new process comes in holding it),
    ``funnel`` (on the master processor), ``mask``, ``preempt`` (interrupts, preemption off). `unmasked`:
    interrupts stay as they are, also where the lock masks them (mutants only).
    """

    lock: str
    where: Expr | None
    mode: str
    body: tuple["Stmt", ...]
    unmasked: bool = False


MODES = ("exclusive", "shared", "retry", "rcu", "drop", "arrive", "funnel", "forward", "mask", "preempt")
"""What `Hold` may do."""


@dataclass(frozen=True)
class Sync:
    """One synchronisation operation, after `Hold` has been made explicit (see `lower`)."""

    op: str
    lock: str = ""
    where: Expr | None = None
    mode: str = "exclusive"
    saved: str = ""


Stmt = Step | Assign | Store | Add | Do | If | While | Break | Return | Section | Hold | Sync
"""What is done."""
Body = tuple[Stmt, ...]
"""Statements, one after the other."""


@dataclass(frozen=True)
class Function:
    """A function: `role` is one of `language.ROLES`, see `language.function`."""

    name: str
    params: tuple[str, ...]
    body: Body
    role: str = "kernel"
    doc: str = ""
    types: dict[str, str] = field(default_factory=dict)

    def with_body(self, body: Body) -> "Function":
        """Return the same function with another body."""
        return replace(self, body=body)
