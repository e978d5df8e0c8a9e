"""What is true of Qdrant alone: what fails a restore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rollproof.collection import Json
from rollproof.errors import ActionFailed
from rollproof.stores.qdrant.keeper import Keeper
from tests.stack.keeping.qdrant import Qdrant
from tests.stack.keeping.subject import Backup

pytestmark = pytest.mark.of("qdrant")


@pytest.mark.parametrize(
    ("path", "body", "observed"),
    [
        ("/collections/{name}/points/delete?wait=true", {"filter": {}}, "counts after the restore"),
        (
            "/collections/aliases",
            {"actions": [{"create_alias": {"collection_name": "{name}", "alias_name": "later"}}]},
            "aliases after the restore",
        ),
    ],
    ids=["points", "an alias"],
)
def test_what_changes_right_after_a_restore_fails_it(
    subject: Qdrant, kept: Backup, monkeypatch: pytest.MonkeyPatch, path: str, body: Json, observed: str
) -> None:
    keeper = subject.place.keeper()
    assert isinstance(keeper, Keeper)
    name = next(one for one, records in kept.records.items() if records)
    given = json.loads(json.dumps(body).replace("{name}", name))
    verified = Keeper._verified

    def meanwhile(self: Keeper, *told: Any, **more: Any) -> Mapping[str, int]:  # noqa: ANN401 - as it is called
        self._rest.call("POST", path.format(name=name), given)
        return verified(self, *told, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "_verified", meanwhile)
        with pytest.raises(ActionFailed, match=observed):
            keeper.restore(kept.folder)
    keeper.restore(kept.folder)
    assert subject.observe() == kept.before
