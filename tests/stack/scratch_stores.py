"""Shared parts of the stores' tests: changed profiles, and addresses where nothing answers."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from rollproof.contract.subject import SECRET, closed_port, silent_port
from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import StoreProfile
from rollproof.stores.reader import Reader

__all__ = ["SECRET", "changed", "expect_unverifiable", "next_float", "nowhere", "scattered", "silence"]
SCATTERED, WIDTH = 3000, 32
Profile = TypeVar("Profile", bound=StoreProfile)


def scattered() -> Iterator[list[float]]:
    """Yield vectors enough for an index, with no order that would help one; the same each time."""
    numbers = random.Random(20)  # noqa: S311 - reproducible
    for _ in range(SCATTERED):
        yield [numbers.gauss(0, 1) for _ in range(WIDTH)]


def next_float(value: float) -> float:
    """Return the float32 after `value`: one bit is another."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    (following,) = struct.unpack("<f", struct.pack("<I", bits + 1))
    return float(following)


def changed(profile: Profile, **changes: object) -> Profile:
    """Return a copy of `profile` with some fields changed, its policies left out."""
    return profile.model_copy(update={"policy": {}, **changes})


@contextmanager
def silence() -> Iterator[Endpoint]:
    """Give an address that takes connections, and never answers."""
    with silent_port() as port:
        yield Endpoint("127.0.0.1", port)


@contextmanager
def nowhere() -> Iterator[Endpoint]:
    """Give an address that nothing listens at."""
    with closed_port() as port:
        yield Endpoint("127.0.0.1", port)


def expect_unverifiable(view: Reader, *words: str) -> None:
    """Ask and count: both must say that they could not, and why, without the secret."""
    with view:
        for call in (view.ask, view.counts):
            with pytest.raises(Unverifiable) as failure:
                call()
            text = str(failure.value)
            assert SECRET not in text
            assert "HINT: " in text
            shown = failure.value.__cause__ or (
                None if failure.value.__suppress_context__ else failure.value.__context__
            )
            assert shown is None, "the driver's own exception may hold a secret"
            for word in (view.name, *words):
                assert word in text
