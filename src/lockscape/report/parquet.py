"""Writes the rows of a sweep as Parquet, for any program that reads tables."""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lockscape import __version__
from lockscape.errors import InputError, reason_of
from lockscape.experiments.experiment_file import Experiment, check_experiment
from lockscape.experiments.grid import MOST_CELLS
from lockscape.experiments.result import LockStatistics
from lockscape.experiments.store import sources_digest
from lockscape.experiments.sweep import Row, Sweep
from lockscape.inputs import noted
from lockscape.report.manifest import InputRecord
from lockscape.report.repeated import RecordedManifest, Result

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


class _Made(msgspec.Struct, frozen=True):
    """What stands in the file under `KEY`. `inputs`: files that the experiment names, by their SHA-256."""

    lockscape: str
    sources: str
    experiment: Experiment
    inputs: dict[str, str] | None = None


def write_parquet(
    experiment: Experiment, done: Sweep, path: Path, inputs: Mapping[str, str] | None = None
) -> None:
    """Write a row for each cell, its locks nested in the last column; whole, or not at all.

    `inputs`: the files that the experiment names, see `named_files`, if they are known. The same rows give
    the same bytes: there is nothing in the file of when and where it was made.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*_fields(Row), ("locks", pa.list_(pa.struct(_fields(LockStatistics))))])
    made = _Made(__version__, sources_digest(), experiment, None if inputs is None else dict(inputs))
    table = pa.Table.from_pylist(_rows(done), schema=schema.with_metadata({KEY: msgspec.json.encode(made)}))
    part = _part(path)
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written: {reason_of(error)}; the runs are kept: name another with -o"
        ) from error


def _rows(done: Sweep) -> list[dict[str, Any]]:
    return [
        msgspec.structs.asdict(row) | {"locks": [msgspec.structs.asdict(lock) for lock in locks]}
        for row, locks in zip(done.rows, done.locks, strict=True)
    ]


def named_files(folder: Path, experiment: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of the files read so far but the `experiment`'s, by their names from its folder."""
    here, own = folder.absolute(), experiment.absolute() if experiment is not None else None
    files = {Path(name).absolute(): (name, each.sha256) for name, each in noted().files.items()}
    return {
        path.relative_to(here).as_posix() if path.is_relative_to(here) else name: sha256
        for path, (name, sha256) in files.items()
        if path != own
    }


def read_parquet(path: Path) -> tuple[Experiment, Result]:
    """Return the experiment of a file that `write_parquet` wrote, and its rows. Raises `InputError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        made = msgspec.json.decode((file.metadata.metadata or {}).get(KEY, b""), type=_Made)
        if file.metadata.num_rows > MOST_CELLS:
            raise InputError(f"{path}: {file.metadata.num_rows:,} rows: a sweep has at most {MOST_CELLS:,}")
        rows = file.read().to_pylist()
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}; give the Parquet file of a sweep") from error
    except (pa.ArrowException, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: not the Parquet file of a sweep: {error}") from error
    try:
        check_experiment(made.experiment)
    except InputError as error:
        raise InputError(f"{path}: not the Parquet file of a sweep: {error}") from error
    inputs = None if made.inputs is None else _records(made.inputs)
    return made.experiment, _result(
        made.experiment, rows, RecordedManifest(made.lockscape, (), inputs=inputs)
    )


def made_again(experiment: Experiment, done: Sweep, folder: Path) -> Result:
    """Return the rows of a sweep that was run again as `read_parquet` has them."""
    manifest = RecordedManifest(__version__, (), inputs=_records(named_files(folder)))
    return _result(experiment, _rows(done), manifest)


def _records(inputs: Mapping[str, str]) -> tuple[InputRecord, ...]:
    return tuple(InputRecord(name, sha256, 0) for name, sha256 in inputs.items())


def _result(experiment: Experiment, rows: list[dict[str, Any]], manifest: RecordedManifest) -> Result:
    return Result("sweep", manifest, {"experiment": msgspec.to_builtins(experiment), "rows": rows})


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
