"""The census against a C parser (tree-sitter-c) on real source: call expressions, kind by kind."""

import os
import zlib
from collections import Counter
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_c

from lockscape.source.census import OPERATION, PLACE, Census, census
from lockscape.source.open_tree import open_tree
from lockscape.source.profile import OPERATIONS, load_profile
from lockscape.source.scan import scan
from lockscape.source.select import FileSet
from lockscape.source.tree import Files

LANGUAGE = tree_sitter.Language(tree_sitter_c.language())
NOT_AN_EXPRESSION = "scoped_guard"
"""``scoped_guard(mutex, &m) { … }`` can look like a function's definition to a C parser: left out."""

KIND_OF = {
    o.name: o.kind
    for o in load_profile("linux").operations()
    if o.argument is None and o.role in OPERATIONS and o.name != NOT_AN_EXPRESSION
}


def count_call_expressions(files: Files) -> Counter[str]:
    """Count, by kind, the call expressions that tree-sitter finds of the profile's names."""
    found: Counter[str] = Counter()
    for number in range(len(files.paths)):
        nodes = [tree_sitter.Parser(LANGUAGE).parse(files.content(number)).root_node]
        while nodes:
            node = nodes.pop()
            if node.type == "call_expression":
                function = node.child_by_field_name("function")
                if function is not None and function.type == "identifier" and function.text is not None:
                    kind = KIND_OF.get(function.text.decode("latin-1"))
                    if kind:
                        found[kind] += 1
            nodes.extend(node.children)
    return found


def count_calls(result: Census) -> Counter[str]:
    """Count the census' places in code by kind; names with an argument count under their bare kind."""
    bare = Counter[str]()
    for row in result.rows[result.rows[:, PLACE] == 0].tolist():
        operation = result.operations[row[OPERATION]]
        if operation.role in OPERATIONS and operation.name != NOT_AN_EXPRESSION:
            bare["guard" if operation.argument else operation.kind] += 1
    return bare


def agree(mine: Counter[str], parser: Counter[str]) -> list[str]:
    """Return the kinds that differ by more than 1 % and by more than 2 places."""
    return [
        f"{kind}: {mine[kind]} against {parser[kind]}"
        for kind in sorted(mine | parser)
        if abs(mine[kind] - parser[kind]) > max(2, 0.01 * parser[kind])
    ]


def test_agrees_on_a_made_up_file(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        "static int f(struct x *x)\n{\n\tspin_lock(&x->lock); /* mutex_lock(&m) */\n"
        "\tif (!mutex_trylock(&x->m)) { spin_unlock(&x->lock); return down_interruptible(&x->s); }\n"
        "\tup(&x->s);\n\tguard(mutex)(&x->m);\n\trcu_read_lock();\n\treturn 0;\n}\n"
    )
    tree = open_tree(str(tmp_path))
    mine = count_calls(census(tree, load_profile("linux"), workers=1))
    parser = scan(tree, FileSet(), count_call_expressions, workers=1).parts[0].value
    assert mine == parser
    assert mine == {"spin": 2, "mutex": 1, "sema": 2, "rcu": 1, "guard": 1}


class EveryTwentieth(FileSet):
    """A bounded sample of a whole tree, the same however the tree is packed."""

    def matches(self, path: str) -> bool:
        name = "/".join(path.split("/")[-2:])
        return super().matches(path) and zlib.crc32(os.fsencode(name)) % 20 == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_agrees_within_one_percent_on_linux_6_1(trees: Path) -> None:
    names = ("linux-6.1", "linux-source-6.1.tar.xz")
    found = [path for name in names if (path := trees / name).exists()]
    if not found:
        pytest.skip(f"none of {', '.join(names)} in {trees}")
    tree, sample = open_tree(str(found[0])), EveryTwentieth(("**/*.[ch]",))
    mine = count_calls(census(tree, load_profile("linux"), select=sample))
    parser = Counter[str]()
    for part in scan(tree, sample, count_call_expressions).parts:
        parser.update(part.value)
    print(f"census {dict(mine)}, tree-sitter {dict(parser)}")
    assert sum(parser.values()) > 5_000
    assert agree(mine, parser) == []
