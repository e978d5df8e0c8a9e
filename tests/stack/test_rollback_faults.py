"""What goes wrong around a rollback, on the real stack: a clear error in time, nothing lost, and a way on."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import ExitCode
from fixtures.incident import UNFINISHED
from staging.operators import Operators, undone
from tests.stack.verifier import ACTIONS_SECONDS, Verifier

SECONDS = 60
ENGINE_SOCKET = "/var/run/docker.sock"
PIECE_BYTES = 1 << 16
# Of a rollback that hangs: its deadlines are shares of this.
BUDGET = {"ROLLPROOF_ROLLBACK_SECONDS": "100"}


@pytest.fixture(scope="module", autouse=True)
def backup(verifier: Verifier) -> Path:
    """A backup set of the stack as it is, and the baseline that is compared with."""
    return verifier.back_up()


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=SECONDS)


def _users(operators: Operators) -> list[tuple[object, ...]]:
    return operators.sql("SELECT * FROM users ORDER BY id")


def _expect_clear(text: str, code: int, *words: str) -> None:
    """Assert that a failure is said as it should be: both sides, a hint, what to type; no traceback."""
    assert code in {ExitCode.FAILED, ExitCode.BROKEN}, text
    assert "Traceback" not in text
    assert "internal error" not in text
    assert ": expected " in text, text
    assert ", observed " in text, text
    assert "HINT: " in text, text
    assert "MANUAL INTERVENTION" in text, text
    for word in words:
        assert word in text, text


def _go_on(verifier: Verifier, folder: Path) -> None:
    """Resume the rollback of `folder`, and see that all is as it was at the baseline, and accounted for."""
    done = verifier.actions("rollback", "resume", "--take-over")
    assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
    assert f"incident: {folder}" in done.stdout
    assert not (folder / UNFINISHED).exists()
    assert json.loads((folder / "rollback.json").read_text())["records"]["unaccounted"] == 0
    compared = verifier.actions("compare", str(verifier.folder / "baselines" / "current"))
    assert compared.returncode == ExitCode.VERIFIED, compared.stdout + compared.stderr


@contextmanager
def _written(operators: Operators) -> Iterator[None]:
    """A row of MySQL is another one than at the backup: to be kept, and the old one put back."""
    before = _users(operators)
    operators.sql("UPDATE users SET email = 'since@example.org' WHERE username <> 'canary' LIMIT 1")
    yield
    assert _users(operators) == before


def test_a_disk_that_is_full_stops_it_before_anything_is_overwritten(
    verifier: Verifier, operators: Operators
) -> None:
    safety = verifier.folder / "backups" / "safety"
    safety.mkdir(exist_ok=True)
    with _written(operators):
        now = _users(operators)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(safety)], check=True, timeout=SECONDS
        )
        with undone(lambda: subprocess.run(["umount", str(safety)], check=True, timeout=SECONDS)):
            done = verifier.script("rollback/db_mysql.sh")
        _expect_clear(done.stderr, done.returncode, "No space left on device")
        assert _users(operators) == now
        (folder,) = {path.parent for path in (verifier.folder / "incidents").glob(f"*/{UNFINISHED}")}
        _go_on(verifier, folder)


def test_a_wrong_password_is_found_before_anything_is_overwritten(
    verifier: Verifier, operators: Operators, tmp_path: Path
) -> None:
    secret = tmp_path / "wrong"
    secret.write_text("not-the-operators-password")
    account = json.dumps({"user": "operator", "password": {"file": str(secret)}})
    with _written(operators):
        now = _users(operators)
        at = {"at": "keep what is there now"}
        with verifier.begun("rollback/db_mysql.sh", **at, ROLLPROOF_STORES__MYSQL__OPERATOR=account) as (
            process,
            folder,
        ):
            text, _ = process.communicate(timeout=ACTIONS_SECONDS)
        _expect_clear(text, process.returncode, "operator")
        assert "not-the-operators-password" not in text + (folder / "journal.jsonl").read_text()
        assert _users(operators) == now
        _go_on(verifier, folder)


def test_a_store_that_hangs_is_given_up_within_its_deadline(verifier: Verifier, operators: Operators) -> None:
    with _written(operators):
        with verifier.begun("rollback/db_mysql.sh", at="restore mysql", **BUDGET) as (process, folder):
            _docker("pause", "rollproof-staging-mysql-1")
            with undone(lambda: _docker("unpause", "rollproof-staging-mysql-1")):
                text, _ = process.communicate(timeout=ACTIONS_SECONDS)
        _expect_clear(text, process.returncode, "mysql")
        _go_on(verifier, folder)


@pytest.mark.parametrize("store", ["mongodb", "qdrant"])
def test_a_network_that_is_cut_in_the_middle_of_a_restore(
    verifier: Verifier, engine: ContainerEngine, store: str
) -> None:
    (container,) = engine.containers()[store]
    network = "rollproof-staging_default"
    with verifier.begun(f"rollback/db_{store}.sh", at=f"restore {store}", **BUDGET) as (process, folder):
        _docker("network", "disconnect", network, container.id)
        with undone(lambda: _docker("network", "connect", "--alias", store, network, container.id)):
            text, _ = process.communicate(timeout=ACTIONS_SECONDS)
    _expect_clear(text, process.returncode, store)
    _go_on(verifier, folder)


def test_an_engine_that_is_gone_is_found_before_anything_begins(verifier: Verifier, tmp_path: Path) -> None:
    before = set((verifier.folder / "incidents").iterdir())
    done = verifier.actions("rollback", "service", "frontend", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    _expect_clear(done.stderr, done.returncode, "docker version")
    assert set((verifier.folder / "incidents").iterdir()) == before


@contextmanager
def _engine_through(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give an address of the engine that can be cut, and what cuts it."""
    path, ended = folder / "engine.sock", threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    connections: list[socket.socket] = []

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while not ended.is_set():
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(ENGINE_SOCKET)
                connections.extend((client, server))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=forward, args=pair, daemon=True).start()

    def cut() -> None:
        ended.set()
        path.unlink(missing_ok=True)
        for connection in (listener, *connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"unix://{path}", cut
    finally:
        cut()
        accepting.join(SECONDS)


def test_an_engine_that_goes_in_the_middle(verifier: Verifier, tmp_path: Path) -> None:
    with (
        _engine_through(tmp_path) as (address, cut),
        verifier.begun("rollback/db_redis.sh", at="restore redis", DOCKER_HOST=address) as (process, folder),
    ):
        cut()
        text, _ = process.communicate(timeout=ACTIONS_SECONDS)
    _expect_clear(text, process.returncode, "docker version")
    _go_on(verifier, folder)
