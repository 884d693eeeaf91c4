"""Sphinx configuration. Nothing is fetched from the network: no intersphinx, no web fonts, no scripts."""

from lockscape import __version__

project = "lockscape"
author = "The lockscape developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # "bytes" in a signature is Python's, not one of the fields of that name
nitpicky = False  # links to other projects' types would need their inventories, from the network

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
default_role = "code"  # docstrings use single backticks for names

html_theme = "furo"
html_title = f"lockscape {version}"
html_copy_source = False
html_show_sourcelink = False
