"""Probes of stores: whether each answers, connections, groups that fall behind, vector searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.incident.samples import ProbeId, ProbeKind
from rollproof.monitoring.probes.probe import Probe, ProbeResult
from rollproof.profile.profile import Target
from rollproof.stores.contract import Withheld
from rollproof.stores.reader import Reader
from rollproof.stores.registry import ReaderOpener, open_reader

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine


class Held:
    """A store's reader, over a connection that stays open while the store answers.

    After a failure the store's address is resolved again, as it may have moved.
    """

    def __init__(self, open_reader: Callable[[], Reader]) -> None:
        """Connect to nothing yet."""
        self._open = open_reader
        self._reader: Reader | None = None

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        """Give the reader; after any exception the next call opens a new one."""
        try:
            if self._reader is None:
                self._reader = self._open()
            yield self._reader
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(Mismatch, Problem, OSError):  # a connection that failed may not be closed in order
                reader.close()


class _OfStore(Probe):
    """A probe of one store, over a connection that stays open while the store answers."""

    kind: ProbeKind

    def __init__(
        self,
        name: str,
        target: Target,
        engine: ContainerEngine,
        deadline: float,
        *,
        open_reader: ReaderOpener = open_reader,
    ) -> None:
        """Connect to nothing yet; a call has `deadline` seconds, or fewer if the profile says so."""
        seconds = min(deadline, target.stores[name].deadline_seconds)
        self.id = ProbeId(self.kind, name)
        self._profile = target.stores[name].model_copy(update={"deadline_seconds": seconds})
        self._severity = target.severity
        self._held = Held(lambda: open_reader(name, self._profile, engine))

    def close(self) -> None:
        """Close the connection."""
        self._held.close()


class StoreProbe(_OfStore):
    """A store: one query that touches real data."""

    kind = ProbeKind.STORE

    def ask(self) -> ProbeResult:
        """Run the query."""
        with self._held.opened() as view:
            answer = view.ask()
        return ProbeResult(ok=True, text=f"{answer.query}: {answer.records}", value=float(answer.records))


class ConnectionsProbe(_OfStore):
    """Connections to a database: the share in use. It keeps its own, since a full server takes no new one."""

    kind = ProbeKind.CONNECTIONS

    def ask(self) -> ProbeResult:
        """Ask for the numbers; a store that withholds them from this account is well, and has no figure."""
        try:
            with self._held.opened() as view:
                used, most = view.connections()
        except Withheld as problem:
            return ProbeResult(ok=True, text=f"readable only with {problem.expected}")
        percent = 100 * used / most if most > 0 else 0.0
        ok = percent < self._severity.critical.connections.limit
        text = f"{used} of {most} in use ({percent:.1f} %)"
        return ProbeResult(ok, text, percent, services=() if ok else self._profile.services)


class VectorProbe(_OfStore):
    """A store of vectors: a search for a stored vector, which must find something.

    A failed search stays unanswered, even if it fails quickly: unanswered searches are counted.
    """

    kind = ProbeKind.VECTORS
    _collection: str | None = None

    def ask(self) -> ProbeResult:
        """Search the first collection with records, which is determined once, and again after a failure."""
        try:
            with self._held.opened() as view:
                if self._collection is None:
                    self._collection = view.ask().collection
                found = view.search(self._collection)
            if found is None:
                raise Unverifiable(
                    what=f"vectors of {self.id.store}",
                    expected=f"a vector in {self._collection}",
                    observed="none",
                    source=self.id.store,
                    hint="only a vector can be searched for: was the collection emptied?",
                )
        except (Mismatch, Problem):
            self._collection = None
            raise
        hits = len(found)
        text = f"{hits} hits in {self._collection}"
        return ProbeResult(hits > 0, text, float(hits), services=() if hits else self._profile.services)


class LagProbe(_OfStore):
    """A log: the number of records that the slowest consumer group has yet to read."""

    kind = ProbeKind.LAG

    def ask(self) -> ProbeResult:
        """Ask the log for its end, and for the positions of the profile's groups."""
        name = self.id.store
        with self._held.opened() as content:
            lags = content.lags()
        if not lags:
            groups = ", ".join(self._profile.consumers) or f"stores.{name}.groups in the profile"
            raise Unverifiable(
                what=f"consumer groups of {name}",
                expected=f"offsets of {groups}",
                observed="none",
                source=f"logs of {name}",
                hint="name the groups in the profile; one has offsets only when it has read something",
            )
        group, most = max(lags.items(), key=lambda one: one[1])
        ok = most < self._severity.non_critical.lag.limit
        services = () if ok else self._profile.services
        return ProbeResult(ok, f"{group} is {most:,} behind", float(most), services=services)
