"""Each rule of the gate is one: what doctor and `reopen` say of a state, the gate's checks say of it, too."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checks.premigration import test_step1_backup as step1
from checks.premigration import test_step2_saved_state as step2
from checks.premigration import test_step3_monitoring as step3
from checks.premigration import test_step5_staging as step5
from fixtures.gating.evidence import Expect
from rollproof.backups.newest_backup import newest_backup
from rollproof.baseline.known_good import current_baseline
from rollproof.doctor import kept_probes
from rollproof.doctor.examination import NeedState, examine
from rollproof.errors import Mismatch, Problem, UsageProblem
from rollproof.incident.incident import RollbackRecord, new_incident
from rollproof.incident.rehearsals import Ending, Rehearsal
from rollproof.monitoring.samples import Monitor, Sample, SampleWriter, samples_path
from rollproof.monitoring.wish import Kind, Wish
from rollproof.planning.plan import Plan, plan_database, plan_emergency, plan_full, plan_service
from rollproof.planning.refusals import Allowed, Asked, refusals, refuse_hold
from rollproof.profile.profile import Target
from rollproof.record_names import VERDICT
from rollproof.system.clock import Moment
from rollproof.system.files import sha256_of
from rollproof.verdict import Verdict
from tests.unit.clock import ago
from tests.unit.made_samples import WELL
from tests.unit.sandbox import Releases, Sandbox, make_sandbox

BEAT = 5.0
SLACK = 1.0
"""Seconds on each side of a limit: the clock stands still, so nothing here is about how fast a machine is."""
AskedCheck = Callable[..., None]

pytestmark = pytest.mark.usefixtures("stopped_clock")


@pytest.fixture
def sandbox(tmp_path: Path, releases: Releases) -> Sandbox:
    return make_sandbox(tmp_path, releases)


def around(limit: float) -> tuple[float, ...]:
    return -limit - SLACK, -SLACK, SLACK, limit - SLACK, limit + SLACK


def said(target: Target, name: str) -> bool:
    """Return whether doctor's probe of that name is content."""
    (probe,) = (one for one in kept_probes.kept(target) if one.name == name)
    (found,) = examine([replace(probe, needs=(), seconds=60.0)], 60.0)
    assert found.line.state in {NeedState.OK, NeedState.WRONG}, found.line
    return found.line.state is NeedState.OK


def holds(checks: Iterable[Callable[[], None]]) -> bool:
    """Return whether all of these checks pass."""
    try:
        for check in checks:
            check()
    except (Mismatch, Problem):
        return False
    return True


def silent(_: object) -> None:
    """Note nothing."""


def both(seen: list[bool]) -> None:
    """See that what was compared was not always of one kind."""
    assert set(seen) == {True, False}


def test_a_backup(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    target, seen, expect = sandbox.target, list[bool](), Expect([])
    (folder,) = (path.parent for path in target.folders.backups.glob("*/set.json"))
    folder.rename(folder.with_name(f"20260102T030405678Z-{target.name}"))
    kept = newest_backup(target.folders.backups, target.name)
    oldest = target.premigration.backup.age_seconds
    first, *others = target.stores
    began = product(around(oldest), (SLACK, oldest + SLACK), ("", first), (kept.commit, "0" * 40))
    for one, another, left_out, commit in began:
        taken = {name: (ago(one if name == first else another), Moment.now()) for name in target.stores}
        made = replace(kept, taken={name: when for name, when in taken.items() if name != left_out})
        monkeypatch.setattr(kept_probes, "newest_backup", lambda *_, made=made: made)
        monkeypatch.setattr(kept_probes, "head", lambda _, commit=commit: commit)
        checks = [
            partial(step1.test_backup_is_of_this_commit, made, commit, expect, silent),
            *(
                partial(step1.test_backup_is_recent, name, made, target, expect, silent)
                for name in (first, *others)
            ),
        ]
        seen.append(holds(checks))
        assert said(target, "backup") is seen[-1], (one, another, left_out, commit)
    both(seen)


def test_a_baseline(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    target, seen, baseline = sandbox.target, list[bool](), current_baseline(sandbox.target)
    containers: Any = {"all": baseline.facts.containers}
    # A sandbox's baseline says neither what the profile asked for nor what was in the stores: other rules.
    stores: Any = dict.fromkeys(target.stores)
    whole = replace(baseline, facts=replace(baseline.facts, stores=stores))
    monkeypatch.setattr(kept_probes, "current_baseline", lambda _: whole)
    monkeypatch.setattr(kept_probes, "weaker", lambda *_: ())
    for commit in (sandbox.commit, sandbox.bad):
        copy: Any = SimpleNamespace(head=commit)
        monkeypatch.setattr(kept_probes, "head", lambda _, commit=commit: commit)
        check = partial(step2.test_baseline_is_of_this_state, baseline, [], containers, copy, target)
        seen.append(holds([partial(check, Expect([]), silent)]))
        assert said(target, "baseline") is seen[-1]
    both(seen)


def _beats(target: Target, age: float, off: Mapping[str, Any], monitor: Monitor) -> tuple[Sample, ...]:
    count = target.premigration.monitoring.samples
    made = [
        Sample(target.name, monitor, beat, ago(age + (count - 1 - beat) * BEAT), 0.0, 0, WELL)
        for beat in range(count)
    ]
    made[2] = replace(made[2], **off)
    return tuple(made)


def test_a_monitor(sandbox: Sandbox) -> None:
    target, seen, me = sandbox.target, list[bool](), Monitor.this()
    assert target.premigration.monitoring.beat_seconds == BEAT
    away = replace(me, host="elsewhere", boot="another boot", pid=1, started=1)
    off: tuple[dict[str, Any], ...] = (
        {},
        {"late": 0.4},
        {"late": 0.6},
        {"late": -0.6},
        {"missed": 1},
        {"beat": 7},
    )
    ended = replace(me, started=me.started - 1)
    for age, wrong, monitor in product(around(2 * BEAT), off, (me, away, ended)):
        path = samples_path(target)
        path.unlink(missing_ok=True)
        made = _beats(target, age, wrong, monitor)
        with closing(SampleWriter(path)) as writer:
            for sample in made:
                writer.write(sample)
        expect = Expect([], source=path)
        checks = [
            partial(check, made, target, expect, silent)
            for check in (step3.test_monitor_is_running, step3.test_monitor_is_on_the_beat)
        ]
        seen.append(holds(checks))
        assert said(target, "monitor") is seen[-1], (age, wrong, monitor)
    both(seen)


def _plans(sandbox: Sandbox) -> Iterator[Plan]:
    yield plan_service(sandbox.target, "backend")
    yield from (plan_database(sandbox.target, name) for name in sandbox.target.stores)
    yield plan_full(sandbox.target, sandbox.commit)
    yield plan_emergency(sandbox.target, sandbox.commit)


def test_a_hold(sandbox: Sandbox) -> None:
    """Doctor names one where a rollback would be refused for it, and only there."""
    target, seen = sandbox.target, list[bool]()
    plans, current = [*_plans(sandbox)], current_baseline(target).id
    oldest = target.hold_seconds
    for plan, baseline, age, commit in product(
        plans, ("", current, "another"), (SLACK, oldest - SLACK, oldest + SLACK), (sandbox.commit, "0" * 40)
    ):
        wish = replace(plan.wish, commit=commit)
        incident = new_incident(target.folders.incidents, target.name)
        record = RollbackRecord(
            *(commit, Verdict.PASSED, 1.0, ago(age + 1), ago(age)),
            kind=wish.kind,
            names=wish.names,
            baseline=baseline,
        )
        incident.write_rollback(record)
        held = [
            plan
            for plan in plans
            if any(one.source.startswith("hold_seconds") for one in refusals(Asked(target, plan, Allowed())))
        ]
        seen.append(bool(held))
        if wish.kind in {Kind.FULL, Kind.EMERGENCY} and commit != sandbox.commit and age < oldest:
            # Nobody can go there again, since no baseline is of that commit: which is what doctor says then.
            with pytest.raises(UsageProblem, match=f"baseline: expected one of commit {commit[:12]}"):
                refuse_hold(target)
        else:
            assert holds([partial(refuse_hold, target)]) is not seen[-1], (wish, baseline, age)
        shutil.rmtree(incident.folder)
    both(seen)


def test_a_hold_of_another_commit_is_of_no_service(sandbox: Sandbox) -> None:
    """A service goes to the current baseline: a rollback of it to an earlier one holds nothing up."""
    incident = new_incident(sandbox.target.folders.incidents, sandbox.target.name)
    wish = Wish(Kind.SERVICE, "0" * 40, ("backend",))
    now = Moment.now()
    incident.write_rollback(
        RollbackRecord(wish.commit, Verdict.PASSED, 1.0, now, now, kind=wish.kind, names=wish.names)
    )
    refuse_hold(sandbox.target)


def test_a_rehearsal(tmp_path: Path) -> None:
    """`reopen` takes one that step 5 takes, as long as it began after the rollback."""
    seen, verdict = list[bool](), tmp_path / VERDICT
    verdict.write_text("{}")
    made = product(Verdict, Verdict, (sha256_of(verdict), "0" * 64), ("", "cut"))
    for migrated, rolled_back, digest, broken in made:
        ending = Ending(migrated, rolled_back, migrated, digest, Moment.now(), (), (), (), ())
        one = Rehearsal(tmp_path, "stage", "a" * 40, "b" * 40, Moment.now(), ending, broken)
        asked: tuple[AskedCheck, ...] = (
            step5.test_record_of_the_rehearsal_is_whole,
            step5.test_staging_was_well_after_the_migration,
            step5.test_rollback_was_rehearsed,
        )
        checks = [partial(check, one, ending, Expect([]), silent) for check in asked]
        seen.append(holds(checks))
        assert (one.fault() == "") is seen[-1], one
    assert Counter(seen)[True] == 1
