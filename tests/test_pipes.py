"""Pipes: what goes through them, who waits for whom, their ends, and every port without a fault."""

import pytest

from call_tools import call, fault_in_streams, ran, rows
from lockscape.kernel.entry import CLOSE, FSTAT, FSYNC, LSEEK, PIPE, READ, SIGNAL, SLEEP, WAIT, WRITE
from lockscape.kernel.signals import IGNORE, SIGPIPE
from lockscape.workloads.families import fork
from lockscape.workloads.piping import piping
from trial_tools import other_plans

KERNELS = ("giant", "fine", "linux-2.0", "linux-2.2", "linux-2.4", "linux-2.6", "reimplementation")
BOTH = (call(PIPE, gives=0), call(PIPE, gives=2))
LATER = call(SLEEP, 30_000, gives=0)


def capacity(name):
    return (16 if name == "linux-2.6" else 1) * 4096


def done(name, *streams, cpus=1):
    """Run processes whose calls all return what they must."""
    machine, end, left = ran(name, *streams, cpus=cpus)
    assert not any(left)
    return machine, end


def ping_pong(times, size=100):
    there = [call(READ, 0, size, gives=size), call(WRITE, 3, size, gives=size)] * times
    back = [call(WRITE, 1, size, gives=size), call(READ, 2, size, gives=size)] * times
    return rows(BOTH, fork(rows(there)), back, call(WAIT, gives=2))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("cpus", [1, 2])
def test_what_is_written_is_read_at_the_other_end(name, cpus):
    done(name, ping_pong(5), cpus=cpus)


@pytest.mark.parametrize("name", KERNELS)
def test_a_buffer_takes_what_it_has_room_for_and_its_writer_sleeps_then(name):
    most = capacity(name)
    full = rows(call(PIPE, gives=0), call(WRITE, 1, most, gives=most))
    done(name, full)
    writer = rows(call(CLOSE, 0), call(WRITE, 1, 1, gives=1))
    reader = rows(LATER, call(READ, 0, most, gives=most), call(WAIT, gives=2), call(READ, 0, 10, gives=1))
    _, end = done(name, rows(full, fork(writer), reader))
    assert end > 40_000_000  # the writer has slept until then


@pytest.mark.parametrize("name", KERNELS)
def test_a_write_of_a_page_comes_whole_and_a_longer_one_in_parts(name):
    for size in (3000, 4096, 9000, 200_000):
        writer = rows(call(CLOSE, 0, gives=0), call(WRITE, 1, size, gives=size))
        reads = [call(READ, 0, 4096)] * (size // 1000 + 2)
        reader = rows(call(CLOSE, 1, gives=0), reads, call(READ, 0, 1, gives=0), call(WAIT, gives=2))
        done(name, rows(call(PIPE, gives=0), fork(writer), reader))


@pytest.mark.parametrize("name", ["fine", "linux-2.4", "linux-2.6"])
def test_a_reader_waits_for_more_while_a_writer_waits_for_room(name):
    size = 2 * capacity(name)
    writer = rows(call(WRITE, 1, size, gives=size))
    done(name, rows(call(PIPE), fork(writer), LATER, call(READ, 0, size, gives=size), call(WAIT, gives=2)))


@pytest.mark.parametrize("name", ["linux-2.0", "linux-2.2"])
def test_a_reader_of_old_takes_what_there_is(name):
    writer = rows(call(WRITE, 1, 9000, gives=9000))
    reads = [call(READ, 0, 9000, gives=4096), call(READ, 0, 9000)]
    done(name, rows(call(PIPE), fork(writer), LATER, reads, call(WAIT, gives=2)))


@pytest.mark.parametrize("name", KERNELS)
def test_the_end_comes_when_all_who_could_write_have_closed(name):
    child = rows(call(CLOSE, 0, gives=0), LATER, call(WRITE, 1, 10, gives=10))
    parent = rows(call(CLOSE, 1, gives=0), call(READ, 0, 100, gives=10), call(READ, 0, 100, gives=0))
    done(name, rows(call(PIPE, gives=0), fork(child), parent, call(WAIT, gives=2)))


@pytest.mark.parametrize("name", KERNELS)
def test_nobody_left_to_read_breaks_a_pipe_also_for_who_waits_for_room(name):
    most = capacity(name)
    start = rows(call(PIPE, gives=0), call(SIGNAL, SIGPIPE, IGNORE, gives=0))
    child = rows(LATER)  # then it ends, and has the only other end to read from
    broken = rows(call(CLOSE, 0, gives=0), call(WRITE, 1, most, gives=most), call(WRITE, 1, 1, gives=-32))
    done(name, rows(start, fork(child), broken, call(WRITE, 1, 1, gives=-32), call(WAIT, gives=2)))


@pytest.mark.parametrize("name", KERNELS)
def test_an_end_serves_one_direction_and_no_position(name):
    wrong = rows(call(READ, 1, 1, gives=-9), call(WRITE, 0, 1, gives=-9), call(LSEEK, 0, 0, gives=-29))
    other = rows(call(FSYNC, 1, gives=-22), call(FSTAT, 0, gives=0), call(READ, 0, 0, gives=0))
    closed = rows(call(CLOSE, 0, gives=0), call(CLOSE, 0, gives=-9), call(PIPE, gives=0))
    done(name, rows(call(PIPE, gives=0), wrong, other, closed))


def test_pages_of_a_long_buffer_are_taken_as_it_fills_and_given_back():
    writes = [call(WRITE, 1, 3000, gives=3000)] * 21 + [call(READ, 0, 3000, gives=3000)] * 21
    done("linux-2.6", rows(call(PIPE, gives=0), writes, writes))  # fsck compares the pages


@other_plans
def test_every_port_passes_bytes_through_pipes_without_a_fault(name):
    assert fault_in_streams(name, [ping_pong(3, 3000), piping(1), piping(2)], 3) == ""


@pytest.mark.slow
@other_plans
def test_no_piping_shows_a_fault(name):
    for seed in range(0, 60, 3):
        streams = [piping(seed + k) for k in range(1 + seed % 3)]
        assert fault_in_streams(name, streams, 1 + seed % 4) == "", seed
