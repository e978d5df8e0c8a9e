"""Phase 3, 3-5 min: people can log in, find their documents and get answers from them.

These checks act as the canary user, which leaves a conversation and a token; the last one sees that both are
gone. The chat is asked only after the knowledge base proved complete in every store behind it. In LAYRA, one
chat over incomplete documents deletes their vectors.

Each check `needs` functions of the application that the profile describes: without them it is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from fixtures.application import ExpectRefused, References
from fixtures.gating.evidence import Expect
from rollproof.application.canary import Canary, Conversation, Uploaded
from rollproof.application.client import ApplicationClient, LoggedIn
from rollproof.baseline.folder import Baseline
from rollproof.errors import Meaning, listed
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.system.side_by_side import answer_of

pytestmark = [pytest.mark.verification, pytest.mark.phase3]


@pytest.mark.needs("log_in")
def test_login(session: LoggedIn, client: ApplicationClient, target: Target, expect: Expect) -> None:
    """The canary logs in with its password; the token is its own, and shows it what is its own."""
    if "own" in target.application.verifiable:
        client.own(session)
    user = client.owner(session)
    expect(user == target.application.canary.user,
           what="owner of the canary's token", means=Meaning.DATA_CHANGED,
           expected=target.application.canary.user, observed=user,
           source="application", hint="the signing key or the users are not those of before")


@pytest.mark.needs("log_in")
def test_wrong_password_is_refused(canary: Canary, target: Target, expect_refused: ExpectRefused) -> None:
    """A wrong password is refused."""
    expect_refused("log-in with a wrong password", lambda: canary.log_in(canary.wrong_password),
                   *target.application.functions.wrong_password)


@pytest.mark.needs("own")
def test_stale_token_is_refused(
    canary: Canary, client: ApplicationClient, target: Target, expect_refused: ExpectRefused
) -> None:
    """A token that the application never issued is refused."""
    stale = canary.stale()
    expect_refused("use of a stale token", lambda: client.own(stale), *target.application.functions.refused)


@pytest.mark.needs("others")
def test_another_user_is_refused(
    session: LoggedIn, canary: Canary, client: ApplicationClient, target: Target,
    expect_refused: ExpectRefused,
) -> None:
    """The canary may not look at what belongs to another user."""
    expect_refused("look at what belongs to another user", lambda: client.own(session, of=canary.stranger),
                   *target.application.functions.refused)


@pytest.mark.needs("documents")
def test_knowledge_base_holds_the_recorded_files(
    knowledge_base_files: tuple[str, ...], baseline: Baseline, expect: Expect
) -> None:
    """The canary's knowledge base lists exactly the files of the baseline."""
    recorded = baseline.facts.canary.files
    missing = sorted((Counter(recorded) - Counter(knowledge_base_files)).elements())
    added = sorted((Counter(knowledge_base_files) - Counter(recorded)).elements())
    expect(knowledge_base_files == recorded,
           what="files of the canary's knowledge base",
           means=Meaning.DATA_LOSS if missing else Meaning.DATA_CHANGED,
           expected=", ".join(recorded), source="application",
           observed=f"missing: {', '.join(missing) or 'none'}; added: {', '.join(added) or 'none'}",
           hint="documents were not restored: compare the stores of documents and objects with the baseline")


def test_references_of_the_canary(
    reference: str, references: References, expect: Expect
) -> None:
    """The names in the canary's documents are held by the other stores."""
    records = answer_of(references(), reference)
    expect(records,
           what=f"reference {reference}", means=Meaning.DATA_LOSS,
           expected="every name is held by the other store", observed=f"{records} records name what is there",
           source="the stores", hint="nothing was compared: see that the canary has documents")


@pytest.mark.needs("chat")
def test_chat_comes_to_its_end(conversation: Conversation, expect: Expect) -> None:
    """The answer's stream ends regularly, the answer is not empty, and was kept as a turn."""
    expect(conversation.well,
           what="chat", means=Meaning.SERVICE_DOWN, source="application",
           expected="a regular end, text, and 1 turn kept",
           observed=conversation,
           hint="see the log of the backend: it answers 200 and breaks the stream on any error")


@pytest.mark.needs("sources")
def test_chat_is_grounded(
    conversation: Conversation, target: Target, baseline: Baseline, expect: Expect
) -> None:
    """The answer was made from the expected document, those that the baseline recorded, and no other."""
    files = dict.fromkeys((target.application.canary.expected_file, *baseline.facts.canary.grounded_in))
    expect(conversation.is_made_from(files),
           what="documents that the chat's answer is grounded in", means=Meaning.DATA_CHANGED,
           expected=", ".join(files), observed=", ".join(conversation.answer.files) or "none",
           source="application",
           hint="retrieval finds other documents than before, or deleted ones: the vectors are not those "
                "of the baseline")


@pytest.mark.needs("expected_text")
def test_chat_answers_right(conversation: Conversation, target: Target, expect: Expect) -> None:
    """The answer holds the words that are known to be right."""
    words, text = target.application.canary.expected_text, conversation.answer.text
    expect(conversation.says(words),
           what="words of the chat's answer", means=Meaning.DATA_CHANGED,
           expected=words, observed=f"{len(text)} characters without them", source="application",
           hint="retrieval does not find what it found before, or the model is another one")


@pytest.mark.needs("conversations", "turns")
def test_old_conversations_open(
    session: LoggedIn, client: ApplicationClient, baseline: Baseline, expect: Expect
) -> None:
    """Every conversation that the canary had still opens, with all its turns."""
    for known, turns in baseline.facts.canary.turns.items():
        found = client.turns(session, known)
        expect(found >= turns,
               what=f"turns of conversation {known}", means=Meaning.DATA_LOSS,
               expected=f"{turns} or more", observed=found, source="application",
               hint="conversations were not restored whole: compare their store with the baseline")


@pytest.mark.needs("upload")
def test_upload_is_taken_in(uploaded: Uploaded, target: Target, expect: Expect) -> None:
    """A new document is uploaded; the workers take it in, and an answer about it alone is made from it."""
    limit, expect = target.application.upload_seconds, expect.of(source="application")
    expect(uploaded.seconds is not None,
           what=f"uploaded document {uploaded.name}", means=Meaning.SERVICE_DOWN,
           expected=f"listed within {limit:g} s",
           observed=f"listed after {uploaded.seconds or 0:.1f} s", instead="not listed",
           hint="see the log of the application's workers: one that takes nothing in may run well")
    expect(uploaded.is_found,
           what=f"documents that an answer about {uploaded.name} is grounded in", means=Meaning.DATA_CHANGED,
           expected=uploaded.name, instead=", ".join(uploaded.found_in or ()) or "none",
           hint="retrieval does not find what was just taken in: see the log of the application's workers")


# This check asks the chat too, so it also needs a complete knowledge base.
@pytest.mark.needs("log_in", "own", "chat", "conversation", "turns", "forget", "stored_tokens")
@pytest.mark.usefixtures("conversation")
def test_canary_leaves_no_trace(
    canary: Canary, client: ApplicationClient, target: Target, expect_refused: ExpectRefused,
    left_in_stores: Callable[[], Sequence[str]], expect: Expect,
) -> None:
    """Every trace of the canary can be removed, and is gone afterwards, from the stores too."""
    functions = target.application.functions
    session = canary.log_in()
    asked = canary.ask(session).id
    canary.sweep()
    expect_refused("use of the swept token", lambda: client.own(session), *functions.refused)
    again = canary.log_in()
    expect_refused("look at the swept conversation", lambda: client.turns(again, asked), *functions.gone)
    canary.sweep()
    left = left_in_stores()
    expect(not left,
           what="records since the canary began", means=Meaning.DATA_CHANGED,
           expected="none more, in collections of policy exact", instead=listed(left), source="the stores",
           hint=f"see which, and remove them by their names: {typed('verify phase4 --no-gate')}; "
                "where users write too, set the collection's policy")
