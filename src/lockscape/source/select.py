"""Which files of a tree are looked at: sets of glob patterns, compiled once."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bracex import ExpansionLimitException, expand

from lockscape.errors import InputError

_TOKEN = re.compile(
    r"(?P<deep>\*\*/)|(?P<all>\*\*)|(?P<star>\*)|(?P<one>\?)|\[(?P<not>[!^]?)(?P<set>\]?[^\]]*)\]"
)


@dataclass(frozen=True)
class FileSet:
    """Files whose tree-relative path matches one of `include` and none of `exclude`.

    Patterns are globs over ``/``-separated paths: ``*`` and ``?`` stay within a folder, ``**`` crosses
    folders, ``{c,h,S}`` and ``[ch]`` are alternatives; files that start with a dot are no exception.
    ``kernel/**/*.[chS]`` is every C, header and assembler file below ``kernel/``.
    """

    include: tuple[str, ...] = ("**/*.[chS]",)
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Compile the patterns now: a bad one is an InputError here, not in the middle of a tree."""
        assert self._include is not None
        assert self._exclude is not None

    @cached_property
    def _include(self) -> re.Pattern[str]:
        return _compile(self.include)

    @cached_property
    def _exclude(self) -> re.Pattern[str]:
        return _compile(self.exclude)

    def matches(self, path: str) -> bool:
        """Return whether the tree-relative `path` belongs to the set."""
        if self._include.fullmatch(path) is None:
            return False
        return not self.exclude or self._exclude.fullmatch(path) is None

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The folders that can hold a matching file, without those inside another; ``""`` is the tree."""
        folders = sorted({_literal_folder(one) for pattern in self.include for one in expand(pattern)})
        kept: list[str] = []
        for folder in folders:
            if not any(not k or folder == k or folder.startswith(k + "/") for k in kept):
                kept.append(folder)
        return tuple(kept)

    def missing(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return the include patterns that none of `paths` matches (the tree has other folders)."""
        return tuple(p for p in self.include if not any(map(_compile((p,)).fullmatch, paths)))


def _literal_folder(pattern: str) -> str:
    folders = pattern.split("/")[:-1]
    magic = next((i for i, folder in enumerate(folders) if re.search(r"[*?\[]", folder)), len(folders))
    return "/".join(folders[:magic])


def _compile(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return one regular expression for all patterns; none at all matches nothing."""
    parts: list[str] = []
    for pattern in patterns:
        try:
            part = "|".join("".join(_translate(one)) for one in expand(pattern))
            re.compile(part)
        except (re.error, ExpansionLimitException) as error:
            raise InputError(f"file pattern {pattern!r} is not valid: {error}") from error
        parts.append(part)
    return re.compile("|".join(parts) or "(?!)", re.DOTALL)


def _translate(pattern: str) -> Iterator[str]:
    at = 0
    for token in _TOKEN.finditer(pattern):
        yield re.escape(pattern[at : token.start()])
        at = token.end()
        if token["deep"]:
            yield "(?:.*/)?"
        elif token["all"]:
            yield ".*"
        elif token["star"]:
            yield "[^/]*"
        elif token["one"]:
            yield "[^/]"
        else:
            # what means something in a regular expression's set, now or announced, is only itself here
            inside = re.sub(r"([\\\[&~|])", r"\\\1", token["set"]).replace("--", "-\\-")
            yield f"[{'^/' if token['not'] else ''}{inside}]"
    yield re.escape(pattern[at:])
