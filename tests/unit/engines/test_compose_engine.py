from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollback_actions.containers import volumes
from rollproof.engines import compose
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import EngineUnreached, Mount
from rollproof.errors import ActionFailed, Meaning
from rollproof.system.command import Deadline


def raw(**settings: object) -> dict[str, Any]:
    """Return what the engine tells of a container, as far as addresses and limits go."""
    host = {"NetworkMode": "project_default", **cast("dict[str, Any]", settings.get("host", {}))}
    network = {"Networks": settings.get("networks", {})}
    config = {"Labels": {compose.SERVICE_LABEL: "backend"}}
    return {
        "Config": config,
        "HostConfig": host,
        "NetworkSettings": network,
        "Ports": settings.get("ports", []),
    }


def binding(host: str, public: int | None, private: int = 3306, kind: str = "tcp") -> dict[str, Any]:
    """Return a port as a listing tells it: without a host and public port if it is not published."""
    published = {} if public is None else {"IP": host, "PublicPort": public}
    return {"PrivatePort": private, "Type": kind, **published}


def reading(read: str, cpu: int = 0, **memory: object) -> dict[str, Any]:
    return {
        "read": read,
        "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "online_cpus": 1},
        "memory_stats": memory,
        "pids_stats": {"current": 3},
    }


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, 8),
        ({"NanoCpus": 500_000_000}, 0.5),
        ({"CpuQuota": 150_000, "CpuPeriod": 100_000}, 1.5),
        ({"CpuQuota": -1}, 8),
        ({"CpusetCpus": "0-2,5", "NanoCpus": 16_000_000_000}, 4),
    ],
)
def test_the_cpu_allowance_is_the_narrowest_limit(limits: dict[str, Any], cores: float) -> None:
    assert compose._allowance(limits, 8) == cores


WELL = {"Status": "unhealthy", "FailingStreak": 0, "Log": [{"ExitCode": 1}, {"ExitCode": 0}]}


@pytest.mark.parametrize(
    ("state", "health", "said"),
    [
        ({}, None, None),
        # Not asked again yet, since it was paused.
        ({}, WELL, "healthy"),
        ({"Paused": True}, WELL, "unhealthy"),
        ({}, WELL | {"FailingStreak": 3}, "unhealthy"),
        ({}, WELL | {"Log": None}, "unhealthy"),
    ],
)
def test_what_was_not_asked_since_a_pause_is_as_healthy_as_before(
    state: dict[str, Any], health: dict[str, Any] | None, said: str | None
) -> None:
    assert compose._health({"Running": True, "Paused": False, "Health": health, **state}) == said


def test_an_engine_that_is_gone_is_one_cause_whatever_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"unix://{tmp_path}/gone.sock"
    monkeypatch.setenv("DOCKER_HOST", host)
    engine = ComposeEngine("project", 1.0)
    said = set()
    for question in (engine.containers, engine.running, engine.strangers, lambda: engine.logs("one")):
        with pytest.raises(EngineUnreached) as caught:
            question()
        assert (caught.value.source, caught.value.means) == (host, Meaning.UNREACHABLE)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("key", ["inactive_file", "total_inactive_file"])
def test_memory_that_the_kernel_may_drop_is_not_in_use(key: str) -> None:
    after = reading("2026-01-01T00:00:00Z", usage=900, limit=1000, stats={key: 400})
    usage = compose._usage(raw(host={"PidsLimit": None}), after, after, "backend")
    assert (usage.memory, usage.memory_percent, usage.pids, usage.pids_limit) == (500, 50, 3, 0)


@pytest.mark.parametrize(
    ("bindings", "place"),
    [
        ([binding("127.0.0.1", 41801)], ("127.0.0.1", 41801)),
        ([binding("::", 2), binding("0.0.0.0", 1)], ("127.0.0.1", 1)),  # noqa: S104
        ([binding("::1", 2), binding("10.0.0.7", 3)], ("10.0.0.7", 3)),
        ([binding("", None)], None),
        ([binding("", 1, private=33060)], None),
        ([binding("", 1, kind="udp")], None),
        (None, None),
    ],
)
def test_a_published_port_is_found(bindings: object, place: tuple[str, int] | None) -> None:
    assert compose._published(raw(ports=bindings), 3306) == place


def test_strangers_share_external_networks_and_volumes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(
        name: str, *networks: str, volume: str = "", project: str = "app", state: str = "running"
    ) -> dict[str, Any]:
        labels = {compose.PROJECT_LABEL: project, compose.ONE_OFF_LABEL: "False"}
        mounts = [{"Name": volume}, {"Source": "/etc"}] if volume else []
        settings = {"Networks": dict.fromkeys(networks)}
        return {
            "Id": name,
            "Names": [f"/{name}"],
            "Labels": labels,
            "NetworkSettings": settings,
            "Mounts": mounts,
            "State": state,
        }

    every = [
        listed("ours", "app_default", "proxy", "bridge", volume="kept"),
        listed("own", "app_default", volume="app_data", state="exited"),
        listed("ended", "proxy", project="other", state="exited"),
        listed("guest", "proxy", project="other"),
        listed("thief", "none", volume="kept", project="other"),
        listed("left over", "other_default", volume="app_data", project="other"),
        listed("far", "bridge", "host", volume="theirs", project="other"),
    ]
    api = SimpleNamespace(containers=lambda **_: every)
    engine = ComposeEngine("app", 1.0)
    monkeypatch.setattr(engine, "_asking", lambda _: nullcontext(api))
    assert {one.name: one.shares for one in engine.strangers()} == {
        "guest": ("network proxy",),
        "thief": ("volume kept",),
        "left over": ("volume app_data",),
    }


@pytest.mark.parametrize(
    ("mount", "other", "refused"),
    [
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data/below"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data-of-another"}, False),
        # An agent that watches the whole host.
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/"}, False),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "state"}, True),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "other"}, False),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_nobody_may_write_while_files_are_put_back(
    mount: Mount, other: dict[str, object], monkeypatch: pytest.MonkeyPatch, *, refused: bool, writable: bool
) -> None:
    asked: list[object] = []

    def containers(*, filters: object) -> list[dict[str, object]]:
        asked.append(filters)
        return [{"Names": ["/writer"], "State": "running", "Mounts": [{**other, "RW": writable}]}]

    monkeypatch.setattr(volumes, "asking", lambda *_: nullcontext(SimpleNamespace(containers=containers)))
    for writers in (True, False):
        if refused and (writable or not writers):
            with pytest.raises(ActionFailed, match="writer is running"):
                volumes._refuse_users(mount, Deadline(60), writers=writers)
        else:
            volumes._refuse_users(mount, Deadline(60), writers=writers)
    # Stopped ones are none, and those of other projects are.
    assert asked == [{"status": ["running", "restarting", "paused"]}] * 2
