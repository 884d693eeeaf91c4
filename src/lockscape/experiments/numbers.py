"""Lists of numbers as people write them: ``4``, ``1-8`` or ``1,2,4,8-16``."""

from lockscape.errors import InputError


def numbers_in(text: str, of: str, least: int, most: int) -> tuple[int, ...]:
    """Return the numbers of a text, sorted, each once. Raises `InputError` for what is none.

    `of` says in messages what they are numbers of.
    """
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not (low.isascii() and low.isdigit() and (not dash or (high.isascii() and high.isdigit()))):
            raise InputError(f"{part!r} is no number of {of}: write 4, 1-8 or 1,2,4")
        first, last = int(low[:11]), int((high or low)[:11])
        if not least <= first <= last <= most:
            raise InputError(f"{part!r}: give numbers from {least} to {most}, the smaller first")
        found.update(range(first, last + 1))
    return tuple(sorted(found))
