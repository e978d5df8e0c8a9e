"""The monitor's probes of a target at each beat: small, read-only questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

from rollproof.engines.engine import open_engine
from rollproof.errors import listed
from rollproof.incident.samples import ProbeKind
from rollproof.monitoring.probes.application_probes import CurrentBaseline, LogProbe, health_now, page_now
from rollproof.monitoring.probes.probe import FunctionOf, Probe, ProbeResult
from rollproof.monitoring.probes.record_probe import RecordsProbe
from rollproof.monitoring.probes.store_probes import ConnectionsProbe, LagProbe, StoreProbe, VectorProbe
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.stores.reach import target_for_readers

if TYPE_CHECKING:
    from rollproof.engines.engine import Container, ContainerEngine
    from rollproof.engines.host import Host


def containers_now(target: Target, engine: ContainerEngine) -> ProbeResult:
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
        return ProbeResult(False, text, float(len(wrong)), services=tuple(dict(wrong)))
    text = f"{len(every) - len(done)} run" + (f", {len(done)} completed" if done else "")
    return ProbeResult(True, text, 0.0)


def _well(container: Container) -> bool:
    runs = container.running and container.status == "running" and not container.restarting
    return runs and container.healthy


def memory_now(target: Target, engine: ContainerEngine) -> ProbeResult:
    """Return the memory use of the container nearest to its limit."""
    usages = engine.usage()
    if not usages:
        return ProbeResult(ok=False, text="no container runs")
    usage = max(usages.values(), key=lambda used: used.memory_percent)
    text, percent = f"highest {usage.memory_percent:.1f} % of a limit", usage.memory_percent
    if percent < target.limits.memory_percent:
        return ProbeResult(True, text, percent)
    return ProbeResult(False, f"{text}, {usage.service}", percent, services=(usage.service,))


def disk_now(limit: float, host: Host, data_root: Callable[[], str | None]) -> ProbeResult:
    """Check the free space on this host's root and in the engine's data folder."""
    systems = [host.file_system(path) for path in dict.fromkeys(("/", data_root() or "/"))]
    least = min(systems, key=lambda system: system.free_percent)
    text = f"{least.free_percent:.1f} % free on {least.path}"
    return ProbeResult(least.free_percent > limit, text, least.free_percent)


def probes_of(target: Target, deadline: float) -> Iterator[Probe]:
    """Yield the probes of `target`, each with `deadline` seconds, or fewer if the profile says so."""
    from rollproof.engines.host import Host  # noqa: PLC0415 - only a monitor that runs needs it
    from rollproof.monitoring.probes.application_probes import FunctionProbe  # noqa: PLC0415 - few profiles want it

    target = target_for_readers(target)
    application, seconds = target.application, min(deadline, target.engine.deadline_seconds)
    engine = open_engine(target.engine.model_copy(update={"deadline_seconds": seconds}))
    host = Host(max(1, math.floor(deadline)))
    web, current = min(deadline, application.deadline_seconds), CurrentBaseline(target)

    yield FunctionOf(ProbeKind.HEALTH, lambda: health_now(application, web, current.facts()))
    yield LogProbe(application.requests, target.severity.non_critical.errors.limit, engine)
    yield RecordsProbe(target, engine, deadline, current)
    yield FunctionOf(ProbeKind.CONTAINERS, partial(containers_now, target, engine))
    yield FunctionOf(ProbeKind.MEMORY, partial(memory_now, target, engine))
    for name, store in target.stores.items():
        yield StoreProbe(name, target, engine, deadline)
        descriptor = descriptor_of(store)
        if descriptor.clients:
            yield ConnectionsProbe(name, target, engine, deadline)
        if descriptor.retain:
            yield LagProbe(name, target, engine, deadline)
        if descriptor.holds_vectors:
            yield VectorProbe(name, target, engine, deadline)
    if application.function is not None:
        yield FunctionProbe(target, application.function, engine, deadline)
    yield FunctionOf(ProbeKind.PAGE, lambda: page_now(application, web, current.facts()))
    limit = target.limits.disk_free_percent
    yield FunctionOf(ProbeKind.DISK, partial(disk_now, limit, host, cache(engine.data_root)))
