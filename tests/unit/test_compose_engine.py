from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from fixtures.engines import compose
from fixtures.engines.compose import ComposeEngine
from fixtures.engines.engine import Endpoint, EngineUnreached
from fixtures.errors import Meaning, Unverifiable
from fixtures.target.sections import Address


def raw(**settings: object) -> dict[str, Any]:
    """Return what the engine tells of a container, as far as addresses and limits go."""
    host = {"NetworkMode": "project_default", **cast("dict[str, Any]", settings.get("host", {}))}
    network = {"Ports": settings.get("ports", {}), "Networks": settings.get("networks", {})}
    return {"HostConfig": host, "NetworkSettings": network}


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
        ({"CpuQuota": 50_000, "CpuPeriod": 0}, 0.5),
        ({"CpuQuota": -1}, 8),
        ({"CpusetCpus": "0-2,5"}, 4),
        ({"CpusetCpus": "1", "NanoCpus": 2_000_000_000}, 1),
        ({"NanoCpus": 16_000_000_000}, 8),
    ],
)
def test_the_cpu_allowance_is_the_narrowest_limit(limits: dict[str, Any], cores: float) -> None:
    assert compose._allowance(limits, 8) == cores


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


def test_cpu_is_in_percent_of_the_allowance() -> None:
    before = reading("2026-01-01T00:00:00.000000001Z", cpu=1_000_000_000)
    after = reading("2026-01-01T00:00:00.500000001Z", cpu=1_250_000_000)
    assert compose._cpu_percent(before, after, 1) == pytest.approx(50)
    assert compose._cpu_percent(before, after, 0.5) == pytest.approx(100)
    assert compose._cpu_percent(before, before, 1) == 0


@pytest.mark.parametrize("key", ["inactive_file", "total_inactive_file"])
def test_memory_that_the_kernel_may_drop_is_not_in_use(key: str) -> None:
    after = reading("2026-01-01T00:00:00Z", usage=900, limit=1000, stats={key: 400})
    usage = compose._usage(raw(host={"PidsLimit": None}), after, after)
    assert (usage.memory, usage.memory_percent, usage.pids, usage.pids_limit) == (500, 50, 3, 0)


@pytest.mark.parametrize("unlimited", [None, 0, -1])
def test_no_limit_of_pids_is_zero(unlimited: int | None) -> None:
    assert compose._pids_limit({"PidsLimit": unlimited}) == 0
    assert compose._pids_limit({"PidsLimit": 100}) == 100


@pytest.mark.parametrize(
    ("bindings", "place"),
    [
        ([{"HostIp": "127.0.0.1", "HostPort": "41801"}], ("127.0.0.1", 41801)),
        ([{"HostIp": "0.0.0.0", "HostPort": "1"}, {"HostIp": "::", "HostPort": "2"}], ("127.0.0.1", 1)),  # noqa: S104
        ([{"HostIp": "::", "HostPort": "2"}], ("127.0.0.1", 2)),
        ([{"HostIp": "::1", "HostPort": "2"}, {"HostIp": "10.0.0.7", "HostPort": "3"}], ("10.0.0.7", 3)),
        (None, None),
    ],
)
def test_a_published_port_is_found(bindings: object, place: tuple[str, int] | None) -> None:
    assert compose._published(raw(ports={"3306/tcp": bindings}), 3306) == place


def test_another_published_port_is_not_taken() -> None:
    assert compose._published(raw(ports={"33060/tcp": [{"HostIp": "", "HostPort": "1"}]}), 3306) is None


def test_without_a_published_port_the_containers_own_address_serves() -> None:
    networks = {"a": {"IPAddress": ""}, "b": {"IPAddress": "172.18.0.9"}}
    assert compose._inside(raw(networks=networks), 9092) == ("172.18.0.9", 9092)
    assert compose._inside(raw(networks={"a": {"IPAddress": ""}}), 9092) is None
    assert compose._inside(raw(host={"NetworkMode": "host"}), 9092) == ("127.0.0.1", 9092)


def test_an_address_with_a_host_needs_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    address = Address(host="db.example", port=3306, tls=True)
    assert ComposeEngine("p", 1).resolve(address) == Endpoint("db.example", 3306, tls=True)


def test_an_engine_that_is_not_there_is_unverifiable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    engine = ComposeEngine("p", 1)
    for ask in (
        engine.containers,
        engine.usage,
        engine.data_root,
        lambda: engine.logs("x"),
        lambda: engine.logs_since("x", 1.5, 9),
    ):
        with pytest.raises(Unverifiable, match="HINT: see that the engine runs"):
            ask()


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[str]:
    """An engine that takes every connection and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "engine"))
        server.listen()
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"unix://{tmp_path}/engine"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def test_an_engine_that_never_answers_is_unverifiable_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, silent_engine: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", silent_engine)
    with pytest.raises(Unverifiable, match=r"within 0\.2 s"):
        ComposeEngine("p", 0.2).containers()
