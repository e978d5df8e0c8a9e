"""Phase 3 on the real application: each fault turns its own checks red, until it is undone.

A small server replaces the real application for faults that it cannot have, such as to let everyone in.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from app import canary
from app.identity import vector_collection
from app.passwords import hash_password

from rollproof.profile.profile import Target
from staging.target.operators import Operators
from tests.stack import container_faults as faults
from tests.stack import damage
from tests.stack.container_faults import Containers
from tests.stack.verifier import Verifier, expect
from tests.world.application import Exchange, running

COLLECTION = vector_collection(canary.KNOWLEDGE_BASE)
KNOWLEDGE_BASE = "test_knowledge_base_holds_the_recorded_files"
CHAT = ("test_chat_comes_to_its_end", "test_chat_is_grounded")
ANSWER = "test_chat_answers_right"
# The profile names no words of the answer: they are of its model, which may be another one.
RIGHT = {"APPLICATION__CANARY__EXPECTED_TEXT": canary.ANSWER_WORDS}
OLD = "test_old_conversations_open"
STRANGER = "test_another_user_is_refused"
BUCKET = "minio-file"
NO_TRACE = "test_canary_leaves_no_trace"
REFUSED = ("failed", "expected a status of success, observed 401: Incorrect username or password")


@pytest.fixture
def leaves(operators: Operators) -> list[object]:
    """What the canary has left, before a test: conversations and tokens."""
    return traces(operators)


def traces(operators: Operators) -> list[object]:
    """Return what the canary has left."""
    found = operators.mongodb["mongodb"]["conversations"].find({"username": canary.USERNAME})
    tokens = sorted(operators.redis.scan_iter("token:*"))
    mine = [t for t, user in zip(tokens, operators.redis.mget(tokens), strict=True) if user == b"canary"]
    return [*sorted(str(c["conversation_id"]) for c in found), *mine]


def test_another_password_is_the_right_one(
    verifier: Verifier, operators: Operators, target: Target, leaves: list[object]
) -> None:
    """The one that the suite knows is refused, and the one that it knows to be wrong is not."""
    wrong = "not-" + target.application.canary.password.get_secret_value()
    stored = hash_password(wrong, b"salt of 16 bytes")
    with damage.password_hash_replaced(operators, canary.USERNAME, stored):
        outcome = verifier.run("phase3", "--no-gate")
    expect(
        outcome,
        {
            **dict.fromkeys(("test_login", STRANGER, KNOWLEDGE_BASE, *CHAT, OLD, NO_TRACE), REFUSED),
            "test_wrong_password_is_refused": ("failed", "expected refused with 401, observed let in"),
        },
    )
    assert wrong not in outcome.text
    assert traces(operators) == leaves


def test_a_file_that_is_gone_is_seen_and_no_question_asked(
    verifier: Verifier, operators: Operators, leaves: list[object]
) -> None:
    """A chat over a knowledge base that is half there can delete its vectors: nothing may ask one."""
    rows = {"filter": "", "output_fields": ["count(*)"], "consistency_level": "Strong"}
    before = operators.milvus.query(COLLECTION, **rows)
    with damage.file_delisted(operators, canary.KNOWLEDGE_BASE, "tides.txt"):
        outcome = verifier.run("phase3", "--no-gate")
    whole = ("broken", "expected a knowledge base as recorded", "observed 3 of 4 files")
    expect(
        outcome,
        {
            KNOWLEDGE_BASE: (
                "failed",
                "fog-signal.txt, lamp.txt, tides.txt",
                "missing: tides.txt; added: none",
            ),
            **dict.fromkeys((*CHAT, NO_TRACE), whole),
        },
    )
    assert operators.milvus.query(COLLECTION, **rows) == before
    assert traces(operators) == leaves


def test_a_field_that_has_another_name_is_seen_and_no_question_asked(
    verifier: Verifier, operators: Operators, leaves: list[object]
) -> None:
    """Every list and count is as it was; one chat would take all vectors of the knowledge base."""
    rows = {"filter": "", "output_fields": ["count(*)"], "consistency_level": "Strong"}
    before = operators.milvus.query(COLLECTION, **rows)
    with damage.field_renamed(operators, canary.KNOWLEDGE_BASE, "images", "pages"):
        outcome = verifier.run("phase3", "--no-gate")
    references = "test_references_of_the_canary"
    not_asked = (
        "broken",
        "expected references that all hold",
        "observed pages_of_vectors: references of milvus",
    )
    expect(
        outcome,
        {
            f"{references}[pages_of_vectors]": ("failed", "observed 4 dangling, 0 records without a name"),
            f"{references}[objects_of_pages]": ("failed", "observed 0 dangling, 4 records without a name"),
            **dict.fromkeys((*CHAT, NO_TRACE), not_asked),
        },
    )
    assert operators.milvus.query(COLLECTION, **rows) == before
    assert traces(operators) == leaves


@pytest.mark.usefixtures("captured_again")
def test_vectors_are_gone_the_turn_is_not_kept_and_a_sweeper_without_its_rights_leaves_traces(
    verifier: Verifier, operators: Operators, leaves: list[object]
) -> None:
    """The vectors are those of the document that holds the answer."""
    (lamp,) = operators.mongodb["mongodb"]["files"].find(
        {"knowledge_db_id": canary.KNOWLEDGE_BASE, "filename": canary.ANSWER_FILE}
    )
    off, on = ["ACL", "SETUSER", "canary", "-unlink"], ["ACL", "SETUSER", "canary", "+unlink"]
    with ExitStack() as undo:
        undo.enter_context(damage.entities_gone(operators, COLLECTION, f'file_id == "{lamp["file_id"]}"'))
        undo.enter_context(damage.turns_refused(operators))
        undo.enter_context(damage.redis_command(operators, off, on))
        outcome = verifier.run("phase3", "--no-gate", **RIGHT)
    left = set(traces(operators)) - set(leaves)
    operators.redis.delete(*[key for key in left if isinstance(key, bytes)])
    ending, grounds = CHAT
    expect(
        outcome,
        {
            ending: ("failed", "expected a regular end, text, and 1 turn kept", "0 turns"),
            grounds: ("failed", "expected lamp.txt, observed "),
            ANSWER: ("failed", f"expected {canary.ANSWER_WORDS}, observed ", "characters without them"),
            NO_TRACE: ("broken", "store redis as canary", "expected the removal of keys", "permission"),
        },
    )
    assert left
    assert traces(operators) == leaves


def test_an_application_that_lets_everyone_in_and_forgets_nothing(verifier: Verifier) -> None:
    recorded = verifier.baseline.facts.canary.files
    answers = {
        "/auth/login": {"access_token": "x" * 30},
        "/auth/verify-token": {"username": "somebody"},
        "/knowledge_bases": [],
        "/files": {"total": len(recorded), "data": [{"filename": name} for name in recorded]},
        "/selected": {"select_model_config": {}},
    }

    def answer(exchange: Exchange) -> None:
        path = exchange.path
        if path.endswith("/sse/chat"):
            exchange.events({"type": "text", "data": "Nothing is known of a lamp."})
        else:
            found = (content for end, content in answers.items() if path.endswith(end))
            exchange.reply(200, next(found, {"turns": []}))

    with running() as served:
        served.answers = defaultdict(lambda: answer)
        outcome = verifier.run("phase3", "--no-gate", APPLICATION__URL=served.url)
    ending, grounds = CHAT
    expect(
        outcome,
        {
            "test_login": ("failed", "owner of the canary's token: expected canary, observed somebody"),
            "test_wrong_password_is_refused": ("failed", "expected refused with 401, observed let in"),
            "test_stale_token_is_refused": (
                "failed",
                "expected refused with 401 or 403 or 404, observed let in",
            ),
            STRANGER: (
                "failed",
                "belongs to another user: expected refused with 401",
                "observed let in",
            ),
            OLD: ("failed", "turns of conversation canary_", "expected 2 or more, observed 0"),
            ending: ("failed", "1 turn kept, observed regular end, 27 characters, 0 turns"),
            grounds: ("failed", "expected lamp.txt, observed none"),
            NO_TRACE: ("failed", "use of the swept token: expected refused", "observed let in"),
        },
    )


def kept_of_uploads(operators: Operators) -> dict[str, object]:
    """Return how many records each store has that an upload writes to, and the names that uploads have."""
    mongodb = operators.mongodb["mongodb"]
    return {
        **{name: mongodb[name].count_documents({}) for name in ("knowledge_bases", "files", "conversations")},
        "documents": operators.sql("SELECT COUNT(*) FROM documents"),
        "collections": sorted(operators.milvus.list_collections()),
        "uploads": [one.object_name for one in operators.s3.list_objects(BUCKET, "canary_rollproof-")],
    }


def test_an_upload_is_taken_in_and_found_and_leaves_nothing_unless_the_worker_hangs(
    verifier: Verifier, operators: Operators, containers: Containers, leaves: list[object], tmp_path: Path
) -> None:
    (tmp_path / "tide.txt").write_text("The tide comes in at noon, and the lamp is lit at dusk.")
    upload = {"APPLICATION__CANARY__UPLOAD": str(tmp_path / "tide.txt")}
    before = kept_of_uploads(operators)
    outcome = verifier.run("phase3", "--no-gate", **upload)
    expect(outcome, {})
    assert "test_upload_is_taken_in" in {name.partition("[")[0] for name in outcome.results()}
    assert kept_of_uploads(operators) == before

    with faults.paused(containers, "worker"):
        chosen = ("-k", "upload or trace")
        outcome = verifier.run("phase3", "--no-gate", *chosen, APPLICATION__UPLOAD_SECONDS="2", **upload)
        # What the worker finds in its queue afterwards is gone.
        (left,) = operators.s3.list_objects(BUCKET, "canary_rollproof-")
        operators.s3.remove_object(BUCKET, str(left.object_name))
    expect(
        outcome,
        {
            "test_upload_is_taken_in": ("failed", "expected listed within 2 s, observed not listed"),
            NO_TRACE: ("failed", "expected none more", f"observed minio/{BUCKET}: 1 more"),
        },
    )
    assert kept_of_uploads(operators) == before
    assert traces(operators) == leaves
