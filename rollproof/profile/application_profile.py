"""The application of a profile: its services, its API and functions, its canary, its maintenance mode."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Self

from pydantic import Field, HttpUrl, PositiveFloat, PositiveInt, SecretStr, model_validator

from rollproof.errors import ProfileMistake
from rollproof.profile.access_log import Requests
from rollproof.profile.functions import Functions, nodes_of
from rollproof.profile.sections import Account, Model, Name, References, Text
from rollproof.redaction.secret import ExistingFile, ProfilePath, Secret, in_profile_directory

UPLOADED = "rollproof-"
"""The beginning of the name of what the canary uploads."""


class Health(Model):
    """The health endpoint: the content of a right answer, and its maximum latency."""

    path: str = "/health/check"
    """Path of the health endpoint, after `application.api`."""
    expect: dict[str, str] = Field(default_factory=lambda: {"status": "UP"})
    """Names and values that its answer must have."""
    latency_milliseconds: PositiveInt = 1000
    """Milliseconds that it may take at most."""


class Sweeper(Model):
    """The removal of the canary's tokens, for which the API has no way."""

    store: Name
    """Store that holds the tokens."""
    account: Account
    """Account that may remove the canary's tokens, and nothing else."""
    database: Annotated[int, Field(ge=0)] = 0
    """Database of the tokens."""
    keys: tuple[str, ...] = ("token:{token}", "user:{user}")
    """Keys that a log-in leaves; `{token}` and `{user}` stand for the canary's."""


class CanaryProfile(Model):
    """A user, a knowledge base and a question that exist for verification only."""

    user: str
    """Name of the canary user."""
    password: Secret
    """Password of the canary user."""
    knowledge_base: str = ""
    """Id of the canary's knowledge base, `{knowledge_base}` in `application.functions`."""
    question: str = ""
    """Question whose answer is known."""
    expected_file: str = ""
    """Name of the file behind a right answer."""
    expected_text: str = ""
    """Words of a right answer, for an application whose answers name no files."""
    other: str = ""
    """Name of another user, who exists: what is theirs must be refused.

    Without one it is asked for what belongs to a name that nobody has. An application that refuses that as
    unknown may let the canary look at everybody else's.
    """
    upload: ExistingFile | None = None
    """Document that phase 3 uploads and removes again, each time under another name.

    Without it no upload is verified. What an upload leaves for good, such as a message in a log, has to be
    allowed by the policies of the stores.
    """
    references: References = Field(default_factory=dict)
    """References that the answer is made of.

    Unless all hold, the question is not asked: asking could do harm.
    """
    sweeper: Sweeper | None = None
    """Who removes the traces of the canary's log-ins."""


class Function(Model):
    """What the monitor does as the canary: it logs in and lists its files.

    A backup that is taken meanwhile may hold its token and conversation.
    """

    every_seconds: Annotated[float, Field(ge=10, allow_inf_nan=False, le=3600)] = 60.0
    """Seconds from one use to the next."""
    chat: bool = False
    """Whether the canary's question is asked too, of an application that describes its chat.

    That sees what no status tells, a stream that breaks. The application must be able to delete a
    conversation.
    """


class WayIn(Model):
    """The header that a proxy in maintenance lets in, and the value that it must have."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", max_length=60)]
    """Name of the header."""
    value: Secret
    """Its value."""


class Maintenance(Model):
    """The application's maintenance mode: it answers every request with 503 and Retry-After."""

    service: Name
    """Service that answers meanwhile; it may not be a writer."""
    on: Annotated[tuple[str, ...], Field(min_length=1)]
    """Command that begins maintenance, word by word, run in its container without a shell.

    It may be run twice.
    """
    off: Annotated[tuple[str, ...], Field(min_length=1)]
    """Command that ends maintenance; it may be run twice."""
    way_in: WayIn | None = None
    """Header by which the verification's own requests come in.

    With it maintenance stays on after a rollback until that is verified, and no user writes before.
    """


def is_of_django(table: str) -> bool:
    """Return whether a table has the migrations that Django applied: a row for each, by app and name."""
    return table.endswith(".django_migrations")


class Migrations(Model):
    """The migrations of alembic or Django in a service's image, and the table with the database's revision.

    A rollback to an image that upgrades by alembic at its start, and does not know the database's revision,
    is refused. Django's table is named `django_migrations`, and its folders `APP/migrations`.
    """

    folders: Annotated[tuple[Annotated[str, Field(pattern=r"^/.*[^/]$")], ...], Field(min_length=1)]
    """Folders of the revisions' files, each by its place in the image."""
    store: Name
    """Store of the database that they migrate."""
    table: Annotated[str, Field(pattern=r"^[^.]+\.[^.]+$")]
    """Table with the database's revision, `DATABASE.TABLE`, or of PostgreSQL `SCHEMA.TABLE`."""
    at_start: bool = True
    """Whether the image upgrades the database at its start. It then ends if it does not know the revision."""


class Application(Model):
    """The application above the stores.

    Each volume and folder of the host that a service can write to belongs to a store, or is `stateless`. What
    git tracks in the repository is code.
    """

    url: HttpUrl
    """Address at which users reach the application."""
    api: str = "/api/v1"
    """Path before those of the API."""
    interface: str = "/openapi.json"
    """Path of the description of the API, which a baseline records."""
    health: Health = Health()
    """The health endpoint."""
    canary: CanaryProfile = CanaryProfile(user="", password=SecretStr(""))
    """User that verification acts as; without one no function is verified."""
    functions: Functions = Field(default_factory=Functions)
    """The API's functions, as requests: those of LAYRA by default."""
    services: Annotated[tuple[Name, ...], Field(min_length=1)] = ()
    """Compose services of the application."""
    writers: tuple[Name, ...] = ()
    """Services among them that write data: a rollback stops them first."""
    stateless: dict[Text, Text] = Field(default_factory=dict)
    """Mounts that a rollback may leave alone, `SERVICE:PLACE`, each with the reason."""
    migrations: dict[Name, Migrations] = Field(default_factory=dict)
    """Alembic's or Django's migrations, by the service whose image brings them."""
    maintenance: Maintenance | None = None
    """How the proxy is put in maintenance; without it a rollback stops the proxy too."""
    requests: Requests | None = None
    """Where users' requests are counted; without it their errors and latency are unknown."""
    function: Function | None = None
    """What the monitor uses the application for; by default nothing."""
    repository: ProfilePath = Field(default_factory=partial(in_profile_directory, "."))
    """Folder of the application's git repository (default: the profile's)."""
    deadline_seconds: PositiveFloat = 10.0
    """Seconds that one request may take."""
    chat_seconds: PositiveFloat = 30.0
    """Seconds that an answer of the chat may take to its end."""
    upload_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, le=240)] = 60.0
    """Seconds until an uploaded document is taken in."""

    @model_validator(mode="before")
    @classmethod
    def _no_functions_without_a_canary(cls, table: Any) -> Any:  # noqa: ANN401 - whatever the profile holds
        if isinstance(table, Mapping) and "canary" not in table and "functions" not in table:
            return {**table, "functions": {"api": "own", "tokens": "none"}}
        return table

    @model_validator(mode="after")
    def _canary_has_what_its_functions_need(self) -> Self:
        described, canary = self.functions.described(), self.canary
        if described and not canary.user:
            raise ProfileMistake("a canary, since application.functions need a user", "none", "canary")
        proof = "expected_file" if "sources" in described else "expected_text"
        needed = {"knowledge_base": "documents", "question": "chat", proof: "chat"}
        for key, function in needed.items():
            if function in described and not getattr(canary, key):
                raise ProfileMistake("a text, since application.functions use it", "none", f"canary.{key}")
        if canary.upload and "upload" not in described:
            raise ProfileMistake(
                "functions.upload, since the canary has a document for it", "none", "canary.upload"
            )
        return self

    @property
    def verifiable(self) -> frozenset[str]:
        """What a check may need: the functions that are described, and what their answers can be held to."""
        described = self.functions.described()
        words = {"expected_text"} if self.canary.expected_text and "chat" in described else set()
        if self.canary.upload is None:
            described -= {"upload"}
        return described | words | ({"stored_tokens"} if self.functions.tokens == "stored" else set())

    def is_canarys(self, content: object) -> bool:
        """Return whether a name, or a field of a record, begins with the canary's or that of its uploads.

        So do ids of LAYRA, which are also within names.
        """
        if not self.canary.user:
            return False
        marks = (f"{self.canary.user}_", UPLOADED)
        if isinstance(content, str):
            return any(mark in content for mark in marks)
        texts = (text for _, text in nodes_of(content) if isinstance(text, str))
        return any(text == self.canary.user or text.startswith(marks) for text in texts)

    @property
    def way_in(self) -> tuple[str, SecretStr] | None:
        """The header of every request of ours, for a proxy that may be in maintenance, or None."""
        way_in = self.maintenance.way_in if self.maintenance else None
        return (way_in.header, way_in.value) if way_in else None
