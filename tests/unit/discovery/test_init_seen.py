"""What `init` makes of what it sees of a running project: greetings, logs, configurations, changes."""

from __future__ import annotations

import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Endpoint
from rollproof.init import looking
from rollproof.init.looking import log_format, maintenance_file
from rollproof.init.parts import recognitions
from rollproof.init.stack import stack_of
from rollproof.init.watching import Seen, Trail, made_since, policies
from rollproof.stores.contract import Digest, RecordHash
from rollproof.stores.reach import NOBODY, Reach
from tests.stack.faults import closed_port
from tests.unit.discovery.test_doctor_probes import container
from tests.unit.sandbox import stand_in


@contextmanager
def _server(answer: bytes, *, asked: bool) -> Iterator[Reach]:
    """A server that says `answer` to each client, once it was `asked`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        if asked:
                            connection.recv(4096)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield Reach("it", Endpoint("127.0.0.1", listening.getsockname()[1]), NOBODY, 2.0)


_MONGODB = struct.pack("<iiiiI", 21, 1, 1, 2013, 0) + b"\0"
# A broker's Metadata: the correlation, one broker, a controller, no topics.
_KAFKA = struct.pack(">ii", 0, 1) + struct.pack(">ih", 1, 5) + b"kafka" + struct.pack(">ihii", 9092, -1, 1, 0)
GREETINGS = {
    "mysql": (b"\x4a\0\0\0\x0a8.4.3\0" + bytes(40), False, "MySQL 8.4.3"),
    "mariadb": (b"\x4a\0\0\0\x0a5.5.5-11.8.1-MariaDB\0" + bytes(40), False, "MariaDB 5.5.5-11.8.1-MariaDB"),
    "mongodb": (_MONGODB, True, "MongoDB"),
    "redis": (b"-NOAUTH Authentication required.\r\n", True, "Redis"),
    "qdrant": (b'HTTP/1.1 200 OK\r\n\r\n{"title":"qdrant - vector search engine"}', True, "Qdrant"),
    "s3": (
        b"HTTP/1.1 403 Forbidden\r\nServer: MinIO\r\n\r\n<Error><Code>AccessDenied</Code></Error>",
        True,
        "MinIO",
    ),
    "kafka": (struct.pack(">i", len(_KAFKA)) + _KAFKA, True, "Kafka, which sends its clients to kafka:9092"),
}


@pytest.mark.parametrize("server", GREETINGS)
def test_a_greeting_is_known_by_its_own_kind_alone(server: str) -> None:
    answer, asked, said = GREETINGS[server]
    own = "mysql" if server == "mariadb" else server
    with _server(answer, asked=asked) as reach:
        heard = {kind: one.greet(reach) for kind, one in recognitions().items() if one.greet is not None}
    assert {kind: words for kind, words in heard.items() if words} == {own: said}


@pytest.mark.parametrize("answer", [b"", b"\0" * 600, b"\xff" * 600, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_another_server_is_none_of_them(answer: bytes) -> None:
    with _server(answer, asked=True) as reach:
        assert not any(one.greet(reach) for one in recognitions().values() if one.greet is not None)


def test_nobody_listens() -> None:
    with _server(b"", asked=False) as reach:
        pass
    assert not any(one.greet(reach) for one in recognitions().values() if one.greet is not None)


_LINE = '10.0.0.9 - - [27/Nov/2026:10:00:00 +0000] "GET /api HTTP/1.1" 200 12 "-" "curl"'


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([_LINE], "combined"),
        ([f"{_LINE} 0.004"], "timed"),
        (["2026/11/27 10:00:00 [notice] 1#1: start", _LINE], "combined"),
        (["/docker-entrypoint.sh: Configuration complete", "2026/11/27 10:00:00 [notice] 1#1: x"], ""),
        (['{"status": 200}'], "unknown"),
        ([], ""),
    ],
)
def test_a_proxys_log_tells_its_format(lines: list[str], found: str) -> None:
    assert log_format(lines) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("location / { if (-f /run/away) { return 503; } }", "/run/away"),
        ('if ( -f "/run/away" ) { set $away 1; }\nreturn 503;', "/run/away"),
        ("# if (-f /tmp/away) { return 503; }", ""),
        ("if (-f /tmp/away) { return 404; }", ""),
        ("return 503;", ""),
        ("", ""),
    ],
)
def test_a_maintenance_mode_is_found_in_a_configuration(text: str, found: str) -> None:
    assert maintenance_file(["", text]) == found


@pytest.mark.parametrize(
    ("counts", "totals", "policy"),
    [
        ([3, 3, 3], [7, None, 7], None),
        ([3, 4, 4], [7, None, 9], "grows"),
        ([3, 4, 3], [7, None, 9], "volatile"),
        ([3, 2], [7, None], "volatile"),
        ([3, 3], [7, 8], "changes"),
        ([3], [7], None),
    ],
)
def test_a_large_collection_has_the_policy_of_its_counts_and_digests(
    counts: list[int], totals: list[int | None], policy: str | None
) -> None:
    seen = zip(counts, totals, strict=True)
    trail = Trail([Seen(count, None if total is None else Digest(3, total)) for count, total in seen])
    assert trail.policy == policy
    assert policies({"it": trail}) == ({"it": policy} if policy else {})


@pytest.mark.parametrize(
    ("before", "now", "policy", "touched"),
    [
        ({"a": "1"}, {"a": "1"}, None, ""),
        ({"a": "1"}, {"a": "1", "b": "2"}, "grows", ""),
        ({"a": "1", "b": "2"}, {"a": "1", "c": "2"}, "volatile", ""),
        # It grew, and somebody went on with what was there.
        ({"a": "1"}, {"a": "2", "b": "2"}, "changes", "updated_at"),
        ({"a": "1 x"}, {"a": "1 y"}, "changes", ""),
        ({"a": "1 x", "b": "1 x"}, {"a": "2 y", "b": "2 x"}, "changes", "updated_at"),
        ({"a": "1 x", "b": "1 x"}, {"a": "2 y", "b": "1 y"}, "changes", ""),
    ],
)
def test_a_collection_has_the_policy_of_its_records(
    before: dict[str, str], now: dict[str, str], policy: str | None, touched: str
) -> None:
    trail = Trail([_looked(before), Seen(len(before)), _looked(now)])
    assert (trail.policy, trail.touched) == (policy, touched)


def _looked(records: dict[str, str]) -> Seen:
    """A look at records, each with the time of its last change and perhaps a text."""
    found = dict[str, RecordHash]()
    for key, values in records.items():
        fields = {
            name: hash(value) for name, value in zip(("updated_at", "text"), values.split(), strict=False)
        }
        found[key] = RecordHash(key, hash(values), fields)
    return Seen(len(found), Digest(len(found), sum(one.hash for one in found.values())), found)


@pytest.mark.parametrize(
    ("before", "now", "pattern"),
    [
        (["users", "files"], ["users", "files"], ""),
        (["users", "files"], ["users"], ""),
        (["kb_a", "kb_b", "files"], ["kb_a", "kb_b", "files", "kb_c"], "kb_*"),
        (["colqwenann_1", "files"], ["colqwenann_1", "files", "colqwenbob_1", "colqwencid_1"], "colqwen*"),
        (["colqwencanary_1", "colqwenann_1"], ["colqwencanary_2", "colqwencid_1"], "colqwen*"),
        (["files"], ["files", "kb_c", "kb_d"], "kb_*"),
        (["files"], ["files", "kb_c"], "kb_c*"),
        (["files"], ["files", "a", "z"], "*"),
        (["files"], ["files", "a[1]x", "a[1]y"], "a[[]1]*"),
    ],
)
def test_collections_that_were_made_begin_alike(before: list[str], now: list[str], pattern: str) -> None:
    assert made_since(before, now) == pattern


def test_a_collection_of_a_user_s_that_has_just_been_made_tells_how_they_are_called() -> None:
    mine, other = (f"vectors_ada_{uuid.UUID(int=number)!s}".replace("-", "_") for number in (1, 2))
    there = [mine, other, "vectors_canary", "books"]
    assert made_since(there, there, [mine]) == "vectors_*"
    assert made_since([mine, "books"], [mine, "books"], ["books"]) == ""


def test_several_names_that_a_program_has_made_are_of_users_though_none_was_made_meanwhile() -> None:
    made = [f"vectors_{user}_{uuid.UUID(int=user)!s}".replace("-", "_") for user in (1, 2, 3)]
    there = [*made, "vector", "books"]
    assert made_since(there, there) == "vectors_*"
    assert made_since(["books"], ["books"]) == ""
    plain = [str(uuid.UUID(int=number << 120)) for number in (1, 2)]
    assert made_since(plain, plain) == ""


def test_a_secret_that_cannot_be_read_is_why_a_store_was_not_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An operator who is not root often may not read the files of compose's secrets."""
    file = tmp_path / "mysql_reader"
    stack = stack_of(
        {
            "services": {"mysql": {"image": "mysql:8", "secrets": [{"source": "mysql_reader"}]}},
            "secrets": {"mysql_reader": {"file": str(file)}},
        },
        "shop",
        (tmp_path / "compose.yaml",),
        None,
    )
    engine = stand_in(ComposeEngine)
    monkeypatch.setattr(looking, "ComposeEngine", lambda *_: engine)
    made = {"mysql": (container("mysql"),)}
    with closed_port() as port:
        engine.resolve.return_value = Endpoint("127.0.0.1", port)
        unseen = looking.look(stack, made).seen.unseen
    assert unseen == {"mysql": f"compose's secret {file} cannot be read: No such file or directory"}
    file.write_text("a-secret-of-the-test", encoding="utf-8")
    assert looking.look(stack, made).seen.unseen == {
        "mysql": "no account that compose names may look into it"
    }
