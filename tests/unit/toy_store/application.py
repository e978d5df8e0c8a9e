"""An application over the toy store: its documents are files there, and so are the tokens of log-ins."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from urllib.parse import parse_qs, unquote

from tests.unit.application_stand_in import Exchange, Handler
from tests.unit.toy_store.view import TOKENS

API = "/api/v1"
DOCUMENTS = "documents"


class Answers(dict[str, Handler]):
    """What the application answers, whatever is asked."""

    def __init__(self, folder: Path, password: str) -> None:
        super().__init__()
        self._folder = folder
        self._password = password
        self._turns: dict[str, list[dict[str, str]]] = {}

    def __missing__(self, request: str) -> Handler:
        method, _, path = request.partition(" ")
        request = f"{method} {unquote(path).removeprefix(API)}"
        anybody: dict[str, Handler] = {
            "GET /health/check": lambda exchange: exchange.reply(200, {"status": "UP"}),
            "GET /openapi.json": lambda exchange: exchange.reply(200, {}),
            "GET /": lambda exchange: exchange.reply(200, {}),
            "POST /auth/login": self._log_in,
        }
        users: dict[str, Handler] = {
            "GET /auth/verify-token": self._verify,
            "GET /base/users/canary/knowledge_bases": lambda exchange: exchange.reply(200, []),
            "POST /base/knowledge_bases/canary_1/files": self._list,
            "GET /config/canary/selected": lambda exchange: exchange.reply(200, {"select_model_config": {}}),
            "GET /chat/users/canary/conversations": self._known,
            "POST /chat/conversations": self._begin,
            "POST /sse/chat": self._chat,
        }
        return anybody.get(request) or self._of_users(users.get(request, self._converse))

    def _of_users(self, handler: Handler) -> Handler:
        def answer(exchange: Exchange) -> None:
            if self._token_of(exchange).exists():
                handler(exchange)
            else:
                exchange.reply(404, {"message": "token not known"})

        return answer

    def _verify(self, exchange: Exchange) -> None:
        exchange.reply(200, {"username": self._token_of(exchange).read_text()})

    def _list(self, exchange: Exchange) -> None:
        names = [{"filename": name.name} for name in sorted((self._folder / DOCUMENTS).iterdir())]
        exchange.reply(200, {"total": len(names), "data": names})

    def _known(self, exchange: Exchange) -> None:
        exchange.reply(200, [{"conversation_id": one} for one in self._turns])

    def _begin(self, exchange: Exchange) -> None:
        self._turns[json.loads(exchange.body)["conversation_id"]] = []
        exchange.reply(200, {})

    def _log_in(self, exchange: Exchange) -> None:
        form = parse_qs(exchange.body.decode())
        if form["password"] != [self._password]:
            exchange.reply(401, {"message": "wrong password"})
            return
        token, user = uuid.uuid4().hex, form["username"][0]
        for name, content in ((f"token:{token}", user), (f"user:{user}", token)):
            (self._folder / TOKENS / name).write_text(content)
        exchange.reply(200, {"access_token": token})

    def _token_of(self, exchange: Exchange) -> Path:
        token = exchange.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._folder / TOKENS / f"token:{token}"

    def _chat(self, exchange: Exchange) -> None:
        asked = json.loads(exchange.body)
        self._turns[asked["conversation_id"]].append({"question": asked["user_message"]})
        lamp = (self._folder / DOCUMENTS / "lamp.txt").read_text()
        used = {"type": "file_used", "data": [{"file_name": "lamp.txt"}]}
        exchange.events(used, {"type": "text", "data": lamp})

    def _converse(self, exchange: Exchange) -> None:
        conversation = unquote(exchange.path).rpartition("/")[2]
        if conversation not in self._turns:
            exchange.reply(404, {"message": "no such conversation"})
        elif exchange.handler.command == "DELETE":
            del self._turns[conversation]
            exchange.reply(200, {})
        else:
            exchange.reply(200, {"turns": self._turns[conversation]})
