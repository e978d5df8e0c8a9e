"""Faults around a rollback on the real stack: a clear error in time, nothing lost, and a way on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.record_names import UNFINISHED
from staging.target.operators import Operators, undone
from tests.stack.scratch_project import pause
from tests.stack.verifier import ACTIONS_SECONDS, Verifier

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]
SECONDS = 60
# Of a rollback that hangs: a step has what is left of this.
BUDGET = {"ROLLPROOF_ROLLBACK_SECONDS": "200"}
WRONG_PASSWORD = "not-the-operators-password"  # noqa: S105 - nobody's


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
        assert word in text.lower(), text


def _go_on(verifier: Verifier, folder: Path) -> None:
    """Resume the rollback of `folder`, and see that it ends well, and that all is accounted for."""
    done = verifier.actions("rollback", "resume", "--take-over")
    assert done.returncode == ExitCode.VERIFIED, done.stdout + done.stderr
    assert f"incident: {folder}" in done.stdout
    assert not (folder / UNFINISHED).exists()
    assert json.loads((folder / "rollback.json").read_text())["records"]["unaccounted"] == 0


@contextmanager
def _written(operators: Operators) -> Iterator[None]:
    """A row of MySQL is another one than at the backup: to be kept, and the old one put back."""
    before = _users(operators)
    operators.sql("UPDATE users SET email = 'since@example.org' WHERE username <> 'canary' LIMIT 1")
    yield
    assert _users(operators) == before


@pytest.mark.long(minutes=2)
def test_a_rollback_that_fails_again_and_again_loses_nothing_and_ends_well(
    verifier: Verifier, operators: Operators, tmp_path: Path
) -> None:
    """A full disk, a wrong password, a store that hangs: each is said, and each leaves a way on."""
    with _written(operators):
        now = _users(operators)
        done = _with_a_full_disk(verifier)
        _expect_clear(done.stderr, done.returncode, "no space left on device")
        assert _users(operators) == now
        (folder,) = {path.parent for path in (verifier.folder / "incidents").glob(f"*/{UNFINISHED}")}

        wrong = _with_a_wrong_password(verifier, tmp_path)
        _expect_clear(wrong.stdout + wrong.stderr, wrong.returncode, "operator")
        assert WRONG_PASSWORD not in wrong.stdout + wrong.stderr + (folder / "journal.jsonl").read_text()
        assert _users(operators) == now

        with verifier.resumed(at="restore mysql", **BUDGET) as (process, resumed):
            pause(f"{verifier.stack.project}-mysql-1")
            with undone(lambda: _docker("unpause", f"{verifier.stack.project}-mysql-1")):
                text, _ = process.communicate(timeout=ACTIONS_SECONDS)
        assert resumed == folder
        _expect_clear(text, process.returncode, "mysql")
        _go_on(verifier, folder)


def _with_a_full_disk(verifier: Verifier) -> subprocess.CompletedProcess[str]:
    """Roll MySQL back while there is no room for its safety copy."""
    safety = verifier.folder / "backups" / "safety"
    safety.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(safety)], check=True, timeout=SECONDS
    )
    with undone(lambda: subprocess.run(["umount", str(safety)], check=True, timeout=SECONDS)):
        return verifier.script("rollback/db_mysql.sh")


def _with_a_wrong_password(verifier: Verifier, folder: Path) -> subprocess.CompletedProcess[str]:
    """Resume while the operator's password of MySQL is another one."""
    secret = folder / "wrong"
    secret.write_text(WRONG_PASSWORD)
    account = json.dumps({"user": "operator", "password": {"file": str(secret)}})
    return verifier.actions("rollback", "resume", ROLLPROOF_STORES__MYSQL__OPERATOR=account)
