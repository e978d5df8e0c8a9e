"""What a migration did: every difference is of one kind; and what its text plainly says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from rollproof.baseline.folder import Baseline
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.judgement.finding import Change
from rollproof.judgement.judge import schema_differences
from rollproof.migrations.effects import Effects, effects_of
from rollproof.profile.profile import Target, load_target
from rollproof.stores.contract import RecordHash
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL
from tests.world.stores import BaselineRecorder, Content, opener

ENGINE = cast("ContainerEngine", None)
BEFORE = [RecordHash("k1", 1, {"name": 1, "mail": 1}), RecordHash("k2", 2, {"name": 2, "mail": 2})]
EXTENDED = [RecordHash(old.key, 9, {**old.fields, "locale": 7}) for old in BEFORE]


@dataclass
class Described(Content):
    """A stand-in whose collections have schemas."""

    described: dict[str, Json] = field(default_factory=dict)

    def schemas(self) -> dict[str, Json]:
        return {**super().schemas(), **self.described}


@pytest.fixture
def before(tmp_path: Path) -> Baseline:
    described: dict[str, Json] = {"a": {"type": "int"}}
    return BaselineRecorder(tmp_path).add(Described("redis", {"a": BEFORE}, described=described)).baseline


def seen(target: Target, before: Baseline, *content: Content) -> Effects:
    return effects_of(target, ENGINE, lambda _: before, opener(*content))


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (Described("redis", {"a": BEFORE[:1]}), "lost", "redis: a: records, policy exact: 1 missing"),
        (Described("redis", {"b": BEFORE}), "lost", "redis: a: not there any more"),
        (Described("redis", {}), "lost", "redis: a: not there any more"),
        (Described("redis", {"a": [BEFORE[0], RecordHash("k2", 3, {"name": 2})]}), "lost", "mail gone"),
        (Described("redis", {"a": [*BEFORE, RecordHash("k3", 3)]}), "noted", "(added k3)"),
    ],
    ids=["record", "collection renamed", "collection", "field", "new record"],
)
def test_records(target: Target, before: Baseline, content: Described, kind: str, text: str) -> None:
    content.described = {"a": {"type": "int"}} if "a" in content.content else {}
    found = seen(target, before, content)
    assert any(text in one for one in getattr(found, kind)), found
    assert found.unknown == ()
    assert found.verdict is (Verdict.PASSED if kind == "noted" else Verdict.FAILED)


def test_a_new_field_in_every_record_is_no_change_of_the_records(target: Target, before: Baseline) -> None:
    described: dict[str, Json] = {"a": {"type": "int", "locale": "text"}}
    found = seen(target, before, Described("redis", {"a": EXTENDED}, described=described))
    assert found == Effects(noted=("redis: a: schema: locale: expected none, observed 'text'",))


def test_another_type_is_named_where_every_record_is_the_same(target: Target, before: Baseline) -> None:
    found = seen(target, before, Described("redis", {"a": BEFORE}, described={"a": {"type": "short"}}))
    assert found == Effects(altered=("redis: a: schema: type: expected 'int', observed 'short'",))
    assert found.verdict is Verdict.FAILED


def test_the_table_of_alembics_revision_is_left_out(target: Target, tmp_path: Path) -> None:
    before = BaselineRecorder(tmp_path).add(Content("redis", {"shop.alembic_version": BEFORE})).baseline
    assert seen(target, before, Content("redis", {"shop.alembic_version": []})) == Effects()


def test_a_table_of_revisions_is_left_out_in_the_store_that_the_profile_names_alone(tmp_path: Path) -> None:
    migrations = '[application.migrations.backend]\nfolders = ["/m"]\nstore = "mysql"\ntable = "shop.made"\n'
    target = load_target(write_profile(tmp_path, MYSQL + migrations))
    stores = [Content("mysql", {"shop.made": BEFORE}), Content("redis", {"shop.made": BEFORE})]
    recorder = BaselineRecorder(tmp_path)
    for store in stores:
        recorder.add(store)
    emptied = [Content("mysql", {"shop.made": []}), Content("redis", {"shop.made": []})]
    lost = seen(target, recorder.baseline, *emptied).lost
    assert [text.partition(": ")[0] for text in lost] == ["redis"]


def test_what_cannot_be_compared_is_never_taken_for_no_loss(target: Target, tmp_path: Path) -> None:
    before = BaselineRecorder(tmp_path).add(Content("redis", {"a": BEFORE}, frozenset({"a"}))).baseline
    unread = seen(target, before, Content("redis", {}))
    assert unread.verdict is Verdict.BROKEN
    assert len(unread.unknown) == 1

    def broken(_: Target) -> Baseline:
        raise Unverifiable(what="baseline", expected="a", observed="none", source="b", hint="c")

    assert effects_of(target, ENGINE, broken).verdict is Verdict.BROKEN


def test_the_place_of_a_column_follows_from_another() -> None:
    before: Json = {"columns": {"b": {"ordinal_position": 2, "type": "int"}, "a": {"ordinal_position": 1}}}
    now: Json = {"columns": {"b": {"ordinal_position": 1, "type": "text"}}}
    assert [change for change, _ in schema_differences(before, now)] == [
        Change.GONE,
        Change.MOVED,
        Change.ALTERED,
    ]
