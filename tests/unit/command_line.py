"""A command line of the tests' own: run in this process, on a sandbox, with a lock in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft202012Validator
from typer.core import TyperGroup

from reports.terminal.document import Document
from rollback_actions.session.session import Journal
from rollproof.cli.command_line import app, main
from rollproof.errors import ExitCode
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step
from rollproof.incident.rollback_request import RollbackKind, RollbackRequest
from rollproof.planning.unfinished import Unfinished
from rollproof.system.clock import Moment
from rollproof.system.record_files import record_of
from rollproof.verdict import Verdict
from tests.schemas import FOLDER as SCHEMAS
from tests.schemas import RECORDS
from tests.world.sandbox import SECRET, Sandbox

GROUP = typer.main.get_group(app)


def every_command(group: TyperGroup, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command of a group and of the groups in it, with its words."""
    for name, one in group.commands.items():
        if isinstance(one, TyperGroup):
            yield from every_command(one, *words, name)
        else:
            yield (*words, name), one


@dataclass(frozen=True)
class Ran:
    """Runs the command line in this process, on the sandbox's profile."""

    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: ExitCode = ExitCode.VERIFIED) -> str:
        """Return what is printed, which holds neither a secret nor a traceback."""
        return "".join(self._apart(arguments, code))

    def document(self, *arguments: str, code: ExitCode = ExitCode.VERIFIED) -> Document[Any]:
        """Return the one document that is on standard output: of `code`, and as its published schema says."""
        said, told = self._apart((*arguments, "--json"), code)
        return read_document(said, told, code)

    def found(self, *arguments: str, code: ExitCode = ExitCode.VERIFIED) -> Any:  # noqa: ANN401 - of any command
        """Return what the command found, by its document."""
        return self.document(*arguments, code=code).result

    def _apart(self, arguments: Sequence[str], code: ExitCode) -> tuple[str, str]:
        target = f"--target={self.sandbox.profile}"
        self.monkeypatch.setattr("sys.argv", ["rollproof", *arguments, target])
        ended = main()
        out, err = self.capsys.readouterr()
        assert ended is code, out + err
        assert SECRET not in out + err
        assert "Traceback" not in out + err
        return out, err


def read_document(said: str, told: str, code: ExitCode) -> Document[Any]:
    """Return the document `said`, which is of the command's `code`, and as its published schema says.

    An error in it was `told` on standard error too.
    """
    value = json.loads(said)
    name = f"output-{value['command'].replace(' ', '-')}"
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
    document: Document[Any] = record_of(RECORDS[name][0], json.loads(said.encode()))  # type: ignore[arg-type]
    assert document.exit_code is code
    assert (document.result is None) is (document.problem is not None)
    if document.problem is not None:
        # A long line is shortened as a whole for a person.
        assert document.problem.observed[:100] in told
        assert document.problem.hint[:100] in told or code is ExitCode.INTERRUPTED
    return document


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, except for those of git."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def begin(sandbox: Sandbox, *, failed: bool = False) -> Incident:
    """Leave a database rollback of redis as a kill leaves it, or a failure."""
    incident = sandbox.new_incident()
    journal = Journal(incident.folder / "journal.jsonl", str)
    request = RollbackRequest(RollbackKind.DATABASE, sandbox.commit, ("redis",))
    command = journal.write("started", step=f"rollback {request}", id=Step.ROLLBACK)
    with journal.step("stop the application"):
        pass
    restore = journal.write("started", step="restore redis", id=Step.RESTORE, of="redis")
    unfinished = Unfinished.begin(incident, request, "current")
    if failed:
        journal.write("failed", step="restore redis", began=restore, seconds=1.0, error="it is gone\nHINT: x")
        journal.write("failed", step=f"rollback {request}", began=command, seconds=2.0, error="it is gone")
        incident.write_rollback(unfinished.outcome(Verdict.FAILED, Moment.now()))
    return incident
