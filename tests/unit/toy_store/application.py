"""An application with an API of its own over the toy store.

It has JSON, a header of its own, answers as most servers of language models stream them, and no
conversations. Its sessions are files, too, until they are ended.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from tests.world.application import Exchange, Handler

APPLICATION = """
api = "/v2"
interface = ""
health = {path = "/ready", expect = {ready = "yes"}}
[application.canary]
user = "canary"
password = {file = "canary_password"}
knowledge_base = "canary_1"
question = "Who keeps the light?"
expected_text = "keeper"
other = "anna"
upload = "tide.txt"
[application.functions]
api = "own"
header = "X-Token"
authorization = "{token}"
wrong_password = [422]
[[application.functions.log_in]]
method = "POST"
path = "/sessions"
body = {name = "{user}", secret = "{password}"}
keep = {token = "data.key", number = "data.number"}
[application.functions.log_out]
method = "DELETE"
path = "/sessions/{number}"
[application.functions.own]
path = "/people/{owner}/notes"
[application.functions.documents]
path = "/libraries/{knowledge_base}"
keep = {name = "files.*.title"}
[[application.functions.upload.requests]]
method = "POST"
path = "/libraries/{knowledge_base}"
file = "document"
[[application.functions.upload.removal]]
method = "DELETE"
path = "/libraries/{knowledge_base}/{document}"
[application.functions.chat]
method = "POST"
path = "/completions"
body = {stream = true, messages = [{role = "user", content = "{question}"}], of = "{number}"}
end = "[DONE]"
text = {at = "choices.*.delta.content"}
"""
TOKENS, DOCUMENTS = "tokens", "documents"
NUMBER, LIBRARY = 7, "/v2/libraries/canary_1"


class Answers(dict[str, Handler]):
    """What the application answers: whether its streams `end`, whether it `takes_in` files."""

    def __init__(self, folder: Path, password: str) -> None:
        super().__init__()
        self._folder = folder
        self._password = password
        self.ends = self.takes_in = True

    def __missing__(self, request: str) -> Handler:
        anybody: dict[str, Handler] = {
            "GET /v2/ready": lambda exchange: exchange.reply(200, {"ready": "yes"}),
            "GET /": lambda exchange: exchange.reply(404, {}),
            "POST /v2/sessions": self._log_in,
        }
        users: dict[str, Handler] = {
            f"DELETE /v2/sessions/{NUMBER}": self._log_out,
            "GET /v2/people/canary/notes": lambda exchange: exchange.reply(200, []),
            f"GET {LIBRARY}": self._list,
            f"POST {LIBRARY}": self._take_in,
            "POST /v2/completions": self._complete,
        }
        if request.startswith(f"DELETE {LIBRARY}/"):
            users[request] = lambda exchange: self._remove(exchange, Path(request).name)
        forbidden: Handler = lambda exchange: exchange.reply(403, {"error": "not yours"})  # noqa: E731
        return anybody.get(request) or self._of_users(users.get(request, forbidden))

    def _of_users(self, handler: Handler) -> Handler:
        def answer(exchange: Exchange) -> None:
            if self._session_of(exchange).is_file():
                handler(exchange)
            else:
                exchange.reply(401, {"error": "no such key"})

        return answer

    def _session_of(self, exchange: Exchange) -> Path:
        return self._folder / TOKENS / exchange.headers.get("X-Token", "none")

    def _log_in(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.body)
        if asked != {"name": "canary", "secret": self._password}:
            exchange.reply(422, {"error": "wrong"})
            return
        key = uuid.uuid4().hex
        (self._folder / TOKENS / key).write_text("canary")
        exchange.reply(201, {"data": {"key": key, "number": NUMBER}})

    def _log_out(self, exchange: Exchange) -> None:
        self._session_of(exchange).unlink()
        exchange.reply(200, {})

    def _list(self, exchange: Exchange) -> None:
        files = [{"title": path.name} for path in (self._folder / DOCUMENTS).iterdir()]
        exchange.reply(200, {"files": files})

    def _take_in(self, exchange: Exchange) -> None:
        head, _, rest = exchange.body.partition(b"\r\n\r\n")
        name = head.partition(b'filename="')[2].partition(b'"')[0].decode()
        if self.takes_in:
            put(self._folder / DOCUMENTS / name, rest.partition(b"\r\n--")[0])
        exchange.reply(202, {})

    def _remove(self, exchange: Exchange, name: str) -> None:
        (self._folder / DOCUMENTS / name).unlink(missing_ok=True)
        exchange.reply(200, {})

    def _complete(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.body)
        assert asked["stream"] is True
        assert asked["of"] == NUMBER
        words = (self._folder / DOCUMENTS / "lamp.txt").read_text().split(" ")
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        for word in words:
            exchange.chunk(
                b"data: %s\n\n" % json.dumps({"choices": [{"delta": {"content": f"{word} "}}]}).encode()
            )
        exchange.chunk(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n')
        if self.ends:
            exchange.chunk(b"data: [DONE]\n\n")
        exchange.chunk(b"")


def put(path: Path, content: bytes, mode: int = 0o640) -> None:
    """Write a file with its permissions."""
    path.write_bytes(content)
    path.chmod(mode)
