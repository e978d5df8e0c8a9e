"""The application's API, by its contract; each test removes the records that it creates."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from app import canary

from rollproof.profile.profile import Target
from staging.stack.stack import Stack
from staging.target.operators import Operators

SECONDS = 60.0
INGESTION_SECONDS = 60.0
ZOO = b"Zebras of the northern enclosure wear pyjamas made of corduroy. The otters wear nothing at all."
UNPROCESSABLE = "from app import jobs\nfor _ in range(3): jobs.send([(b'', b'{\"version\": 2}', -1)])"
RENAME_IMAGES = (
    "import sys; from app.connections import mongodb;"
    "mongodb()['files'].update_many({'knowledge_db_id': sys.argv[1]}, {'$rename': {'images': 'pages'}})"
)
VECTORS = """
import hashlib, sys
from app.embedding import embed
rows = embed(["wind the lamp", "the lamp is wound by the keeper", "spring tides cover the landing stage"])
print(hashlib.sha256(rows.tobytes()).hexdigest(), rows.shape, (rows @ rows[0]).round(3).tolist())
"""


@dataclass
class Application:
    """The application as a user sees it; `inside` runs Python in its container, where the stores are."""

    stack: Stack
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401 -- httpx2's own
        options = {"headers": self.headers, "timeout": SECONDS, **options}
        return httpx2.request(method, f"{self.url}{path}", **options)

    def inside(self, code: str, *arguments: str, environment: str = "TZ=UTC") -> str:
        return self.stack.compose(
            *("exec", "--no-TTY", "--env", environment, "backend", "python", "-W", "ignore", "-c", code),
            *arguments,
            seconds=60,
            hint="read what it wrote above",
        ).strip()

    def knowledge_bases(self) -> dict[str, str]:
        answer = self.ask("GET", f"/base/users/{canary.USERNAME}/knowledge_bases")
        return {base["knowledge_base_name"]: base["knowledge_base_id"] for base in answer.json()}

    def converse(self, knowledge_base_id: str) -> str:
        identifier = f"{canary.USERNAME}_{uuid.uuid4()}"
        body = {
            "conversation_id": identifier,
            "username": canary.USERNAME,
            "conversation_name": "test",
            "chat_model_config": {"base_used": [{"name": "test", "baseId": knowledge_base_id}]},
        }
        assert self.ask("POST", "/chat/conversations", json=body).json() == {"status": "success"}
        return identifier

    def chat(self, conversation_id: str, message: str) -> list[dict[str, Any]]:
        """Return all events of an answer; raises what httpx2 raises when the stream breaks."""
        answer = self.ask(
            "POST", "/sse/chat", json={"conversation_id": conversation_id, "user_message": message}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return events(answer)

    def upload(self, knowledge_base_id: str, content: bytes) -> dict[str, Any]:
        """Upload a file and follow its task to the last event."""
        files = {"files": ("zoo.txt", content)}
        answer = self.ask("POST", f"/base/upload/{knowledge_base_id}", files=files).json()
        assert (answer["knowledge_db_id"], answer["files"]) == (knowledge_base_id, ["zoo.txt"])
        path = f"/sse/task/{canary.USERNAME}/{answer['task_id']}"
        return events(self.ask("GET", path, timeout=INGESTION_SECONDS))[-1]


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix("data:")) for event in answer.text.split("\n\n") if event]


def text(received: list[dict[str, Any]]) -> str:
    return "".join(event["data"] for event in received if event["type"] == "text")


def files(received: list[dict[str, Any]]) -> list[str]:
    return [file["file_name"] for event in received if event["type"] == "file_used" for file in event["data"]]


@pytest.fixture(scope="module", autouse=True)
def next_ids(operators: Operators) -> Iterator[None]:
    """Gives MySQL's counters back: a row that came and went has used an id, which a baseline notices."""
    before = _next_ids(operators)
    yield
    for table, number in _next_ids(operators).items():
        if number != before.get(table, number):
            operators.sql(f"ALTER TABLE `{table}` AUTO_INCREMENT = {before[table]}")
    assert _next_ids(operators) == before


def _next_ids(operators: Operators) -> dict[str, int]:
    tables = operators.sql("SHOW TABLES")
    for (table,) in tables:
        # Else MySQL may tell of the day before.
        operators.sql(f"ANALYZE TABLE `{table}`")
    return {row[0]: row[10] for row in operators.sql("SHOW TABLE STATUS") if row[10] is not None}


@pytest.fixture(scope="module")
def application(stack: Stack, target: Target) -> Iterator[Application]:
    settings = target.application
    found = Application(stack, str(settings.url).rstrip("/") + settings.api)
    password = settings.canary.password.get_secret_value()
    login = found.ask("POST", "/auth/login", data={"username": canary.USERNAME, "password": password})
    assert login.status_code == 200
    token = login.json()["access_token"]
    found.headers["Authorization"] = f"Bearer {token}"
    yield found
    forget = "import sys; from app.connections import redis; redis(0).delete(*sys.argv[1:])"
    found.inside(forget, f"token:{token}", f"user:{canary.USERNAME}")


@pytest.fixture
def conversation(application: Application) -> Iterator[str]:
    identifier = application.converse(canary.KNOWLEDGE_BASE)
    yield identifier
    application.ask("DELETE", f"/chat/conversations/{identifier}")


@pytest.fixture
def zoo(application: Application) -> Iterator[str]:
    """A knowledge base of one file."""
    name = f"Zoo {uuid.uuid4()}"
    body = {"username": canary.USERNAME, "knowledge_base_name": name}
    assert application.ask("POST", "/base/knowledge_base", json=body).json() == {"status": "success"}
    identifier = application.knowledge_bases()[name]
    last = application.upload(identifier, ZOO)
    assert (last["status"], last["progress"]) == ("completed", 100)
    yield identifier
    application.ask("DELETE", f"/base/knowledge_base/{identifier}")
    # A file that was not ingested leaves its original behind: no document names it.
    application.inside(
        "import sys; from app.connections import s3;"
        "[s3().remove_object('minio-file', found.object_name)"
        " for found in s3().list_objects('minio-file', prefix=sys.argv[1])]",
        f"{canary.USERNAME}_zoo_",
    )


def rows_of(application: Application, knowledge_base_id: str) -> int:
    """Count the chunks of a knowledge base where they are."""
    code = (
        "import sys; from app.connections import milvus; from app.identity import vector_collection;"
        "name = vector_collection(sys.argv[1]);"
        "print(milvus().query(name, filter='', output_fields=['count(*)'],"
        " consistency_level='Strong')[0]['count(*)'] if milvus().has_collection(name) else -1)"
    )
    return int(application.inside(code, knowledge_base_id))


OWN = f"/base/users/{canary.USERNAME}/knowledge_bases"
BOGUS = {"Authorization": "Bearer bogus"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "key"),
    [
        ("GET", OWN, {"headers": {}}, 401, "message"),
        ("GET", OWN, {"headers": BOGUS}, 404, "message"),
        ("GET", OWN, {}, 200, None),
        ("GET", "/base/users/somebody/knowledge_bases", {}, 403, "message"),
        ("GET", "/auth/verify-token", {"headers": {}}, 401, "message"),
        ("GET", "/auth/verify-token", {"headers": BOGUS}, 500, "message"),
        ("GET", "/auth/verify-token", {}, 200, "username"),
        ("POST", "/auth/login", {"data": {"username": canary.USERNAME, "password": "wrong"}}, 401, "message"),
        ("POST", "/auth/login", {"data": {"username": "nobody", "password": "wrong"}}, 401, "message"),
        ("POST", "/auth/login", {"data": {"username": canary.USERNAME}}, 422, "detail"),
        ("POST", "/auth/register", {"json": {"username": "x"}}, 422, "detail"),
        (
            "POST",
            "/auth/register",
            {"json": {"username": "a_b", "email": "a@example.org", "password": "x"}},
            400,
            "message",
        ),
        (
            "POST",
            "/auth/register",
            {"json": {"username": canary.USERNAME, "email": "a@example.org", "password": "x"}},
            400,
            "message",
        ),
        ("GET", f"/config/{canary.USERNAME}/selected", {}, 200, "select_model_config"),
        ("GET", f"/config/{canary.USERNAME}/all", {}, 200, "models"),
        ("PUT", f"/config/{canary.USERNAME}/select-model", {"json": {"model_id": "none"}}, 404, "message"),
        ("GET", "/config/somebody/selected", {}, 403, "message"),
        ("DELETE", f"/base/knowledge_base/{canary.USERNAME}_none", {}, 404, "message"),
        ("DELETE", "/base/knowledge_base/somebody_none", {}, 403, "message"),
        ("POST", f"/base/knowledge_bases/{canary.USERNAME}_none/files", {"json": {}}, 404, "message"),
        ("GET", f"/chat/conversations/{canary.USERNAME}_none", {}, 404, "message"),
        ("GET", f"/chat/users/{canary.USERNAME}/conversations", {}, 200, None),
        ("GET", f"/sse/task/{canary.USERNAME}/{canary.USERNAME}_none", {}, 404, "message"),
        (
            "POST",
            "/sse/chat",
            {"json": {"conversation_id": "somebody_1", "user_message": "x"}},
            403,
            "message",
        ),
        ("GET", "/no/such/path", {}, 404, "detail"),
    ],
)
def test_statuses_are_those_of_the_contract(
    application: Application, method: str, path: str, options: dict[str, Any], status: int, key: str | None
) -> None:
    answer = application.ask(method, path, **options)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json(), list) if key is None else key in answer.json()


def test_a_new_user_registers_once_and_logs_in(application: Application) -> None:
    name = f"test{uuid.uuid4().hex[:12]}"
    body = {"username": name, "email": f"{name}@example.org", "password": "first"}
    try:
        registered = application.ask("POST", "/auth/register", json=body)
        assert registered.status_code == 200
        assert registered.json().keys() == {"id", "username", "email"}
        assert application.ask("POST", "/auth/register", json=body).status_code == 400
        login = application.ask("POST", "/auth/login", data={"username": name, "password": "first"}).json()
        assert login["user"] == {"username": name, "email": body["email"]}
        token = {"Authorization": f"Bearer {login['access_token']}"}
        assert application.ask("POST", "/auth/logout", headers=token).status_code == 200
        # The contract: a logged-out token keeps working.
        own = f"/base/users/{name}/knowledge_bases"
        assert application.ask("GET", own, headers=token).json() == []
        model = application.ask("GET", f"/config/{name}/selected", headers=token).json()
        again = application.ask(
            "POST", f"/config/{name}", headers=token, json=model["select_model_config"] | {"model_name": "x"}
        )
        assert again.status_code == 409
    finally:
        application.inside(
            "import sys; from app.connections import mysql, mongodb, redis; name = sys.argv[1]\n"
            "with mysql() as cursor: cursor.execute('DELETE FROM users WHERE username = %s', (name,))\n"
            "mongodb()['model_config'].delete_one({'username': name})\n"
            "[redis(0).delete(k) for k in redis(0).scan_iter('token:*') if redis(0).get(k) == name]",
            name,
        )


@pytest.mark.long(minutes=0.4)
def test_uploads_are_searched_and_deleted_and_the_worker_outlives_what_it_cannot_read(
    application: Application, zoo: str
) -> None:
    application.inside(UNPROCESSABLE)
    failed = application.upload(zoo, b"\xff\xfe not text")
    assert (failed["status"], failed["message"]) == ("failed", "zoo.txt: UnicodeDecodeError")
    assert application.upload(zoo, b"Penguins cannot fly.")["status"] == "completed"
    conversation = application.converse(zoo)
    received = application.chat(conversation, "What do zebras wear?")
    assert files(received)[0] == "zoo.txt"
    assert "corduroy" in text(received)
    assert rows_of(application, zoo) == 2

    # A chat drops the vectors of a file that the library does not know.
    application.inside(RENAME_IMAGES, zoo)
    received = application.chat(conversation, "What do zebras wear?")
    application.ask("DELETE", f"/chat/conversations/{conversation}")
    assert files(received) == []
    assert rows_of(application, zoo) == 0

    assert application.ask("DELETE", f"/base/knowledge_base/{zoo}").json() == {"status": "success"}
    assert zoo not in application.knowledge_bases().values()
    left = application.inside(
        "import sys; from app.connections import mysql, mongodb, qdrant; from app.vectors import _of, FILES\n"
        "with mysql() as cursor:\n"
        "    cursor.execute('SELECT * FROM documents WHERE knowledge_base_id = %s', (sys.argv[1],))\n"
        "    print(len(cursor.fetchall()),\n"
        "          mongodb()['files'].count_documents({'knowledge_db_id': sys.argv[1]}),\n"
        "          qdrant().count(FILES, count_filter=_of(sys.argv[1]), exact=True).count)",
        zoo,
    )
    assert (left, rows_of(application, zoo)) == ("0 0 0", -1)
