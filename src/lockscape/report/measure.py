"""Measures a tree for the study: the censuses of Table 2 and the footprint of Table 3, per file."""

from collections.abc import Iterable, Sequence

from lockscape import __version__
from lockscape.errors import TreeError
from lockscape.report.bundled import FORMAT, MeasuredFile, Measurement
from lockscape.report.manifest import Unread
from lockscape.source.census import Census, census
from lockscape.source.family import family_of
from lockscape.source.footprint import Footprint, Method, footprint
from lockscape.source.profile import load_profile
from lockscape.source.scan import Progress
from lockscape.source.select import FileSet
from lockscape.source.tree import Problem, Tree

LINUX = ("paper", "linux")
"""The profiles that a Linux tree is counted by: as in the study, and as it is counted today."""

RENAMED = (("arch/i386/", "arch/{i386,x86}/"), ("include/asm-i386/", "include/asm-{i386,x86}/"))
"""Folders of the study's file sets, and what they are in any Linux: since 2.6.24, i386 is a part of x86."""


def measure(
    tree: Tree,
    *,
    methods: Sequence[Method] = ("evaluate",),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Count a tree: a Linux by the study's file sets and both `LINUX` profiles, others by their own profile.

    Raises TreeError for a tree that is neither Linux nor of a family that a bundled profile knows.
    """
    try:
        return _measure(tree, LINUX, methods, workers, progress)
    except TreeError as error:  # none of the files that a Linux has
        family = family_of(tree)
        if family in (None, "linux"):
            raise TreeError(f"{error} (`lockscape census --files` looks at any files)") from error
        return _measure(tree, (str(family),), methods, workers, progress)


def _measure(
    tree: Tree, names: tuple[str, ...], methods: Sequence[Method], workers: int | None,
    progress: Progress | None,
) -> Measurement:  # fmt: skip
    profiles = [load_profile(name) for name in names]
    first = profiles[0]
    select = FileSet(_renamed(first.files.include), first.files.exclude)
    assert first.footprint is not None, "every bundled profile has one"
    changing = FileSet(_renamed(first.footprint.include), first.footprint.exclude)
    found = [census(tree, each, select=select, workers=workers, progress=progress) for each in profiles]
    changes = [
        footprint(
            tree, select=changing, defines=_macros(first.footprint.define),
            against=_macros(first.footprint.against), method=method, workers=workers, progress=progress,
        )
        for method in methods
    ]  # fmt: skip
    problems = {problem for one in found for problem in one.problems}
    problems |= {problem for change in changes for problem in change.problems}
    return Measurement(
        format=FORMAT,
        label=tree.label,
        lockscape=__version__,
        identity=found[0].tree.identity,
        commit=tree.commit,
        profiles=names,
        kinds=tuple({kind.id: kind.title for kind in each.kinds} for each in profiles),
        methods=tuple(methods),
        define=dict(changes[0].defines),
        against=dict(changes[0].against),
        tools={name: version for each in changes for name, version in each.tools.items()},
        patterns_without_files=found[0].missing,
        problems=_unread(problems),
        files=_files(found, changes),
    )


def _renamed(patterns: Iterable[str]) -> tuple[str, ...]:
    found = tuple(patterns)
    for old, new in RENAMED:
        found = tuple(pattern.replace(old, new) for pattern in found)
    return found


def _macros(options: Iterable[str]) -> dict[str, str]:
    pairs = (option.partition("=") for option in options)
    return {name: value if equals else "1" for name, equals, value in pairs}


def _unread(problems: Iterable[Problem]) -> tuple[Unread, ...]:
    return tuple(Unread(problem.path, problem.reason) for problem in sorted(problems))


def _files(censuses: Sequence[Census], changes: Sequence[Footprint]) -> tuple[MeasuredFile, ...]:
    counts = [_by_file(each) for each in censuses]
    lines = [
        {file.path: (file.lines_without, file.lines_with, file.changed_lines) for file in each.files}
        for each in changes
    ]
    files = censuses[0].files
    known = {file.path: file.sha256 for file in files}
    same = all(each.files == files for each in censuses) and all(
        known.get(file.path) == file.sha256 for each in changes for file in each.files
    )
    if not same:
        raise TreeError(f"{censuses[0].tree.origin!r} changed while it was measured: measure it again")
    return tuple(
        MeasuredFile(
            file.path, file.bytes, file.sha256, tuple(each[number] for each in counts),
            tuple(each[file.path] for each in lines) if file.path in lines[0] else None,
        )
        for number, file in enumerate(files)
    )  # fmt: skip


def _by_file(census: Census) -> list[dict[str, int]]:
    return [
        {kind: count for kind, count in zip(census.kinds, counts, strict=True) if count}
        for counts in census.by_file().tolist()
    ]
