"""Writes the rows of a sweep as Parquet, for any program that reads tables."""

import typing
from pathlib import Path
from typing import Any

import msgspec

from lockscape import __version__
from lockscape.errors import InputError, reason_of
from lockscape.experiments.experiment_file import Experiment
from lockscape.experiments.result import LockStatistics
from lockscape.experiments.store import sources_digest
from lockscape.experiments.sweep import Row, Sweep

KEY = b"lockscape"
"""Of the file's metadata: with what it was made, as JSON."""


def writable(path: Path) -> None:
    """Raise `InputError` where a Parquet file cannot be written: better before hours of runs than after."""
    if path.suffix != ".parquet":
        raise InputError(f"{path}: no name of a Parquet file: give one that ends in .parquet")
    part = _part(path)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {reason_of(error)}; name another with -o") from error


def write_parquet(experiment: Experiment, done: Sweep, path: Path) -> None:
    """Write a row for each cell, its locks nested in the last column; whole, or not at all.

    The same rows give the same bytes: there is nothing in the file of when and where it was made.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*_fields(Row), ("locks", pa.list_(pa.struct(_fields(LockStatistics))))])
    made = {"lockscape": __version__, "sources": sources_digest(), "experiment": experiment}
    rows = [
        msgspec.structs.asdict(row) | {"locks": [msgspec.structs.asdict(lock) for lock in locks]}
        for row, locks in zip(done.rows, done.locks, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=schema.with_metadata({KEY: msgspec.json.encode(made)}))
    part = _part(path)
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {reason_of(error)}; the runs are kept: name another with -o"
        ) from error


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    """Return a structure's fields with their types in Arrow: texts, whole numbers and others."""
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    hints = typing.get_type_hints(struct)
    return [(name, types[_plain(hints[name])]) for name in struct.__struct_fields__]


def _plain(hint: Any) -> type:
    """Return what a field holds where it holds something."""
    if typing.get_origin(hint) is typing.Literal:
        return str
    (found,) = {each for each in typing.get_args(hint) or (hint,) if each is not type(None)}
    assert isinstance(found, type)
    return found
