"""An experiment: a file that says which runs a sweep makes. Every list is an axis of a grid.

A file looks like this::

    title = "Two locks"
    systems = ["giant", "./mine.toml"]      # required: systems, methods, or plans of your own
    workloads = ["postmark", "mailserver"]  # default: PostMark
    processors = "1-8"                      # 4, "1-8", "1,2,4", or a list; one processor is always run
    processes = [8, 64]                     # default: 8, or as the workload says
    machines = ["pentium4"]                 # presets; default: the system's own
    cost_samples = "0-20"                   # draws of all costs from their ranges; 0, the default: as stated
    seeds = [42, 43]                        # of the workload; default: its own
    seeding = "same"                        # for all processes of PostMark, or each its own ("each")
    libc = "2005"                           # the C library: of 2005, or "modern"

    [postmark]                              # where it differs from the paper's setting
    transactions = 1000
    files = 100

Files of plans, workloads and traces are looked for from the folder of the experiment's file.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lockscape.errors import InputError, reason_of, unknown
from lockscape.experiments.numbers import numbers_in
from lockscape.experiments.request import POSTMARK
from lockscape.experiments.result import MOST_PROCESSES
from lockscape.experiments.sample import MOST_SAMPLES
from lockscape.inputs import read_file
from lockscape.machine.state import MOST_PROCESSORS
from lockscape.workloads.postmark import MAX_INT, PAPER, Libc, PostmarkOptions, Seeding

BOUNDS = {
    "processors": (1, MOST_PROCESSORS),
    "processes": (1, MOST_PROCESSES),
    "cost_samples": (0, MOST_SAMPLES),
    "seeds": (1, MAX_INT),
}
"""Axes of numbers, with the least and the largest of each."""


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is run: every axis of the grid, and what is the same in all runs; see the module.

    `processes`, `machines` and `seeds` are empty where each workload or system has its own.
    """

    title: str = ""
    systems: tuple[str, ...]
    workloads: tuple[str, ...] = (POSTMARK,)
    processors: tuple[int, ...] = tuple(range(1, 9))
    processes: tuple[int, ...] = ()
    machines: tuple[str, ...] = ()
    cost_samples: tuple[int, ...] = (0,)
    seeds: tuple[int, ...] = ()
    seeding: Seeding = "same"
    libc: Libc = "2005"
    postmark: PostmarkOptions = PAPER


REMEDIES = {
    "title": 'a text, such as title = "Two locks"',
    "systems": 'names of systems, methods or files, such as systems = ["giant", "./mine.toml"]',
    "workloads": 'names or files, such as workloads = ["postmark", "mailserver"]',
    "processors": 'numbers from 1 to 1024, such as processors = "1-8" or [1, 2, 4]',
    "processes": "numbers from 1 to 4096, such as processes = [8, 64]",
    "machines": 'names of presets, such as machines = ["pentium4", "modern"]',
    "cost_samples": 'numbers from 0, the stated costs, such as cost_samples = "0-20"',
    "seeds": "numbers from 1, such as seeds = [42, 43]",
    "seeding": '"same" or "each"',
    "libc": '"2005" or "modern"',
    "postmark": "a table [postmark] with "
    + ", ".join(name for name in PostmarkOptions.__struct_fields__ if name != "seed"),
}
"""What to write, by key."""


def load_experiment(path: Path) -> Experiment:
    """Read an experiment's file. Raises `InputError`, naming the key and what to write, for what is none."""
    try:
        data = tomllib.loads(read_file(path).decode())
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}; give the file of an experiment") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    try:
        return _experiment(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _experiment(data: Mapping[str, Any]) -> Experiment:
    for key in data:
        if key not in REMEDIES:
            raise InputError(unknown("key", key, REMEDIES))
    if "systems" not in data:
        raise InputError(f"systems: missing; write {REMEDIES['systems']}")
    values: dict[str, Any] = {}
    for key, value in data.items():
        try:
            values[key] = msgspec.convert(_plain(key, value), _TYPES[key])
            _check_axis(key, values[key])
        except (InputError, msgspec.ValidationError) as error:
            what = str(error).replace(" - at `$", f" - at `{key}")
            raise InputError(f"{key}: {what}; write {REMEDIES[key]}") from error
    return Experiment(**values)


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Experiment)}


def _plain(key: str, value: Any) -> Any:
    """Return a value as its type has it: numbers as a list, PostMark's options with the paper's others."""
    if key in BOUNDS and isinstance(value, str):
        return numbers_in(value, key.replace("_", " "), *BOUNDS[key])
    if key in BOUNDS and isinstance(value, int):
        return [value]
    if key == "postmark" and isinstance(value, dict):
        if "seed" in value:
            raise InputError(f"seed is an axis of its own: seeds = [{value['seed']}]")
        return msgspec.to_builtins(PAPER) | value
    return value


def check_experiment(experiment: Experiment) -> None:
    """Raise `InputError` for values that no file could say."""
    for key in REMEDIES:
        if getattr(experiment, key) != ():  # what was not asked for
            _check_axis(key, getattr(experiment, key))


def _check_axis(key: str, value: Any) -> None:
    if not isinstance(value, tuple):
        return
    if not value:
        raise InputError("an empty list")
    seen = set()
    for each in value:
        if each in seen:
            raise InputError(f"{each!r} stands there twice")
        if key in BOUNDS and not BOUNDS[key][0] <= each <= BOUNDS[key][1]:
            raise InputError(f"{each} is not between {BOUNDS[key][0]} and {BOUNDS[key][1]}")
        seen.add(each)
