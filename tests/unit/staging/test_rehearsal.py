"""Rehearsals in a row: each on a stack of its own, over the records that those before it left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from reports.terminal.progress import Progress
from rollback_actions import check_run
from rollback_actions.backup import whole_backup
from rollback_actions.gate import rehearsal
from rollback_actions.session.journal import Journal
from rollback_actions.session.lock import open_lock
from rollback_actions.session.session import Recorder
from rollproof.backups.newest_backup import newest_backup
from rollproof.baseline.known_good import current_baseline
from rollproof.errors import ActionFailed, ExitCode
from rollproof.git.repository import head
from rollproof.incident.incident import Incident, load_incident, new_incident
from rollproof.incident.journal import verify_journal
from rollproof.incident.rehearsals import ENDED, WRITES
from rollproof.incident.trials import Part
from rollproof.migrations.effects import Effects
from rollproof.monitoring.rollback_request import Kind, RollbackRequest
from rollproof.planning import rollback_trial
from rollproof.planning.rollback_trial import RollbackTrial
from rollproof.planning.unfinished import Unfinished, unfinished_of
from rollproof.profile.profile import load_target
from rollproof.record_names import JOURNAL, UNFINISHED, VERDICT
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from staging.rehearsal import rehearsal as staged
from staging.rehearsal.live_users import Account, LiveUsers
from staging.rehearsal.users_data import Fates
from staging.releases.release_repository import Releases
from staging.stack.stack import Stack
from tests.unit.command_line import Ran
from tests.unit.lock_stand_in import StandInPlace
from tests.unit.sandbox import SERVICES, Deployed, Sandbox, facts, git, make_rollable
from tests.unit.sandbox import Releases as SandboxReleases
from tests.unit.saved_baseline import save_baseline
from tests.unit.word_store import readable

SAVED = "\n[premigration.state]\ncommit_file = 'commit.txt'\n"
DEPLOY = "\n[premigration.rehearsal]\ndeploy = [['deploy', '{commit}']]\n"


class KilledError(Exception):
    """The process ended here."""


def _passed() -> ExitCode:
    return ExitCode.VERIFIED


def _failed() -> ExitCode:
    return ExitCode.FAILED


def _killed() -> ExitCode:
    raise KilledError


class Rehearsed:
    """Rehearses on the sandbox as `./run rehearsal` does on its stack: the checks are stand-ins.

    Those of the gate are the rollback trial's own, and see that backup and baseline are of this rehearsal.
    `verification` is how phases 1 to 4 end, `migrated` how those of the migrated target do, `restarted` how
    those after the restart.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.verification: Callable[[], ExitCode] = _passed
        self.migrated: Callable[[], ExitCode] = _failed  # the migration did its damage
        self.restarted: Callable[[], ExitCode] = _passed
        self.refused: list[str] = []

    def __call__(self) -> tuple[Path, Verdict]:
        with Progress() as progress, readable(self.sandbox.keepers):
            incident, verdict, _ = staged.Rehearsal(Stack(self.sandbox.folder), progress).run(1.0)
        return incident.folder, verdict

    def bring_up(self, *_: object) -> Releases:
        """Have a new stack, on release 1, whose stores are as they were seeded."""
        for keeper in self.sandbox.keepers.values():
            keeper.words, keeper.dead = {"a": "of release 1", "b": "of both"}, False
        self._run_on(self.sandbox.commit)
        return Releases(self.sandbox.commit, self.sandbox.bad)

    def migrate(self, *_: object, **__: object) -> None:
        for keeper in self.sandbox.keepers.values():
            keeper.words = {"a": "of release 2"}
        self._run_on(self.sandbox.bad)

    def respond(self, incident: Incident) -> Verdict:
        """Roll back and verify as the response does, in this process."""
        sandbox = self.sandbox
        with self.rehearsed(incident) as rehearsed:
            rehearsed._roll_back(sandbox.commit)
            return rehearsed._verify()

    @contextmanager
    def rehearsed(self, incident: Incident) -> Iterator[rehearsal.Rehearsal]:
        """Rehearse the migration in an incident under the lock, as `rollproof rehearse` does."""
        target = self.sandbox.target
        with Progress() as progress, open_lock(target, "rehearsal") as lock, readable(self.sandbox.keepers):
            journal = Journal(incident.folder / JOURNAL, str)
            steps = Recorder(journal, progress, lock.require)
            yield rehearsal.Rehearsal(target, self.sandbox.profile, self.sandbox.bad, incident, steps)

    def check(self, markers: str, *options: str, quiet: bool = False) -> ExitCode:
        if "step1" in markers:
            return self._gate()
        if quiet:
            return self.restarted() if "-restarted" in options[0] else self.migrated()
        folder = self.sandbox.target.folders.incidents / options[0].partition("=")[2]
        code = self.verification()
        (folder / VERDICT).write_text("{}")
        if code is ExitCode.VERIFIED:
            load_incident(folder).close()
        return code

    def _gate(self) -> ExitCode:
        target = self.sandbox.target
        baseline = current_baseline(target)
        assert newest_backup(target.folders.backups, target.name).commit == self.sandbox.commit
        trial = RollbackTrial(target, baseline)
        found = [trial.of(part).problem for part in Part]
        self.refused = [str(problem) for problem in found if problem is not None]
        return ExitCode.FAILED if self.refused else ExitCode.VERIFIED

    def _run_on(self, commit: str) -> None:
        git(self.sandbox.target.application.repository, "checkout", "--quiet", "--detach", commit)
        self.sandbox.engine.containers.return_value = dict.fromkeys(SERVICES, (Deployed(commit),))


@pytest.fixture
def rehearse(
    tmp_path: Path, releases: SandboxReleases, monkeypatch: pytest.MonkeyPatch, place: StandInPlace
) -> Rehearsed:
    sandbox = make_rollable(tmp_path, releases, monkeypatch)
    sandbox.profile.write_text(sandbox.profile.read_text() + SAVED + DEPLOY)
    sandbox.target = load_target(sandbox.profile)
    sandbox.control.described.return_value = frozenset(SERVICES)
    rehearsed = Rehearsed(sandbox)

    def captured(*_: object) -> Path:
        return save_baseline(sandbox.target.folders.baselines, sandbox.target.name, facts(sandbox.commit))

    monkeypatch.setattr(Stack, "profile", sandbox.profile)
    monkeypatch.setattr(staged, "find_allure", lambda _: None)
    monkeypatch.setattr(staged, "bring_up_application", rehearsed.bring_up)
    monkeypatch.setattr(staged, "team_channel", lambda _: nullcontext(Mock()))
    monkeypatch.setattr(staged, "lived_in", lambda *_: nullcontext())
    monkeypatch.setattr(LiveUsers, "running", nullcontext)
    monkeypatch.setattr(staged, "operators_of", nullcontext)
    monkeypatch.setattr(staged, "fates_of", lambda *_: Fates(Account()))
    monkeypatch.setattr(staged.Rehearsal, "_monitor", lambda _: nullcontext())
    monkeypatch.setattr(staged.Rehearsal, "_tell_the_team", lambda *_: None)
    monkeypatch.setattr(staged.Rehearsal, "_wait_for", lambda *_: None)
    monkeypatch.setattr(staged.Rehearsal, "_investigate", lambda *_: None)
    monkeypatch.setattr(staged.Rehearsal, "_require_damage", lambda *_: None)
    monkeypatch.setattr(staged.Rehearsal, "_respond", lambda _, incident, __: rehearsed.respond(incident))
    monkeypatch.setattr(staged.Rehearsal, "_command", lambda *_: None)
    monkeypatch.setattr(rehearsal, "open_engine", lambda _: sandbox.engine)
    monkeypatch.setattr(whole_backup, "open_keepers", lambda *_: sandbox.keepers)
    monkeypatch.setattr(rehearsal, "capture", captured)
    monkeypatch.setattr(rehearsal, "effects_of", lambda *_: Effects(lost=("records of release 1",)))
    monkeypatch.setattr(rehearsal, "run_command", rehearsed.migrate)
    monkeypatch.setattr(rehearsal, "tally", lambda *_: SimpleNamespace(verdict=Verdict.PASSED))
    monkeypatch.setattr(rehearsal, "ComposeControl", lambda _: sandbox.control)
    monkeypatch.setattr(rollback_trial, "ComposeProject", lambda _: sandbox.control)
    monkeypatch.setattr(
        check_run, "run_checks", lambda _, __, *words, **more: rehearsed.check(*words, **more)
    )
    assert place.kept == {}
    return rehearsed


def _rollback_fails(rehearse: Rehearsed) -> None:
    """Its first rehearsal could not restore a store: the stack is taken down with that half done."""

    def lost() -> None:
        raise ActionFailed(what="restore", expected="a", observed="no answer", source="b", hint="c")

    redis = rehearse.sandbox.keepers["redis"]
    redis.meanwhile = lost
    with pytest.raises(ActionFailed, match="no answer"):
        rehearse()
    redis.meanwhile = lambda: None


def _is_killed(rehearse: Rehearsed) -> None:
    rehearse.verification = _killed
    with pytest.raises(KilledError):
        rehearse()
    rehearse.verification = _passed


def _was_left_by_hand(rehearse: Rehearsed) -> None:
    """Somebody tried rollbacks on an earlier stack: one was cut off, and nobody has verified the other."""
    sandbox = rehearse.sandbox
    target = sandbox.target
    cut_off, done = (new_incident(target.folders.incidents, target.name) for _ in range(2))
    Unfinished.begin(cut_off, RollbackRequest(Kind.DATABASE, sandbox.commit, ("mysql",)), "current")
    baseline = current_baseline(target).id
    unfinished = Unfinished.begin(done, RollbackRequest(Kind.EMERGENCY, sandbox.commit), baseline)
    done.write_rollback(unfinished.outcome(Verdict.PASSED, Moment.now()))
    unfinished.end()


def test_any_number_of_rehearsals_in_a_row_pass_whatever_the_last_came_to(rehearse: Rehearsed) -> None:
    target = rehearse.sandbox.target
    for last in (_is_killed, _rollback_fails, _was_left_by_hand):
        last(rehearse)
        folder, verdict = rehearse()
        assert rehearse.refused == []
        assert verdict is Verdict.PASSED
        assert [record["event"] for record in verify_journal(folder / JOURNAL)[-2:]] == [ENDED, WRITES]
        assert load_incident(folder).closed
        # What an earlier stack left to be resumed is nobody's any more.
        assert unfinished_of(target.folders.incidents, target.name) == []
    assert not list(target.folders.incidents.glob(f"*/{UNFINISHED}"))


@pytest.mark.parametrize("starts", [True, False], ids=["starts", "does not start"])
def test_the_old_code_is_tried_on_the_migrated_data_before_that_goes_back(
    rehearse: Rehearsed, *, starts: bool
) -> None:
    sandbox, seen = rehearse.sandbox, list[tuple[str, dict[str, str]]]()

    def up(*_: object, **__: object) -> None:
        seen.append((head(sandbox.target.application.repository), dict(sandbox.keepers["redis"].words)))
        if len(seen) == 1 and not starts:
            raise ActionFailed(what="start", expected="a", observed="exited (1)", source="b", hint="c")

    sandbox.control.recreate.side_effect = up
    rehearse.migrated = _passed
    rehearse.bring_up()
    incident = new_incident(sandbox.target.folders.incidents, sandbox.target.name)
    with rehearse.rehearsed(incident) as rehearsed:
        assert rehearsed.run().old_code is (Verdict.PASSED if starts else Verdict.FAILED)
    assert seen[0] == (sandbox.commit, {"a": "of release 2"})
    assert seen[-1] == (sandbox.commit, {"a": "of release 1", "b": "of both"})
    (journal,) = sandbox.target.folders.incidents.glob(f"*/{JOURNAL}")
    ended = verify_journal(journal)[-1]
    assert ended["old_code"] == ("passed" if starts else "failed")
    assert (ended["migrated"], ended["rolled_back"]) == ("passed", "passed")


def test_a_rollback_that_holds_until_it_is_restarted_has_not_passed(
    rehearse: Rehearsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearse.restarted = _failed
    folder, verdict = rehearse()
    assert verdict is Verdict.FAILED
    assert verify_journal(folder / JOURNAL)[-2]["rolled_back"] == "failed"
    control = rehearse.sandbox.control
    writers, others, stores = [call.args[0] for call in control.stop.call_args_list[-3:]]
    started = [call.args[0] for call in control.start.call_args_list[-2:]]
    assert sorted(stores) == sorted(started[0])
    assert sorted(writers + others) == sorted(started[1])
    assert writers == [*rehearse.sandbox.target.application.writers]
    assert started[1] == [*rehearse.sandbox.target.application.services]
    down = ActionFailed(what="start", expected="a", observed="b", source="c", hint="d")
    monkeypatch.setattr(rehearsal, "restart", Mock(side_effect=down))
    assert rehearse()[1] is Verdict.FAILED


def test_one_that_is_written_off_is_not_resumed_and_not_passed(rehearse: Rehearsed) -> None:
    _rollback_fails(rehearse)
    target = rehearse.sandbox.target
    (left,) = unfinished_of(target.folders.incidents, target.name)
    rehearse()
    assert unfinished_of(target.folders.incidents, target.name) == []
    assert Verdict.PASSED not in left.incident.rollback_verdicts()


LOSS, UNREAD = Effects(lost=("a table",)), Effects(unknown=("a store",))


@pytest.mark.parametrize(
    ("checks", "effects", "old_code", "rolled_back", "code"),
    [
        (Verdict.PASSED, Effects(noted=("a column",)), Verdict.PASSED, Verdict.PASSED, ExitCode.VERIFIED),
        (Verdict.FAILED, Effects(), Verdict.BROKEN, Verdict.PASSED, ExitCode.FAILED),
        (Verdict.PASSED, LOSS, Verdict.PASSED, Verdict.PASSED, ExitCode.FAILED),
        (Verdict.PASSED, UNREAD, Verdict.PASSED, Verdict.PASSED, ExitCode.BROKEN),
        (Verdict.PASSED, Effects(), Verdict.FAILED, Verdict.PASSED, ExitCode.FAILED),
        (Verdict.BROKEN, Effects(), Verdict.BROKEN, Verdict.FAILED, ExitCode.FAILED),
        (Verdict.PASSED, Effects(), Verdict.PASSED, Verdict.BROKEN, ExitCode.BROKEN),
    ],
)
def test_the_command_ends_as_the_worst_of_all_verdicts(
    run: Ran,
    monkeypatch: pytest.MonkeyPatch,
    checks: Verdict,
    effects: Effects,
    old_code: Verdict,
    rolled_back: Verdict,
    code: ExitCode,
) -> None:
    outcome = rehearsal.RehearsalOutcome(checks, effects, old_code, rolled_back)
    monkeypatch.setattr(rehearsal, "require_rehearsable", lambda *_: "c" * 40)
    monkeypatch.setattr(rehearsal.Rehearsal, "run", lambda _: outcome)
    said = run("rehearse", "c" * 40, code=code)
    assert f"after the migration: {checks}\n" in said
    assert f"rollback: {rolled_back}\n" in said
