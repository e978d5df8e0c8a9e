"""What is looked at first when a check is red: the right containers, once, and not when there is no time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.gating import failing
from fixtures.gating.evidence import EVIDENCE, Evidence
from fixtures.gating.windows import Limit
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.profile.profile import Target, load_target


def container(service: str, *, running: bool = True) -> Container:
    fields: dict[str, Any] = dict.fromkeys(Container.__dataclass_fields__)
    fields |= {"id": service, "name": f"{service}-1", "service": service, "running": running}
    return Container(**fields)


class Engine:
    """An engine with three containers, which counts what it is asked."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.asked: list[str] = []

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        self.asked.append("containers")
        if self.silent:
            raise Unverifiable(what="containers", expected="an answer", observed="none", source="e", hint="h")
        return {
            "redis": (container("redis"),),
            "backend": (container("backend"),),
            "nginx": (container("nginx", running=False),),
        }

    def logs(self, name: str, lines: int = 50) -> str:
        self.asked.append(name)
        return f"log of {name}\n" * (lines * 500 if name == "nginx" else 1)


@pytest.fixture
def target(profile: Path) -> Target:
    found = load_target(profile)
    application = found.application.model_copy(update={"services": ("backend", "nginx")})
    return found.model_copy(update={"application": application})


def item(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, left: float = 60.0, *fixtures: str
) -> pytest.Function:
    monkeypatch.setattr(failing, "open_engine", lambda _: cast("ContainerEngine", engine))
    monkeypatch.setattr(failing, "limit_of", lambda _: Limit("phase2", 180, left))
    config = SimpleNamespace(stash=pytest.Stash())
    made = SimpleNamespace(config=config, stash=pytest.Stash(), fixturenames=fixtures)
    return cast("pytest.Function", made)


def kept(of: pytest.Function) -> list[Evidence]:
    return of.stash.get(EVIDENCE, [])


def of_services(monkeypatch: pytest.MonkeyPatch, *services: str) -> None:
    monkeypatch.setattr(failing, "services_of", lambda *_: services)


def test_the_log_of_what_is_wrong_comes_first_and_its_end_is_kept(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    check = item(Engine(), monkeypatch)
    of_services(monkeypatch, "backend", "nginx")

    failing._keep_logs(check, target)

    assert [e.name for e in kept(check)] == [
        "log of nginx-1, last 50 lines",
        "log of backend-1, last 50 lines",
    ]
    first = kept(check)[0].text
    assert first.startswith("[")
    assert first.endswith("log of nginx\n")
    assert len(first) < failing.LOG_CHARACTERS + 100


def test_a_phase_without_time_left_does_not_wait_for_logs(
    monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    engine = Engine()
    check = item(engine, monkeypatch, 1.0)
    of_services(monkeypatch, "redis")
    failing._keep_logs(check, target)
    assert (engine.asked, kept(check)) == ([], [])
