"""What all keepers hold, and how they refuse a backup: the same for every kind of store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.profile.data_formats import Marks
from rollproof.profile.kinds import kinds
from rollproof.profile.sections import StoreProfile
from rollproof.stores.keeper import Put, Restored, StoreKeeper
from rollproof.stores.package import Kept, Package
from rollproof.stores.reach import Reach
from rollproof.stores.registry import at_place
from rollproof.stores.writable import Writable
from tests.unit.stores.test_readers_reach import NOWHERE, OPERATOR, section

SECONDS = 600.0


def _writable(kind: str = "redis") -> Writable[StoreProfile]:
    return Writable("one", section(kind), NOWHERE, cast("ComposeControl", None), SECONDS)


class Keeper(StoreKeeper):
    """Says what it is asked to."""

    def back_up(self, folder: Path) -> Kept:
        raise NotImplementedError

    def restore(self, folder: Path) -> Restored:
        raise NotImplementedError

    def putting(self, collection: str, folder: Path, *, overwrite: bool) -> AbstractContextManager[Put]:
        raise NotImplementedError

    def refuse(self, kept: object, wanted: object) -> None:
        package = Package(self.kind, "", {}, {}, {}, 1, folder=Path("/backups/b1/one"))
        self._expect_same(package, "databases", kept, wanted)

    def refuse_unreadable(self, kept: Marks, observed: Marks) -> None:
        package = Package(self.kind, "", {}, kept, {}, 1, folder=Path("/backups/b1/one"))
        self._expect_readable(package, observed)

    def half(self, part: str) -> ActionFailed:
        return self._not_restored("7 keys", of=part, expected="9 keys")

    def seconds(self) -> tuple[float, float]:
        return self._reach.deadline, self._whole.deadline

    def reaches(self) -> tuple[Reach, Reach]:
        return self._reach, self._whole


@pytest.mark.parametrize("kind", kinds())
def test_a_keeper_of_any_kind_is_made_of_one_object_and_is_the_operator(kind: str) -> None:
    writable = _writable(kind)
    keeper = at_place(kinds()[kind].keeper)(writable)
    assert isinstance(keeper, StoreKeeper)
    assert (keeper.name, keeper.kind) == ("one", kind)
    assert writable.reach.account.password.get_secret_value() == OPERATOR


def test_a_request_has_the_deadline_of_the_profile_and_a_backup_its_own() -> None:
    assert Keeper(_writable()).seconds() == (section("redis").deadline_seconds, SECONDS)


def test_who_asks_for_no_account_is_nobody() -> None:
    writable = _writable("kafka")
    profile = writable.profile.model_copy(update={"operator": None})
    assert replace(writable, profile=profile).reach.account.user == "nobody"


def test_a_backup_of_another_target_is_refused() -> None:
    keeper = Keeper(_writable())
    keeper.refuse([0, 1], [0, 1])
    with pytest.raises(ActionFailed) as caught:
        keeper.refuse([0], [0, 1])
    assert str(caught.value) == (
        "restore of store one: expected a backup with databases 0, 1, as the store is now, "
        "observed one with 0 (from /backups/b1/one)\n"
        "HINT: this backup belongs to another target, or the profile has changed since"
    )


def test_a_server_that_cannot_read_the_backup_is_refused() -> None:
    keeper, older = Keeper(_writable()), {"product": "redis", "server": "7.0.15"}
    kept: dict[str, Json] = {"product": "redis", "server": "7.2.4"}
    keeper.refuse_unreadable(kept, {**kept, "server": "7.2.0"})
    keeper.refuse_unreadable({**older}, kept)
    with pytest.raises(ActionFailed, match=r"redis 7\.2\.4, for redis 7\.0\.15"):
        keeper.refuse_unreadable(kept, {**older})
