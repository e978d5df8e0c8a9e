"""Step 1: every store has a recent backup, by the means that its risk demands, and it can be restored."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.gating.evidence import Attach, Expect, Note
from fixtures.stores import Retentions
from rollproof.backups.sets import BackupSet, KeptStoreOf, backup_hint, proportion_of, read_image
from rollproof.baseline.folder import Baseline
from rollproof.errors import Meaning, Mismatch, Unverifiable, listed
from rollproof.home import typed
from rollproof.incident.rehearsals import TrialOfStore
from rollproof.observation.observation import Observation
from rollproof.profile.kinds import descriptor_of, means_of
from rollproof.profile.profile import Target
from rollproof.system.clock import is_recent
from rollproof.system.side_by_side import answer_of
from rollproof.verdict import Verdict

pytestmark = [pytest.mark.premigration, pytest.mark.step1]

BOTH = f"{typed('capture')}, then {typed('backup')}"


def test_backup_is_of_this_commit(
    backup_set: BackupSet, working_commit: str, expect: Expect, note: Note
) -> None:
    """The newest backup set is of the working copy's commit, to which a rollback would go."""
    expect(
        backup_set.commit == working_commit,
        what="commit of the newest backup set",
        means=Meaning.WRONG_VERSION,
        expected=working_commit,
        observed=backup_set.commit,
        source=backup_set.folder,
        hint=backup_hint(),
    )
    note(f"{backup_set.folder.name}, of {working_commit[:12]}")


def test_backup_is_whole(
    profile_store: str, backup_set: BackupSet, kept_store: KeptStoreOf, note: Note
) -> None:
    """The store is in the set, and its backup is complete, byte for byte as it was written."""
    kept = kept_store(profile_store)
    note(f"{sum(kept.records.values()):,} records, {kept.size / 1e6:.1f} MB, in {backup_set.folder.name}")


def test_backup_is_of_the_kind_that_its_risk_demands(
    profile_store: str, kept_store: KeptStoreOf, target: Target, expect: Expect, note: Note
) -> None:
    """The backup was taken by the means that the data safety matrix demands for the store's risk."""
    kept, means = kept_store(profile_store), means_of(target.stores[profile_store])
    risk = target.stores[profile_store].risk
    expect(
        kept.means is means,
        what=f"backup of {profile_store}, risk {risk}",
        expected=means,
        observed=f"{kept.means}: {kept.method}",
        source=kept.folder,
        hint=backup_hint(),
    )
    note(f"risk {risk}: {kept.method}")


def test_backup_is_recent(
    profile_store: str, backup_set: BackupSet, target: Target, expect: Expect, note: Note
) -> None:
    """The store's backup was begun so recently that little was written since."""
    began, _ = backup_set.moments(profile_store)
    oldest, age = target.premigration.backup.age_seconds, began.seconds_ago()
    expect(
        is_recent(age, oldest),
        what=f"backup of {profile_store}",
        expected=f"begun at most {oldest} s ago",
        observed=f"{age:.0f} s ago, at {began.wall}",
        source=backup_set.folder,
        hint=backup_hint(),
    )
    note(f"begun {age:.0f} s ago")


def test_backup_is_in_proportion(
    profile_store: str,
    kept_store: KeptStoreOf,
    observation: Observation,
    baseline: Baseline,
    target: Target,
    expect: Expect,
    note: Note,
    evidence: Attach,
) -> None:
    """Every collection of the store is in its backup, with about as many records as the store has."""
    profile, kept = target.stores[profile_store], kept_store(profile_store)
    if profile.emptied:
        note("a restore flushes it: nothing is kept")
        return
    counts, percent = observation.counts(profile_store), target.premigration.backup.tolerance_percent
    live = {collection: answer_of(counts, collection) for collection in counts}
    expect(
        live,
        what=f"collections of {profile_store}",
        otherwise=Unverifiable,
        expected="one at least, to compare the backup with",
        observed=len(live) or "none",
        source=profile_store,
        hint="correct what the profile chooses of that store",
    )
    before = baseline.facts.stores.get(profile_store)
    found = proportion_of(kept, live, before.counts if before else live, profile, percent)
    evidence("records", "\n".join(found.rows))
    expect(
        not found.wrong,
        what=f"records in the backup of {profile_store}",
        expected=f"those of the store, except {percent:g} %",
        observed=found.said,
        instead=listed(found.wrong),
        source=kept.folder,
        hint=backup_hint(),
    )
    note(found.said)


def test_images_of_the_application_are_kept(
    backup_set: BackupSet, baseline: Baseline, target: Target, expect: Expect, note: Note
) -> None:
    """Copies of the recorded images are next to the set, so that a prune ends no rollback."""
    recorded = baseline.facts.images(target.application.services)
    other = [service for service in recorded if backup_set.images.get(service) != recorded[service]]
    expect(
        recorded and not other,
        what="images of the application that are kept",
        expected="those that the baseline recorded",
        observed=f"those of {len(recorded)} services",
        instead=f"others, or none, of {listed(other) or 'any service'}",
        source=backup_set.folder,
        hint=BOTH,
    )
    images = sorted(set(recorded.values()))
    size = sum(read_image(target.folders.backups, image) for image in images)
    note(f"{len(images)} images of {len(recorded)} services, {size / 1e6:.1f} MB")


def test_backups_are_of_one_recovery_point(
    backup_set: BackupSet, target: Target, expect: Expect, note: Note, evidence: Attach
) -> None:
    """The backups of all stores were taken at about the same time, so that their references agree."""
    # A backup is of some moment between its beginning and its end.
    moments = [moment for name in target.stores for moment in backup_set.moments(name)]
    since = {moment: moment.seconds_since(moments[0]) for moment in moments}
    first, last = min(moments, key=since.__getitem__), max(moments, key=since.__getitem__)
    skew, most = last.seconds_since(first), target.premigration.backup.skew_seconds
    taken = (f"{name}: {began.wall} to {done.wall}" for name, (began, done) in backup_set.taken.items())
    evidence("recovery points", "\n".join(taken))
    expect(
        skew <= most,
        what="time from the first moment of a backup to the last",
        expected=f"at most {most} s",
        observed=f"{skew:.1f} s, from {first.wall} to {last.wall}",
        source=backup_set.folder,
        hint=f"stop the writers, and back all stores up together: {typed('backup')}",
    )
    note(f"all {len(target.stores)} stores within {skew:.1f} s")


def test_log_is_retained_past_the_replay_horizon(
    log_store: str, retentions: Retentions, expect: Expect, note: Note
) -> None:
    """Every log keeps a record for longer than its readers may have to go back."""
    expect = expect.of(f"configuration of the {retentions.noun}", hint=retentions.remedy)
    expect(
        retentions.logs and not retentions.short,
        what=f"retention of the {retentions.noun} of {log_store}",
        expected=f"one at least, of {retentions.horizon} s or longer, whatever the size",
        observed=listed(retentions.short) or retentions,
    )
    expect(
        not retentions.unknown,
        what=f"retention of the {retentions.noun} of {log_store}",
        otherwise=Unverifiable,
        expected="a server that tells how long each of them keeps a record",
        observed=retentions,
        instead=f"nothing of {listed(retentions.unknown)}",
    )
    note(str(retentions))


def test_bucket_keeps_versions(
    versioned_store: str, observation: Observation, target: Target, expect: Expect, note: Note
) -> None:
    """A store keeps versions everywhere if its backup consists of its own versions."""
    store, schemas = descriptor_of(target.stores[versioned_store]), observation.schemas(versioned_store)
    keeps = {name: store.keeps_versions(schema) for name, schema in schemas.items()}
    on, off = ([name for name, kept in keeps.items() if kept is one] for one in (True, False))
    expect(
        on and not off,
        what=f"versions of {versioned_store}, whose backup they are",
        expected=f"kept in all its {store.noun}",
        observed=f"not in {listed(off)}" if off else f"in {len(on)} of {len(on)}",
        source=f"settings of the {store.noun}",
        hint=store.advice_for_versions,
    )
    note(f"versions are kept in {listed(on)}")


def test_backup_restores(
    profile_store: str, restored: Callable[[str], TrialOfStore], expect: Expect, note: Note, evidence: Attach
) -> None:
    """Restored into a scratch instance next to the target, the store holds the records of the baseline."""
    trial = restored(profile_store)
    evidence("restore", "\n".join(trial.texts))
    expect(
        trial.verdict not in {Verdict.FAILED, Verdict.BROKEN},
        what=f"restore of the backup of {profile_store}",
        otherwise=Unverifiable if trial.verdict is Verdict.BROKEN else Mismatch,
        expected="what the baseline says, in a scratch instance",
        observed=listed(trial.texts),
        source="a scratch instance next to the target",
        hint=trial.hint or BOTH,
    )
    note(trial.texts[0])
