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
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a mock
    """The stand-in of the engine that a control asks."""
    made = stand_in(ComposeEngine)
    monkeypatch.setattr(compose, "open_engine", lambda _: made)
    return made


def _start(deadline: float = 60.0) -> None:
    ComposeControl(Engine(kind="compose", project="p")).start(("once",), deadline=deadline)


def _told(**changes: Any) -> dict[str, tuple[Container, ...]]:  # noqa: ANN401
    return {"once": (container(**changes),)}


def test_health_is_waited_for_by_one_question_a_round(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    health = ["healthy", "starting", "starting"]
    engine.containers.side_effect = lambda: _told(health=health[-1])
    monkeypatch.setattr("time.sleep", lambda _: health.pop())
    _start()
    # One before the start, then one in each of three rounds.
    assert engine.containers.call_count == 4


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
    ComposeControl(Engine(kind="compose", project="p", files=(file,))).recreate({"once": image}, deadline=9)
    (up,) = [command for command in ran if "up" in command]
    assert "--remove-orphans=false" in up


def test_a_service_is_removed_by_its_own_containers_and_its_volumes_stay(
    engine: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine.containers.return_value = {"brought": (container(),), "orphan": (container(),)}
    ran: list[list[str]] = []
    monkeypatch.setattr(compose, "run_command", lambda command, **_: ran.append(command))
    control, one = ComposeControl(Engine(kind="compose", project="p")), container().id
    control.remove("brought", deadline=9)
    control.remove("gone", deadline=9)
    assert ran == [["docker", "stop", one], ["docker", "rm", one]]
