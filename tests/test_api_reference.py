"""The reference of the Python interface has every module of the library, and what autodoc leaves out."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import lockscape

PACKAGE = Path(lockscape.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    spec = importlib.util.spec_from_file_location("api_pages", DOCS / "api_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_has_a_page(pages: ModuleType) -> None:
    assert sorted(pages.LAYERS) == sorted(path.stem for path in (DOCS / "api").glob("*.md"))
    listed = (DOCS / "api.md").read_text("utf-8")
    assert all(f"\napi/{layer}\n" in listed for layer in pages.LAYERS)


def test_every_module_with_a_public_name_is_there() -> None:
    texts = [path.read_text("utf-8") for path in [DOCS / "api.md", *(DOCS / "api").glob("*.md")]]
    listed = {
        line.split(":: ")[1] for text in texts for line in text.splitlines() if ".. automodule::" in line
    }
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        empty = path.name == "__init__.py" and len(path.read_text().splitlines()) == 1
        if parts[0] in ("cli", "__init__", "__main__") or empty:
            continue
        assert ".".join(("lockscape", *parts)).removesuffix(".__init__") in listed, (
            "run python docs/generate.py"
        )


def test_what_autodoc_leaves_out_is_listed(pages: ModuleType, tmp_path: Path) -> None:
    module = tmp_path / "a.py"
    module.write_text(
        'A = 1\nB, C = 1, 2\n"""Both."""\n_D = 3\nE: int = 4\nE.x = 5\nF: int = 6\n"""Text."""\nG, H = 7, 8\n'
        "I = 9  #: Text.\n#: Text.\nJ = 10\n"
    )
    assert pages.undescribed(module) == ["A", "E", "G", "H"]
