"""During a restore, users are told of it, and any client that could write fails the rollback, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ExitCode
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account
from rollproof.record_names import UNFINISHED
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.reach import Reach
from rollproof.stores.registry import endpoint_of
from staging.stack.stack import Stack
from tests.stack.damage import tables_held
from tests.stack.users import User
from tests.stack.verifier import ACTIONS_SECONDS, Verifier

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]
SECONDS = 120.0


@contextmanager
def _worker(stack: Stack, control: ComposeControl) -> Iterator[str]:
    """It is left running: whatever follows stops it first."""
    control.start(["worker"], deadline=SECONDS)
    yield f"container {stack.project}-worker-1 of worker, seen at 20"


@contextmanager
def _client(stack: Stack, target: Target, engine: ContainerEngine) -> Iterator[str]:
    secret = (stack.state.folder / "secrets" / "mysql_app").read_text(encoding="utf-8")
    account = Account(user="app", password=SecretStr(secret))
    reach = Reach("mysql", endpoint_of(target.stores["mysql"], engine), account, SECONDS)
    with closing(mysql.Mysql(reach).connect()):
        yield "client app@"


@pytest.mark.long(minutes=2)
def test_a_writer_in_the_middle_fails_it_and_it_is_resumed(
    verifier: Verifier,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
) -> None:
    user = User(target)
    with ExitStack() as undo:
        held = undo.enter_context(ExitStack())
        held.enter_context(tables_held(target, engine))
        process, incident = undo.enter_context(verifier.begun("rollback/db_mysql.sh", at="restore mysql"))
        name = undo.enter_context(_worker(stack, control))
        held.close()
        said, _ = process.communicate(timeout=ACTIONS_SECONDS)
    _expect_failed_for(name, process.returncode, said)
    # As safe as it can be: nothing is started, and users are told so.
    assert (incident / UNFINISHED).exists()
    assert not engine.containers()["backend"][0].running
    assert user.ask("/").startswith("503, come again")
    assert "rollproof rollback let-in" in said[said.index("MANUAL INTERVENTION") :]

    with ExitStack() as undo:
        held = undo.enter_context(ExitStack())
        held.enter_context(tables_held(target, engine))
        process, again = undo.enter_context(verifier.resumed(at="restore mysql"))
        name = undo.enter_context(_client(stack, target, engine))
        held.close()
        said, _ = process.communicate(timeout=ACTIONS_SECONDS)
    _expect_failed_for(name, process.returncode, said)
    assert again == incident
    assert (incident / UNFINISHED).exists()

    done = verifier.actions("rollback", "resume")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert user.ask("/") == "200, page"


def _expect_failed_for(name: str, code: int, said: str) -> None:
    assert code == ExitCode.FAILED, said
    assert "expected no writer while it was restored" in said
    assert name in said
    assert "Traceback" not in said
