"""Walks the tree form of functions: statements, the bodies inside them, and what they call."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from lockscape.program.nodes import Body, Call, Op, Stmt

BODIES = ("then", "other", "body")
"""Parts of a statement that are bodies, in the order of the listing."""


@functools.cache
def _parts(kind: Any) -> tuple[str, ...]:
    return tuple(part.name for part in fields(kind))


@functools.cache
def _is_node(kind: Any) -> bool:
    return is_dataclass(kind)


@functools.cache
def _bodies(kind: Any) -> tuple[str, ...]:
    return tuple(part for part in BODIES if part in _parts(kind))


def bodies(node: Stmt) -> list[Body]:
    """Return the bodies of a statement: none, one, or the two of a branch."""
    return [getattr(node, part) for part in _bodies(type(node))]  # type: ignore[arg-type]


def with_bodies(node: Stmt, change: Callable[[Body], Body]) -> Stmt:
    """Return a statement with each of its bodies changed, in the order of the listing."""
    changed = {part: change(getattr(node, part)) for part in _bodies(type(node))}  # type: ignore[arg-type]
    return replace(node, **changed) if changed else node  # type: ignore[arg-type]


def walk(body: Body) -> list[Stmt]:
    """Return every statement of a body, outer before inner."""
    found: list[Stmt] = []
    for statement in body:
        found.append(statement)
        for inner in bodies(statement):
            found += walk(inner)
    return found


def nodes(tree: Any) -> Iterator[Any]:
    """Yield every node of a body, statement or expression, outer before inner."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, tuple):
            left += reversed(node)
        elif _is_node(node.__class__):
            yield node
            left += [getattr(node, name) for name in reversed(_parts(node.__class__))]


def replaced(tree: Any, old: Any, new: Any) -> Any:
    """Return a body, statement or expression with one of its nodes, which stands in it once, replaced."""
    if tree is old:
        return new
    if isinstance(tree, tuple):
        return tuple(replaced(item, old, new) for item in tree)
    if not is_dataclass(tree):
        return tree
    changed = {part.name: replaced(getattr(tree, part.name), old, new) for part in fields(tree)}
    return replace(tree, **changed)  # type: ignore[type-var]


def calls_in(body: Body) -> frozenset[str]:
    """Return the functions and operations that a body calls."""
    return frozenset(_name(node) for node in nodes(body) if isinstance(node, Call | Op))


def _name(node: Call | Op) -> str:
    return node.function if isinstance(node, Call) else node.name


def called(statement: Stmt) -> list[str]:
    """Return the functions and operations that a statement calls itself, not in its bodies."""
    names = _parts(type(statement))  # type: ignore[arg-type]
    own = (getattr(statement, name) for name in names if name not in BODIES)
    found = (node for value in own for node in nodes(value))
    return [_name(node) for node in found if isinstance(node, Call | Op)]
