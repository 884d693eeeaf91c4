"""Data in the page, to be saved from it: JSON that no browser can take for markup or run."""

import io
import json

from markupsafe import Markup

from lockscape.report.study import StudyDocument
from lockscape.report.study_tables import study_csv
from lockscape.report.table import write_csv

_INERT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}


def page_data(document: StudyDocument) -> Markup:
    """Return every figure of the study, as CSV in a JSON text: ASCII, and without a character of markup."""
    out = io.StringIO()
    write_csv(study_csv(document), out)
    return Markup(json.dumps({"csv": out.getvalue()}).translate(_INERT))
