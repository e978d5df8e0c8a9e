"""Every store's keeper: a restore brings back what a backup holds, whatever happened since, or refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import ActionFailed, Unverifiable
from rollproof.losses.changes import live_parts
from rollproof.losses.lost_window import pairs
from rollproof.profile.kinds import means_of
from rollproof.stores.contract import Pace
from rollproof.stores.keeper import RecordKeeper
from rollproof.stores.package import MANIFEST
from rollproof.stores.snapshot import Snapshot
from tests.stack.stores.keeping.answers import DEADLINE, place_that, ways_of
from tests.stack.stores.keeping.packages import SPOILED, spoiled
from tests.stack.stores.place import WHOLE_SECONDS, WRONG, Backup
from tests.stack.stores.subject import Subject


@pytest.mark.usefixtures("kind")
def test_a_backup_counts_what_it_holds_and_changes_nothing(subject: Subject, kept: Backup) -> None:
    assert kept.kept.records == kept.records
    assert subject.counted() == kept.records
    for word in subject.words:
        assert word in kept.kept.method
    assert kept.kept.means is means_of(subject.place.profile)
    assert kept.after == kept.before


@pytest.mark.of("redis", "s3", "kafka", "mounts")
def test_the_index_of_a_backup_is_what_readers_find(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every record would count as written since, or worse, one that was would not."""
    for module in ("keeper", "kafka.keeper"):
        monkeypatch.setattr(f"rollproof.stores.{module}.PART", 7)
    subject.populate()
    keeper, backup = subject.place.keeper(), tmp_path / "backup"
    assert isinstance(keeper, RecordKeeper)
    backup.mkdir()
    with Snapshot(tmp_path / "index.db", new=True) as index, subject.place.content() as content:
        kept = keeper.back_up_indexed(backup, index)
        assert sorted(index.collections()) == sorted(kept.records) == sorted(content.collections())
        for name in kept.records:
            parts = index.parts(name)
            assert max(part.digest.records for part in parts) <= 7
            assert live_parts(content, name, tuple(part.bound for part in parts), Pace()) == tuple(parts)
            found = (record for _, record in content.records(name, ("",), [0], Pace()))
            assert pairs(index.records(name)) == pairs(found)


@pytest.mark.restarts
@pytest.mark.usefixtures("kind")
def test_a_restore_brings_back_what_was_there(
    subject: Subject, kept: Backup, subtests: pytest.Subtests
) -> None:
    for damage, harms in subject.rounds.items():
        with subtests.test(damage):
            for name, harm in harms.items():
                earlier = subject.observe()
                harm(subject)
                assert subject.observe() != earlier, name
            assert kept.keeper.restore(kept.folder).records == kept.records
            assert subject.observe() == kept.before
            assert subject.unlisted() == kept.unlisted


@pytest.mark.restarts
def test_what_came_after_goes_away_and_is_named(subject: Subject, kept: Backup) -> None:
    subject.add()
    assert subject.observe() != kept.before
    assert set(kept.keeper.restore(kept.folder).notes) == subject.notes | subject.always
    assert subject.observe() == kept.before
    # A second one finds all as it should be.
    assert set(kept.keeper.restore(kept.folder).notes) == subject.always
    assert subject.observe() == kept.before


@pytest.mark.restarts
def test_a_restore_that_was_killed_is_done_by_the_next(
    subject: Subject, part: float, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    for harm in next(iter(subject.rounds.values())).values():
        harm(subject)
    with monkeypatch.context() as patch:
        subject.killed(kept.keeper, part, patch)
        with pytest.raises(KeyboardInterrupt):
            kept.keeper.restore(kept.folder)
    if not subject.stops:
        assert subject.observe() != kept.before
    restored = subject.place.keeper().restore(kept.folder)
    assert restored.records == kept.records
    assert set(restored.notes) >= subject.always
    assert subject.observe() == kept.before


def test_a_damaged_package_is_refused_before_the_store_is_touched(subject: Subject, kept: Backup) -> None:
    if not subject.stops:
        # So that a restore that was begun would be seen.
        subject.add()
    before, calls = subject.observe(), len(subject.watched.calls)
    for how in SPOILED:
        with spoiled(kept.folder, how) as told, pytest.raises(ActionFailed, match=told):
            kept.keeper.restore(kept.folder)
        assert len(subject.watched.calls) == calls, how
    assert subject.observe() == before


@pytest.mark.only("strangers")
def test_a_package_of_another_target_is_refused(
    subject: Subject, kept: Backup, subtests: pytest.Subtests
) -> None:
    subject.add()
    before = subject.observe()
    for stranger, changes in subject.strangers.items():
        with subtests.test(stranger):
            with pytest.raises(ActionFailed, match=stranger):
                subject.place.but(**changes).keeper().restore(kept.folder)
            assert subject.observe() == before


@pytest.mark.restarts
def test_what_was_dropped_stops_no_copy_before_a_restore(
    subject: Subject, kept: Backup, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for what in subject.drops:
        with subtests.test(what):
            if subject.observe() != kept.before:
                kept.keeper.restore(kept.folder)
            _expect_kept_safe(subject, what, kept, tmp_path / what)


def _expect_kept_safe(subject: Subject, what: str, kept: Backup, folder: Path) -> None:
    records = subject.drop(what)
    dropped = subject.observe()
    refused, safety = folder / "refused", folder / "safety"
    refused.mkdir(parents=True)
    safety.mkdir()
    # A server that another test has started again may have another port.
    keeper = subject.place.keeper()
    if subject.refusal:
        with pytest.raises(Unverifiable, match=subject.refusal):
            keeper.back_up(refused)
        assert not (refused / MANIFEST).exists()
    assert keeper.keep_safe(safety, up=True, backup=kept.folder).records == records
    keeper.restore(kept.folder)
    assert subject.observe() == kept.before
    # And back to what was there before that.
    keeper.restore(safety)
    assert subject.dropped() == dropped
    assert subject.unlisted() == kept.unlisted


def test_no_secret_is_in_a_package_or_on_a_command_line(subject: Subject, kept: Backup) -> None:
    if not subject.stops:
        kept.keeper.restore(kept.folder)
    secrets = subject.place.secrets()
    assert bool(secrets) is subject.locked
    commands = [call for call in subject.watched.calls if call[0] == "run"]
    assert bool(commands) is subject.programs
    for secret in secrets:
        assert secret not in repr(subject.watched.calls)
        for file in (path for path in kept.folder.rglob("*") if path.is_file()):
            assert secret.encode() not in file.read_bytes(), file.name


@pytest.mark.usefixtures("kept")
def test_steps_of_a_backup_share_its_deadline(subject: Subject) -> None:
    """Each step in the store's containers has what the steps before it left."""
    steps = {"run", "save_volumes"}
    given = [named["deadline"] for name, _, named in subject.watched.calls if name in steps]
    assert bool(given) is (subject.programs or subject.stops)
    assert all(seconds < WHOLE_SECONDS for seconds in given)


@pytest.mark.only("served")
def test_a_server_that_does_not_answer_fails_at_the_deadline(
    subject: Subject, kept: Backup, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    calls = len(subject.watched.calls)
    for way in ways_of(subject):
        new = tmp_path / way
        new.mkdir()
        with subtests.test(way), place_that(subject.place, way) as away:
            keeper = away.keeper(deadline=DEADLINE)
            # One that is stopped by its keeper is reached only when it has started again.
            tried = ((keeper.back_up, new), (keeper.restore, kept.folder))[: 2 - subject.stops]
            for call, folder in tried:
                with pytest.raises(Unverifiable, match="HINT: ") as failure:
                    call(folder)
                for secret in (WRONG, *subject.place.secrets()):
                    assert secret not in str(failure.value)
            assert not (new / MANIFEST).exists()
    assert len(subject.watched.calls) == calls
    assert subject.observe() == kept.before


@pytest.mark.restarts
@pytest.mark.only("disturbed")
@pytest.mark.usefixtures("kept")
def test_a_backup_that_a_write_disturbs_is_refused(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = subject.place.keeper()
    subject.disturb(keeper, monkeypatch)
    with pytest.raises(ActionFailed, match=subject.disturbed):
        keeper.back_up(tmp_path)
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.only("overtaken")
def test_a_write_before_its_verification_fails_a_restore(
    subject: Subject, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = subject.place.keeper()
    with monkeypatch.context() as patch:
        subject.overtake(keeper, patch)
        with pytest.raises(ActionFailed, match=subject.overtaken):
            keeper.restore(kept.folder)
    keeper.restore(kept.folder)
    assert subject.observe() == kept.before
