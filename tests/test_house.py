"""The house: imports run downwards only, and heavy libraries are imported where they are used."""

import ast
from pathlib import Path

import pytest

import lockscape

PACKAGE = Path(lockscape.__file__).parent
BELOW = {"errors", "inputs"}
LABORATORY = {"program", "machine", "kernel", "ports"}
MAY_IMPORT = {
    "errors": set(),
    "inputs": {"errors"},
    "catalog": {"errors"},
    "source": BELOW,
    "program": {"errors"},
    "machine": {"errors", "program"},
    "kernel": {"errors", "program"},
    "ports": {*BELOW, "program", "machine", "kernel"},
    "systems": {*BELOW, "catalog", *LABORATORY},
    "workloads": {*BELOW, *LABORATORY},
    "experiments": {*BELOW, *LABORATORY, "systems", "workloads"},
    "real": {*BELOW, *LABORATORY, "systems", "workloads"},
    "report": {*BELOW, "catalog", "source", *LABORATORY, "systems", "workloads", "experiments", "real"},
    "cli": {
        *BELOW,
        "catalog",
        "source",
        *LABORATORY,
        "systems",
        "workloads",
        "experiments",
        "real",
        "report",
    },
    "__main__": {"cli"},
}
"""Which rooms of the package a room may import from, besides itself: those below it. The machine knows no
kernel and the kernel no lock; both speak the language of programs."""

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {name.split(".")[1] for name in names if name.startswith("lockscape.")}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_run_downwards(path: Path) -> None:
    room = path.parts[0].removesuffix(".py")
    if room == "__init__":
        assert imported_rooms(path) == set()
    else:
        assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


def test_every_room_is_known() -> None:
    assert {path.parts[0].removesuffix(".py") for path in MODULES} <= {*MAY_IMPORT, "__init__"}
