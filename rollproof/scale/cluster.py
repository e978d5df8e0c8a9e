"""The controller of a large comparison: it hands chunks to Dask's workers, and counts every part.

Dask does a chunk again whose worker died. What Dask cannot end, ends here as *broken*: a chunk that kills
each worker, an error, a scheduler that is gone, time that is up. No part is left out: the digests of a
collection are those of all planned parts, or an error.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Self
from uuid import uuid4

from distributed import Client, Future, KilledWorker, Security, wait

from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import Target
from rollproof.profile.scheduling import Scheduling
from rollproof.record_names import PARTS
from rollproof.scale.chunk import Chunk, ChunkAnswer, digest_chunk, terms_of
from rollproof.scale.ledger import PartLedger
from rollproof.stores.contract import Digest
from rollproof.stores.snapshot import not_as_asked
from rollproof.system.clock import Moment

CHUNK_SECONDS = 2.0
"""The time that one task should take: few tasks for the scheduler, and little to do again."""
AHEAD = 2
"""Tasks for each thread of the workers, so that none waits for the controller."""
_SECONDS = 10.0
"""The time that the scheduler has for an answer of its own."""


class Cluster:
    """The workers of the profile's scheduler. Connects with the first question; threads may share it."""

    def __init__(self, target: Target, profile: Scheduling) -> None:
        """Connect to nothing yet."""
        self._target = target
        self.profile = profile
        self._client: Client | None = None
        self._connecting = Lock()

    def __enter__(self) -> Self:
        """Return the cluster itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the scheduler, which forgets what was asked and not answered."""
        if self._client is not None:
            self._client.close(timeout=_SECONDS)

    def digests_of(
        self,
        store: str,
        name: str,
        recorded: RecordedCollection,
        baseline: Baseline,
        *,
        seconds: float = math.inf,
        incident: Path | None = None,
        state: str | None = None,
    ) -> CollectionDigests | None:
        """Return the digests of a collection of `baseline`; None for one that is read as fast without.

        They take `seconds` at most. With a `state`, see `rollproof.scale.ledger`, what an earlier run of
        `incident` has read in the same state is taken over.
        """
        profile = self._target.stores[store]
        expected = recorded.seconds * profile.load.connections
        if expected <= CHUNK_SECONDS or len(recorded.division) == 1:
            return None
        ledger, terms = None, terms_of(profile)
        if incident is not None and state is not None:
            file = sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
            ledger = PartLedger(
                incident / PARTS / f"{store}-{file}.jsonl",
                name,
                len(recorded.division),
                [state, baseline.id, store, name, terms, recorded.division],
            )
        part = Chunk(store, name, 0, 1, (), terms)
        return CollectionDigests(self, part, recorded.division, expected, seconds, ledger)

    def client(self) -> Client:
        """Return the connection to the scheduler, which has workers."""
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        profile = self.profile
        security = Security(
            tls_ca_file=str(profile.ca),
            tls_client_cert=str(profile.certificate),
            tls_client_key=str(profile.key),
            require_encryption=True,
        )
        try:
            client = Client(profile.scheduler, security=security, timeout=_SECONDS, set_as_default=False)
            workers = client.nthreads(callback_timeout=_SECONDS)
        except (OSError, ValueError) as error:  # ValueError: a certificate that is none
            raise self.failed(f"an answer within {_SECONDS:g} s", error) from None
        if not workers:
            client.close(timeout=_SECONDS)
            raise self.failed("at least 1 worker", "none")
        return client

    def failed(self, expected: str, observed: Exception | str) -> Unverifiable:
        """Return the error for a scheduler that did not do what was asked."""
        profile = self.profile
        if isinstance(observed, str):
            hint = f"dask worker {profile.scheduler} --tls-ca-file {profile.ca}"
            hint += f" --tls-cert {profile.certificate} --tls-key {profile.key}"
        else:
            observed = f"{type(observed).__name__}: {observed}"
            hint = f"openssl s_client -connect {profile.scheduler.removeprefix('tls://')}"
            hint += f" -CAfile {profile.ca} -cert {profile.certificate} -key {profile.key}"
        return Unverifiable(
            what="scheduler of verification",
            expected=expected,
            observed=observed,
            source=profile.scheduler,
            hint=hint,
            means=Meaning.UNREACHABLE,
        )


@dataclass
class CollectionDigests:
    """The digests of one collection, read by workers: see `rollproof.baseline.comparison.Digests`.

    `like` is a chunk of the collection, `expected` the seconds that one connection should take for all.
    `chunks` counts the answers, and `worked` sums up their seconds.
    """

    cluster: Cluster
    like: Chunk
    division: Sequence[str]
    expected: float
    seconds: float
    ledger: PartLedger | None
    chunks: int = 0
    worked: float = 0.0
    _taken: int = 0
    _began: str = ""
    _workers: set[str] = field(default_factory=set)
    _servers: set[str] = field(default_factory=set)

    @property
    def evidence(self) -> str:
        """How they were read, for the verdict."""
        again = f"; {self._taken} parts were read by an earlier run, in the same state" if self._taken else ""
        still = "users were kept out" if self.ledger else "they are one state if nothing wrote meanwhile"
        return (
            f"digests by {len(self._workers)} workers at {', '.join(sorted(self._servers)) or 'no server'},"
            f" each part as of a moment of its own from {self._began} to {_now()}: {still}{again}"
        )

    def digest(self, parts: Sequence[int]) -> Iterator[tuple[int, Digest]]:
        """Yield the digest of each of `parts` once.

        Raises:
            Unverifiable: some part could not be read, or not in time.
        """
        self._began = _now()
        known = self.ledger.answered() if self.ledger else {}
        taken = {part: known[part] for part in parts if part in known}
        self._taken = len(taken)
        yield from taken.items()
        left = deque(sorted(set(parts) - taken.keys()))
        if left:
            yield from self._ask(self.cluster.client(), left)

    def _ask(self, client: Client, left: deque[int]) -> Iterator[tuple[int, Digest]]:
        give_up = monotonic() + self.seconds
        size = max(1, int(len(self.division) * CHUNK_SECONDS / self.expected))
        running: dict[Future[ChunkAnswer], Chunk] = {}
        run = uuid4().hex
        try:
            while left or running:
                threads = sum(client.nthreads(callback_timeout=_SECONDS).values())
                most = AHEAD * max(1, threads)
                while left and len(running) < most:
                    # Towards the end chunks become smaller: all workers end at about the same time.
                    chunk = self._next(left, min(size, max(math.ceil(len(left) / (2 * most)), size // 8)))
                    key = f"rollproof-{chunk.store}-{chunk.first}-{run}"
                    running[client.submit(digest_chunk, chunk, key=key, pure=False)] = chunk
                patience = min(self.cluster.profile.answer_seconds, max(0.0, give_up - monotonic()))
                with client.as_current():
                    done, _ = wait(list(running), timeout=patience, return_when="FIRST_COMPLETED")
                for future in done:
                    chunk = running.pop(future)
                    answer = self._answer(future, chunk)
                    size = max(1, min(2 * chunk.parts, int(chunk.parts * CHUNK_SECONDS / answer.seconds)))
                    yield from answer.digests.items()
        except TimeoutError:
            raise self._late(len(left), running.values()) from None
        except (OSError, CancelledError) as error:
            raise self.cluster.failed("answers to all tasks", error) from None
        finally:
            for future in running:
                future.release()

    def _next(self, left: deque[int], most: int) -> Chunk:
        first = left.popleft()
        parts = 1
        while left and parts < most and left[0] == first + parts:
            left.popleft()
            parts += 1
        bounds = self.division[first : first + parts + 1]
        return replace(self.like, first=first, parts=parts, bounds=bounds)

    def _answer(self, future: Future[ChunkAnswer], chunk: Chunk) -> ChunkAnswer:
        """Return the answer to a chunk once it is in the ledger."""
        if future.status == "error":
            error = future.exception(timeout=_SECONDS)
            observed = f"{type(error).__name__}: {error}"
            if isinstance(error, KilledWorker):
                observed = f"{error.allowed_failures + 1} workers died that had it"
            raise _unread(
                chunk, observed, "workers", "see the workers' logs, and dmesg for memory", Meaning.CRASH
            )
        answer = future.result(timeout=self.cluster.profile.answer_seconds)
        if (problem := answer.problem) is not None:
            raise _unread(chunk, problem.summary, answer.worker, problem.hint, problem.means)
        if answer.digests.keys() != {*chunk.numbers}:
            raise not_as_asked(chunk.collection, f"{len(answer.digests)} digests for {chunk}", answer.worker)
        if self.ledger is not None:
            digests = [answer.digests[part] for part in chunk.numbers]
            self.ledger.append(chunk.first, digests, answer.worker)
        self.chunks += 1
        self.worked += answer.seconds
        self._workers.add(answer.worker)
        self._servers.add(answer.server)
        return answer

    def _late(self, left: int, running: Iterable[Chunk]) -> Unverifiable:
        waiting = sorted(running, key=lambda chunk: chunk.first)
        parts = left + sum(chunk.parts for chunk in waiting)
        seconds = min(self.seconds, self.cluster.profile.answer_seconds)
        return Unverifiable(
            what=f"content of {self.like.collection} of {self.like.store}",
            expected=f"all {len(self.division)} parts in {self.seconds:g} s, an answer each {seconds:g} s",
            observed=f"{parts} without an answer, as {waiting[0] if waiting else 'those not begun'}",
            source=self.cluster.profile.scheduler,
            hint="see the workers' logs; more workers near the data, or more time: windows.phase4,"
            " windows.verification, verification.answer_seconds",
            means=Meaning.TIMEOUT,
        )


def _unread(chunk: Chunk, observed: str, source: str, hint: str, means: Meaning) -> Unverifiable:
    return Unverifiable(
        what=str(chunk),
        expected="digests by a worker",
        observed=observed,
        source=source,
        hint=hint,
        means=means,
    )


def _now() -> str:
    return Moment.now().wall[:19]
