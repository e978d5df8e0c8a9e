"""What an account may do in each store, as the store itself tells: a reader that writes is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]
from minio import Minio
from minio.error import S3Error

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.stores.contract import Rights
from rollproof.stores.kafka import rights as kafka
from rollproof.stores.milvus import rights as milvus
from rollproof.stores.mongodb import rights as mongodb
from rollproof.stores.mysql import rights as mysql
from rollproof.stores.mysql.privileges import NEEDED
from rollproof.stores.qdrant import rights as qdrant
from rollproof.stores.reach import Readable
from rollproof.stores.redis import rights as redis_rights
from rollproof.stores.s3 import rights as s3
from tests.unit.stores.test_readers_reach import section

NOWHERE = Endpoint("127.0.0.1", 9)
READING = (
    "GRANT USAGE ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*79D0'",
    "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `imagedb`.* TO `reader`@`%`",
    "GRANT SHOW_ROUTINE, PROCESS ON *.* TO `reader`@`%`",
)


def readable(kind: str, **settings: object) -> Readable[Any]:
    return Readable("s", section(kind).model_copy(update=settings), NOWHERE)


@pytest.mark.parametrize(
    ("more", "writes"),
    [
        ([], ()),
        (["GRANT INSERT ON `imagedb`.* TO `reader`@`%`"], ("INSERT on imagedb",)),
        (["GRANT DELETE ON *.* TO `reader`@`%`"], ("DELETE on imagedb",)),
        (["GRANT UPDATE ON `image%`.* TO `reader`@`%`"], ("UPDATE on imagedb",)),
        (["GRANT DROP ON `other`.* TO `reader`@`%`"], ()),
        (["GRANT ALL PRIVILEGES ON *.* TO `reader`@`%`"], ("ALL PRIVILEGES on imagedb",)),
        (["GRANT SELECT, UPDATE ON `imagedb`.`users` TO `reader`@`%`"], ("UPDATE on imagedb.users",)),
        (
            ["GRANT SELECT (`a`), UPDATE (`a`, `b`) ON `imagedb`.`us``ers` TO `reader`@`%`"],
            ("UPDATE on imagedb.us`ers",),
        ),
        (["GRANT UPDATE ON `other`.`users` TO `reader`@`%`"], ()),
        (
            ["GRANT INSERT ON *.* TO `reader`@`%`", "REVOKE INSERT ON `imagedb`.* FROM `reader`@`%`"],
            (),
        ),
    ],
)
def test_a_reader_of_mysql(more: Sequence[str], writes: tuple[str, ...]) -> None:
    assert mysql.judged([*READING, *more], ["imagedb"]).writes == writes


def test_an_operator_of_mysql() -> None:
    every = f"GRANT {', '.join(sorted(NEEDED))} ON `imagedb`.* TO `operator`@`%`"
    assert mysql.judged([every], ["imagedb"]).lacks == ()
    assert mysql.judged(["GRANT ALL PRIVILEGES ON *.* TO `o`@`%`"], ["imagedb"]).lacks == ()
    assert mysql.judged([every.replace("TRIGGER, ", "").replace(", TRIGGER", "")], ["imagedb"]).lacks == (
        "TRIGGER on imagedb",
    )
    assert len(mysql.judged(READING, ["imagedb"]).lacks) > 5


FIND = ["find", "listCollections", "changeStream"]
WRITE = ["find", "insert", "remove", "createCollection", "createIndex", "dropCollection"]


@pytest.mark.parametrize(
    ("resource", "actions", "writes", "lacks"),
    [
        ({"db": "", "collection": ""}, FIND, 0, 5),
        ({"db": "", "collection": ""}, WRITE, 5, 0),
        ({"db": "mongodb", "collection": ""}, WRITE, 5, 0),
        ({"db": "other", "collection": ""}, WRITE, 0, 6),
        ({"db": "mongodb", "collection": "files"}, ["find", "insert"], 1, 6),
        ({"db": "mongodb", "collection": "system.views"}, ["insert"], 0, 6),
        ({"cluster": True}, ["insert"], 0, 6),
        ({"anyResource": True}, ["anyAction"], 1, 0),
    ],
)
def test_accounts_of_mongodb(
    resource: Mapping[str, object], actions: Sequence[str], writes: int, lacks: int
) -> None:
    found = mongodb.judged([{"resource": resource, "actions": actions}], ["mongodb"])
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)


class _Redis:
    """A server that lets an account do some commands; it keeps what it was asked."""

    def __init__(self, *may: str) -> None:
        self.may = may
        self.asked: list[tuple[str, ...]] = []

    def execute_command(self, *command: str) -> None:
        self.asked.append(command)
        if command[0] not in self.may:
            raise redis.exceptions.NoPermissionError("this user has no permissions")

    def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize(("may", "writes"), [((), 0), (("SET",), 2), (("SET", "UNLINK"), 4)])
def test_accounts_of_redis(monkeypatch: pytest.MonkeyPatch, may: tuple[str, ...], writes: int) -> None:
    server = _Redis(*may)
    monkeypatch.setattr(redis_rights, "connect", lambda *_: server)
    patterns = ("0:token:*", "1:task:*", "0:settings")
    found = redis_rights.rights(readable("redis", databases=(0,), patterns=patterns))
    assert (len(found.writes), len(found.lacks)) == (writes, 4 - writes)
    # Nothing that is there is touched.
    assert all("rollproof-" in command[1] for command in server.asked)
    assert all(command[-1] == "XX" for command in server.asked if command[0] == "SET")
    assert any(command[1].startswith("token:rollproof-") for command in server.asked)


def _s3_error(code: str) -> S3Error:
    return S3Error(cast("Any", None), code, "m", "/b/k", "r", "h", bucket_name="b")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("AccessDenied", Rights(lacks=("PutObject into one",))),
        ("NoSuchUpload", Rights(writes=("PutObject into one",))),
    ],
)
def test_accounts_of_s3(monkeypatch: pytest.MonkeyPatch, code: str, found: Rights) -> None:
    def refuse(*_: object) -> None:
        raise _s3_error(code)

    monkeypatch.setattr(Minio, "_complete_multipart_upload", refuse)
    assert s3.rights(readable("s3")) == found


def test_another_answer_of_s3_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise _s3_error("SlowDown")

    monkeypatch.setattr(Minio, "_complete_multipart_upload", refuse)
    with pytest.raises(Unverifiable, match="SlowDown"):
        s3.rights(readable("s3"))


@pytest.mark.parametrize(("status", "writes", "lacks"), [(403, 0, 1), (401, 0, 1), (404, 1, 0)])
def test_keys_of_qdrant(monkeypatch: pytest.MonkeyPatch, status: int, writes: int, lacks: int) -> None:
    monkeypatch.setattr(qdrant, "Rest", _rest(status))
    found = qdrant.rights(readable("qdrant"))
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)


def test_another_answer_of_qdrant_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant, "Rest", _rest(500))
    with pytest.raises(Unverifiable, match="HTTP 500"):
        qdrant.rights(readable("qdrant"))


def _rest(status: int) -> Callable[[object], object]:
    return lambda _: SimpleNamespace(call=lambda *_: {}, status=lambda *_: status)


@pytest.mark.parametrize(
    ("granted", "writes", "lacks"),
    [
        ({}, 0, 3),
        ({"reader": ["Query", "Search", "Load"]}, 0, 3),
        ({"reader": ["Query"], "late": ["Insert"]}, 1, 2),
        ({"reader": ["*"]}, 1, 0),
        ({"admin": []}, 1, 0),
    ],
)
def test_accounts_of_milvus(granted: Mapping[str, Sequence[str]], writes: int, lacks: int) -> None:
    found = milvus.judged(granted)
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)


@pytest.mark.parametrize(
    ("operations", "writes", "lacks"),
    [
        ([AclOperation.READ, AclOperation.DESCRIBE], 0, 3),
        ([AclOperation.READ, AclOperation.WRITE], 1, 2),
        ([AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER_CONFIGS], 2, 0),
        ([AclOperation.ALL], 1, 0),
    ],
)
def test_accounts_of_kafka(operations: Sequence[AclOperation], writes: int, lacks: int) -> None:
    found = kafka.judged({"t": operations})
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)
