"""`doctor` on the real stack: every line is ok, and each fault is seen, with what to type."""

from __future__ import annotations

import json
from collections.abc import Mapping

from reports.terminal.document import Document
from rollproof.doctor.examination import Examination, Line, NeedState
from rollproof.errors import ExitCode
from rollproof.profile.profile import PREFIX
from rollproof.system.record_files import record_of
from staging.rehearsal.staging_team import team_channel
from tests.stack.verifier import Verifier

# By the descriptor of each store: kafka has no accounts here.
RESTRICTED = ("mysql", "mongodb", "redis", "qdrant", "milvus", "minio")
# Of these, accounts tell their rights.
TELLING = ("mysql", "mongodb")
# What a checkout for tests may lack, and nothing of the target.
OUTSIDE = {"allure"}


def examined(verifier: Verifier, code: ExitCode, **variables: str) -> Mapping[str, Line]:
    """Return the lines by name; whatever is wrong, no secret is shown."""
    found = told(verifier, **variables)
    lines = {line.name: line for line in found.lines}
    red = {name: line for name, line in lines.items() if line.state is not NeedState.OK}
    assert found.code is code, red
    assert all(line.hint or line.after for line in red.values())
    return lines


def told(verifier: Verifier, *options: str, **variables: str) -> Examination:
    done = verifier.actions(
        # Nothing is said here of how fast a machine with much else to do is.
        *("doctor", "--json", *options),
        **{f"{PREFIX}{name}": value for name, value in variables.items()},
    )
    found = record_of(Document[Examination], json.loads(done.stdout)).result
    assert found is not None
    assert done.returncode == found.code, done.stderr
    for file in verifier.stack.state.secrets.iterdir():
        secret = file.read_text(encoding="utf-8").strip()
        assert len(secret) < 8 or secret not in done.stdout + done.stderr, file.name
    return found


def not_ok(lines: Mapping[str, Line]) -> dict[str, NeedState]:
    return {name: line.state for name, line in lines.items() if line.state is not NeedState.OK}


def test_a_healthy_stack_is_ok_in_every_line(verifier: Verifier) -> None:
    with team_channel(verifier.stack.slot.channel_port):
        lines = {line.name: line for line in told(verifier).lines}
    assert not {name: lines[name] for name in not_ok(lines) if name not in OUTSIDE}
    every = {f"{store} {what}" for store in RESTRICTED for what in ("reader", "read-only")}
    every |= {f"{store} operator" for store in TELLING}
    assert every <= lines.keys()


def test_accounts_that_are_not_as_they_must_be(verifier: Verifier) -> None:
    secrets = verifier.stack.state.secrets

    def account(user: str, file: str) -> str:
        return json.dumps({"user": user, "password": {"file": str(secrets / file)}})

    exchanged = {
        f"STORES__{store.upper()}__{role}": account(user, f"{store}_{user}")
        for store in TELLING
        for role, user in (("READER", "operator"), ("OPERATOR", "reader"))
    }
    # The operator's own account, and a password that is another one's.
    own = {"STORES__MINIO__READER": account("operator", "s3_operator")}
    lines = examined(
        verifier,
        ExitCode.FAILED,
        **exchanged,
        **own,
        STORES__REDIS__READER__PASSWORD__FILE=str(secrets / "mysql_reader"),
    )
    for store in TELLING:
        writes, lacks = lines[f"{store} read-only"], lines[f"{store} operator"]
        assert (writes.state, "one that may" in writes.text) == (NeedState.WRONG, True), writes
        assert (lacks.state, "one without" in lacks.text) == (NeedState.WRONG, True), lacks
        assert "the statements that init writes" in writes.hint
        assert lines[f"{store} reader"].state is NeedState.OK, lines[f"{store} reader"]
    assert lines["minio read-only"].state is NeedState.WRONG
    assert lines["redis reader"].state is NeedState.WRONG


def test_verify_only_asks_for_no_secret_of_an_operator(verifier: Verifier) -> None:
    def gone(role: str, store: str) -> dict[str, str]:
        return {f"STORES__{store.upper()}__{role}__PASSWORD__FILE": "/nowhere"}

    found = told(verifier, "--verify-only", **gone("OPERATOR", "mysql"), **gone("OPERATOR", "mongodb"))
    lines = {line.name: line for line in found.lines}
    assert {f"{store} reader" for store in RESTRICTED} <= lines.keys()
    assert set(not_ok(lines)) <= OUTSIDE
    found = told(verifier, "--verify-only", **gone("READER", "mysql"))
    lines = {line.name: line for line in found.lines}
    assert "expected a readable secret file" in lines["mysql reader"].text
    assert set(not_ok(lines)) - OUTSIDE == {"mysql reader"}
