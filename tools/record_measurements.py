"""Measures kernel trees with lockscape and writes what it found into the package, per file.

    python tools/record_measurements.py TREE...

Each TREE (a folder, an archive or REPO@REV) becomes `src/lockscape/report/measured/<version>.json`, where
the version is that of the tree's top Makefile. The same trees give the same bytes. The page and the tables of
``lockscape study`` show the sums.
"""

import re
import sys
from pathlib import Path

from lockscape.errors import LockscapeError, TreeError
from lockscape.report.bundled import encode
from lockscape.report.measure import measure
from lockscape.source.open_tree import open_tree
from lockscape.source.scan import scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files, Tree

TARGET = Path(__file__).parent.parent / "src" / "lockscape" / "report" / "measured"

FIELDS = ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")
"""The lines of the Makefile that make a version: three numbers joined by dots, and what follows them."""


def version_of(tree: Tree) -> str:
    """Return the version in the Makefile at the top of a Linux tree, such as ``2.6.11``."""
    found = scan(tree, FileSet(("Makefile",)), _first, workers=1)
    text = found.parts[0].value.decode("latin-1")
    values = []
    for field in FIELDS:
        match = re.search(rf"^{field}[ \t]*=[ \t]*(\S*)[ \t]*$", text, re.MULTILINE)
        if match is None:
            raise TreeError(f"the Makefile of {tree.origin!r} has no {field}: is it a Linux tree?")
        values.append(match[1])
    return ".".join(values[:3]) + values[3]


def _first(files: Files) -> bytes:
    return files.content(0)


def main(origins: list[str]) -> None:
    """Measure every tree by both methods and write its file."""
    for origin in origins:
        label = version_of(open_tree(origin))
        measurement = measure(open_tree(origin, label), methods=("evaluate", "cpp"))
        path = TARGET / f"{label}.json"
        path.write_bytes(encode(measurement))
        print(f"{path.name}: {len(measurement.files):,} files, {len(measurement.problems)} problems")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} TREE...")
    try:
        main(sys.argv[1:])
    except LockscapeError as error:
        sys.exit(f"record_measurements: {error}")
