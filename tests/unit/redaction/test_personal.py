"""Personal data is shown as pseudonyms: where records are named, and by the names of its fields in texts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from fixtures.stores import shown_keys
from rollproof.baseline.target_comparison import compare_target
from rollproof.collection import Case, Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Mismatch, Unverifiable
from rollproof.profile.kinds import kinds
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Place, Reference
from rollproof.redaction.personal import FIELDS, Personal
from rollproof.stores.contract import RecordHash
from rollproof.stores.names import Name
from rollproof.stores.references import require_whole
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL
from tests.world.stores import BaselineRecorder, Content, Searchable, opener

ANNA, BERT = "anna.öst@example.org", "bert@example.org"
PERSONAL = Personal(FIELDS, ["secret-of-a-store"], public=["canary"])


POSTGRESQL: dict[str, Json] = {"columns": {"a": {"position": 1}, "b": {"position": 2}}}
PRIMARY_B: Json = {"pk": {"unique": True, "primary": True, "columns": ["b"]}}


def table(**indexes: Sequence[tuple[str | None, int | None]]) -> Json:
    """Return the schema of a table of three columns, by its unique indexes: columns, each with its prefix."""
    return {
        "columns": {
            name: {"ordinal_position": at} for at, name in enumerate(("email", "id", "size"), start=1)
        },
        "indexes": {
            "by_size": {"1": {"non_unique": 1, "column_name": "size", "sub_part": None}},
            **{
                name: {
                    str(number): {"non_unique": 0, "column_name": column, "sub_part": prefix}
                    for number, (column, prefix) in enumerate(parts, start=1)
                }
                for name, parts in indexes.items()
            },
        },
    }


def test_a_pseudonym_tells_people_apart_and_not_who_they_are() -> None:
    one, other = PERSONAL.pseudonym(ANNA), PERSONAL.pseudonym(BERT)

    assert one != other
    assert one == Personal((), ["secret-of-a-store"]).pseudonym(ANNA)
    assert one != Personal((), ["secret-of-another"]).pseudonym(ANNA)
    assert len(one) == len("~1a2b3c4d")
    assert PERSONAL.pseudonym(one) == one
    assert PERSONAL.pseudonym("canary") == "canary"


@pytest.mark.parametrize(
    ("place", "covered"),
    [
        (("mysql", "imagedb.users", "email"), True),
        (("mysql", "imagedb.users", "EMail"), True),
        (("mongodb", "mongodb.users", "profile.email"), True),
        (("mongodb", "mongodb.users", "emails_sent"), False),
        (("redis", "0:token:*", "key"), True),
        (("redis", "1:task:*", "key"), False),
        (("mysql", "imagedb.files", "id"), False),
    ],
)
def test_fields_are_known_by_name_and_by_place(place: tuple[str, str, str], covered: bool) -> None:  # noqa: FBT001
    assert PERSONAL.covers(*place) is covered


def test_a_pattern_of_one_place_covers_no_other() -> None:
    personal = Personal(["mysql/imagedb.*.nick", "minio/avatars.key"])

    assert personal.covers("mysql", "imagedb.users", "nick")
    assert not personal.covers("mongodb", "imagedb.users", "nick")
    assert not personal.covers("mysql", "imagedb.users", "email")
    s3 = kinds()["s3"]
    assert personal.keys("minio", s3.key_fields, s3.place_of("versions avatars"), None)(ANNA) != ANNA
    assert personal.keys("minio", s3.key_fields, s3.place_of("minio-file"), None)(ANNA) == ANNA


@pytest.mark.parametrize(
    ("kind", "schema", "fields"),
    [
        ("mysql", table(PRIMARY=[("id", None)], by_mail=[("email", None)]), ("id",)),
        ("mysql", table(PRIMARY=[("email", None), ("id", None)]), ("email", "id")),
        ("mysql", table(PRIMARY=[("email", 10)], by_id=[("id", None)]), ("id", "email")),
        ("mysql", table(by_hash=[(None, None), ("id", None)]), ("id", "email")),
        ("mysql", table(), ("email",)),
        ("mysql", {"columns": {}}, None),
        ("mysql", None, None),
        ("milvus", {"fields": [{"name": "email", "is_primary": True}, {"name": "v"}]}, ("email",)),
        ("milvus", {}, None),
        ("mongodb", None, ("_id",)),
        ("postgresql", {**POSTGRESQL, "indexes": PRIMARY_B}, ("b",)),
        ("postgresql", POSTGRESQL, ("a",)),
        ("postgresql", {}, None),
        ("redis", {}, ("key",)),
        ("kafka", {}, ()),
    ],
)
def test_the_fields_of_a_key(kind: str, schema: Json, fields: tuple[str, ...] | None) -> None:
    assert kinds()[kind].key_fields(schema) == fields


@pytest.mark.parametrize(
    ("schemas", "shown"),
    [
        ((table(PRIMARY=[("id", None)]), table(PRIMARY=[("id", None)])), ANNA),
        ((table(PRIMARY=[("email", None)]), table(PRIMARY=[("id", None)])), PERSONAL.pseudonym(ANNA)),
        ((table(PRIMARY=[("id", None)]), table(PRIMARY=[("email", None)])), PERSONAL.pseudonym(ANNA)),
        ((table(PRIMARY=[("id", None)]), None), PERSONAL.pseudonym(ANNA)),
    ],
    ids=["no personal key", "it was", "it is", "nobody knows"],
)
def test_a_key_is_a_pseudonym_where_it_is_or_was_personal(schemas: tuple[Json, Json], shown: str) -> None:
    assert PERSONAL.keys("mysql", kinds()["mysql"].key_fields, "imagedb.users", *schemas)(ANNA) == shown


class Names(Content):
    """A store in which each of two records names one that is not there."""

    def names(self, *_: object) -> Iterator[Name | None]:
        return iter([(ANNA, "7"), (BERT, "8")])

    def held(self, *_: object) -> set[Name]:
        return set()


@pytest.mark.parametrize("personal_in", ["referencing", "referenced"])
def test_names_that_nothing_holds_are_pseudonyms_where_they_are_personal(personal_in: str) -> None:
    fields = {"referencing": ("owner", "id"), "referenced": ("owner", "id"), personal_in: ("email", "id")}
    places = {
        name: Place(store="mysql", collection="imagedb.users", fields=of) for name, of in fields.items()
    }

    with pytest.raises(Mismatch) as raised:
        require_whole(Reference(**places), lambda _: Names("mysql", {}), PERSONAL, sleep=lambda _: None)

    one, other = f"{PERSONAL.pseudonym(ANNA)}/7", f"{PERSONAL.pseudonym(BERT)}/8"
    assert f"first: {one}, {other}" in str(raised.value)


SESSIONS = "0:session:*"
BEFORE = {
    SESSIONS: [RecordHash(ANNA, 1, {"size": 1}), RecordHash(BERT, 2)],
    "0:task:*": [RecordHash("t1", 1)],
}
NOW = {SESSIONS: [RecordHash(ANNA, 3, {"size": 2}), RecordHash("carl", 4)], "0:task:*": [RecordHash("t2", 2)]}


def test_a_comparison_names_records_by_pseudonyms(tmp_path: Path) -> None:
    target = load_target(write_profile(tmp_path))
    baseline = BaselineRecorder(tmp_path).add(Searchable("redis", BEFORE)).baseline
    content = Searchable("redis", NOW)
    findings = compare_target(target, cast("ContainerEngine", None), baseline, open_reader=opener(content))

    said = "\n".join(finding.text for finding in findings)
    shown = target.personal.pseudonym
    assert f"(missing {shown(BERT)}; added {shown('carl')}; changed {shown(ANNA)}: size)" in said
    assert "1 missing, 1 added, 0 changed (missing t1; added t2)" in said
    assert not [value for value in (ANNA, BERT, "carl") if value in said]


@pytest.mark.parametrize(
    ("store", "collection", "personal"),
    [("redis", SESSIONS, True), ("redis", "0:task:*", False), ("mysql", "0:task:*", True)],
    ids=["personal", "not personal", "a table whose schema cannot be read"],
)
def test_the_check_of_a_collection_names_records_by_pseudonyms(
    tmp_path: Path, store: str, collection: str, *, personal: bool
) -> None:
    target = load_target(write_profile(tmp_path, MYSQL))
    baseline = BaselineRecorder(tmp_path).add(Searchable(store, {collection: BEFORE[SESSIONS]})).baseline
    content = Searchable(store, {collection: NOW[SESSIONS]})

    def schemas(store: str) -> Mapping[str, Json]:
        if store == "redis":
            return content.schemas()
        raise Unverifiable(what=store, expected="a", observed="b", source="c", hint="d")

    names = inspect.unwrap(shown_keys)(baseline, target, schemas)
    shown = target.personal.pseudonym if personal else str
    assert names(Case(store, collection))(ANNA) == shown(ANNA)
