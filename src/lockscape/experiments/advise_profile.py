"""Reads where a kernel's time goes: numbers, a TOML file, ``perf report --stdio``, or ``strace -c``.

What belongs to no subsystem, or cannot be told, is counted as `Profile.other` and never spread over the rest.
"""

import math
import re
import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

from lockscape.errors import InputError, reason_of, unknown
from lockscape.experiments.advise_kernel import Profile
from lockscape.experiments.advise_names import call_subsystem, symbol_subsystem
from lockscape.experiments.advise_subsystems import SUBSYSTEMS
from lockscape.inputs import read_file

MOST_BYTES = 64 << 20
"""A larger file is refused."""

_OTHER, _USER = "other", "user"

ROUNDING = 0.005
"""By how much a percentage with two decimals may be off."""

Form = Literal["numbers", "TOML file", "perf report", "strace -c"]
"""What a profile was read from."""

_PERF = re.compile(r"\s{0,20}(\d{1,3}\.\d{1,2})%(?:\s{1,20}(\d{1,3}\.\d{1,2})%)?\s")
_KIND = re.compile(r"\s\[(k|\.|g|u|H)\]\s{1,20}(\S{1,200})")
_STRACE = re.compile(
    r"\s{0,20}(\d{1,3}\.\d{1,2})\s{1,20}\d{1,12}\.\d{1,9}\s[\d\s]{1,100}\s(\w{1,64})\s{0,20}$", re.ASCII
)
_IDLE = re.compile(r"(?:\w{0,20}_)?(?:idle|safe_halt)(?:_|$)")
"""Functions in which a processor has nothing to do: no busy time."""
_STRACE_HEAD = re.compile(r"\s*% time\s+seconds\s+usecs/call\s+calls\s+errors\s+syscall\s*$")


class Read(NamedTuple):
    """A profile, what it was read from, and how many rows of it."""

    profile: Profile
    form: Form
    rows: int


def read_profile(text: str) -> Read:
    """Return the profile that ``NAME=PERCENT,…`` says, or the file of that name.

    Raises `InputError` for a file that cannot be read or is no profile, and for shares that cannot be.
    """
    try:
        if "=" in text and not Path(text).exists():
            return _numbers(text)
        content = read_file(Path(text), MOST_BYTES + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"profile {text[:60]!r}: {why}; give a file, or fs=40,net=30") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"profile {text}: larger than {MOST_BYTES >> 20} MB; is it perf report's output?")
    return parse_profile(content.decode(errors="replace"), text)


def parse_profile(content: str, name: str) -> Read:
    """Return the profile in a file's content; a name that ends in ``.toml`` tells TOML."""
    if name.endswith(".toml"):
        return _toml(content, name)
    lines = content.splitlines()
    if any(_STRACE_HEAD.match(line[:200]) for line in lines):
        return _strace(lines, name)
    if any(_PERF.match(line[:400]) for line in lines):
        return _perf(lines, name)
    raise InputError(
        f"profile {name}: perf report --stdio and strace -c write other things; name a TOML file .toml"
    )


def _numbers(text: str) -> Read:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name in found:
            what = "twice" if name in found else "without a number"
            raise InputError(f"profile {text!r}: {name!r} {what}; write fs=40,net=30, in percent")
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(
                f"profile {text!r}: {value!r} is no number; write fs=40,net=30, in percent"
            ) from None
    return Read(_profile(found, "profile"), "numbers", len(found))


def _toml(content: str, name: str) -> Read:
    try:
        data = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"profile {name}: {error}") from error
    rows = data.get("profile")
    if not isinstance(rows, dict) or data.keys() != {"profile"}:
        raise InputError(
            f"profile {name}: write a table [profile] with lines such as fs = 40, and nothing else"
        )
    for key, value in rows.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"profile {name}: {key} = {value!r}: give a number, in percent")
    return Read(_profile({k: float(v) for k, v in rows.items()}, f"profile {name}"), "TOML file", len(rows))


def _profile(percent: dict[str, float], shown: str) -> Profile:
    """Return a profile of percentages: of the kernel's time, or, with one for ``user``, of all."""
    for name, value in percent.items():
        if name not in (*SUBSYSTEMS, _OTHER, _USER):
            raise InputError(f"{shown}: " + unknown("subsystem", name, (*SUBSYSTEMS, _OTHER, _USER)))
        if not (math.isfinite(value) and 0 <= value <= 100):
            raise InputError(f"{shown}: {name} = {value:g}: give 0 to 100, in percent")
    whole = sum(percent.values())
    if whole > 100 + 1e-9:
        raise InputError(f"{shown}: {whole:.6g} % in all: at most 100")
    user = percent.get(_USER)
    inside = 100.0 if user is None else 100.0 - user
    named = {name: value for name, value in percent.items() if name in SUBSYSTEMS}
    if not named or inside <= 0 or not sum(named.values()):
        raise InputError(f"{shown}: no time in the kernel: give some of {', '.join(SUBSYSTEMS)}")
    shares = {name: value / inside for name, value in named.items()}
    return Profile(shares, max(0.0, 1 - sum(shares.values())), None if user is None else inside / 100)


def _gathered(rows: list[tuple[str | None, float]], kernel: float | None, shown: str) -> Profile:
    """Return a profile of rows of the kernel: a subsystem, None for other, and a percentage."""
    whole = sum(value for _, value in rows)
    if whole <= 0:
        raise InputError(f"{shown}: no time in the kernel: measure for longer")
    shares = dict.fromkeys(SUBSYSTEMS, 0.0)
    for subsystem, value in rows:
        if subsystem is not None:
            shares[subsystem] += value / whole
    known = {name: value for name, value in shares.items() if value}
    if not any(name != "entry" for name in known):
        raise InputError(f"{shown}: no name in it tells a subsystem; give fs=40,net=30 instead")
    return Profile(known, max(0.0, 1 - sum(known.values())), kernel)


def _check_sum(values: list[float], name: str) -> None:
    if sum(values) > 100 + ROUNDING * len(values) + 1e-9:
        raise InputError(f"profile {name}: {sum(values):.2f} % in all: at most 100; give one report")


def _perf(lines: list[str], name: str) -> Read:
    own = any(line.startswith("#") and "Children" in line and "Self" in line for line in lines)
    kernel: list[tuple[str | None, float]] = []
    values: list[float] = []
    for line in lines:
        found = _PERF.match(line[:400])
        kind = _KIND.search(line[:1000]) if found else None
        if found is None or kind is None:
            continue
        if own and found[2] is None:
            raise InputError(
                f"profile {name}: a row with Children and no Self: run perf report --no-children"
            )
        if kind[1] == "k" and _IDLE.match(kind[2]):
            continue
        value = float(found[2] if own else found[1])
        values.append(value)
        if kind[1] == "k":
            kernel.append((symbol_subsystem(kind[2]), value))
    if not values:
        raise InputError(
            f"profile {name}: no row names a function ([k] or [.]); run perf report --stdio --sort sym"
        )
    _check_sum(values, name)
    inside = sum(value for _, value in kernel)
    share = inside / sum(values) if inside > 0 and len(kernel) < len(values) else None
    return Read(_gathered(kernel, share, f"profile {name}"), "perf report", len(values))


def _strace(lines: list[str], name: str) -> Read:
    rows: list[tuple[str | None, float]] = []
    for line in lines:
        found = _STRACE.match(line[:400])
        if found is not None and found[2] != "total":
            rows.append((call_subsystem(found[2]), float(found[1])))
    if not rows:
        raise InputError(f"profile {name}: the table of strace -c has no rows")
    _check_sum([value for _, value in rows], name)
    return Read(_gathered(rows, None, f"profile {name}"), "strace -c", len(rows))
