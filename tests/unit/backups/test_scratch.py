"""A scratch instance shares nothing with the target that can be written; in which order stores are copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest import mock
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_actions.backup import restore_trial
from rollback_actions.backup.restore_trial import StoreTrial
from rollback_actions.backup.scratch import Scratch, ScratchControl, described_apart, require_own_address
from rollback_actions.backup.whole_backup import _waves
from rollback_actions.outside import Outside
from rollproof.backups.sets import BackupSet
from rollproof.baseline.folder import Baseline
from rollproof.baseline.target_comparison import Finding
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Mismatch
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Address, StoreProfile
from rollproof.profile.store_descriptor import Means
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.keeper import Restored, StoreKeeper
from rollproof.stores.package import Kept
from rollproof.stores.reader import Reader
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.verdict import Verdict

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


def test_a_container_that_never_runs_stands_in_for_who_holds_a_stores_files() -> None:
    services = {"store": {}, "app": {"environment": {"A": "b"}, "networks": {"default": None}}}
    held = {"app": ["/uploads"], "store": ["/data"]}
    found = described_apart({"services": services}, ["store"], "target", {"app": "sha256:2"}, (), held)
    app = found["services"]["app"]
    (volume,) = app.pop("volumes")
    assert app == {
        "image": "sha256:2",
        "entrypoint": ["none"],
        "network_mode": "none",
        "labels": {"rollproof.scratch": "target"},
        "restart": "no",
        "pull_policy": "never",
    }
    assert volume["target"] == "/uploads"
    assert set(found["volumes"]) == {volume["source"]}
    assert "entrypoint" not in found["services"]["store"]


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


def test_a_restored_store_without_collections_is_not_asked_for_its_data(target: Target) -> None:
    """A reader's question touches data, which an empty store does not have: that is no lack of rights."""
    found = [Finding("redis", "view v", Verdict.PASSED, "as recorded")]
    asked = mock.Mock()
    trial = _trial(target, _Restores({}), {}, open_reader=asked, compare=lambda *_: found)
    assert trial.run(_begun()).verdict is Verdict.PASSED
    asked.assert_not_called()


@pytest.mark.parametrize("restored", [{"0:token:*": 1}, {"0:token:*": 3}, {}], ids=["fewer", "more", "none"])
def test_what_a_restore_does_not_bring_back_is_red_though_nothing_else_knows_of_it(
    target: Target, monkeypatch: pytest.MonkeyPatch, restored: Mapping[str, int]
) -> None:
    # Those of this kind may have expired, which the keeper tells apart.
    kept = replace(descriptor_of(target.stores["redis"]), traits=frozenset())
    monkeypatch.setattr(restore_trial, "descriptor_of", lambda _: kept)
    done = _trial(target, _Restores(restored)).run(_begun())
    assert done.verdict is Verdict.FAILED
    assert f"0:token:*: 2 kept, {restored.get('0:token:*', 0)} restored" in done.texts[0]


def test_a_restore_that_takes_too_long_is_red(target: Target) -> None:
    done = _trial(target, _Restores(), deadline=Deadline(0.0)).run(_begun())
    assert done.verdict is Verdict.FAILED
    assert "expected done within 0 s, observed later" in done.texts[0]


TOKENS = {"0:token:*": 2}


class _Restores:
    """A keeper whose restore puts back `records`: what the backup holds."""

    name, kind, stopped = "redis", "redis", False

    def __init__(self, records: Mapping[str, int] = TOKENS) -> None:
        self.records = records

    def back_up(self, folder: Path) -> Kept:
        raise NotImplementedError

    def restore(self, folder: Path) -> Restored:
        return Restored(self.records)


def _trial(
    target: Target,
    keeper: _Restores,
    records: Mapping[str, int] = TOKENS,
    *,
    deadline: Deadline | None = None,
    open_reader: Callable[..., Reader] = lambda *_, **__: create_autospec(Reader, instance=True),
    compare: Callable[..., list[Finding]] = lambda *_: [],
) -> StoreTrial:
    """Return the trial of one store, in a scratch instance that is there; its backup holds `records`."""
    outside = Outside(open_reader, open_keeper=lambda *_: cast("StoreKeeper", keeper))
    engine = create_autospec(ContainerEngine, instance=True)
    control = create_autospec(ScratchControl, instance=True)
    scratch = Scratch(target, control, deadline or Deadline(60.0))
    baseline = create_autospec(Baseline, instance=True)
    baseline.facts.stores = {}
    now, kept = Moment.now(), {"redis": Kept("keys", records, 10, Means.KEYS)}
    backup = BackupSet(1, "staging", "c", now, now, {}, {}, {}, 0.0, kept, folder=Path())
    return StoreTrial("redis", scratch, engine, backup, baseline, outside, compare)


def _begun() -> Future[None]:
    started: Future[None] = Future()
    started.set_result(None)
    return started


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
