"""Faults of single stores, made by their operators; each is a context manager that undoes it at its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from pymilvus import DataType

from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.milvus import client as milvus
from rollproof.stores.milvus.descriptor import MilvusProfile
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.reach import Reach, account_of
from staging.target.operators import SECONDS, Operators, undone

_POINTS = "/collections/files/points"


@contextmanager
def password_hash_replaced(operators: Operators, username: str, stored: str) -> Iterator[None]:
    """Another hash is stored in place of that of a user's password."""
    replace = "UPDATE users SET hashed_password = %s WHERE username = %s"
    ((before,),) = operators.sql("SELECT hashed_password FROM users WHERE username = %s", (username,))
    operators.sql(replace, (stored, username))
    with undone(lambda: operators.sql(replace, (before, username))):
        yield


@contextmanager
def row_added(operators: Operators, username: str) -> Iterator[None]:
    """The table users has one more row."""
    operators.sql(
        "INSERT INTO users (username, email, hashed_password) VALUES (%s, %s, %s)", (username, username, "-")
    )
    with undone(lambda: operators.sql("DELETE FROM users WHERE username = %s", (username,))):
        yield


@contextmanager
def row_names_no_file(operators: Operators) -> Iterator[None]:
    """A row of the table documents names a file that nobody has."""
    with _documents_put_back(operators):
        operators.sql("UPDATE documents SET file_id = 'nowhere' ORDER BY file_id LIMIT 1")
        yield


@contextmanager
def _documents_put_back(operators: Operators) -> Iterator[None]:
    rows = operators.sql("SELECT * FROM documents")

    def put_back() -> None:
        operators.sql("DELETE FROM documents")
        operators.sql(f"INSERT INTO documents VALUES {', '.join(['%s'] * len(rows))}", rows)  # noqa: S608

    with undone(put_back):
        yield


@contextmanager
def document_gone(operators: Operators, collection: str, which: Mapping[str, Any]) -> Iterator[None]:
    """One document is gone."""
    found = operators.mongodb["mongodb"][collection]
    document = found.find_one_and_delete(dict(which))
    assert document is not None
    with undone(lambda: found.replace_one({"_id": document["_id"]}, document, upsert=True)):
        yield


@contextmanager
def file_delisted(operators: Operators, knowledge_base: str, filename: str) -> Iterator[None]:
    """A knowledge base no longer lists one of its files."""
    found, which = operators.mongodb["mongodb"]["knowledge_bases"], {"knowledge_base_id": knowledge_base}
    document = found.find_one_and_update(which, {"$pull": {"files": {"filename": filename}}})
    assert document is not None
    with undone(lambda: found.replace_one(which, document)):
        yield


@contextmanager
def document_changed(
    operators: Operators, collection: str, which: Mapping[str, object], **values: object
) -> Iterator[None]:
    """A document has other values."""
    found = operators.mongodb["mongodb"][collection]
    document = found.find_one_and_update(which, {"$set": values})
    assert document is not None
    with undone(lambda: found.replace_one({"_id": document["_id"]}, document)):
        yield


@contextmanager
def field_renamed(operators: Operators, knowledge_base: str, name: str, other: str) -> Iterator[None]:
    """A field of the documents of a knowledge base's files has another name; all counts are as before."""
    found, which = operators.mongodb["mongodb"]["files"], {"knowledge_db_id": knowledge_base}
    before = list(found.find(which))
    assert found.update_many(which, {"$rename": {name: other}}).modified_count

    def undo() -> None:
        # Renamed back, the field would be the last one.
        for document in before:
            found.replace_one({"_id": document["_id"]}, document)

    with undone(undo):
        yield


@contextmanager
def pages_swapped(operators: Operators, knowledge_base: str, one: str, other: str) -> Iterator[None]:
    """Two files of a knowledge base have each other's pages; every list and count is as before."""
    found = operators.mongodb["mongodb"]["files"]
    which = [{"knowledge_db_id": knowledge_base, "filename": name} for name in (one, other)]

    def swap() -> None:
        pages = [document["images"] for document in map(found.find_one, which) if document is not None]
        for each, images in zip(which, reversed(pages), strict=True):
            assert found.update_one(each, {"$set": {"images": images}}).modified_count == 1

    swap()
    with undone(swap):
        yield


@contextmanager
def turns_refused(operators: Operators) -> Iterator[None]:
    """MongoDB refuses every turn of a conversation.

    A copy does: a collection that had a validator never again has the options of one that had none.
    """
    database = operators.mongodb["mongodb"]
    database["conversations"].rename("conversations_aside")
    with undone(lambda: database["conversations_aside"].rename("conversations", dropTarget=True)):
        copy = database.create_collection(
            "conversations", validator={"turns": {"$size": 0}}, validationLevel="moderate"
        )
        copy.insert_many(database["conversations_aside"].find(), bypass_document_validation=True)
        yield


@contextmanager
def redis_command(operators: Operators, before: Sequence[str], after: Sequence[str]) -> Iterator[None]:
    """One command breaks something in Redis, another mends it."""

    def execute(*words: str) -> None:
        operators.redis.execute_command(*words)  # type: ignore[no-untyped-call]

    execute(*before)
    with undone(lambda: execute(*after)):
        yield


@contextmanager
def point_names_no_file(operators: Operators) -> Iterator[None]:
    """One point of Qdrant's collection files names a file that nobody has."""
    point = _first_point(operators)
    with undone(lambda: _put_point(operators, point)):
        _put_point(operators, point | {"payload": {**point["payload"], "file_id": "nowhere"}})
        yield


@contextmanager
def point_gone(operators: Operators) -> Iterator[None]:
    """A file has no point in Qdrant's collection files any more."""
    point = _first_point(operators)
    with undone(lambda: _put_point(operators, point)):
        operators.qdrant.call("POST", f"{_POINTS}/delete?wait=true", {"points": [point["id"]]})
        yield


def _first_point(operators: Operators) -> dict[str, Any]:
    request = {"limit": 1, "with_vector": True, "with_payload": True}
    (found,) = operators.qdrant.call("POST", f"{_POINTS}/scroll", request)["points"]
    return {name: found[name] for name in ("id", "vector", "payload")}


def _put_point(operators: Operators, point: Mapping[str, Any]) -> None:
    operators.qdrant.call("PUT", f"{_POINTS}?wait=true", {"points": [point]})


@contextmanager
def points_collection(operators: Operators, name: str) -> Iterator[None]:
    """Qdrant has one more collection, which is empty."""
    path = f"/collections/{name}"
    operators.qdrant.call("PUT", path, {"vectors": {"size": 2, "distance": "Dot"}})
    with undone(lambda: operators.qdrant.call("DELETE", path)):
        yield


@contextmanager
def entities_gone(operators: Operators, collection: str, which: str) -> Iterator[None]:
    """The entities of a collection of Milvus that `which` selects are gone."""
    options: dict[str, Any] = {"consistency_level": "Strong", "timeout": SECONDS}
    rows = operators.milvus.query(
        collection, which, ["vector", "image_id", "file_id", "page_number", "text"], **options
    )
    assert rows
    operators.milvus.delete(collection, filter=which, timeout=SECONDS)
    kept = [{name: value for name, value in row.items() if name != "pk"} for row in rows]
    with undone(lambda: operators.milvus.insert(collection, kept, timeout=SECONDS)):
        yield


@contextmanager
def vector_names_no_file(operators: Operators) -> Iterator[None]:
    """The canary's collection of Milvus has a vector more, of a file that nobody has."""
    client = operators.milvus
    (collection,) = (name for name in client.list_collections(timeout=SECONDS) if "canary" in name)
    fields = ["vector", "image_id", "page_number", "text"]
    (found,) = client.query(
        collection, "page_number == 1", fields, limit=1, consistency_level="Strong", timeout=SECONDS
    )
    row = {name: value for name, value in found.items() if name != "pk"} | {"file_id": "nowhere"}
    with undone(lambda: client.delete(collection, filter='file_id == "nowhere"', timeout=SECONDS)):
        client.insert(collection, [row], timeout=SECONDS)
        yield


@contextmanager
def page_strayed(operators: Operators, collection: str, knowledge_base: str, copied: str) -> Iterator[str]:
    """A page of another knowledge base's file has a vector of the file `copied`; yields the other's name."""
    files, milvus = operators.mongodb["mongodb"]["files"], operators.milvus
    own = files.find_one({"knowledge_db_id": knowledge_base, "filename": copied})
    other = files.find_one({"knowledge_db_id": {"$ne": knowledge_base}})
    assert own is not None
    assert other is not None
    strong = {"consistency_level": "Strong", "timeout": SECONDS}
    rows = milvus.query(collection, f'file_id == "{own["file_id"]}"', output_fields=["*"], **strong)
    page = {"file_id": other["file_id"], "image_id": other["images"][0]["images_id"]}
    added = [{name: value for name, value in row.items() if name != "pk"} | page for row in rows]
    keys = milvus.insert(collection, added, timeout=SECONDS)["ids"]
    with undone(lambda: milvus.delete(collection, ids=list(keys), timeout=SECONDS)):
        yield str(other["filename"])


@contextmanager
def vectors_released(operators: Operators, name: str) -> Iterator[None]:
    """A collection of Milvus is not loaded."""
    operators.milvus.release_collection(name, timeout=SECONDS)
    with undone(lambda: operators.milvus.load_collection(name, timeout=SECONDS)):
        yield


@contextmanager
def object_gone(operators: Operators, bucket: str, key: str | None = None) -> Iterator[None]:
    """An object of a versioned bucket, by default the first, is behind a delete marker."""
    key = key or next(iter(operators.s3.list_objects(bucket, recursive=True))).object_name
    assert key is not None
    operators.s3.remove_object(bucket, key)

    def remove_marker() -> None:
        for item in operators.s3.list_objects(bucket, prefix=key, include_version=True):
            if item.is_delete_marker and item.object_name == key:
                operators.s3.remove_object(bucket, key, item.version_id)

    with undone(remove_marker):
        yield


@contextmanager
def tables_held(target: Target, engine: ContainerEngine) -> Iterator[None]:
    """No table of users can be dropped in MySQL: a reader, who is no writer, holds one."""
    profile = target.stores["mysql"]
    assert isinstance(profile, MysqlProfile)
    reach = Reach("mysql", engine.resolve(profile.address), profile.reader, SECONDS)
    with closing(mysql.Mysql(reach).connect()) as connection:
        mysql.rows(connection, "START TRANSACTION")
        mysql.rows(connection, "SELECT COUNT(*) FROM imagedb.users")
        yield


@contextmanager
def database_of_another(operators: Operators, *, empty: bool = False) -> Iterator[str]:
    """Milvus has one more database, of another application, unless `empty` with a collection; its name."""
    name, collection = f"other_{uuid.uuid4().hex[:8]}", "of_another"
    profile = operators.target.stores["milvus"]
    assert isinstance(profile, MilvusProfile)
    endpoint = operators.engine.resolve(profile.address)
    reach = Reach("milvus", endpoint, account_of(profile.operator), SECONDS)
    with ExitStack() as undo:
        operators.milvus.create_database(name, timeout=SECONDS)
        undo.callback(operators.milvus.drop_database, name, timeout=SECONDS)
        if not empty:
            other = undo.enter_context(closing(milvus.Milvus(reach, name).connect()))
            schema = other.create_schema()
            schema.add_field("pk", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
            other.create_collection(collection, schema=schema, timeout=SECONDS)
            undo.callback(other.drop_collection, collection, timeout=SECONDS)
        yield name
