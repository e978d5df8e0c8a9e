"""A container's configuration: equal after a right rollback, told where it is another, no secret shown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollproof.baseline.configuration import (
    ConfigurationKey,
    inside_differences,
    record_container,
    setting_differences,
)
from rollproof.engines.compose import _container
from rollproof.engines.engine import Container, Inside

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
