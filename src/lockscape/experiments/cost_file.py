"""Costs of a real kernel, by name or from a user's file: the documents of ``lockscape calibrate``."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec

from lockscape.errors import InputError, reason_of, unknown
from lockscape.inputs import read_file


class Costs(NamedTuple):
    """Factors of steps' costs, and the machine preset on which they were found."""

    machine: str
    factors: Mapping[str, float]


class _Document(msgspec.Struct):
    """What is needed of the document of ``lockscape calibrate``."""

    document: str
    machine: str = ""
    factors: dict[str, float] = {}


def cost_files() -> list[str]:
    """Return the names of the costs that come with lockscape."""
    return sorted(path.name.removesuffix(".json") for path in _folder().iterdir() if path.name[0] != "_")


def read_costs(name: str) -> Costs:
    """Return costs by name (`cost_files`) or from a file.

    Raises `InputError` with the remedy for neither.
    """
    try:
        if name in cost_files():
            data = (_folder() / f"{name}.json").read_bytes()
        elif "/" in name or name.endswith(".json"):
            data = read_file(Path(name))
        else:
            raise InputError(f"{unknown('costs', name, cost_files())}; or give a FILE.json of calibrate")
        found = msgspec.json.decode(data, type=_Document)
    except OSError as error:
        raise InputError(f"{name}: {reason_of(error)}; give a file of: lockscape calibrate --json") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{name}: no document of calibrate ({error}); give its --json") from error
    if found.document != "calibrate":
        raise InputError(f"{name}: a document {found.document!r}; give that of: lockscape calibrate --json")
    wrong = next((step for step, factor in found.factors.items() if not 0 <= factor <= 1e6), None)
    if wrong is not None:
        raise InputError(f"{name}: factor {found.factors[wrong]} of {wrong}; from 0 to 1,000,000")
    return Costs(found.machine, found.factors)


def _folder() -> "resources.abc.Traversable":
    return resources.files("lockscape.experiments") / "costs"
