"""The descriptor of a kind of store: everything the suite asks of it. Data only: no driver is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_args

from rollproof.collection import Json
from rollproof.errors import ProfileMistake
from rollproof.profile.data_formats import FormatOf, minor_version
from rollproof.profile.recognition import Recognition
from rollproof.profile.sections import NamePlace, Risk, StoreProfile

Profile = TypeVar("Profile", bound=StoreProfile)
KeyFields = tuple[str, ...] | None
"""The names of the fields that identify a record; None if a schema does not tell."""


class Means(StrEnum):
    """By what means a backup was taken. The manifests of backups have the value."""

    TRANSACTION = "transaction"
    DOCUMENTS = "documents"
    COLLECTIONS = "collections"
    VOLUMES = "volumes"
    FILES = "files"
    LOG = "log"
    KEYS = "keys"
    COPIES = "copies"
    VERSIONS = "versions"
    NOTHING = "nothing"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Grants:
    """The needed rights of a store's accounts: lines for its own client; ``#`` or ``--`` begins a remark.

    Passwords are not in it: the accounts are there.
    """

    reader: tuple[str, ...]
    operator: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor(Generic[Profile]):
    """One kind of store. A text field is the place of a class or function, ``module:name``.

    A place is imported at its first use, and its driver with it. Optional places are "" for a kind that does
    not have them.
    """

    profile: type[Profile]
    """Its section of the profile; the `kind` there names it."""
    least_risk: Risk
    """Its class in the runbook's data safety matrix. A profile may be stricter."""
    means: Callable[[Profile], Means]
    """The required means of a store's backup, by the store's settings."""
    keeps_less: Callable[[Profile], str] = lambda _: ""
    """The setting, in words, with which a store must be of the class low, since little of it is kept."""
    keys: tuple[str, ...] | Callable[[Json], KeyFields]
    """The fields that identify a record, or their finder in its collection's recorded schema."""
    wrong_place: Callable[[NamePlace], ProfileMistake | None] | None = None
    """Finder of the mistake in a reference's place; None if records hold no names."""
    holds_vectors: bool = False
    """Whether it searches vectors."""
    reports_rights: bool = False
    """Whether its server reports what an account may do."""
    records_expire: bool = False
    """Whether records may expire by themselves: after a restore there may be fewer than were kept."""
    exports_as_operator: bool = False
    """Whether no reader's account is given whole records: its export alone reads as the operator."""
    has_format_marks: bool = False
    """Whether its server reports the marks of its format: another one may not read its data."""
    may_have_revisions: bool = False
    """Whether a table of it may have the revisions of alembic."""
    names_addresses: bool = False
    """Whether it names the addresses to which its clients then connect."""
    restores_everything: bool = False
    """Whether a restore replaces all that the server holds, also what the profile does not list."""
    noun: str = "collections"
    """What its users call its collections, and the profile's key for them."""
    reader: str
    """Class of `rollproof.stores.reader.Reader`; made with a `rollproof.stores.reach.Readable`."""
    grants: Callable[[Profile], Grants] = lambda _: Grants((), ())
    """The rights that its reader and its operator need; nothing for a kind without accounts."""
    keeper: str
    """Class of `rollproof.stores.keeper.StoreKeeper`."""
    format_of: FormatOf = minor_version
    """The version of the format that a server with such marks writes, of a kind that `has_format_marks`."""
    clients: str = ""
    """Class of `StoreClients`, for a kind that lists its connected clients and limits their number."""
    sweep: str = ""
    """Function of a `Readable`, a database and keys: removes these as its reader, returns the number left.

    See `rollproof.application.canary`, its only caller with an account that may do so.
    """
    retain: Callable[[int], str] | None = None
    """The command with which a log keeps its records for so many seconds; None for a kind that is no log."""
    history_of: Callable[[str], str | None] = lambda _: None
    """The collection whose records' versions one of this name has; None if it has records themselves."""
    keeps_versions: Callable[[Json], bool | None] = lambda _: None
    """Whether a collection keeps versions, by its schema; None if the schema does not tell."""
    advice_for_versions: str = ""
    """What to do so that versions are kept, for a kind whose backup may be nothing but those versions."""
    setting_for_copies: str = ""
    """The setting with which a backup holds the contents themselves, for the same kind."""
    holding: Callable[[Sequence[str]], Mapping[str, Any]] | None = None
    """The section of a profile that gives a store to the application's own ``SERVICE:PLACE``."""
    recognition: Recognition | None = None
    """Its signs in a compose project without a profile; None for a kind that is no service."""

    @property
    def kind(self) -> str:
        """Its name in profiles, baselines and backups."""
        (kind,) = get_args(self.profile.model_fields["kind"].annotation)
        return str(kind)

    def place_of(self, collection: str) -> str:
        """Return the place of a collection's records, by which a profile names their fields."""
        return self.history_of(collection) or collection

    def key_fields(self, schema: Json) -> KeyFields:
        """Return the fields that identify a record in a collection with the recorded `schema`.

        None if the schema does not tell.
        """
        return self.keys(schema) if callable(self.keys) else self.keys


def in_a_database(place: NamePlace) -> ProfileMistake | None:
    """Return the mistake in a place whose collection is not in the form ``DATABASE.NAME``."""
    database, dot, collection = place.collection.partition(".")
    if not database or not dot or not collection:
        return ProfileMistake("a collection DATABASE.NAME", place.collection)
    return None
