"""The writes of live users, held against stand-in stores and a lost window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest

from rollproof.errors import ActionFailed
from staging.rehearsal.layra_users import LayraUser, Place
from staging.rehearsal.live_users import Account, Write
from staging.rehearsal.users_data import fates_of
from staging.target.operators import Operators

KEPT = Write(Place.USERS, "live1"), Write(Place.ORIGINALS, "note1"), Write(Place.CONVERSATIONS, "asked1")


@pytest.fixture
def stores() -> Callable[[str], str]:
    found = {"conversations": [{"turns": ["asked1"]}], "files": [], "knowledge_bases": []}
    database = {name: SimpleNamespace(find=Mock(return_value=records)) for name, records in found.items()}
    listed = [SimpleNamespace(object_name="live1_note1_0.txt")]
    stand_in = SimpleNamespace(
        sql=Mock(return_value=[("live1",)]),
        mongodb={"mongodb": database},
        s3=SimpleNamespace(list_objects=Mock(return_value=listed)),
    )
    return lambda place: LayraUser.held(place, cast("Operators", stand_in))


@pytest.fixture
def incident(tmp_path: Path) -> Path:
    for name, text in {
        "mysql/0001-imagedb.users": "live2",
        "mongodb/0000-mongodb.conversations": "asked2",
    }.items():
        file = tmp_path / "lost-window" / f"{name}.jsonl"
        file.parent.mkdir(parents=True)
        file.write_text(f'{{"content": "{text}"}}\n')
    return tmp_path


def test_a_write_that_is_in_another_place_alone_has_vanished(
    stores: Callable[[str], str], incident: Path
) -> None:
    fates = fates_of(Account([*KEPT, Write(Place.FILES, "note1")]), stores, incident)
    assert "1 vanished" in str(fates)
    with pytest.raises(ActionFailed, match=r"1 vanished: .*note1"):
        fates.require_none_vanished()
