"""What a run leaves for a CI service, for Allure, and for a person at a terminal of 80 columns."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from rollproof.errors import ExitCode
from tests.plugin_sandbox import Here

CHECKS = {
    "test_a": "@pytest.mark.phase1\ndef test_fine(): pass\n"
    "@pytest.mark.phase1\ndef test_wrong(): assert False, 'rows: expected 5,\\nobserved 100%'\n"
    "@pytest.fixture\ndef store(): raise Unverifiable(\n"
    "    what='store', expected='an answer', observed='none', source='x', hint='start it')\n"
    "@pytest.mark.phase1\ndef test_store(store): pass\n"
    "@pytest.fixture\ndef canary():\n    yield\n    raise Unverifiable(\n"
    "        what='sweep', expected='none left', observed='1 token', source='x', hint='remove it')\n"
    "@pytest.mark.phase1\ndef test_canary(canary): pass",
    "test_b": "@pytest.mark.phase2\ndef test_two(): pass",
}


@pytest.fixture
def project(sandbox: Here) -> Here:
    """A project that makes the whole record."""
    (sandbox.folder / "conftest.py").write_text(
        'pytest_plugins = ["fixtures.gating.windows", "fixtures.gating.phases",'
        ' "fixtures.gating.recorder",'
        ' "reports.run.scrubbing", "reports.run.junit", "reports.run.record"]\n',
        encoding="utf-8",
    )
    return sandbox


def test_every_kind_of_end_is_in_junit(project: Here) -> None:
    project.checks(**CHECKS)
    file = project.folder / "junit.xml"
    outcome = project.run(f"--junitxml={file}")
    assert outcome.code == ExitCode.FAILED
    cases = {case.attrib["name"]: case for case in ET.parse(file).getroot().iter("testcase")}  # noqa: S314 - our own
    assert set(cases) == {"test_fine", "test_wrong", "test_store", "test_canary", "test_two"}
    ends = {name: {child.tag for child in case} - {"properties"} for name, case in cases.items()}
    assert ends == {
        "test_fine": set(),
        "test_wrong": {"failure"},
        "test_store": {"error"},
        "test_canary": {"error"},
        "test_two": {"error"},
    }
    blocked = cases["test_two"].find("error")
    assert blocked is not None
    assert blocked.attrib["type"] == "blocked"
    assert "blocked: phase1 did not pass: checks/test_a.py::test_wrong failed" in blocked.attrib["message"]
    (suite,) = ET.parse(file).getroot().iter("testsuite")  # noqa: S314 - our own
    assert {name: suite.attrib[name] for name in ("errors", "failures", "skipped")} == {
        "errors": "3",
        "failures": "1",
        "skipped": "0",
    }
    assert outcome.incident is not None
    assert _properties(suite) == {
        "incident": outcome.incident.name,
        "verdict": "failed",
        "record": str(outcome.incident.resolve()),
    }
    assert {name: _properties(case) for name, case in cases.items()} == {
        "test_fine": {"phase": "phase1", "verdict": "passed"},
        "test_wrong": {"phase": "phase1", "verdict": "failed"},
        "test_store": {"phase": "phase1", "verdict": "broken"},
        "test_canary": {"phase": "phase1", "verdict": "broken"},
        "test_two": {"phase": "phase2", "verdict": "blocked"},
    }


def test_without_allure_the_report_is_its_first_screen(project: Here) -> None:
    project.checks(**CHECKS)
    outcome = project.run()
    assert "report.html has its first screen alone; for a page of each check, " in outcome.text
    assert outcome.incident is not None
    page = (outcome.incident / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    assert "what is below" not in page
    assert "For a page of each check with its evidence: rollproof report " in page


def _properties(of: ET.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in of.findall("properties/property")}


COLUMNS = 80


@pytest.fixture
def terminal(sandbox: Here, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A project that makes the whole record, at a terminal of 80 columns."""
    names = ("scrubbing", "record")
    sandbox.plugins("fixtures.gating.evidence", then=[f"reports.run.{name}" for name in names])
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    return sandbox


@pytest.mark.parametrize("options", [[], ["-qq", "--no-summary"]])
@pytest.mark.parametrize("red", [False, True])
def test_the_verdict_is_the_last_line(terminal: Here, options: list[str], red: bool) -> None:  # noqa: FBT001 - a case
    terminal.checks(test_a=f"@pytest.mark.phase1\ndef test_x(): assert not {red}")
    outcome = terminal.run(*options)
    assert outcome.text.splitlines()[-1].startswith("FAILED: " if red else "PASSED: ")


LABELLED = """
import allure
from rollproof.errors import Meaning, Mismatch
from rollproof.stores.contract import Withheld
from rollproof.collection import Case

ERROR = {"what": "kafka", "expected": "an answer", "observed": "none", "source": "here", "hint": "look"}


@pytest.mark.phase1
@pytest.mark.parametrize("container", ["mysql", "redis"])
def test_running(container, evidence):
    evidence("state", f'{{"container": "{container}"}}', "application/json")


@allure.severity("minor")
@pytest.mark.phase1
@pytest.mark.parametrize("collection", [Case("mysql", "users"), "kafka"], ids=["mysql/users", "kafka"])
def test_answers(collection):
    if collection == "kafka":
        raise Withheld(**ERROR)


class OfAnOperator(Mismatch):
    pass


@pytest.mark.phase1
def test_health():
    raise OfAnOperator(**ERROR, means=Meaning.SERVICE_DOWN)
"""


def labels(result: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in result["labels"]}


def test_every_check_has_a_labelled_result(sandbox: Here) -> None:
    sandbox.recorded(then=["fixtures.gating.evidence"])
    sandbox.checks(test_checks=LABELLED)
    incident = sandbox.run("-m", "phase1").incident
    assert incident is not None
    folder = incident / "allure-results"
    found = {
        one["name"]: one for one in (json.loads(path.read_text()) for path in folder.glob("*-result.json"))
    }
    assert {name: (result["status"], labels(result).get("means", "")) for name, result in found.items()} == {
        "Running: mysql": ("passed", ""),
        "Running: redis": ("passed", ""),
        "Answers: mysql/users": ("passed", ""),
        "Answers: kafka": ("broken", "other"),
        "Health": ("failed", "service-down"),
    }
    of_running, of_answers = labels(found["Running: mysql"]), labels(found["Answers: mysql/users"])
    place = {"epic": incident.name, "feature": "Phase 1: Infrastructure", "story": "mysql"}
    assert (
        of_running.items()
        >= {
            **place,
            "severity": "blocker",
            "nodeId": "checks/test_checks.py::test_running[mysql]",
        }.items()
    )
    assert of_answers.items() >= {**place, "severity": "minor"}.items()
    assert found["Health"]["statusDetails"]["message"] == (
        "kafka: expected an answer, observed none (from here)\nHINT: look"
    )
    (attachment,) = found["Running: redis"]["attachments"]
    assert (attachment["name"], attachment["type"]) == ("state", "application/json")
    assert (folder / attachment["source"]).read_text() == '{"container": "redis"}'
