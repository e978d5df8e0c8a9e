"""Containers as the engine tells of them: what is another one is told, and strangers are seen."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker import APIClient
from docker.errors import APIError

from rollback_actions.containers import compose as compose_control
from rollback_actions.containers import volumes
from rollback_actions.containers.compose import ComposeControl
from rollproof.baseline.configuration import (
    ConfigurationKey,
    inside_differences,
    record_container,
    setting_differences,
)
from rollproof.engines import compose, compose_project
from rollproof.engines.compose import ComposeEngine, _container
from rollproof.engines.engine import Container, EngineUnreached, Inside, Mount
from rollproof.engines.host import engine_is_here
from rollproof.engines.insides import inside
from rollproof.errors import ActionFailed, Meaning
from rollproof.profile.profile import Engine
from rollproof.system.command import Deadline
from tests.world import containers as made
from tests.world.sandbox import stand_in

SEAL = ConfigurationKey(b"k" * 32)
ID, OTHER = "a" * 64, "b" * 64
SECRET = "hunter2"  # noqa: S105 - what must not be seen
RAW: dict[str, Any] = {
    "Id": ID,
    "Name": "/t-backend-1",
    "Image": "sha256:1",
    "RestartCount": 0,
    "State": {
        "Status": "running",
        "Running": True,
        "Restarting": False,
        "OOMKilled": False,
        "ExitCode": 0,
        "StartedAt": "2026-01-01T00:00:00Z",
    },
    "Config": {
        "Image": "t/backend",
        "Hostname": ID[:12],
        "User": "app",
        "AttachStdout": False,
        "Env": ["PATH=/bin", f"S3_SECRET={SECRET}"],
        "Cmd": ["serve", "--token", SECRET],
        "Entrypoint": ["/entry"],
        "Labels": {
            "com.docker.compose.service": "backend",
            "com.docker.compose.project.config_files": "/tmp/1/compose.yaml",  # noqa: S108 - a text
            "traefik.http": "on",
        },
        "Healthcheck": {"Test": ["CMD", "true"]},
    },
    "HostConfig": {
        "NetworkMode": "t_default",
        "PidMode": "",
        "Memory": 1000,
        "CapAdd": None,
        "Privileged": False,
        "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8090"}]},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "ContainerIDFile": "",
    },
    "Mounts": [
        {"Type": "volume", "Name": "c" * 64, "Source": "/v/c", "Destination": "/cache", "RW": True},
        {"Type": "bind", "Source": "/srv/app.conf", "Destination": "/etc/app.conf", "RW": False},
    ],
    "NetworkSettings": {
        "Networks": {
            "t_default": {"Aliases": ["backend", ID[:12]], "IPAddress": "172.18.0.2", "IPAMConfig": None}
        }
    },
}
INSIDE = Inside(bound={"/etc/app.conf": "1" * 64}, modified={"/etc/motd": "2" * 64}, added=("/app/made/one",))


def container(raw: dict[str, Any]) -> Container:
    return _container(raw, {raw["Id"]: "backend"})


def differences(raw: dict[str, Any], inside: Inside = INSIDE) -> list[str]:
    recorded = record_container(container(RAW), INSIDE, SEAL)
    return list(setting_differences(recorded, container(raw), inside, SEAL))


def changed(*path: str, to: object) -> dict[str, Any]:
    raw = deepcopy(RAW)
    inner: Any = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return raw


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (changed("Config", "Healthcheck", to=None), "health check: "),
        (changed("Config", "Hostname", to="db"), "Hostname: expected none, observed db"),
        (changed("HostConfig", "LogConfig", "Config", to={"max-size": "1k"}), "log options: "),
        (changed("HostConfig", "NetworkMode", to=f"container:{ID}"), "observed container of backend"),
        (changed("Mounts", to=[RAW["Mounts"][0], {**RAW["Mounts"][1], "RW": True}]), '"writable": true'),
    ],
)  # fmt: skip
def test_each_part_that_is_another_is_told(raw: dict[str, Any], said: str) -> None:
    (text,) = differences(raw)
    assert said in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (INSIDE, []),
        (Inside(), []),
        (Inside(added=("/app/made/two", "/app/made/deep", "/app/made/deep/three")), []),
        (Inside(added=("/app/made/lib/three",)), ["added /app/made/lib/three"]),
        (Inside(added=("/app/evil.py",)), ["added /app/evil.py"]),
        (Inside(added=("/app/made2/x",)), ["added /app/made2/x"]),
        (Inside(modified={"/app/main.py": "4"}), ["modified /app/main.py"]),
        (
            Inside(modified={"/etc/motd": "4" * 64}),
            ["/etc/motd: hash 22222222 at the capture, hash 44444444 now"],
        ),
        (Inside(deleted=("/app/guard.py",)), ["deleted /app/guard.py"]),
    ],
)
def test_a_change_inside_a_container_is_told_unless_it_was_so_at_the_capture(
    inside: Inside, said: list[str]
) -> None:
    recorded = INSIDE
    assert list(inside_differences(recorded, inside)) == said


FOLDER = 1 << 31


@dataclass
class StandInApi:
    """The engine: `files` by their path in the container, and what it says of the container's layer."""

    files: dict[str, bytes] = field(default_factory=dict)
    changes: list[dict[str, Any]] | None = None
    asked: list[str] = field(default_factory=list)
    owner: int = 0

    def diff(self, _: str) -> list[dict[str, Any]] | None:
        return self.changes

    def get_archive(self, _: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        self.asked.append(path)
        below = {
            name: data for name, data in self.files.items() if name == path or name.startswith(f"{path}/")
        }
        if not below:
            raise APIError("archive/tar: sockets not supported")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in below.items():
                member = tarfile.TarInfo(name.removeprefix(f"{path.rpartition('/')[0]}/"))
                member.size, member.uid = len(data), self.owner
                archive.addfile(member, io.BytesIO(data))
        whole = buffer.getvalue()
        blocks = (whole[start : start + 700] for start in range(0, len(whole), 700))
        return blocks, {"mode": 0 if path in self.files else FOLDER}


def found(
    api: StandInApi,
    *mounts: dict[str, Any],
    ignored: tuple[str, ...] = (),
    more: dict[str, Any] | None = None,
) -> Inside:
    raw = {"Id": "a", "Mounts": mounts, "HostConfig": {"Tmpfs": {"/scratch": ""}}}
    raw |= {"State": {"Pid": 0}, **(more or {})}
    return inside(cast("APIClient", api), raw, SEAL, ignored, here=engine_is_here())


def bind(source: Path, place: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Destination": place, "RW": writable}


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a").write_bytes(b"A" * 3000)
    (tmp_path / "conf" / "b").write_bytes(b"B")
    return tmp_path / "conf"


def test_a_bound_file_has_one_hash_wherever_it_is_read(bound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = StandInApi({"/etc/conf/a": b"A" * 3000, "/etc/conf/b": b"B", "/etc/b": b"B"})
    mounts = (bind(bound, "/etc/conf"), bind(bound / "b", "/etc/b", writable=True))
    here = found(api, *mounts)
    assert api.asked == []
    assert set(here.bound) == {"/etc/conf/a", "/etc/conf/b", "/etc/b"}
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    there = found(api, *mounts)
    assert api.asked == ["/etc/conf", "/etc/b"]
    assert there.bound == here.bound
    (bound / "b").write_bytes(b"C")
    monkeypatch.delenv("DOCKER_HOST")
    assert {path for path, text in found(api, *mounts).bound.items() if text != here.bound[path]} == {
        "/etc/conf/b",
        "/etc/b",
    }


def test_a_file_that_was_replaced_under_a_running_container_is_read_as_that_sees_it(
    bound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_inside = tmp_path / "proc" / "7" / "root" / "etc" / "b.conf"
    seen_inside.parent.mkdir(parents=True)
    monkeypatch.setattr("rollproof.engines.insides._PROCESSES", tmp_path / "proc")

    def read() -> Mapping[str, str]:
        return found(StandInApi(), bind(bound / "b", "/etc/b.conf"), more={"State": {"Pid": 7}}).bound

    # An account that may not look, and a container that does not run, have no such file.
    old = read()
    (bound / "b").write_bytes(b"new")
    assert read() != old
    seen_inside.write_bytes(b"B")
    assert read() == old


def test_changes_are_told_without_the_noise_of_a_running_container() -> None:
    api = StandInApi({"/app/main.py": b"x", "/etc/motd": b"y"})
    modified = ("/", "/app", "/app/main.py", "/etc", "/etc/motd", "/var", "/var/log")
    noise = ("/var/log/y", "/app/__pycache__/m.pyc", "/run/p.pid", "/data/file", "/scratch/x", "/app/living")
    api.changes = [
        *({"Path": path, "Kind": 0} for path in modified),
        *({"Path": path, "Kind": 1} for path in ("/app/evil", "/database", *noise)),
        {"Path": "/app/guard.py", "Kind": 2},
    ]
    seen = found(api, {"Type": "volume", "Destination": "/data"}, ignored=("/app/liv*",))
    assert set(seen.modified) == {"/app/main.py", "/etc/motd"}
    assert seen.added == ("/app/evil", "/database")
    assert seen.deleted == ("/app/guard.py",)
    api.files["/app/main.py"] = b"z"
    again = found(api, {"Type": "volume", "Destination": "/data"})
    assert again.modified["/app/main.py"] != seen.modified["/app/main.py"]
    assert again.modified["/etc/motd"] == seen.modified["/etc/motd"]
    # Another owner of the same content is another file.
    api.owner = 1000
    theirs = found(api, {"Type": "volume", "Destination": "/data"})
    assert theirs.modified["/etc/motd"] != again.modified["/etc/motd"]


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


def test_what_other_files_describe_stays_whatever_compose_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"sha256:{'1' * 64}"
    engine = stand_in(ComposeEngine)
    engine.containers.return_value = {"once": (made.container(image_id=image),)}
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> str:
        ran.append(command)
        return '{"services": {}}'

    for module in (compose_control, compose_project):
        monkeypatch.setattr(module, "run_command", run)
    file = tmp_path / "compose.yaml"
    file.touch()
    control = ComposeControl(Engine(kind="compose", project="p", files=(file,)), engine)
    control.recreate({"once": image}, deadline=9)
    (up,) = [command for command in ran if "up" in command]
    assert "--remove-orphans=false" in up
