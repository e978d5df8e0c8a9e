"""The profile: the parts of the target and the ways to reach them.

A profile is a TOML file; `ROLLPROOF_` environment variables override single keys
(``ROLLPROOF_APPLICATION__URL``). Everything is checked while it is loaded, and frozen afterwards.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from rollproof.errors import ProfileMistake, Unverifiable, UsageProblem, listed, reason_of
from rollproof.home import typed
from rollproof.profile.application_profile import Application
from rollproof.profile.bands import Bands
from rollproof.profile.contacts import Contacts
from rollproof.profile.engines import ENGINE_KINDS, EngineKind, HostProfile
from rollproof.profile.kinds import AnyStore, descriptor_of, wrong_place, wrong_risk
from rollproof.profile.mistakes import ProfileProblem, explain, mistake
from rollproof.profile.premigration import Premigration
from rollproof.profile.scheduling import Scheduling
from rollproof.profile.sections import Account, ApiKey, Model, Name, Redaction, References, unknown_key
from rollproof.profile.store_descriptor import Means
from rollproof.reading import read_regular
from rollproof.record_names import ACCOUNTS
from rollproof.redaction.personal import Personal
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.secret import (
    ExistingFile,
    ExistingPath,
    ProfilePath,
    Secret,
    in_profile_directory,
    profile_directory,
    remember,
    secrets_in,
    secrets_when_used,
)

PREFIX = "ROLLPROOF_"
CURRENT = "current"
"""The link to the newest baseline, in the folder of baselines."""
# Variables of the command line and of staging: no keys of the profile.
OTHER_VARIABLES = frozenset(
    {f"ROLLPROOF_{name}" for name in ("TARGET", "IMAGES", "MYSQL", "REDIS", "SCALE", "SLOT")}
)
_EXAMPLE = f"{PREFIX}APPLICATION__URL=…"
Percent = Annotated[float, Field(ge=0, le=100)]


class Responding(Model):
    """Responses to an incident."""

    auto: bool = False
    """Whether `respond --auto` may begin a rollback without a person's yes."""
    investigation_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False, le=24 * 3600)] = 300.0
    """Seconds that a non-critical incident is investigated before the decision."""


class Engine(Model):
    """The container engine."""

    kind: Literal["compose", "swarm", "supervisor"]
    """Kind of the engine: docker compose, a stack on Docker Swarm, or Supervisor, which is verified alone."""
    project: Name
    """Compose project, or stack, of the target; a name of your own for a Supervisor."""
    id: Annotated[str, Field(min_length=1)] | None = None
    """ID of the engine, of `docker info`: a rollback on another one is refused (default: as captured)."""
    files: tuple[ExistingFile, ...] = ()
    """Compose files, in the order in which `docker compose` is given them; or `supervisord.conf`."""
    env_file: ExistingFile | None = None
    """Environment file for `docker compose`."""
    nodes: Mapping[str, Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$")]] = {}
    """Of a swarm, the docker context of each node's engine, by the node's host name.

    The node that docker asks by itself, a manager, needs none.
    """
    places: tuple[Annotated[str, Field(pattern=r"^[^:]+:/")], ...] = ()
    """Of a Supervisor, the folders with data, `PROGRAM:/FOLDER`, which docker would call mounts."""
    changing: tuple[Annotated[str, Field(pattern=r"^[^:]+:/")], ...] = ()
    """Patterns `SERVICE:PATH` of files in containers' own layers that may change by themselves."""
    deadline_seconds: PositiveFloat = 10.0
    """Seconds that one question to the engine may take."""

    @property
    def of_kind(self) -> EngineKind:
        """What differs between kinds of engines."""
        return ENGINE_KINDS[self.kind]


class Folders(Model):
    """The folders of the records, by default next to the profile."""

    incidents: ProfilePath = Field(default_factory=partial(in_profile_directory, "incidents"))
    """Folder of the records of incidents."""
    baselines: ProfilePath = Field(default_factory=partial(in_profile_directory, "baselines"))
    """Folder of the baselines; the link `current` in it names the newest."""
    backups: ProfilePath = Field(default_factory=partial(in_profile_directory, "backups"))
    """Folder of the backup sets."""


class Signing(Model):
    """The SSH key that records of incidents are signed with, and the keys that are known.

    Neither file is needed to roll back or to verify.
    """

    key: ProfilePath | None = None
    """File of a private key without a passphrase, or the `.pub` of one that the agent holds.

    Without it records are unsigned, and say so.
    """
    allowed_signers: ProfilePath | None = None
    """File as `ssh-keygen -Y verify` reads it: a record signed by another key does not hold."""


class Checks(Model):
    """Checks of your own in addition to the suite's."""

    folders: tuple[ExistingPath, ...] = ()
    """Folders of pytest modules with the phases' markers."""


class Limits(Model):
    """Limits of resources; beyond one, phase 1 calls the resource exhausted."""

    memory_percent: Percent = 85.0
    """Percent of its limit that a container may use of memory."""
    cpu_percent: Percent = 80.0
    """Percent of its limit that a container may use of CPU."""
    pids_percent: Percent = 90.0
    """Percent of its limit that a container may use of processes."""
    disk_free_percent: Percent = 10.0
    """Percent of a file system that must be free."""
    inodes_free_percent: Percent = 10.0
    """Percent of a file system's inodes that must be free."""
    clock_seconds: PositiveFloat = 1.0
    """Seconds by which the clock of another host may differ from this machine's."""
    restarts: Annotated[int, Field(ge=0)] = 0
    """Restarts that a container may have had."""
    coverage_percent: Percent = 50.0
    """Percent of a collection's records that phase 4 must have compared.

    With less its content is not verified.
    """


_RESERVED = frozenset({ACCOUNTS, "index", "set.json", "window.json"})
"""What lies next to the folders of stores, in a backup set or in a lost window."""


class Window(Model):
    """A phase's place in time, counted from the end of the rollback."""

    start: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Seconds to its beginning. An early phase does not wait; end minus start is the time of a late one."""
    end: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Seconds to its end."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ProfileMistake("start before end", f"{self.start:g} and {self.end:g}")
        return self


class Windows(Model):
    """The phases' windows, by default the runbook's, and the maximum seconds of one whole run of checks."""

    phase1: Window = Window(start=0, end=120)
    """Infrastructure."""
    phase2: Window = Window(start=120, end=180)
    """Connectivity."""
    phase3: Window = Window(start=180, end=300)
    """Functionality."""
    phase4: Window = Window(start=300, end=600)
    """Data integrity."""
    verification: PositiveFloat = 180.0
    """Seconds that one whole run of checks may take."""


class Stores(BaseModel, frozen=True, hide_input_in_errors=True):
    """What of a profile a worker on another machine reads: the stores, and the engine where one is needed."""

    stores: Annotated[dict[Name, AnyStore], Field(min_length=1)]
    engine: Engine = Engine(kind="compose", project="none")


class Target(BaseSettings):
    """A target of verification and rollback, as its profile describes it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    name: Name
    """Name of the target: small letters, digits, `_`, `.` and `-`."""
    engine: Engine
    """The container engine."""
    folders: Folders = Field(default_factory=Folders)
    """The folders of the records."""
    application: Application
    """The application above the stores."""
    limits: Limits = Limits()
    """Limits of resources."""
    windows: Windows = Windows()
    """Windows of the phases."""
    verification: Scheduling | None = None
    """Where large collections are compared (default: here)."""
    rto_seconds: PositiveInt = 600
    """Recovery time objective: seconds of downtime, from the first bad sample to the verified end."""
    rollback_seconds: PositiveInt = 300
    """Seconds that a rollback may take."""
    hold_seconds: NonNegativeInt = 1800
    """Seconds within which a rollback that did not help is not repeated."""
    protected: bool = False
    """Whether a rollback needs the target's name too: `--confirm NAME`."""
    stores: dict[Name, AnyStore] = Field(default_factory=dict)
    """The stores, by name."""
    hosts: dict[Name, HostProfile] = Field(default_factory=dict)
    """Other machines of the target, by name."""
    references: References = Field(default_factory=dict)
    """Rules between stores that must hold after a rollback."""
    baseline_key: Secret | None = None
    """Key that baselines are signed with (HMAC), and refused without that signature."""
    premigration: Premigration = Premigration()
    """What must hold before a migration is promoted."""
    severity: Bands = Bands()
    """The bands of severity."""
    responding: Responding = Responding()
    """Settings of `respond`."""
    checks: Checks = Checks()
    """Checks of your own."""
    contacts: Contacts = Contacts()
    """Who is told of an incident."""
    redaction: Redaction = Redaction()
    """What reports hide in addition to secrets."""
    signing: Signing = Signing()
    """The key that records are signed with."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the profile; there is no other source."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _stores_have_names_and_risks(self) -> Self:
        for name, store in self.stores.items():
            if name in _RESERVED:
                expected = "another name, since backups and lost windows have a file or folder of this one"
                raise ProfileMistake(expected, name).at(f"stores.{name}")
            if wrong := wrong_risk(store):
                raise wrong.at(f"stores.{name}.risk")
        return self

    @model_validator(mode="after")
    def _engine_can_keep_the_stores(self) -> Self:
        """Check the stores of an engine with nodes: a volume is on one node, and stays there.

        Files of the application are kept where they are: see `SwarmEngine.files`.
        """
        if self.engine.of_kind.has_nodes:
            for name, store in self.stores.items():
                if descriptor_of(store).means(store) is Means.VOLUMES:
                    expected = "a store that is not kept by its volumes, or engine.kind compose"
                    raise ProfileMistake(expected, f"kind {store.kind} on a swarm").at(f"stores.{name}.kind")
        return self

    @model_validator(mode="after")
    def _references_between_places(self) -> Self:
        of_canary = self.application.canary.references
        for key, table in (("references", self.references), ("application.canary.references", of_canary)):
            for name, reference in table.items():
                for place in (reference.referencing, reference.referenced):
                    if wrong := wrong_place(place, self.stores):
                        raise wrong.at(f"{key}.{name}")
                named = descriptor_of(self.stores[reference.referencing.store]).keys
                if reference.where and named in {("key",), ("path",)}:
                    expected = "no condition, where a record is known by its name alone"
                    raise ProfileMistake(expected, ", ".join(reference.where)).at(f"{key}.{name}.where")
        return self

    @model_validator(mode="after")
    def _names_are_there(self) -> Self:
        """Check each name that stands for something else in the profile."""
        application, services = self.application, self.application.services
        requests, maintenance = application.requests, application.maintenance
        logging = {requests.service} if requests else set()
        answering = {maintenance.service} if maintenance else set()
        databases = [name for name, store in self.stores.items() if descriptor_of(store).may_have_revisions]
        known: list[tuple[str, Iterable[str], Iterable[str]]] = [
            ("application.writers", application.writers, services),
            ("application.requests.service", logging, services),
            # A writer is stopped before everything else, and so cannot answer during maintenance.
            ("application.maintenance.service", answering, {*services} - {*application.writers}),
            ("application.migrations", application.migrations, services),
        ]
        for service, migrations in application.migrations.items():
            known.append((f"application.migrations.{service}.store", (migrations.store,), databases))
        for name, store in self.stores.items():
            known.append((f"stores.{name}.together", store.together, {*self.stores} - {name}))
            # The services of a store's mounts are stopped for a restore.
            known.append((f"stores.{name}", [one for one, _ in store.mounts], {*services} - answering))
        for key, names, among in known:
            if others := sorted(set(names) - set(among)):
                raise ProfileMistake(f"names among {listed(sorted(among)) or 'none'}", listed(others)).at(key)
        return self

    @property
    def is_light(self) -> bool:
        """Whether the target is judged by itself: the profile names no folders, and no baseline is there."""
        return "folders" not in self.model_fields_set and not (self.folders.baselines / CURRENT).exists()

    def together(self, name: str) -> tuple[str, ...]:
        """Return the stores that a rollback of store `name` restores: itself first.

        Then come all that `together` ties to it, in either direction and through others.
        """
        found, waiting = list[str](), [name]
        while waiting:
            one = waiting.pop(0)
            if one not in found:
                found.append(one)
                waiting += [*self.stores[one].together]
                waiting += [other for other, store in self.stores.items() if one in store.together]
        return tuple(found)

    @property
    def services(self) -> tuple[str, ...]:
        """Every compose service that must run: the application's, then the stores', each once."""
        every = [*self.application.services, *(s for store in self.stores.values() for s in store.services)]
        return tuple(dict.fromkeys(every))

    def secrets(self) -> frozenset[str]:
        """The plain text of every secret in this profile, for redaction and the last scan only."""
        return frozenset(secrets_in({name: getattr(self, name) for name in type(self).model_fields}))

    @cached_property
    def personal(self) -> Personal:
        """The personal data in the records, with its pseudonyms."""
        return Personal(self.redaction.fields, partial(_reading_secrets, self), _public_names(self))

    def redactor(self) -> Redactor:
        """Return a redactor that knows this profile's secrets."""
        return Redactor(self.secrets())


def load_target(path: Path) -> Target:
    """Load the profile at `path`; this may run the programs of its secrets, which redactors know then.

    Raises:
        ProfileProblem: with each mistake of the file, its keys, the environment and the secrets.
    """
    return _loaded(path)


def load_target_for_checks(path: Path) -> Target:
    """Load the profile at `path`; each secret is read when it is used.

    Raises:
        ProfileProblem: with each mistake of the file, its keys and the environment.
    """
    token = secrets_when_used.set(True)
    try:
        return _loaded(path)
    finally:
        secrets_when_used.reset(token)


def _loaded(path: Path) -> Target:
    profile = _read(path)
    if unknown := [*_unknown(profile, path)]:
        raise ProfileProblem(unknown)
    with _explained(path):
        target = Target(**profile)
    for secret in target.secrets():
        remember(secret)
    return target


def load_stores(path: Path) -> Stores:
    """Load the stores of the profile at `path` for reading alone: the operators' passwords are not read."""
    profile = _read(path)
    stores = profile.get("stores")
    for store in stores.values() if isinstance(stores, dict) else ():
        if isinstance(store, dict) and "operator" in store:
            store["operator"] = store.get("reader")
    with _explained(path):
        return Stores(**profile)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Take paths of the profile from its folder, and explain its mistakes."""
    token = profile_directory.set(path.resolve().parent)
    try:
        yield
    except ValidationError as error:
        raise ProfileProblem(explain(error, path, PREFIX)) from None
    except (SettingsError, RecursionError) as error:
        wrong = ProfileMistake(
            "JSON where the key is a table", str(error), hint=f"override a single key: {_EXAMPLE}"
        )
        raise ProfileProblem([_mistake(wrong, f"variables {PREFIX}…", "the environment")]) from None
    finally:
        profile_directory.reset(token)


def _read(path: Path) -> dict[str, Any]:
    try:
        # With a newline at the end, tomllib names the line of a mistake in the last line too.
        return tomllib.loads(f"{read_regular(path).decode()}\n")
    except (OSError, UnicodeDecodeError) as error:
        observed = reason_of(error)
    except (ValueError, RecursionError) as error:  # what is no TOML, with its line
        observed = str(error)
    near = listed([one.name for one in sorted(path.parent.glob("*.toml"))])
    missing = f"profiles in that folder: {near}" if near else f"write one: {typed('init --project NAME')}"
    hint = f"correct that in {path.name}, or its permissions" if path.is_file() else missing
    wrong = ProfileMistake("a readable TOML file", observed, hint=hint)
    raise ProfileProblem([_mistake(wrong, "profile", str(path))])


def _unknown(profile: dict[str, Any], path: Path) -> Iterator[UsageProblem]:
    """Yield what pydantic-settings ignores: keys that are its own options, and unknown variables."""
    keys = Target.model_fields
    for name in sorted(set(profile) - set(keys)):
        yield _mistake(unknown_key(name, keys), name, str(path))
    known = {f"{PREFIX}{name.upper()}" for name in keys} | OTHER_VARIABLES
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name.split("__")[0] not in known:
            hint = f"unset {name}, or correct its name"
            wrong = ProfileMistake(f"one of {', '.join(sorted(known))}", "an unknown variable", hint=hint)
            yield _mistake(wrong, name, "the environment")


def _mistake(wrong: ProfileMistake, what: str, source: str) -> UsageProblem:
    expected, observed, hint = wrong.expected, wrong.observed, wrong.hint
    return mistake(what=what, expected=expected, observed=observed, source=source, hint=hint)


def _reading_secrets(target: Target) -> Iterator[str]:
    """Yield the secrets that reading the target takes, which every host that verifies it has."""
    readers = [store.reader for store in target.stores.values()]
    accounts = [one.password for one in readers if isinstance(one, Account)]
    keys = [one.key for one in readers if isinstance(one, ApiKey)]
    for secret in (target.application.canary.password, *accounts, *keys):
        with suppress(Unverifiable):  # whoever reads that store says so
            yield secret.get_secret_value()


def _public_names(target: Target) -> Iterator[str]:
    """Yield the people in the profile: users of accounts, waivers' authors, contacts, those on call."""
    yield target.application.canary.user
    yield from (*target.premigration.team.on_call, *(waiver.name for waiver in target.premigration.waivers))
    for contact in (target.contacts.on_call, target.contacts.tech_lead):
        yield from contact.names
    for store in target.stores.values():
        for account in (store.reader, store.operator):
            if isinstance(account, Account):
                yield account.user
