"""Functions of the real application, beside those of its chat: each fault turns its own check red."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from app import canary

from fixtures.target.profile import Target
from staging.target.operators import Operators
from tests.stack import container_faults as faults
from tests.stack import damage
from tests.stack.container_faults import Containers
from tests.stack.verifier import Verifier, expect

FOUND = "test_uploaded_document_is_found"
ADDRESSES = "test_stored_addresses_open"
# A worker takes a second for the canary's document.
SOON = {"APPLICATION__CANARY__UPLOAD__SECONDS": "6"}
NEVER = (
    "failed",
    "the uploaded document: expected ingested within 6 s, observed accepted, and never ingested",
)
LET_IN = '''
def require_owner(user: str, identifier: str) -> None:
    """Let everybody in."""
'''


@pytest.fixture(scope="module", autouse=True)
def unchanged(verifier: Verifier) -> Iterator[None]:
    """What the checks leave is accounted for as the canary's, and all else as it was, record by record."""
    yield
    verifier.compare()


def notes(results: dict[str, dict[str, object]], check: str) -> str:
    return json.dumps(results[check].get("notes", ""))


def test_a_dead_worker_is_seen_by_what_it_does_not_do(verifier: Verifier, containers: Containers) -> None:
    with faults.stopped(containers, "worker"):
        expect(verifier.run("phase3", "--no-gate", **SOON), {FOUND: NEVER})


def test_an_idle_worker_is_seen_by_what_it_does_not_do(verifier: Verifier, containers: Containers) -> None:
    """It runs, and its queue has no lag that grows."""
    with faults.asleep(containers, "worker"):
        expect(verifier.run("phase3", "--no-gate", **SOON), {FOUND: NEVER})


def test_an_application_that_lets_users_see_what_is_anothers_is_seen(
    verifier: Verifier, containers: Containers, target: Target
) -> None:
    code = (Path(canary.__file__).parent / "access.py").read_text(encoding="utf-8")
    with faults.other_file(containers, "backend", "/opt/application/app/access.py", code + LET_IN):
        outcome = verifier.run("phase3", "--no-gate")
    assert target.application.canary.foreign
    expect(
        outcome,
        {
            "test_resources_of_another_user_are_refused": (
                "failed",
                "use of another user's knowledge bases: expected refused with 401 or 403, observed let in",
            )
        },
    )


@pytest.mark.parametrize(
    ("found", "put", "said"),
    [
        ("Signature=....", "Signature=0000", "lamp.txt: 403"),
        (r"X-Amz-Date=\d{4}", "X-Amz-Date=2019", "lamp.txt: 403, expired since 2019-"),
    ],
    ids=["altered", "expired"],
)
def test_a_stored_address_that_does_not_open_is_seen(
    verifier: Verifier, operators: Operators, found: str, put: str, said: str
) -> None:
    with damage.address_replaced(
        operators, canary.KNOWLEDGE_BASE, canary.ANSWER_FILE, lambda url: re.sub(found, put, url)
    ):
        outcome = verifier.run("phase3", "--no-gate")
    expect(outcome, {ADDRESSES: ("failed", "expected all 4 open, as at the capture", said)})
    assert not re.search("Signature=[0-9a-f]{4}", outcome.text)


def test_an_old_conversation_that_breaks_is_seen(verifier: Verifier, operators: Operators) -> None:
    """It lacks a field that new conversations have."""
    found = operators.mongodb["mongodb"]["conversations"]
    which = {"conversation_id": verifier.baseline.facts.canary.conversation}
    document = found.find_one(which)
    assert document is not None
    found.update_one(which, {"$unset": {"model_config": ""}})
    try:
        outcome = verifier.run("phase3", "--no-gate")
    finally:
        found.replace_one(which, document)
    (red,) = [name for name, result in outcome.results().items() if result["verdict"] != "passed"]
    assert red == "test_old_conversation_goes_on"


def test_another_frontend_is_seen_by_its_first_page(verifier: Verifier, containers: Containers) -> None:
    """The page is as it was; a script that it loads is another release's."""
    with faults.other_file(containers, "frontend", "/srv/frontend/page.js", '"use strict"; // 2\n'):
        outcome = verifier.run("phase2", "--no-gate")
    expect(outcome, {"test_first_page_is_the_recorded_one": ("failed", "observed others: /page.js: 200")})


def test_a_proxy_that_holds_answers_back_is_seen(verifier: Verifier, target: Target) -> None:
    with buffering_proxy(str(target.application.url)) as address:
        outcome = verifier.run("phase3", "--no-gate", APPLICATION__URL=address)
    expect(
        outcome,
        {"test_chat_streams": ("failed", "expected pieces that arrive one after the other", "over 0% of")},
    )


def test_a_container_with_another_clock_is_seen(verifier: Verifier, containers: Containers) -> None:
    """A stand-in for a preloaded library: what is in the container is told another time."""
    date = "#!/bin/sh\necho $(($(/usr/bin/date +%s) + 3600))\n"
    with faults.other_file(containers, "frontend", "/usr/local/bin/date", date):
        outcome = verifier.run("phase1", "--no-gate", "-k", "test_container_clock")
    clock = "test_container_clock[frontend]"
    expect(outcome, {clock: ("failed", "within 2 s of this host's, observed +")})
    assert len(outcome.results()) > 10


def test_what_a_target_lacks_is_named_in_the_verdict(verifier: Verifier) -> None:
    why = {"upload": "users cannot upload", "foreign": "one user alone", "page": "no frontend"}
    variables = {"APPLICATION__NOT_JUDGED": json.dumps(why), "APPLICATION__CANARY__FOREIGN": "null"}
    outcome = verifier.run("phase2 or phase3", "--no-gate", **variables)
    expect(outcome, {})
    said = notes(outcome.results(), FOUND)
    assert "upload: not judged, as the profile says: users cannot upload" in said


def test_what_nobody_decided_on_is_broken(verifier: Verifier) -> None:
    outcome = verifier.run("phase3", "--no-gate", APPLICATION__CANARY__FOREIGN="null")
    expect(
        outcome,
        {
            "test_resources_of_another_user_are_refused": (
                "broken",
                "expected application.canary.foreign in the profile, observed none",
            )
        },
    )


def test_what_the_canary_left_is_not_counted(verifier: Verifier) -> None:
    """Last, on the application in order: its old conversation went on, which phase 4 names."""
    outcome = verifier.run("verification", "-n", "2", "--no-gate")
    expect(outcome, {})
    said = notes(outcome.results(), "test_collection_content[mongodb/mongodb.conversations]")
    assert "written since the baseline: touched 1 " in said


@contextmanager
def buffering_proxy(upstream: str) -> Iterator[str]:
    """Run a proxy in front of `upstream` that hands on each answer once it is whole; give its address."""
    # One client for all requests: to make a client takes longer than many requests.
    client = httpx2.Client(trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            named = ("Authorization", "Content-Type", "User-Agent")
            headers = {name: self.headers[name] for name in named if name in self.headers}
            url = upstream.rstrip("/") + self.path
            answer = client.request(self.command, url, content=content, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = forward  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with client, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
