"""What the printed cells of Table 1 mean: levels, numbers of lines, times. ``?`` is *not known*: None."""

import re

from lockscape.errors import InputError

UNKNOWN = "?"
"""How the paper prints a value that it does not know."""

DAYS_PER_MONTH = 365.25 / 12
"""The mean length of a calendar month in days, by which a printed number of months becomes days."""

DAYS = {"weeks": 7.0, "months": DAYS_PER_MONTH}
"""The units of time that Table 1 uses, in days."""

FACTORS = {"": 1, "K": 1_000, "M": 1_000_000}
"""The suffixes of the numbers of lines in Table 1: plain, thousand, million."""


def level(printed: str) -> str | None:
    """Return a printed level as an id, such as ``as-guest`` for ``As Guest``, or None if it is not known."""
    return None if printed == UNKNOWN else "-".join(printed.casefold().split())


def lines(printed: str) -> tuple[int, ...] | None:
    """Return the printed numbers of code lines, such as (75000, 38000) for ``75K+38K``, or None.

    Several parts are kept apart: for Xen they are the hypervisor and the changes to the guest. Raises
    InputError for anything but numbers with an optional K or M.
    """
    if printed == UNKNOWN:
        return None
    return tuple(_number(part, printed) for part in printed.split("+"))


def _number(part: str, printed: str) -> int:
    """Return one number such as ``955K``, ``1.9M`` or ``3,600``."""
    match = re.fullmatch(r"([0-9]{1,3}(?:,[0-9]{3})*|[0-9]+)(?:\.([0-9]))?([KM]?)", part)
    if match is None or (match[2] and not match[3]):
        raise InputError(f"{printed!r} is not a number of lines: write it like 3,600, 955K, 1.9M or 75K+38K")
    factor = FACTORS[match[3]]
    return int(match[1].replace(",", "")) * factor + int(match[2] or 0) * factor // 10


def days(printed: str) -> float | None:
    """Return a printed time in days, or None if it is not known; a month counts `DAYS_PER_MONTH` days.

    Raises InputError for anything but a whole number of weeks or months.
    """
    if printed == UNKNOWN:
        return None
    number, unit = _time(printed)
    return number * DAYS[unit]


def months(printed: str) -> int | None:
    """Return a printed time in months, or None if it is not known or not given in months."""
    if printed == UNKNOWN:
        return None
    number, unit = _time(printed)
    return number if unit == "months" else None


def _time(printed: str) -> tuple[int, str]:
    """Return the number and the unit of a time such as ``12 months``."""
    match = re.fullmatch(r"([0-9]{1,4}) (weeks|months)", printed)
    if match is None:
        raise InputError(f"{printed!r} is not a time: write it like 5 weeks or 12 months, or ?")
    return int(match[1]), match[2]
