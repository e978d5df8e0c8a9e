"""The record of an incident made again: also of a run that was killed, the same each time, and honest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reports.run import record as run_record
from reports.run import renewal
from rollproof.cli.command_line import app
from rollproof.errors import ExitCode, Problem, code_of
from rollproof.incident.incident import find_or_create_change
from rollproof.incident.ledger import Planned, Run
from rollproof.runbook import STEPS
from tests.unit.command_line import tree
from tests.unit.made_incident import MadeIncident


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were rendered: pictures and Allure itself are tried elsewhere."""
    folders: list[Path] = []

    def render(folder: Path, *_: object, **__: object) -> Path:
        folders.append(folder)
        return folder

    monkeypatch.setattr(run_record, "draw_timeline", lambda *_: [])
    monkeypatch.setattr(renewal, "render", render)
    return folders


def report(*arguments: object, code: ExitCode = ExitCode.VERIFIED) -> str:
    ended = CliRunner().invoke(app, ["report", *map(str, arguments)])
    if isinstance(ended.exception, Problem):
        assert code_of(ended.exception) == code
        return str(ended.exception)
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output
    return ended.output


def test_a_killed_run_is_reported_and_twice_the_same(made: MadeIncident, rendered: list[Path]) -> None:
    made.cut_off()
    made.check(reported=3)
    lines = made.folder / "ledger" / "0001" / "results.jsonl"
    lines.write_bytes(lines.read_bytes() + b'{"check": "checks/ph')

    said = report("one", "--incidents", made.folder.parent)
    first = tree(made.folder)
    report(made.folder)

    assert said.splitlines()[-1].startswith("BROKEN: ")
    assert "not trusted  ledger/0001/results.jsonl: its last line is torn" in said
    assert rendered == [made.folder.resolve()] * 2
    assert json.loads(first["verdict.json"])["verdict"] == "broken"
    assert b"the check was planned and never reported" in first["postmortem.md"]
    found = [json.loads(path.read_text()) for path in made.folder.glob("allure-results/*-result.json")]
    assert sorted(result["status"] for result in found) == ["broken"] * 5 + ["passed"] * 3
    lost = next(result for result in found if result["status"] == "broken")
    assert lost["statusDetails"]["message"] == "no result: the check was planned and never reported"
    assert tree(made.folder) == first


@pytest.mark.usefixtures("rendered")
def test_the_gates_page_of_a_killed_run_is_made_and_promotes_nothing(made: MadeIncident) -> None:
    change = find_or_create_change(made.target.folders.incidents, made.target.name, "d" * 40)
    check = "checks/premigration/test_step1.py::test_a"
    run = Run.begin(change.folder, made.clock.now(), gated=True)
    run.write_plan({step: Planned((check,)) if step == STEPS[0] else Planned(()) for step in STEPS})

    report(change.folder)

    page = change.folder / "gate.md"
    assert "Do not promote" in page.read_text()
    assert "it was planned, and never reported" in page.read_text()
    page.write_text("# Promote, says somebody")
    report(change.folder)
    assert "Do not promote" in page.read_text()
    (run.folder / "results.jsonl").write_text("{}\n")
    report(change.folder)
    assert "Do not promote" in page.read_text()
    assert "The record of the run cannot be read" in page.read_text()


def test_a_target_whose_name_leads_elsewhere_is_a_problem(tmp_path: Path) -> None:
    """It becomes a part of the name of a file next to the folder."""
    started = '{"wall": "2026-01-01T00:00:00+00:00", "since_boot": 1.0, "boot": "b"}'
    (tmp_path / "incident.json").write_text(f'{{"target": "../../elsewhere", "started": {started}}}')
    assert "incident: expected a readable incident.json" in report(tmp_path, code=ExitCode.USAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["incident.json"]


@pytest.mark.usefixtures("rendered")
def test_what_looks_like_a_secret_in_the_record_is_an_error(made: MadeIncident) -> None:
    made.check(reported=8)
    report(made.folder)
    (made.folder / "allure-results" / "0-attachment.txt").write_text(
        "mongodb://reader:Zx81-hunter@mongo:27017/db\n"
    )

    said = report(made.folder, code=ExitCode.FAILED)

    assert "secret in the record: expected none, observed one (password)" in said
    assert "0-attachment.txt" in said
    assert "hunter" not in said
