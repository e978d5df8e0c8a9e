"""References are followed while users write: what is wrong twice is wrong; names are of any type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import ObjectId
from pydantic import TypeAdapter
from pymilvus import DataType

from rollproof.errors import Meaning, Mismatch, Unverifiable
from rollproof.profile.sections import Reference, References
from rollproof.stores.milvus.reader import MilvusReader as MilvusView
from rollproof.stores.mongodb.reader import MongodbReader as MongodbView
from rollproof.stores.names import Name, names_of, whole_numbers
from rollproof.stores.qdrant.reader import QdrantReader as QdrantView
from rollproof.stores.reach import Readable
from rollproof.stores.reader import Reader
from rollproof.stores.references import MOST_TOLERATED, Followed, follow, hash_of, judge, look, require_whole
from tests.unit.redaction.test_redaction import PERSONAL
from tests.unit.stores.test_readers_reach import NOWHERE, section
from tests.world.stores import Content

ROWS = Reference.model_validate(
    {
        "referencing": {"store": "mysql", "collection": "shop.rows", "fields": ["document"]},
        "referenced": {"store": "mongodb", "collection": "shop.documents", "fields": ["id"]},
    }
)


Look = tuple[Sequence[str | None], Sequence[str]] | Unverifiable


class Looks(Content):
    """Two stores whose names and records are, at each look, those of the next of `looks`."""

    kind = "mysql"

    def __init__(self, *looks: Look) -> None:
        super().__init__("it", {})
        self.looks = [*looks]

    def names(self, *_: object) -> Iterator[Name | None]:
        look = self.looks.pop(0)
        if isinstance(look, Unverifiable):
            raise look
        named, self.held_now = look
        yield from (None if name is None else (name,) for name in named)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        return {name for name in names if name[0] in self.held_now}

    def collections(self) -> Sequence[str]:
        raise AssertionError("no place is a pattern")


@pytest.fixture
def naps() -> list[float]:
    return []


def no_nap(_: float) -> None:
    """Wait for nothing."""


def followed(*looks: Look, sleep: Callable[[float], None] = no_nap) -> int:
    view = Looks(*looks)
    return require_whole(ROWS, lambda _: view, PERSONAL, sleep=sleep)


def test_what_came_into_one_store_first_is_in_both_a_moment_later(naps: list[float]) -> None:
    assert followed((["a", "b"], ["a"]), (["a", "b"], ["a", "b"]), sleep=naps.append) == 2
    assert followed((["a", None], ["a"]), (["a", "b"], ["a", "b"]), sleep=naps.append) == 2
    # Another one comes meanwhile.
    assert followed((["a", "b"], ["a"]), (["a", "b", "c"], ["a", "b"]), sleep=naps.append) == 3
    assert len(naps) == 3


def refused(means: Meaning = Meaning.OTHER) -> Unverifiable:
    return Unverifiable(
        what="it", expected="an answer", observed="not loaded", source="it", hint="wait", means=means
    )


@pytest.mark.parametrize("means", [Meaning.TIMEOUT, Meaning.UNREACHABLE, Meaning.OTHER])
def test_a_collection_that_is_named_is_asked_once(means: Meaning, naps: list[float]) -> None:
    with pytest.raises(Unverifiable):
        followed(refused(means), (["a"], ["a"]), sleep=naps.append)
    assert naps == []


class Shelves:
    """A store that holds names by collection."""

    lists_names = False

    def __init__(self, held: Mapping[str, set[str]]) -> None:
        self.by_collection = held

    def collections(self) -> Sequence[str]:
        return [*self.by_collection]

    def names(self, collection: str, *_: object) -> Iterator[Name | None]:
        yield from ((name,) for name in self.by_collection[collection])


class Patterned(Content):
    """A store whose collections `made_…` cannot be read, nor counted: at each look those of `unread`."""

    kind = "milvus"

    def __init__(self, *unread: Sequence[str], means: Meaning = Meaning.OTHER) -> None:
        super().__init__("it", {})
        self.unread, self.means = [*unread], means
        self.looks = 0

    def collections(self) -> Sequence[str]:
        self.looks += 1
        self.now = self.unread.pop(0) if self.unread else ()
        return ("shop.rows", "shop.others", *self.now, "else.never")

    def count(self, collection: str) -> int:
        raise refused()

    def counts(self) -> Mapping[str, int]:
        raise refused()

    def names(self, collection: str, *_: object) -> Iterator[Name | None]:
        if collection in self.now:
            raise refused(self.means)
        yield (collection,)

    def held(self, collection: str, fields: Sequence[str], names: Sequence[Name]) -> set[Name]:
        return {*names}


def of_pattern(view: Patterned, sleep: Callable[[float], None]) -> int:
    place = ROWS.referencing.model_copy(update={"collection": "shop.*"})
    reference = ROWS.model_copy(update={"referencing": place})
    return require_whole(reference, lambda _: view, PERSONAL, sleep=sleep)


def test_collections_of_a_pattern_are_found_without_a_count(naps: list[float]) -> None:
    assert of_pattern(Patterned(), naps.append) == 2
    assert naps == []


def test_names_are_looked_for_in_every_collection_of_a_pattern() -> None:
    """The other way round: rows that no collection of the pattern has are those without a vector."""
    given = Looks((["a", "b", "c"], []), (["a", "b", "c"], []))
    vectors = Shelves({"shop.one": {"a"}, "shop.two": {"b"}, "else.where": {"c"}})
    place = ROWS.referenced.model_copy(update={"collection": "shop.*"})
    reference = ROWS.model_copy(update={"referenced": place})
    stores = {"mysql": given, "mongodb": vectors}
    with pytest.raises(Mismatch, match=r"expected each held by mongodb/shop\.\*.*1 dangling.*first: c"):
        require_whole(reference, lambda name: cast("Reader", stores[name]), PERSONAL, sleep=no_nap)


@pytest.mark.parametrize(("collection", "allowed"), [("cache:*", True), ("cash:*", False)])
def test_a_cache_may_be_empty_and_a_mistyped_pattern_may_not(*, collection: str, allowed: bool) -> None:
    caches = Shelves({"cache:*": set()})
    place = ROWS.referencing.model_copy(update={"collection": collection})
    reference = ROWS.model_copy(update={"referencing": place, "may_be_empty": True})
    found = follow(reference, lambda _: cast("Reader", caches))
    assert (found.records, found.whole) == (0, allowed)


def test_what_is_complete_is_followed_the_other_way_round_too() -> None:
    every = TypeAdapter(References).validate_python({"vectors": {**ROWS.model_dump(), "complete": True}})
    assert [*every] == ["vectors", "vectors-complete"]
    back = every["vectors-complete"]
    assert (back.referencing, back.referenced, back.complete) == (ROWS.referenced, ROWS.referencing, False)


def test_a_collection_that_users_are_making_is_looked_at_again(naps: list[float]) -> None:
    # Another one comes at each look: none is without an answer for long.
    assert of_pattern(Patterned(["shop.made_1"], ["shop.made_2"], ["shop.made_3"]), naps.append) == 2
    assert len(naps) == 1
    naps.clear()
    assert of_pattern(Patterned(*[["shop.made_1"]] * 3), naps.append) == 2
    assert len(naps) == 3


def test_a_collection_that_stays_without_an_answer_makes_it_broken(naps: list[float]) -> None:
    with pytest.raises(Unverifiable, match="not loaded"):
        of_pattern(Patterned(*[["shop.made_1"]] * 9), naps.append)
    assert len(naps) == 4


@pytest.mark.parametrize("means", [Meaning.TIMEOUT, Meaning.UNREACHABLE])
def test_a_store_that_hangs_or_is_down_is_asked_once(means: Meaning, naps: list[float]) -> None:
    with pytest.raises(Unverifiable):
        of_pattern(Patterned(["shop.made_1"], means=means), naps.append)
    assert naps == []


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((["a", "b"], ["a"]), (["a", "b"], ["a"]), "1 dangling, 0 records without a name; first: b"),
        ((["a", "b", "b"], ["a"]), (["a", "b", "b"], ["a"]), "2 dangling"),
        ((["a", "b", "d"], ["a"]), (["a", "b", "c"], ["a"]), "1 dangling, 0 .* without a name; first: b"),
        ((["a", None, None], ["a"]), (["a", None], ["a"]), "0 dangling, 1 records without a name"),
        (([], []), ([], []), "no record that holds a name"),
    ],
)  # fmt: skip
def test_what_stays_wrong_is_wrong(
    first: tuple[list[str], list[str]], second: tuple[list[str], list[str]], said: str
) -> None:
    with pytest.raises(Mismatch, match=said):
        followed(first, second)


def test_of_many_that_dangle_none_is_forgiven() -> None:
    many = [f"{number:03}" for number in range(30)]
    with pytest.raises(Mismatch, match="observed 30 dangling"):
        followed((many, []), (many, []))
    found = Followed(30, 0, 30, tuple((name,) for name in many[:20]))
    assert found.still_wrong(Followed(30, 0, 30, tuple((name,) for name in many[10:]))).dangling == 30


def tolerating(moved: Sequence[str], *looks: Look, sleep: Callable[[float], None] = no_nap) -> Followed:
    view = Looks(*looks)
    return look(ROWS, lambda _: cast("Reader", view), {hash_of((name,)) for name in moved}, sleep=sleep)


def test_names_that_moved_while_the_backup_was_taken_may_dangle(naps: list[float]) -> None:
    found = tolerating(["b", "z"], (["a", "b", "b"], ["a"]), sleep=naps.append)
    assert (found.dangling, found.first, found.tolerated) == (0, (), {("b",): 2})
    assert judge(ROWS, found, PERSONAL, tolerated=1) == 3
    assert naps == []


def test_another_name_that_dangles_is_red_and_is_told_alone() -> None:
    wrong: Look = (["a", "b", "c"], ["a"])
    found = tolerating(["b"], wrong, wrong)
    assert found.tolerated == {("b",): 1}
    with pytest.raises(Mismatch, match="observed 1 dangling, 0 records without a name; first: c "):
        judge(ROWS, found, PERSONAL, tolerated=1)
    # One that was on its way at the first look spoils nothing.
    assert judge(ROWS, tolerating(["b"], wrong, (["a", "b", "c"], ["a", "c"])), PERSONAL, tolerated=1) == 3


def test_beyond_the_most_that_are_tolerated_all_count() -> None:
    many = [f"{number:04}" for number in range(2 * MOST_TOLERATED)]
    for moved, dangling in ((MOST_TOLERATED, 0), (MOST_TOLERATED + 1, MOST_TOLERATED + 1)):
        found = tolerating(many, (many[:moved], []))
        if not dangling:
            assert judge(ROWS, found, PERSONAL, tolerated=len(found.tolerated)) == moved
        # Those of all references count together.
        with pytest.raises(Mismatch, match=f"observed {moved} dangling, .* more than the 100 names that may"):
            judge(ROWS, found, PERSONAL, tolerated=MOST_TOLERATED + 1)
    # One without such a name is red for its own faults alone.
    assert judge(ROWS, tolerating(many, (["a"], ["a"])), PERSONAL, tolerated=MOST_TOLERATED + 1) == 1


def test_a_traceback_shows_no_name() -> None:
    found = tolerating(["anna"], (["anna", "bert"], []), (["anna", "bert"], []))
    assert (found.tolerated, found.first) == ({("anna",): 1}, (("bert",),))
    assert "anna" not in repr(found)
    assert "bert" not in repr(found)


def test_a_digest_has_64_bits_and_depends_on_each_part() -> None:
    names = [("a", "b"), ("b", "a"), ("ab",), ("a",), ("\ud800",)]
    assert len({hash_of(name) for name in names}) == len(names)
    assert 2**56 < max(map(hash_of, names)) < 2**64


@pytest.mark.parametrize(
    ("document", "path", "empty"),
    [
        ({"files": []}, "files.id", True),
        ({"in": {"files": []}}, "in.files.id", True),
        ({"files": [{}]}, "files.id", False),
        ({"files": None}, "files.id", False),
        ({}, "files.id", False),
        ({"pages": []}, "files.id", False),
        ({"files": [{"ids": []}]}, "files.ids", False),
    ],
)
def test_a_list_that_is_empty_names_nothing(document: dict[str, object], path: str, *, empty: bool) -> None:
    assert list(names_of(document, [path])) == ([] if empty else [None])


TEXT, NUMBER, ID = "a", "42", "65a1b2c3d4e5f60718293a4b"
NAMES = [(TEXT,), (NUMBER,), (ID,)]


def opened(kind: Any, name: str) -> Any:  # noqa: ANN401 - the view of a store
    return kind(Readable("one", section(name), NOWHERE))


@pytest.mark.parametrize(
    ("text", "number"),
    [("42", [42]), ("0", [0]), ("-7", [-7]), (str(2**63 - 1), [2**63 - 1]), (str(-(2**63)), [-(2**63)])],
)
def test_a_text_that_is_a_whole_number_is_one(text: str, number: list[int]) -> None:
    assert whole_numbers([text]) == number


@pytest.mark.parametrize("text", ["", "042", "-0", "+1", "1.0", "1e3", "٤٢", " 1", str(2**63), "1" * 5000])
def test_another_text_is_none(text: str) -> None:
    assert whole_numbers([text]) == []


@pytest.mark.parametrize("held", [TEXT, int(NUMBER), ObjectId(ID)], ids=["text", "number", "ObjectId"])
def test_mongodb_holds_a_name_of_any_type(held: Any) -> None:  # noqa: ANN401 - as stored
    class Collection:
        def find(self, chosen: Mapping[str, Any], _: object) -> Any:  # noqa: ANN401 - a cursor
            # As the server does: a text is no number and no ObjectId.
            return nullcontext([{"_id": held}] if held in chosen["_id"]["$in"] else [])

    view = opened(MongodbView, "mongodb")

    view._mongodb.connect = lambda: {"shop": {"documents": Collection()}}
    assert view.held("shop.documents", ["_id"], NAMES) == {(str(held),)}


@pytest.mark.parametrize("held", [TEXT, int(NUMBER)], ids=["text", "number"])
def test_qdrant_holds_a_name_of_either_type(held: Any) -> None:  # noqa: ANN401 - as stored
    def scrolled(_: str, request: Mapping[str, Any]) -> Iterator[Any]:
        (chosen,) = request["filter"]["must"]
        assert len({type(value) for value in chosen["match"]["any"]}) == 1  # the server takes no mixed list
        yield from [{"id": 1, "payload": {"document": held}}] * (held in chosen["match"]["any"])

    view = opened(QdrantView, "qdrant")
    view._rest = SimpleNamespace(scrolled=scrolled)
    assert view.held("files", ["document"], NAMES) == {(str(held),)}
    assert view.held("files", ["document"], [("z",)]) == set()


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (DataType.VARCHAR, f'document in ["{NUMBER}", "{ID}", "{TEXT}"]'),
        (DataType.INT64, f"document in [{NUMBER}]"),
        (None, f'document in ["{NUMBER}", "{ID}", "{TEXT}"] or document in [{NUMBER}]'),
    ],
    ids=["text", "number", "dynamic"],
)
def test_milvus_is_asked_by_the_type_of_the_field(kind: DataType | None, condition: str) -> None:
    asked = []

    def query(_: str, *, filter: str, **__: object) -> Sequence[Any]:  # noqa: A002 - the client's name
        asked.append(filter)
        return [{"document": int(NUMBER)}]

    view = opened(MilvusView, "milvus")
    fields = [] if kind is None else [{"name": "document", "type": kind}]
    view._milvus.connect = lambda: cast(
        "Any", SimpleNamespace(describe_collection=lambda *_, **__: {"fields": fields}, query=query)
    )
    assert view.held("files", ["document"], NAMES) == {(NUMBER,)}
    if kind is DataType.INT64:
        assert view.held("files", ["document"], [(TEXT,)]) == set()
    assert asked == [condition]
