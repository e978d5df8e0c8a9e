"""What a worker does: the digests of consecutive parts of a collection, by its own profile and accounts.

A task is a `Chunk`. It holds no secret, no address and no path: a worker reads the profile that its own
environment names, and opens the store as its reader. Its answer has the digest of each part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import monotonic

from distributed import get_worker

from rollproof.baseline.demands import demands_of_store
from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import Problem, UsageProblem
from rollproof.home import no_target, version
from rollproof.profile.profile import load_stores
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import Digest, Pace
from rollproof.stores.registry import endpoint_of, reader_at
from rollproof.system.files import canonical_json

PROFILE = "ROLLPROOF_TARGET"
"""The variable of a worker's environment that names its profile; sections `stores` and `engine` are read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Parts `first` to `first + parts` of a collection.

    `bounds` begin its parts; one more ends the last part, unless that is the collection's last. `terms` are
    the controller's, see `terms_of`.
    """

    store: str
    collection: str
    first: int
    parts: int
    bounds: Sequence[str]
    terms: str

    @property
    def numbers(self) -> range:
        """The numbers of its parts."""
        return range(self.first, self.first + self.parts)

    def __str__(self) -> str:
        """Return its name in errors; bounds are keys of records, which may be personal data."""
        return f"parts {self.first} to {self.first + self.parts - 1} of {self.collection} of {self.store}"


@dataclass(frozen=True, slots=True)
class ChunkAnswer:
    """The digest of each part of a chunk, by its number, or the `problem` that came instead.

    `worker` is the address of who answered, `server` the one that it asked, `seconds` how long that took.
    """

    worker: str
    server: str = ""
    seconds: float = 0.0
    digests: Mapping[int, Digest] = field(default_factory=dict)
    problem: Problem | None = None


def terms_of(profile: StoreProfile) -> str:
    """Return the SHA-256 of what digests depend on: what the profile asks of a store, and this version."""
    return sha256(canonical_json([version(), demands_of_store(profile)])).hexdigest()


def digest_chunk(chunk: Chunk) -> ChunkAnswer:
    """Digest a chunk on a worker. A problem is an answer: raised, it would be logged with its arguments."""
    started, worker = monotonic(), str(get_worker().address)
    try:
        server, digests = _read(chunk, worker)
    except Problem as problem:
        return ChunkAnswer(worker, problem=problem)
    return ChunkAnswer(worker, server, monotonic() - started, digests)


def _read(chunk: Chunk, worker: str) -> tuple[str, dict[int, Digest]]:
    stores, engine = _stores()
    profile = stores.get(chunk.store)
    if profile is None or terms_of(profile) != chunk.terms:
        raise UsageProblem(
            what=f"section stores.{chunk.store} of the worker's profile",
            expected="that of the controller, except address, accounts and load, and the same rollproof",
            observed="none" if profile is None else "another one",
            source=f"{os.environ.get(PROFILE)} of {worker}",
            hint="copy the section to the worker's machine, and start the worker again",
        )
    # Opened for each chunk: after a restore the server may be at another address.
    endpoint = endpoint_of(profile, engine)
    with reader_at(chunk.store, profile, endpoint, engine) as reader:
        pace = Pace(connections=1, chunk_seconds=profile.load.chunk_seconds)
        found = reader.digest(chunk.collection, chunk.bounds, range(chunk.parts), pace)
        digests = {chunk.first + part: digest for part, digest in found}
    return f"{endpoint.in_url}:{endpoint.port}", digests


@cache
def _stores() -> tuple[dict[str, StoreProfile], ContainerEngine]:
    path = os.environ.get(PROFILE)
    if not path:
        raise no_target()
    profile = load_stores(Path(path))
    return profile.stores, open_engine(profile.engine)
