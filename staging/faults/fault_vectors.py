"""Vectors for the faults' own collections."""

from __future__ import annotations

import struct

COUNT = 40
DIMENSIONS = 8


def vector(number: int) -> list[float]:
    """Return a vector unique to `number`; 32-bit floats hold its values exactly."""
    return [float(number % (place + 2)) for place in range(DIMENSIONS - 1)] + [number / 8 + 1.0]


def next_float(value: float) -> float:
    """Return the next 32-bit float after a positive `value`: its last bits differ."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    (following,) = struct.unpack("<f", struct.pack("<I", bits + 1))
    return float(following)


def last_bit_changed(number: int) -> list[float]:
    """Return `vector` of `number` with the last bit of one value changed."""
    *values, last = vector(number)
    return [*values, next_float(last)]


def embedded_anew(number: int) -> list[float]:
    """Return the vector of another model for `number`."""
    return list(reversed(vector(number)))
