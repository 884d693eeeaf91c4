"""What a source tree says of a kernel: its size, its places of locks, and the locks that most places take."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from lockscape.experiments.advise_kernel import Given
from lockscape.experiments.effort_axis import SourceEffort
from lockscape.report.manifest import TreeRecord, Unread, tree_record
from lockscape.report.measure import measure
from lockscape.report.source_effort import source_efforts
from lockscape.source.census import Site, census
from lockscape.source.profile import load_profile
from lockscape.source.scan import Progress
from lockscape.source.select import FileSet
from lockscape.source.tree import Tree

LONGEST = 300
"""Bytes of a call in which its first argument is looked for."""

LOCKLESS = ("rcu",)
"""Kinds whose calls name no lock."""

GENERAL = ("lock", "mutex", "sem", "mtx")
"""Names that tell nothing without what the lock is part of (``ipc->lock``)."""

_HOLDER = re.compile(r"(\w{1,80})\s{0,20}(?:\[[^\[\]]{0,80}\]\s{0,20})?(?:->|\.)\s{0,20}\w{1,80}\)*$")
_NAME = re.compile(r"([A-Za-z_]\w{0,80})\s{0,20}(?:\[[^\[\]]{0,80}\]\s{0,20}){0,4}\)*$")


class LockUse(msgspec.Struct, frozen=True):
    """A lock as the source names it: its last name (``i_lock`` of ``&inode->i_lock``), and its kind.

    `places`: where it is taken or tried; `files`: how many files they are in.
    """

    lock: str
    kind: str
    places: int
    files: int


class TreeFacts(msgspec.Struct, frozen=True):
    """What was counted in a tree.

    `lines`: without multiprocessor support, in the files that the footprint looks at (Table 3), None if it
    has none; `changed_lines`: that differ with it. `sites`: places of locks (Table 2) by profile `profile`.
    `locks`: those that most places take. `unnamed`: places whose lock is not told by their first argument.
    """

    tree: TreeRecord
    profile: str
    lines: int | None
    changed_lines: int | None
    sites: int
    locks: tuple[LockUse, ...]
    unnamed: int
    problems: tuple[Unread, ...]

    @property
    def density(self) -> float | None:
        """Return the places of locks per 1,000 lines."""
        return None if not self.lines else 1000 * self.sites / self.lines


def tree_facts(tree: Tree, workers: int | None = None, progress: Progress | None = None) -> TreeFacts:
    """Count a tree. Raises `TreeError` for one that is no kernel that a profile knows."""
    measured = measure(tree, workers=workers, progress=progress)
    change = measured.change("evaluate")
    profile = load_profile(measured.profiles[-1])
    files = FileSet(tuple(_literal(file.path) for file in measured.files), ())
    found = census(tree, profile, select=files, sites=True, workers=workers, progress=progress)
    places = [s for s in found.sites() if s.role in ("acquire", "try") and s.kind not in LOCKLESS]
    named = list(_named(tree, files, places))
    return TreeFacts(
        tree_record(found.tree), measured.profiles[0], change.lines_no_smp if change else None,
        change.modified if change else None, sum(measured.counts(measured.profiles[0]).values()),
        tuple(_uses(named)), len(places) - len(named), measured.problems,
    )  # fmt: skip


def _literal(path: str) -> str:
    """Return a pattern that fits a path and nothing else."""
    return re.sub(r"([\\*?\[\]{},])", r"\\\1", path)


def _uses(named: Sequence[tuple[str, Site]]) -> Iterator[LockUse]:
    counts = Counter((lock, site.kind) for lock, site in named)
    files: dict[tuple[str, str], set[str]] = {}
    for lock, site in named:
        files.setdefault((lock, site.kind), set()).add(site.path)
    for key, places in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        yield LockUse(*key, places, len(files[key]))


def _named(tree: Tree, select: FileSet, sites: Sequence[Site]) -> Iterator[tuple[str, Site]]:
    """Yield the name of each place's lock; a place without one is left out."""
    by_file: dict[str, list[Site]] = {}
    for site in sites:
        by_file.setdefault(site.path, []).append(site)
    for batch in tree.batches(select):
        for files in batch.load():
            for index, path in enumerate(files.paths):
                inside = tree.strip(path) or path
                if inside in by_file:
                    yield from _in_file(files.content(index), by_file[inside])


def _in_file(content: bytes, sites: Sequence[Site]) -> Iterator[tuple[str, Site]]:
    starts = [0]
    starts += [match.end() for match in re.finditer(rb"\n", content)]
    for site in sites:
        if site.line > len(starts):
            continue
        at = starts[site.line - 1] + site.column - 1
        lock = lock_name(content[at : at + LONGEST].decode(errors="replace"), site.name)
        if lock is not None:
            yield lock, site


def lock_name(call: str, operation: str) -> str | None:
    """Return the last name in the first argument of a call, None if there is none.

    An operation without an argument (``lock_kernel()``) is a lock of its own.
    """
    rest = call.removeprefix(operation).lstrip()
    if not rest.startswith("("):
        return None
    depth = 0
    for at, character in enumerate(rest):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        if depth == 0 or (depth == 1 and character == ","):
            argument = " ".join(rest[1:at].split())
            found = _NAME.search(argument)
            return operation if not argument else None if found is None else _told(argument, found[1])
    return None


def _told(argument: str, name: str) -> str:
    """Return a lock's name, with what it is part of where it says nothing itself."""
    holder = _HOLDER.search(argument) if name in GENERAL else None
    return name if holder is None else f"{holder[1]}->{name}"


def nearest_system(facts: TreeFacts | None) -> str | None:
    """Return the system of Table 1 that a tree is like by its places of locks, None if that is not known."""
    near = None if facts is None else nearest_kernel(facts)
    return None if near is None else near.system


def nearest_kernel(facts: TreeFacts) -> SourceEffort | None:
    """Return the real kernel with about as many places of locks per line, None if the size is not known."""
    density = facts.density
    if not density:
        return None
    kernels = [each for each in source_efforts() if each.source == "measured"]
    return min(kernels, key=lambda e: abs(_ratio(1000 * e.all_sites / e.lines_uniprocessor, density)))


def _ratio(one: float, other: float) -> float:
    """Return how far apart two numbers are, as a ratio from 0."""
    return max(one, other) / min(one, other) - 1


def given_tree(facts: TreeFacts | None) -> Iterator[Given]:
    """Yield what a tree says of the kernel, and where it came from."""
    if facts is None:
        return
    source = f"tree {facts.tree.label}"
    if facts.lines is not None:
        text = f"{facts.lines:,}"
        yield Given(
            "lines of the kernel", text, source + ", files of Table 3, without multiprocessor support"
        )
    near = nearest_kernel(facts)
    text = f"{facts.sites:,}"
    if facts.density is not None and near is not None:
        text += f", {facts.density:.1f} per 1,000 lines, nearest to Linux {near.version}"
    yield Given("places of locks", text, f"{source}, profile {facts.profile}")
    if facts.changed_lines:
        yield Given("lines that differ with multiprocessor support", f"{facts.changed_lines:,}", source)
    if facts.problems:
        yield Given("files that could not be read", f"{len(facts.problems):,}", source)
