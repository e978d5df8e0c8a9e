"""Downtime: from the first bad sample to the verified end of a rollback, against the profile's objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from rollback_actions.session.session import Journal
from rollproof.errors import UsageProblem
from rollproof.incident.downtime import (
    Downtime,
    Since,
    judged_downtime,
    read_downtime,
    record_downtime,
)
from rollproof.incident.incident import Incident, RollbackRecord
from rollproof.incident.journal import DETECTED
from rollproof.incident.samples import Sample
from rollproof.incident.tally import tally
from rollproof.profile.profile import Target
from rollproof.record_names import CONTACTS, DOWNTIME, SAMPLES
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.clock import Clock, stopped
from tests.unit.made_samples import BEAT, Probes, requests, samples, value, write_samples

VERIFIED = 90.0


def _rolled_back(incident: Incident, seconds: float = 0.0) -> RollbackRecord:
    """Record a rollback that began that many seconds after now."""
    now = Moment.now()
    began = replace(now, since_boot=now.since_boot + seconds)
    record = RollbackRecord(
        "c" * 40, Verdict.PASSED, 40.0, began, replace(began, since_boot=began.since_boot + 40)
    )
    incident.write_rollback(record)
    return record


def _keep(incident: Incident, made: Sequence[Sample]) -> None:
    write_samples(incident.folder / SAMPLES, made)


def _recorded(target: Target, incident: Incident, seconds: float = VERIFIED) -> Downtime:
    found = record_downtime(target, incident, seconds)
    assert found is not None
    return found


def _down(_: int) -> Probes:
    return {"health": value(None, ok=False)}


def test_it_begins_with_the_first_bad_sample_before_the_rollback(target: Target, incident: Incident) -> None:
    made = samples(5, _down, well_before=10, target=target.name)
    _keep(incident, made)
    rollback = _rolled_back(incident, 2.0)
    # What is well again while it is rolled back says nothing of when it began.
    after = [
        replace(one, at=replace(one.at, since_boot=one.at.since_boot + 60))
        for one in samples(3, lambda _: {}, target=target.name)
    ]
    _keep(incident, after)
    found = _recorded(target, incident)
    assert found.since == made[10].at
    assert found.seconds == pytest.approx(4 * BEAT + 2 + VERIFIED, abs=5)
    assert found.seconds == pytest.approx(rollback.started.seconds_since(made[10].at) + VERIFIED)
    assert not found.late
    late, said = judged_downtime(incident)
    assert not late
    assert said is not None
    assert said.startswith("downtime, from the first bad sample of the monitor to the verified end: expected")


def test_a_response_knows_which_sample_that_was(target: Target, incident: Incident) -> None:
    _keep(incident, samples(5, _down, well_before=10, target=target.name))
    rollback = _rolled_back(incident)
    first = replace(rollback.started, since_boot=rollback.started.since_boot - 500)
    later = replace(first, since_boot=first.since_boot + 200)
    journal = Journal(incident.folder / "response.jsonl", str)
    for moment in (first, later):
        journal.write("assessed", first_bad=moment.record())
    found = _recorded(target, incident)
    assert found.since == first
    assert found.seconds == pytest.approx(590.0)
    assert not found.late


@pytest.mark.parametrize(("seconds", "late"), [(80.04, False), (80.06, True)])
def test_it_is_judged_as_it_is_shown(target: Target, incident: Incident, seconds: float, late: bool) -> None:  # noqa: FBT001 - of a table
    _rolled_back(incident)
    assert _recorded(target.model_copy(update={"rto_seconds": 80}), incident, seconds).late is late
    text = "downtime, from the beginning of the rollback to the verified end: expected at most 80 s, observed"
    assert judged_downtime(incident) == (late, f"{text} {'80.1' if late else '80.0'} s")
    assert tally(incident, target.windows).downtime_seconds == seconds


def _long_ago(incident: Incident) -> None:
    bad = samples(20, lambda _: {"requests": requests(20)}, target="sandbox")
    _keep(incident, [replace(one, at=replace(one.at, since_boot=one.at.since_boot - 600)) for one in bad])


HAD: dict[str, Callable[[Incident], object]] = {
    "no sample": lambda _: None,
    "all well": lambda incident: _keep(incident, samples(20, lambda _: {}, target="sandbox")),
    "long ago": _long_ago,
    "damaged samples": lambda incident: (incident.folder / SAMPLES).write_text("garbage\n"),
    "a damaged response": lambda incident: (incident.folder / "response.jsonl").write_text("garbage\n"),
}


@pytest.mark.parametrize("had", HAD.values(), ids=HAD)
def test_where_no_sample_says_it_the_beginning_of_the_rollback_counts(
    target: Target, incident: Incident, had: Callable[[Incident], object]
) -> None:
    had(incident)
    rollback = _rolled_back(incident, 1.0)
    found = _recorded(target, incident)
    assert (found.since, found.seconds) == (rollback.started, VERIFIED)


def test_the_first_verified_end_counts(target: Target, incident: Incident) -> None:
    _rolled_back(incident)
    first = _recorded(target, incident)
    assert record_downtime(target, incident, 5000.0) == first == read_downtime(incident)


def test_without_a_rollback_there_is_none(target: Target, incident: Incident) -> None:
    assert record_downtime(target, incident, VERIFIED) is None
    assert read_downtime(incident) is None
    assert judged_downtime(incident) == (False, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"since": 1}'])
def test_a_damaged_record_is_said(target: Target, incident: Incident, text: str) -> None:
    _rolled_back(incident)
    (incident.folder / DOWNTIME).write_text(text)
    with pytest.raises(UsageProblem, match="HINT: delete that file"):
        read_downtime(incident)
    late, said = judged_downtime(incident)
    assert late is None
    assert said is not None
    assert said.startswith("downtime of the incident: expected a readable downtime.json")
    verdict = tally(incident, target.windows)
    assert verdict.verdict is Verdict.BROKEN
    assert f"how long the target was down is unknown ({said})" in verdict.partial


def test_the_outage_is_no_younger_than_its_detection(target: Target, incident: Incident) -> None:
    detected = replace(Moment.now(), since_boot=Moment.now().since_boot - 700)
    with stopped(Clock(detected)):
        Journal(incident.folder / CONTACTS, str).write(DETECTED, severity="critical")
    _rolled_back(incident)
    found = _recorded(target, incident)
    assert (found.since, found.since_is) == (detected, Since.DETECTION)
    assert found.late
