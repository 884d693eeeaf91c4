"""Reads curves: a user's CSV, the CSV of lockscape's commands, or the JSON of those that have curves."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from lockscape.errors import InputError, reason_of
from lockscape.experiments.laws import Curve, Measure
from lockscape.inputs import STANDARD_INPUT, read_file, read_standard_input

LARGEST = 64 * 2**20
"""Bytes of a file of curves."""

MOST = 10**9
"""Largest N."""

COUNTS = ("cpus", "cpu", "processors", "cores", "threads", "n", "load", "users", "clients")
"""Headings of what is counted."""

MEASURES: Mapping[Measure, tuple[str, ...]] = {
    "speedup": ("speedup", "relative_capacity", "capacity", "speedup_over_baseline"),
    "throughput": ("throughput", "x", "steady_per_s", "operations_per_s", "tps"),
    "makespan": ("makespan_s", "makespan", "makespan_cycles", "time_s", "seconds", "elapsed_s"),
}
"""Headings of what is measured; the first measure that a file has is taken, unless it is chosen."""

GROUPS = (
    "sample", "machine", "workload", "processes", "system", "plan", "name", "label", "seed", "cost_sample",
)  # fmt: skip
"""Headings whose values tell curves of one file apart."""


class _Point(msgspec.Struct):
    cpus: int
    makespan_s: float
    speedup: float
    steady_per_s: float | None


class _System(msgspec.Struct):
    name: str
    points: list[_Point]


class _Workload(msgspec.Struct):
    processes: int


DOCUMENTS = ("simulate", "host", "boot")
"""Documents that have curves, simulated or measured."""


class _Document(msgspec.Struct):
    """What is needed of a document: curves of systems, or of workloads on one."""

    document: str
    workload: _Workload | None = None
    systems: list[_System] = []
    curves: list[_System] = []


def read_curves(name: str, measure: Measure | None = None, processes: int | None = None) -> list[Curve]:
    """Return the curves of a file, or of standard input for ``-``.

    `measure`: what is fitted, where a file has several; `processes`: how many equal processes did the work,
    where the file does not say so. Raises `InputError` with the remedy for what cannot be used.
    """
    shown = "standard input" if name == STANDARD_INPUT else name
    text = _text(name, shown)
    if text.lstrip().startswith("{"):
        return _from_json(text, shown, measure)
    return _from_csv(text, shown, measure, processes)


def _text(name: str, shown: str) -> str:
    try:
        if name == STANDARD_INPUT:
            data = read_standard_input(LARGEST + 1)
        else:
            data = read_file(Path(name), LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{shown}: {reason_of(error)}; give a CSV file, the JSON of simulate, or -"
        ) from error
    if len(data) > LARGEST:
        raise InputError(f"{shown}: more than {LARGEST:,} bytes; keep only the columns and rows of the curve")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: not UTF-8 text; give CSV, or the JSON of simulate") from error


def _from_json(text: str, shown: str, measure: Measure | None) -> list[Curve]:
    try:
        found = msgspec.json.decode(text, type=_Document)
    except msgspec.MsgspecError as error:
        raise InputError(f"{shown}: no document of simulate ({error}); give its --json, or CSV") from error
    if found.document not in DOCUMENTS:
        known = " or ".join(DOCUMENTS)
        raise InputError(f"{shown}: a document {found.document!r}; give that of {known}, or CSV")
    systems = found.systems or found.curves
    if not systems:
        raise InputError(f"{shown}: no curve in it; run simulate without --without and --fail")
    field = {"speedup": "speedup", "throughput": "steady_per_s", "makespan": "makespan_s"}[
        measure or "speedup"
    ]
    return [
        _curve(
            system.name, measure or "speedup", [(p.cpus, getattr(p, field)) for p in system.points],
            found.workload.processes if found.workload else None, "processors", shown,
        )
        for system in systems
    ]  # fmt: skip


def _from_csv(text: str, shown: str, measure: Measure | None, processes: int | None) -> list[Curve]:
    rows = list(_rows(text, shown))
    if not rows:
        raise InputError(f"{shown}: empty; the first line must name the columns, such as cpus,throughput")
    heads = [head.strip().casefold() for head in rows[0][1]]
    count = _column(heads, COUNTS)
    if count is None:
        raise InputError(
            f"{shown}: no column of processors among {_some(heads)}; name one {', '.join(COUNTS)}"
        )
    chosen, value = _measured(heads, measure, shown)
    groups = [heads.index(each) for each in GROUPS if each in heads]
    curves: dict[tuple[str, ...], list[tuple[int, float | None]]] = {}
    for line, row in rows[1:]:
        if len(row) != len(heads):
            raise InputError(
                f"{shown}, line {line}: {len(row)} fields under {len(heads)} headings; mend the line"
            )
        n = _count(row[count], f"{shown}, line {line}, {heads[count]}")
        point = n, _value(row[value], f"{shown}, line {line}, {heads[value]}")
        curves.setdefault(tuple(row[at].strip() for at in groups), []).append(point)
    if not curves:
        raise InputError(f"{shown}: headings, but no point below them; add some")
    axis = "processors" if heads[count] in ("cpus", "cpu", "n") else heads[count]
    names = _labels(list(curves), shown)
    return [
        _curve(name, chosen, points, processes, axis, shown)
        for name, points in zip(names, curves.values(), strict=True)
    ]


def _rows(text: str, shown: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each line that is neither empty nor a comment, with its number."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].startswith("#"):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{shown}, line {reader.line_num}: {error}; give plain CSV") from error


def _column(heads: Sequence[str], names: Sequence[str]) -> int | None:
    return next((heads.index(name) for name in names if name in heads), None)


def _measured(heads: Sequence[str], measure: Measure | None, shown: str) -> tuple[Measure, int]:
    for each, names in MEASURES.items():
        at = _column(heads, names)
        if at is not None and measure in (None, each):
            return each, at
    wanted = MEASURES[measure] if measure else [name for names in MEASURES.values() for name in names]
    what = measure or "what was measured"
    raise InputError(f"{shown}: no column of {what} among {_some(heads)}; name one {', '.join(wanted)}")


def _some(heads: Sequence[str]) -> str:
    shown = ", ".join(repr(head[:20]) for head in heads[:6])
    return f"{shown} …" if len(heads) > 6 else shown


def _count(text: str, where: str) -> int:
    value = _number(text, where)
    if value != int(value) or not 1 <= value <= MOST:
        raise InputError(f"{where}: {text.strip()[:20]!r} is no count; give a whole number from 1")
    return int(value)


def _value(text: str, where: str) -> float | None:
    """Return a measured value, or None for an empty field or 0, which stands for none."""
    value = _number(text, where) if text.strip() else 0.0
    if value < 0:
        raise InputError(
            f"{where}: {text.strip()[:20]!r} is negative; leave the field empty if there is no value"
        )
    return value or None


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {text.strip()[:20]!r} is no number; write it as 1234.5")
    return value


def _labels(keys: Sequence[tuple[str, ...]], shown: str) -> list[str]:
    """Return a name for each curve, of the columns in which they differ."""
    if not keys[0]:
        return [shown] * len(keys)
    differ = [len(set(column)) > 1 for column in zip(*keys, strict=True)]
    if not any(differ):
        return [next((part for part in reversed(keys[0]) if part), shown)]
    return [
        " ".join(dict.fromkeys(part for part, shows in zip(key, differ, strict=True) if shows))
        for key in keys
    ]


def _curve(
    name: str, measure: Measure, points: Sequence[tuple[int, float | None]], processes: int | None, axis: str,
    shown: str,
) -> Curve:  # fmt: skip
    found = sorted((n, value) for n, value in points if value)
    if not found:
        raise InputError(f"{shown}: no value of {name} in the column of {measure}; choose another with --by")
    missing = [n for n, value in points if not value]
    left_out = tuple(f"N = {n} has no {measure} and was left out." for n in sorted(missing))
    cpus, values = zip(*found, strict=True)
    return Curve(name, measure, cpus, values, processes, left_out, axis)
