from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from rollproof.application.canary import Canary
from rollproof.application.client import ApplicationClient, LoggedIn, Refused
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.application_profile import Application
from rollproof.profile.profile import Target


@pytest.fixture(scope="module")
def application(target: Target) -> Application:
    return target.application


@pytest.fixture(scope="module")
def client(application: Application) -> ApplicationClient:
    return ApplicationClient(application)


@pytest.fixture(scope="module")
def session(target: Target, engine: ContainerEngine, client: ApplicationClient) -> Iterator[LoggedIn]:
    canary = Canary(target, engine, client, dict)
    yield canary.log_in()
    canary.sweep()


@pytest.fixture
def conversation(application: Application, client: ApplicationClient, session: LoggedIn) -> Iterator[str]:
    identifier = client.create_conversation(session, application.canary.knowledge_base)
    yield identifier
    client.delete_conversation(session, identifier)


def test_health_is_as_the_profile_expects(application: Application, client: ApplicationClient) -> None:
    health = client.health()
    assert health.status == 200
    assert application.health.expect.items() <= health.body.items()


def test_the_canary_is_let_in_and_others_are_not(
    application: Application, client: ApplicationClient, session: LoggedIn
) -> None:
    assert client.owner(session) == application.canary.user
    with pytest.raises(Refused, match="401"):
        client.login(application.canary.user, SecretStr("wrong"))
    with pytest.raises(Refused, match="404"):
        client.own(LoggedIn(application.canary.user, SecretStr("stale")))
    with pytest.raises(Refused, match="403"):
        client.own(LoggedIn("somebody", session.token))


def test_the_knowledge_base_lists_its_files(
    application: Application, client: ApplicationClient, session: LoggedIn
) -> None:
    client.own(session)
    files = client.files(session, application.canary.knowledge_base)
    assert application.canary.expected_file in files
    assert len(files) == len({*files}) > 1


def test_a_chat_is_grounded_and_kept(
    application: Application, client: ApplicationClient, session: LoggedIn, conversation: str
) -> None:
    answer = client.chat(session, conversation, application.canary.question)
    assert answer.complete
    assert answer.files[0] == application.canary.expected_file
    assert answer.text.strip()
    assert client.turns(session, conversation) == 1


def test_a_stream_that_the_application_breaks_is_not_complete(
    application: Application, client: ApplicationClient, session: LoggedIn
) -> None:
    answer = client.chat(session, f"{application.canary.user}_no-such-conversation", "how often?")
    assert not answer.complete
    assert answer.ending.startswith("broken")


def test_a_deleted_conversation_is_gone(
    application: Application, client: ApplicationClient, session: LoggedIn
) -> None:
    identifier = client.create_conversation(session, application.canary.knowledge_base)
    assert client.turns(session, identifier) == 0
    assert client.delete_conversation(session, identifier)
    with pytest.raises(Refused, match="404"):
        client.turns(session, identifier)
