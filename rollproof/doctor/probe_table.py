"""The table of probes: all of them, and the part that a capture asks first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollproof.doctor.examination import REQUEST_SECONDS, Need
from rollproof.doctor.machine_probes import channel_probes, kept_probes, machine_probes
from rollproof.doctor.store_probes import accounts, addresses, readers
from rollproof.doctor.target_probes import target_probes
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.registry import LONG_SECONDS

_BEFORE_CAPTURE = frozenset({"questions", "project", "volumes", "services", "repository"})


def every_probe(target: Target, engine: ContainerEngine, patience: float = 1.0) -> Iterator[Need]:
    """Yield all probes of `target`, as the page has them; a request has `patience` times as long as usual."""
    seconds = patience * REQUEST_SECONDS
    yield from (*target_probes(target, engine), *machine_probes(target, seconds))
    of_stores = [one for kind in (addresses, readers, accounts) for one in kind(target, engine, seconds)]
    # Those of one store together, in the order of the profile.
    yield from (probe for name in target.stores for probe in of_stores if probe.store == name)
    yield from (*kept_probes(target), *channel_probes(target))


def before_capture(target: Target, engine: ContainerEngine) -> Iterator[Need]:
    """Yield what has to be ok for a baseline of a good state, apart from the canary."""
    own = [one for one in target_probes(target, engine) if one.name in _BEFORE_CAPTURE]
    for probe in (*own, *readers(target, engine, LONG_SECONDS)):
        # A capture takes minutes: large stores and busy engines are waited for, by their own deadlines.
        yield replace(probe, seconds=LONG_SECONDS)
