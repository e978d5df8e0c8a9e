"""What is true of Milvus alone: it is stopped to be kept, and must run again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from pymilvus.client.types import LoadState

from rollproof.profile.sections import Policy
from rollproof.stores.milvus.keeper import MilvusKeeper
from rollproof.stores.package import MANIFEST, read_package
from tests.stack.milvus_scratch import SECONDS
from tests.stack.stores.milvus import Milvus
from tests.stack.stores.place import Backup

pytestmark = [pytest.mark.of("milvus"), pytest.mark.long(minutes=2)]


def test_the_server_runs_again_after_a_backup_that_failed(
    subject: Milvus, kept: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_services_and_folder: object, **_deadline: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject.watched, "save_volumes", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        kept.keeper.back_up(tmp_path)
    assert not (tmp_path / MANIFEST).exists()
    assert subject.running()
    assert subject.observe() == kept.before


def test_what_is_not_loaded_is_loaded_for_an_export(subject: Milvus, kept: Backup) -> None:
    subject.connected().release_collection("third", timeout=SECONDS)
    keeper = subject.place.keeper()
    assert keeper.load() == ["released", "third"]
    assert keeper.load() == []
    with subject.place.view() as view:
        assert view.counts() == {**kept.records, "released": kept.records["third"]}
    listed = subject.place.but(collections=("third",)).keeper()
    subject.connected().release_collection("released", timeout=SECONDS)
    assert listed.load() == []
    assert subject.observe() == kept.before


def test_what_users_may_add_spoils_no_backup(
    subject: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = subject.place.keeper()
    assert isinstance(keeper, MilvusKeeper)
    subject.disturb(keeper, monkeypatch)
    grows = subject.own.model_copy(update={"policy": {"*": Policy.GROWS}})
    monkeypatch.setattr(keeper, "_profile", grows)
    kept = keeper.back_up(tmp_path)
    details = read_package(tmp_path, kind="milvus").details
    assert details["unsettled"] == ["plain"]
    subject.connected()  # at the port that it has now
    assert kept.records["plain"] + 3 == subject.counted()["plain"]


def test_what_users_load_during_a_backup_stays_loaded(
    subject: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, stop = subject.place.keeper(), subject.control.stop
    assert isinstance(keeper, MilvusKeeper)

    def load(services: Iterable[str], *, deadline: float) -> None:
        subject.connected().load_collection("released", timeout=SECONDS)
        stop(services, deadline=deadline)

    with monkeypatch.context() as patch:
        patch.setattr(subject.watched, "stop", load, raising=False)
        keeper.back_up(tmp_path)
    assert read_package(tmp_path, kind="milvus").details["unsettled"] == ["released"]
    for _ in ("after the backup", "after a restore"):
        assert subject.connected().get_load_state("released")["state"] == LoadState.Loaded
        restored = keeper.restore(tmp_path)
    client = subject.connected()
    assert (restored.notes, restored.records["released"]) == ((), subject.counted()["third"])
    client.release_collection("released", timeout=SECONDS)


def test_what_is_kept_aside_can_be_put_back(subject: Milvus, kept: Backup, tmp_path: Path) -> None:
    """Of a server that is up, of one whose account may list and not flush, and of one that is down."""
    folders = {name: tmp_path / name for name in ("up", "unflushed", "down")}
    for folder in folders.values():
        folder.mkdir()
    # A server that another test has started again may have another port.
    keeper = subject.place.keeper()
    assert isinstance(keeper, MilvusKeeper)
    asked = keeper.keep_safe(folders["up"], up=True, backup=kept.folder)
    assert asked.records == kept.records
    assert not subject.running()

    subject.wipe()
    subject.add()
    damaged = subject.observe()
    reader = subject.own.reader
    assert reader is not None
    lesser = subject.place.but(operator=reader.model_copy(update={"user": "reader"})).keeper()
    assert isinstance(lesser, MilvusKeeper)
    unflushed = lesser.keep_safe(folders["unflushed"], up=True, backup=kept.folder)
    assert not unflushed.records
    assert "could not be flushed" in unflushed.method
    assert not subject.running()
    down = keeper.keep_safe(folders["down"], up=False, backup=kept.folder)
    assert not down.records
    assert not subject.running()

    assert not {UNASKED} & set(keeper.restore(folders["up"]).notes)
    assert subject.observe() == kept.before
    for name in ("unflushed", "down"):
        assert UNASKED in keeper.restore(folders[name]).notes
        assert subject.observe() == damaged
        subject.control.stop(["milvus"], deadline=SECONDS)


UNASKED = "it could not be asked when it was kept: nothing to compare with"
