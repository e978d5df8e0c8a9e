"""A backup of another engine is refused: a rollback would put its data in place of the target's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollproof.baseline.facts import Surroundings
from rollproof.baseline.known_good import current_baseline, match_engine, require_engine
from rollproof.errors import ExitCode, Unverifiable, UsageProblem
from tests.unit.command_line import Ran
from tests.world.sandbox import Sandbox

SILENT = Unverifiable(what="ID", expected="a", observed="403", source="b", hint="c")


def captured_on(sandbox: Sandbox, engine: str) -> None:
    """Make a baseline the current one that was captured on `engine`."""
    facts = replace(current_baseline(sandbox.target).facts, surroundings=Surroundings("0", engine=engine))
    sandbox.save(facts)


@pytest.mark.parametrize(
    ("newest", "earlier", "pin", "now", "known"),
    [
        ("AAAA", "", "", "AAAA", "AAAA"),
        ("AAAA", "", "", "BBBB", "AAAA"),
        ("AAAA", "", "", "", "AAAA"),
        # The newest word about the target counts: the profile's, then that of the last capture.
        ("AAAA", "", "BBBB", "AAAA", "BBBB"),
        ("AAAA", "", "BBBB", "BBBB", "BBBB"),
        ("BBBB", "AAAA", "", "BBBB", "BBBB"),
        ("BBBB", "AAAA", "", "AAAA", "BBBB"),
        # It was captured again on an engine without an ID, such as Podman's.
        ("", "AAAA", "", "", ""),
        ("", "AAAA", "BBBB", "", "BBBB"),
    ],
)
def test_who_works_on_another_engine_is_refused(
    sandbox: Sandbox, newest: str, earlier: str, pin: str, now: str, known: str
) -> None:
    """`earlier` is the baseline that a rollback goes back to, an older one than the current."""
    captured_on(sandbox, earlier)
    older = current_baseline(sandbox.target)
    captured_on(sandbox, newest)
    sandbox.engine.id.return_value = now
    named = sandbox.target.engine.model_copy(update={"id": pin or None})
    target = sandbox.target.model_copy(update={"engine": named})
    assert match_engine(target, sandbox.engine, older).known == known
    if known in {"", now}:
        assert require_engine(target, sandbox.engine, older) == ""
        assert require_engine(target, sandbox.engine, older, capturing=True) == ""
        return
    with pytest.raises(UsageProblem) as refused:
        require_engine(target, sandbox.engine, older)
    told = str(refused.value)
    assert f"expected the target's, {known}, observed another one, {now or 'without ID'}" in told
    assert ("in [engine] of the profile" in told) is bool(now)
    if pin:
        with pytest.raises(UsageProblem):
            require_engine(target, sandbox.engine, older, capturing=True)
    else:
        said = require_engine(target, sandbox.engine, older, capturing=True)
        assert said == f"container engine: {now or 'one without ID'}, and {known} at the last capture"


def test_an_engine_that_does_not_tell_its_id_is_none_that_is_known(sandbox: Sandbox) -> None:
    captured_on(sandbox, "AAAA")
    sandbox.engine.id.side_effect = SILENT
    with pytest.raises(Unverifiable, match="observed 403"):
        require_engine(sandbox.target, sandbox.engine)


@pytest.mark.parametrize("command", [("backup",), ("rollback", "service", "backend"), ("rehearse", "HEAD~1")])
def test_a_command_on_another_engine_leaves_nothing_there(
    run: Ran, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Not even a lock: that is a volume of the engine."""
    captured_on(run.sandbox, "AAAA")
    run.sandbox.engine.id.return_value = "BBBB"
    with run.sandbox.profile.open("a") as profile:
        profile.write('\n[premigration.rehearsal]\ndeploy = [["true"]]\n')
    for module in ("rollback_actions.session.session", "rollback_actions.rollback.rollback_run"):
        monkeypatch.setattr(f"{module}.open_engine", lambda _: run.sandbox.engine)
    before = sorted(run.sandbox.target.folders.incidents.glob("**"))
    assert "observed another one, BBBB" in run(*command, code=ExitCode.USAGE)
    assert sorted(run.sandbox.target.folders.incidents.glob("**")) == before
