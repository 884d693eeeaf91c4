"""Table 3 on the four real trees, by both methods."""

from pathlib import Path

import pytest

from lockscape.source.footprint import PAPER_DEFINES, PAPER_FILES, Footprint, Method, footprint
from lockscape.source.tree import Directory
from tools import require

PUBLISHED = {  # by the version measured: Table 3 of the paper, for 2.0.40, 2.2.26, 2.4.30 and 2.6.11.7
    "2.0.40": (173, 22, 45392, 45770, 541),
    "2.2.26": (226, 36, 52294, 53281, 1156),
    "2.4.31": (280, 38, 64293, 65552, 1374),
    "2.6.11": (548, 49, 104147, 105846, 1812),
}
FILES = {"2.0.40": 173, "2.2.26": 226, "2.4.31": 280, "2.6.11": 547}


def of_tree(trees: Path, version: str, method: Method) -> Footprint:
    tree = Directory(str(trees / f"linux-{version}"))
    return footprint(tree, select=PAPER_FILES, defines=PAPER_DEFINES, method=method)


@pytest.mark.slow
@pytest.mark.parametrize("version", PUBLISHED)
def test_own_evaluator_on_real_trees(trees: Path, version: str) -> None:
    _, changed_files, *_, changed_lines = PUBLISHED[version]
    result = of_tree(trees, version, "evaluate")
    assert len(result.files) == FILES[version]
    assert abs(result.changed_files - changed_files) <= 2
    assert result.changed_lines == pytest.approx(changed_lines, rel=0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", PUBLISHED)
def test_original_pipeline_on_real_trees(trees: Path, version: str) -> None:
    for tool in ("cpp", "indent", "diff"):
        require(tool)
    result = of_tree(trees, version, "cpp")
    found = (
        len(result.files), result.changed_files, result.lines_without, result.lines_with, result.changed_lines
    )  # fmt: skip
    assert found == pytest.approx(PUBLISHED[version], rel=0.1)
    changed = {file.path for file in result.files if file.changed_lines}
    own = of_tree(trees, version, "evaluate")
    assert changed == {file.path for file in own.files if file.changed_lines}
