"""The differences of a target's stores from a baseline, in full: there is no limit of time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext

from rollproof.judgement.finding import Aspect, Finding
from rollproof.judgement.items import ASPECTS, items_of
from rollproof.judgement.judge import Judge
from rollproof.observation.observation import Observation
from rollproof.observation.store import Reading


def findings_on(
    reading: Reading,
    without: Collection[Aspect] = (),
    shown: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> list[Finding]:
    """Return the findings on a target's stores, which are read concurrently, except `without` aspects.

    `shown` shows a step, such as ``compare mysql``, while its body runs.
    """
    target, baseline = reading.target, reading.baseline()
    with Observation(reading) as observation:
        for parameter, every in items_of(target, baseline.facts).items():
            if ASPECTS.get(parameter) not in without:
                for at in every:
                    observation.begin(parameter, at)
        judge = Judge(target, baseline, observation)
        found = [*judge.of_profile()]
        for store in target.stores:
            with shown(f"compare {store}"):
                found += judge.of_store(store, without)
        with shown("follow the references between stores"):
            found += judge.of_references(without)
        return found
