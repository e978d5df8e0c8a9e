"""The live users of a rehearsal: how their visits end, and that they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from rollproof.errors import ActionFailed
from staging.rehearsal import live_users
from staging.rehearsal.layra_users import LayraUser, Place
from staging.rehearsal.live_users import LiveUsers, Visit
from tests.unit.application_stand_in import Exchange, Handler, running

EVENTS = tuple({"type": kind} for kind in ("file_used", "text", "token"))


class Answers(dict[str, Handler]):
    """Answers as the application does, as far as a visit asks; `breaks` and `refuses` are paths."""

    breaks = refuses = ""

    def __missing__(self, _: str) -> Handler:
        return self.answer

    def answer(self, exchange: Exchange) -> None:
        if self.refuses and exchange.path.endswith(self.refuses):
            exchange.reply(503, "")
        elif exchange.path.endswith("/sse/chat"):
            exchange.events(*EVENTS, ended=not self.breaks)
        elif "/selected" in exchange.path:
            exchange.reply(200, {"select_model_config": {"model_id": "m"}})
        elif exchange.handler.command == "GET":
            exchange.reply(200, [{"knowledge_base_id": "b"}])
        else:
            exchange.reply(200, {"access_token": "t", "total": 1})


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Answers]]:
    monkeypatch.setattr(live_users, "PAUSE_SECONDS", 0.01)
    with running() as served:
        served.answers = answers = Answers()
        yield f"{served.url}/", answers


def _until(users: LiveUsers, visit: Visit) -> None:
    _wait(lambda: visit in users.visits and visit in users.old)


def _wait(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_visit_is_told_by_its_end(application: tuple[str, Answers]) -> None:
    url, answers = application
    users = LiveUsers(url, LayraUser)
    with users.running(60):
        _until(users, Visit.ANSWERED)
        _wait(lambda: {write.place for write in users.account.acknowledged} == set(Place))
        assert users.account.cut_off == users.account.refused.total() == 0
        answers.breaks = "chat"
        _until(users, Visit.BROKEN)
        answers.breaks, answers.refuses = "", "/sse/chat"
        _until(users, Visit.REFUSED)
    assert set(users.visits) == set(Visit)
    account = users.account
    assert account.cut_off > 0
    assert set(account.refused) == {503}
    assert len(set(account.acknowledged)) == len(account.acknowledged)


def test_they_end_by_themselves(application: tuple[str, Answers]) -> None:
    users = LiveUsers(application[0], LayraUser)
    with users.running(0):
        pass
    assert (users.visits, users.old) == ({}, [])


def test_a_first_user_who_is_not_let_in_is_an_error(application: tuple[str, Answers]) -> None:
    application[1].refuses = "/auth/register"
    with (
        pytest.raises(ActionFailed, match="first of the live users"),
        LiveUsers(application[0], LayraUser).running(60),
    ):
        pass
