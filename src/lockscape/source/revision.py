"""Git revisions as trees, read from the object database through libgit2; no work tree is needed."""

import difflib
import multiprocessing
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, Option, RepositoryOpenFlag

from lockscape.errors import TreeError
from lockscape.source.select import FileSet
from lockscape.source.tree import BATCH_FILES, MAX_FILE_BYTES, Batch, Files, FilesBuilder, Problem

_FILES = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


@dataclass(frozen=True)
class RevisionBatch:
    """Paths and object ids of files in the repository at `repo`, read where the batch is loaded."""

    repo: str
    paths: tuple[str, ...]
    ids: tuple[bytes, ...]

    def load(self) -> Iterator[Files]:
        """Yield the files; objects that the repository lacks or that are damaged become problems."""
        database = _opened(self.repo, os.getpid()).odb
        builder = FilesBuilder()
        for path, raw in zip(self.paths, self.ids, strict=True):
            if builder.full:
                yield builder.take()
            name = pygit2.Oid(raw=raw)
            try:
                _, size = database.read_header(name)
                if size > MAX_FILE_BYTES:
                    builder.problem(path, f"larger than {MAX_FILE_BYTES >> 20} MiB, not read as source")
                    continue
                builder.add(path, database.read(name)[1])
            except (pygit2.GitError, KeyError, ValueError, OSError) as error:
                builder.problem(path, _reason(error))
        yield builder.take()


class Revision:
    """The files of a revision ``REPO@REV`` as a tree.

    `repo` is a repository's folder, bare or not (not a folder inside a work tree); `rev` is anything
    ``git rev-parse`` understands that names a commit, a tag or a tree (``v2.6.11``, ``HEAD~3``,
    ``HEAD:sys``). `commit` is the full identity of the commit, None for a bare tree. Symbolic links are
    passed over, as in a directory; submodules in the set's folders and objects that a shallow or partial
    clone lacks are listed as problems. Raises TreeError for a folder that is no repository and a revision
    that does not exist.
    """

    kind = "revision"
    in_memory = False

    def __init__(self, repo: str, rev: str, label: str | None = None) -> None:
        self.origin = f"{repo}@{rev}"
        self.label = label or f"{_repository_label(repo)}@{rev}"
        self._path = str(Path(repo).absolute())
        self._problems: list[Problem] = []
        try:
            opened = _opened(self._path, os.getpid())
        except (pygit2.GitError, ValueError, OSError) as error:
            raise TreeError(
                f"cannot open {repo!r} as a git repository: {_reason(error)}; "
                "give the top folder of a repository, bare or not"
            ) from error
        self.commit, self._tree = _resolve(opened, repo, rev)

    def batches(self, select: FileSet) -> Iterator[Batch]:
        """Yield batches of at most `BATCH_FILES` names, from the tree objects below `select.roots`."""
        self._problems = []
        paths: list[str] = []
        ids: list[bytes] = []
        for root in select.roots:
            for path, name in self._walk(root):
                if select.matches(path):
                    paths.append(path)
                    ids.append(name)
                    if len(paths) == BATCH_FILES:
                        yield RevisionBatch(self._path, tuple(paths), tuple(ids))
                        paths, ids = [], []
        if paths:
            yield RevisionBatch(self._path, tuple(paths), tuple(ids))

    def _walk(self, root: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and object id of every file below the folder `root`, if the tree has it."""
        start = self._folder(root)
        folders = [] if start is None else [(root, start)]
        while folders:
            folder, name = folders.pop()
            prefix = f"{folder}/" if folder else ""
            for entry in self._entries(folder, name):
                path = prefix + os.fsdecode(entry.raw_name or b"")
                if entry.filemode == FileMode.TREE:
                    folders.append((path, entry.id))
                elif entry.filemode == FileMode.COMMIT:
                    self._problems.append(Problem(path, "a submodule: its files are in another repository"))
                elif entry.filemode in _FILES:
                    yield path, entry.id.raw

    def _folder(self, root: str) -> pygit2.Oid | None:
        """Return the object id of the folder `root`, None if the tree has no such folder."""
        at = self._tree
        path = ""
        for part in root.split("/") if root else ():
            names = {entry.raw_name: entry for entry in self._entries(path, at)}
            found = names.get(os.fsencode(part))
            path = f"{path}/{part}" if path else part
            if found is None or found.filemode != FileMode.TREE:
                if found is not None and found.filemode == FileMode.COMMIT:
                    self._problems.append(Problem(path, "a submodule: its files are in another repository"))
                return None
            at = found.id
        return at

    def _entries(self, folder: str, name: pygit2.Oid) -> list[pygit2.Object]:
        """Return the entries of a tree object; one that cannot be read is a problem."""
        try:
            found = _opened(self._path, os.getpid())[name]
            return list(found) if isinstance(found, pygit2.Tree) else []
        except (pygit2.GitError, KeyError, ValueError, OSError) as error:
            self._problems.append(Problem(folder or ".", _reason(error)))
            return []

    def problems(self) -> list[Problem]:
        """Return submodules and folders that could not be listed."""
        return list(self._problems)

    def strip(self, path: str) -> str | None:
        """Return `path`: a revision's paths are relative already."""
        return path


@lru_cache(maxsize=8)
def _opened(path: str, process: int) -> pygit2.Repository:
    """Open a repository once per process (`process` keeps a forked worker from using its parent's)."""
    # libgit2 refuses repositories that belong to another user, as git does since 2.35.2, because their
    # configuration may name programs to run. Nothing is run here: object databases are only read, which
    # is no more than reading the files of another user. So the check is off while a repository is opened;
    # it is a setting of the whole process, and put back for others who use pygit2 in it.
    if multiprocessing.parent_process() is not None:
        # A third of the reading time would go into the SHA-1 of every object, which git does not check
        # on reading either (zlib's checksums remain). Only worker processes leave it out: this setting
        # has no reader, so it could not be put back.
        pygit2.option(Option.ENABLE_STRICT_HASH_VERIFICATION, False)
    checked = pygit2.option(Option.GET_OWNER_VALIDATION)
    pygit2.option(Option.SET_OWNER_VALIDATION, False)
    try:
        return pygit2.Repository(path, RepositoryOpenFlag.NO_SEARCH)
    finally:
        pygit2.option(Option.SET_OWNER_VALIDATION, checked)


def _resolve(opened: pygit2.Repository, repo: str, rev: str) -> tuple[str | None, pygit2.Oid]:
    """Return the commit (None for a tree object) and the tree that `rev` names."""
    if not rev or "\0" in rev:
        raise TreeError(f"{repo + '@' + rev!r} names no revision: give REPO@REV, such as {repo + '@HEAD'!r}")
    try:
        found = opened.revparse_single(rev)
        while isinstance(found, pygit2.Tag):
            found = found.get_object()
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        raise TreeError(f"{repo!r} has no revision {rev!r}: {_advice(opened, rev, error)}") from error
    if isinstance(found, pygit2.Tree):
        return None, found.id
    if isinstance(found, pygit2.Commit):
        return str(found.id), found.tree_id
    raise TreeError(f"{repo + '@' + rev!r} is a single file: name a commit, a tag or a folder")


def _advice(opened: pygit2.Repository, rev: str, error: Exception) -> str:
    """Return what to try instead of a revision that does not exist: the nearest tags and branches."""
    names = {re.sub(r"^refs/(heads|tags|remotes)/", "", full): full for full in opened.references}
    near = difflib.get_close_matches(rev, names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"{name!r} ({names[name]!r})" for name in near) + "?"
    if isinstance(error, KeyError):
        return f"it has {len(names)} tags and branches; `git show-ref` lists them"
    return f"{_reason(error)}; `git show-ref` lists its tags and branches"


def _reason(error: Exception) -> str:
    """Return in one short line why libgit2 could not read something."""
    if isinstance(error, KeyError):
        return "missing from this repository (a shallow or partial clone?)"
    return repr(str(error))[1:-1][:200]  # it may quote names with control characters


def _repository_label(repo: str) -> str:
    path = Path(repo).resolve()
    return path.parent.name if path.name == ".git" else path.name.removesuffix(".git")
