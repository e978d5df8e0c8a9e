"""What the monitor asks of a target at each beat: small questions, none of which changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from fixtures.engines.factory import open_engine
from fixtures.errors import Mismatch, Unverifiable, listed
from fixtures.severity import CONTAINERS, DISK, MEMORY, STORE
from fixtures.stores.profiles import KafkaProfile, MilvusProfile, QdrantProfile, WatchedProfile
from fixtures.target import Target
from rollback_actions.held_view import HeldView
from rollback_actions.reading import Probe, Reading, Unheld
from rollback_actions.record_probe import RecordsProbe
from rollback_actions.request_probe import open_requests
from rollback_actions.store_probes import ConnectionsProbe, LagProbe, VectorProbe
from rollback_actions.usual import CurrentUsual
from rollback_actions.web_probes import HealthProbe, PageProbe

if TYPE_CHECKING:
    from fixtures.engines.engine import Container, ContainerEngine
    from fixtures.host import Host
    from fixtures.stores.profiles import AnyStore


class ContainersProbe(Unheld):
    """The containers: all there, running and healthy, none of them restarting."""

    name = CONTAINERS

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._services = target.services
        self._engine = engine

    def ask(self) -> Reading:
        """Look at all of them."""
        there = self._engine.containers()
        missing = {service: f"{service} has none" for service in self._services if not there.get(service)}
        every = [container for found in there.values() for container in found]
        unwell = [c for c in every if not _well(c)]
        if wrong := [*missing.values(), *(f"{c.name} {_state(c)}" for c in unwell)]:
            services = dict.fromkeys([*missing, *(c.service for c in unwell)])
            return Reading(ok=False, text=listed(wrong), value=float(len(wrong)), services=tuple(services))
        return Reading(ok=True, text=f"{len(every)} run", value=0.0)


def _well(container: Container) -> bool:
    healthy = container.health in {None, "healthy"}
    return container.running and container.status == "running" and healthy and not container.restarting


def _state(container: Container) -> str:
    return container.status if container.status != "running" else f"{container.health}"


class MemoryProbe(Unheld):
    """The memory of the container that uses most of its limit."""

    name = MEMORY

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
        container, usage = max(usages.items(), key=lambda used: used[1].memory_percent)
        highest = usage.memory_percent
        text = f"highest {highest:.1f} % of a limit"
        if highest < self._limit:
            return Reading(ok=True, text=text, value=highest)
        # Whose it is takes a question of its own, which is asked only now.
        services: list[str] = []
        with suppress(Unverifiable):  # what is known is said all the same
            there = self._engine.containers().items()
            services = [service for service, found in there if any(one.id == container for one in found)]
        of = f", {listed(services)}" if services else ""
        return Reading(ok=False, text=f"{text}{of}", value=highest, services=tuple(services))


class DiskProbe(Unheld):
    """The space that is free on this host, and where the engine keeps its data."""

    name = DISK

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
        self._held = HeldView(name, profile, engine, deadline)

    def ask(self) -> Reading:
        """Ask it."""
        with self._held.opened() as view:
            answer = view.ask()
        return Reading(ok=True, text=f"{answer.query}: {answer.records}", value=float(answer.records))

    def close(self) -> None:
        """Close the connection."""
        self._held.close()


class Answering:
    """A probe of what must answer: one that cannot be reached is down, which is known, and not unknown.

    No answer until the deadline says nothing, as with every probe.
    """

    def __init__(self, probe: Probe, clock: Callable[[], float], services: tuple[str, ...] = ()) -> None:
        """Ask `probe` of `services`, which are in trouble when it does not answer, or answers wrongly."""
        self.name = probe.name
        self.deadline = probe.deadline
        self._probe = probe
        self._clock = clock
        self._services = services

    def ask(self) -> Reading:
        """Ask it."""
        started = self._clock()
        try:
            reading = self._probe.ask()
        except Mismatch as wrong:
            return Reading(ok=False, text=str(wrong).splitlines()[0], services=self._services)
        except Unverifiable as problem:
            if self._clock() - started >= self.deadline * 0.9:
                raise
            return Reading(ok=False, text=problem.summary, services=self._services)
        if reading.ok or reading.services:
            return reading
        return replace(reading, services=self._services)

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
    usual = CurrentUsual(target)
    stores = (
        Answering(StoreProbe(name, store, engine, deadline), clock, store.services)
        for name, store in target.stores.items()
    )
    return (
        Answering(HealthProbe(target, web, usual.milliseconds), clock),
        open_requests(target, engine, deadline),
        RecordsProbe(target, engine, deadline, usual),
        ContainersProbe(target, engine, deadline),
        MemoryProbe(target, engine, deadline),
        *stores,
        *_of_stores(target, engine, deadline),
        Answering(PageProbe(target, web, usual.milliseconds), clock),
        DiskProbe(target, engine, host, deadline),
    )


def _of_stores(target: Target, engine: ContainerEngine, deadline: float) -> Iterator[Probe]:
    """Yield the probes that a target has only where it has a store of the kind."""
    stores = target.stores
    if watched := [name for name, store in stores.items() if isinstance(store, WatchedProfile)]:
        yield ConnectionsProbe(target, watched, engine, deadline)
    if logs := [name for name, store in stores.items() if isinstance(store, KafkaProfile)]:
        yield LagProbe(target, logs, engine, deadline)
    for name, store in stores.items():
        if isinstance(store, MilvusProfile | QdrantProfile):
            yield VectorProbe(name, store, engine, deadline)
