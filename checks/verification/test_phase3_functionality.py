"""Phase 3, 3-5 min: people can log in, find their documents and get answers from them.

These checks act as the canary user, which leaves a conversation, a token and an uploaded document; the last
ones see that all are gone. The chat is asked only after the knowledge base proved complete in every store
behind it. In LAYRA, one chat over incomplete documents deletes their vectors.

The document is uploaded early and looked for late: the application ingests it while other checks run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from fixtures.baseline.folder import Baseline
from fixtures.errors import Meaning, Unverifiable, listed
from fixtures.gating.evidence import CSV, Expect, Keep, Say, table
from fixtures.given.asking import ExpectRefused
from fixtures.system.rounds import Wrong, answer_of
from fixtures.target.functions import Judged
from fixtures.target.profile import Target

if TYPE_CHECKING:
    from fixtures.application.canary import Canary, Continued, Conversation, Retrieved, Uploaded
    from fixtures.application.client import ApplicationClient, ChatAnswer, Session

pytestmark = [pytest.mark.verification, pytest.mark.phase3]


def test_login(session: Session, client: ApplicationClient, target: Target, expect: Expect) -> None:
    """The canary logs in with its password, and the token is its own."""
    user = client.verify_token(session)
    expect(user == target.application.canary.user,
           what="owner of the canary's token", means=Meaning.DATA_CHANGED,
           expected=target.application.canary.user, observed=user,
           source="verify-token", hint="the signing key or the users are not those of before")


def test_wrong_password_is_refused(canary: Canary, target: Target, expect_refused: ExpectRefused) -> None:
    """A wrong password is refused."""
    wrong = SecretStr("not-" + target.application.canary.password.get_secret_value())
    expect_refused("log-in with a wrong password", lambda: canary.log_in(wrong), 401)


def test_stale_token_is_refused(
    canary: Canary, client: ApplicationClient, expect_refused: ExpectRefused
) -> None:
    """A token that the application never issued is refused."""
    stale = canary.stale()
    expect_refused("use of a stale token", lambda: client.knowledge_bases(stale), 401, 403, 404)


def test_upload_is_accepted(
    uploaded: Callable[[], Uploaded], judged: Callable[[Judged], bool], expect: Expect
) -> None:
    """The canary's document is accepted for a new knowledge base of its own."""
    if judged("upload"):
        expect(uploaded().knowledge_base,
               what="upload of the canary's document",
               expected="accepted", observed="accepted", source="application",
               hint="see the log of the backend: object store and queue must take what users upload")


def test_resources_of_another_user_are_refused(
    intrusions: Callable[[], Mapping[str, Callable[[], object]]],
    target: Target,
    judged: Callable[[Judged], bool],
    expect_refused: ExpectRefused,
) -> None:
    """The canary may not see what is another user's."""
    if judged("foreign"):
        statuses = target.application.canary.foreign.statuses if target.application.canary.foreign else ()
        for name, attempt in intrusions().items():
            expect_refused(f"use of another user's {name}", attempt, *statuses)


def test_knowledge_base_holds_the_recorded_files(
    knowledge_base_files: tuple[str, ...], baseline: Baseline, expect: Expect, evidence: Keep
) -> None:
    """The canary's knowledge base lists exactly the files of the baseline."""
    recorded = baseline.facts.canary.files
    missing = sorted((Counter(recorded) - Counter(knowledge_base_files)).elements())
    added = sorted((Counter(knowledge_base_files) - Counter(recorded)).elements())
    rows = [*(("missing", name) for name in missing), *(("added", name) for name in added)]
    if rows:
        evidence("differences", table(("difference", "file"), rows), CSV)
    expect(knowledge_base_files == recorded,
           what="files of the canary's knowledge base",
           means=Meaning.DATA_LOSS if missing else Meaning.DATA_CHANGED,
           expected=", ".join(recorded), source="application",
           observed=f"missing: {', '.join(missing) or 'none'}; added: {', '.join(added) or 'none'}",
           hint="documents were not restored: compare the stores of documents and objects with the baseline")


def test_references_of_the_canary(
    reference: str, references: Callable[[], Mapping[str, int | Wrong]], expect: Expect
) -> None:
    """The names in the canary's documents are held by the other stores."""
    records = answer_of(references(), reference)
    expect(records,
           what=f"reference {reference}", means=Meaning.DATA_LOSS,
           expected="every name is held by the other store", observed=f"{records} records name what is there",
           source="the stores", hint="nothing was compared: see that the canary has documents")


def test_chat_comes_to_its_end(conversation: Conversation, expect: Expect) -> None:
    """The answer's stream ends regularly, the answer is not empty, and was kept as a turn."""
    answer = conversation.answer
    expect(answer.complete and answer.text.strip() and conversation.turns == 1,
           what="chat", means=Meaning.SERVICE_DOWN, source="application",
           expected="a stream with a regular end, text, and 1 turn kept",
           observed=f"{answer.ending} end, {len(answer.text)} characters, {conversation.turns} turns",
           hint="see the log of the backend: it answers 200 and breaks the stream on any error")


def test_chat_is_grounded(
    conversation: Conversation, target: Target, baseline: Baseline, expect: Expect
) -> None:
    """The answer was made from the expected document and the documents that the baseline recorded."""
    files = dict.fromkeys((target.application.canary.expected_file, *baseline.facts.canary.grounded_in))
    expect(files.keys() <= set(conversation.answer.files),
           what="documents that the chat's answer is grounded in", means=Meaning.DATA_CHANGED,
           expected=", ".join(files), observed=", ".join(conversation.answer.files) or "none",
           source="application",
           hint="retrieval does not find what it found before: the vectors are not those of the baseline")


def test_chat_streams(
    best_streamed: Callable[[], ChatAnswer],
    baseline: Baseline,
    judged: Callable[[Judged], bool],
    expect: Expect,
    note: Say,
) -> None:
    """An answer comes piece by piece while it is made, as at the capture, and not all at once at its end."""
    if not judged("stream"):
        return
    streamed = baseline.facts.canary.streamed
    if streamed is False:
        note("stream: not judged: at the capture too, the answer came all at once")
        return
    expect(streamed,
           what="the stream of the answer at the capture", otherwise=Unverifiable,
           expected="recorded in the baseline", observed="recorded" if streamed else "none",
           source=baseline.folder,
           hint="capture a baseline with this version: python -m rollback_actions capture")
    answer = best_streamed()
    expect(answer.streamed,
           what="the stream of the answer", means=Meaning.LATE, source="application",
           expected="pieces that arrive one after the other",
           observed=f"{len(answer.arrived)} pieces, over {answer.spread:.0%} of the time to the answer's end",
           hint="something holds the answer back, such as proxy_buffering or gzip of nginx: a long answer"
                " then shows nothing until its end")


def test_old_conversation_goes_on(
    continued: Callable[[], Continued],
    baseline: Baseline,
    judged: Callable[[Judged], bool],
    expect: Expect,
    note: Say,
) -> None:
    """A conversation from before the migration has its turns, and takes a further one."""
    if not judged("conversation"):
        return
    turns, found = baseline.facts.canary.turns, continued()
    note("conversation: the canary's old one has a turn more; phase 4 counts that as the canary's,"
         " by application.canary.conversations")
    expect(found.before >= turns,
           what="turns of the canary's old conversation", means=Meaning.DATA_LOSS,
           expected=f"{turns} or more", observed=found.before, source="application",
           hint="conversations were not restored: compare their store with the baseline")
    expect(found.answer.complete and found.answer.text.strip() and found.after == found.before + 1,
           what="a further question in an old conversation", means=Meaning.SERVICE_DOWN, source="application",
           expected="a stream with a regular end, text, and 1 more turn kept",
           observed=f"{found.answer.ending} end, {len(found.answer.text)} characters,"
                    f" {found.after - found.before} more turns",
           hint="the release that runs asks for what old conversations lack: users lose theirs, new ones go")


def test_stored_addresses_open(
    address_faults: Callable[[], Mapping[str, str]], judged: Callable[[Judged], bool], expect: Expect
) -> None:
    """The stored addresses of the canary's files still lead to their objects."""
    if not judged("addresses"):
        return
    faults = address_faults()
    wrong = [f"{name}: {fault}" for name, fault in faults.items() if fault]
    expect(not wrong,
           what="stored addresses of the canary's files", means=Meaning.DATA_CHANGED,
           expected=f"all {len(faults)} open, as at the capture",
           observed=listed(wrong, between="; ") or "all open", source="application",
           hint="they are bound to the object store's address and keys: give it back those of before;"
                " an expired one the application must sign anew")


def test_uploaded_document_is_found(
    uploaded: Callable[[], Uploaded],
    retrieved: Callable[[], Retrieved],
    target: Target,
    judged: Callable[[Judged], bool],
    expect: Expect,
) -> None:
    """The uploaded document was ingested, and an answer is made from it, in time."""
    if not judged("upload"):
        return
    name, seconds, found = uploaded().name, target.application.canary.upload.seconds, retrieved()
    expect = expect.of("application", means=Meaning.SERVICE_DOWN)
    expect(name in found.listed,
           what="the uploaded document",
           expected=f"ingested within {seconds:g} s",
           observed="ingested" if name in found.listed else "accepted, and never ingested",
           hint="the worker that ingests is dead or idle, whatever its health says: see its log, and the lag"
                " of its queue; for a slow one: application.canary.upload.seconds")
    expect(name in found.grounded_in,
           what="an answer about the uploaded document",
           expected=f"made from {name}", observed=", ".join(found.grounded_in) or "made from no document",
           hint="it is ingested and not found: see what the worker writes into the store of vectors")


def test_upload_leaves_no_trace(
    canary: Canary,
    session: Session,
    uploaded: Callable[[], Uploaded],
    logs: Sequence[str],
    judged: Callable[[Judged], bool],
    expect: Expect,
    note: Say,
) -> None:
    """The upload is removed again from the application and its stores; what cannot be is named."""
    if not judged("upload"):
        return
    made = uploaded()
    canary.remove_uploads()
    left = canary.left_of(session, made)
    if logs:
        note(f"upload: a message stays in {', '.join(logs)}, and versions of the object where these are kept")
    expect(not left,
           what="what is left of the upload", means=Meaning.DATA_CHANGED,
           expected="nothing", observed=listed(left) or "nothing", source="application and stores",
           hint="remove it by hand: the application does not delete a knowledge base as a whole")


# This check asks the chat too, so it also needs a complete knowledge base.
@pytest.mark.usefixtures("conversation")
def test_canary_leaves_no_trace(
    canary: Canary, client: ApplicationClient, expect_refused: ExpectRefused
) -> None:
    """Every trace of the canary can be removed, and is gone afterwards."""
    session = canary.log_in()
    asked = canary.ask(session).id
    canary.sweep()
    expect_refused("use of the swept token", lambda: client.knowledge_bases(session), 401, 403, 404)
    again = canary.log_in()
    expect_refused("look at the swept conversation", lambda: client.turns(again, asked), 404)
    canary.sweep()
