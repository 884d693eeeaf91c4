"""The footprint of a feature in source code: how much of it differs with and without some macros (Table 3).

Two methods. ``evaluate`` is lockscape's own: an evaluator of preprocessor conditionals (`conditionals`), a
statement form (`statements`) and a comparison by source line (`hunks`). ``cpp`` is the study's original
pipeline of cpp, indent and diff (`cpp`), which needs these programs. Both look at each file on its own, with
the local headers that it includes by a quoted name from the same set, and without all others.

The contents of the file set are held in memory (the study's sets have 1.5 to 4.5 MB).
"""

import multiprocessing
import re
import sys
from collections.abc import Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Literal

from lockscape.errors import InputError, TreeError
from lockscape.source.conditionals import PREDEFINED, survivors
from lockscape.source.cpp import Pipeline
from lockscape.source.hunks import Measured, compare, unchanged
from lockscape.source.includes import Sources, is_assembler
from lockscape.source.scan import Progress, TreeInfo, scan, worker_count
from lockscape.source.select import FileSet
from lockscape.source.statements import MAX_LINE_CHARS, long_line
from lockscape.source.tree import Files, Problem, Tree

PAPER_FILES = FileSet(
    (
        "kernel/**/*.[chS]",
        "mm/**/*.[chS]",
        "arch/i386/**/*.[chS]",
        "include/asm-i386/**/*.[chS]",
        "fs/ext2/**/*.[chS]",
    )
)
"""The files of the study's Table 3: it gives 173, 226, 280 and 547 files for Linux 2.0.40, 2.2.26, 2.4.31 and
2.6.11, where the paper has 173, 226, 280 and 548 (found by experiment, see the documentation)."""

PAPER_DEFINES: Mapping[str, str] = {"CONFIG_SMP": "1", "__SMP__": "1"}
"""The macros of the study's Table 3 (section 5 of the paper)."""

Method = Literal["evaluate", "cpp"]
"""How changed lines are found: by lockscape's evaluator, or by cpp, indent and diff."""

INLINE_BYTES = 256 << 10
"""A smaller set is measured in this process: starting others would take longer."""


@dataclass(frozen=True)
class FileFootprint:
    """What differs in one file. All numbers are lines that are not blank, in one-statement-per-line form."""

    path: str
    sha256: str
    """Of the file's content, as hexadecimal digits."""
    lines_without: int
    lines_with: int
    modified: int
    """Lines of differing hunks that both sides have: the smaller side of each hunk."""
    new: int
    """Lines by which hunks are longer with the macros."""
    removed: int
    """Lines by which hunks are shorter with the macros."""
    includes: tuple[str, ...] = ()
    """Local headers of the set whose text is counted in this file as well."""

    @property
    def changed_lines(self) -> int:
        """Modified, new and removed lines together: the larger side of each hunk."""
        return self.modified + self.new + self.removed


@dataclass(frozen=True)
class Footprint:
    """What differs in a tree's file set between two macro sets, per file and in all."""

    tree: TreeInfo
    defines: Mapping[str, str]
    """The macros of the side "with"."""
    against: Mapping[str, str]
    """The macros of the side "without"."""
    method: Method
    tools: Mapping[str, str]
    """The first line of ``--version`` of each program used; empty for the method ``evaluate``."""
    files: tuple[FileFootprint, ...]
    """In the byte order of their paths."""
    problems: tuple[Problem, ...]
    """Files that could not be read, and places (``path:line``) whose meaning is not clear. Sorted."""

    @property
    def changed_files(self) -> int:
        """The number of files in which a line differs."""
        return sum(1 for file in self.files if file.changed_lines)

    @property
    def lines_without(self) -> int:
        """Lines of all files without the macros."""
        return sum(file.lines_without for file in self.files)

    @property
    def lines_with(self) -> int:
        """Lines of all files with the macros."""
        return sum(file.lines_with for file in self.files)

    @property
    def modified(self) -> int:
        """Modified lines of all files."""
        return sum(file.modified for file in self.files)

    @property
    def new(self) -> int:
        """New lines of all files."""
        return sum(file.new for file in self.files)

    @property
    def removed(self) -> int:
        """Removed lines of all files."""
        return sum(file.removed for file in self.files)

    @property
    def changed_lines(self) -> int:
        """Lines that differ in all files, a changed line counted once (the last column of Table 3)."""
        return sum(file.changed_lines for file in self.files)

    @property
    def share(self) -> float | None:
        """Lines that differ as a part (0 to 1) of those without the macros; None without any such line."""
        return self.changed_lines / self.lines_without if self.lines_without else None


def footprint(
    tree: Tree,
    *,
    select: FileSet,
    defines: Mapping[str, str],
    against: Mapping[str, str] | None = None,
    method: Method = "evaluate",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Footprint:
    """Measure how the files that `select` names differ between the macro sets `against` and `defines`.

    The sets map names to bodies (``{"CONFIG_SMP": "1"}``); neither contains the other. `progress` is called
    with the files and bytes measured so far. Raises InputError for a macro that is not a name with a
    one-line body, TreeError for a tree that cannot be read, and MissingToolError for method ``cpp`` without
    its programs.
    """
    with_, without = (dict(sorted((macros or {}).items())) for macros in (defines, against))
    for macros in (with_, without):
        _check(macros)
    scanned = scan(tree, select, _contents, workers=workers)
    read = {
        path: content
        for part in scanned.parts
        for path, content in zip(part.paths, part.value, strict=True)
        if path is not None
    }
    contents = {file.path: read[file.path] for file in scanned.files}
    sources, cores = Sources(contents), workers or worker_count()
    tools: Mapping[str, str] = {}
    if method == "cpp":
        with Pipeline(sources, without, with_) as pipeline:
            tools = pipeline.tools
            measured = _followed(pipeline.run(cores), contents, progress)
    else:
        measured = _followed(_evaluate(Evaluator(sources, without, with_), cores), contents, progress)
    problems = {*scanned.problems, *(problem for one in measured for problem in one.problems)}
    files = tuple(
        FileFootprint(file.path, file.sha256, **asdict(one.delta), includes=one.includes)
        for file, one in zip(scanned.files, measured, strict=True)
    )
    return Footprint(scanned.tree, with_, without, method, tools, files, tuple(sorted(problems)))


_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _check(macros: Mapping[str, str]) -> None:
    for name, body in macros.items():
        if not _NAME.fullmatch(name) or name == "defined":
            raise InputError(
                f"{name!r} is not a macro's name: give NAME or NAME=VALUE, for example CONFIG_SMP"
            )
        if not body.isprintable() or not body.isascii():
            raise InputError(f"the body {body!r} of macro {name} is not one line of plain text: shorten it")


def _contents(files: Files) -> list[bytes]:
    return [files.content(index) for index in range(len(files.paths))]


def _followed(
    results: Generator[Measured, None, None], contents: Mapping[str, bytes], progress: Progress | None
) -> list[Measured]:
    """Gather one result for each file and report the progress; an interruption ends the work as well."""
    gathered: list[Measured] = []
    size = 0
    with closing(results):
        for content, one in zip(contents.values(), results, strict=True):
            gathered.append(one)
            size += len(content)
            if progress is not None:
                progress(len(gathered), size)
    return gathered


class Evaluator:
    """Measures single files with lockscape's own evaluator."""

    def __init__(self, sources: Sources, without: Mapping[str, str], with_: Mapping[str, str]) -> None:
        self.sources = sources
        self.without = {**PREDEFINED, **without}
        self.with_ = {**PREDEFINED, **with_}
        names = {*self.without, *self.with_}
        self.differing = tuple(n for n in names if self.without.get(n) != self.with_.get(n))

    def measure(self, path: str) -> Measured:
        """Return what differs in the file `path` of the set."""
        includes = self.sources.reached(path)
        split = not is_assembler(path)
        if any(map(self._may_differ, (path, *includes))):
            found = survivors(path, self.sources.find, self.without, self.with_)
            delta = compare(found.stretches, split=split)
        else:
            found = survivors(path, self.sources.find, self.without)
            delta = unchanged(found.stretches, split=split)
        problems = [Problem(f"{w.path}:{w.line}", w.reason) for w in found.warnings]
        parsed = self.sources.parsed(path)
        long = long_line(parsed.text)
        if long is not None:
            reason = f"line longer than {MAX_LINE_CHARS >> 20} MiB, the file's statements are not told apart"
            problems.append(Problem(f"{path}:{parsed.line(long)}", reason))
        return Measured(delta, includes, tuple(problems))

    def _may_differ(self, path: str) -> bool:
        """Whether a differing macro is named in the file, or could be put together by ``##``."""
        text = self.sources.parsed(path).text
        if "\v" in text:
            text = text.replace("\v", "")
        return "##" in text or any(name in text for name in self.differing)


def _evaluate(evaluator: Evaluator, workers: int) -> Generator[Measured, None, None]:
    contents = evaluator.sources.contents
    if workers == 1 or sum(map(len, contents.values())) < INLINE_BYTES:
        yield from map(evaluator.measure, contents)
        return
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, context, initializer=_share, initargs=(evaluator,)) as pool:
        try:
            yield from pool.map(_measure_shared, contents, chunksize=max(1, len(contents) // (workers * 8)))
        except BrokenProcessPool:
            raise TreeError(
                "a process that measured files was killed, for want of memory perhaps: "
                "measure with fewer workers, or fewer files"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_shared: list[Evaluator] = []  # set in worker processes only: with fork the contents are not copied to them


def _share(evaluator: Evaluator) -> None:
    _shared[:] = [evaluator]


def _measure_shared(path: str) -> Measured:
    return _shared[0].measure(path)
