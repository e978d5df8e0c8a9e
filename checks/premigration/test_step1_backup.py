"""Step 1: every store has a backup of now, by the means that its risk demands, and it comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from fixtures.errors import Mismatch, Unverifiable, listed
from fixtures.kept_backups import AGAIN, KeptSet, KeptStoreOf, absent
from fixtures.policy import policy_of
from fixtures.safety import means_of
from fixtures.stores.content import Json
from fixtures.stores.profiles import Policy
from fixtures.stores.view import Retention
from fixtures.target import Target
from fixtures.trials import TrialOfStore
from fixtures.verdict import Verdict

pytestmark = [pytest.mark.premigration, pytest.mark.step1]

BOTH = "./deploy/scripts/backup.sh, then python -m rollback_actions capture"


def test_backup_is_of_this_commit(
    backup_set: KeptSet, working_commit: str, note: Callable[[str], None]
) -> None:
    """The newest backup set is of the commit that the working copy is on: the one to roll back to."""
    if backup_set.commit != working_commit:
        raise Mismatch(
            what="commit of the newest backup set",
            expected=working_commit,
            observed=backup_set.commit,
            source=str(backup_set.folder),
            hint=AGAIN,
        )
    note(f"{backup_set.folder.name}, of {working_commit[:12]}")


def test_backup_is_whole(
    profile_store: str, backup_set: KeptSet, kept_store: KeptStoreOf, note: Callable[[str], None]
) -> None:
    """The store is in the set, and every byte of its backup is as it was written, to its end."""
    kept = kept_store(profile_store)
    note(f"{sum(kept.records.values()):,} records, {kept.size / 1e6:.1f} MB, in {backup_set.folder.name}")


def test_backup_is_of_the_kind_that_its_risk_demands(
    profile_store: str, kept_store: KeptStoreOf, target: Target, note: Callable[[str], None]
) -> None:
    """The backup was taken by the means that the data safety matrix demands of a store of that risk."""
    kept, means = kept_store(profile_store), means_of(target.stores[profile_store])
    risk = target.stores[profile_store].risk
    if not means.fits(kept.method):
        raise Mismatch(
            what=f"backup of {profile_store}, risk {risk}",
            expected=means.text,
            observed=kept.method,
            source=str(kept.folder),
            hint=AGAIN,
        )
    note(f"risk {risk}: {kept.method}")


def test_backup_is_recent(
    profile_store: str, backup_set: KeptSet, target: Target, note: Callable[[str], None]
) -> None:
    """The backup of the store was begun so short a time ago that little was written since."""
    _require(profile_store, backup_set)
    oldest = target.premigration.backup.age_seconds
    began, _ = backup_set.taken[profile_store]
    age = began.seconds_ago()
    # One from the future is of a clock that cannot be trusted with an age.
    if not 0 <= age <= oldest:
        raise Mismatch(
            what=f"backup of {profile_store}",
            expected=f"begun at most {oldest} s ago",
            observed=f"{age:.0f} s ago, at {began.wall}",
            source=str(backup_set.folder),
            hint=AGAIN,
        )
    note(f"begun {age:.0f} s ago")


def test_backup_is_in_proportion(
    profile_store: str,
    kept_store: KeptStoreOf,
    live_counts: Callable[[str], Mapping[str, int]],
    target: Target,
    note: Callable[[str], None],
    evidence: Callable[[str, str], None],
) -> None:
    """Every collection of the store is in its backup, with about as many records as it has."""
    profile, kept = target.stores[profile_store], kept_store(profile_store)
    if profile.emptied:
        note("a restore flushes it: nothing is kept")
        return
    live = live_counts(profile_store)
    if not live:
        raise Unverifiable(
            what=f"collections of {profile_store}",
            expected="one at least, to compare the backup with",
            observed="none",
            source=profile_store,
            hint="correct what the profile chooses of that store",
        )
    evidence("records", "\n".join(f"{n}: {kept.records.get(n, 'none')} of {c}" for n, c in live.items()))
    percent = target.premigration.backup.tolerance_percent
    wrong = [
        f"{name}: {kept.records.get(name, 'none')} of {count}"
        for name, count in live.items()
        if not _in_proportion(kept.records.get(name), count, percent, policy_of(profile, name))
    ]
    if any(kept.records.values()) and not kept.size:
        wrong.append(f"{sum(kept.records.values())} records in 0 bytes")
    if wrong:
        raise Mismatch(
            what=f"records in the backup of {profile_store}",
            expected=f"those of the store, but for {percent:g} %",
            observed=listed(wrong),
            source=str(kept.folder),
            hint=AGAIN,
        )
    held = sum(kept.records.get(name, 0) for name in live)
    note(f"{held:,} of {sum(live.values()):,} records in {len(live)} collections")


def test_backups_are_of_one_recovery_point(
    backup_set: KeptSet, target: Target, note: Callable[[str], None], evidence: Callable[[str, str], None]
) -> None:
    """The backups of all stores were taken at about one time: what they say of each other fits."""
    for name in target.stores:
        _require(name, backup_set)
    # Each is of some moment between its beginning and its end.
    moments = [moment for name in target.stores for moment in backup_set.taken[name]]
    since = {moment: moment.seconds_since(moments[0]) for moment in moments}
    first, last = min(moments, key=since.__getitem__), max(moments, key=since.__getitem__)
    skew, most = last.seconds_since(first), target.premigration.backup.skew_seconds
    evidence(
        "recovery points",
        "\n".join(f"{name}: {began.wall} to {done.wall}" for name, (began, done) in backup_set.taken.items()),
    )
    if skew > most:
        raise Mismatch(
            what="time from the first moment of a backup to the last",
            expected=f"at most {most} s",
            observed=f"{skew:.1f} s, from {first.wall} to {last.wall}",
            source=str(backup_set.folder),
            hint="stop the writers, and back all stores up together: ./deploy/scripts/backup.sh",
        )
    note(f"all {len(target.stores)} stores within {skew:.1f} s")


def test_log_is_retained_past_the_replay_horizon(
    log_store: str,
    retentions_of: Callable[[str], Mapping[str, Retention | None]],
    target: Target,
    note: Callable[[str], None],
) -> None:
    """Every topic keeps a record for longer than consumers may have to go back for it."""
    horizon = target.premigration.backup.replay_seconds
    found = retentions_of(log_store)
    hint = f"kafka-configs --alter --entity-type topics --add-config retention.ms={horizon * 1000} …"
    if not found:
        raise Mismatch(
            what=f"topics of {log_store}",
            expected="one at least",
            observed="none",
            source=log_store,
            hint="correct topics in the profile",
        )
    short = [
        f"{topic}: {_kept_for(retention)}"
        for topic, retention in found.items()
        if retention is not None and not _outlasts(retention, horizon)
    ]
    if short:
        raise Mismatch(
            what=f"retention of {log_store}",
            expected=f"{horizon} s or longer, whatever the size",
            observed=listed(short),
            source="configuration of the topics",
            hint=hint,
        )
    unknown = [topic for topic, retention in found.items() if retention is None]
    if unknown:
        raise Unverifiable(
            what=f"retention of {log_store}",
            expected="a broker that tells how long each topic keeps a record",
            observed=f"nothing of {listed(unknown)}",
            source="configuration of the topics",
            hint=f"set it for the topic itself: {hint}",
        )
    note("; ".join(f"{topic}: {_kept_for(retention)}" for topic, retention in found.items() if retention))


def test_bucket_keeps_versions(
    versioned_store: str,
    live_schemas: Callable[[str], Mapping[str, Json]],
    note: Callable[[str], None],
) -> None:
    """A bucket whose backup is its own versions keeps them."""
    schemas = live_schemas(versioned_store)
    settings = {
        name: found for name, found in schemas.items() if isinstance(found, dict) and "versioning" in found
    }
    off = [
        f"{name}: {found['versioning']}"
        for name, found in settings.items()
        if found["versioning"] != "Enabled"
    ]
    if off or not settings:
        raise Mismatch(
            what=f"versioning of {versioned_store}, whose backup is its versions",
            expected="Enabled for every bucket",
            observed=listed(off) or "no bucket",
            source="settings of the buckets",
            hint='mc version enable ALIAS/BUCKET, or backup = "copies" in the profile',
        )
    note(f"versions are kept in {listed(list(settings))}")


def test_backup_restores(
    profile_store: str,
    restored: Callable[[str], TrialOfStore],
    note: Callable[[str], None],
    evidence: Callable[[str, str], None],
) -> None:
    """Restored into a scratch instance beside the target, the store holds what the baseline says."""
    trial = restored(profile_store)
    evidence("restore", "\n".join(trial.texts))
    error = {Verdict.FAILED: Mismatch, Verdict.BROKEN: Unverifiable}.get(trial.verdict)
    if error is not None:
        raise error(
            what=f"restore of the backup of {profile_store}",
            expected="what the baseline says, in a scratch instance",
            observed=listed(trial.texts),
            source="a scratch instance beside the target",
            hint=trial.hint or BOTH,
        )
    note(trial.texts[0])


def _in_proportion(kept: int | None, live: int, percent: float, policy: Policy) -> bool:
    """Tell whether so many records are enough; what is volatile may have any number but none."""
    if policy == "volatile":
        return bool(kept) or not live
    return kept is not None and abs(kept - live) <= live * percent / 100


def _require(name: str, backup_set: KeptSet) -> None:
    """See that the set says when the backup of a store was taken."""
    if name not in backup_set.taken:
        raise absent(name, backup_set.stores, backup_set.folder)


def _outlasts(retention: Retention, horizon: float) -> bool:
    return (
        (retention.seconds is None or retention.seconds >= horizon)
        and retention.size is None
        and not retention.compacted
    )


def _kept_for(retention: Retention) -> str:
    kept = "for ever" if retention.seconds is None else f"{retention.seconds:g} s"
    size = "" if retention.size is None else f", at most {retention.size} bytes of a partition"
    return f"{kept}{size}{', compacted' if retention.compacted else ''}"
