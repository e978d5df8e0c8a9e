"""A scratch instance shares nothing with the target that can be written; in which order stores are copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_actions.backup.scratch import described_apart, require_own_address
from rollback_actions.backup.whole_backup import _waves
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Mismatch
from rollproof.profile.sections import Address, StoreProfile
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.reader import Reader

Record = dict[str, Any]


def described(
    services: Record, *, of: tuple[str, ...] = ("store",), taken: tuple[str, ...] = (), **images: str
) -> Record:
    """Return the compose file of a scratch instance of `services` of the project `target`."""
    merged = {"services": services, "secrets": {"key": {"name": "target_key", "file": "/srv/key"}}}
    return dict(described_apart(merged, of, "target", images, taken, {}))


def made(**service: object) -> Record:
    """Return what `store` is in a scratch instance, where the target's files say `service` of it."""
    found: Record = described({"store": service})["services"]["store"]
    return found


def test_a_service_has_its_program_and_nothing_else_of_the_target() -> None:
    program = {
        "command": ["serve"],
        "environment": {"A": "b"},
        "hostname": "db",
        "healthcheck": {"test": ["CMD", "ask"]},
        "secrets": [{"source": "key"}],
    }
    ways_out = {
        "network_mode": "host",
        "pid": "host",
        "ipc": "host",
        "privileged": True,
        "devices": ["/dev/sda"],
        "container_name": "mysql",
        "volumes_from": ["mysql"],
        "external_links": ["mysql"],
        "extra_hosts": {"db": "10.0.0.5"},
        "restart": "always",
        "build": {"context": "."},
        "networks": {"default": {"aliases": ["database"], "ipv4_address": "10.0.0.2"}},
    }
    # A proxy finds the services that it serves by their labels.
    found = made(image="mysql:8", labels={"traefik.enable": "true"}, **program, **ways_out)
    assert found == {
        **program,
        "image": "mysql:8",
        "labels": {"rollproof.scratch": "target"},
        "restart": "no",
        "pull_policy": "never",
        "volumes": [],
        "networks": {"stores": {"aliases": ["database"]}},
    }


@pytest.mark.parametrize(
    "mount",
    [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "volume", "target": "/data"},
        {"type": "bind", "source": "/srv", "target": "/data"},
        {"type": "bind", "source": "/not/there", "target": "/data"},
    ],
)
def test_where_a_service_can_write_the_instance_has_a_new_volume(mount: Record) -> None:
    """Whatever it is at the target: external, of another driver, or a folder of the host."""
    service = {"volumes": [mount]}
    first, second = (described({"store": service, "other": service}, of=("store", "other")) for _ in "12")
    (volume,) = first["services"]["store"]["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", "/data")
    new = first["volumes"][volume["source"]]
    assert set(new) == {"name", "labels"}
    assert new["name"].startswith("target-scratch-")
    assert new != second["volumes"][volume["source"]]
    # A volume with a name may be of two services.
    assert len(first["volumes"]) == (1 if mount.get("source") == "data" else 2)


def test_what_a_service_only_reads_is_the_hosts_own(tmp_path: Path) -> None:
    script = tmp_path / "init.sql"
    script.touch()
    read_only = {"type": "bind", "source": "/etc/ssl", "target": "/ssl", "read_only": True}
    file = {"type": "bind", "source": str(script), "target": "/init.sql"}
    engine = {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "read_only": True}
    memory = {"type": "tmpfs", "target": "/run"}
    mounts = [read_only, file, engine, memory]
    assert made(volumes=mounts)["volumes"] == [read_only, {**file, "read_only": True}, memory]


def test_the_network_has_no_way_out_but_for_ports_that_only_the_instance_has() -> None:
    store = {"ports": [{"published": "3306", "target": 3306}, {"published": "23306", "target": 3306}]}
    found = described({"store": store}, taken=("3306",))
    assert found["services"]["store"]["ports"] == [{"published": "23306", "target": 3306}]
    assert set(found["services"]["store"]["networks"]) == {"stores", "published"}
    assert found["networks"]["stores"]["internal"]
    closed = described({"store": store}, taken=("3306", "23306"))["services"]["store"]
    assert "ports" not in closed
    assert set(closed["networks"]) == {"stores"}


def test_what_a_service_depends_on_is_there_too_and_nothing_else() -> None:
    services = {
        "store": {"image": "store", "depends_on": {"keeper": {"condition": "service_healthy"}}},
        "keeper": {},
        "app": {},
    }
    found = described(services, store="sha256:1")["services"]
    # The image that runs, else that of the files, else the one that compose built.
    images = {name: service["image"] for name, service in found.items()}
    assert images == {"store": "sha256:1", "keeper": "target-keeper"}


@pytest.mark.parametrize("named", [["10.0.0.9:9092"], ["10.0.0.9:9092", "target:9092"], ["target:9092"], []])
def test_a_store_that_sends_its_clients_elsewhere_is_not_restored(
    named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Endpoint("10.0.0.9", 9092)
    asked: list[Endpoint] = []

    def opened(_name: str, _profile: StoreProfile, endpoint: Endpoint) -> Reader:
        asked.append(endpoint)
        reader = create_autospec(Reader, instance=True)
        reader.__enter__.return_value = reader
        reader.addresses.return_value = named
        return cast("Reader", reader)

    monkeypatch.setattr("rollback_actions.backup.scratch.reader_at", opened)
    engine = create_autospec(ContainerEngine, instance=True)
    engine.resolve.return_value = own
    address = Address(service="kafka", port=9092)
    profile = KafkaProfile(kind="kafka", address=address, services=("kafka",), risk="low", topics=("*",))
    if named == ["10.0.0.9:9092"]:
        require_own_address("kafka", profile, engine)
    else:
        with pytest.raises(Mismatch, match="itself alone"):
            require_own_address("kafka", profile, engine)
    assert asked == [own]


NAMES = "abcdef"


@given(st.fixed_dictionaries({name: st.sets(st.sampled_from(NAMES)) for name in NAMES}))
def test_whatever_names_whatever_each_is_copied_once_and_before_what_it_names(
    named: dict[str, set[str]],
) -> None:
    """Those that name each other, directly or by others, are copied side by side."""
    found = _waves(named)
    assert sorted(name for wave in found for name in wave) == [*NAMES]
    number = {name: at for at, wave in enumerate(found) for name in wave}
    reached = {name: {name} for name in NAMES}
    for one in (*NAMES, *NAMES) * len(NAMES):
        reached[one] |= {far for other in named[one] for far in reached[other]}
    for one, others in named.items():
        for other in others:
            if one in reached[other]:
                assert number[one] == number[other]
            else:
                assert number[one] < number[other]
