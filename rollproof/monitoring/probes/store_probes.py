"""Probes for some kinds of store: connections that run out, groups that fall behind, vector searches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.monitoring.probes.held_view import HeldContent, HeldView
from rollproof.monitoring.probes.probe import Reading
from rollproof.monitoring.samples import ProbeId, ProbeKind
from rollproof.profile.profile import Target
from rollproof.stores.contract import ConnectionsView, LaggingContent, StoreView, Untold, VectorView
from rollproof.system.side_by_side import Question, wait_for

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine
    from rollproof.profile.sections import StoreProfile
    from rollproof.stores.contract import ContentView

# At this part of the deadline the stores' answers so far are reported.
TOLD = 0.8


class ConnectionsProbe:
    """Connections to databases: the share in use at the database nearest to its limit."""

    id = ProbeId(ProbeKind.CONNECTIONS)

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        """Connect to nothing yet. The probe keeps its own connection: a full server takes no new one."""
        self.deadline = deadline
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
        wait_for(self._questions.values(), TOLD * self.deadline)
        told, untold, unknown = dict[str, tuple[int, int]](), list[str](), list[str]()
        for name, question in self._questions.items():
            try:
                if question.waiting:
                    raise question.unanswered(f"none after {TOLD * self.deadline:g} s")
                told[name] = question.answer()
            except Untold as problem:
                untold.append(f"{name} tells only with {problem.expected}")
            except Problem as problem:
                unknown.append(problem.summary)
        percents = {name: _percent(*told[name]) for name in told}
        full = [name for name, percent in percents.items() if percent >= self._limit]
        if (unknown and not full) or not told:
            raise Unverifiable(
                what="connections",
                expected=f"numbers of {len(self._held)} stores",
                observed="; ".join([*unknown, *untold]),
                source="the stores",
                hint="a store whose numbers are not known may be full: see why it does not tell",
            )
        name = max(percents, key=lambda one: percents[one])
        used, allowed = told[name]
        said = f"{name} has most of its connections in use, {used} of {allowed} ({percents[name]:.1f} %)"
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
        if not isinstance(view, ConnectionsView):
            raise _cannot(view, "connections")
        return view.connections()


def _percent(used: int, allowed: int) -> float:
    return 100 * used / allowed if allowed > 0 else 0.0


class LagProbe:
    """Logs: the number of records that the slowest consumer group has yet to read."""

    id = ProbeId(ProbeKind.LAG)

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        """Connect to nothing yet."""
        self.deadline = deadline
        self._limit = target.severity.non_critical.lag.limit
        self._held = {name: HeldContent(name, target.stores[name], engine, deadline) for name in stores}
        self._groups = {name: target.stores[name].consumers for name in stores}

    def ask(self) -> Reading:
        """Ask each log for its end, and for the positions of the profile's groups."""
        found = {
            (store, group): behind for store in self._held for group, behind in self._lags(store).items()
        }
        (store, group), most = max(found.items(), key=lambda one: one[1])
        ok = most < self._limit
        services = () if ok else self._held[store].services
        return Reading(ok, f"{group} of {store} is {most:,} behind", float(most), services=services)

    def close(self) -> None:
        """Close the open connections."""
        for held in self._held.values():
            held.close()

    def _lags(self, store: str) -> dict[str, int]:
        with self._held[store].opened() as content:
            if not isinstance(content, LaggingContent):
                raise _cannot(content, "lags")
            lags = dict(content.lags())
            if not lags:
                groups = ", ".join(self._groups[store]) or f"stores.{store}.groups in the profile"
                raise Unverifiable(
                    what=f"consumer groups of {store}",
                    expected=f"offsets of {groups}",
                    observed="none",
                    source=f"logs of {store}",
                    hint="name the groups in the profile; one has offsets only when it has read something",
                )
        return lags


class VectorProbe:
    """A store of vectors: a search for a stored vector, which must find something.

    A failed search stays unanswered, even if it fails quickly: unanswered searches are counted.
    """

    def __init__(self, name: str, profile: StoreProfile, engine: ContainerEngine, deadline: float) -> None:
        """Connect to nothing yet."""
        self.id = ProbeId(ProbeKind.VECTORS, name)
        self.deadline = deadline
        self._services = profile.services
        self._held = HeldView(name, profile, engine, deadline)
        self._collection: str | None = None

    def ask(self) -> Reading:
        """Search the first collection with records, which is determined once, and again after a failure."""
        try:
            with self._held.opened() as view:
                return self._searched(view)
        except (Mismatch, Problem):
            self._collection = None
            raise

    def close(self) -> None:
        """Close the connection."""
        self._held.close()

    def _searched(self, view: StoreView) -> Reading:
        if not isinstance(view, VectorView):
            raise _cannot(view, "vectors")
        if self._collection is None:
            self._collection = view.ask().collection
        search = view.search(self._collection)
        if search is None:
            raise Unverifiable(
                what=f"vectors of {view.name}",
                expected=f"a vector in {self._collection}",
                observed="none",
                source=view.name,
                hint="only a vector can be searched for: was the collection emptied?",
            )
        hits = len(search.hits)
        text = f"{hits} hits in {self._collection}"
        return Reading(hits > 0, text, float(hits), services=() if hits else self._services)


def _cannot(reader: StoreView | ContentView, what: str) -> Unverifiable:
    return Unverifiable(
        what=f"{what} of {reader.name}",
        expected=f"a store that has {what}",
        observed=f"one of kind {reader.kind}",
        source="its reader",
        hint="this is a fault of the suite: report it with the profile",
    )
