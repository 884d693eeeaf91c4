"""The files of a set, parsed when needed, and which of them include which."""

from collections.abc import Mapping
from functools import lru_cache

from lockscape.source.conditionals import Parsed, included_name, local_target, parse

CACHED_FILES = 64
"""Parsed files kept at hand; headers such as those of math-emu are included by dozens of files."""


def is_assembler(path: str) -> bool:
    """Return whether `path` names an assembler file, which has other comments and is left as it is."""
    return path.endswith((".S", ".s"))


class Sources:
    """The contents of a file set by tree-relative path, held in memory."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = contents
        self.parsed = lru_cache(maxsize=CACHED_FILES)(self._parsed)
        self._targets: dict[str, tuple[str, ...]] = {}

    def find(self, path: str) -> Parsed | None:
        """Return a file of the set, parsed, or None for any other path."""
        return self.parsed(path) if path in self.contents else None

    def _parsed(self, path: str) -> Parsed:
        return parse(self.contents[path], assembler=is_assembler(path))

    def target(self, path: str, text: str) -> str | None:
        """Return the file of the set that an include in `path` names, given what follows ``#include``."""
        name = included_name(text)
        target = local_target(path, name) if name else None
        return target if target in self.contents else None

    def reached(self, path: str) -> tuple[str, ...]:
        """Return the files of the set that `path` includes under any macros, also through others, sorted."""
        seen = {path}
        pending = [path]
        while pending:
            for target in self._direct(pending.pop()):
                if target not in seen:
                    seen.add(target)
                    pending.append(target)
        return tuple(sorted(seen - {path}))

    def _direct(self, path: str) -> tuple[str, ...]:
        if path not in self._targets:
            found = (self.target(path, item.text) for item in self.parsed(path).items if item.includes)
            self._targets[path] = tuple({target: None for target in found if target})
        return self._targets[path]
