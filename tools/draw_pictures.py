"""Draws the pictures of the README from what commands really print: docs/images/*.svg.

    python tools/draw_pictures.py [FOLDER]

A command runs in a terminal of its own, so that it prints as for people. Of its output the lines chosen by
`PICTURES` are drawn. The SVG names only fonts of the reader's own machine and loads nothing.
"""

import errno
import io
import os
import pty
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES = Path(__file__).parent.parent / "docs" / "images"

COLUMNS = 116

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

THEME = TerminalTheme(
    (253, 253, 251), (36, 41, 47),
    [(36, 41, 47), (180, 35, 24), (26, 112, 60), (130, 90, 0), (29, 78, 137), (110, 60, 140), (20, 110, 120),
     (110, 119, 129)],
)  # fmt: skip
"""Dark on light: background, foreground, and the eight colours of a terminal."""


class Picture(NamedTuple):
    """Which lines of a command's output are drawn: parts, each by the starts of its first and next line."""

    name: str
    command: Sequence[str]
    parts: Sequence[tuple[str, str]]


PICTURES = (
    Picture("study", ("study", "--recorded"), (("Table 2: ", "[a]"), ("Table 3: ", "[a]"))),
    Picture("figure2", ("figure2",),
            (("What the paper", "2.0 and 2.2 flat: "),
             ("Speedup over linux-2.0 on one processor, stated", "Speedup over"))),
)  # fmt: skip


def output_in_a_terminal(arguments: Sequence[str]) -> str:
    """Return what ``lockscape ARGUMENTS`` writes to a terminal, with its escape sequences."""
    with TemporaryDirectory() as folder:
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.environ.update(COLUMNS=str(COLUMNS), LINES="200", TERM="xterm-256color")
            os.environ.pop("NO_COLOR", None)
            os.execv(sys.executable, [sys.executable, "-m", "lockscape", *arguments])
        data = b"".join(_pieces(terminal))
        _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"lockscape {' '.join(arguments)} failed:\n{data.decode()}")
    return data.decode().replace("\r\n", "\n")


def _pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # what Linux answers when the other end is closed
                raise
            return
        if not piece:
            return
        yield piece


def chosen(lines: Sequence[Text], parts: Sequence[tuple[str, str]]) -> Iterator[Text]:
    """Yield the lines of the parts, an ellipsis where lines are left out."""
    for first, last in parts:
        start = next(n for n, line in enumerate(lines) if line.plain.startswith(first))
        end = next(n for n, line in enumerate(lines) if n > start and line.plain.startswith(last))
        yield Text("…", style="dim")
        yield from lines[start:end]
    yield Text("…", style="dim")


def draw(picture: Picture) -> str:
    """Return a picture as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ lockscape {' '.join(picture.command)}", style="bold"))
    text = Text.from_ansi(output_in_a_terminal(picture.command))
    for line in chosen(list(text.split("\n")), picture.parts):
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title="lockscape", theme=THEME, unique_id=f"lockscape-{picture.name}")
    return without_network(svg)


_FROM_THE_NETWORK = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)


def without_network(svg: str) -> str:
    """Return rich's SVG with fonts of the reader's machine instead of those that it would load."""
    svg = _FROM_THE_NETWORK.sub("", svg).replace("font-family: Fira Code, monospace", f"font-family: {FONT}")
    svg = "".join(f"{line.rstrip()}\n" for line in svg.splitlines())
    if "http" in svg.replace("http://www.w3.org/2000/svg", ""):
        sys.exit("rich's SVG names an address in a form that is not known here")
    return svg


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(exist_ok=True)
    for each in PICTURES:
        (folder / f"{each.name}.svg").write_text(draw(each), "utf-8")
