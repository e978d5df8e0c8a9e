"""More of phase 3 on the real application: what a capture sees of it, turns that are gone, workers."""

from __future__ import annotations

import pytest
from app import canary

from rollproof.errors import ExitCode
from staging.target.operators import Operators
from tests.stack import damage
from tests.stack.target.test_checks_phase3 import ANSWER, CHAT, COLLECTION, OLD, RIGHT, leaves, traces
from tests.stack.verifier import Verifier, expect

__all__ = ["leaves"]


def test_a_capture_asks_no_question_either(
    verifier: Verifier, operators: Operators, leaves: list[object]
) -> None:
    """Two files have each other's pages: every list and count is as it was."""
    rows = {"filter": "", "output_fields": ["count(*)"], "consistency_level": "Strong"}
    before = operators.milvus.query(COLLECTION, **rows)
    with damage.pages_swapped(operators, canary.KNOWLEDGE_BASE, canary.ANSWER_FILE, "tides.txt"):
        done = verifier.actions("capture")
    assert done.returncode == ExitCode.BROKEN
    assert "the canary's question: expected references that all hold" in done.stdout + done.stderr
    assert operators.milvus.query(COLLECTION, **rows) == before
    assert traces(operators) == leaves


def test_an_answer_that_cites_what_the_knowledge_base_lacks_is_wrong_and_no_baseline(
    verifier: Verifier, operators: Operators, leaves: list[object]
) -> None:
    """A page of another knowledge base was left among the vectors: every reference holds."""
    with damage.page_strayed(operators, COLLECTION, canary.KNOWLEDGE_BASE, canary.ANSWER_FILE) as cited:
        outcome = verifier.run("phase3", "--no-gate")
        done = verifier.actions("capture")
    _, grounds = CHAT
    expect(outcome, {grounds: ("failed", "expected lamp.txt, observed ", cited)})
    assert done.returncode == ExitCode.FAILED
    assert f"does not list {cited}" in done.stdout + done.stderr
    assert traces(operators) == leaves


def test_a_turn_that_is_gone(verifier: Verifier, operators: Operators, leaves: list[object]) -> None:
    """The last of one conversation, and that the last of all."""
    *_, (known, turns) = verifier.baseline.facts.canary.turns.items()
    conversation = {"conversation_id": known}
    found = operators.mongodb["mongodb"]["conversations"].find_one(conversation)
    assert found is not None
    with damage.document_changed(operators, "conversations", conversation, turns=found["turns"][:-1]):
        outcome = verifier.run("phase3", "--no-gate")
    expect(outcome, {OLD: ("failed", f"{known}: expected {turns} or more, observed {turns - 1}")})
    assert traces(operators) == leaves


@pytest.mark.parametrize(
    "workers", [2, pytest.param(4, marks=pytest.mark.long(minutes=0.5))], ids=["two", "four"]
)
def test_workers_leave_nothing_that_another_could_count(
    verifier: Verifier, operators: Operators, leaves: list[object], workers: int
) -> None:
    """Each worker has a canary of its own."""
    outcome = verifier.run("phase3", "--no-gate", "-n", str(workers), **RIGHT)
    expect(outcome, {})
    assert ANSWER in outcome.results()
    outcome = verifier.run("verification")
    expect(outcome, {})
    assert len(outcome.results()) > 80
    assert traces(operators) == leaves
