"""The profile and descriptor of the application's own state: files in its volumes and folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat

from rollproof.errors import ProfileMistake
from rollproof.profile.sections import NamePlace, StoreProfile, Text
from rollproof.profile.store_descriptor import Descriptor, Means

PATH, PLACE = ("path",), ("place",)
"""The fields of a reference to files: their paths in the mount, or in the container."""
HeldPlace = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*:/.+$")]


class MountsProfile(StoreProfile):
    """State of the application in volumes, such as the migrations that its entrypoint generates.

    Each mount is a collection, and each file, folder and link in it a record. Of a SQLite file, each row is a
    record too, `webui.db#chat 17`, and its bytes and logs are not compared. `together` must be given, if
    only as ``[]``: for migrations, it names the database that they have migrated.
    """

    kind: Literal["mounts"]
    address: None = None
    services: tuple[()] = ()
    held: Annotated[tuple[HeldPlace, ...], Field(min_length=1)]
    """Mounts of the application's services, `SERVICE:PLACE`: volumes, or folders of the host."""
    together: tuple[Text, ...]
    volatile: tuple[Text, ...] = ()
    """Patterns of files that are in backups, but not compared, such as `cache/*`.

    Each is of a path in a mount, or of a table of a SQLite file there: `webui.db#auth`. What users changed of
    these is not exported before a restore; the safety copy has it.
    """
    deadline_seconds: PositiveFloat = 60.0

    @property
    def mounts(self) -> tuple[tuple[str, str], ...]:
        """The service and the place of each mount."""
        parts = (name.partition(":") for name in self.held)
        return tuple((service, place) for service, _, place in parts)


def _wrong_place(place: NamePlace) -> ProfileMistake | None:
    if place.fields not in {PATH, PLACE}:
        return ProfileMistake(f"field path or place of {place.collection}", ", ".join(place.fields))
    return None


def _holding(places: Sequence[str]) -> dict[str, Any]:
    return {"kind": "mounts", "risk": "medium", "held": list(places), "together": []}


DESCRIPTOR = Descriptor(
    profile=MountsProfile,
    least_risk="low",
    means=lambda _: Means.FILES,
    noun="mounts",
    keys=PATH,
    wrong_place=_wrong_place,
    holding=_holding,
    reader="rollproof.stores.mounts.reader:MountsReader",
    keeper="rollproof.stores.mounts.keeper:MountsKeeper",
)
