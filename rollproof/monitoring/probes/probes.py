"""The monitor's probes of a target at each beat: small, read-only questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rollproof.engines.engine import HEALTHY, EngineUnreached
from rollproof.engines.factory import open_engine
from rollproof.errors import Mismatch, Unverifiable, listed
from rollproof.monitoring.probes.held_view import HeldView
from rollproof.monitoring.probes.probe import Probe, Reading, Unheld, unreached_by
from rollproof.monitoring.probes.record_probe import RecordsProbe
from rollproof.monitoring.probes.request_probe import open_requests
from rollproof.monitoring.probes.store_probes import ConnectionsProbe, LagProbe, VectorProbe
from rollproof.monitoring.probes.usual import CurrentUsual
from rollproof.monitoring.probes.web_probes import HealthProbe, PageProbe
from rollproof.monitoring.samples import PASSING, ProbeId, ProbeKind
from rollproof.profile.kinds import has_trait
from rollproof.profile.profile import Target
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.reach import target_for_readers

if TYPE_CHECKING:
    from rollproof.engines.engine import Container, ContainerEngine
    from rollproof.engines.host import Host
    from rollproof.profile.sections import StoreProfile


class ContainersProbe(Unheld):
    """The containers: each service has one, all run, are healthy and not restarting.

    One of a service that the profile does not name may have done what it was for, and ended.
    """

    id = ProbeId(ProbeKind.CONTAINERS)

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._services = target.services
        self._engine = engine
        application = target.application
        front = [
            one.service for one in (application.maintenance, application.requests) if one and one.service
        ]
        self._front = front or application.services

    def ask(self) -> Reading:
        """Check every container."""
        there = self._engine.containers()
        missing = {service: f"{service} has none" for service in self._services if not there.get(service)}
        every = [container for found in there.values() for container in found]
        unwell = [c for c in every if not _well(c) and not self._done(c)]
        if wrong := [*missing.values(), *(f"{c.name} {_state(c)}" for c in unwell)]:
            services = dict.fromkeys([*missing, *(c.service for c in unwell)])
            return Reading(ok=False, text=listed(wrong), value=float(len(wrong)), services=tuple(services))
        done = sum(self._done(c) for c in every)
        text = f"{len(every) - done} run" + (f", {done} completed" if done else "")
        passing = all(one.health == HEALTHY for service in self._front for one in there[service])
        return Reading(ok=True, text=text, value=0.0, figures={PASSING: float(passing)})

    def _done(self, container: Container) -> bool:
        return container.completed and container.service not in self._services


def _well(container: Container) -> bool:
    runs = container.running and container.status == "running" and not container.restarting
    return runs and container.healthy


def _state(container: Container) -> str:
    return container.status if container.status != "running" else f"{container.health}"


class MemoryProbe(Unheld):
    """The memory use of the container nearest to its limit."""

    id = ProbeId(ProbeKind.MEMORY)

    def __init__(self, target: Target, engine: ContainerEngine, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._limit = target.limits.memory_percent
        self._engine = engine

    def ask(self) -> Reading:
        """Compare the usage of all running containers."""
        usages = self._engine.usage()
        if not usages:
            return Reading(ok=False, text="no container runs")
        container, usage = max(usages.items(), key=lambda used: used[1].memory_percent)
        highest = usage.memory_percent
        text = f"highest {highest:.1f} % of a limit"
        if highest < self._limit:
            return Reading(ok=True, text=text, value=highest)
        # Only now the container's service is needed; to learn it takes another question.
        services: list[str] = []
        with suppress(Unverifiable):  # what is known is said all the same
            there = self._engine.containers().items()
            services = [service for service, found in there if any(one.id == container for one in found)]
        of = f", {listed(services)}" if services else ""
        return Reading(ok=False, text=f"{text}{of}", value=highest, services=tuple(services))


class DiskProbe(Unheld):
    """The free space on this host's root and in the engine's data folder."""

    id = ProbeId(ProbeKind.DISK)

    def __init__(self, target: Target, engine: ContainerEngine, host: Host, deadline: float) -> None:
        """Ask nothing yet."""
        self.deadline = deadline
        self._limit = target.limits.disk_free_percent
        self._engine = engine
        self._host = host
        self._paths: Sequence[str] = ()

    def ask(self) -> Reading:
        """Check both; their paths are asked for once."""
        self._paths = self._paths or tuple(dict.fromkeys(("/", self._engine.data_root() or "/")))
        systems = [self._host.file_system(path) for path in self._paths]
        least = min(systems, key=lambda system: system.free_percent)
        text = f"{least.free_percent:.1f} % free on {least.path}"
        return Reading(least.free_percent > self._limit, text, least.free_percent)


class StoreProbe:
    """A store: one query that touches real data, over a connection that stays open while it answers."""

    def __init__(self, name: str, profile: StoreProfile, engine: ContainerEngine, deadline: float) -> None:
        """Connect to nothing yet."""
        self.id = ProbeId(ProbeKind.STORE, name)
        self.deadline = deadline
        self._held = HeldView(name, profile, engine, deadline)

    def ask(self) -> Reading:
        """Run the query."""
        with self._held.opened() as view:
            answer = view.ask()
        return Reading(ok=True, text=f"{answer.query}: {answer.records}", value=float(answer.records))

    def close(self) -> None:
        """Close the connection."""
        self._held.close()


class Answering:
    """A probe of a service that must answer: if unreachable it is down, rather than unknown.

    As with every probe, no answer until the deadline leaves the state unknown. So does an engine that does
    not tell where the service is.
    """

    def __init__(self, probe: Probe, clock: Callable[[], float], services: tuple[str, ...] = ()) -> None:
        """Ask `probe` of `services`, which are in trouble when it does not answer, or answers wrongly."""
        self.id = probe.id
        self.deadline = probe.deadline
        self._probe = probe
        self._clock = clock
        self._services = services

    def ask(self) -> Reading:
        """Ask the probe; turn a quick failure into a bad reading."""
        started = self._clock()
        try:
            reading = self._probe.ask()
        except Mismatch as wrong:
            return Reading(ok=False, text=wrong.summary, services=self._services)
        except EngineUnreached:
            raise
        except Unverifiable as problem:
            if self._clock() - started >= self.deadline * 0.9:
                raise
            unreached = unreached_by(problem, self.id.kind)
            return Reading(ok=False, text=problem.summary, services=self._services, unreached=unreached)
        if reading.ok or reading.services:
            return reading
        return replace(reading, services=self._services)

    def close(self) -> None:
        """Release the probe's connections."""
        self._probe.close()


def probes_of(target: Target, deadline: float, clock: Callable[[], float]) -> tuple[Probe, ...]:
    """Return the probes of `target`, each with `deadline` seconds, or fewer if the profile says so."""
    from rollproof.engines.host import Host  # noqa: PLC0415 - only a monitor that runs needs it

    target = target_for_readers(target)
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
        *_of_function(target, engine, deadline, clock),
        Answering(PageProbe(target, web, usual.milliseconds, usual.page_status), clock),
        DiskProbe(target, engine, host, deadline),
    )


def _of_function(
    target: Target, engine: ContainerEngine, deadline: float, clock: Callable[[], float]
) -> Iterator[Probe]:
    """Yield the probe of the function, if the profile wants one."""
    from rollproof.monitoring.probes.function_probe import FunctionProbe  # noqa: PLC0415 - few profiles want it

    if target.application.function is not None:
        yield FunctionProbe(target, target.application.function, engine, deadline, clock)


def _of_stores(target: Target, engine: ContainerEngine, deadline: float) -> Iterator[Probe]:
    """Yield the probes that depend on the target's kinds of store."""

    def having(trait: Trait) -> list[str]:
        return [name for name, store in target.stores.items() if has_trait(store.kind, trait)]

    if told := having(Trait.CONNECTIONS):
        yield ConnectionsProbe(target, told, engine, deadline)
    if logs := having(Trait.LOG):
        yield LagProbe(target, logs, engine, deadline)
    for name in having(Trait.VECTORS):
        yield VectorProbe(name, target.stores[name], engine, deadline)
