"""JSON Schemas of the documents that commands print with ``--json``; shipped in the folder `schemas`."""

import json
from typing import Any

import msgspec

from lockscape.report.advise import AdviseDocument
from lockscape.report.boot import BootDocument
from lockscape.report.calibrate import CalibrateDocument
from lockscape.report.catalog import MethodsDocument, SystemsDocument
from lockscape.report.census import CensusDocument
from lockscape.report.compare import CompareDocument
from lockscape.report.contention import ContentionDocument
from lockscape.report.fetch import FetchDocument
from lockscape.report.figure2 import Figure2Document
from lockscape.report.footprint import FootprintDocument
from lockscape.report.host import HostDocument
from lockscape.report.laws import LawsDocument
from lockscape.report.map import MapDocument
from lockscape.report.model import SystemDocument
from lockscape.report.output import SCHEMA_VERSION
from lockscape.report.port import PortDocument
from lockscape.report.rerun import RerunDocument
from lockscape.report.simulate import SimulateDocument
from lockscape.report.study import StudyDocument
from lockscape.report.sweep import SweepDocument
from lockscape.report.table1 import Table1Document
from lockscape.report.unlock import UnlockDocument
from lockscape.report.verify import VerifyDocument
from lockscape.report.whatif import WhatIfDocument
from lockscape.report.workloads import WorkloadsDocument

DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "advise": AdviseDocument,
    "boot": BootDocument,
    "calibrate": CalibrateDocument,
    "census": CensusDocument,
    "compare": CompareDocument,
    "contention": ContentionDocument,
    "fetch": FetchDocument,
    "figure2": Figure2Document,
    "footprint": FootprintDocument,
    "host": HostDocument,
    "laws": LawsDocument,
    "map": MapDocument,
    "methods": MethodsDocument,
    "port": PortDocument,
    "rerun": RerunDocument,
    "simulate": SimulateDocument,
    "study": StudyDocument,
    "system": SystemDocument,
    "sweep": SweepDocument,
    "systems": SystemsDocument,
    "table1": Table1Document,
    "verify": VerifyDocument,
    "unlock": UnlockDocument,
    "whatif": WhatIfDocument,
    "workloads": WorkloadsDocument,
}
"""Documents by name, which is also that of the command; ``system`` is that of ``systems show``."""


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document.

    It allows fields that it does not name: a newer lockscape may add some without a new `SCHEMA_VERSION`.
    """
    made = _open(msgspec.json.schema(DOCUMENTS[name]))
    made["$defs"][DOCUMENTS[name].__name__]["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:lockscape:schema:{name}:{SCHEMA_VERSION}",
        **made,
    }


def schema_texts() -> dict[str, str]:
    """Return the schema files by name, such as ``census.json``, with their content."""
    return {f"{name}.json": json.dumps(schema(name), indent=1) + "\n" for name in DOCUMENTS}


def _open(value: Any) -> Any:
    """Return a schema without ``additionalProperties: false``."""
    if isinstance(value, dict):
        return {k: _open(v) for k, v in value.items() if (k, v) != ("additionalProperties", False)}
    return [_open(item) for item in value] if isinstance(value, list) else value
