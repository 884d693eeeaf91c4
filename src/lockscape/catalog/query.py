"""What the catalogue holds, read once. In names, case does not matter and spaces stand for hyphens."""

from collections.abc import Iterable
from functools import cache

from lockscape.catalog.load import bundled
from lockscape.catalog.model import (
    BeyondSystem,
    Claim,
    Figure,
    Method,
    Note,
    Reference,
    Release,
    System,
    Table1,
    Table2,
    Table3,
    Version,
)
from lockscape.errors import InputError, unknown


def choose(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return the member of `allowed` that `value` names.

    Case does not matter, and spaces stand for hyphens. Raises InputError, with the nearest name and all that
    are allowed, for anything else; so ``?``, which means *not known*, never matches.
    """
    names = {name.casefold(): name for name in allowed}
    key = "-".join(value.casefold().split())
    if key in names:
        return names[key]
    raise InputError(unknown(what, value, names.values()))


@cache
def methods() -> tuple[Method, ...]:
    """Return the seven methods in the paper's order."""
    return bundled("methods.toml").entries("methods", Method)


def method(id: str) -> Method:
    """Return a method by id; raises InputError, naming the nearest, if there is none."""
    by_id: dict[str, Method] = {each.id: each for each in methods()}
    return by_id[choose("method", id, by_id)]


@cache
def _all_systems() -> tuple[System, ...]:
    """Return the rows of Table 1 in order."""
    return bundled("systems.toml").entries("systems", System)


def systems(
    *,
    method: str | None = None,
    variant: str | None = None,
    latency: str | None = None,
    scalability: str | None = None,
) -> tuple[System, ...]:
    """Return the systems of Table 1, in its order, that match every filter given.

    `method` and `variant` are ids; levels are ids such as ``high``, ``as-guest`` or ``depends-on-up``, as
    they occur in the table. What the paper does not know matches no filter. Raises InputError for an
    unknown name.
    """
    found = _all_systems()
    if method is not None:
        wanted = choose("method", method, [each.id for each in methods()])
        found = tuple(each for each in found if each.method == wanted)
    if variant is not None:
        wanted = choose("variant", variant, [kind.id for each in methods() for kind in each.variants])
        found = tuple(each for each in found if wanted in each.variants)
    if latency is not None:
        wanted = choose("latency", latency, levels("latency"))
        found = tuple(each for each in found if each.latency == wanted)
    if scalability is not None:
        wanted = choose("scalability", scalability, levels("scalability"))
        found = tuple(each for each in found if each.scalability == wanted)
    return found


def levels(column: str) -> tuple[str, ...]:
    """Return the levels that occur in the column ``latency`` or ``scalability`` of Table 1, in its order."""
    name = choose("column of levels", column, ("latency", "scalability"))
    found = (each.latency if name == "latency" else each.scalability for each in _all_systems())
    return tuple(dict.fromkeys(level for level in found if level is not None))


def system(id: str) -> System:
    """Return a system of Table 1 by id; raises InputError, naming the nearest, if there is none."""
    by_id = {each.id: each for each in _all_systems()}
    return by_id[choose("system", id, by_id)]


@cache
def figures() -> tuple[Figure, ...]:
    """Return the published numbers that simulated ones are set beside, by system."""
    return bundled("figures.toml").entries("figures", Figure)


@cache
def common_costs() -> tuple[Note, ...]:
    """Return the estimated costs that the systems share on a machine of the Pentium 4 class."""
    return bundled("systems.toml").entries("common_costs", Note)


@cache
def references() -> tuple[Reference, ...]:
    """Return the paper's 27 references in order."""
    return bundled("references.toml").entries("references", Reference)


def reference(number: int) -> Reference:
    """Return a reference by its number, from 1; raises InputError if the paper has no such reference."""
    by_number = {each.number: each for each in references()}
    if number not in by_number:
        raise InputError(f"no reference {number}: the paper has {min(by_number)} to {max(by_number)}")
    return by_number[number]


@cache
def table1() -> Table1:
    """Return the caption and the columns of Table 1; its rows are `systems()`."""
    return bundled("tables.toml").entry("table1", Table1)


@cache
def table2() -> Table2:
    """Return Table 2 as published: places that acquire or release locks, by version of Linux."""
    return bundled("tables.toml").entry("table2", Table2)


@cache
def table3() -> Table3:
    """Return Table 3 as published: files and lines without and with SMP support, by version of Linux."""
    return bundled("tables.toml").entry("table3", Table3)


@cache
def versions() -> tuple[Version, ...]:
    """Return which version lockscape measured beside each published one."""
    return bundled("tables.toml").entries("versions", Version)


@cache
def releases() -> tuple[Release, ...]:
    """Return the releases of Linux with the dates that section 5 of the paper gives, oldest first."""
    return bundled("tables.toml").entries("releases", Release)


@cache
def claims() -> tuple[Claim, ...]:
    """Return the paper's statements about locking and source changes that its tables can check."""
    return bundled("findings.toml").entries("claims", Claim)


@cache
def beyond() -> tuple[BeyondSystem, ...]:
    """Return systems that the paper does not discuss."""
    return bundled("beyond.toml").entries("systems", BeyondSystem)
