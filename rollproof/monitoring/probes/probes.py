"""The monitor's probes of a target at each beat: small, read-only questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from rollproof.engines.engine import EngineUnreached
from rollproof.engines.factory import open_engine
from rollproof.errors import Meaning, Mismatch, Unverifiable, listed
from rollproof.monitoring.probes.probe import FunctionOf, Probe, Reading, unreached_by
from rollproof.monitoring.probes.record_probe import RecordsProbe
from rollproof.monitoring.probes.request_probe import LogProbe
from rollproof.monitoring.probes.store_probes import ConnectionsProbe, LagProbe, StoreProbe, VectorProbe
from rollproof.monitoring.probes.web_probes import CurrentUsual, health_now, page_now
from rollproof.monitoring.samples import ProbeKind
from rollproof.profile.kinds import has_trait
from rollproof.profile.profile import Target
from rollproof.profile.store_descriptor import Trait
from rollproof.stores.reach import target_for_readers

if TYPE_CHECKING:
    from rollproof.engines.engine import Container, ContainerEngine
    from rollproof.engines.host import Host


def containers_now(target: Target, engine: ContainerEngine) -> Reading:
    """Check every container: each service has one, all run, are healthy and not restarting.

    One of a service that the profile does not name may have done what it was for, and ended.
    """
    there = engine.containers()
    every = [container for found in there.values() for container in found]
    done = [one for one in every if one.completed and one.service not in target.services]
    wrong = [(service, f"{service} has none") for service in target.services if not there.get(service)]
    wrong += [
        (one.service, f"{one.name} {one.status if one.status != 'running' else one.health}")
        for one in every
        if not _well(one) and one not in done
    ]
    if wrong:
        text = listed([said for _, said in wrong])
        return Reading(False, text, float(len(wrong)), services=tuple(dict(wrong)))
    text = f"{len(every) - len(done)} run" + (f", {len(done)} completed" if done else "")
    return Reading(True, text, 0.0)


def _well(container: Container) -> bool:
    runs = container.running and container.status == "running" and not container.restarting
    return runs and container.healthy


def memory_now(target: Target, engine: ContainerEngine) -> Reading:
    """Return the memory use of the container nearest to its limit."""
    usages = engine.usage()
    if not usages:
        return Reading(ok=False, text="no container runs")
    container, usage = max(usages.items(), key=lambda used: used[1].memory_percent)
    text = f"highest {usage.memory_percent:.1f} % of a limit"
    if usage.memory_percent < target.limits.memory_percent:
        return Reading(ok=True, text=text, value=usage.memory_percent)
    # Only now the container's service is needed; to learn it takes another question.
    services: list[str] = []
    with suppress(Unverifiable):  # what is known is said all the same
        there = engine.containers().items()
        services = [service for service, found in there if any(one.id == container for one in found)]
    of = f", {listed(services)}" if services else ""
    return Reading(False, f"{text}{of}", usage.memory_percent, services=tuple(services))


def disk_now(limit: float, host: Host, data_root: Callable[[], str | None]) -> Reading:
    """Check the free space on this host's root and in the engine's data folder."""
    systems = [host.file_system(path) for path in dict.fromkeys(("/", data_root() or "/"))]
    least = min(systems, key=lambda system: system.free_percent)
    text = f"{least.free_percent:.1f} % free on {least.path}"
    return Reading(least.free_percent > limit, text, least.free_percent)


class Answering(Probe):
    """A probe of a service that must answer: if unreachable it is down, rather than unknown.

    As with every probe, no answer until the deadline leaves the state unknown. So does an engine that does
    not tell where the service is.
    """

    def __init__(self, probe: Probe, services: tuple[str, ...] = ()) -> None:
        """Ask `probe` of `services`, which are in trouble when it does not answer, or answers wrongly."""
        self.id = probe.id
        self._probe = probe
        self._services = services

    def ask(self) -> Reading:
        """Ask the probe; turn a failure other than a timeout into a bad reading."""
        try:
            reading = self._probe.ask()
        except Mismatch as wrong:
            return Reading(ok=False, text=wrong.summary, services=self._services)
        except Unverifiable as problem:
            if isinstance(problem, EngineUnreached) or problem.means is Meaning.TIMEOUT:
                raise
            unreached = unreached_by(problem, self.id.kind)
            return Reading(ok=False, text=problem.summary, services=self._services, unreached=unreached)
        return reading if reading.ok or reading.services else replace(reading, services=self._services)

    def close(self) -> None:
        """Release the probe's connections."""
        self._probe.close()


_BY_TRAIT: Mapping[Trait, Callable[[str, Target, ContainerEngine, float], Probe]] = {
    Trait.CONNECTIONS: ConnectionsProbe,
    Trait.LOG: LagProbe,
    Trait.VECTORS: VectorProbe,
}


def probes_of(target: Target, deadline: float) -> Iterator[Probe]:
    """Yield the probes of `target`, each with `deadline` seconds, or fewer if the profile says so."""
    from rollproof.engines.host import Host  # noqa: PLC0415 - only a monitor that runs needs it
    from rollproof.monitoring.probes.function_probe import FunctionProbe  # noqa: PLC0415 - few profiles want it

    target = target_for_readers(target)
    application, seconds = target.application, min(deadline, target.engine.deadline_seconds)
    engine = open_engine(target.engine.model_copy(update={"deadline_seconds": seconds}))
    host = Host(max(1, math.floor(deadline)))
    web, usual = min(deadline, application.deadline_seconds), CurrentUsual(target)

    yield Answering(FunctionOf(ProbeKind.HEALTH, lambda: health_now(application, web, usual.known())))
    yield LogProbe(application.requests, target.severity.non_critical.errors.limit, engine)
    yield RecordsProbe(target, engine, deadline, usual)
    yield FunctionOf(ProbeKind.CONTAINERS, partial(containers_now, target, engine))
    yield FunctionOf(ProbeKind.MEMORY, partial(memory_now, target, engine))
    for name, store in target.stores.items():
        yield Answering(StoreProbe(name, target, engine, deadline), store.services)
        for trait, probe in _BY_TRAIT.items():
            if has_trait(store.kind, trait):
                yield probe(name, target, engine, deadline)
    if application.function is not None:
        yield FunctionProbe(target, application.function, engine, deadline)
    yield Answering(FunctionOf(ProbeKind.PAGE, lambda: page_now(application, web, usual.known())))
    limit = target.limits.disk_free_percent
    yield FunctionOf(ProbeKind.DISK, partial(disk_now, limit, host, cache(engine.data_root)))
