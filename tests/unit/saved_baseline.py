"""A baseline of facts alone, without the blocks of records that a capture writes beside them."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import SecretStr

from rollproof.baseline.facts import Facts
from rollproof.baseline.folder import BaselineDraft


def save_baseline(baselines: Path, target: str, facts: Facts, key: SecretStr | None = None) -> Path:
    """Write a new baseline, make it the current one, and return its folder."""
    time.sleep(0.001)  # two of one millisecond would have one name
    with BaselineDraft(baselines, target) as draft:
        return draft.finish(facts, key)
