"""The listing: a function's tree as lines of text, one for each statement, in which effort is counted."""

from collections.abc import Mapping

from lockscape.program.locks import LockClass
from lockscape.program.nodes import (
    Add,
    Assign,
    Binary,
    Body,
    Break,
    Call,
    Const,
    Do,
    Expr,
    Field,
    Function,
    Hold,
    If,
    Logic,
    Op,
    Return,
    Section,
    Step,
    Stmt,
    Store,
    Sync,
    The,
    Var,
    While,
)  # fmt: skip
from lockscape.program.walk import called, walk

_NAMES = {
    ("bkl", "acquire"): "lock_kernel", ("bkl", "release"): "unlock_kernel",
    ("bkl", "try"): "try_lock_kernel",
    ("bkl", "drop"): "release_kernel_lock", ("bkl", "retake"): "reacquire_kernel_lock",
    ("spinlock", "acquire"): "spin_lock", ("spinlock", "release"): "spin_unlock",
    ("seqlock", "acquire"): "write_seqlock", ("seqlock", "release"): "write_sequnlock",
    ("sema", "acquire"): "down", ("sema", "release"): "up",
    ("version", "attempt"): "again: seen = read_version", ("version", "commit"): "unless seen, again: commit",
}  # fmt: skip

_READER_NAMES = {
    ("rwlock", "exclusive"): ("write_lock", "write_unlock"),
    ("rwlock", "shared"): ("read_lock", "read_unlock"),
    ("rwsem", "exclusive"): ("down_write", "up_write"), ("rwsem", "shared"): ("down_read", "up_read"),
}  # fmt: skip

_SWAPS = frozenset({"compare_and_swap", "compare_and_swap2", "swap"})

_INDENT = "    "


def listing(function: Function, locks: Mapping[str, LockClass]) -> list[str]:
    """Return the lines of a function whose synchronisation is explicit (see `lower`)."""
    return [f"{function.name}({', '.join(function.params)})", *_body(function.body, locks, 1)]


def sites(function: Function, locks: Mapping[str, LockClass]) -> dict[str, int]:
    """Count the places of a lowered function that take or release a lock, by the paper's kind of lock.

    Those that begin or commit a section on a version count as ``version``, compare-and-swaps as ``cas``,
    barriers as ``barrier``.
    """
    counts: dict[str, int] = {}
    for statement in walk(function.body):
        kind = site_kind(statement, locks)
        if kind:
            places = 2 if isinstance(statement, Hold) else 1
            counts[kind] = counts.get(kind, 0) + places
    return counts


def site_kind(statement: Stmt, locks: Mapping[str, LockClass]) -> str:
    """Return the kind of lock that a statement takes or releases, or nothing."""
    match statement:
        case Sync(op=op) if op.startswith("rcu_read"):
            return "rcu"
        case Assign() | Do() | If() | While() if set(called(statement)) & _SWAPS:
            return "cas"
        case Do(value=Op(name="barrier")):
            return "barrier"
        case Sync(lock=lock) | Hold(lock=lock) if lock:
            return locks[lock].kind
    return ""


def _body(body: Body, locks: Mapping[str, LockClass], depth: int) -> list[str]:
    lines: list[str] = []
    for statement in body:
        lines += _statement(statement, locks, depth)
    return lines


def _statement(node: Stmt, locks: Mapping[str, LockClass], depth: int) -> list[str]:
    pad = _INDENT * depth
    match node:
        case If(test=test, then=then, other=other):
            lines = [f"{pad}if {expression(test)}:", *_body(then, locks, depth + 1)]
            return [*lines, f"{pad}else:", *_body(other, locks, depth + 1)] if other else lines
        case While(test=test, body=body):
            return [f"{pad}while {expression(test)}:", *_body(body, locks, depth + 1)]
        case Section(name=name, targets=targets, body=body):
            parts = ", ".join([name, *(expression(t) for t in targets)])
            return [f"{pad}section {parts}:", *_body(body, locks, depth + 1)]
        case Hold(lock=lock, where=where, body=body):
            place = _place(lock, where)
            begin, end = f"{pad}do: seq = read_seqbegin({place})", f"{pad}while read_seqretry({place}, seq)"
            return [begin, *_body(body, locks, depth + 1), end]
        case Sync():
            return [pad + _sync(node, locks)]
    return [pad + _simple(node)]


def _simple(node: Stmt) -> str:
    match node:
        case Step(name=name, times=None):
            return f"step {name}"
        case Step(name=name, times=times):
            return f"step {name} * {expression(times)}"
        case Assign(name=name, value=value):
            return f"{name} = {expression(value)}"
        case Store(target=target, value=value):
            return f"{expression(target)} = {expression(value)}"
        case Add(target=target, value=value, result=result) if result:
            return f"{result} = add_return({expression(target)}, {expression(value)})"
        case Add(target=target, value=Const(value=n)) if n < 0:
            return f"{expression(target)} -= {-n}"
        case Add(target=target, value=value):
            return f"{expression(target)} += {expression(value)}"
        case Do(value=value):
            return expression(value)
        case Break():
            return "break"
        case Return(value=None):
            return "return"
        case Return(value=value):
            return f"return {expression(value)}"
    raise TypeError(f"not a simple statement: {node!r}")


def _sync(node: Sync, locks: Mapping[str, LockClass]) -> str:
    if not node.lock:
        return {"mask": "local_irq_disable()", "unmask": "local_irq_enable()"}.get(node.op, f"{node.op}()")
    kind = locks[node.lock].kind
    if (kind, node.mode) in _READER_NAMES and node.op in ("acquire", "release"):
        name = _READER_NAMES[kind, node.mode][node.op == "release"]
    else:
        name = _NAMES.get((kind, node.op), f"{node.op}_{kind}")
    given = f"{node.saved} = " if node.op == "try" else ""
    return f"{given}{name}({_place(node.lock, node.where)})"


def _place(lock: str, where: Expr | None) -> str:
    if where is None or isinstance(where, The):
        return lock if where is None or where.index is None else f"{lock}[{expression(where.index)}]"
    return f"{expression(where)}.{lock}"


def expression(node: Expr | None) -> str:
    """Return an expression as the listing prints it."""
    match node:
        case None:
            return ""
        case Const(value=value, name=name):
            return name or str(value)
        case Var(name=name):
            return name
        case Field(base=base, name=name):
            return f"{expression(base)}.{name}"
        case The(cls=cls, index=None):
            return cls
        case The(cls=cls, index=index):
            return f"{cls}[{expression(index)}]"
        case Binary(op=op, left=left, right=right):
            return f"{_part(left)} {op} {_part(right)}"
        case Logic(op="not", parts=(part,)):
            return f"not {_part(part)}"
        case Logic(op=op, parts=parts):
            return f" {op} ".join(_part(p) for p in parts)
        case Call(function=name, args=args):
            return f"{name}({', '.join(expression(a) for a in args)})"
        case Op(name=name, args=args, cls=cls):
            shown = (
                [cls, *(expression(a) for a in args)]
                if name in ("new", "the_of")
                else [expression(a) for a in args]
            )
            return f"{name}({', '.join(shown)})"
    raise TypeError(f"not an expression: {node!r}")


def _part(node: Expr) -> str:
    text = expression(node)
    return f"({text})" if isinstance(node, Binary | Logic) else text
