"""The differences of a target's stores from a baseline, in full: there is no limit of time."""

from __future__ import annotations

from collections.abc import Collection

from rollproof.judgement.finding import Aspect, Finding
from rollproof.judgement.items import ASPECTS, items_of
from rollproof.judgement.judge import Judge
from rollproof.observation.observation import Observation
from rollproof.observation.store import Reading


def findings_on(reading: Reading, without: Collection[Aspect] = ()) -> list[Finding]:
    """Return the findings on a target's stores, which are read concurrently, except `without` aspects."""
    target, baseline = reading.target, reading.baseline()
    with Observation(reading) as observation:
        for parameter, every in items_of(target, baseline.facts).items():
            if ASPECTS.get(parameter) not in without:
                for at in every:
                    observation.begin(parameter, at)
        return list(Judge(target, baseline, observation).findings(without))
