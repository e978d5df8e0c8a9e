"""The pure parts of the S3 content reader."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from minio.error import InvalidResponseError, S3Error, ServerError
from pydantic import SecretStr
from urllib3 import BaseHTTPResponse
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError

from rollproof.engines.engine import Endpoint
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Account, Address
from rollproof.stores.reach import Reach, Readable
from rollproof.stores.s3 import reader as s3_content
from rollproof.stores.s3.client import S3
from rollproof.stores.s3.descriptor import S3Profile
from rollproof.stores.s3.reader import (
    ListedObject,
    S3Reader,
    expires_at,
    read_contents,
    read_tags,
    version_record,
)
from rollproof.stores.s3.settings import DENIED, plain

READER = Account(user="reader", password=SecretStr("correct-horse"))
REACH = Reach("minio", Endpoint("127.0.0.1", 9), READER, 5.0)


def test_versions_differ_by_all_that_is_listed() -> None:
    base = ListedObject("k", "v", 3, "e", deleted=False)
    others = [
        ListedObject("K", "v", 3, "e", deleted=False),
        ListedObject("k", "w", 3, "e", deleted=False),
        ListedObject("kv", "", 3, "e", deleted=False),
        ListedObject("k", "v", 4, "e", deleted=False),
        ListedObject("k", "v", 3, "f", deleted=False),
        ListedObject("k", "v", 3, "e", deleted=True),
    ]
    assert len({version_record(item, frozenset()).hash for item in [base, *others]}) == 7
    blind = version_record(base, frozenset({"etag"}))
    assert blind == version_record(others[4], frozenset({"etag"}))
    assert blind.fields.keys() == {"size", "delete_marker"}


KEY = "files/anna@example.org.pdf"


def _said(error: Exception) -> str:
    with pytest.raises(Unverifiable) as raised, S3(REACH, "here").asked():
        raise error
    return str(raised.value)


@pytest.mark.parametrize("bucket", ["files", None])
def test_an_error_of_the_server_names_the_bucket_and_no_key(bucket: str | None) -> None:
    words = f"no {KEY} for reader"
    response = cast("BaseHTTPResponse", None)
    error = S3Error(response, "AccessDenied", words, f"/files/{KEY}", "1", "2", bucket, KEY)

    said = _said(error)

    assert "observed AccessDenied of bucket files (from 127.0.0.1:9)" in said
    assert "anna" not in said


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (InvalidResponseError(502, "text/html", f"cannot GET /files/{KEY}"), "Response code: 502"),
        (MaxRetryError(cast("ConnectionPool", None), f"/files/{KEY}", OSError("refused")), "refused"),
        (ServerError("server failed with HTTP status code 500", 500), "HTTP status code 500"),
    ],
)
def test_an_answer_that_is_none_is_told_without_what_was_asked_for(error: Exception, kept: str) -> None:
    said = _said(error)

    assert kept in said
    assert "anna" not in said


def test_the_server_says_when_an_object_goes() -> None:
    assert expires_at('expiry-date="Fri, 23 Dec 2012 00:00:00 GMT", rule-id="old files"') == 1356220800.0
    assert expires_at("") is None


@pytest.mark.parametrize("date", ["garbage", "Fri, 99 Dec 2012 00:00:00 GMT", f"Fri, 23 Dec 2012 {'9' * 30}"])
def test_a_date_that_cannot_be_read_is_none(date: str) -> None:
    """Then what is missing was lost."""
    assert expires_at(f'expiry-date="{date}"') is None


def test_settings_do_not_depend_on_the_order_of_rules() -> None:
    first, second, third = (
        plain(ET.fromstring(f'<L xmlns="http://s3/">{rules}</L>'))  # noqa: S314 - written here
        for rules in (
            "<Rule><ID>a</ID><Days>1</Days></Rule><Rule><ID>b</ID></Rule>",
            "<Rule><ID>b</ID></Rule> <Rule><Days> 1 </Days><ID>a</ID></Rule>",
            "<Rule><ID>b</ID><Days>1</Days></Rule><Rule><ID>a</ID></Rule>",
        )
    )
    assert first == second == {"Rule": [{"Days": ["1"], "ID": ["a"]}, {"ID": ["b"]}]}
    assert first != third


def test_what_the_account_sees_is_told_by_its_schemas_and_nothing_is_read_again() -> None:
    profile = S3Profile(
        kind="s3",
        address=Address(host="127.0.0.1", port=9),
        services=("s3",),
        risk="low",
        buckets=("files",),
        reader=Account(user="reader", password=SecretStr("x")),
        operator=Account(user="operator", password=SecretStr("x")),
    )
    # Nobody listens there.
    content = S3Reader(Readable("s3", profile, Endpoint("127.0.0.1", 1)))
    seen = content.sight({"files": {"policy": DENIED, "tags": "none"}})
    assert "tags of files" in seen
    assert "policy of files" not in seen


class _Response:
    """An object as the server stores it."""

    headers = {"Content-Encoding": "gzip"}  # noqa: RUF012 - nobody changes it

    def stream(self, _: int, *, decode_content: bool) -> Iterator[bytes]:
        assert not decode_content
        yield from (b"ab", b"cd", b"e")

    def release_conn(self) -> None:
        """Nothing is pooled."""

    close = release_conn


def test_an_object_is_read_as_it_is_stored_and_each_stretch_has_a_deadline_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_content, "STRETCH_BYTES", 4)
    begun, asked, sink = list[int](), list[int](), io.BytesIO()

    def start() -> SimpleNamespace:
        begun.append(1)
        return SimpleNamespace(left=lambda: asked.append(1))

    client: Any = SimpleNamespace(get_object=lambda *_, **__: _Response())
    found = read_contents(client, cast("Reach", SimpleNamespace(start=start)), "b", "k", None, sink)
    assert found == ({"content-encoding": "gzip"}, 5, hashlib.sha256(b"abcde").digest())
    assert (sink.getvalue(), len(begun), len(asked)) == (b"abcde", 2, 3)


def test_tags_are_asked_for_only_where_there_are_some() -> None:
    asked = list[str]()

    def told(_: str, key: str, **__: object) -> dict[str, str]:
        asked.append(key)
        return {"a": "b"}

    client: Any = SimpleNamespace(get_object_tags=told)
    assert (
        read_tags(client, "b", "bare", {}) == read_tags(client, "b", "k", {"x-amz-tagging-count": "0"}) == {}
    )
    assert read_tags(client, "b", "tagged", {"x-amz-tagging-count": "1"}) == {"a": "b"}
    assert asked == ["tagged"]
