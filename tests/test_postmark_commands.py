"""PostMark's configuration files: what is accepted means what it means to the real program."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.workloads.postmark import Location, PostmarkOptions
from lockscape.workloads.postmark_commands import (
    COMMANDS,
    MAX_BYTES,
    MAX_LINES,
    Commands,
    Configuration,
    commands_of,
    read_commands,
)
from postmark_output import show
from postmark_tools import postmark

BANNER = "PostMark v1.51 : 8/14/01\nReading configuration from file 'commands'\n"


def parse_commands(text: str, name: str = "commands") -> Commands:
    """Read a configuration file of `text`, called `name`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, newline="")
        return read_commands(path)


def options_after(text: str) -> PostmarkOptions:
    return parse_commands(text).configuration.options


def test_every_option_is_read_back() -> None:
    options = PostmarkOptions(1, 2, 3, 40, 5, 6, (Location("a"), Location("b c", 7)), 8, 9, -1, 10, False)
    assert options_after(commands_of(options)) == options
    assert options_after("") == PostmarkOptions()


def test_runs_keep_the_settings_of_their_time() -> None:
    commands = parse_commands(
        "run\nset number 7\nrun out put\nset report terse\nshow\nshow list\nhelp\nrun\nquit"
    )
    first, second, third = commands.runs
    assert (first, second) == (Configuration(), Configuration(PostmarkOptions(files=7)))
    assert third.terse
    assert not commands.problems


def test_lines_that_do_nothing_are_reported() -> None:
    commands = parse_commands("set number 7\n\nquit\nset number 8\nrun\n")
    assert commands.configuration.options.files == 7
    assert commands.problems == (
        "commands, line 2: empty, to which PostMark answers 'Eh?': remove it",
        "commands, line 3: quit: the 2 lines after it are not read",
    )


ANSWERED = [
    "set", "set ", "s", "#comment", "!ls", "?", "exit", "SET SIZE 10", " run", "set  size 10", "set bias 3", "sho",
    "set size", "set size ", "set size abc", "set size 0", "set size -3 20", "set size10", "set number 0",
    "set number", "set number -5", "set number x", "set transactions 0", "set seed 0", "set seed 4294967295",
    "set seed -1", "set subdirectories 0", "set read 0", "set write x", "set bias read 11", "set bias read -2",
    "set bias create", "set buffering no", "set buffering TRUE", "set buffering true ", "set report t", "set report",
    "set report terse ", "set location", "set location a x", "set location a 0", "set location a ", "set location -z",
    "set location  a", "load", "load nofile", "load ", "show ", "show no/folder ",
]  # fmt: skip
"""Lines to which the real program answers Eh? or an error (or, for ``!``, what a shell prints)."""

MISREAD = [
    "set size 10k", "set size 10,20", "set size 10.5 20", "set size 10 5", "set size 10 20 30", "set size  10 20",
    "set sizes 10 20", "set size\t10\t20", "set number 7 8", "set number 12abc", "set number 0x10x",
    "set seed 99999999999", "set bias read often", "set bias read 5x", "set location a 3x", "set location a  3",
    "set location +", "set location a 4294967297", "helpme", "quitting", "help x", "quit now", "showing", "runx",
    "set number 7\r", "set number ٣",
]  # fmt: skip
"""Lines of which the real program ignores a part, or takes it for something else."""


@pytest.mark.parametrize("line", ANSWERED + MISREAD)
def test_lines_that_postmark_does_not_take_are_refused(line: str) -> None:
    with pytest.raises(InputError) as error:
        parse_commands(f"set number 5\n{line}\n", "disk.pm")
    assert str(error.value).startswith(f"disk.pm, line 2: {line!r}: ")
    assert "\n" not in str(error.value)


def test_the_real_program_answers_these_lines(tmp_path: Path) -> None:
    for line in ANSWERED:
        if line.startswith("!"):
            continue
        printed = postmark(tmp_path, f"{line}\nquit\n", errors=None).decode()
        assert "Eh?" in printed or "Error: " in printed, line


def test_shell_commands_are_not_executed(tmp_path: Path) -> None:
    (tmp_path / "commands").write_text(f"!touch {tmp_path}/made\n")
    with pytest.raises(InputError, match="shell commands are never executed here: remove the line"):
        read_commands(tmp_path / "commands")
    assert not (tmp_path / "made").exists()


NUMBER = st.integers(-2, 12) | st.integers(1, 250_000) | st.sampled_from([0, 2**31 - 1, 2**31, 10**9])
SPACES = st.sampled_from(["", " ", "  "])


@st.composite
def command_line(draw: st.DrawFn) -> str:
    """A line that is probably a command, with spaces, signs and zeros that may not belong there."""
    name = draw(st.sampled_from([name for name in COMMANDS if name.startswith("set ")]))
    number = draw(SPACES) + draw(st.sampled_from(["", "+", "0"])) + str(draw(NUMBER)) + draw(SPACES)
    if name == "set size":
        low = draw(st.integers(1, 2000))
        number = f"{low}{draw(SPACES)} {low + draw(st.integers(-1, 2**20))}{draw(SPACES)}"
    elif name == "set location":
        number = draw(st.sampled_from(["", "+", "-"])) + draw(
            st.sampled_from(["a", "b c", "a/", "+a", "-", "é"])
        )
        number += draw(st.sampled_from(["", " 1", " 3", " +2", " 03", " 0", "  2", " "]))
    elif name == "set buffering":
        number = draw(st.sampled_from(["true", "false", "false "]))
    elif name == "set report":
        number = draw(st.sampled_from(["terse", "verbose", "tersely"]))
    return f"{name} {number}"


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(command_line(), max_size=30))
def test_accepted_lines_mean_what_they_mean_to_the_real_program(lines: list[str]) -> None:
    accepted: list[str] = []
    for line in lines:
        try:
            parse_commands("\n".join([*accepted, line]))
        except InputError:
            continue
        accepted.append(line)
    text = "".join(f"{line}\n" for line in accepted)
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        expected = show(parse_commands(text).configuration, str(folder))
        assert postmark(folder, text + "show\nquit\n").decode() == BANNER + expected


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60) | st.lists(st.sampled_from([*COMMANDS, " ", "-", "9", "\n"])).map("".join))
def test_any_text_is_commands_or_one_line_of_error(text: str) -> None:
    try:
        parse_commands(text)
    except InputError as error:
        assert str(error).isprintable()


def test_a_file_loads_others_as_the_real_program_does(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("set number 77\nquit\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more").write_text("set seed 5\nload inner\n")
    text = "load sub/more\nset read 99\nshow\nquit\n"
    printed = postmark(tmp_path, text).decode()
    commands = read_commands(tmp_path / "commands")
    assert commands.configuration.options == PostmarkOptions(files=77, seed=5, read_block_bytes=99)
    assert printed.endswith(show(commands.configuration, str(tmp_path)))


def test_loading_stays_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("set number 1\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("../outside")
    (folder / "circle").symlink_to("circle")
    for name in ("../outside", str(tmp_path / "outside"), "link", "/etc/passwd"):
        (folder / "commands").write_text(f"load {name}\n")
        with pytest.raises(
            InputError, match=r"commands, line 1: .* is outside the folder of the first file: move it"
        ):
            read_commands(folder / "commands")
    for name in ("circle", "x" * 3000, ".", "missing"):
        (folder / "commands").write_text(f"load {name}\n")
        with pytest.raises(InputError, match="commands, line 1: "):
            read_commands(folder / "commands")


def test_loading_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("load b\n")
    (tmp_path / "b").write_text("load a\n")
    with pytest.raises(InputError, match="b, line 1: 'load a': that file loads itself"):
        read_commands(tmp_path / "a")
    for depth in range(20):
        (tmp_path / f"{depth}").write_text(f"load {depth + 1}\n")
    with pytest.raises(InputError, match="deep: remove the line"):
        read_commands(tmp_path / "0")
    (tmp_path / "many").write_text("set number 5\n" * 100)
    (tmp_path / "a").write_text("load many\n" * MAX_LINES)
    with pytest.raises(
        InputError, match=f"more than {MAX_LINES} lines, with all that is loaded: write fewer"
    ):
        read_commands(tmp_path / "a")
    (tmp_path / "many").write_text("quit\n" + "x" * (MAX_BYTES // 4))
    with pytest.raises(
        InputError, match=f"more than {MAX_BYTES} bytes, with all that is loaded: write fewer"
    ):
        read_commands(tmp_path / "a")


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"set location \xe9\n")
    for name, reason in {"latin": "is not UTF-8 text", "none": "is no file", ".": "is no file"}.items():
        with pytest.raises(InputError, match=reason) as error:
            read_commands(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_run_that_would_kill_postmark_is_refused_where_it_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"commands, line 2: 'run': 9 transactions: .* set at least 10"):
        parse_commands("set transactions 9\nrun\n")
    assert options_after("set transactions 9\n").transactions == 9


def test_long_lines_are_refused_and_quoted_in_part() -> None:
    with pytest.raises(InputError, match="longer than 4096 characters: shorten it") as error:
        parse_commands("set location " + "x" * 5000)
    assert len(str(error.value)) < 250
