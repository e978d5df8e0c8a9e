"""What the suite asks of a folder of files."""

from typing import Literal

from rollproof.profile.sections import StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Means
from rollproof.redaction.secret import ProfilePath


class FolderProfile(StoreProfile):
    """A folder. Each folder in it is a collection, and each file in that a record."""

    kind: Literal["folder"]
    folder: ProfilePath


DESCRIPTOR = Descriptor(
    profile=FolderProfile,
    least_risk="low",
    means=lambda _: Means.COPIES,
    keys=("name",),
    reader="folder_store.reader:FolderReader",
    keeper="folder_store.keeper:FolderKeeper",
)
