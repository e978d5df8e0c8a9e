"""Functions that the canary uses: uploads, old conversations, stored addresses, streams, the first page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from checks.verification import test_phase1_infrastructure as phase1
from checks.verification import test_phase2_connectivity as phase2
from checks.verification import test_phase3_functionality as phase3
from fixtures.application.addresses import fault_of_address
from fixtures.application.canary import Canary, Continued, Retrieved, Uploaded
from fixtures.application.client import ApplicationClient, ChatAnswer, Refused
from fixtures.application.page import page_files, stable_page_files
from fixtures.baseline.facts import Facts, RecordedCanary, RecordedPage, from_files, to_files
from fixtures.baseline.folder import Baseline
from fixtures.baseline.strictness import record_strictness, weaker
from fixtures.engines.clocks import clock_from
from fixtures.engines.engine import Clock, ContainerEngine, Endpoint
from fixtures.errors import Mismatch, Unverifiable
from fixtures.gating.evidence import Expect
from fixtures.given import given_functions as functions
from fixtures.stores.canary_records import but_the_canary
from fixtures.stores.contract import RecordHash, nobody
from fixtures.stores.mongodb.view import View
from fixtures.target.functions import Conversations, Foreign
from fixtures.target.profile import Target, load_target
from tests.conftest import write_profile
from tests.unit.application_stand_in import SESSION, TOKEN, Exchange, StandIn, answer, running
from tests.unit.test_baseline import FACTS
from tests.unit.test_checks_phase1 import container, recorded_container

TALK = "canary_old"
API = "/api/v1"
EXPECT = Expect([])
GOOD = ChatAnswer(
    ("a.txt",), "every four hours", complete=True, ending="regular", seconds=1, arrived=(0.5, 1)
)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running() as application:
        yield application


@pytest.fixture
def target(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("ROLLPROOF_APPLICATION__URL", stand_in.url)
    (tmp_path / "incidents").mkdir()
    return load_target(write_profile(tmp_path))


def with_canary(target: Target, **changes: object) -> Target:
    """Return `target` with other keys of its canary."""
    canary = target.application.canary.model_copy(update=changes)
    return target.model_copy(update={"application": target.application.model_copy(update={"canary": canary})})


def of_stand_in(target: Target) -> Canary:
    return Canary(target, Mock(spec=ContainerEngine), ApplicationClient(target.application), dict)


# Streams


def pieces(*seconds: float) -> Callable[[Exchange], None]:
    """Return the handler of an answer whose words come after so many seconds each."""

    def stream(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        for wait in seconds:
            time.sleep(wait)
            exchange.chunk(b'data: {"type": "text", "data": "word "}\n\n')
        exchange.chunk(b"")

    return stream


def test_an_answer_that_comes_word_by_word_is_streamed(stand_in: StandIn, target: Target) -> None:
    stand_in.answers[f"POST {API}/sse/chat"] = pieces(0.2, *[0.05] * 10)
    client = ApplicationClient(target.application)
    # A busy machine may read all at once.
    chats = [client.chat(SESSION, TALK, "?") for _ in range(3)]
    assert any(chat.streamed for chat in chats)
    assert {len(chat.arrived) for chat in chats} == {11}


def test_an_answer_that_was_held_back_is_not_streamed(stand_in: StandIn, target: Target) -> None:
    """However long it is, and however many pieces it was made in."""

    def buffered(exchange: Exchange) -> None:
        time.sleep(0.5)
        event = b'data: {"type": "text", "data": "word"}\n\n'
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        exchange.write(b"%x\r\n%s\r\n" % (len(event), event) * 200 + b"0\r\n\r\n")

    stand_in.answers[f"POST {API}/sse/chat"] = buffered
    chat = ApplicationClient(target.application).chat(SESSION, TALK, "?")
    assert chat.complete
    assert len(chat.arrived) == 200
    assert not chat.streamed


@pytest.mark.parametrize(
    ("arrived", "streamed"),
    [
        ((), False),
        ((1.0,), False),
        ((1.0, 1.0, 1.0, 1.0, 1.0), False),
        ((9.0, 9.1), False),
        (tuple(9 + number / 100 for number in range(10)), True),
        ((9.0, *[9.01] * 9), False),
        ((5.0, *[9.0] * 9), True),
    ],
)
def test_an_answer_is_streamed_by_the_reads_that_brought_it(
    arrived: tuple[float, ...], *, streamed: bool
) -> None:
    assert replace(GOOD, arrived=arrived).streamed is streamed


def stream_check(found: ChatAnswer, *, recorded: bool | None = True, **not_judged: str) -> list[str]:
    notes: list[str] = []
    baseline = saved(streamed=recorded)
    phase3.test_chat_streams(lambda: found, baseline, judging(notes, not_judged), EXPECT, notes.append)
    return notes


def saved(**canary: Any) -> Baseline:  # noqa: ANN401
    return saved_facts(replace(FACTS, canary=RecordedCanary(("a.txt",), ("a.txt",), **canary)))


def saved_facts(facts: Facts) -> Baseline:
    return Baseline(folder=Path("baseline"), target="sandbox", created="2026", facts=facts)


def judging(notes: list[str], not_judged: dict[str, str]) -> Callable[[Any], bool]:
    def judged(name: str) -> bool:
        if name in not_judged:
            notes.append(name)
        return name not in not_judged

    return judged


def test_a_stream_is_red_when_it_is_held_back_and_was_not() -> None:
    assert stream_check(GOOD) == []
    with pytest.raises(Mismatch, match="2 pieces, over 0% of the time"):
        stream_check(replace(GOOD, arrived=(1.0, 1.0)))
    with pytest.raises(Unverifiable, match="recorded in the baseline"):
        stream_check(GOOD, recorded=None)
    (said,) = stream_check(replace(GOOD, arrived=(1.0, 1.0)), recorded=False)
    assert "not judged" in said
    assert stream_check(replace(GOOD, arrived=()), stream="a batch answer") == ["stream"]


# The first page

PAGE = (
    '<!doctype html><link rel=stylesheet href="style.css"><link rel=icon href="icon.svg">'
    '<script src="/page.js?v=1"></script><script src="https://example.org/far.js"></script>'
    '<script src="http://[broken"></script><script>let inline</script>'
)


def serve_page(stand_in: StandIn, page: str = PAGE, script: str = "one") -> None:
    stand_in.answers["GET /"] = answer(200, page)
    stand_in.answers["GET /style.css"] = answer(200, "body {}")
    stand_in.answers["GET /page.js?v=1"] = answer(200, script)


def test_a_page_is_known_by_what_it_loads_from_its_own_address(stand_in: StandIn, target: Target) -> None:
    serve_page(stand_in)
    before = page_files(target.application)
    assert list(before) == ["/", "/style.css", "/page.js?v=1"]
    serve_page(stand_in, script="two")
    now = page_files(target.application)
    assert [path for path in before if now[path] != before[path]] == ["/page.js?v=1"]
    stand_in.answers["GET /style.css"] = answer(404, "body {}")
    assert page_files(target.application)["/style.css"] != before["/style.css"]


def test_what_changes_with_each_request_is_recorded_as_such(stand_in: StandIn, target: Target) -> None:
    serve_page(stand_in)
    stand_in.answers["GET /"] = lambda exchange: exchange.reply(200, f"{PAGE}<!-- {time.time_ns()} -->")
    files, unstable = stable_page_files(target.application)
    assert (list(files), unstable) == (["/style.css", "/page.js?v=1"], ("/",))


def page_check(recorded: RecordedPage, now: dict[str, str], **not_judged: str) -> list[str]:
    notes: list[str] = []
    judged = judging(notes, not_judged)
    phase2.test_first_page_is_the_recorded_one(
        recorded, lambda: now, judged, lambda *_: None, EXPECT, notes.append
    )
    return notes


def test_another_first_page_is_red_and_one_that_changes_by_itself_is_named() -> None:
    files = {"/": "200 aa", "/page.js": "200 bb"}
    assert page_check(RecordedPage(files), files) == []
    with pytest.raises(Mismatch, match=r"observed others: /page\.js: 200 "):
        page_check(RecordedPage(files), {**files, "/page.js": "200 cc"})
    with pytest.raises(Mismatch, match=r"observed others: /page\.js: not loaded "):
        page_check(RecordedPage(files), {"/": "200 aa"})
    (said,) = page_check(RecordedPage({}, ("/",)), {"/": "200 zz"})
    assert "not compared" in said
    assert page_check(RecordedPage(files), {}, page="no frontend") == ["page"]


def test_a_baseline_of_before_has_no_page() -> None:
    with pytest.raises(Unverifiable, match="the first page: expected recorded in the baseline"):
        functions.recorded_page.__wrapped__(saved_facts(replace(FACTS, page=None)))  # type: ignore[attr-defined]


# Uploads


def ingesting(stand_in: StandIn, *, listed: bool = True, found: bool = True) -> list[str]:
    """Let the stand-in take an upload; return the requests that remove something, as they come."""
    bases: dict[str, str] = {}
    sent: list[str] = []
    removed: list[str] = []

    def create(exchange: Exchange) -> None:
        bases["canary_new"] = json.loads(exchange.body)["knowledge_base_name"]
        exchange.reply(200, {"status": "success"})

    def bases_now(exchange: Exchange) -> None:
        every = {"knowledge_base_id": "", "knowledge_base_name": "", "file_number": 0}
        exchange.reply(
            200,
            [{**every, "knowledge_base_id": i, "knowledge_base_name": name} for i, name in bases.items()],
        )

    def upload(exchange: Exchange) -> None:
        (name,) = re.findall(rb'name="files"; filename="([^"]+)"', exchange.body)
        sent.append(name.decode())
        exchange.reply(200, {"task_id": "canary_1"})

    def files(exchange: Exchange) -> None:
        data = [{"filename": name} for name in sent] if listed else []
        exchange.reply(200, {"data": data, "total": len(data)})

    def remove(exchange: Exchange) -> None:
        removed.append(exchange.path)
        bases.pop(exchange.path.rpartition("/")[2], None)
        exchange.reply(200, {})

    answered = [{"file_name": sent_name} for sent_name in ("rollproof-upload.txt",)] if found else []
    stand_in.answers |= {
        f"POST {API}/auth/login": answer(200, {"access_token": TOKEN}),
        f"GET {API}/base/users/canary/knowledge_bases": bases_now,
        f"POST {API}/base/knowledge_base": create,
        f"POST {API}/base/upload/canary_new": upload,
        f"POST {API}/base/knowledge_bases/canary_new/files": files,
        f"DELETE {API}/base/knowledge_base/canary_new": remove,
        f"GET {API}/config/canary/selected": answer(200, {"select_model_config": {}}),
        f"POST {API}/chat/conversations": answer(200, {}),
        f"POST {API}/sse/chat": lambda exchange: exchange.events(
            {"type": "file_used", "data": answered}, {"type": "text", "data": "By ship."}
        ),
    }
    return removed


def quick(target: Target) -> Target:
    wanted = target.application.canary.upload.model_copy(update={"seconds": 0.2})
    return with_canary(target, upload=wanted)


def test_an_upload_is_found_and_taken_away(stand_in: StandIn, target: Target) -> None:
    removed = ingesting(stand_in)
    canary = of_stand_in(target.model_copy(update={"stores": {}}))
    made = canary.upload(SESSION)
    found = canary.retrieve(SESSION, made)
    assert (found.listed, found.grounded_in) == ((made.name,), (made.name,))
    assert canary.left_of(SESSION, made) == ["knowledge base canary_new of the application"]
    canary.remove_uploads()
    canary.remove_uploads()
    assert removed == [f"{API}/base/knowledge_base/canary_new"]
    assert canary.left_of(SESSION, made) == []


@pytest.mark.parametrize(("listed", "found"), [(False, True), (True, False)])
def test_an_upload_that_nobody_ingests_is_waited_for_no_longer_than_said(
    stand_in: StandIn, target: Target, *, listed: bool, found: bool
) -> None:
    ingesting(stand_in, listed=listed, found=found)
    canary = of_stand_in(quick(target))
    made = canary.upload(SESSION)
    retrieved = canary.retrieve(SESSION, made)
    assert retrieved.seconds < 5
    with pytest.raises(Mismatch, match="never ingested" if not listed else "made from no document"):
        upload_check(made, retrieved, target)


def upload_check(made: Uploaded, found: Retrieved, target: Target) -> None:
    phase3.test_uploaded_document_is_found(lambda: made, lambda: found, target, lambda _: True, EXPECT)


def test_an_upload_of_ones_own_document_is_sent_as_it_is(
    stand_in: StandIn, target: Target, tmp_path: Path
) -> None:
    (tmp_path / "mine.pdf").write_bytes(b"%PDF of mine")
    ingesting(stand_in)
    wanted = target.application.canary.upload.model_copy(update={"document": tmp_path / "mine.pdf"})
    assert of_stand_in(with_canary(target, upload=wanted)).upload(SESSION).name == "mine.pdf"
    assert any(b"%PDF of mine" in exchange.body for exchange in stand_in.seen)


def test_what_a_killed_run_left_is_removed_and_nothing_younger(stand_in: StandIn, target: Target) -> None:
    removed = ingesting(stand_in)
    now = int(time.time())
    titles = {
        "canary_old": f"rollproof upload {now - 7200} ab",
        "canary_now": f"rollproof upload {now - 60} ab",
        "canary_odd": "rollproof upload",
        "canary_mine": "Lighthouse handbook",
        "canary_like": f"my rollproof upload {now - 7200} ab",
    }
    stand_in.answers[f"GET {API}/base/users/canary/knowledge_bases"] = answer(
        200,
        [
            {"knowledge_base_id": name, "knowledge_base_name": title, "file_number": 1}
            for name, title in titles.items()
        ],
    )
    gone = f"DELETE {API}/base/knowledge_base/"
    stand_in.answers[f"{gone}canary_old"] = stand_in.answers[f"{gone}canary_new"]
    with pytest.raises(Mismatch, match="expected 1 knowledge base called rollproof upload"):
        of_stand_in(target).upload(SESSION)
    assert removed == [f"{API}/base/knowledge_base/canary_old"]


def test_what_is_left_of_an_upload_is_red_and_what_no_one_can_remove_is_said() -> None:
    canary, notes = Mock(spec=Canary), list[str]()

    def check() -> None:
        phase3.test_upload_leaves_no_trace(
            canary, SESSION, lambda: Uploaded("canary_new", "a", 0), ["kafka"], lambda _: True, EXPECT,
            notes.append,
        )  # fmt: skip

    canary.left_of.return_value = []
    check()
    assert notes == ["upload: a message stays in kafka, and versions of the object where these are kept"]
    canary.left_of.return_value = ["colqwencanary_new of milvus"]
    with pytest.raises(Mismatch, match="observed colqwencanary_new of milvus"):
        check()
    assert canary.remove_uploads.call_count == 2


# Old conversations


def test_an_old_conversation_goes_on_after_its_last_turn(stand_in: StandIn, target: Target) -> None:
    turns = [{"message_id": "one"}, {"message_id": "two"}]
    stand_in.answers[f"GET {API}/chat/conversations/{TALK}"] = lambda exchange: exchange.reply(
        200, {"turns": turns}
    )

    def chat(exchange: Exchange) -> None:
        turns.append({"message_id": "three"})
        exchange.events({"type": "text", "data": "every four hours"})

    stand_in.answers[f"POST {API}/sse/chat"] = chat
    found = of_stand_in(target).go_on(SESSION, TALK)
    assert (found.before, found.after, found.answer.text) == (2, 3, "every four hours")
    (asked,) = [json.loads(one.body) for one in stand_in.seen if one.path.endswith("/sse/chat")]
    assert (asked["conversation_id"], asked["parent_id"]) == (TALK, "two")


def talk_check(found: Continued, turns: int = 2) -> list[str]:
    notes: list[str] = []
    baseline = saved(conversation=TALK, turns=turns)
    phase3.test_old_conversation_goes_on(lambda: found, baseline, lambda _: True, EXPECT, notes.append)
    return notes


@pytest.mark.parametrize(
    ("before", "after", "changes", "said"),
    [
        (1, 2, {}, "expected 2 or more, observed 1"),
        (2, 2, {}, "0 more turns"),
        (2, 3, {"complete": False, "ending": "broken"}, "observed broken end"),
        (2, 3, {"text": " "}, "1 characters"),
    ],
)
def test_an_old_conversation_that_lost_turns_or_breaks_is_red(
    before: int, after: int, changes: dict[str, Any], said: str
) -> None:
    assert len(talk_check(Continued(TALK, 2, 3, GOOD))) == 1
    with pytest.raises(Mismatch, match=said):
        talk_check(Continued(TALK, before, after, replace(GOOD, **changes)))


def test_phase_4_allows_a_change_of_the_canarys_conversation_and_of_no_other(target: Target) -> None:
    kept = Conversations(store="redis", collection="talks", field="id", key="_id")
    one = with_canary(target, conversations=kept)
    view = MagicMock(spec=View)
    view.name = "redis"
    view.names.return_value = iter([("aa",)])
    allowed = but_the_canary(nobody, one, TALK, ("redis", "talks"), lambda _: view)
    view.names.assert_called_once_with("talks", ["_id"], {"id": TALK})
    assert allowed(RecordHash("aa", 1), RecordHash("aa", 2))
    assert not allowed(RecordHash("bb", 1), RecordHash("bb", 2))
    for other in (
        but_the_canary(nobody, one, TALK, ("redis", "users"), lambda _: view),
        but_the_canary(nobody, one, "", ("redis", "talks"), lambda _: view),
        but_the_canary(nobody, target, TALK, ("redis", "talks"), lambda _: view),
    ):
        assert not other(RecordHash("aa", 1), RecordHash("aa", 2))


# Other users' resources


def intrude(target: Target, client: ApplicationClient) -> dict[str, int | str]:
    """Try each way; return its status, or what was seen."""
    found: dict[str, int | str] = {}
    ways = functions.intrusions.__wrapped__(client, SESSION, target)()  # type: ignore[attr-defined]
    for name, attempt in ways.items():
        try:
            found[name] = f"saw {attempt()}"
        except Refused as refused:
            found[name] = refused.status
    return found


def test_each_resource_of_another_user_is_tried(stand_in: StandIn, target: Target) -> None:
    one = with_canary(target, foreign=Foreign(user="ada", knowledge_base="ada_1", conversation="ada_2"))
    stand_in.answers[f"GET {API}/base/users/ada/knowledge_bases"] = answer(403, {})
    stand_in.answers[f"POST {API}/base/knowledge_bases/ada_1/files"] = answer(200, {"data": [], "total": 0})
    stand_in.answers[f"GET {API}/chat/conversations/ada_2"] = answer(404, {})
    client = ApplicationClient(target.application)
    assert intrude(one, client) == {"knowledge bases": 403, "files": "saw 0", "conversation": 404}
    with pytest.raises(Unverifiable, match=r"application\.canary\.foreign in the profile"):
        intrude(target, client)


# Stored addresses


INSIDE = "http://minio.inside:9000/bucket/lamp.txt"


def test_an_address_is_opened_at_its_store_by_its_own_host(stand_in: StandIn, target: Target) -> None:
    at = stand_in.url.removeprefix("http://").split(":")
    engine = Mock(spec=ContainerEngine)
    engine.resolve.return_value = Endpoint(at[0], int(at[1]))
    one = with_canary(target, addresses="redis")
    stand_in.answers["GET /bucket/lamp.txt"] = answer(200, "wind it")
    assert fault_of_address("lamp.txt", INSIDE, one, engine) == ""
    assert stand_in.seen[-1].headers["Host"] == "minio.inside:9000"
    stand_in.answers["GET /bucket/lamp.txt"] = answer(403, "")
    assert fault_of_address("lamp.txt", INSIDE, one, engine) == "403"
    stand_in.answers["GET /bucket/lamp.txt"] = answer(200, "")
    assert fault_of_address("lamp.txt", INSIDE, one, engine) == "an empty answer"


def test_an_address_without_a_host_is_the_applications(stand_in: StandIn, target: Target) -> None:
    stand_in.answers["GET /files/lamp.txt"] = answer(200, "wind it")
    assert fault_of_address("lamp.txt", "/files/lamp.txt", target, Mock(spec=ContainerEngine)) == ""


@pytest.mark.parametrize("days", [-1, 8])
def test_an_expired_address_is_told_from_one_that_is_refused(
    stand_in: StandIn, target: Target, days: int
) -> None:
    signed = datetime.now(UTC) + timedelta(days=days - 7)
    query = f"?X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires=604800&X-Amz-Signature=abcdef0123456789"
    stand_in.answers[f"GET /files/lamp.txt{query}"] = answer(403, "")
    said = fault_of_address("lamp.txt", f"/files/lamp.txt{query}", target, Mock(spec=ContainerEngine))
    assert said.startswith("403, expired since ") if days < 0 else said == "403"


def test_the_signature_of_an_address_is_in_no_error(target: Target) -> None:
    address = "http://127.0.0.1:9/x?X-Amz-Signature=abcdef0123456789"
    with pytest.raises(Unverifiable) as raised:
        fault_of_address("lamp.txt", address, target, Mock(spec=ContainerEngine))
    assert "abcdef0123456789" not in str(raised.value)
    assert "the stored address of lamp.txt" in str(raised.value)


def test_an_address_that_does_not_open_any_more_is_red() -> None:
    def check(faults: dict[str, str]) -> None:
        phase3.test_stored_addresses_open(lambda: faults, lambda _: True, EXPECT)

    check({"lamp.txt": "", "tides.txt": ""})
    with pytest.raises(Mismatch, match=r"expected all 2 open, as at the capture, observed tides\.txt: 403"):
        check({"lamp.txt": "", "tides.txt": "403"})


# Clocks


@pytest.mark.parametrize(
    ("said", "code", "asked", "skew"),
    [
        (b"1000\n", 0, (1000.2, 1000.4), 0.0),
        (b"1000\n", 0, (999.9, 1001.4), 0.0),
        (b"1000\n", 0, (900.0, 900.4), 99.6),
        (b"1000\n", 0, (1100.0, 1100.4), -99.0),
    ],
)
def test_a_clock_is_as_far_off_as_it_surely_is(
    said: bytes, code: int, asked: tuple[float, float], skew: float
) -> None:
    found = clock_from(said, code, asked)
    assert not found.unread
    assert found.skew == pytest.approx(skew)


@pytest.mark.parametrize(("said", "code"), [(b"", 127), (b"1000", 1), (b"%s", 0), (b"1" * 20, 0)])
def test_a_clock_that_tells_no_time_is_unread(said: bytes, code: int) -> None:
    assert clock_from(said, code, (0.0, 1.0)).unread


def clock_check(clock: Clock, target: Target) -> list[str]:
    notes: list[str] = []
    one = container()
    phase1.test_container_clock(one, recorded_container(one), clock, target, EXPECT, notes.append)
    return notes


def test_a_skewed_clock_is_red_and_an_unread_one_is_said(target: Target) -> None:
    assert clock_check(Clock(-0.4, 0.6), target) == []
    with pytest.raises(Mismatch, match=r"within 2 s of this host's, observed \+3600\.0 s"):
        clock_check(Clock(3600.0, 3601.0), target)
    with pytest.raises(Mismatch, match=r"observed -3600\.0 s"):
        clock_check(Clock(-3601.0, -3600.0), target)
    assert clock_check(Clock(unread="no date"), target) == ["once: clock not read: no date"]


# What the profile says of them


def test_what_is_not_judged_is_said_in_the_verdict(target: Target) -> None:
    notes: list[str] = []
    reasons = {"not_judged": {"upload": "users cannot upload"}}
    one = target.model_copy(update={"application": target.application.model_copy(update=reasons)})
    judged = functions.judged.__wrapped__(one, notes.append)  # type: ignore[attr-defined]
    assert judged("page")
    assert not judged("upload")
    assert notes == ["upload: not judged, as the profile says: users cannot upload"]
    # Said after the capture, it asks for less.
    facts = replace(FACTS, profile=record_strictness(target))
    assert [str(found) for found in weaker(facts, one) if "judged" in found.what] == [
        "judged.upload of the profile: true at the capture, none now"
    ]


def test_a_baseline_keeps_what_was_seen_and_one_of_before_has_none() -> None:
    canary = RecordedCanary(("a",), ("a",), TALK, 3, ("a",), streamed=True)
    facts = replace(FACTS, canary=canary, page=RecordedPage({"/": "200 aa"}, ("/x",)))
    files = json.loads(json.dumps(to_files(facts)))
    assert from_files(files) == facts
    files["canary.json"] = {"files": ["a"], "grounded_in": ["a"]}
    del files["page.json"]
    before = from_files(files)
    assert (before.page, before.canary.streamed, before.canary.conversation) == (None, None, "")
