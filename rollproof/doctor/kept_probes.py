"""Probes of the kept parts of a target: its baseline, backup, and the samples of its monitor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rollproof.backups.newest_backup import NoBackup, newest_backup
from rollproof.baseline.demands import capture_hint, changed_demands
from rollproof.baseline.folder import CURRENT
from rollproof.baseline.known_good import current_baseline
from rollproof.doctor.examination import Lacking, Need
from rollproof.errors import Mismatch, listed
from rollproof.git.repository import head
from rollproof.home import typed
from rollproof.monitoring.samples import (
    Life,
    is_fresh,
    monitor_hint,
    off_the_beat,
    own_samples,
    read_samples,
    samples_path,
)
from rollproof.profile.profile import Target
from rollproof.system.clock import Moment, age, is_recent

_SHOWN = 3


def _new_hint() -> str:
    return f"in a good state: {typed('capture')}"


def kept(target: Target) -> Iterator[Need]:
    """Yield the probes of what is kept on this machine; they ask neither engine nor store."""
    yield Need("baseline", partial(_baseline, target), ("repository",), seconds=5.0)
    yield Need("backup", partial(_backup, target), ("repository",))
    yield Need("monitor", partial(_monitored, target))


def _baseline(target: Target) -> str:
    folder = target.folders.baselines / CURRENT
    if not folder.exists():
        raise Lacking(
            what="baseline",
            expected="one that is current",
            observed="none",
            source=str(folder),
            hint=_new_hint(),
        )
    baseline = current_baseline(target)
    facts = baseline.facts
    commit = head(target.application.repository)
    unknown = sorted({*target.stores} - {*facts.stores})
    changed = [str(one) for one in changed_demands(facts, target)]
    wrong = [
        *([f"of commit {facts.commit[:12]}, not of {commit[:12]}"] if facts.commit != commit else ()),
        *([f"without {listed(unknown)}"] if unknown else ()),
        *([f"the profile has other demands: {listed(changed, _SHOWN)}"] if changed else ()),
    ]
    if wrong:
        raise Mismatch(
            what="baseline",
            expected="one that fits the profile and the working copy",
            observed="; ".join(wrong),
            source=str(baseline.folder),
            hint=capture_hint() if changed else _new_hint(),
        )
    old = age(Moment(baseline.created, 0.0, "").seconds_ago())
    return f"{baseline.id}, {old} old, of commit {commit[:12]}"


def _backup(target: Target) -> str:
    try:
        backup = newest_backup(target.folders.backups, target.name)
    except NoBackup as none:
        raise Lacking(
            what=none.what, expected=none.expected, observed="none", source=none.source, hint=typed("backup")
        ) from None
    oldest, commit = target.premigration.backup.age_seconds, head(target.application.repository)
    left_out = sorted({*target.stores} - {*backup.taken})
    ages = {name: backup.age(name) for name in target.stores if name not in left_out}
    old = [f"{name} at {backup.moments(name)[0].wall}" for name in ages if not is_recent(ages[name], oldest)]
    wrong = [
        *([f"begun {listed(old, _SHOWN)}"] if old else ()),
        *([f"of commit {backup.commit[:12]}, not of {commit[:12]}"] if backup.commit != commit else ()),
        *([f"without {listed(left_out)}"] if left_out else ()),
    ]
    if wrong:
        raise Mismatch(
            what="newest backup",
            expected=f"one of all stores, of this commit, begun at most {age(oldest)} ago",
            observed="; ".join(wrong),
            source=str(backup.folder),
            hint=typed("backup"),
        )
    return f"{backup.folder.name}, {age(max(ages.values()))} old, of {len(ages)} stores"


def _monitored(target: Target) -> str:
    monitoring, path = target.premigration.monitoring, samples_path(target)
    samples = read_samples(path, monitoring.samples)
    if not samples:
        raise Lacking(
            what="monitor", expected="its samples", observed="none", source=str(path), hint=monitor_hint()
        )
    last, beat = samples[-1], monitoring.beat_seconds
    old, off = last.at.seconds_ago(), next(off_the_beat(own_samples(samples), beat), None)
    wrong = ""
    if last.target != target.name:
        wrong = f"one of target {last.target}"
    elif last.monitor.life() is Life.ENDED:
        wrong = f"none: {last.monitor} has ended, {age(old)} ago or less"
    elif not is_fresh(old, beat):
        wrong = f"{last.monitor}, whose last sample is {age(old)} old: it hangs, or is stopped"
    elif off is not None:
        wrong = f"{off[0]}: {off[1]}"
    if wrong:
        raise Mismatch(
            what="monitor",
            expected=f"one that runs, and takes a sample each {beat:g} s",
            observed=wrong,
            source=str(path),
            hint=monitor_hint(),
        )
    return f"{last.monitor} runs, on the beat; its last sample is {old:.0f} s old"
