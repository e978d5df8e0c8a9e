"""While data is restored: users are told so, and whoever could write fails the rollback, by name."""

from __future__ import annotations

import http.client
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest
from pydantic import SecretStr

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.incident import UNFINISHED
from fixtures.stores import mysql
from fixtures.stores.profiles import Account, MysqlProfile
from fixtures.stores.reach import Reach
from fixtures.target import Target
from rollback_actions.containers import ContainerControl
from staging.stack import Stack
from tests.stack.verifier import Verifier

SECONDS = 120.0
POLL_SECONDS = 0.03


@pytest.fixture(scope="module", autouse=True)
def backup(verifier: Verifier) -> Path:
    """A backup set of the stack as it is, and the baseline that is compared with."""
    return verifier.back_up()


@dataclass
class User:
    """Asks for the page and for the API, again and again, on a connection of its own each time."""

    target: Target
    answers: list[str] = field(default_factory=list)

    def ask(self, path: str) -> str:
        """Return what one request comes to: its status, and whether it says when to come again."""
        url = self.target.application.url
        with closing(http.client.HTTPConnection(str(url.host), url.port, timeout=SECONDS)) as connection:
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
            except OSError as error:
                return type(error).__name__
        later = answer.getheader("Retry-After") is not None
        kind = "JSON" if answer.getheader("Content-Type") == "application/json" and body else "page"
        return f"{answer.status}{', come again' if later else ''}, {kind}"

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the body has ended."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(POLL_SECONDS):
                self.answers += [self.ask("/api/v1/health/check"), self.ask("/")]

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def told(self, kind: str) -> list[str]:
        """Return what was told, each answer once as long as it stayed the same."""
        return [answer for answer, _ in groupby(one for one in self.answers if one.endswith(kind))]


def test_users_are_told_to_come_again_and_nothing_else(verifier: Verifier, target: Target) -> None:
    user = User(target)
    with user.asking():
        done = verifier.script("rollback/db_redis.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert user.told("JSON") == ["200, JSON", "503, come again, JSON", "200, JSON"]
    assert user.told("page") == ["200, page", "503, come again, page", "200, page"]
    assert len(user.answers) == sum(one.endswith(("JSON", "page")) for one in user.answers)
    assert "see that nothing wrote meanwhile: nobody at the containers, redis" in done.stderr


def test_all_services_are_re_created_without_a_bad_gateway(verifier: Verifier, target: Target) -> None:
    user = User(target)
    with user.asking():
        done = verifier.actions("rollback", "full", verifier.baseline.facts.commit)
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert user.told("JSON") == ["200, JSON", "503, come again, JSON", "200, JSON"]
    assert user.told("page") == ["200, page", "503, come again, page", "200, page"]
    # While the proxy itself is re-created nobody answers; that is all.
    errors = {one for one in user.answers if not one.endswith(("JSON", "page"))}
    assert errors <= {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}


def test_what_cannot_tell_is_named(verifier: Verifier) -> None:
    done = verifier.script("rollback/db_qdrant.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert "nobody at the containers; blind at qdrant" in done.stderr


@contextmanager
def _worker(control: ContainerControl) -> Iterator[str]:
    """It is left running: whatever follows stops it first."""
    control.start(["worker"], deadline=SECONDS)
    yield "container rollproof-staging-worker-1 of worker, seen at 20"


def _reach(target: Target, engine: ContainerEngine, account: Account) -> Reach:
    return Reach("mysql", engine.resolve(target.stores["mysql"].address), account, SECONDS)


@contextmanager
def _client(stack: Stack, target: Target, engine: ContainerEngine) -> Iterator[str]:
    secret = (stack.state.folder / "secrets" / "mysql_app").read_text(encoding="utf-8")
    account = Account(user="app", password=SecretStr(secret))
    with closing(mysql.connect(_reach(target, engine, account))):
        yield "client app@"


@contextmanager
def _held_up(target: Target, engine: ContainerEngine) -> Iterator[None]:
    """No table of MySQL can be dropped: an operator, who is no writer, reads one."""
    profile = target.stores["mysql"]
    assert isinstance(profile, MysqlProfile)
    with closing(mysql.connect(_reach(target, engine, profile.operator))) as connection:
        mysql.rows(connection, "START TRANSACTION")
        mysql.rows(connection, "SELECT COUNT(*) FROM imagedb.users")
        yield


@pytest.mark.parametrize("who", ["a container", "a client"])
def test_a_writer_in_the_middle_fails_it_and_it_is_gone_on_with(
    verifier: Verifier,
    stack: Stack,
    target: Target,
    engine: ContainerEngine,
    control: ContainerControl,
    who: str,
) -> None:
    user, writer = User(target), _worker(control) if who == "a container" else _client(stack, target, engine)
    with ExitStack() as undo:
        held = undo.enter_context(ExitStack())
        held.enter_context(_held_up(target, engine))
        process, incident = undo.enter_context(verifier.begun("rollback/db_mysql.sh", at="restore mysql"))
        name = undo.enter_context(writer)
        held.close()
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == ExitCode.FAILED, said
    assert "expected no writer while it was restored" in said
    assert name in said
    assert "Traceback" not in said
    # As safe as it can be: nothing is started, and users are told so.
    assert (incident / UNFINISHED).exists()
    assert not engine.containers()["backend"][0].running
    assert user.ask("/").startswith("503, come again")
    manual = said[said.index("MANUAL INTERVENTION") :]
    assert "maintenance is on" in manual
    assert "exec -T nginx rm -f /tmp/maintenance" in manual
    done = verifier.actions("rollback", "resume")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert user.ask("/") == "200, page"
    compared = verifier.actions("compare", str(verifier.folder / "baselines" / "current"))
    assert compared.returncode == ExitCode.VERIFIED, compared.stdout


def test_a_proxy_that_does_not_run_is_started_again(
    verifier: Verifier, target: Target, control: ContainerControl
) -> None:
    control.stop([_service(target)], deadline=SECONDS)
    done = verifier.script("rollback/db_redis.sh")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert "nginx is stopped too, maintenance is not on" in done.stderr
    assert User(target).ask("/") == "200, page"


def _service(target: Target) -> str:
    assert target.application.maintenance is not None
    return target.application.maintenance.service


@contextmanager
def _migration(stack: Stack) -> Iterator[str]:
    """What `docker compose run migrate` starts, but that it only waits."""
    name = f"{stack.project}-migrate-run-test"
    labels = {"project": stack.project, "service": "migrate", "oneoff": "True"}
    options = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
    command = ["docker", "run", "--detach", "--rm", f"--name={name}", "--network=none", *options]
    subprocess.run(
        [*command, "--entrypoint=sleep", "rollproof-staging/redis", "infinity"], check=True, timeout=SECONDS
    )
    try:
        yield name
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, timeout=SECONDS)


def test_a_migration_that_still_runs_fails_it_before_anything_is_overwritten(
    verifier: Verifier, stack: Stack
) -> None:
    with _migration(stack) as name:
        done = verifier.script("rollback/db_redis.sh")
    assert done.returncode == ExitCode.FAILED, done.stdout
    seen = f"expected no writer before it is overwritten, observed container {name} of migrate, seen at 20"
    assert seen in done.stderr
    assert "restore redis" not in done.stderr
    done = verifier.actions("rollback", "resume")
    assert done.returncode == ExitCode.VERIFIED, done.stderr
