"""The monitor's use of one function: what no status tells is seen, at the profile's rate, without a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from unittest.mock import MagicMock

import pytest
from httpx2 import BaseTransport

from rollproof.application.canary import canary_in_use
from rollproof.errors import Unverifiable
from rollproof.monitoring.probes.application_probes import FunctionProbe
from rollproof.monitoring.probes.probe import ProbeResult
from rollproof.profile.application_profile import Function
from rollproof.profile.profile import Target
from rollproof.system.side_by_side import Question
from tests.unit.monitor.turned_time import TurnedTime, turned
from tests.world.application import TOKEN, Exchange, Nobody, StandIn, answer

TEXT = {"type": "text", "data": "once a day"}
LOG_IN, CHAT = "POST /api/v1/auth/login", "POST /api/v1/sse/chat"
CONVERSATIONS = "/api/v1/chat/conversations"


@pytest.fixture
def passing() -> Iterator[TurnedTime]:
    with turned() as found:
        yield found


def of_conversation(exchange: Exchange) -> None:
    """Answer what is asked of a conversation whose id only the client knows."""
    kept = exchange.application
    if exchange.method == "DELETE":
        kept.answers["deleted"](exchange)
    else:
        exchange.reply(200, {"turns": [{}]})


@pytest.fixture
def well(stand_in: StandIn, target: Target) -> Target:
    """A target whose function works."""
    canary = target.application.canary

    class Answers(dict[str, Callable[[Exchange], None]]):
        def __missing__(self, key: str) -> Callable[[Exchange], None]:
            assert f"{CONVERSATIONS}/" in key
            return of_conversation

    user, base = canary.user, canary.knowledge_base
    stand_in.answers = Answers(
        {
            LOG_IN: answer(200, {"access_token": TOKEN}),
            f"POST /api/v1/base/knowledge_bases/{base}/files": answer(
                200, {"total": 1, "data": [{"filename": canary.expected_file}]}
            ),
            f"GET /api/v1/config/{user}/selected": answer(200, {"select_model_config": {}}),
            f"POST {CONVERSATIONS}": answer(200, {"status": "success"}),
            CHAT: lambda exchange: exchange.events(TEXT),
            "deleted": answer(200, {}),
        }
    )
    alone = canary.model_copy(update={"sweeper": None, "references": {}})
    return target.model_copy(update={"application": target.application.model_copy(update={"canary": alone})})


def probe(
    target: Target, transport: BaseTransport, *, chat: bool = True, passing: TurnedTime | None = None
) -> FunctionProbe:
    return FunctionProbe(
        target,
        Function(chat=chat),
        MagicMock(),
        60.0,
        question=Question if passing is None else passing.question,
        transport=transport,
        sleep=lambda _: None,
    )


def asked(stand_in: StandIn, what: str) -> int:
    return sum(f"{one.method} {one.path}" == what for one in stand_in.seen)


@pytest.mark.parametrize("chat", [False, True])
def test_a_function_that_works_is_well(well: Target, stand_in: StandIn, *, chat: bool) -> None:
    reading = probe(well, stand_in, chat=chat).ask()
    assert (reading.ok, reading.value) == (True, 0.0)
    assert reading.text.startswith("log-in, files, chat, in " if chat else "log-in, files, in ")
    assert asked(stand_in, CHAT) == chat


@pytest.mark.parametrize(
    ("what", "said", "text"),
    [
        (CHAT, lambda exchange: exchange.events(TEXT, ended=False), "chat: "),
        (CHAT, lambda exchange: exchange.events({"type": "text", "data": " "}), "regular end, 1 characters"),
        (CHAT, answer(500, {"detail": "no"}), "500"),
        (LOG_IN, answer(500, {"detail": "no"}), "500"),
        (LOG_IN, answer(200, {}), "text under access_token"),
        ("files", answer(200, {"total": 0, "data": []}), "is not among 0 files"),
    ],
)
def test_what_no_status_tells_is_seen(
    well: Target, stand_in: StandIn, what: str, said: Callable[[Exchange], None], text: str
) -> None:
    (name,) = [key for key in stand_in.answers if key == what or key.endswith(f"/{what}")]
    stand_in.answers[name] = said
    reading = probe(well, stand_in).ask()
    assert (reading.ok, reading.value) == (False, 1.0)
    assert text in reading.text


def test_nobody_there_is_not_reached(well: Target) -> None:
    reading = probe(well, Nobody()).ask()
    assert reading.ok is False
    assert reading.unreached is not None


def test_it_is_asked_at_its_own_rate(well: Target, stand_in: StandIn, passing: TurnedTime) -> None:
    asking = probe(well, stand_in, passing=passing)
    answers = []
    for _ in range(25):  # two minutes of beats
        answers.append(asking.ask())
        passing.sleep(5.0)
    assert asked(stand_in, LOG_IN) == 3
    assert all(one.ok for one in answers)


def test_what_is_unknown_or_not_well_is_asked_again_with_the_next_beat(
    well: Target, stand_in: StandIn, passing: TurnedTime
) -> None:
    asking = probe(well, stand_in, passing=passing)
    with canary_in_use(well, alone=False, seconds=0.0), pytest.raises(Unverifiable):
        asking.ask()
    lets_in, stand_in.answers[LOG_IN] = stand_in.answers[LOG_IN], answer(500, {"detail": "no"})
    passing.sleep(5.0)
    assert asking.ask().ok is False
    stand_in.answers[LOG_IN] = lets_in
    passing.sleep(5.0)
    assert asking.ask().ok


def test_a_conversation_is_deleted_and_one_that_cannot_be_is_the_last(
    well: Target, stand_in: StandIn, passing: TurnedTime
) -> None:
    asking = probe(well, stand_in, passing=passing)
    asking.ask()
    assert [one.path for one in stand_in.seen if one.method == "DELETE"]
    stand_in.answers["deleted"] = answer(405, {})
    for _ in range(3):
        passing.sleep(60.0)
        with pytest.raises(Unverifiable, match="observed one that cannot"):
            asking.ask()
    assert asked(stand_in, CHAT) == 2


def test_checks_that_use_the_canary_have_it_alone(
    well: Target, stand_in: StandIn, passing: TurnedTime
) -> None:
    asking = probe(well, stand_in, passing=passing)
    with canary_in_use(well, alone=False, seconds=0.0) as ours, canary_in_use(well, alone=False, seconds=0.0):
        assert ours
        with pytest.raises(Unverifiable, match="checks that use it"):
            asking.ask()
    passing.sleep(60.0)
    reading = asking.ask()
    assert reading.ok
    with canary_in_use(well, alone=False, seconds=0.0):
        passing.sleep(60.0)
        assert asking.ask() == reading
    assert asked(stand_in, LOG_IN) == 1
    with canary_in_use(well, alone=True, seconds=0.0), canary_in_use(well, alone=False, seconds=0.0) as ours:
        assert not ours


def test_one_that_does_not_end_is_not_well(well: Target) -> None:
    asking = FunctionProbe(well, Function(), MagicMock(), 60.0)
    asking._question = MagicMock(waiting=True)
    asking._question.unanswered = lambda _: SILENT
    asking._question.asked.seconds_ago.return_value = 1.0
    with pytest.raises(Unverifiable):
        asking.ask()
    asking._question.asked.seconds_ago.return_value = 600.0
    reading: ProbeResult = asking.ask()
    assert (reading.ok, reading.value) == (False, 1.0)


SILENT = Unverifiable(what="f", expected="an answer", observed="none", source="a", hint="b")
