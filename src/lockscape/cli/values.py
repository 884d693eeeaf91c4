"""What is written on the command line: numbers of processors, sizes, failures."""

import re
from typing import Any

import click


class Numbers(click.ParamType["tuple[int, ...]"]):
    """Numbers of processors: ``4``, ``1-8`` or ``1,2,4,8-16``."""

    name = "N,N-N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers, sorted, each once."""
        from lockscape.errors import InputError
        from lockscape.experiments.numbers import numbers_in
        from lockscape.machine.state import MOST_PROCESSORS

        if isinstance(value, tuple):
            return value
        try:
            return numbers_in(str(value), "processors", 1, MOST_PROCESSORS)
        except InputError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType["tuple[int, int]"]):
    """File sizes in bytes: ``100`` or ``500-10000``."""

    name = "BYTES[-BYTES]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the lowest and the highest size."""
        low, dash, high = str(value).partition("-")
        digits = all(
            text.isascii() and text.isdigit() and len(text) < 11 for text in (low, high if dash else low)
        )
        if not digits:
            self.fail(f"{value!r} is no size: write 100 or 500-10000, in bytes", param, ctx)
        return int(low), int(high if dash else low)


class Failing(click.ParamType["tuple[int, float]"]):
    """A failure: ``2@50``, the kernel instance and the simulated time in ms."""

    name = "INSTANCE@MS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, float]:
        """Return the instance and the time."""
        found = re.fullmatch(r"([0-9]{1,4})@([0-9]{1,9}(?:\.[0-9]{1,6})?)", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is no failure: write 2@50, the instance and the time in ms", param, ctx)
        return int(found[1]), float(found[2])
