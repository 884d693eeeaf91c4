"""One way out for every command: a document as JSON, its tables as text or CSV."""

import json
from typing import Any, Literal, TextIO

import msgspec

from lockscape.report.table import Table, print_tables, write_csv

Format = Literal["table", "json", "csv"]
"""How results are printed."""

SCHEMA_VERSION = 1
"""Raised when a field of a document changes its meaning or goes away; new fields do not raise it."""


def emit(document: msgspec.Struct, tables: tuple[Table, ...], form: Format, out: TextIO) -> None:
    """Write a command's result: the document as JSON, the first table as CSV, or all tables for people."""
    if form == "json":
        json.dump(builtins_of(document), out, indent=2)  # ASCII only: any file name is representable
        out.write("\n")
    elif form == "csv":
        write_csv(tables[0], out)
    else:
        print_tables(tables, out)


def builtins_of(document: msgspec.Struct) -> Any:
    """Return a document as dictionaries, lists, strings and numbers."""
    return msgspec.to_builtins(document)
