"""``python -m lockscape``."""

from lockscape.cli.main import run

run()
