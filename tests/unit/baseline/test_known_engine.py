"""A backup of another engine is refused: a rollback would put its data in place of the target's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from fixtures.baseline.facts import Surroundings
from fixtures.baseline.known_engine import match_engine, require_engine
from fixtures.baseline.known_good import current_baseline
from fixtures.doctor.capture import capture
from fixtures.errors import UsageProblem
from fixtures.target.profile import Target
from reports.terminal.progress import Progress
from rollback_actions.backup import whole_backup
from rollback_actions.session.journal import Journal
from rollback_actions.session.steps import Recorder
from tests.unit.sandbox import Sandbox
from tests.unit.saved_baseline import save_baseline


def captured_on(sandbox: Sandbox, engine: str) -> None:
    """Make a baseline the current one that was captured on `engine`."""
    facts = replace(current_baseline(sandbox.target).facts, surroundings=Surroundings("0", engine=engine))
    save_baseline(sandbox.target.folders.baselines, sandbox.target.name, facts)


def pinned(target: Target, engine: str) -> Target:
    """Return `target` with a profile that names its engine."""
    return target.model_copy(update={"engine": target.engine.model_copy(update={"id": engine or None})})


@contextmanager
def steps_of(sandbox: Sandbox) -> Iterator[Recorder]:
    """Give the steps of a command, with a journal beside the target."""
    with Progress() as progress:
        yield Recorder(Journal(sandbox.folder / "journal.jsonl", str), progress, lambda: None)


@pytest.mark.parametrize(
    ("recorded", "pin", "now", "backup", "baseline"),
    [
        ("AAAA", "", "AAAA", True, True),
        # Who captures anew says that this is the target's engine now; who backs up does not.
        ("AAAA", "", "BBBB", False, True),
        ("AAAA", "BBBB", "BBBB", True, True),
        ("AAAA", "BBBB", "AAAA", False, False),
        ("", "BBBB", "AAAA", False, False),
        ("", "", "AAAA", True, True),
        ("AAAA", "", "", False, True),
    ],
)
def test_who_works_on_another_engine_is_refused(
    sandbox: Sandbox, recorded: str, pin: str, now: str, *, backup: bool, baseline: bool
) -> None:
    captured_on(sandbox, recorded)
    sandbox.engine.id.return_value = now
    target = pinned(sandbox.target, pin)
    for captured, allowed in ((True, backup), (False, baseline)):
        if allowed:
            require_engine(target, sandbox.engine, captured=captured)
            continue
        with pytest.raises(UsageProblem) as refused:
            require_engine(target, sandbox.engine, captured=captured)
        assert f"expected the target's, {pin or recorded}, observed another one, {now}" in str(refused.value)
        assert f'id = "{now}" in [engine] of the profile' in str(refused.value)


def test_an_engine_is_not_asked_where_nobody_knows_the_target_s(sandbox: Sandbox) -> None:
    captured_on(sandbox, "")
    assert match_engine(sandbox.target, sandbox.engine, current_baseline(sandbox.target)).holds
    sandbox.engine.id.assert_not_called()


def test_a_backup_of_another_engine_writes_nothing(sandbox: Sandbox) -> None:
    captured_on(sandbox, "AAAA")
    sandbox.engine.id.return_value = "BBBB"
    before = sorted(sandbox.target.folders.backups.iterdir())
    with steps_of(sandbox) as steps, pytest.raises(UsageProblem, match="observed another one, BBBB"):
        whole_backup.back_up(sandbox.target, sandbox.commit, sandbox.engine, sandbox.control, steps)
    assert sorted(sandbox.target.folders.backups.iterdir()) == before


def test_a_capture_on_another_engine_than_the_profile_s_writes_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.engine.id.return_value = "BBBB"
    monkeypatch.setattr("fixtures.doctor.capture.open_engine", lambda _: sandbox.engine)
    before = sorted(sandbox.target.folders.baselines.iterdir())
    with steps_of(sandbox) as steps, pytest.raises(UsageProblem, match="observed another one, BBBB"):
        capture(pinned(sandbox.target, "AAAA"), steps)
    assert sorted(sandbox.target.folders.baselines.iterdir()) == before
