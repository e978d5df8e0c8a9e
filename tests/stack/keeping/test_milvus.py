"""What is true of Milvus alone: it is stopped to be kept, and must run again."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from fixtures.backups.package import MANIFEST
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.stores.milvus.view import connect
from fixtures.stores.reach import Reach
from rollback_actions.stores.milvus.keeper import Keeper
from tests.stack.keeping.milvus import Milvus
from tests.stack.keeping.subject import Backup
from tests.stack.milvus_scratch import SECONDS, Scratch

pytestmark = [pytest.mark.of("milvus"), pytest.mark.long(minutes=2), pytest.mark.timeout(900)]


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


def test_what_is_kept_aside_can_be_put_back(subject: Milvus, kept: Backup, tmp_path: Path) -> None:
    """Of a server that is up, of one whose account may list and not flush, and of one that is down."""
    folders = {name: tmp_path / name for name in ("up", "unflushed", "down")}
    for folder in folders.values():
        folder.mkdir()
    keeper = kept.keeper
    assert isinstance(keeper, Keeper)
    asked = keeper.keep_aside(folders["up"], up=True)
    assert asked.records == kept.records
    assert not subject.running()

    subject.clear()
    subject.add()
    damaged = subject.observe()
    reader = subject.profile.reader
    assert reader is not None
    lesser = subject.place.but(operator=reader.model_copy(update={"user": "reader"})).keeper()
    assert isinstance(lesser, Keeper)
    unflushed = lesser.keep_aside(folders["unflushed"], up=True)
    assert not unflushed.records
    assert "could not be flushed" in unflushed.method
    assert not subject.running()
    down = keeper.keep_aside(folders["down"], up=False)
    assert not down.records
    assert not subject.running()

    assert not {UNASKED} & set(keeper.restore(folders["up"]).notes)
    assert subject.observe() == kept.before
    for name in ("unflushed", "down"):
        assert UNASKED in keeper.restore(folders[name]).notes
        assert subject.observe() == damaged
        subject.control.stop(["milvus"], deadline=SECONDS)


@pytest.mark.usefixtures("kept")
def test_what_is_outside_of_the_profile_is_not_overwritten(subject: Milvus, tmp_path: Path) -> None:
    """A restore replaces all data of the server; only what the profile names is exported before."""
    named = subject.place.but(collections=("plain", "other", "third", "empty"))
    fewer = named.keeper()
    assert isinstance(fewer, Keeper)
    keepers = {"default.released": fewer}
    subject.connected().create_database("elsewhere", timeout=SECONDS)
    operator = subject.profile.operator
    assert operator is not None
    reach = Reach("milvus", subject.place.endpoint, operator, SECONDS)
    with closing(connect(reach, "elsewhere")) as other:
        # A database without a collection is nothing to lose.
        subject.keeper()._expect_all_named()
        Scratch(other, "").create("theirs", 3)
    keepers["elsewhere.theirs"] = subject.keeper()
    try:
        for name, keeper in keepers.items():
            for keep in (keeper.back_up, partial(keeper.keep_aside, up=True)):
                with pytest.raises(ActionFailed, match=f"expected none but those that .* observed .*{name}"):
                    keep(tmp_path)
                assert subject.running()
                assert not list(tmp_path.iterdir())
    finally:
        with closing(connect(reach, "elsewhere")) as other:
            other.drop_collection("theirs", timeout=SECONDS)
        subject.connected().drop_database("elsewhere", timeout=SECONDS)


def test_released_collections_are_loaded_to_be_exported(subject: Milvus, kept: Backup) -> None:
    subject.change(lambda scratch: scratch.client.release_collection("third", timeout=SECONDS))
    with subject.place.view() as view, pytest.raises(Unverifiable):
        view.counts()
    keeper = subject.keeper()
    assert sorted(keeper.open_up()) == ["released", "third"]
    with subject.place.view() as view:
        assert set(view.counts()) == {"plain", "other", "third", "empty", "released"}
    assert keeper.open_up() == []
    subject.change(lambda scratch: scratch.client.release_collection("released", timeout=SECONDS))
    assert subject.observe() == kept.before


def test_data_outside_of_volumes_is_refused_before_the_server_stops(
    subject: Milvus, kept: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_services: object) -> None:
        raise ActionFailed(what="data", expected="a volume", observed="a bind", source="-", hint="-")

    keeper = subject.keeper()
    monkeypatch.setattr(subject.watched, "require_volumes", refuse, raising=False)
    for act in (
        partial(keeper.back_up, tmp_path),
        partial(keeper.keep_aside, tmp_path, up=False),
        partial(keeper.restore, kept.folder),
    ):
        with pytest.raises(ActionFailed, match="observed a bind"):
            act()
        assert subject.running()


UNASKED = "it could not be asked when it was kept: nothing to compare with"
