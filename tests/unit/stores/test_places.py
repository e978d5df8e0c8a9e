"""Descriptors name readers, keepers and lists of clients by their places, which no type checker sees."""

import pytest

from rollproof.profile.kinds import kinds
from rollproof.stores.registry import at_place

PLACES = [
    place
    for descriptor in kinds().values()
    for place in (descriptor.reader, descriptor.keeper, descriptor.clients)
    if place
]


@pytest.mark.parametrize("place", PLACES)
def test_there_is_a_class_at_each_place(place: str) -> None:
    assert isinstance(at_place(place), type)
