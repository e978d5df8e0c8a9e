"""Phase 3, 3-5 min: people can log in, find their documents and get answers from them.

These checks act as the canary user, which leaves a conversation and a token; the last one sees that both are
gone. The chat is asked only after the knowledge base was seen whole, in each store that it is made from: in
LAYRA one chat over documents that are half there deletes their vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from fixtures.baseline import Baseline
from fixtures.errors import Mismatch
from fixtures.evidence import CSV, Saw, table
from fixtures.rounds import Wrong, answer_of
from fixtures.target import Target

if TYPE_CHECKING:
    from fixtures.application import ApplicationClient, Session
    from fixtures.canary import Canary, Conversation

pytestmark = [pytest.mark.verification, pytest.mark.phase3]


def _expect_refusal(what: str, attempt: Callable[[], object], statuses: set[int], saw: Saw) -> None:
    from fixtures.application import Refused  # noqa: PLC0415 - phase 1 starts without the HTTP client

    expected = f"refused with {' or '.join(str(status) for status in sorted(statuses))}"
    try:
        attempt()
    except Refused as refused:
        saw(expected, f"refused with {refused.status}")
        if refused.status in statuses:
            return
        observed = f"status {refused.status}"
    else:
        observed = "let in"
    raise Mismatch(
        what=what,
        expected=expected,
        observed=observed,
        source="application",
        hint="authentication does not work: keep the application closed until it does",
    )


def test_login(session: Session, client: ApplicationClient, target: Target, saw: Saw) -> None:
    """The canary logs in with its password, and the token is its own."""
    user = client.verify_token(session)
    saw(f"a token of {target.application.canary.user}", f"one of {user}")
    if user != target.application.canary.user:
        raise Mismatch(
            what="owner of the canary's token",
            expected=target.application.canary.user,
            observed=user,
            source="verify-token",
            hint="the signing key or the users are not those of before",
        )


def test_wrong_password_is_refused(canary: Canary, target: Target, saw: Saw) -> None:
    """A wrong password is refused."""
    wrong = SecretStr("not-" + target.application.canary.password.get_secret_value())
    _expect_refusal("log-in with a wrong password", lambda: canary.log_in(wrong), {401}, saw)


def test_stale_token_is_refused(canary: Canary, client: ApplicationClient, saw: Saw) -> None:
    """A token that the application never issued is refused."""
    stale = canary.stale()
    _expect_refusal("use of a stale token", lambda: client.knowledge_bases(stale), {401, 403, 404}, saw)


def test_knowledge_base_holds_the_recorded_files(
    knowledge_base_files: tuple[str, ...],
    baseline: Baseline,
    saw: Saw,
    evidence: Callable[[str, str, str], None],
) -> None:
    """The canary's knowledge base lists exactly the files of the baseline."""
    recorded = baseline.facts.canary.files
    missing = sorted((Counter(recorded) - Counter(knowledge_base_files)).elements())
    added = sorted((Counter(knowledge_base_files) - Counter(recorded)).elements())
    saw(f"the {len(recorded)} recorded files", f"{len(missing)} missing, {len(added)} added")
    if knowledge_base_files != recorded:
        rows = [*(("missing", name) for name in missing), *(("added", name) for name in added)]
        evidence("differences", table(("difference", "file"), rows), CSV)
        raise Mismatch(
            what="files of the canary's knowledge base",
            expected=", ".join(recorded),
            observed=f"missing: {', '.join(missing) or 'none'}; added: {', '.join(added) or 'none'}",
            source="application",
            hint="documents were not restored: compare MongoDB and the object store with the baseline",
        )


def test_references_of_the_canary(
    reference: str, references: Callable[[], Mapping[str, int | Wrong]], saw: Saw
) -> None:
    """What the canary's documents name in other stores is there."""
    records = answer_of(references(), reference)
    saw("every name is held by the other store", f"{records} records name what is there")
    assert records > 0


def test_chat_comes_to_its_end(conversation: Conversation, saw: Saw) -> None:
    """The answer is streamed to a regular end, is not empty, and was kept as a turn."""
    answer = conversation.answer
    expected = "a stream with a regular end, text, and 1 turn kept"
    observed = f"{answer.ending} end, {len(answer.text)} characters, {conversation.turns} turns"
    saw(expected, observed)
    if not answer.complete or not answer.text.strip() or conversation.turns != 1:
        raise Mismatch(
            what="chat",
            expected=expected,
            observed=observed,
            source="application",
            hint="see the log of the backend: it answers 200 and breaks the stream on any error",
        )


def test_chat_is_grounded(conversation: Conversation, target: Target, baseline: Baseline, saw: Saw) -> None:
    """The answer was made from the right document, and from those that it was made from before."""
    expected = (target.application.canary.expected_file, *baseline.facts.canary.grounded_in)
    missing = [file for file in dict.fromkeys(expected) if file not in conversation.answer.files]
    saw(", ".join(dict.fromkeys(expected)), ", ".join(conversation.answer.files) or "none")
    if missing:
        raise Mismatch(
            what="documents that the chat's answer is grounded in",
            expected=", ".join(dict.fromkeys(expected)),
            observed=", ".join(conversation.answer.files) or "none",
            source="application",
            hint="retrieval does not find what it found before: the vectors are not those of the baseline",
        )


# Not without a knowledge base that was seen whole: this check asks too.
@pytest.mark.usefixtures("conversation")
def test_canary_leaves_no_trace(canary: Canary, client: ApplicationClient, saw: Saw) -> None:
    """All that the canary did can be taken away, and is gone afterwards."""
    session = canary.log_in()
    conversation = canary.ask(session).id
    canary.sweep()
    _expect_refusal("use of the swept token", lambda: client.knowledge_bases(session), {401, 403, 404}, saw)
    again = canary.log_in()
    _expect_refusal("look at the swept conversation", lambda: client.turns(again, conversation), {404}, saw)
    canary.sweep()
