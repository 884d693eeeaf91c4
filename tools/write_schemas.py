"""Writes the JSON Schemas of lockscape's documents into the package.

    python tools/write_schemas.py

Each becomes `src/lockscape/report/schemas/<document>.json`, made from the structures that commands print with
``--json``. A test fails when one is not up to date.
"""

from pathlib import Path

from lockscape.report.schema import schema_texts

TARGET = Path(__file__).parent.parent / "src" / "lockscape" / "report" / "schemas"

if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for name, text in schema_texts().items():
        (TARGET / name).write_text(text, "utf-8")
        print(name)
