"""A scratch instance that would share anything with the target that can be written is never made."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pytest

from rollback_actions.backup import restore_trial
from rollback_actions.backup.restore_trial import StoreTrial
from rollback_actions.backup.scratch import Scratch, ScratchControl, require_apart, require_own_address
from rollback_actions.containers import volumes
from rollproof.backups.sets import BackupSet
from rollproof.baseline.folder import Baseline
from rollproof.baseline.target_comparison import Finding
from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import ContainerEngine, Endpoint, Mount
from rollproof.errors import ActionFailed, Mismatch, Unverifiable
from rollproof.incident.trials import Trial, of_problem
from rollproof.profile.profile import Engine, Target
from rollproof.profile.sections import Account, Address, ApiKey, StoreProfile
from rollproof.profile.store_descriptor import Means
from rollproof.stores.contract import StoreView
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.keeper import Restored
from rollproof.stores.package import Kept
from rollproof.stores.reach import Readable
from rollproof.system.clock import Moment
from rollproof.system.command import Deadline
from rollproof.system.record_files import as_json, record_of
from rollproof.verdict import Verdict

Record = dict[str, Any]
TARGET: Record = {
    "services": {
        "store": {
            "networks": {"default": None},
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
            "ports": [{"published": "3306", "target": 3306}],
        },
        "keeper": {"networks": {"default": None}},
    },
    "networks": {"default": {"name": "target_default"}},
    "volumes": {"data": {"name": "target_data"}},
}


def scratch(**changes: object) -> Record:
    """Return what a scratch instance of TARGET is; `changes` are of its service `store`."""
    made = deepcopy(TARGET)
    made["networks"]["default"]["name"] = "scratch_default"
    made["volumes"]["data"]["name"] = "scratch_data"
    made["services"]["store"]["ports"] = []
    made["services"]["store"].update(changes)
    return made


def test_a_scratch_instance_of_its_own_is_let_through() -> None:
    read_only = {"type": "bind", "source": "/etc/ssl", "target": "/ssl", "read_only": True}
    require_apart(TARGET, scratch(), ["store"])
    require_apart(TARGET, scratch(volumes=[read_only]), ["store"])
    require_apart(TARGET, scratch(ports=[{"published": "23306"}, {"target": 9}]), ["store"])
    require_apart(TARGET, scratch(network_mode="none", pid="private"), ["store"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"volumes": [{"type": "bind", "source": "/srv", "target": "/data"}]}, "folder /srv of store"),
        ({"ports": [{"published": "3306"}]}, "port 3306 of store"),
        ({"ports": [{"published": 3306}]}, "port 3306 of store"),
        ({"network_mode": "host"}, "network_mode host of store"),
        ({"pid": "host"}, "pid host of store"),
        ({"ipc": "host"}, "ipc host of store"),
        ({"container_name": "mysql"}, "container_name of store"),
        ({"volumes_from": ["mysql"]}, "volumes_from of store"),
        ({"external_links": ["mysql"]}, "external_links of store"),
        ({"extra_hosts": {"db": "10.0.0.5"}}, "extra_hosts of store"),
        ({"environment": {"S3": "http://host.docker.internal:9"}}, "address in S3 of store"),
        ({"environment": {"S3": "http://172.17.0.1:3306/x"}}, "address in S3 of store"),
        (
            {
                "volumes": [
                    {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "read_only": True}
                ]
            },
            "folder /var/run/docker.sock of store",
        ),
    ],
)
def test_what_the_target_could_feel_is_refused(changes: Record, said: str) -> None:
    with pytest.raises(Mismatch, match=f"observed {said}.*\nHINT: .*premigration.scratch.files"):
        require_apart(TARGET, scratch(**changes), ["store"])


@pytest.mark.parametrize("kind", ["networks", "volumes"])
def test_a_volume_or_network_of_the_targets_is_refused(kind: str) -> None:
    key = {"networks": "default", "volumes": "data"}[kind]
    same, external = scratch(), scratch()
    same[kind][key]["name"] = TARGET[kind][key]["name"]
    external[kind][key]["external"] = True
    for made in (same, external):
        with pytest.raises(Mismatch, match=f"observed {kind.removesuffix('s')} "):
            require_apart(TARGET, made, ["store"])


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"driver_opts": {"type": "none", "o": "bind", "device": "/srv/milvus"}}, "which is at /srv/milvus"),
        ({"driver_opts": {"type": "nfs", "device": ":/data"}}, "which is at :/data"),
        ({"driver": "rexray"}, "which is of driver rexray"),
    ],
)
def test_a_volume_that_is_a_place_of_the_host_is_refused(volume: Record, said: str) -> None:
    made = scratch()
    made["volumes"]["data"].update(volume)
    with pytest.raises(Mismatch, match=f"volume data of store, {said}"):
        require_apart(TARGET, made, ["store"])


def test_a_volume_in_memory_is_let_through() -> None:
    made = scratch()
    made["volumes"]["data"].update(driver="local", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    require_apart(TARGET, made, ["store"])


def test_what_would_be_removed_with_it_is_looked_at_whoever_has_it() -> None:
    target = deepcopy(TARGET)
    target["volumes"]["archive"] = {"name": "archive"}
    made = scratch()
    made["volumes"]["archive"] = {"name": "archive"}
    with pytest.raises(Mismatch, match="observed volume archive"):
        require_apart(target, made, ["store"])
    made["volumes"]["archive"]["external"] = True
    require_apart(target, made, ["store"])


def test_what_a_service_depends_on_is_looked_at_too() -> None:
    made = scratch(depends_on={"keeper": {"condition": "service_healthy"}})
    made["services"]["keeper"]["network_mode"] = "host"
    with pytest.raises(Mismatch, match="network_mode host of keeper"):
        require_apart(TARGET, made, ["store"])
    require_apart(
        TARGET, {**made, "services": {**made["services"], "store": TARGET["services"]["keeper"]}}, ["store"]
    )


def test_all_that_is_shared_is_named() -> None:
    with pytest.raises(Mismatch) as raised:
        require_apart(TARGET, scratch(pid="host", ports=[{"published": "3306"}]), ["store"])
    assert "pid host of store, port 3306 of store" in str(raised.value)


def test_no_word_of_an_error_is_taken_for_its_hint() -> None:
    said = of_problem(
        ActionFailed(what="x", expected="a", observed="b\nHINT: not ours", source="here", hint="mend it")
    )
    assert said.hint == "mend it"
    assert said.texts == ("x: expected a, observed b",)


def test_a_trial_survives_its_record() -> None:
    words: dict[str, Any] = {
        "what": "x",
        "expected": "a",
        "observed": "b",
        "source": "here",
        "hint": "mend it",
    }
    stores = {
        "wrong": of_problem(Mismatch(**words)),
        "refused": of_problem(ActionFailed(**words)),
        "unknown": of_problem(Unverifiable(**words)),
    }
    trial = Trial("set", "baseline", stores, 1.5)
    assert record_of(Trial, as_json(trial)) == trial
    assert [store.verdict for store in stores.values()] == [Verdict.FAILED, Verdict.FAILED, Verdict.BROKEN]
    assert stores["wrong"].texts == ("x: expected a, observed b (from here)",)
    assert stores["wrong"].hint == "mend it"
    words_of = trial.in_words(lambda text: text.replace("here", "[redacted]"))
    assert words_of.stores["wrong"].texts == ("x: expected a, observed b (from [redacted])",)
    assert set(words_of.stores) == set(stores)


@pytest.mark.parametrize("named", [["10.0.0.9:9092"], ["10.0.0.9:9092", "target:9092"], ["target:9092"], []])
def test_a_store_that_sends_its_clients_elsewhere_is_not_restored(
    named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Endpoint("10.0.0.9", 9092)
    asked: list[Readable[KafkaProfile]] = []

    def brokers(readable: Readable[KafkaProfile]) -> list[str]:
        asked.append(readable)
        return named

    monkeypatch.setattr("rollproof.stores.kafka.view.brokers", brokers)
    engine = create_autospec(ContainerEngine, instance=True)
    engine.resolve.return_value = own
    address = Address(service="kafka", port=9092)
    profile = KafkaProfile(kind="kafka", address=address, services=("kafka",), risk="low", topics=("*",))
    if named == ["10.0.0.9:9092"]:
        require_own_address("kafka", profile, engine)
    else:
        with pytest.raises(Mismatch, match="itself alone"):
            require_own_address("kafka", profile, engine)
    assert [readable.endpoint for readable in asked] == [own]


def test_a_store_that_names_no_address_is_not_asked_for_one(target: Target) -> None:
    engine = create_autospec(ContainerEngine, instance=True)
    require_own_address("redis", target.stores["redis"], engine)
    engine.resolve.assert_not_called()


@pytest.mark.parametrize("refused", [False, True])
def test_a_restore_is_compared_by_the_reader_or_not_at_all(
    *, refused: bool, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scratch instance may not have its account: the operator, who has restored, does not stand in."""
    trial = _trial(target)
    readers: list[Account | ApiKey | None] = []

    def opened(name: str, profile: StoreProfile, _: ContainerEngine) -> StoreView:
        readers.append(profile.reader)
        view = create_autospec(StoreView, instance=True)
        # A long log cannot be counted in time, by whomever.
        view.counts.side_effect = _no_answer(name, "more than 10 s")
        if refused:
            view.ask.side_effect = _no_answer(name, "access denied")
        return cast("StoreView", view)

    def compared(read: Target, *_: object) -> list[Finding]:
        readers.append(read.stores["redis"].reader)
        return [Finding("redis", "0:token:*", Verdict.PASSED, "exact")]

    monkeypatch.setattr(restore_trial, "open_view", opened)
    monkeypatch.setattr(restore_trial, "compare_target", compared)
    monkeypatch.setattr(restore_trial, "open_keeper", lambda *_: _Restores())
    done = trial.run(_begun())
    assert {id(reader) for reader in readers} == {id(target.stores["redis"].reader)}
    if refused:
        assert (done.verdict, len(readers)) == (Verdict.BROKEN, 1)
        assert "an account that may read it, as at the target, observed access denied" in done.texts[0]
        assert "premigration.scratch.files" in done.hint
        assert "test_backup_restores[[]redis]" in done.hint
    else:
        assert (done.verdict, len(readers)) == (Verdict.PASSED, 2)


def test_a_restored_store_without_collections_is_not_asked_for_its_data(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's question touches data, which an empty store does not have: that is no lack of rights."""
    found = [Finding("redis", "view v", Verdict.PASSED, "as recorded")]
    monkeypatch.setattr(restore_trial, "open_view", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(restore_trial, "compare_target", lambda *_: found)
    monkeypatch.setattr(restore_trial, "open_keeper", lambda *_: _Restores({}))
    assert _trial(target, {}).run(_begun()).verdict is Verdict.PASSED


@pytest.mark.parametrize("restored", [{"0:token:*": 1}, {"0:token:*": 3}, {}], ids=["fewer", "more", "none"])
def test_what_a_restore_does_not_bring_back_is_red_though_nothing_else_knows_of_it(
    target: Target, monkeypatch: pytest.MonkeyPatch, restored: Mapping[str, int]
) -> None:
    monkeypatch.setattr(restore_trial, "open_view", lambda *_: create_autospec(StoreView, instance=True))
    monkeypatch.setattr(restore_trial, "compare_target", lambda *_: [])
    monkeypatch.setattr(restore_trial, "open_keeper", lambda *_: _Restores(restored))
    # Those of this kind may have expired, which the keeper tells apart.
    monkeypatch.setattr(StoreTrial, "_traits", frozenset())
    done = _trial(target).run(_begun())
    assert done.verdict is Verdict.FAILED
    assert f"0:token:*: 2 kept, {restored.get('0:token:*', 0)} restored" in done.texts[0]


def test_a_restore_that_takes_too_long_is_red(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_trial, "open_view", lambda *_: create_autospec(StoreView, instance=True))
    monkeypatch.setattr(restore_trial, "compare_target", lambda *_: [])
    monkeypatch.setattr(restore_trial, "open_keeper", lambda *_: _Restores())
    done = _trial(target, deadline=Deadline(0.0)).run(_begun())
    assert done.verdict is Verdict.FAILED
    assert "expected done within 0 s, observed later" in done.texts[0]


def _no_answer(name: str, observed: str) -> Unverifiable:
    return Unverifiable(
        what=name, expected="an answer", observed=observed, source="10.0.0.9:6379", hint="none"
    )


TOKENS = {"0:token:*": 2}


class _Restores:
    """A keeper whose restore puts back `records`: what the backup holds."""

    name, kind = "redis", "redis"

    def __init__(self, records: Mapping[str, int] = TOKENS) -> None:
        self.records = records

    def back_up(self, folder: Path) -> Kept:
        raise NotImplementedError

    def restore(self, folder: Path) -> Restored:
        return Restored(self.records)


def _trial(
    target: Target, records: Mapping[str, int] = TOKENS, deadline: Deadline | None = None
) -> StoreTrial:
    """Return the trial of one store, in a scratch instance that is there; its backup holds `records`."""
    engine = create_autospec(ContainerEngine, instance=True)
    scratch = Scratch(target, create_autospec(ScratchControl, instance=True), deadline or Deadline(60.0))
    baseline = create_autospec(Baseline, instance=True)
    baseline.facts.stores = {}
    kept = {"redis": Kept("keys", records, 10, Means.KEYS)}
    return StoreTrial("redis", scratch, engine, BackupSet(Path(), "c", Moment.now(), kept), baseline)


def _begun() -> Future[None]:
    started: Future[None] = Future()
    started.set_result(None)
    return started


def test_a_volume_is_loaded_from_that_of_the_target_at_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, folder = "/var/lib/milvus", tmp_path / "milvus"
    folder.mkdir()
    (folder / "t_data.tar").write_text("t_data.tar")

    def containers(engine: ComposeEngine) -> dict[str, object]:
        mounts = (Mount(f"{engine.project}_data", "volume", place, ""),)
        return {"milvus": (SimpleNamespace(service="milvus", mounts=mounts),)}

    loaded: dict[str, str] = {}

    def load(_: object, given: Path, __: object) -> None:
        loaded.update({path.name: path.read_text() for path in given.iterdir()})

    monkeypatch.setattr(ComposeEngine, "containers", containers)
    monkeypatch.setattr(volumes, "load", load)
    control = ScratchControl(*(Engine(kind="compose", project=name) for name in ("t-scratch", "t")))
    control.load_volumes(["milvus"], folder, deadline=60.0)
    assert loaded == {"t-scratch_data.tar": "t_data.tar"}
