"""The JSON Schemas that come with lockscape, and real output held against them."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli_tools import BSD_FILES, LINUX_FILES, Command, write_tree
from lockscape.cli.main import COMMANDS
from lockscape.report.schema import DOCUMENTS, schema_texts


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def shipped(name: str) -> dict[str, Any]:
    text = (resources.files("lockscape.report") / "schemas" / f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def closed(schema: Any) -> Any:
    """Return a schema that allows no field beside those that it names: none may be missing from it."""
    if isinstance(schema, dict):
        found = {key: closed(value) for key, value in schema.items()}
        return found | ({"additionalProperties": False} if "properties" in schema else {})
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


def check(name: str, out: str) -> None:
    document = json.loads(out)
    assert document["document"] == name
    Draft202012Validator(closed(shipped(name))).validate(document)


def test_every_command_has_a_schema_and_every_schema_is_up_to_date() -> None:
    assert sorted(DOCUMENTS) == sorted([*COMMANDS, "system"])  # of systems show
    folder = resources.files("lockscape.report") / "schemas"
    found = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".json")}
    assert found == schema_texts(), "run: python tools/write_schemas.py"


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_schemas_are_schemas_with_a_name_of_their_own(name: str) -> None:
    schema = shipped(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:lockscape:schema:{name}:1"


@pytest.mark.parametrize(
    "arguments",
    [["systems"], ["systems", "show", "linux-2.4"], ["systems", "--method", "fine"], ["methods"],
     ["methods", "show", "coarse"]],
)  # fmt: skip
def test_catalogue_commands(call: Command, arguments: list[str]) -> None:
    name = "system" if "show" in arguments and arguments[0] == "systems" else arguments[0]
    check(name, call(*arguments, "--json").out)


@pytest.mark.parametrize(
    "arguments",
    [["census"], ["census", "--sites", "--by", "dir"], ["census", "--wrappers", "--by", "file"],
     ["census", "--profile", "paper"], ["footprint"], ["footprint", "--by", "file"]],
)  # fmt: skip
def test_commands_that_read_a_tree(call: Command, tmp_path: Path, arguments: list[str]) -> None:
    broken = {"kernel/bad.c": "#ifdef CONFIG_SMP\n#define take() spin_lock(&x)\nvoid f(void) { take(); }\n"}
    tree = str(write_tree(tmp_path / "linux", {**LINUX_FILES, **broken}))
    check(arguments[0], call(*arguments, tree, "--json").out)


def test_study_with_trees(call: Command, tmp_path: Path) -> None:
    linux = str(write_tree(tmp_path / "linux", LINUX_FILES))
    bsd = str(write_tree(tmp_path / "bsd", BSD_FILES))
    check("study", call("study", "--recorded", linux, bsd, "-o", str(tmp_path / "page.html"), "--json").out)


def test_a_document_that_breaks_its_schema_is_noticed(call: Command) -> None:
    document = json.loads(call("systems", "--json").out)
    document["systems"][0]["latency"] = 3
    assert not Draft202012Validator(shipped("systems")).is_valid(document)
