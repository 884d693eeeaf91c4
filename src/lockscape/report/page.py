"""The study as one self-contained HTML page: nothing is loaded, and it reads well without its script."""

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lockscape import __version__, catalog
from lockscape.report import palette
from lockscape.report.line_chart import DASHES, mark
from lockscape.report.page_appendix import appendix_context
from lockscape.report.page_data import page_data
from lockscape.report.page_figures import figures_context
from lockscape.report.page_tables import tables_context
from lockscape.report.page_words import words_context
from lockscape.report.render import environment, write_whole
from lockscape.report.study import StudyDocument
from lockscape.report.table import cell_text


def write_page(document: StudyDocument, path: Path) -> None:
    """Write the page to `path`, whole or not at all; raises InputError if that cannot be done."""
    write_whole(path, render_page(document), "the page", "give -o FILE.html")


def render_page(document: StudyDocument) -> str:
    """Return the page as HTML. What comes from trees is escaped, control characters are shown as text."""
    return environment().get_template("page.html").render(_context(document))


def script() -> str:
    """Return the page's one script. It comes with lockscape; nothing of a document is put into it."""
    return (resources.files("lockscape.report") / "templates" / "page.js").read_text("utf-8")


def policy(text: str) -> str:
    """Return the page's content security policy: no request, and no script but that of this text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _context(document: StudyDocument) -> dict[str, Any]:
    code = script()
    return {
        "version": __version__,
        "document": document,
        "catalog": catalog,
        "palette": palette,
        "script": Markup(code),
        "policy": policy(code),
        "data": page_data(document),
        "cell_text": cell_text,
        "dashes": DASHES,
        "mark": mark,
        **tables_context(document),
        **figures_context(document),
        **words_context(document),
        **appendix_context(document),
    }
