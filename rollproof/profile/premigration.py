"""The profile's demands for the pre-migration gate. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, StringConstraints

from rollproof.profile.sections import Model
from rollproof.redaction.secret import ExistingFile, ProfilePath, Secret

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, le=7 * 24 * 3600)]

# Time for creating and ending the instance, in addition to the restore.
_EXTRA_SECONDS = 120.0


class Backups(Model):
    """Demands on backups."""

    age_seconds: PositiveInt = 6 * 3600
    """Seconds that a backup may be old."""
    skew_seconds: PositiveInt = 300
    """Seconds that the stores' backups may be apart."""
    tolerance_percent: Annotated[float, Field(ge=0, lt=100)] = 5.0
    """Percent of records by which a backup may differ from its source, which keeps changing."""
    replay_seconds: PositiveInt = 24 * 3600
    """Seconds that a log must keep its records."""


class ScratchProfile(Model):
    """The scratch instance for restoring a backup, next to the target.

    It is made from the engine's compose files, without published ports.
    """

    files: tuple[ExistingFile, ...] = ()
    """Compose files that are merged after the engine's.

    They have values that must differ there, such as the address that a broker advertises.
    """
    seconds: Seconds = 300.0
    """Seconds that restoring and comparing may take together."""

    @property
    def whole_seconds(self) -> float:
        """Seconds from the first step of creating the instance to the last step of its end."""
        return self.seconds + _EXTRA_SECONDS


class SavedState(Model):
    """The state that is recorded before a migration; `rollproof.git.repository` reads and writes it."""

    commit_file: ProfilePath | None = None
    """File for the commit; by default one of this target in the user's state folder."""
    migrations: tuple[Text, ...] = ("*.sql", "*/versions/*.py")
    """Patterns of the files that change data, by their paths in the repository."""


class Monitoring(Model):
    """The monitor's beat, and the regularity of its last samples."""

    beat_seconds: Seconds = 5.0
    """Seconds from one sample to the next."""
    samples: PositiveInt = 6
    """Newest samples of which none may be missing; the last is at most two beats old."""


class Team(Model):
    """The people who must be informed, and the document for them."""

    channels: tuple[Secret, ...] = ()
    """Apprise URLs of the team, each a secret."""
    on_call: tuple[Text, ...] = ()
    """Engineers who may acknowledge; anybody may if it is empty."""
    acknowledged_seconds: PositiveInt = 4 * 3600
    """Seconds that an acknowledgement holds."""
    delivery_seconds: Seconds = 20.0
    """Seconds that one message may take."""
    document: ProfilePath | None = None
    """The change document."""
    sections: tuple[Text, ...] = ("Expected changes", "Impact", "Rollback plan")
    """Headings that it must have."""


class Rehearsals(Model):
    """The records of rehearsals, their validity, and the commands that deploy a commit for one."""

    target: str | None = None
    """Name of the staging target; by default the target itself."""
    incidents: ProfilePath | None = None
    """Folder of its records; by default the target's own."""
    days: PositiveInt = 7
    """Days that a rehearsal counts."""
    deploy: tuple[Annotated[tuple[Text, ...], Field(min_length=1)], ...] = ()
    """Commands that deploy a commit, word by word, run in the repository without a shell.

    `{commit}` is its full id.
    """
    deploy_seconds: Seconds = 900.0
    """Seconds that they may take together; and those that the old code may take to start after them."""


class Waiver(Model):
    """A person's word that an item need not hold."""

    item: Annotated[str, Field(pattern=r"^test_")]
    """Name of a check, or a pattern of names.

    For example `test_migration_lost_nothing` or `test_backup_is_recent[[]redis]`.
    """
    name: Text
    """Who waives it."""
    reason: Text
    """Why, as every report shows it."""
    expires: date
    """The last day on which it holds (UTC)."""

    def covers(self, check: str) -> bool:
        """Return whether it is for that check: by its name with all its cases, one case, or a pattern."""
        return self.item in {check, name_of(check)} or fnmatchcase(check, self.item)

    def holds(self, today: date | None = None) -> bool:
        """Return whether it has not expired."""
        return (today or datetime.now(UTC).date()) <= self.expires


def name_of(check: str) -> str:
    """Return the name of a check without its case: ``test_one`` of ``test_one[redis]``."""
    return check.split("[", maxsplit=1)[0]


def waiver_of(waivers: Iterable[Waiver], check: str) -> Waiver | None:
    """Return the first waiver that covers `check` and has not expired."""
    return next((waiver for waiver in waivers if waiver.covers(check) and waiver.holds()), None)


class Premigration(Model):
    """The demands that must hold before a migration is promoted."""

    tier: Literal["light", "full"] = "full"
    """How much is demanded; `light` does without the trial of a restore and without a rehearsal."""
    backup: Backups = Backups()
    """Demands on backups."""
    scratch: ScratchProfile = ScratchProfile()
    """The instance that a backup is tried in."""
    state: SavedState = SavedState()
    """The state that is recorded before a migration."""
    monitoring: Monitoring = Monitoring()
    """The monitor's beat."""
    team: Team = Team()
    """Who must know of the migration."""
    rehearsal: Rehearsals = Rehearsals()
    """Rehearsals that count."""
    waivers: tuple[Waiver, ...] = ()
    """Items that need not hold, by a person's word."""
