"""The facts that a baseline records about a target, and their form in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from rollproof.collection import Json
from rollproof.engines.container_settings import places_in
from rollproof.engines.engine import Container
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import Beside, Digest, Neighbours
from rollproof.stores.policy import compared_of
from rollproof.system.record_files import LEFT_OUT, Must, Natural, Positive, as_json, record_of, rounded


@dataclass(frozen=True, slots=True)
class RecordedInside:
    """The files of a container's own layer that its image does not bring; of modified files a keyed hash.

    `placed` are those that compose wrote into it, each with its keyed hash; earlier versions recorded none.
    """

    modified: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    placed: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RecordedContainer:
    """A container as it was: enough to recognise it, to restore it, and to compare its configuration.

    `id` and `restarts` are of that very container: another of the name has its own restarts. One that had
    `completed` had done what it was for, and does not run. `settings` are the engine's. `sealed` are keyed
    hashes of what may hold secrets: environment, command, bound files. `places` are where it has its mounts.
    Earlier versions recorded none of these; the places are then in the settings. `health_seconds` and `after`
    are those of `Container`: how long a start takes.
    """

    service: str
    name: str
    image: str
    image_id: str
    revision: str | None
    configuration: str | None
    volumes: tuple[str, ...]
    id: str = ""
    restarts: int = 0
    completed: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    inside: RecordedInside = field(default_factory=RecordedInside)
    places: tuple[str, ...] | None = None
    health_seconds: float = field(default=0.0, metadata=LEFT_OUT)
    after: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)

    @property
    def mounted(self) -> tuple[str, ...]:
        """The places of its mounts."""
        return places_in(self.settings) if self.places is None else self.places

    def restarts_of(self, container: Container) -> int:
        """Return how often the engine restarted `container` since it was recorded.

        The engine counts anew when somebody starts the container, and for each new one.
        """
        same = container.id == self.id and container.restarts >= self.restarts
        return container.restarts - self.restarts if same else container.restarts


@dataclass(frozen=True, slots=True)
class RecordedResource:
    """A network or volume as it was: its settings, and keyed hashes of its driver's options."""

    settings: Mapping[str, Any]
    sealed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The surroundings of the containers: the file `surroundings.json`.

    `key` names the key of all keyed hashes of the baseline. `strangers` are the containers that shared a
    network or volume with the target. `changed` are the working copy's uncommitted changes in words, and
    `untracked` its files that git does not know. `files` are keyed hashes of the changed files. `engine` is
    the container engine's ID, "" of one without. `resources` are the networks and volumes of the containers.
    Earlier versions recorded neither.
    """

    key: str
    strangers: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    engine: str | None = None
    resources: Mapping[str, RecordedResource] | None = None


@dataclass(frozen=True, slots=True)
class RecordedStrictness:
    """The demands of the profile at the capture: the file `profile.json`.

    `stores` are their sections without addresses, accounts and pace; `asked` is the rest, by its key.
    """

    services: tuple[str, ...]
    stores: Mapping[str, Mapping[str, Any]]
    references: Mapping[str, Any]
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedStore:
    """A store as it was: exact record counts by collection.

    `marks` are those of its server's format, for a kind whose formats are judged; earlier versions recorded
    none.
    """

    kind: str
    server: str
    counts: Mapping[str, Natural]
    marks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedCanary:
    """The canary's observations: its knowledge base's files, and the files its question was grounded in.

    `turns` is the number of turns of each conversation that it had, by id. Earlier versions recorded none.
    """

    files: tuple[str, ...]
    grounded_in: tuple[str, ...]
    turns: Mapping[str, Natural] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedCollection:
    """The content of a collection, part by part.

    `blocks` are the offset and length of each part's records in the baseline's file `records`. `excluded` are
    the fields left out of all hashes. `seconds` is the time its digest took, and the estimate for the next.
    """

    division: tuple[str, ...]
    digests: tuple[Digest, ...]
    records: str
    blocks: tuple[tuple[int, int], ...]
    excluded: tuple[str, ...]
    seconds: float
    golden: tuple[Neighbours, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedContent:
    """A store's content: schemas and collections by name, and positions if it has any.

    `sight` is what its account saw, of what the store hides silently. `beside` is what it held beside the
    collections of the profile, or None if it cannot hold more. Earlier versions recorded neither.
    """

    schemas: Mapping[str, Json]
    collections: Mapping[str, RecordedCollection]
    positions: Mapping[str, Json]
    blind_spots: tuple[str, ...]
    sight: tuple[str, ...] = ()
    beside: Beside | None = None

    @property
    def was_read(self) -> bool:
        """Whether any record was read; also true without digests, as when all collections are volatile."""
        digests = [digest for collection in self.collections.values() for digest in collection.digests]
        return not digests or whole_digest(digests).records > 0


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of a baseline about a target; `interface` is the SHA-256 of its OpenAPI document.

    `page` is that of its first page, "" if it had none or was another at the next request. `page_status` is
    the status that it answered, 0 where none is known, as after a migration.
    `milliseconds` holds the response times of its health endpoint and first page, if measured. Earlier
    versions recorded neither `page`, `surroundings` nor `profile`.
    """

    commit: str
    interface: str
    containers: tuple[RecordedContainer, ...]
    stores: Mapping[str, RecordedStore]
    canary: RecordedCanary
    contents: Mapping[str, RecordedContent] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    surroundings: Surroundings | None = None
    profile: RecordedStrictness | None = None
    page: str = ""
    page_status: int = 0

    @property
    def engine(self) -> str | None:
        """The container engine's ID, as in `Surroundings`; None of a baseline that has recorded none."""
        return self.surroundings.engine if self.surroundings is not None else None

    def images(self, services: Iterable[str]) -> dict[str, str]:
        """Return the image ids of those of `services` that ran, by service."""
        wanted = frozenset(services)
        return {c.service: c.image_id for c in self.containers if c.service in wanted}

    def replicas(self, services: Iterable[str]) -> dict[str, int]:
        """Return the number of containers of each of `services`."""
        counted = Counter(container.service for container in self.containers)
        return {service: counted[service] for service in services if service in counted}


_RELEASE = "release.json"
# Baselines of earlier versions lack these files.
_SPEEDS, _SURROUNDINGS, _PROFILE = "milliseconds.json", "surroundings.json", "profile.json"
SUMMARISED = _RELEASE, _SURROUNDINGS
"""The files that the summary is in."""


def whole_digest(digests: Iterable[Digest]) -> Digest:
    """Return one digest for all parts."""
    return sum(digests, Digest(0, 0))


def _is_hexadecimal(text: str) -> bool:
    try:
        int(text, 16)
    except ValueError:
        return False
    return True


# A part's first bound, its record count, the sum of their hashes, and its block's offset and length. The sum
# is text: it is longer than the integers that JSON's readers agree on.
_Part = tuple[str, Natural, Annotated[str, Must("a hexadecimal number", _is_hexadecimal)], Natural, Natural]
_Parts = Annotated[tuple[_Part, ...], Must("parts, of which something would be compared", bool)]
_Golden = Annotated[Neighbours, Must("as many keys as scores", lambda one: len(one.keys) == len(one.scores))]


@dataclass(frozen=True, slots=True)
class Release:
    """The file `release.json`; see `Facts`."""

    commit: str
    interface: str
    page: str = ""
    page_status: Natural = 0


@dataclass(frozen=True, slots=True)
class CollectionFile:
    """A collection in a file of a store's content; see `RecordedCollection`."""

    parts: _Parts
    records: str
    excluded: tuple[str, ...]
    seconds: float = field(metadata=rounded(3))
    golden: tuple[_Golden, ...]

    @classmethod
    def of(cls, found: RecordedCollection) -> CollectionFile:
        """Return `found` in its written form."""
        each = zip(found.division, found.digests, found.blocks, strict=True)
        parts = tuple((bound, digest.records, f"{digest.total:x}", *block) for bound, digest, block in each)
        return cls(parts, found.records, found.excluded, found.seconds, found.golden)

    def read(self) -> RecordedCollection:
        """Return the recorded collection."""
        return RecordedCollection(
            division=tuple(bound for bound, *_ in self.parts),
            digests=tuple(Digest(records, int(total, 16)) for _, records, total, *_ in self.parts),
            blocks=tuple((offset, length) for *_, offset, length in self.parts),
            records=self.records,
            excluded=self.excluded,
            seconds=self.seconds,
            golden=self.golden,
        )


@dataclass(frozen=True, slots=True)
class ContentFile:
    """The file `content/<store>.json`; see `RecordedContent`."""

    schemas: Mapping[str, Any]
    collections: Mapping[str, CollectionFile]
    positions: Mapping[str, Any]
    blind_spots: tuple[str, ...]
    sight: tuple[str, ...] = ()
    beside: Beside | None = None

    @classmethod
    def of(cls, found: RecordedContent) -> ContentFile:
        """Return `found` in its written form."""
        collections = {name: CollectionFile.of(one) for name, one in found.collections.items()}
        return cls(found.schemas, collections, found.positions, found.blind_spots, found.sight, found.beside)

    def read(self) -> RecordedContent:
        """Return the recorded content."""
        collections = {name: one.read() for name, one in self.collections.items()}
        return RecordedContent(
            self.schemas, collections, self.positions, self.blind_spots, self.sight, self.beside
        )


def to_files(facts: Facts) -> dict[str, Any]:
    """Return `facts` as JSON values, by file name."""
    files = {
        _RELEASE: Release(facts.commit, facts.interface, facts.page, facts.page_status),
        "containers.json": facts.containers,
        "stores.json": facts.stores,
        "canary.json": facts.canary,
        **({_SPEEDS: facts.milliseconds} if facts.milliseconds else {}),
        **({_SURROUNDINGS: facts.surroundings} if facts.surroundings else {}),
        **({_PROFILE: facts.profile} if facts.profile else {}),
        **{f"content/{name}.json": ContentFile.of(content) for name, content in facts.contents.items()},
    }
    return {name: as_json(content) for name, content in files.items()}


def from_files(files: Mapping[str, Any]) -> Facts:
    """Return the facts from the files that `to_files` made.

    Raises:
        WrongRecord: a file does not hold the expected record. `KeyError`: a required file is missing.
    """
    release = record_of(Release, files[_RELEASE])
    contents = {
        name.removeprefix("content/").removesuffix(".json"): record_of(ContentFile, record).read()
        for name, record in files.items()
        if name.startswith("content/")
    }
    return Facts(
        commit=release.commit,
        interface=release.interface,
        page=release.page,
        page_status=release.page_status,
        containers=record_of(tuple[RecordedContainer, ...], files["containers.json"]),
        stores=record_of(dict[str, RecordedStore], files["stores.json"]),
        canary=record_of(RecordedCanary, files["canary.json"]),
        contents=contents,
        milliseconds=record_of(dict[str, Positive], files.get(_SPEEDS, {})),
        surroundings=_surroundings_of(files),
        profile=record_of(RecordedStrictness, files[_PROFILE]) if _PROFILE in files else None,
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """Of which commit a baseline is, and the ID of the container engine, as in `Surroundings`."""

    commit: str
    engine: str | None


def summary_of(files: Mapping[str, Any]) -> Summary:
    """Return the summary from the files that it is in; raises as `from_files`."""
    surroundings = _surroundings_of(files)
    return Summary(record_of(Release, files[_RELEASE]).commit, surroundings.engine if surroundings else None)


def _surroundings_of(files: Mapping[str, Any]) -> Surroundings | None:
    return record_of(Surroundings, files[_SURROUNDINGS]) if _SURROUNDINGS in files else None


def compared_in(facts: Facts, name: str, store: StoreProfile) -> list[str]:
    """Return a store's collections whose records must match the baseline, whether recorded there or not."""
    counts = facts.stores[name].counts if name in facts.stores else {}
    content = facts.contents.get(name)
    read, schemas = (content.collections, content.schemas) if content else ({}, {})
    return compared_of(store, (*counts, *read), schemas)
