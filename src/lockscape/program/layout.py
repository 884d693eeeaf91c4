"""Sizes of what program and machine agree on, in int64 words."""

OBJECT_WORDS = 4
"""An object's head: class number, generation (odd while allocated), last writer, sharers of its line."""

COLLECTION_WORDS = 9
"""A collection's head: first, last, count, kind, region, capacity, parameter, last writer, sharers."""

LOCK_WORDS = 13
"""A lock: owner, depth, readers, first and last waiter, last writer, sharers, since, sequence, holder."""

FRAME_HEAD = 6
"""Words below a frame: mode, remaining cycles, register of the result, size, previous frame, return row."""

ROW = 8
"""Words of an instruction: operation and up to seven operands."""
