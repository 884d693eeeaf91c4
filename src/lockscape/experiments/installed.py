"""Methods and systems that installed packages bring, as they are listed: none of their code is executed."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from lockscape.errors import InputError
from lockscape.ports import packages


class InstalledMethod(msgspec.Struct, frozen=True):
    """A plan or a system of an installed package, with the name that it runs by. `method`: of the seven."""

    name: str
    title: str
    method: str
    kind: Literal["plan", "system"]
    package: str
    version: str


class UnusableMethod(msgspec.Struct, frozen=True):
    """Something of an installed package that cannot be used, and why."""

    package: str
    reason: str


def installed() -> tuple[tuple[InstalledMethod, ...], tuple[UnusableMethod, ...]]:
    """Return what installed packages bring, and what of it cannot be used."""
    found, broken = packages.found()
    every = [each for package in found for each in _of(package)]
    methods = tuple(each for each in every if isinstance(each, InstalledMethod))
    wrong = tuple(each for each in every if isinstance(each, UnusableMethod))
    return methods, (*(UnusableMethod(each.name, each.why) for each in broken), *wrong)


def _of(package: packages.Package) -> Iterator[InstalledMethod | UnusableMethod]:
    from lockscape.experiments.choose import choose
    from lockscape.ports.plan import plan_names
    from lockscape.systems.load import system_ids

    systems = package.names("systems")
    named = (*systems, *package.names("plans"))
    if not named:
        yield UnusableMethod(package.name, f"no plans/NAME.toml and no systems/NAME.toml in {package.module}")
    own = {*plan_names(), *system_ids()}
    for number, name in enumerate(named):
        if name in own:
            yield UnusableMethod(package.name, f"{name!r} is lockscape's own, which stands: use another name")
            continue
        try:
            plan = choose(name).plan
        except InputError as error:
            yield UnusableMethod(package.name, str(error))
        else:
            kind: Literal["plan", "system"] = "system" if number < len(systems) else "plan"
            yield InstalledMethod(name, plan.title, plan.method, kind, package.name, package.version)
