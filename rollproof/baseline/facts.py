"""The facts that a baseline records about a target: each dataclass is a record, or a part of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from rollproof.engines.engine import Container, Inside
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import Digest, Recall, Unlisted, Vector
from rollproof.stores.policy import compared_of
from rollproof.system.record_files import Must, Natural, Positive, rounded


@dataclass(frozen=True, slots=True)
class RecordedContainer:
    """A container as it was: enough to recognise it, to restore it, and to compare its configuration.

    `id` and `restarts` are of that very container: another of the name has its own restarts. One that had
    `completed` had done what it was for, and does not run. `settings` are the engine's. `private` are keyed
    hashes of what may hold secrets, such as environment and command. `inside` are the files that its image
    does not bring. `places` are where it has its mounts. `health_seconds` is that of `Container`: how long a
    start takes.
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
    private: Mapping[str, str] = field(default_factory=dict)
    inside: Inside = field(default_factory=Inside)
    places: tuple[str, ...] = ()
    health_seconds: float = 0.0

    def restarts_of(self, container: Container) -> int:
        """Return how often the engine restarted `container` since it was recorded.

        The engine counts from 0 again when somebody starts the container, and for each new one.
        """
        same = container.id == self.id and container.restarts >= self.restarts
        return container.restarts - self.restarts if same else container.restarts


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around the containers: engine, other containers there, the working copy.

    `key` names the key of all keyed hashes of the baseline. `strangers` are the containers that shared a
    network or volume with the target. `changed` are the working copy's uncommitted changes in words, and
    `untracked` its files that git does not know. `engine` is the container engine's ID, "" of one without.
    """

    key: str
    strangers: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True, slots=True)
class RecordedStore:
    """A store as it was: exact record counts by collection.

    `marks` are those of its server's format, for a kind whose formats are judged.
    """

    kind: str
    server: str
    counts: Mapping[str, Natural]
    marks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedCanary:
    """The canary's observations: its knowledge base's files, and the files its question was grounded in.

    `turns` is the number of turns of each conversation that it had, by id.
    """

    files: tuple[str, ...]
    grounded_in: tuple[str, ...]
    turns: Mapping[str, Natural] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedCollection:
    """The content of a collection, part by part.

    `division` has the first bound of each part, and `digests` its digest. The baseline's file `records` is a
    snapshot of all collections of the store. `excluded` are the fields left out of all hashes. `seconds` is
    the time its digest took, and the estimate for the next. `recall` is that of searches
    for the vectors `queries`.
    """

    division: Annotated[tuple[str, ...], Must("parts, of which something would be compared", bool)]
    digests: tuple[Digest, ...]
    records: str
    excluded: tuple[str, ...]
    seconds: float = field(metadata=rounded(3))
    queries: tuple[Vector, ...] = ()
    recall: Recall | None = None

    def __post_init__(self) -> None:
        """Refuse a record that does not describe each part once."""
        if len(self.division) != len(self.digests):
            raise ValueError("a digest of each part")


@dataclass(frozen=True, slots=True)
class RecordedContent:
    """A store's content, the file `content/STORE.json`: schemas and collections by name, and its positions.

    `sight` is what its account saw, of what the store hides silently. `unlisted` is what it held outside the
    collections of the profile, or None if it cannot hold more.
    """

    schemas: Mapping[str, Any]
    collections: Mapping[str, RecordedCollection]
    positions: Mapping[str, Any]
    blind_spots: tuple[str, ...]
    sight: tuple[str, ...] = ()
    unlisted: Unlisted | None = None

    @property
    def was_read(self) -> bool:
        """Whether any record was read; also true without digests, as when all collections are volatile."""
        digests = [digest for collection in self.collections.values() for digest in collection.digests]
        return not digests or whole_digest(digests).records > 0


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of a baseline about a target: the file `facts.json`, except `contents` by store.

    `interface` is the SHA-256 of its OpenAPI document. `demands` are those of the profile at the capture, see
    `rollproof.baseline.demands`. `page` is the SHA-256 of its first page, "" if it had none or was another at
    the next request. `page_status` is the status that it answered, 0 where none is known, as after a
    migration. `milliseconds` holds the response times of its health endpoint and first page, if measured.
    """

    commit: str
    interface: str
    containers: tuple[RecordedContainer, ...]
    stores: Mapping[str, RecordedStore]
    canary: RecordedCanary
    surroundings: Surroundings
    demands: Mapping[str, Mapping[str, Any]]
    contents: Mapping[str, RecordedContent] = field(default_factory=dict)
    milliseconds: Mapping[str, Positive] = field(default_factory=dict)
    page: str = ""
    page_status: Natural = 0

    def images(self, services: Iterable[str]) -> dict[str, str]:
        """Return the image ids of those of `services` that ran, by service."""
        wanted = frozenset(services)
        return {c.service: c.image_id for c in self.containers if c.service in wanted}

    def replicas(self, services: Iterable[str]) -> dict[str, int]:
        """Return the number of containers of each of `services`."""
        counted = Counter(container.service for container in self.containers)
        return {service: counted[service] for service in services if service in counted}

    def compared_in(self, name: str, store: StoreProfile) -> list[str]:
        """Return the collections of the store `name` whose records must match, whether recorded or not."""
        counts = self.stores[name].counts if name in self.stores else {}
        content = self.contents.get(name)
        read, schemas = (content.collections, content.schemas) if content else ({}, {})
        return compared_of(store, (*counts, *read), schemas)


def whole_digest(digests: Iterable[Digest]) -> Digest:
    """Return one digest for all parts."""
    return sum(digests, Digest(0, 0))
