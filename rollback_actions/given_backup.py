"""The pytest fixtures of step 1: the newest backup set, and what came of trying it, once for all of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

import pytest

from fixtures.baseline import Baseline
from fixtures.errors import Mismatch, Problem, Unverifiable
from fixtures.files import canonical_json, write_whole
from fixtures.kept_backups import KeptSet, KeptStore, KeptStoreOf
from fixtures.rounds import Wrong, answer_of, ask_all
from fixtures.target import Target
from fixtures.trials import Trial, TrialOfStore, of_problem
from fixtures.verification import VERIFICATION, verification_of

if TYPE_CHECKING:
    from rollback_actions.backup import BackupSet


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a check of a trial the time that the profile gives the trial."""
    verification = item.config.stash.get(VERIFICATION, None)
    if verification is not None and "restored" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.timeout(verification.target.premigration.scratch.whole_seconds))


@pytest.fixture(scope="session")
def _backup(target: Target) -> BackupSet:
    # Keepers and their drivers are for these checks alone: a run of another stage does not wait for them.
    from rollback_actions.newest_backup import newest_backup  # noqa: PLC0415

    return newest_backup(target.folders.backups, target.name)


@pytest.fixture(scope="session")
def backup_set(_backup: BackupSet) -> KeptSet:
    """The newest backup set of the target; without a complete one its checks fail."""
    return KeptSet(_backup.folder, _backup.commit, tuple(_backup.stores), _backup.taken)


@pytest.fixture(scope="session")
def kept_store(_backup: BackupSet, target: Target) -> KeptStoreOf:
    """Reads the backup of a store, by its name: all of it, once."""
    from rollback_actions.newest_backup import read_store  # noqa: PLC0415

    @cache
    def read(name: str) -> Mapping[str, KeptStore | Wrong]:
        return ask_all(
            [name], lambda name: read_store(_backup, name, target.stores[name]), question="read backup"
        )

    return lambda name: answer_of(read(name), name)


@pytest.fixture(scope="session")
def restored(
    _backup: BackupSet, target: Target, baseline: Baseline, pytestconfig: pytest.Config
) -> Callable[[str], TrialOfStore]:
    """Restores the set into a scratch instance and compares it; gives what came of one store, by its name.

    It is done once a run, by the first process that asks; the others wait for it.
    """
    from rollback_actions.file_lock import file_lock  # noqa: PLC0415

    verification = verification_of(pytestconfig)
    record = verification.incident.folder / "restores" / f"{verification.run.number:04d}.json"
    seconds = target.premigration.scratch.whole_seconds
    with file_lock(record.with_suffix(".lock"), "try a backup", wait_seconds=seconds):
        if not record.exists():
            write_whole(record, canonical_json(_tried(target, _backup, baseline).record()))
    trial = Trial.from_record(json.loads(record.read_bytes()))
    if (trial.backup, trial.baseline) != (_backup.folder.name, baseline.id):
        raise Unverifiable(
            what="backup set that was tried",
            expected=f"{_backup.folder.name}, against {baseline.id}",
            observed=f"{trial.backup}, against {trial.baseline}",
            source=str(record),
            hint="another one was made meanwhile: run the checks again",
        )
    return lambda name: trial.stores[name]


def _tried(target: Target, backup: BackupSet, baseline: Baseline) -> Trial:
    """Return what came of trying all of the set; what keeps it from being tried is so for every store."""
    from rollback_actions.restore_trial import try_backup  # noqa: PLC0415

    try:
        trial = try_backup(target, backup, baseline)
    except (Mismatch, Problem) as wrong:
        trial = Trial(backup.folder.name, baseline.id, dict.fromkeys(target.stores, of_problem(wrong)), 0.0)
    # Keys of records may be secrets themselves, such as tokens of sessions.
    return trial.in_words(target.redactor().text)
