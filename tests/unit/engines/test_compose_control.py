"""Starting containers: their health is waited for by one question to the engine a round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback_actions.containers import compose
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines import compose_project
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Container
from rollproof.profile.profile import Engine
from tests.world.containers import container
from tests.world.sandbox import stand_in


@pytest.fixture
def engine() -> Any:  # noqa: ANN401 - a mock
    """The stand-in of the engine that a control asks."""
    return stand_in(ComposeEngine)


def _told(**changes: Any) -> dict[str, tuple[Container, ...]]:  # noqa: ANN401
    return {"once": (container(**changes),)}


def test_what_other_files_describe_stays_whatever_compose_is_told(
    engine: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = f"sha256:{'1' * 64}"
    engine.containers.side_effect = lambda: _told(image_id=image)
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> str:
        ran.append(command)
        return '{"services": {}}'

    for module in (compose, compose_project):
        monkeypatch.setattr(module, "run_command", run)
    file = tmp_path / "compose.yaml"
    file.touch()
    control = ComposeControl(Engine(kind="compose", project="p", files=(file,)), engine)
    control.recreate({"once": image}, deadline=9)
    (up,) = [command for command in ran if "up" in command]
    assert "--remove-orphans=false" in up
