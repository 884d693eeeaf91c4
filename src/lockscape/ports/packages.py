"""Methods from other packages: plans, systems, new code and its costs, installed beside lockscape.

A package names its importable package of files in the entry-point group ``lockscape.methods``; nothing else
is needed, and nothing of it is executed before one of its methods is asked for::

    [project.entry-points."lockscape.methods"]
    my-method = "my_method"

The files, all optional but one plan or system::

    my_method/plans/NAME.toml       a locking plan, or a variant of one: `lockscape simulate NAME`
    my_method/systems/NAME.toml     a system, see `lockscape.systems.model`
    my_method/costs.toml            steps of its own, with range and evidence, as lockscape's own
    my_method/*.py                  new code; a plan names it with its package: new_code = ["my_method.names"]

A name of lockscape's own stands for lockscape's own. What is wrong with a package is told in one line that
names it, when something of it is asked for.
"""

import hashlib
import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lockscape.errors import InputError
from lockscape.inputs import note_package
from lockscape.program.objects import Object

if TYPE_CHECKING:  # it brings modules for e-mail and sockets, which most commands never need
    from importlib.metadata import EntryPoint

GROUP = "lockscape.methods"
"""Entry points by which packages bring plans and systems."""

Kind = Literal["plans", "systems"]
"""What a package brings."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*", re.ASCII)


@dataclass(frozen=True)
class Package:
    """An installed package: `name` and `version` of its distribution, what it is imported as, its files."""

    name: str
    version: str
    module: str
    folder: Path

    def names(self, kind: Kind) -> list[str]:
        """Return the names of its plans, or of its systems."""
        stems = (path.stem for path in (self.folder / kind).glob("*.toml"))
        return sorted(stem for stem in stems if _NAME.fullmatch(stem))

    def owns(self, module: str) -> bool:
        """Return whether a module, by its full name, is of this package."""
        return module.startswith(f"{self.module}.")

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 over its Python and TOML files."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(f"{path.relative_to(self.folder).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def note(self) -> None:
        """Note for the manifest that something of it is used."""
        note_package(self.name, self.version, self.sha256)

    def text(self, file: str) -> str:
        """Return one of its files, which is then used."""
        self.note()
        return (self.folder / file).read_text("utf-8")


@dataclass(frozen=True)
class Broken:
    """An installed package that cannot be used at all, and why."""

    name: str
    why: str


@cache
def found() -> tuple[tuple[Package, ...], tuple[Broken, ...]]:
    """Return the installed packages, and those that cannot be used. None of their code is executed."""
    packages: dict[str, Package] = {}
    broken: list[Broken] = []
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        name = entry.dist.name if entry.dist is not None else entry.name
        try:
            packages.setdefault(entry.module, Package(name, _version(entry), entry.module, _folder(entry)))
        except (
            Exception,
            SystemExit,
        ) as error:  # whatever a package's finder or its parent package may raise
            broken.append(Broken(name, f"entry point {entry.name} = {entry.value!r}: {_line(error)}"))
    return tuple(sorted(packages.values(), key=lambda each: each.name)), tuple(broken)


def _version(entry: "EntryPoint") -> str:
    return entry.dist.version if entry.dist is not None else "?"


def _folder(entry: "EntryPoint") -> Path:
    spec = importlib.util.find_spec(entry.module)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    if not places or not Path(places[0]).is_dir():
        raise InputError(f"there is no package {entry.module!r} with files in a folder")
    return Path(places[0])


def names(kind: Kind) -> list[str]:
    """Return the names of all plans, or of all systems, that packages bring."""
    return sorted({name for package in found()[0] for name in package.names(kind)})


def text_of(kind: Kind, name: str) -> tuple[Package, str] | None:
    """Return the file of a plan or a system with its package, or None if no package has one of this name.

    Raises `InputError` if two packages have it, and for a file that cannot be read.
    """
    having = [package for package in found()[0] if name in package.names(kind)]
    if not having:
        return None
    if len(having) > 1:
        raise InputError(
            f"{name!r} is in the packages {' and '.join(each.name for each in having)}: uninstall one of them"
        )
    with told(having):
        return having[0], having[0].text(f"{kind}/{name}.toml")


def owner(module: str) -> Package | None:
    """Return the installed package that a module of new code, by its full name, belongs to."""
    return next((package for package in found()[0] if package.owns(module)), None)


def owners(new_code: Iterable[str]) -> list[Package]:
    """Return the packages that modules of new code come from, which are then used.

    Raises `InputError` for a module of none.
    """
    every: dict[str, Package] = {}
    for module in new_code:
        if "." in module:
            package = owner(module)
            if package is None:
                raise InputError(
                    f"new code {module!r} is of no installed package with an entry point of {GROUP}: install "
                    "its package"
                )
            package.note()
            every[package.name] = package
    return list(every.values())


def load_code(new_code: Sequence[str]) -> tuple[types.ModuleType, ...]:
    """Import modules of new code: of `lockscape.ports`, or with a dot in the name of an installed package.

    Raises `InputError` for what cannot be imported, and for a class of objects that is there already.
    """
    with told(owners(new_code)):
        return tuple(_own(name) if "." in name else _ours(name) for name in new_code)


def _ours(name: str) -> types.ModuleType:
    return importlib.import_module(f"lockscape.ports.{name}")


def _own(name: str) -> types.ModuleType:
    before = dict(Object.declared)
    try:
        module = importlib.import_module(name)
        for of, cls in before.items():
            if Object.declared[of] is not cls:
                del sys.modules[name]
                raise InputError(f"{name}: a class {of} is there already: extend it, or use another name")
    except BaseException:
        Object.declared.clear()
        Object.declared.update(before)
        raise
    return module


@contextmanager
def told(packages: Sequence[Package]) -> Iterator[None]:
    """Turn whatever goes wrong in the code or the files of packages into an `InputError` that names them."""
    who = " and ".join(f"package {each.name} {each.version}" for each in packages)
    try:
        yield
    except (Exception, SystemExit) as error:
        if not packages or str(error).startswith(who):
            raise
        raise InputError(f"{who}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, InputError) else f"{type(error).__name__}: {said}"
