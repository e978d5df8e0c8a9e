"""The known kinds of store: each is found by its descriptor, and this module names none.

The suite's own are the modules `descriptor` in the packages of `rollproof/stores`. Others are entry points of
the group `GROUP`: any importable distribution may bring one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from rollproof.errors import ProfileMistake
from rollproof.profile.sections import NamePlace, Risk, StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Means

GROUP = "rollproof.stores"
_STORES = Path(__file__).parents[1] / "stores"


@cache
def kinds() -> Mapping[str, Descriptor[Any]]:
    """Return the descriptor of every kind of store, by the kind's name.

    An entry point that cannot be loaded raises `ImportError` or `AttributeError`: no profile can be read.
    """
    own = [
        import_module(f"rollproof.stores.{path.parent.name}.descriptor").DESCRIPTOR
        for path in sorted(_STORES.glob("*/descriptor.py"))
    ]
    others = [entry.load() for entry in sorted(entry_points(group=GROUP))]
    # The suite's own win.
    return {descriptor.kind: descriptor for descriptor in (*others, *own)}


def descriptor_of(profile: StoreProfile) -> Descriptor[Any]:
    """Return the descriptor of a profile's store."""
    return kinds()[profile.kind]


_RISKS: tuple[Risk, ...] = ("low", "medium", "high")


def wrong_risk(profile: StoreProfile) -> ProfileMistake | None:
    """Return the mistake of a store's `risk` that the runbook's data safety matrix does not allow, or None.

    The profile gives every store a class of risk. It may be stricter than the matrix, never weaker.
    """
    descriptor = descriptor_of(profile)
    if _RISKS.index(profile.risk) < _RISKS.index(descriptor.least_risk):
        return ProfileMistake(
            f"{descriptor.least_risk} or stricter, by the data safety matrix for {profile.kind}", profile.risk
        )
    if profile.risk == "high" and means_of(profile) is not Means.VOLUMES:
        return ProfileMistake(
            "low or medium, since no snapshots of volumes are taken of this store", profile.risk
        )
    if profile.risk != "low" and (setting := descriptor.keeps_less(profile)):
        return ProfileMistake(f"low with {setting}", profile.risk)
    return None


def means_of(profile: StoreProfile) -> Means:
    """Return the means that a backup of the store must use, by the data safety matrix."""
    means: Means = descriptor_of(profile).means(profile)
    return means


def kinds_that(attribute: str) -> str:
    """Return the kinds whose descriptors have `attribute`, in words."""
    return ", ".join(kind for kind, descriptor in kinds().items() if getattr(descriptor, attribute))


def wrong_place(place: NamePlace, stores: Mapping[str, StoreProfile]) -> ProfileMistake | None:
    """Return the mistake in a reference's place, or None."""
    if place.store not in stores:
        return ProfileMistake(f"a store of {', '.join(stores)}", place.store)
    wrong = descriptor_of(stores[place.store]).wrong_place
    if wrong is None:
        kind = stores[place.store].kind
        return ProfileMistake("a store whose records can name others", f"{place.store} of kind {kind}")
    return wrong(place)


if TYPE_CHECKING:
    AnyStore = StoreProfile
else:
    AnyStore = Annotated[
        Union[tuple(descriptor.profile for descriptor in kinds().values())],  # noqa: UP007 - as many as there are
        Field(discriminator="kind"),
    ]
"""A store in a profile: the section of its kind, for every known kind."""
