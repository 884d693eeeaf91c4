"""``lockscape boot``: with a QEMU that is none, for all that can go wrong, and with the real one."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from boot_tools import DONE, KERNEL_FILES, debian, fake_qemu, need_simulator
from cli_tools import Command
from lockscape.errors import InputError
from lockscape.real.compile import NATIVE, compiled
from lockscape.real.simulator.messages import CallCount, bucket_bounds, percentile, read_message
from lockscape.real.simulator.qemu import INIT_OPTIONS, PLUGIN_OPTIONS, find_qemu
from lockscape.workloads.postmark import PAPER, operations
from stdio_calls import system_calls
from test_schemas import check
from tools import require


@pytest.fixture
def lockscape(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def kernel(tmp_path: Path) -> str:
    for path, content in KERNEL_FILES.items():
        (tmp_path / "kernel" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kernel" / path).write_bytes(content)
    return str(tmp_path / "kernel")


SMALL = ("--transactions", "10", "--number", "5", "--filesystem", "tmpfs", "--jobs", "2")


def children() -> set[str]:
    me = str(os.getpid())
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if words[1] == me and words[0] != "Z":
            found.add(path.parent.name)
    return found


# ---- the programs in C ----


@pytest.mark.parametrize("api", [1, 2, 3])
def test_the_plugin_compiles_without_a_warning_for_every_api(api: int, tmp_path: Path) -> None:
    require("gcc")
    strict = ("-Wall", "-Wextra", "-Werror", f"-DPLUGIN_API={api}")
    assert compiled(NATIVE / "lockstep.c", (*PLUGIN_OPTIONS, *strict), cache=tmp_path).is_file()


@pytest.mark.parametrize("bits", [32, 64])
def test_process_1_compiles_without_a_warning_and_has_every_mark(bits: int, tmp_path: Path) -> None:
    require("gcc")
    strict = ("-Wall", "-Wextra", "-Werror", f"-m{bits}")
    program = compiled(NATIVE / "init.c", (*INIT_OPTIONS, *strict), cache=tmp_path).read_bytes()
    marks = {
        int.from_bytes(each, "little") for each in re.findall(rb"\x0f\x1f\x80(..)SL", program, re.DOTALL)
    }
    kinds = Counter(mark & ~0xFF for mark in marks)
    assert kinds == {0x100: 2, 0x200: 32, 0x300: 32, 0x400: 8}


@pytest.mark.parametrize(
    ("version", "api"), [("6.2.0", 1), ("7.2.22", 1), ("9.0.1", 2), ("9.1.0", 3), ("10.0.2", 3)]
)
def test_the_plugin_is_for_the_qemu_that_there_is(
    version: str, api: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("gcc")
    monkeypatch.setenv("LOCKSCAPE_QEMU", str(fake_qemu(tmp_path / "q", "", version)))
    found = find_qemu()
    assert found.version == version
    assert found.plugin == compiled(NATIVE / "lockstep.c", (*PLUGIN_OPTIONS, f"-DPLUGIN_API={api}"))


def test_missing_and_old_tools_are_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lockscape: Command, kernel: str
) -> None:
    monkeypatch.setenv("LOCKSCAPE_QEMU", str(fake_qemu(tmp_path / "q", "", "5.2.0")))
    result = lockscape("boot", kernel, *SMALL)
    assert result.code == 1
    assert "QEMU 5.2: 6.1 or later is needed" in result.err
    monkeypatch.setenv("LOCKSCAPE_QEMU", "no-such-qemu")
    result = lockscape("boot", kernel, *SMALL)
    assert result.code == 1
    assert "apt install qemu-system-x86" in result.err
    assert result.err.count("\n") == 1


# ---- messages ----


def test_buckets_hold_what_the_plugin_puts_into_them() -> None:
    def bucket_of(value: int) -> int:  # as in native/processors.h
        power = value.bit_length() - 1
        return value if value < 16 else power * 8 + ((value >> (power - 3)) & 7) - 16

    source = (NATIVE / "processors.h").read_text()
    assert "power * 8 + (value >> (power - 3) & 7) - 16" in source
    for value in [*range(5000), 10**6, 123_456_789, 2**40 + 3]:
        low, high = bucket_bounds(bucket_of(value))
        assert low <= value <= high <= low * 9 / 8


def test_percentiles_are_upper_bounds() -> None:
    call = CallCount(0, 10, 0, 5, 990, {5: 4, 30: 5, 63: 1})
    assert percentile(call, 0.4) == 5
    assert percentile(call, 0.5) == bucket_bounds(30)[1]
    assert percentile(call, 0.99) == 990


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"kind":"new"}', b'{"kind":"begin","user":1', b"\xff"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(InputError, match="no message"):
        read_message(line)


# ---- guests that go wrong ----


def booted(
    lockscape: Command, kernel: str, does: str, monkeypatch: pytest.MonkeyPatch, *more: str
) -> tuple[int, str, str]:
    monkeypatch.setenv("LOCKSCAPE_QEMU", str(fake_qemu(Path(kernel).parent / "q", does)))
    monkeypatch.setattr(tempfile, "tempdir", str(Path(kernel).parent))
    result = lockscape("boot", kernel, *SMALL, *more)
    assert children() == set()
    assert not list(Path(kernel).parent.glob("lockscape-*"))
    return result


def test_a_guest_that_does_all_gives_a_curve(
    lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = booted(lockscape, kernel, DONE, monkeypatch, "--cpus", "2,4", "--repeat", "3", "--json")
    assert result.code == 0, result.err
    check("boot", result.out)
    curve = json.loads(result.out)["curves"][0]
    assert [(p["cpus"], p["makespan_cycles"], p["speedup"]) for p in curve["points"]] == [
        (1, 1000, 1.0), (2, 500, 2.0), (4, 250, 4.0)
    ]  # fmt: skip
    assert curve["points"][1]["time_shares"] == {
        "user": 2 / 1000, "kernel": 2 / 1000, "spin": 2 / 1000, "idle": 994 / 1000
    }  # fmt: skip
    assert [doubt["kind"] for doubt in curve["doubts"]] == ["calls"]
    assert curve["calls"][0] == {
        "call": "fstat",
        "count": 2,
        "mean": 4.5,
        "least": 4,
        "p50": 4,
        "p90": 5,
        "most": 5,
    }


def test_guests_with_the_most_processors_begin_first(
    lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Path(kernel).parent / "begun"
    logged = f"open({str(begun)!r}, 'a').write('%d ' % cpus)\n" + DONE
    works = ("--workload", "postmark", "--workload", "compute")
    result = booted(lockscape, kernel, logged, monkeypatch, "--cpus", "2,4", *works, "--jobs", "1")
    assert result.code == 0, result.err
    assert begun.read_text().split() == ["4", "4", "2", "2", "1", "1"]


def test_laws_are_fitted_to_a_booted_curve(
    lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = booted(lockscape, kernel, DONE, monkeypatch, "--json")
    (tmp_path / "curve.json").write_text(result.out)
    fitted = json.loads(lockscape("laws", str(tmp_path / "curve.json"), "--json").out)["curves"][0]
    assert fitted["name"] == "postmark"
    assert fitted["fits"]["curve"]["processes"] == 8
    assert fitted["fits"]["curve"]["cpus"] == list(range(1, 9))


def test_the_study_shows_a_booted_curve(
    lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = booted(lockscape, kernel, DONE, monkeypatch, "--json")
    (tmp_path / "curve.json").write_text(result.out)
    page = tmp_path / "page.html"
    done = lockscape(
        "study", "--recorded", "--booted", str(tmp_path / "curve.json"), "-o", str(page), "--json"
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    (curve,) = found["booted"]
    assert (curve["kernel"], curve["workload"]) == ("9.8.7-test", "postmark")
    assert curve["points"][7] == {"cpus": 8, "speedup": 8.0}
    assert [each["name"] for each in found["manifest"]["inputs"]] == [str(tmp_path / "curve.json")]
    text = page.read_text("utf-8")
    assert "booted 9.8.7-test, 8 processors: 8.00" in text and "QEMU 7.2.22" in text


def test_people_are_told_what_was_booted(
    lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = booted(lockscape, kernel, DONE, monkeypatch, "--cpus", "1,2")
    assert result.code == 0, result.err
    for text in (
        "Linux 9.8.7-test",
        "One instruction is one cycle",
        "1.00  2.00",
        "QEMU 7.2.22",
        "Doubt: 1 run",
    ):
        assert text in result.out
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("does", "why", "last"),
    [
        (
            'say("Kernel panic - not syncing: \\x1b[31mno init\\x1b[0m \\x07"); sys.exit(1)',
            "panicked",
            r"no init \x07",
        ),
        ('say("Kernel panic - not syncing: stuck"); time.sleep(60)', "panicked", "stuck"),
        ('say("booting"); time.sleep(60)', "hangs: nothing printed", "booting"),
        (
            'say("booting"); messages.write(\'{"kind":"begin"}\\n\'); sys.exit(3)',
            "ended while it measured (exit code 3)",
            "booting",
        ),
        (
            'print("bad -cpu", file=sys.stderr); sys.exit(1)',
            "ended before it began to measure (exit code 1)",
            "bad -cpu",
        ),
        ("os.kill(os.getpid(), 9)", "(signal 9)", ""),
        (
            'say("lockscape: failed mount ext2 19"); sys.exit(1)',
            "in the guest failed: mount ext2 19",
            "mount",
        ),
        ('say("lockscape: process failed write s1/3 28"); sys.exit(1)', "failed write s1/3 28", "process"),
        ("messages.write('nonsense\\n'); time.sleep(60)", "no message", ""),
        ("while True: say('x' * 1000000)", "more than 16 MB", ""),
        ("os.write(1, b'y' * (1 << 20)); messages.write('z' * (1 << 20) + '\\n')", "no message", ""),
        (DONE.replace("processors %d", "processors 1%d"), "runs on 11 of 1 processors", "done"),
        (DONE.replace("ended 8", "ended 7"), "7 of 8 processes ended well", "done"),
    ],
)
def test_a_guest_that_goes_wrong_is_told_with_its_last_lines(
    does: str, why: str, last: str, lockscape: Command, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = booted(
        lockscape, kernel, does, monkeypatch, "--cpus", "1", "--timeout", "4" if "hangs" in why else "60"
    )
    *console, told = result.err.splitlines()
    assert result.code == 1
    assert told.startswith("lockscape: ")
    assert why in told
    assert last in "\n".join(console)
    assert all(line.startswith("  | ") and line.isprintable() for line in console)
    assert len(console) <= 12


def test_an_interruption_ends_all_guests(tmp_path: Path, kernel: str) -> None:
    mark = tmp_path / "started"
    does = f"open({str(mark)!r} + str(os.getpid()), 'w'); time.sleep(60)"
    environment = os.environ | {
        "LOCKSCAPE_QEMU": str(fake_qemu(tmp_path / "q", does)),
        "TMPDIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "lockscape", "boot", kernel, *SMALL]
    for number in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(started := list(tmp_path.glob("started*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(number)
        said = running.communicate(timeout=30)[1]
        assert running.returncode in (130, 128 + signal.SIGTERM), said
        assert not any(Path("/proc", path.name.removeprefix("started")).exists() for path in started)
        assert not list(tmp_path.glob("lockscape-boot-*"))
        for path in started:
            path.unlink()


def test_a_guest_that_was_stopped_does_not_hang(tmp_path: Path, kernel: str) -> None:
    mark = tmp_path / "started"
    does = f"""
open({str(mark)!r}, "w").write(str(os.getpid()))
time.sleep(0.5)
{DONE}"""
    environment = os.environ | {"LOCKSCAPE_QEMU": str(fake_qemu(tmp_path / "q", does))}
    command = [sys.executable, "-m", "lockscape", "boot", kernel, *SMALL, "--cpus", "1", "--timeout", "3"]
    running = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    both = (running.pid, int(mark.read_text()))
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3.5)
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said


def test_what_cannot_be_run_is_refused_before_anything_is_booted(lockscape: Command, kernel: str) -> None:
    for more, why in (
        (("--number", "250000", "--size", "10000"), "give fewer files"),
        (("--workload", "trace:x"), "'trace:x' is not one of"),
        (("--cpus", "300"), "at most 255 processors"),
        (("--modules", "no-such-folder"), "does not exist"),
        (("--seed", "2147483647", "--seed-each"), "the last process would have no seed"),
    ):
        result = lockscape("boot", kernel, *SMALL, *more)
        assert result.code in (1, 2)
        assert why in result.err
        assert result.err.count("\n") == 1


# ---- the real QEMU ----


def expected_calls(transactions: int, number: int) -> Counter[str]:
    """Return the system calls that a process makes for these options with the C library of 2005."""
    made = operations(msgspec.structs.replace(PAPER, transactions=transactions, files=number))
    return Counter(call.name for _, call in system_calls(made, "2005") if call.name != "fault")


def test_a_small_point_of_debians_kernel(lockscape: Command) -> None:
    need_simulator()
    debian()
    result = lockscape(
        "boot",
        "debian",
        "--cpus",
        "2",
        "--processes",
        "2",
        "--transactions",
        "60",
        "--number",
        "40",
        "--json",
    )
    assert result.code == 0, result.err
    check("boot", result.out)
    document = json.loads(result.out)
    one, two = document["curves"][0]["points"]
    assert document["simulator"]["guest_clock"] == "simulated"
    assert document["simulator"]["linear_directories"]
    assert "ext2" in document["simulator"]["file_system"]
    for point in (one, two):
        run = point["runs"][0]
        assert len(run["processors"]) == point["cpus"]
        assert sum(point["time_shares"].values()) == pytest.approx(1)
        assert point["time_shares"]["kernel"] > 0.7
        counts: Counter[str] = Counter()
        for call in run["calls"]:
            counts[call["call"].split("-")[0]] += call["count"]
            assert 300 < call["least"] <= call["p50"] <= call["p90"] <= call["most"]
            assert call["least"] <= call["mean"] <= call["most"]
        if (
            point["cpus"] == 2
        ):  # on one processor a call that was interrupted by another process is not counted
            assert counts == {name: 2 * count for name, count in expected_calls(60, 40).items()}
    assert one["time_shares"]["idle"] < 0.01
    assert 0.95 < two["speedup"] < 2.2


def booted_curves(lockscape: Command, *arguments: str) -> dict[str, dict[int, dict[str, object]]]:
    need_simulator()
    result = lockscape("boot", *arguments, "--json")
    assert result.code == 0, result.err
    check("boot", result.out)
    return {
        curve["name"]: {point["cpus"]: point for point in curve["points"]}
        for curve in json.loads(result.out)["curves"]
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_controls_tell_a_kernel_that_scales_from_contention(lockscape: Command) -> None:
    debian()
    controls = ("--workload", "compute", "--workload", "one-directory", "--workload", "postmark")
    found = booted_curves(
        lockscape, "debian", "--cpus", "4", "--processes", "4", *controls, "--transactions", "200", "--number",
        "50", "--iterations", "30000000",
    )  # fmt: skip
    speedup = {name: curve[4]["speedup"] for name, curve in found.items()}
    assert speedup["compute"] == pytest.approx(4, rel=0.02)
    assert speedup["postmark"] > 3.5
    assert speedup["one-directory"] < 2
    spin = {name: curve[4]["time_shares"]["spin"] for name, curve in found.items()}  # type: ignore[index]
    assert spin["one-directory"] > 0.3 > 0.05 > spin["postmark"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_runs_of_a_point_agree(lockscape: Command) -> None:
    debian()
    found = booted_curves(
        lockscape, "debian", "--cpus", "4", "--processes", "4", "--transactions", "1000", "--number", "300",
        "--repeat", "3",
    )  # fmt: skip
    for point in found["postmark"].values():
        makespans = [run["makespan_cycles"] for run in point["runs"]]  # type: ignore[attr-defined]
        assert max(makespans) / min(makespans) < 1.03


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_curve_of_a_kernel_of_32_bits(lockscape: Command) -> None:
    found = booted_curves(
        lockscape, "debian-686", "--cpus", "1,2,4", "--processes", "4", "--transactions", "300", "--number",
        "100",
    )  # fmt: skip
    assert [round(point["speedup"]) for point in found["postmark"].values()] == [1, 2, 4]  # type: ignore[call-overload]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_tmpfs_needs_no_module(lockscape: Command) -> None:
    debian()
    found = booted_curves(
        lockscape, "debian", "--cpus", "1", "--processes", "2", "--transactions", "100", "--number", "50",
        "--filesystem", "tmpfs",
    )  # fmt: skip
    assert found["postmark"][1]["speedup"] == 1
