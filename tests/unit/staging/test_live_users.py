"""The live users of a rehearsal: how their visits end, and that they end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from rollproof.errors import ActionFailed
from staging.rehearsal import live_users
from staging.rehearsal.live_users import LiveUsers, Place, Visit

EVENTS = "".join(f"data: {json.dumps({'type': kind})}\n\n" for kind in ("file_used", "text", "token"))


class _Application(BaseHTTPRequestHandler):
    """Answers as the application does, as far as a visit asks; `breaks` and `refuses` are paths."""

    protocol_version = "HTTP/1.1"
    breaks = refuses = ""

    def do_GET(self) -> None:
        if "/selected" in self.path:
            self._answer({"select_model_config": {"model_id": "m"}})
        else:
            self._answer([{"knowledge_base_id": "b"}])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.refuses and self.path.endswith(self.refuses):
            self.send_error(503)
        elif self.path.endswith("/sse/chat"):
            self._answer(EVENTS, 100 if self.breaks else 0)
        else:
            self._answer({"access_token": "t", "total": 1})

    def _answer(self, body: Any, missing: int = 0) -> None:  # noqa: ANN401 - JSON of any shape
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + missing))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Application]]]:
    class Handler(_Application):
        pass

    monkeypatch.setattr(live_users, "PAUSE_SECONDS", 0.01)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", Handler
        server.shutdown()
        thread.join()


def _until(users: LiveUsers, visit: Visit) -> None:
    _wait(lambda: visit in users.visits and visit in users.old)


def _wait(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_visit_is_told_by_its_end(application: tuple[str, type[_Application]]) -> None:
    url, handler = application
    users = LiveUsers(url)
    with users.running(60):
        _until(users, Visit.ANSWERED)
        _wait(lambda: {write.place for write in users.account.acknowledged} == set(Place))
        assert users.account.cut_off == users.account.refused.total() == 0
        handler.breaks = "chat"
        _until(users, Visit.BROKEN)
        handler.breaks, handler.refuses = "", "/sse/chat"
        _until(users, Visit.REFUSED)
    assert set(users.visits) == set(Visit)
    account = users.account
    assert account.cut_off > 0
    assert set(account.refused) == {503}
    assert len(set(account.acknowledged)) == len(account.acknowledged)


def test_they_end_by_themselves(application: tuple[str, type[_Application]]) -> None:
    users = LiveUsers(application[0])
    with users.running(0):
        pass
    assert (users.visits, users.old) == ({}, [])


def test_a_first_user_who_is_not_let_in_is_an_error(application: tuple[str, type[_Application]]) -> None:
    application[1].refuses = "/auth/register"
    with pytest.raises(ActionFailed, match="first of the live users"), LiveUsers(application[0]).running(60):
        pass
