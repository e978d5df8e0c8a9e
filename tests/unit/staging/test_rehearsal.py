"""A rehearsal: what the old code and a restart come to, its verdict, and images without a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from fixtures.target import known_commit
from rollback_actions import check_run
from rollback_actions.gate import rehearsal
from rollback_actions.gate.rehearsal import Rehearsal
from rollproof.baseline.facts import RecordedContainer
from rollproof.engines.engine import Container
from rollproof.errors import ActionFailed, ExitCode
from rollproof.git.repository import head
from rollproof.incident.journal import verify_journal
from rollproof.migrations.effects import Effects
from rollproof.profile.profile import load_target
from rollproof.record_names import JOURNAL
from rollproof.verdict import Verdict
from tests.unit.command_line import Ran
from tests.world.git import git
from tests.world.sandbox import SERVICES, Deployed, Sandbox, facts, steps_in

SAVED = "\n[premigration.state]\ncommit_file = 'commit.txt'\n"
DEPLOY = "\n[premigration.rehearsal]\ndeploy = [['deploy', '{commit}']]\n"


class Rehearsed:
    """Rehearses the sandbox's migration; `restarted` is how the checks after the restart end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.restarted = ExitCode.VERIFIED

    def __call__(self) -> tuple[rehearsal.RehearsalOutcome, dict[str, object]]:
        """Return what it came to, and the last record of its journal."""
        sandbox = self.sandbox
        for keeper in sandbox.keepers.values():
            keeper.words = {"a": "of release 1", "b": "of both"}
        self._run_on(sandbox.commit)
        incident = sandbox.new_incident()
        with steps_in(incident.folder / JOURNAL) as steps:
            outcome = Rehearsal(
                sandbox.target,
                sandbox.profile,
                sandbox.bad,
                incident,
                steps,
                sandbox.engine,
                sandbox.control,
                sandbox.outside,
            ).run()
        return outcome, verify_journal(incident.folder / JOURNAL)[-1]

    def migrate(self, *_: object, **__: object) -> None:
        for keeper in self.sandbox.keepers.values():
            keeper.words = {"a": "of release 2"}
        self._run_on(self.sandbox.bad)

    def check(self, _: object, __: object, ___: str, *options: str, **____: object) -> ExitCode:
        return self.restarted if "-restarted" in options[0] else ExitCode.VERIFIED

    def _run_on(self, commit: str) -> None:
        git(self.sandbox.target.application.repository, "checkout", "--quiet", "--detach", commit)
        self.sandbox.engine.containers.return_value = dict.fromkeys(SERVICES, (Deployed(commit),))


@pytest.fixture
def rehearse(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Rehearsed:
    sandbox.profile.write_text(sandbox.profile.read_text() + SAVED + DEPLOY)
    sandbox.target = load_target(sandbox.profile)
    rehearsed = Rehearsed(sandbox)

    def captured(*_: object) -> Path:
        return sandbox.save(facts(sandbox.commit))

    monkeypatch.setattr(rehearsal, "capture", captured)
    monkeypatch.setattr(rehearsal, "effects_of", lambda *_, **__: Effects())
    monkeypatch.setattr(rehearsal, "run_command", rehearsed.migrate)
    monkeypatch.setattr(rehearsal, "tally", lambda *_: SimpleNamespace(verdict=Verdict.PASSED))
    monkeypatch.setattr(check_run, "run_checks", rehearsed.check)
    return rehearsed


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
    outcome, ended = rehearse()
    assert outcome.old_code is (Verdict.PASSED if starts else Verdict.FAILED)
    assert seen[0] == (sandbox.commit, {"a": "of release 2"})
    assert seen[-1] == (sandbox.commit, {"a": "of release 1", "b": "of both"})
    assert ended["old_code"] == ("passed" if starts else "failed")
    assert (ended["migrated"], ended["rolled_back"]) == ("passed", "passed")


def test_a_rollback_that_holds_until_it_is_restarted_has_not_passed(
    rehearse: Rehearsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearse.restarted = ExitCode.FAILED
    outcome, ended = rehearse()
    assert outcome.rolled_back is Verdict.FAILED
    assert ended["rolled_back"] == "failed"
    control, application = rehearse.sandbox.control, rehearse.sandbox.target.application
    writers, others, stores = [call.args[0] for call in control.stop.call_args_list[-3:]]
    started = [call.args[0] for call in control.start.call_args_list[-2:]]
    assert sorted(stores) == sorted(started[0])
    assert (writers, sorted(writers + others)) == ([*application.writers], sorted(started[1]))
    assert started[1] == [*application.services]
    down = ActionFailed(what="start", expected="a", observed="b", source="c", hint="d")
    monkeypatch.setattr(rehearsal, "restart", Mock(side_effect=down))
    assert rehearse()[0].rolled_back is Verdict.FAILED


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


Found = Mapping[str, tuple[Deployed, ...]]
BEFORE: Found = {"backend": (Deployed(None, "a"),), "nginx": (Deployed(None, "n"),)}


def not_migrated(before: Found, found: Found) -> list[str]:
    application = SimpleNamespace(services=("backend", "nginx"))
    target = SimpleNamespace(engine=None, application=application)
    engine = SimpleNamespace(containers=lambda: found)
    given = cast("Rehearsal", SimpleNamespace(target=target, migration="new", engine=engine))
    return Rehearsal._not_migrated(given, cast("Mapping[str, tuple[Container, ...]]", before))


def test_images_without_labels_are_migrated_when_one_of_them_changed() -> None:
    assert not_migrated(BEFORE, {**BEFORE, "backend": (Deployed(None, "b"),)}) == []
    # A service may have a label among others without one.
    labelled = {**BEFORE, "backend": (Deployed("new", "b"),)}
    assert not_migrated(BEFORE, {**labelled, "nginx": (Deployed(None, "m"),)}) == []


def test_images_without_labels_that_are_those_of_before_are_not_migrated() -> None:
    assert not_migrated(BEFORE, BEFORE) == ["backend, nginx (the images of before, without a label)"]
    old = {**BEFORE, "backend": (Deployed("old", "b"),), "nginx": (Deployed(None, "m"),)}
    assert not_migrated(BEFORE, old) == ["backend (old)"]
    assert not_migrated(BEFORE, {"nginx": (Deployed(None, "m"),)}) == ["backend (no container)"]


def test_without_a_label_the_image_stands_for_its_commit() -> None:
    recorded = RecordedContainer("backend", "t-backend-1", "t/backend:current", "sha256:1", None, None, ())
    other = replace(recorded, image_id="sha256:2")
    labelled = replace(recorded, revision="c" * 40)
    assert known_commit(recorded) == "that of image sha256:1" != known_commit(other)
    assert known_commit(labelled) == "c" * 40 == known_commit(replace(labelled, image_id="sha256:2"))
