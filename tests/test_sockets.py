"""Sockets and the network: what each call does, what goes over the link, and every port without a fault."""

from collections import Counter
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockscape.errors import InputError
from lockscape.experiments.request import Request, run_on
from lockscape.experiments.run import settle, simulate
from lockscape.experiments.trials import Kernel, Trial, assembled, run_trial, streams_of
from lockscape.kernel.card import FRAME_BYTES
from lockscape.kernel.entry import (
    ACCEPT,
    CLOSE,
    CONNECT,
    FSTAT,
    FSYNC,
    LISTEN,
    LSEEK,
    OPEN,
    READ,
    RECEIVE,
    SEND,
    SOCKET,
    WAIT,
    WRITE,
)
from lockscape.kernel.files import BAD_DESCRIPTOR, CREATING, NO_FILE
from lockscape.kernel.sockets import (
    BROKEN,
    IN_USE,
    INVALID,
    IS_CONNECTED,
    NO_SOCKET,
    NOT_CONNECTED,
    REFUSED,
    SEND_BUFFER,
)
from lockscape.machine import layout as at
from lockscape.machine.execute import execute
from lockscape.machine.faults import Detector
from lockscape.ports.plan import load_plan, plan_names
from lockscape.ports.port import port
from lockscape.systems.load import load_system
from lockscape.workloads import fsck, stress, user
from lockscape.workloads.connecting import connecting
from lockscape.workloads.families import call, fork
from lockscape.workloads.load import Machine, Stream, load
from lockscape.workloads.network import WHOLE, outside, peers, serve, server
from lockscape.workloads.reach import reach
from lockscape.workloads.user import FIRST_CALL
from lockscape.workloads.workload_file import Workload, named_workload
from run_tools import kernel_for
from trial_tools import kernel, other_plans

PLANS = [name for name in plan_names() if name != "uniprocessor"]
KERNELS = ("fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "lock-free", "reimplementation")
LISTENS = (call(SOCKET, result=0), call(LISTEN, 0, 80, result=0))


def ran(name: str, cpus: int, *rows, **cards: int) -> tuple[Machine, int]:
    """Let processes with these rows run to their end; return the machine, sound, and how long they took."""
    made, costs, binary = kernel_for(name, **cards)
    machine = load(made, costs, cpus, [Stream(r) for r in rows], binary=binary, program=stress.PROGRAM)
    state = machine.state
    stopped = execute(state, 1 << 40)
    assert stopped.reason == at.REASON_DONE, stopped.text
    end = max(int(state.m[ctx + at.C_DONE]) for ctx in machine.contexts)
    settle(state)
    assert fsck.check(machine, emptied=False) == []
    for ctx in machine.contexts:  # a call with another result than its row says is a process' last
        assert int(state.m[ctx + at.C_WORK]) == int(state.m[ctx + at.C_WORK_END])
    return machine, end


def both(client, service, name: str = "fine", cpus: int = 2) -> None:
    """Let a client and a server of one connection run; the server has descriptor 0 to accept with."""
    accepts = np.concatenate([call(ACCEPT, 0, result=1), *service])
    connects = np.concatenate([call(SOCKET, result=1), call(CONNECT, 1, 80, result=0), *client])
    ran(name, cpus, np.concatenate([*LISTENS, fork(accepts), fork(connects), call(WAIT), call(WAIT)]))


@pytest.mark.parametrize("name", KERNELS)
def test_what_is_sent_is_received_once_and_then_comes_the_end(name):
    both(
        [call(SEND, 1, 100, result=100), call(CLOSE, 1, result=0)],
        [
            call(RECEIVE, 1, 60, WHOLE, result=60),
            call(RECEIVE, 1, 60, WHOLE, result=40),
            call(RECEIVE, 1, 60, result=0),
        ],
        name,
    )


@pytest.mark.parametrize("name", KERNELS)
def test_a_long_message_waits_for_room_and_comes_whole(name):
    long = 3 * SEND_BUFFER + 17
    both([call(SEND, 1, long, result=long)], [call(RECEIVE, 1, long, WHOLE, result=long)], name)


def test_a_receiver_without_whole_takes_what_has_come():
    both(
        [call(SEND, 1, 10, result=10), call(RECEIVE, 1, 1, result=1)],
        [call(RECEIVE, 1, 4, result=4), call(RECEIVE, 1, 100, result=6), call(SEND, 1, 1, result=1)],
    )


def test_who_sends_to_nobody_is_told_also_while_it_waits_for_room():
    long = 2 * SEND_BUFFER
    both([call(SEND, 1, long, result=BROKEN)], [call(CLOSE, 1, think_cycles=200_000, result=0)])
    both([call(SEND, 1, 5, think_cycles=2_000_000, result=BROKEN)], [call(CLOSE, 1, result=0)])


def test_calls_that_fail_say_why():
    ran(
        "fine",
        1,
        np.concatenate(
            [
                *LISTENS,
                call(SOCKET, result=1),
                call(LISTEN, 1, 80, result=IN_USE),
                call(LISTEN, 0, 81, result=INVALID),
                call(CONNECT, 1, 7, result=REFUSED),
                call(CONNECT, 1, 80, result=IS_CONNECTED),  # a socket is used for one attempt
                call(ACCEPT, 1, result=INVALID),
                call(SEND, 1, 9, result=NOT_CONNECTED),
                call(RECEIVE, 0, 9, result=NOT_CONNECTED),
                call(OPEN, 0, 1, CREATING, result=2),
                call(SEND, 2, 9, result=NO_SOCKET),
                call(SEND, 5, 9, result=BAD_DESCRIPTOR),
                *[call(number, 0, 9, result=NO_FILE) for number in (READ, WRITE, FSTAT, LSEEK, FSYNC)],
            ]
        ),
    )


def test_connections_that_nobody_accepted_end_with_the_listener():
    client = np.concatenate(
        [
            call(SOCKET, result=1),
            call(CONNECT, 1, 80, result=0),
            call(CLOSE, 0, result=0),  # a process that was made has the listener as well
            call(RECEIVE, 1, 1, result=0),
        ]
    )
    children = [fork(client)] * 2
    ran(
        "fine",
        2,
        np.concatenate([*LISTENS, *children, call(CLOSE, 0, think_cycles=100_000), call(WAIT), call(WAIT)]),
    )


def test_a_port_is_free_again_when_its_last_descriptor_is_closed():
    again = [call(CLOSE, 0, result=0), *LISTENS]
    ran("fine", 1, np.concatenate([*LISTENS, *again]))
    held = fork(call(CLOSE, 0, think_cycles=3_000_000))
    ran(
        "fine",
        2,
        np.concatenate([*LISTENS, held, call(CLOSE, 0, result=0), call(SOCKET, result=0), call(LISTEN, 0, 80, result=IN_USE),
                        call(WAIT)]),
    )  # fmt: skip


def test_processes_that_share_a_connection_both_use_it():
    child = call(SEND, 1, 30, result=30)
    both(
        [call(SEND, 1, 30, result=30), fork(child), call(WAIT), call(CLOSE, 1)],
        [call(RECEIVE, 1, 60, WHOLE, result=60), call(RECEIVE, 1, 1, result=0)],
    )


# --- the link and the outside world -------------------------------------------------------------------------


def test_a_load_says_what_it_is_made_of_and_refuses_more_than_it_can_say():
    assert outside(1, 0, 0, 0) == 1
    assert outside(3, 2, 7, 9) == 3 + (2 + (7 + 9 * 2048) * 16384) * 4096
    with pytest.raises(InputError, match="clients: from 0 to 4,095"):
        outside(4096, 1, 1, 1)


def test_a_client_sends_its_next_request_a_round_trip_after_the_whole_reply():
    """Of two runs that differ only in the round trip, one is longer by that much for each packet of the client."""
    rows = server(80, 1, 1, 20, 100, 3000)
    short, long = (ran("fine", 1, rows, round_trip_cycles=cycles)[1] for cycles in (400_000, 800_000))
    packets = 20 + 1  # after the answer to its call: requests, and the end
    assert long - short == pytest.approx(packets * 400_000, rel=0.01)


def test_the_link_carries_so_many_bytes_a_second_and_no_more():
    rows = server(80, 16, 1, 30, 100, 1460)
    _, end = ran("fine", 2, rows, wire_byte_cycles=400)
    sent = 16 * 30 * (1460 + FRAME_BYTES) * 400
    assert sent < end < 1.1 * sent


@pytest.mark.parametrize("close_after", [0, 1, 2])
def test_a_server_may_close_before_its_clients_have_finished(close_after):
    one = np.concatenate([call(ACCEPT, 0, result=1), *serve_some(close_after), call(CLOSE, 1, result=0)])
    opened = [call(SOCKET, result=0), call(LISTEN, 0, 80, outside(4, 3, 100, 3000), result=0)]
    machine, _ = ran("fine", 2, np.concatenate([*opened, one, one]))
    execute(machine.state, 1 << 41)
    assert not machine.state.items(machine.state.system("Card"), "transmit")


def serve_some(requests: int) -> list:
    return list(np.split(serve(1, requests, 100, 3000)[: 2 * requests], 2 * requests)) if requests else []


@pytest.mark.parametrize("name", ["fine", "giant", "linux-2.2"])
def test_all_clients_are_served_to_the_end(name):
    """The server's rows say what each call gives, so all requests came whole and all replies left."""
    machine, _ = ran(name, 3, server(80, 3, 2, 4, 700, 5000))
    live = reach(machine.state, machine.owners)
    assert not len(live.of.get("Client", []))


# --- ports --------------------------------------------------------------------------------------------------


def test_the_device_kernel_has_the_card_and_the_protocols():
    machine, _ = ran("dedicated-processor", 3, server(80, 3, 2, 4, 100, 2000))
    state = machine.state
    host, device = state.system("Card", 0, 0), state.system("Card", 0, 1)
    assert state.get(state.system("Ports", 0, 0), "last") > 0
    writer = state.layouts[state.binary.classes.index("Card")].collections["transmit"] + at.S_WRITER
    assert (int(state.m[host + writer]), int(state.m[device + writer]) > 0) == (0, True)
    messages = state.system("Messages")
    for queue in ("outward", "inward", "clients"):
        assert not state.items(messages, queue)
    (last,) = [v for v in state.virtuals if int(state.m[v + at.V_INSTANCE]) == state.instances[1]]
    cycles = state.m[last + at.V_CYCLES : last + at.V_CYCLES + at.MODES]
    assert (int(cycles[at.USER]), int(cycles[at.IDLE])) == (0, 0)


def test_with_many_processors_the_dedicated_one_serves_more_than_a_giant_lock():
    """The giant lock's waiters slow the interrupts down; the device kernel takes no lock."""
    rows = server(80, 16, 1, 20, 100, 1000)
    times = {name: ran(name, 4, rows, wire_byte_cycles=16)[1] for name in ("giant", "dedicated-processor")}
    assert times["dedicated-processor"] < 0.8 * times["giant"]


# --- trials -------------------------------------------------------------------------------------------------


def fault(made: Kernel, seed: int, cpus: int) -> str:
    trial = Trial(f"drawn {seed}", streams_of(connecting(seed)), cpus, True)
    return run_trial(made, trial, Detector)[1]


@other_plans
def test_every_port_serves_and_talks_without_a_fault(name):
    streams = (Stream(server(80, 3, 2, 3, 100, 2000)), Stream(peers(90, 2, 3, 50, 20_000, 500)))
    assert run_trial(kernel(name), Trial("server and peers", streams, 4, True), Detector)[1] == ""
    for seed in (1, 2):
        assert fault(kernel(name), seed, 3) == ""


@cache
def preemptible() -> Kernel:
    from lockscape.experiments.trials import BUSY

    return assembled(port(load_plan("fine"), [user, stress], **(BUSY | {"preemptible": 1})))


def test_a_preemptible_kernel_serves_without_a_fault():
    for seed in range(4):
        assert fault(preemptible(), seed, 3) == ""


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PLANS), st.integers(0, 1 << 30), st.integers(1, 5))
def test_drawn_processes_never_find_a_fault(name, seed, cpus):
    assert fault(kernel(name), seed, cpus) == ""


def test_rows_are_system_calls():
    assert call(SEND, 3, 9)[0, 0] == FIRST_CALL + SEND


def test_a_burst_of_packets_does_not_pile_up_handlers() -> None:
    """Packets come ten times as fast as one is taken: who was interrupted looks at them, not a handler in a handler."""
    work = named_workload("netserve")
    assert isinstance(work, Workload) and work.network is not None
    fast = msgspec.structs.replace(
        work, processes=100, operations=4, think_cycles=0,
        network=msgspec.structs.replace(work.network, link_mbit=100_000),
    )  # fmt: skip
    slow = {"netif_rx": 100.0, "packet_alloc": 100.0, "driver_receive": 100.0}
    depth: Counter[int] = Counter()
    deepest = 0

    def read(rows: np.ndarray) -> None:
        nonlocal deepest
        for _, _, context, _, kind, *_ in rows[np.isin(rows[:, 4], (at.T_INTERRUPT, at.T_RETURN))].tolist():
            depth[context] += 1 if kind == at.T_INTERRUPT else -1
            deepest = max(deepest, depth[context])

    request = Request(processes=100, workload=fast, factors=slow)
    simulate(run_on(load_system("linux-2.4"), request, 1), watch=lambda _: read)
    assert deepest == 2
