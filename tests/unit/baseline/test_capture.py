"""The capture of a baseline: what is missing, and collections that users make meanwhile."""

from __future__ import annotations

import pytest

from rollproof.doctor import capture
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Endpoint
from rollproof.errors import Mismatch
from rollproof.profile.mistakes import UNANSWERED
from tests.world.sandbox import Sandbox, stand_in, steps_in


def test_nobody_is_logged_in_under_a_name_that_is_left_to_answer(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in(ComposeEngine)
    engine.containers.return_value, engine.resolve.return_value = {}, Endpoint("127.0.0.1", 9)
    canary = sandbox.target.application.canary.model_copy(update={"user": UNANSWERED})
    application = sandbox.target.application.model_copy(update={"canary": canary})
    target = sandbox.target.model_copy(update={"application": application})

    def in_use(*_: object, **__: object) -> None:
        raise AssertionError("the canary is about to log in")

    monkeypatch.setattr(capture, "canary_in_use", in_use)
    with (
        steps_in(sandbox.folder / "journal.jsonl") as steps,
        pytest.raises(Mismatch, match="change-me for application"),
    ):
        capture.capture(target, steps, engine)
