"""Writes a trace that Perfetto opens (https://ui.perfetto.dev): slices on tracks, as track events.

The format is Perfetto's protobuf trace, through the classes of its own package. Packets are written as they
come; names are written once and then referred to (interned), and forgotten when there are many, so that
memory is bounded whatever the length of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from lockscape.errors import LockscapeError

SEQUENCE = 1
"""Number of the one sequence of packets of a file."""

_PACKETS_AT_ONCE = 4096
MOST_NAMES = 1 << 16
"""Names kept for reference; beyond that the sequence begins anew."""

Arguments = Mapping[str, str]
"""What a slice of the timeline carries: names and values."""


class TraceFileError(LockscapeError):
    """A trace that could not be written."""


@dataclass
class Track:
    """A line of the timeline. Below its `parent` tracks are ordered by `rank`; those of one name are one."""

    number: int
    name: str
    parent: "Track | None"
    rank: int
    shown: bool = False


@dataclass(slots=True)
class _Open:
    name: str
    arguments: Arguments
    written: bool = False


@dataclass
class _Names:
    """What was interned: the numbers of names of slices, names of arguments, and their values."""

    slices: dict[str, int] = field(default_factory=dict)
    arguments: dict[str, int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)

    def count(self) -> int:
        return len(self.slices) + len(self.values)


class TraceFile:
    """A trace that is written to `out`, of what lies between the cycles `first` and `last`.

    `clock_mhz` turns cycles into Perfetto's nanoseconds, each time rounded down. `slices` counts those
    written, `bytes` their size.
    """

    def __init__(self, out: BinaryIO, clock_mhz: int, first: int = 0, last: int | None = None) -> None:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2  # only commands that write one pay

        self._messages: Any = perfetto_trace_pb2
        self._out, self._mhz = out, clock_mhz
        self._first, self._last = first, last
        self._entered = first <= 0
        self._left = False
        self._trace = self._messages.Trace()
        self._names = _Names()
        self._tracks = 0
        self._open: dict[int, tuple[Track, list[_Open]]] = {}
        self._fresh = True
        self.slices = self.bytes = 0

    # --- tracks and slices --------------------------------------------------------------------------------

    def track(self, name: str, parent: Track | None = None, rank: int = 0) -> Track:
        """Return a new track; it is part of the file when something is on it."""
        self._tracks += 1
        return Track(self._tracks, name, parent, rank)

    def begin(self, track: Track, time: int, name: str, arguments: Arguments) -> None:
        """Begin a slice inside those that are open on the track; `time` never goes back between calls."""
        self._pass(time)
        slice_ = _Open(name, arguments)
        self._open.setdefault(track.number, (track, []))[1].append(slice_)
        if self._entered and not self._left:
            self._begin(track, time, slice_)

    def end(self, track: Track, time: int) -> None:
        """End the slice that was begun last on the track, if one is open."""
        self._pass(time)
        stack = self._open.get(track.number, (track, []))[1]
        if stack and stack.pop().written:
            self._end(track, max(time, self._first))

    def whole(self, track: Track, begin: int, end: int, name: str, arguments: Arguments) -> None:
        """Write a slice of a track on which none overlap, as far as it lies in the window."""
        last = end if self._last is None else min(end, self._last)
        first = max(begin, self._first)
        if first < last or begin == first == last:
            self._begin(track, first, _Open(name, arguments))
            self._end(track, last)

    def close(self, time: int) -> None:
        """End what is open and write what is left."""
        self._pass(time)
        if not self._left:
            self._end_all(time)
        self._flush()

    def _pass(self, time: int) -> None:
        """Enter the window, or leave it: what is open then begins, or ends, at its border."""
        if not self._entered and time >= self._first:
            self._entered = True
            for track, stack in self._open.values():
                for slice_ in stack:
                    self._begin(track, self._first, slice_)
        if self._entered and not self._left and self._last is not None and time > self._last:
            self._left = True
            self._end_all(self._last)

    def _end_all(self, time: int) -> None:
        for track, stack in self._open.values():
            while stack:
                if stack.pop().written:
                    self._end(track, time)

    # --- packets ------------------------------------------------------------------------------------------

    def _begin(self, track: Track, time: int, slice_: _Open) -> None:
        slice_.written = True
        self.slices += 1
        if not track.shown:
            self._describe(track)
        packet = self._packet(time, track, self._messages.TrackEvent.TYPE_SLICE_BEGIN)
        event = packet.track_event
        event.name_iid = self._intern(packet, self._names.slices, "event_names", slice_.name)
        for key, value in slice_.arguments.items():
            note = event.debug_annotations.add()
            note.name_iid = self._intern(packet, self._names.arguments, "debug_annotation_names", key)
            values = "debug_annotation_string_values"
            note.string_value_iid = self._intern(packet, self._names.values, values, value)

    def _end(self, track: Track, time: int) -> None:
        self._packet(time, track, self._messages.TrackEvent.TYPE_SLICE_END)

    def _packet(self, time: int, track: Track, kind: int) -> Any:
        if len(self._trace.packet) >= _PACKETS_AT_ONCE:
            self._flush()
        packet = self._trace.packet.add()
        packet.timestamp = time * 1000 // self._mhz
        packet.trusted_packet_sequence_id = SEQUENCE
        packet.sequence_flags = packet.SEQ_NEEDS_INCREMENTAL_STATE
        if self._fresh or self._names.count() > MOST_NAMES:
            self._names, self._fresh = _Names(), False
            packet.sequence_flags |= packet.SEQ_INCREMENTAL_STATE_CLEARED
        packet.track_event.type = kind
        packet.track_event.track_uuid = track.number
        return packet

    def _intern(self, packet: Any, known: dict[str, int], table: str, name: str) -> int:
        number = known.get(name)
        if number is None:
            number = known[name] = len(known) + 1
            entry = getattr(packet.interned_data, table).add()
            entry.iid = number
            if table == "debug_annotation_string_values":
                entry.str = name.encode()
            else:
                entry.name = name
        return number

    def _describe(self, track: Track) -> None:
        """Write what a track is, after its parent."""
        track.shown = True
        if track.parent is not None and not track.parent.shown:
            self._describe(track.parent)
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = SEQUENCE
        described = packet.track_descriptor
        described.uuid, described.name = track.number, track.name
        described.child_ordering = described.EXPLICIT
        described.sibling_order_rank = track.rank
        if track.parent is not None:
            described.parent_uuid = track.parent.number

    def _flush(self) -> None:
        data = self._trace.SerializeToString()
        try:
            self._out.write(data)
        except OSError as error:
            raise TraceFileError(f"the trace could not be written: {error.strerror or error}") from error
        self.bytes += len(data)
        self._trace = self._messages.Trace()  # a cleared message keeps its memory
