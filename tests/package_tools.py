"""Installs packages with methods for tests: the example for real, and small ones by hand."""

import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lockscape.ports import packages
from lockscape.program.objects import Object
from tools import require

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "partitioned-names"


def install_example(site: Path, source: Path = EXAMPLE) -> None:
    """Build the example's wheel and install it into a folder, with what is installed: nothing is fetched."""
    command = [require("uv"), "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline",
               "--no-cache", "--python", sys.executable, "--target", str(site), str(source)]  # fmt: skip
    subprocess.run(command, check=True, timeout=60)


def write_package(site: Path, name: str, files: Mapping[str, str], entry: str = "") -> None:
    """Write a package as an installer would leave it: its files, and what says which it is."""
    module = name.replace("-", "_")
    told = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n",
        "entry_points.txt": f"[lockscape.methods]\n{name} = {entry or module}\n",
    }
    every = {f"{module}/{path}": text for path, text in {"__init__.py": "", **files}.items()}
    every |= {f"{module}-1.2.dist-info/{path}": text for path, text in told.items()}
    for path, text in every.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


@contextmanager
def packages_in(site: Path) -> Iterator[None]:
    """Have this process find the packages in a folder, and nothing of them afterwards."""
    modules, classes = set(sys.modules), dict(Object.declared)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    packages.found.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        packages.found.cache_clear()
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
                del sys.modules[name]
        Object.declared.clear()
        Object.declared.update(classes)
