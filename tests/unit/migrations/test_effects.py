"""What a migration did: every difference of the migrated stores is of one kind, and none is left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

import rollproof.baseline.target_comparison
from rollproof.baseline.differences import Change, schema_changes
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.migrations import effects
from rollproof.migrations.effects import Effects, effects_of
from rollproof.profile.profile import Target
from rollproof.stores.contract import RecordHash
from rollproof.verdict import Verdict
from tests.unit.content_stand_in import Recorder, StandIn, opener

ENGINE = cast("ContainerEngine", None)
BEFORE = [RecordHash("k1", 1, {"name": 1, "mail": 1}), RecordHash("k2", 2, {"name": 2, "mail": 2})]
EXTENDED = [RecordHash(old.key, 9, {**old.fields, "locale": 7}) for old in BEFORE]


@dataclass
class Described(StandIn):
    """A stand-in whose collections have schemas."""

    described: dict[str, Json] = field(default_factory=dict)

    def schemas(self) -> dict[str, Json]:
        return {**super().schemas(), **self.described}


@pytest.fixture
def migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder(tmp_path).add(Described("redis", {"a": BEFORE}, described={"a": {"type": "int"}}))
    monkeypatch.setattr(effects, "current_baseline", lambda _: recorder.baseline)
    return recorder


def seen(target: Target, monkeypatch: pytest.MonkeyPatch, content: StandIn) -> Effects:
    monkeypatch.setattr(rollproof.baseline.target_comparison, "open_reader", opener(content))
    return effects_of(target, ENGINE)


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (Described("redis", {"a": BEFORE[:1]}), "lost", "redis: a: exact, "),
        (Described("redis", {"b": BEFORE}), "lost", "redis: a: not there any more"),
        (Described("redis", {}), "lost", "redis: a: not there any more"),
        (Described("redis", {"a": [BEFORE[0], RecordHash("k2", 3, {"name": 2})]}), "lost", "mail gone"),
        (Described("redis", {"a": [*BEFORE, RecordHash("k3", 3)]}), "noted", "(added k3)"),
    ],
    ids=["record", "collection renamed", "collection", "field", "new record"],
)
def test_records(
    target: Target, monkeypatch: pytest.MonkeyPatch, content: Described, kind: str, text: str
) -> None:
    content.described = {"a": {"type": "int"}} if "a" in content.content else {}
    found = seen(target, monkeypatch, content)
    assert any(text in one for one in getattr(found, kind)), found
    assert found.unknown == ()
    assert found.verdict is (Verdict.PASSED if kind == "noted" else Verdict.FAILED)


@pytest.mark.usefixtures("migrated")
def test_a_new_field_in_every_record_is_no_change_of_the_records(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: dict[str, Json] = {"a": {"type": "int", "locale": "text"}}
    found = seen(target, monkeypatch, Described("redis", {"a": EXTENDED}, described=described))
    assert found == Effects(noted=("redis: a: schema: locale: expected none, observed 'text'",))


@pytest.mark.usefixtures("migrated")
def test_another_type_is_named_where_every_record_is_the_same(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(target, monkeypatch, Described("redis", {"a": BEFORE}, described={"a": {"type": "short"}}))
    assert found == Effects(altered=("redis: a: schema: type: expected 'int', observed 'short'",))
    assert found.verdict is Verdict.FAILED


def test_the_table_of_alembics_revision_is_left_out(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path).add(StandIn("redis", {"shop.alembic_version": BEFORE}))
    monkeypatch.setattr(effects, "current_baseline", lambda _: recorder.baseline)
    assert seen(target, monkeypatch, StandIn("redis", {"shop.alembic_version": []})) == Effects()


def test_what_cannot_be_compared_is_never_taken_for_no_loss(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path).add(StandIn("redis", {"a": BEFORE}, frozenset({"a"})))
    monkeypatch.setattr(effects, "current_baseline", lambda _: recorder.baseline)
    unread = seen(target, monkeypatch, StandIn("redis", {}))
    assert unread.verdict is Verdict.BROKEN
    assert len(unread.unknown) == 1

    def broken(_: Target) -> None:
        raise Unverifiable(what="baseline", expected="a", observed="none", source="b", hint="c")

    monkeypatch.setattr(effects, "current_baseline", broken)
    assert effects_of(target, ENGINE).verdict is Verdict.BROKEN


def test_the_place_of_a_column_follows_from_another() -> None:
    before: Json = {"columns": {"b": {"ordinal_position": 2, "type": "int"}, "a": {"ordinal_position": 1}}}
    now: Json = {"columns": {"b": {"ordinal_position": 1, "type": "text"}}}
    assert [change for change, _ in schema_changes(before, now)] == [
        Change.GONE,
        Change.MOVED,
        Change.ALTERED,
    ]
