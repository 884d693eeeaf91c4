"""Fills the regions of the documentation that are made from the program and its data.

    python docs/generate.py [TREES]

A region stands between ``<!-- made by NAME in docs/generate.py -->`` and ``<!-- end -->``; all other text is
written by hand. `lines_and_calls` is counted on real kernels, and filled only when TREES names a folder that
holds linux-2.0.40, linux-2.2.26, linux-2.4.31 and linux-2.6.11. Tests hold every region to this.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import api_pages
import click
import map_pages
import method_pages
import system_pages
from markdown import markdown, table

from lockscape import catalog
from lockscape.catalog import CodeChange, Finding, Table1, Table2, Table3
from lockscape.cli.main import main as command_line
from lockscape.experiments import measured
from lockscape.experiments.figure2 import recorded
from lockscape.report.bundled import Measurement, bundled
from lockscape.report.figure2 import ablation_tables, curve_tables, figure2_document, statements_table
from lockscape.report.manifest import Stopwatch
from lockscape.report.records import recorded_unlock
from lockscape.report.schema import DOCUMENTS, schema
from lockscape.report.simulate_tables import about_runs
from lockscape.report.study import ClaimRecord, study_document
from lockscape.report.table1 import Table1Document, numbers_table, table1_document, words_table
from lockscape.report.unlock import data_table, linux_table, path_table
from lockscape.source.census import Census, Site, census
from lockscape.source.profile import OPERATIONS, load_profile
from lockscape.source.tree import Directory

DOCS = Path(__file__).parent

METHODS = {"cpp": "cpp, indent, diff", "evaluate": "own evaluator"}
COLUMNS = ("files", "changed_files", "lines_no_smp", "lines_smp", "modified")

_REGION = re.compile(
    r"(<!-- made by (\w+) in docs/generate\.py -->\n).*?(?=<!-- end -->)", re.DOTALL
)  # fmt: skip

Region = Callable[[], Iterable[str]]


def filled(text: str, regions: Mapping[str, Region]) -> str:
    """Return a page's text with its regions made anew; those that are not in `regions` stay as they are."""

    def fill(match: re.Match[str]) -> str:
        make = regions.get(match[2])
        return match[0] if make is None else match[1] + "".join(f"{line}\n" for line in make())

    return _REGION.sub(fill, text)


def regions_of(text: str) -> list[str]:
    """Return the names of a page's regions."""
    return [match[2] for match in _REGION.finditer(text)]


def commands() -> Iterator[str]:
    """Yield the help of every command, as in a terminal of 80 columns."""
    with click.Context(command_line, info_name="lockscape", terminal_width=80, max_content_width=80) as root:
        yield from _help(root, 2)


def _help(ctx: click.Context, level: int) -> Iterator[str]:
    ctx.help_option_names = ["-h", "--help"]
    yield f"{'#' * level} {ctx.command_path}"
    yield from ("", "```text", *ctx.command.get_help(ctx).splitlines(), "```", "")
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            assert command is not None, name
            yield from _help(click.Context(command, parent=ctx, info_name=name), min(level + 1, 4))


def documents() -> Iterator[str]:
    """Yield every type that stands in JSON documents, with its fields: those of all documents first."""
    found = [schema(name)["$defs"] for name in DOCUMENTS]
    shared = [name for name in found[0] if all(types.get(name) == found[0][name] for types in found)]
    yield from ("### In every document", "")
    for name in shared:
        yield from _type(name, found[0][name])
    seen = {name: found[0][name] for name in shared}
    for document, types in zip(DOCUMENTS, found, strict=True):
        yield from (f"### {document}", "")
        for name, each in types.items():
            if seen.get(name) != each:  # two types of different documents may have one name
                yield from _type(name, each)
        seen |= types


def _type(name: str, each: Mapping[str, Any]) -> Iterator[str]:
    yield f"**{name}.** {' '.join(each.get('description', '').split()).replace('``', '`')}"
    yield ""
    yield from table(("field", "type"), ((f"`{f}`", _type_name(t)) for f, t in each["properties"].items()), 2)
    yield ""


def _type_name(schema_: Mapping[str, Any]) -> str:
    if "$ref" in schema_:
        return str(schema_["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in schema_:
        return " or ".join(map(_type_name, schema_["anyOf"]))
    if "enum" in schema_:
        return " or ".join("null" if value is None else f"`{value}`" for value in schema_["enum"])
    if "const" in schema_:
        return f"`{schema_['const']}`"
    if schema_.get("type") == "array":
        items = schema_.get("prefixItems")
        inner = ", ".join(map(_type_name, items)) if items else _type_name(schema_["items"])
        return f"array of {inner}"
    if schema_.get("type") == "object":
        return f"object of {_type_name(schema_['additionalProperties'])} by name"
    return str(schema_["type"])


def table2() -> Iterator[str]:
    """Yield Table 2 as published and as measured."""
    printed = catalog.table2()
    kinds = [column.id for column in printed.columns[1:]]
    rows: list[list[object]] = []
    for row, found in zip(printed.rows, bundled(), strict=True):
        counts = found.counts("paper")
        rows.append([row.version, "published", *(getattr(row, kind) for kind in kinds)])
        rows.append([found.label, "measured", *(_beside(getattr(row, kind), counts[kind]) for kind in kinds)])
    yield from table(("version", "", *(column.printed for column in printed.columns[1:])), rows, 2)


def _beside(published: int, measured: int) -> str:
    return f"{measured:,}" if measured == published else f"{measured:,} ({measured - published:+,})"


def table3() -> Iterator[str]:
    """Yield Table 3 as published and as measured by both methods."""
    printed = catalog.table3()
    rows: list[list[object]] = []
    for row, found in zip(printed.rows, bundled(), strict=True):
        rows.append([row.version, "published", *(getattr(row, name) for name in COLUMNS)])
        for method, title in METHODS.items():
            change = _change(found, method)
            cells = (_relative(getattr(row, name), getattr(change, name)) for name in COLUMNS)
            rows.append([found.label, title, *cells])
    yield from table(("version", "", *(column.printed for column in printed.columns[1:])), rows, 2)


def _change(found: Measurement, method: str) -> CodeChange:
    change = found.change(method)
    assert change is not None, found.label
    return change


def _relative(published: int, measured: int) -> str:
    if published == measured:
        return f"{measured:,}"
    percent = 100 * (measured - published) / published
    return f"{measured:,} ({percent:+.{1 if abs(percent) >= 0.05 else 2}f}%)"


def changed_files() -> Iterator[str]:
    """Yield how many files each method finds changed, and how many both."""
    rows = [
        (row.version, row.changed_files, found.label, *map(len, both), len(both[0] & both[1]))
        for row, found in zip(catalog.table3().rows, bundled(), strict=True)
        if (both := [_changed(found, method) for method in METHODS])
    ]
    yield from table(("version", "published", "measured in", *METHODS.values(), "by both"), rows)


def _changed(found: Measurement, method: str) -> frozenset[str]:
    at = found.methods.index(method)
    return frozenset(file.path for file in found.files if file.lines is not None and file.lines[at][2])


def xor() -> Iterator[str]:
    """Yield the lines of one header by both methods, and the pipeline's sum with its lines by the other."""
    path = "include/asm-i386/xor.h"
    rows = []
    for row, found in zip(catalog.table3().rows, bundled(), strict=True):
        lines = next((file.lines for file in found.files if file.path == path), None)
        if lines is not None:
            cpp, own = (lines[found.methods.index(method)][0] for method in METHODS)
            sum_ = _change(found, "cpp").lines_no_smp
            rows.append((found.label, cpp, own, sum_, _relative(row.lines_no_smp, sum_ - cpp + own)))
    heads = (
        "version",
        "lines after indent",
        "by the own evaluator",
        "all files",
        "all files with the latter",
    )
    yield from table(heads, rows)


def measured_trees() -> Iterator[str]:
    """Yield which trees the bundled measurements are of."""
    rows = [
        (found.label, len(found.files), found.bytes, f"`{found.identity.removeprefix('sha256:')}`")
        for found in bundled()
    ]
    yield from table(("version", "files", "bytes", "identity (SHA-256)"), rows)
    tools = {version: None for found in bundled() for version in found.tools.values()}
    yield ""
    yield f"The pipeline's programs were {', '.join(f'`{version}`' for version in tools)}."


def marks() -> Iterator[str]:
    """Yield what the confidence marks mean."""
    yield from table(("mark", "meaning"), catalog.MARKS.items(), 2)


TITLES = {
    "contradiction": "The paper contradicts itself",
    "correction": "Evidence contradicts the paper, or makes it more precise",
    "confirmation": "Evidence confirms the paper",
    "unconfirmed": "Could not be confirmed",
}


def findings() -> Iterator[str]:
    """Yield the findings of the catalogue by kind."""
    for kind, title in TITLES.items():
        yield f"## {title}\n"
        for each in catalog.findings():
            if each.kind == kind:
                yield f"{each.id}\n: {each.text}\n"
                yield f"  *{_places(each)}.* Evidence: {each.evidence} [{each.confidence}].\n"


def _places(finding: Finding) -> str:
    """Return the cells of a finding, by table and column: ``Table 2, BKL: 2.2.26, 2.4.30``."""
    published: tuple[Table1 | Table2 | Table3, ...] = (catalog.table1(), catalog.table2(), catalog.table3())
    tables = {f"table{number}": each for number, each in enumerate(published, 1)}
    systems = {system.id: system.name for system in catalog.systems()}
    rows: dict[str, list[str]] = {}
    for place in finding.places:
        found = tables.get(place.table)
        name = found.title if found else "Figure 2"
        if found and place.column:
            name += "".join(f", {column.printed}" for column in found.columns if column.id == place.column)
        rows.setdefault(name, []).extend([systems.get(place.row, place.row)] if place.row else [])
    return "; ".join(f"{name}: {', '.join(of_it)}" if of_it else name for name, of_it in rows.items())


def claims() -> Iterator[str]:
    """Yield the statements of the paper about its tables, with what they were checked against."""
    document = study_document((), Stopwatch().manifest())
    heads = ("statement", "claim", "Linux", "published", "measured", "own evaluator")
    yield from table(heads, (row for record in document.claims for row in _claim_rows(record)), 6)


RELATIONS = {"exactly": "", "about": "about ", "more-than": "more than ", "less-than": "less than "}


def _claim_rows(record: ClaimRecord) -> Iterator[Sequence[str]]:
    claim = record.claim
    unit = "%" if claim.quantity.endswith("share") else ""
    rows: dict[str, list[str]] = {}
    for each in record.checked:
        about = f"{each.beside}, {each.detail}" if each.detail else each.beside
        cells = rows.setdefault(about, ["", "", ""])
        column = 0 if each.source == "published" else 2 if each.method == "evaluate" else 1
        digits = 2 if claim.quantity == "modified-share" else 1 if unit else 0
        cells[column] = f"{each.value:,.{digits}f}{unit} {'holds' if each.holds else 'fails'}"
    first = (f"“{claim.quote}”", f"{claim.quantity}: {RELATIONS[claim.relation]}{claim.value:g}{unit}")
    for about, cells in rows.items():
        yield (*first, about, *cells)
        first = ("", "")


def figure2_statements() -> Iterator[str]:
    """Yield in which share of samples the paper's statements about Figure 2 hold."""
    yield from markdown(statements_table(figure2_document(recorded("pentium4"), Stopwatch().manifest())))


def figure2_curves() -> Iterator[str]:
    """Yield the speedups of Figure 2, stated costs and quantiles."""
    for each in curve_tables(recorded("pentium4")):
        yield from markdown(each, title=True)


def figure2_causes() -> Iterator[str]:
    """Yield what the ablations of Figure 2 show."""
    for each in ablation_tables(recorded("pentium4")):
        yield from markdown(each)


def unlocked(workload: str) -> Iterator[str]:
    """Yield a recorded path from the giant lock of Linux 2.0: its steps, and what Linux did."""
    document = recorded_unlock(workload)
    for line in about_runs(document.workload, [document.machine], {}):
        yield from (line, "")
    for each in (path_table(document), data_table(document), linux_table(document)):
        yield from markdown(each, title=True)


def _table1() -> Table1Document:
    return table1_document(measured.recorded(), Stopwatch().manifest())


def table1_words() -> Iterator[str]:
    """Yield Table 1's words, the paper's and the measured ones."""
    yield from markdown(words_table(_table1()))


def table1_numbers() -> Iterator[str]:
    """Yield what those words come from."""
    yield from markdown(numbers_table(_table1()))


def table1_why() -> Iterator[str]:
    """Yield what the measurements say of each word that differs."""
    yield from (f"- {text}" for each in _table1().systems for text in each.explained)
    yield ""


def disagreements() -> Iterator[str]:
    """Yield what of the paper's Figure 2 and Table 1 the models do not give."""
    document = figure2_document(recorded("pentium4"), Stopwatch().manifest())
    rows: list[Sequence[object]] = [
        (
            "Figure 2",
            f"“{each.text}”",
            measure,
            f"{each.verdict[measure]}: true in {each.share[measure]:.0%} of the samples",
        )
        for each in document.statements
        for measure in each.verdict
        if each.verdict[measure] != "holds"
    ]
    rows += [
        ("Table 1", each.name, quality, f"{cell.measured} instead of {cell.printed}")
        for each in _table1().systems
        for quality, cell in (("latency", each.latency), ("scalability", each.scalability))
        if cell is not None and cell.agrees is False
    ]
    yield from table(("of the paper", "what", "by", "simulated"), rows, 4)


VERSIONS = ("2.0.40", "2.2.26", "2.4.31", "2.6.11")

SAME = {
    "bkl": ("bkl",),
    "spinlock": ("spin",),
    "rwlock": ("rwlock",),
    "seqlock": ("seqlock",),
    "rcu": ("rcu",),
    "sema": ("sema", "rwsem"),
}
"""Kinds of the profile `paper`, and what they are in the profile `linux`."""


def lines_and_calls(trees: Path) -> Iterator[str]:
    """Yield what the lines are that the profile `paper` counts, as the profile `linux` tells them."""
    heads = (
        "version", "kind", "lines", "calls", "in #define", "query, init, declare", "comments, prototypes …",
        "calls not matched", "calls in all",
    )  # fmt: skip
    yield from table(heads, (row for version in VERSIONS for row in _line_rows(trees, version)), 2)


def _line_rows(trees: Path, version: str) -> Iterator[Sequence[object]]:
    tree = Directory(str(trees / f"linux-{version}"))
    paper, linux = load_profile("paper"), load_profile("linux")
    lines = census(tree, paper, sites=True, workers=1)
    calls = census(tree, linux, select=paper.files.file_set(), sites=True, workers=1)
    for kind, same in SAME.items():
        if lines.count(kind):
            yield (version, kind, *_split(lines, calls, kind, same))


def _split(lines: Census, calls: Census, kind: str, same: tuple[str, ...]) -> tuple[int, ...]:
    matched = {(site.path, site.line) for site in lines.sites() if site.kind == kind}
    found = [site for site in calls.sites() if site.kind in same]
    operations = [site for site in found if site.role in OPERATIONS and site.place == "code"]
    in_code = _lines_of(operations)
    in_define = _lines_of(s for s in found if s.role in OPERATIONS and s.place == "define") - in_code
    others = _lines_of(found) - in_code - in_define
    return (
        len(matched), len(matched & in_code), len(matched & in_define), len(matched & others),
        len(matched - in_code - in_define - others),
        len(operations) - len(matched & in_code), len(operations),
    )  # fmt: skip


def _lines_of(sites: Iterable[Site]) -> set[tuple[str, int]]:
    return {(site.path, site.line) for site in sites}


REGIONS: Mapping[str, Region] = {
    **method_pages.regions(),
    **system_pages.regions(),
    **map_pages.regions(),
    **{f"api_{layer}": partial(api_pages.reference, layer) for layer in api_pages.LAYERS},
    "operations": api_pages.operations,
    "commands": commands,
    "documents": documents,
    "table2": table2,
    "table3": table3,
    "changed_files": changed_files,
    "xor": xor,
    "measured_trees": measured_trees,
    "marks": marks,
    "findings": findings,
    "claims": claims,
    "figure2_statements": figure2_statements,
    "figure2_curves": figure2_curves,
    "figure2_causes": figure2_causes,
    "table1_words": table1_words,
    "table1_numbers": table1_numbers,
    "table1_why": table1_why,
    "disagreements": disagreements,
    "unlock_postmark": lambda: unlocked("postmark"),
    "unlock_kernelbuild": lambda: unlocked("kernelbuild"),
}
"""Regions that need nothing but lockscape itself."""


def counted(trees: Path) -> Mapping[str, Region]:
    """Return the regions that are counted on real kernels."""
    return {"lines_and_calls": lambda: lines_and_calls(trees)}


if __name__ == "__main__":
    regions = {
        **REGIONS,
        **method_pages.simulated(),
        **system_pages.simulated(),
        **(counted(Path(sys.argv[1])) if len(sys.argv) > 1 else {}),
    }
    map_pages.draw()
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text("utf-8")
        if regions_of(text):
            path.write_text(filled(text, regions), "utf-8")
