"""Each question of `doctor`: ok, missing and wrong, on stand-ins of engine, stores and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest
from pydantic import AnyHttpUrl

from rollproof.doctor import every_need, store_needs
from rollproof.doctor.examination import Line, Need, NeedState, examine
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Container, Endpoint
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.profile import Target
from rollproof.stores.contract import Rights
from rollproof.stores.reader import Reader
from tests.world import containers as made_container
from tests.world.sandbox import Sandbox, stand_in

FAR = 60.0
"""Seconds that nothing takes which goes as it should."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how fast a machine is, nor how busy."""
    monkeypatch.setattr(every_need, "REQUEST_SECONDS", FAR)


def container(service: str, **changes: object) -> Container:
    known = {"service": service, "health": "healthy", "revision": "r", "configuration": "c"}
    return made_container.container(f"sandbox-{service}-1", **{**known, **changes})


@pytest.fixture
def engine(sandbox: Sandbox) -> Any:  # noqa: ANN401 - a mock
    """An engine that says that all is in order."""
    made = stand_in(ComposeEngine)
    made.running.return_value = ()
    made.containers.return_value = {name: (container(name),) for name in sandbox.target.services}
    made.resolve.return_value = Endpoint("127.0.0.1", 9)
    return made


def asked(needs: Iterator[Need], name: str) -> Line:
    """Return what came of the need of that name alone."""
    (need,) = (one for one in needs if one.name == name)
    return examine([replace(need, after=(), seconds=FAR)], FAR)[0].line


def of(sandbox: Sandbox, engine: object, name: str, **changes: object) -> Line:
    target: Target = sandbox.target.model_copy(update=changes)
    return asked(every_need.every_need(target, engine), name)  # type: ignore[arg-type]


def test_what_init_left_to_answer_is_named_by_its_keys(sandbox: Sandbox, engine: Any) -> None:  # noqa: ANN401
    assert of(sandbox, engine, "questions").state is NeedState.OK
    application = sandbox.target.application
    canary = application.canary.model_copy(update={"user": UNANSWERED})
    mysql = sandbox.target.stores["mysql"].model_copy(update={"databases": (UNANSWERED, UNANSWERED)})
    nowhere = AnyHttpUrl(f"http://{UNANSWERED}.invalid")
    line = of(
        sandbox,
        engine,
        "questions",
        application=application.model_copy(update={"canary": canary, "url": nowhere}),
        stores={**sandbox.target.stores, "mysql": mysql},
    )
    assert line.state is NeedState.WRONG
    assert line.text.endswith(
        "observed change-me for application.url, application.canary.user, stores.mysql.databases"
    )


def test_services(sandbox: Sandbox, engine: Any) -> None:  # noqa: ANN401 - a mock
    assert of(sandbox, engine, "services").state is NeedState.OK
    there = dict(engine.containers.return_value)
    there["backend"] = (container("backend", health="unhealthy"),)
    there["redis"] = (container("redis", running=False, status="paused"),)
    del there["worker"]
    engine.containers.return_value = there
    line = of(sandbox, engine, "services")
    assert line.state is NeedState.WRONG
    for said in ("backend: unhealthy", "worker: no container"):
        assert said in line.text
    assert "docker logs sandbox-backend-1" in line.hint


def test_a_disk_without_room(sandbox: Sandbox, engine: object) -> None:
    limits = sandbox.target.limits.model_copy(update={"disk_free_percent": 100.0})
    line = of(sandbox, engine, "room for backups", limits=limits)
    assert line.state is NeedState.WRONG
    assert "df -h" in line.hint


@pytest.mark.parametrize(
    ("rights", "read_only", "operator"),
    [
        (Rights(), NeedState.OK, NeedState.OK),
        (Rights(writes=("INSERT on imagedb",)), NeedState.WRONG, NeedState.OK),
        (Rights(lacks=("INSERT on imagedb",)), NeedState.OK, NeedState.WRONG),
    ],
)
def test_what_accounts_may_do(
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
    engine: object,
    rights: Rights,
    read_only: NeedState,
    operator: NeedState,
) -> None:
    told = create_autospec(Reader, instance=True)
    told.__enter__.return_value = told
    told.rights.return_value = rights
    monkeypatch.setattr(store_needs, "open_reader", lambda *_, **__: told)
    lines = of(sandbox, engine, "mysql read-only"), of(sandbox, engine, "mysql operator")
    assert tuple(line.state for line in lines) == (read_only, operator)
    for line in lines:
        if line.state is NeedState.WRONG:
            assert "INSERT on imagedb" in line.text
            assert "the statements that init writes" in line.hint
