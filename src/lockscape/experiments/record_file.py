"""Records of a release as JSON: the same bytes for the same record, in lines that can be compared."""

from collections.abc import Sequence

import msgspec


def encode_record(record: msgspec.Struct, in_rows: Sequence[str]) -> bytes:
    """Return a record as JSON, a line for each field, and one for each element of the fields `in_rows`."""
    fields = {name: msgspec.json.encode(getattr(record, name)).decode() for name in record.__struct_fields__}
    for name in in_rows:
        rows = (msgspec.json.encode(row).decode() for row in getattr(record, name))
        fields[name] = "[\n" + ",\n".join(rows) + "\n]"
    return ("{\n" + ",\n".join(f'"{name}":{text}' for name, text in fields.items()) + "\n}\n").encode()
