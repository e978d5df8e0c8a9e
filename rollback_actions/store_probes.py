"""What only some stores have: connections that run out, groups that fall behind, vectors to search for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from fixtures.errors import Mismatch, Problem, Unverifiable
from fixtures.severity import CONNECTIONS, LAG, VECTORS
from fixtures.stores.content import LaggingContent
from fixtures.stores.view import ConnectionsView, StoreView, Untold, VectorView
from fixtures.target import Target
from rollback_actions.held_view import HeldContent, HeldView
from rollback_actions.reading import Reading
from rollback_actions.side_by_side import Question, wait_for

if TYPE_CHECKING:
    from fixtures.engines.engine import ContainerEngine
    from fixtures.stores.content import ContentView
    from fixtures.stores.profiles import AnyStore

# By this part of the deadline what the stores have told is said.
TOLD = 0.8


class ConnectionsProbe:
    """The connections to the databases: how near the nearest one is to having none left."""

    name = CONNECTIONS

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        """Connect to nothing yet. Its own connection is kept: a server that is full takes no new one."""
        self.deadline = deadline
        self._limit = target.severity.critical.connections.limit
        self._held = {name: HeldView(name, target.stores[name], engine, deadline) for name in stores}
        self._questions = {
            name: Question(f"connections of {name}", partial(_connections, held))
            for name, held in self._held.items()
        }

    def ask(self) -> Reading:
        """Ask all of them side by side; one that does not tell this account is left out, and named."""
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
                untold.append(f"{name} does not tell without {problem.expected}")
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
    """The logs: how many records the consumer group that is furthest behind has yet to read."""

    name = LAG

    def __init__(
        self, target: Target, stores: Sequence[str], engine: ContainerEngine, deadline: float
    ) -> None:
        """Connect to nothing yet."""
        self.deadline = deadline
        self._limit = target.severity.non_critical.lag.limit
        self._held = {name: HeldContent(name, target.stores[name], engine, deadline) for name in stores}
        self._groups = {name: getattr(target.stores[name], "groups", ()) for name in stores}

    def ask(self) -> Reading:
        """Ask each log where it ends, and how far each of the profile's groups has read it."""
        found = {
            (store, group): behind for store in self._held for group, behind in self._lags(store).items()
        }
        (store, group), most = max(found.items(), key=lambda one: one[1])
        ok = most < self._limit
        services = () if ok else self._held[store].services
        return Reading(ok, f"{group} of {store} is {most:,} behind", float(most), services=services)

    def close(self) -> None:
        """Close what is open."""
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
                    source=f"topics of {store}",
                    hint="name the groups in the profile; one that has read nothing yet has no offsets",
                )
        return lags


class VectorProbe:
    """A store of vectors: a search for a vector that is in it, which must find something.

    No answer is no answer, however soon it did not come: searches that have none are counted.
    """

    def __init__(self, name: str, profile: AnyStore, engine: ContainerEngine, deadline: float) -> None:
        """Connect to nothing yet."""
        self.name = f"{VECTORS}{name}"
        self.deadline = deadline
        self._services = profile.services
        self._held = HeldView(name, profile, engine, deadline)
        self._collection: str | None = None

    def ask(self) -> Reading:
        """Search in the first collection that holds a vector; which one that is, is asked once."""
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
                hint="without a vector nothing can be searched for: was the collection emptied?",
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
