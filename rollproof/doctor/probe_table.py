"""The table of probes: all of them, and the part that a capture or the gate asks first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rollproof.doctor.examination import Need
from rollproof.doctor.kept_probes import kept
from rollproof.doctor.machine_probes import channels, programs, room
from rollproof.doctor.store_accounts import SHORT_SECONDS, accounts, addresses, readers
from rollproof.doctor.target_probes import target_probes
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.registry import LONG_SECONDS

_BEFORE_CAPTURE = frozenset({"questions", "project", "volumes", "services", "repository"})
_BEFORE_GATE = frozenset({"engine", "clock", "project", "volumes", "services", "repository"})


def every_probe(target: Target, engine: ContainerEngine, patience: float = 1.0) -> Iterator[Need]:
    """Yield all probes of `target`, as the page has them; each waits `patience` times as long as usual."""
    of_machine = (*target_probes(target, engine), *programs(target, patience), *room(target))
    yield from longer(of_machine, patience)
    seconds = patience * SHORT_SECONDS
    of_stores = [
        *longer(addresses(target, engine, patience), patience),
        *readers(target, engine, seconds),
        *accounts(target, engine, seconds),
    ]
    # Those of one store together, in the order of the profile.
    yield from (probe for name in target.stores for probe in of_stores if probe.store == name)
    yield from longer((*kept(target), *channels(target)), patience)


def longer(probes: Iterable[Need], patience: float) -> Iterator[Need]:
    """Yield `probes`, each with `patience` times as long for its answer."""
    return (replace(probe, seconds=patience * probe.seconds) for probe in probes)


def before_capture(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield what has to be ok for a baseline of a good state, apart from the canary."""
    own = [one for one in target_probes(target, engine) if one.name in _BEFORE_CAPTURE]
    for probe in (*own, *readers(target, engine, LONG_SECONDS)):
        # A capture takes minutes: large stores and busy engines are waited for, by their own deadlines.
        yield replace(probe, seconds=LONG_SECONDS)


def before_gate(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield what keeps the gate's checks from an answer, as far as that is known at once.

    What else is missing, such as a backup, is an item of the gate itself.
    """
    yield from (one for one in target_probes(target, engine) if one.name in _BEFORE_GATE)
    yield from (*programs(target), *room(target), *addresses(target, engine))
