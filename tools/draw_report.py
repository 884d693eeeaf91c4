"""Draws the README's picture of the report, docs/images/report.png: what a browser shows of a page.

    lockscape study -o report.html
    python tools/draw_report.py report.html

Chromium shows the part of the page about all 22 systems by method.
"""

import base64
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser_tools import browser  # noqa: E402 - it is a tool of the tests

TARGET = ROOT / "docs" / "images" / "report.png"

WIDTH, MARGIN = 1180, 6

PART = """
(() => {
  const part = document.querySelector(".panels.small").getBoundingClientRect();
  return [part.top + scrollY, part.bottom + scrollY];
})()
"""


def main(page: Path) -> None:
    """Open the page and keep what is shown of the part."""
    with TemporaryDirectory() as folder, browser(Path(folder)) as tab:
        tab.open(page.resolve(), WIDTH)
        top, bottom = tab.value(PART)
        clip = {"x": 0, "y": top - MARGIN, "width": WIDTH, "height": bottom - top + 2 * MARGIN, "scale": 1}
        shot = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        TARGET.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
