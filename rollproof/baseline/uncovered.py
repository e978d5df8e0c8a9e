"""Checks for which a target or its baseline has nothing to compare: they are named as not covered."""

from __future__ import annotations

from collections.abc import Iterator

from rollproof.baseline.facts import Facts
from rollproof.profile.profile import Target


def uncovered(target: Target, recorded: Facts) -> Iterator[tuple[str, str]]:
    """Yield the name of each such check, and why nothing would be compared."""
    if not target.engine.files or target.engine.of_kind.runs_tasks:
        why = "no compose files, or a swarm, whose registry says at a deployment which image a tag means"
        yield "test_next_start_is_as_it_runs", why
    if not recorded.page:
        yield "test_first_page_is_the_recorded_one", "it changed by itself at the capture, or there was none"
    if not recorded.canary.turns and {"conversations", "turns"} <= target.application.verifiable:
        why = "the canary had none at the capture that could be opened: keep one, and capture again"
        yield "test_old_conversations_open", why
