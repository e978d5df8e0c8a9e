"""Vectors for the faults' own collections."""

from __future__ import annotations

import struct

COUNT = 40
DIMENSIONS = 8


def vector(number: int) -> list[float]:
    """Return a vector unique to `number`; 32-bit floats hold its values exactly."""
    return [float(number % (place + 2)) for place in range(DIMENSIONS - 1)] + [number / 8 + 1.0]


def last_bit_changed(number: int) -> list[float]:
    """Return `vector` of `number` with the last bit of its last value, a positive 32-bit float, changed."""
    *values, last = vector(number)
    (bits,) = struct.unpack("<I", struct.pack("<f", last))
    return [*values, *struct.unpack("<f", struct.pack("<I", bits + 1))]


def of_another_model(number: int) -> list[float]:
    """Return the vector of another model for `number`."""
    return list(reversed(vector(number)))
