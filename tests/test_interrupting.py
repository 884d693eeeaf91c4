"""Which locks interrupt handlers wait for, as a port's listings say, and what that excuses in a mutant."""

import msgspec
import pytest

from lockscape.ports.interrupting import Handlers
from lockscape.ports.mutants import Mutant
from lockscape.ports.plan import Plan, load_plan, parse_plan
from lockscape.ports.port import port


def handlers(plan: Plan | str) -> Handlers:
    return Handlers(port(load_plan(plan) if isinstance(plan, str) else plan))


def waited_for(plan: Plan | str, function: str, lock: str, ordinal: int = 0) -> set[str]:
    return handlers(plan).wait_for(Mutant(function, ordinal, lock, "exclusive", "unmasked"))


@pytest.mark.parametrize(
    ("function", "lock", "waited"),
    [
        ("page_free", "page_alloc_lock", False),  # a handler frees pages only where it came into user mode
        ("post_signal", "sigmask_lock", False),
        ("queue_packet", "sp_lock", True),
        ("wake", "runqueue_lock", True),
        ("advance_clock", "xtime_lock", True),
        ("take_ended", "tasklist_lock", True),  # under runqueue_lock, for which handlers wait
        ("bind", "global_bh_count", False),  # recursive: a handler goes on
    ],
)
def test_what_handlers_wait_for_in_linux_2_2(function: str, lock: str, waited: bool) -> None:
    assert waited_for("linux-2.2", function, lock) == ({lock} if waited else set())


def test_a_handler_that_reads_optimistically_waits_for_the_writer() -> None:
    plan = parse_plan(
        """
        base = "linux-2.6"
        title = "Linux 2.6, with a sequence lock that a handler reads under"
        [[lock]]
        name = "line_lock"
        object = "Clock"
        kind = "seqlock"
        masks = true
        [[rule]]
        at = "section sys_time/mark"
        lock = "line_lock"
        [[rule]]
        at = "section quiet_since/look"
        lock = "line_lock"
        mode = "retry"
        """,
        "read",
    )
    assert waited_for(plan, "sys_time", "line_lock") == {"line_lock"}


def test_locks_taken_under_one_that_masks_for_them_count() -> None:
    plan = parse_plan(
        """
        base = "fine"
        title = "fine, with a lock of who sends, which masks interrupts also for the card's lock"
        [[lock]]
        name = "card_lock"
        object = "Card"
        kind = "spinlock"
        [[lock]]
        name = "send_lock"
        object = "PacketPool"
        kind = "spinlock"
        masks = true
        [[rule]]
        at = "body begin_clients"
        lock = "send_lock"
        """,
        "inner",
    )
    assert waited_for(plan, "begin_clients", "send_lock") == {"card_lock"}


def test_a_handler_that_reads_does_not_wait_for_readers_unless_a_writer_comes_first() -> None:
    """Only readers of the table of listeners are handlers, and who waits to write keeps no reader out."""
    reader = Mutant("find_listener", 0, "tcp_lhash_lock", "shared", "unmasked")
    assert handlers("linux-2.6").wait_for(reader) == set()
    assert waited_for("linux-2.6", "bind", "tcp_lhash_lock", 1) == {"tcp_lhash_lock"}
    plan = load_plan("linux-2.6")
    fair = [msgspec.structs.replace(each, fair=each.name == "tcp_lhash_lock") for each in plan.lock]
    assert handlers(msgspec.structs.replace(plan, lock=fair)).wait_for(reader) == {"tcp_lhash_lock"}
