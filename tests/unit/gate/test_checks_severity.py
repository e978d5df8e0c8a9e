"""The checks of severity: each is red for what a monitor has seen, by samples that never were."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks.severity import test_severity as severity
from fixtures.gating.evidence import Expect
from rollproof.errors import Mismatch, Unverifiable
from rollproof.monitoring.severity import Assessment, assess
from rollproof.profile.bands import Bands
from tests.unit.made_samples import BEAT, Probes, named, requests, samples, value

Check = Callable[[Assessment, Expect, Callable[[str], None]], None]
CHECKS: dict[str, Check] = {
    "judged": severity.test_every_band_can_be_judged,
    "critical": severity.test_nothing_is_critical,
    "investigated": severity.test_nothing_calls_for_an_investigation,
}
# What the monitor has seen for more than a minute, and which checks are red then.
SEEN: dict[str, tuple[Probes, dict[str, type[Exception]]]] = {
    "all is well": ({}, {}),
    "errors": (named({"requests": requests(errors=20)}), {"critical": Mismatch}),
    "memory": (named({"memory": value(96)}), {"critical": Mismatch}),
}


def _verdicts(assessment: Assessment) -> dict[str, type[Exception]]:
    found: dict[str, type[Exception]] = {}
    for name, check in CHECKS.items():
        try:
            check(assessment, Expect([]).of("samples", hint="monitor"), lambda _: None)
        except (Mismatch, Unverifiable) as error:
            found[name] = type(error)
    return found


@pytest.mark.parametrize("seen", SEEN)
def test_each_is_red_for_its_own_severity(seen: str) -> None:
    probes, red = SEEN[seen]
    made = tuple(samples(20, lambda _: probes, well_before=2))
    found = _verdicts(assess(Bands(), made, BEAT))
    assert {name: error for name, error in found.items() if name in red} == red
    assert found.keys() <= red.keys() | {"investigated"}


def test_what_nobody_knows_is_not_healthy() -> None:
    unknown = named({"health": value(None, ok=None), "requests": value(None, ok=None)})
    found = _verdicts(assess(Bands(), tuple(samples(20, lambda _: unknown)), BEAT))
    assert found["judged"] is Unverifiable
    assert set(_verdicts(assess(Bands(), (), BEAT)).values()) == {Unverifiable}
