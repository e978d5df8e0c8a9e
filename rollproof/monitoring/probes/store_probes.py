"""Probes of stores: whether each answers, connections, groups that fall behind, vector searches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.monitoring.probes.held_view import HeldContent, HeldView
from rollproof.monitoring.probes.probe import COLLECTED, Probe, Reading
from rollproof.monitoring.samples import ProbeId, ProbeKind
from rollproof.profile.profile import Target
from rollproof.stores.contract import ConnectionsView, LaggingContent, Untold, VectorView
from rollproof.system.side_by_side import Question, wait_for

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.sections import StoreProfile


class StoreProbe(Probe):
    """A store: one query that touches real data, over a connection that stays open while it answers."""

    def __init__(self, name: str, profile: StoreProfile, engine: ContainerEngine, deadline: float) -> None:
        self.id = ProbeId(ProbeKind.STORE, name)
        self._held = HeldView(name, profile, engine, deadline)

    def ask(self) -> Reading:
        """Run the query."""
        with self._held.opened() as view:
            answer = view.ask()
        return Reading(ok=True, text=f"{answer.query}: {answer.records}", value=float(answer.records))

    def close(self) -> None:
        """Close the connection."""
        self._held.close()


class ConnectionsProbe(Probe):
    """Connections to databases: the share in use at the database nearest to its limit."""

    id = ProbeId(ProbeKind.CONNECTIONS)

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        """Connect to nothing yet. The probe keeps its own connection: a full server takes no new one."""
        self._seconds = COLLECTED * deadline
        self._limit = target.severity.critical.connections.limit
        self._held = {name: HeldView(name, target.stores[name], engine, deadline) for name in stores}
        self._questions = {
            name: Question(f"connections of {name}", partial(_connections, held))
            for name, held in self._held.items()
        }

    def ask(self) -> Reading:
        """Ask all stores side by side; a store that withholds its numbers from this account is only named."""
        for question in self._questions.values():
            question.start()
        wait_for(self._questions.values(), self._seconds)
        found, untold, unknown = dict[str, tuple[int, int]](), list[str](), list[str]()
        for name, question in self._questions.items():
            try:
                if question.waiting:
                    raise question.unanswered(f"none after {self._seconds:g} s")
                found[name] = question.answer()
            except Untold as problem:
                untold.append(f"{name} tells only with {problem.expected}")
            except Problem as problem:
                unknown.append(problem.summary)
        percents = {name: 100 * used / most if most > 0 else 0.0 for name, (used, most) in found.items()}
        full = [name for name, percent in percents.items() if percent >= self._limit]
        if (unknown and not full) or not found:
            raise Unverifiable(
                what="connections",
                expected=f"numbers of {len(self._held)} stores",
                observed="; ".join([*unknown, *untold]),
                source="the stores",
                hint="a store whose numbers are not known may be full: see why it does not tell",
            )
        name = max(percents, key=lambda one: percents[one])
        used, most = found[name]
        said = f"{name} has most of its connections in use, {used} of {most} ({percents[name]:.1f} %)"
        services = [service for one in full for service in self._held[one].services]
        text = "; ".join([said, *untold, *unknown])
        return Reading(not full, text, percents[name], percents, tuple(services))

    def close(self) -> None:
        """Close the connections that are not in use."""
        for name, held in self._held.items():
            if not self._questions[name].waiting:
                held.close()


def _connections(held: HeldView) -> tuple[int, int]:
    with held.opened() as view:
        return cast("ConnectionsView", view).connections()


class LagProbe(Probe):
    """Logs: the number of records that the slowest consumer group has yet to read."""

    id = ProbeId(ProbeKind.LAG)

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        self._limit = target.severity.non_critical.lag.limit
        self._held = {name: HeldContent(name, target.stores[name], engine, deadline) for name in stores}
        self._groups = {name: target.stores[name].consumers for name in stores}

    def ask(self) -> Reading:
        """Ask each log for its end, and for the positions of the profile's groups."""
        found = dict[tuple[str, str], int]()
        for store, held in self._held.items():
            with held.opened() as content:
                lags = cast("LaggingContent", content).lags()
            if not lags:
                groups = ", ".join(self._groups[store]) or f"stores.{store}.groups in the profile"
                raise Unverifiable(
                    what=f"consumer groups of {store}",
                    expected=f"offsets of {groups}",
                    observed="none",
                    source=f"logs of {store}",
                    hint="name the groups in the profile; one has offsets only when it has read something",
                )
            found |= {(store, group): behind for group, behind in lags.items()}
        (store, group), most = max(found.items(), key=lambda one: one[1])
        services = () if most < self._limit else self._held[store].services
        text = f"{group} of {store} is {most:,} behind"
        return Reading(most < self._limit, text, float(most), services=services)

    def close(self) -> None:
        """Close the open connections."""
        for held in self._held.values():
            held.close()


class VectorProbe(Probe):
    """A store of vectors: a search for a stored vector, which must find something.

    A failed search stays unanswered, even if it fails quickly: unanswered searches are counted.
    """

    def __init__(self, name: str, profile: StoreProfile, engine: ContainerEngine, deadline: float) -> None:
        self.id = ProbeId(ProbeKind.VECTORS, name)
        self._held = HeldView(name, profile, engine, deadline)
        self._collection: str | None = None

    def ask(self) -> Reading:
        """Search the first collection with records, which is determined once, and again after a failure."""
        try:
            with self._held.opened() as view:
                if self._collection is None:
                    self._collection = view.ask().collection
                search = cast("VectorView", view).search(self._collection)
            if search is None:
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
        hits = len(search.hits)
        text = f"{hits} hits in {self._collection}"
        return Reading(hits > 0, text, float(hits), services=() if hits else self._held.services)

    def close(self) -> None:
        """Close the connection."""
        self._held.close()
