"""The present state of a target in place of a baseline, for a light profile: it is judged by itself alone."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from rollproof.baseline.configuration import ConfigurationKey, record_container
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedStore, Surroundings
from rollproof.baseline.folder import Baseline
from rollproof.engines.engine import ContainerEngine, Inside
from rollproof.profile.profile import Target


def present_state(target: Target, engine: ContainerEngine) -> Baseline:
    """Return the containers that are there now as a baseline, which is in no folder.

    Nothing is gained by comparing with it: see `rollproof.baseline.demands.uncovered`. It names what is
    judged by limits alone, such as health and restarts; restarts count from a container's creation.

    Raises:
        Unverifiable: the engine does not answer.
    """
    key = ConfigurationKey(secrets.token_bytes(32))
    containers = tuple(
        replace(record_container(container, Inside(), key), restarts=0)
        for found in engine.containers().values()
        for container in found
    )
    stores = {name: RecordedStore(store.kind, "", {}) for name, store in target.stores.items()}
    facts = Facts("", "", containers, stores, RecordedCanary((), ()), Surroundings(""), {})
    return Baseline(target.folders.baselines, target.name, datetime.now(UTC).isoformat(), facts)
