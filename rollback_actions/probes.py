"""What the monitor asks of a target at each beat: small questions, none of which changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fixtures.engines.factory import open_engine
from fixtures.errors import Mismatch, Problem, Unverifiable, listed
from fixtures.http import Request, fetch
from fixtures.stores.factory import open_view
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.engines.engine import Container, ContainerEngine
    from fixtures.host import Host
    from fixtures.stores.profiles import AnyStore
    from fixtures.stores.view import StoreView

STORE = "store "
"""How the name of a store's probe begins."""
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe has read: whether that is well, in words, and the figures behind it.

    `services` are those of the target that are in trouble.
    """

    ok: bool
    text: str
    value: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    services: tuple[str, ...] = ()


class Probe(Protocol):
    """One question. It is asked again only when it has answered; raises `Problem` when it cannot be known."""

    name: str
    deadline: float

    def ask(self) -> Reading:
        """Ask, and return the answer within about `deadline` seconds."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class _Unheld:
    """A probe that holds nothing between two questions."""

    def close(self) -> None:
        """Do nothing."""


class HealthProbe(_Unheld):
    """The health endpoint: a status of success, the right words, and how long that takes."""

    name = "health"

    def __init__(self, target: Target, deadline: float) -> None:
        """Ask nothing yet."""
        application = target.application
        self.deadline = deadline
        self._expected = application.health.expect
        base = str(application.url).rstrip("/")
        self._request = Request("GET", f"{base}{application.api}{application.health.path}")

    def ask(self) -> Reading:
        """Ask it."""
        answer = fetch(self._request, self.deadline)
        body = answer.body if isinstance(answer.body, dict) else {}
        said = {key: body.get(key) for key in self._expected}
        words = ", ".join(f"{key} {value}" for key, value in said.items())
        ok = answer.status in _OK and said == self._expected
        return Reading(
            ok,
            f"{answer.status} {words}, {answer.milliseconds:.0f} ms".replace(" ,", ","),
            answer.milliseconds,
        )


class PageProbe(_Unheld):
    """The frontend's first page, as a user loads it."""

    name = "page"

    def __init__(self, target: Target, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._request = Request("GET", f"{str(target.application.url).rstrip('/')}/")

    def ask(self) -> Reading:
        """Load it."""
        answer = fetch(self._request, self.deadline)
        text = f"{answer.status}, {answer.milliseconds:.0f} ms"
        return Reading(answer.status in _OK, text, answer.milliseconds)


class ContainersProbe(_Unheld):
    """The containers: all there, running and healthy, none of them restarting."""

    name = "containers"

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._services = target.services
        self._engine = engine

    def ask(self) -> Reading:
        """Look at all of them."""
        there = self._engine.containers()
        missing = [f"{service} has none" for service in self._services if not there.get(service)]
        every = [container for found in there.values() for container in found]
        unwell = [f"{c.name} {_state(c)}" for c in every if not _well(c)]
        if wrong := [*missing, *unwell]:
            return Reading(ok=False, text=listed(wrong), value=float(len(wrong)))
        return Reading(ok=True, text=f"{len(every)} run", value=0.0)


def _well(container: Container) -> bool:
    healthy = container.health in {None, "healthy"}
    return container.running and container.status == "running" and healthy and not container.restarting


def _state(container: Container) -> str:
    return container.status if container.status != "running" else f"{container.health}"


class MemoryProbe(_Unheld):
    """The memory of the container that uses most of its limit."""

    name = "memory"

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._limit = target.limits.memory_percent
        self._engine = engine

    def ask(self) -> Reading:
        """Look at all that run."""
        usages = self._engine.usage()
        if not usages:
            return Reading(ok=False, text="no container runs")
        highest = max(usage.memory_percent for usage in usages.values())
        return Reading(highest < self._limit, f"highest {highest:.1f} % of a limit", highest)


class DiskProbe(_Unheld):
    """The space that is free on this host, and where the engine keeps its data."""

    name = "disk"

    def __init__(self, target: Target, engine: ContainerEngine, host: Host, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._limit = target.limits.disk_free_percent
        self._engine = engine
        self._host = host
        self._paths: Sequence[str] = ()

    def ask(self) -> Reading:
        """Look at both; where they are is asked once."""
        self._paths = self._paths or tuple(dict.fromkeys(("/", self._engine.data_root() or "/")))
        systems = [self._host.file_system(path) for path in self._paths]
        least = min(systems, key=lambda system: system.free_percent)
        text = f"{least.free_percent:.1f} % free on {least.path}"
        return Reading(least.free_percent > self._limit, text, least.free_percent)


class StoreProbe:
    """A store: one query that touches real data, over a connection that stays open while it answers."""

    def __init__(self, name: str, profile: AnyStore, engine: ContainerEngine, deadline: float) -> None:
        """Connect to nothing yet."""
        self.name = f"{STORE}{name}"
        self.deadline = deadline
        self._store = name
        self._profile = profile.model_copy(
            update={"deadline_seconds": min(deadline, profile.deadline_seconds)}
        )
        self._engine = engine
        self._view: StoreView | None = None

    def ask(self) -> Reading:
        """Ask it; after a failure the next question looks for it anew, where it may be by then."""
        try:
            if self._view is None:
                self._view = open_view(self._store, self._profile, self._engine)
            answer = self._view.ask()
        except (Mismatch, Problem):
            self.close()
            raise
        return Reading(ok=True, text=f"{answer.query}: {answer.records}", value=float(answer.records))

    def close(self) -> None:
        """Close the connection."""
        view, self._view = self._view, None
        if view is not None:
            view.close()


class Answering:
    """A probe of what must answer: one that cannot be reached is down, which is known, and not unknown.

    No answer until the deadline says nothing, as with every probe.
    """

    def __init__(self, probe: Probe, clock: Callable[[], float]) -> None:
        """Ask `probe`."""
        self.name = probe.name
        self.deadline = probe.deadline
        self._probe = probe
        self._clock = clock

    def ask(self) -> Reading:
        """Ask it."""
        started = self._clock()
        try:
            return self._probe.ask()
        except Unverifiable as problem:
            if self._clock() - started >= self.deadline * 0.9:
                raise
            return Reading(ok=False, text=problem.summary)

    def close(self) -> None:
        """Release what it holds."""
        self._probe.close()


def probes_of(target: Target, deadline: float, clock: Callable[[], float]) -> tuple[Probe, ...]:
    """Return the probes of `target`, each with `deadline` seconds, or fewer where the profile says so."""
    from fixtures.host import Host  # noqa: PLC0415 - only a monitor that runs needs it

    profile = target.engine.model_copy(
        update={"deadline_seconds": min(deadline, target.engine.deadline_seconds)}
    )
    engine = open_engine(profile)
    host = Host(max(1, math.floor(deadline)))
    web = min(deadline, target.application.deadline_seconds)
    stores = (StoreProbe(name, store, engine, deadline) for name, store in target.stores.items())
    return (
        Answering(HealthProbe(target, web), clock),
        ContainersProbe(target, engine, deadline),
        MemoryProbe(target, engine, deadline),
        *(Answering(store, clock) for store in stores),
        Answering(PageProbe(target, web), clock),
        DiskProbe(target, engine, host, deadline),
    )
