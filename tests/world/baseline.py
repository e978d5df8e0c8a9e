"""A baseline of facts alone, without the blocks of records that a capture writes next to them."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import SecretStr

from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContainer, RecordedStore, Surroundings
from rollproof.baseline.folder import BaselineDraft

FACTS = Facts(
    commit="c" * 40,
    interface="i" * 64,
    containers=(
        RecordedContainer(
            service="backend",
            name="t-backend-1",
            image="t/backend:current",
            image_id="sha256:" + "0" * 64,
            revision="c" * 40,
            configuration=None,
            volumes=(),
        ),
    ),
    stores={"mysql": RecordedStore(kind="mysql", server="MySQL 9.7", counts={"imagedb.users": 500})},
    canary=RecordedCanary(files=("lamp.txt",), grounded_in=("lamp.txt",)),
    surroundings=Surroundings("0", engine="AAAA"),
    demands={"": {"limits.restarts": 0}},
)


def save_baseline(baselines: Path, target: str, facts: Facts, key: SecretStr | None = None) -> Path:
    """Write a new baseline, make it the current one, and return its folder."""
    begun = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == begun:
        pass  # two of one millisecond would have one name
    with BaselineDraft(baselines, target) as draft:
        return draft.finish(facts, key)
