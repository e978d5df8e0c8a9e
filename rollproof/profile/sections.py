"""The profile's sections for stores. Data only: no driver is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from rollproof.collection import first_hidden
from rollproof.errors import ProfileMistake, did_you_mean, shown
from rollproof.redaction.personal import FIELDS
from rollproof.redaction.secret import ExistingFile, Secret

_Value = TypeVar("_Value")


class Policy(StrEnum):
    """What users of the application may do to the records of a collection after the capture."""

    EXACT = "exact"
    GROWS = "grows"
    CHANGES = "changes"
    DELETES = "deletes"
    VOLATILE = "volatile"

    @property
    def compares_content(self) -> bool:
        """Whether the records are compared at all."""
        return self is not Policy.VOLATILE

    @property
    def allows_added(self) -> bool:
        """Whether there may be new records."""
        return self is not Policy.EXACT

    @property
    def allows_changed(self) -> bool:
        """Whether records may have other content."""
        return self in {Policy.CHANGES, Policy.DELETES, Policy.VOLATILE}

    @property
    def allows_deleted(self) -> bool:
        """Whether some records may be gone."""
        return self in {Policy.DELETES, Policy.VOLATILE}


"""What may differ from the baseline: nothing, or added records (`grows`), or added records and those whose
`touched` field users wrote since (`changes`), or these and a usual share of missing ones (`deletes`), or
everything: the content of `volatile` is not compared."""
Risk = Literal["low", "medium", "high"]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
# It is a part of names of files.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)]


def _each_counts(table: dict[str, _Value]) -> dict[str, _Value]:
    """Refuse a pattern behind a wider one: it has no effect."""
    if found := first_hidden(table):
        wide, narrow = (shown(pattern) for pattern in found)
        expected = f"{narrow} before {wide}, since the first pattern that matches counts"
        raise ProfileMistake(expected, f"{narrow} behind it, without effect", found[1])
    return table


def unknown_key(key: str, keys: Iterable[str]) -> ProfileMistake:
    """Return the mistake of a `key` that is none of the `keys` of its section."""
    keys = sorted(keys)
    hint = did_you_mean(key, keys, f"remove {key}", most=1)
    return ProfileMistake(f"one of {', '.join(keys)}", f"the unknown key {key}", key, hint=hint)


class Model(BaseModel):
    """Frozen; refuses unknown keys; never echoes its input in an error, since that may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, table: Any) -> Any:  # noqa: ANN401 - whatever the profile holds
        """Refuse an unknown key alone: what it was meant for is missing then, which says less."""
        if isinstance(table, Mapping) and (unknown := sorted(map(str, table.keys() - cls.model_fields))):
            raise unknown_key(unknown[0], cls.model_fields)
        return table


class Address(Model):
    """A store's address: a host and port, or a compose service and the port inside its container.

    A service is resolved through the engine: its published port if it has one, else the container's address.
    """

    host: str | None = None
    """Name or IP address; exactly one of `host` and `service`."""
    service: str | None = None
    """Compose service, found through the engine."""
    port: Port
    """Port at `host`, or the port inside the container of `service`."""
    tls: bool = False
    """Whether the server is spoken to by TLS."""
    ca: ExistingFile | None = None
    """File of the authorities whom TLS trusts; by default the machine's."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.host is None) == (self.service is None):
            raise ProfileMistake("exactly one of host and service", "none" if self.host is None else "both")
        if self.ca is not None and not self.tls:
            raise ProfileMistake("tls = true with ca", "tls = false")
        return self


class Account(Model):
    """A user of a store."""

    user: str
    """Name of the account."""
    password: Secret
    """Its password; for an S3 server, the secret key."""


class ApiKey(Model):
    """A key that alone identifies its holder."""

    key: Secret
    """The key."""


class ReadingLimits(Model):
    """Limits for reading a store's content; `rollproof.stores.contract.Pace` keeps them."""

    connections: Annotated[int, Field(ge=1, le=32)] = 2
    """Connections that read at the same time."""
    chunk_seconds: PositiveFloat = 0.5
    """Seconds that one request for records should take.

    After one that took thrice that, the reader waits for as long.
    """


class StoreProfile(Model):
    """The common settings of every store.

    A store that is no server has neither `services` nor an `address`. A kind's own section narrows `kind` to
    its name, and `reader` and `operator` to its type of account.
    """

    kind: str
    """Kind of the store."""
    address: Address | None
    """Address of the server."""
    services: Annotated[tuple[str, ...], Field(min_length=1)]
    """Compose services that hold the store's data: all are stopped and snapshotted together."""
    risk: Risk
    """Risk class in the runbook's data safety matrix; it may be stricter, not weaker."""
    together: tuple[Text, ...] = ()
    """Stores whose records are of one moment with its own. A rollback of one restores the others too."""
    deadline_seconds: PositiveFloat = 10.0
    """Seconds that one question to the store may take."""
    policy: Annotated[dict[str, Policy], AfterValidator(_each_counts)] = {}
    """Policy by a pattern of collection names; the first match counts, and `exact` is the default.

    A pattern behind a wider one is refused, since it has no effect.
    """
    touched: Annotated[dict[str, Text], AfterValidator(_each_counts)] = {}
    """By a pattern of collection names: the field that the application sets at each write.

    With the policy `changes` or `deletes`, no record may differ while that field does not. A field that marks
    deleted records is such a field too.
    """
    deletions: Annotated[dict[str, Annotated[float, Field(gt=0, le=100)]], AfterValidator(_each_counts)] = {}
    """By a pattern of collection names: the percent of records that users may have deleted since the capture.

    It is for the policy `deletes`. The default is 1; in any case 10 records an hour may be gone.
    """
    made_by_users: tuple[Text, ...] = ()
    """Patterns of collections that users make, as one for each knowledge base.

    One that the baseline does not know is named in the report, and nothing is wrong.
    """
    exclude: dict[str, tuple[str, ...]] = {}
    """By a pattern of collection names: fields that no digest knows. Every report names these blind spots."""
    load: ReadingLimits = ReadingLimits()
    """How hard the store may be asked."""
    reader: Account | ApiKey | None = None
    """Account that verification reads with; it needs no right to write."""
    operator: Account | ApiKey | None = None
    """Account of backups and rollbacks."""

    @property
    def consumers(self) -> tuple[str, ...]:
        """The consumers of its records whose lag is watched; none for most kinds."""
        return ()

    @property
    def emptied(self) -> bool:
        """Whether a restore empties the store, so that no backup holds its records."""
        return False

    @property
    def mounts(self) -> tuple[tuple[str, str], ...]:
        """The mounts of the application's services that hold its data: each a service and a place inside.

        After a restore those services are re-created: a container that is only restarted keeps other traces.
        """
        return ()


class WatchedProfile(StoreProfile):
    """A store that lists its connected clients."""

    address: Address
    reader: Account
    operator: Account
    bystanders: tuple[str, ...] = ()
    """Clients that may stay connected during a restore, since they write nothing.

    Each is an account, or an account at one host: `exporter@10.0.0.9`.
    """


class NamePlace(Model):
    """The place of names in records: fields of a collection."""

    store: str
    """Store of the profile."""
    collection: Annotated[str, Field(min_length=1)]
    """Collection, as baselines name it: `DATABASE.TABLE`, a bucket, a pattern of Redis keys.

    It may be a pattern for several collections, such as one of vectors for each knowledge base.
    """
    fields: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Fields that make one name, found together in one record.

    In documents and payloads a field may be a path with dots, through lists too. The field of an S3 object is
    `key`. So is that of a key of Redis, and stands for what the `*` of its pattern matches. Those of a file
    are `path`, its path in the mount, and `place`, its path in the container.
    """


class Reference(Model):
    """A rule: every name in `referencing` is also in `referenced`."""

    referencing: NamePlace
    """The place of the names."""
    referenced: NamePlace
    """The place where each of them must be."""
    where: dict[str, str] = {}
    """Records of `referencing` to which it applies, by equality of fields."""
    complete: bool = False
    """Whether it holds the other way round, too: no record of a source lacks its vector or its entry.

    That is followed as a reference of its own, `NAME-complete`.
    """
    may_be_empty: bool = False
    """Whether it holds without any record in `referencing`, as that of a cache does."""

    @model_validator(mode="after")
    def _complete_without_a_choice(self) -> Self:
        if self.complete and self.where:
            raise ProfileMistake("complete alone, or where alone", "both: it applies to some records only")
        return self

    @model_validator(mode="after")
    def _as_many_fields(self) -> Self:
        of, to = len(self.referencing.fields), len(self.referenced.fields)
        if of != to:
            raise ProfileMistake("as many fields on both sides", f"{of} and {to}")
        return self


def _both_ways(references: dict[str, Reference]) -> dict[str, Reference]:
    """Add the other way round of each reference that is `complete`."""
    return references | {
        f"{name}-complete": Reference(referencing=one.referenced, referenced=one.referencing)
        for name, one in references.items()
        if one.complete
    }


References = Annotated[dict[Name, Reference], AfterValidator(_both_ways)]


class Redaction(Model):
    """Personal data, which reports hide in addition to secrets."""

    fields: tuple[Text, ...] = FIELDS
    """Fields whose values are shown as pseudonyms where a report names a record by them.

    Each is the name of a field in any place, or a pattern `STORE/COLLECTION.FIELD`. Case does not matter.
    The field of a key of Redis or of an object of S3 is `key`.
    """
