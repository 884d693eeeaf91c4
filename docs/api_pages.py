"""The reference of the Python interface: every module of the library, and its public names."""

import ast
from collections.abc import Iterator
from pathlib import Path

from markdown import table

import lockscape
from lockscape.program.language import OPERATIONS

PACKAGE = Path(lockscape.__file__).parent

LAYERS = tuple(
    sorted(
        path.parent.name
        for path in PACKAGE.glob("*/__init__.py")
        if path.parent.name != "cli"  # the command line has a reference of its own
    )
)
"""Rooms of the package that can be called from Python."""


def modules(layer: str) -> list[Path]:
    """Return the modules of a room, its own file only if there is something in it."""
    found = sorted((PACKAGE / layer).rglob("*.py"))
    return [path for path in found if path.name != "__init__.py" or len(path.read_text().splitlines()) > 1]


def name_of(path: Path) -> str:
    """Return what a module is imported as."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("lockscape", *(part for part in parts if part != "__init__")))


def undescribed(path: Path) -> list[str]:
    """Return a module's public constants and types without a text of their own: autodoc leaves them out."""
    text = path.read_text("utf-8")
    body, lines = ast.parse(text).body, ["", *text.splitlines()]
    found: list[str] = []
    for statement, after in zip(body, [*body[1:], None], strict=True):
        above, own = lines[statement.lineno - 1], lines[statement.lineno]
        if not _is_text(after) and not above.startswith("#: ") and "  #: " not in own:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
            names = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            found += [name.id for name in names if isinstance(name.ctx, ast.Store)]
    return [name for name in dict.fromkeys(found) if not name.startswith("_") and name not in OPERATIONS]


def _is_text(statement: ast.stmt | None) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def reference(layer: str) -> Iterator[str]:
    """Yield the modules of a room."""
    for path in modules(layer):
        name = name_of(path)
        yield from (f"## {name.removeprefix(f'lockscape.{layer}.')}", "")
        yield from ("```{eval-rst}", f".. automodule:: {name}", "   :members:", "```", "")
        others = undescribed(path)
        if others:
            yield from (f"Named there, without more to say: {', '.join(f'`{each}`' for each in others)}.", "")


def operations() -> Iterator[str]:
    """Yield the operations of the language."""
    yield from table(("operation", "meaning"), ((f"`{op.name}`", op.text) for op in OPERATIONS.values()), 2)
