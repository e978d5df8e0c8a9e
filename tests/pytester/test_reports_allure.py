"""Allure results of a run: in the incident, labelled, one a check whatever happened, and rendered."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.html.html import render

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent.parent

CONFTEST = """
from pathlib import Path

import pytest
from pydantic import BaseModel

from rollproof.system.clock import Moment
from rollproof.incident.incident import find_or_create_incident
from rollproof.profile.premigration import Premigration
from rollproof.incident.ledger import Planned, Run, runs
from rollproof.redaction.personal import Personal
from rollproof.profile.functions import Functions
from rollproof.profile.profile import Signing, Windows
from fixtures.gating.verification import VERIFICATION, Verification

pytest_plugins = [
    "fixtures.gating.evidence", "reports.run.scrubbing", "reports.allure.results",
    "reports.run.record",
]
PHASES = ("phase1", "phase2")


class Canary(BaseModel):
    upload: None = None


class Application(BaseModel):
    canary: Canary = Canary()
    way_in: None = None
    functions: Functions = Functions()
    verifiable: frozenset[str] = frozenset()

class Profile(BaseModel):
    windows: Windows = Windows()
    name: str = "canary"
    baseline_key: None = None
    premigration: Premigration = Premigration()
    stores: dict[str, object] = {}
    signing: Signing = Signing()
    application: Application = Application()

    @property
    def personal(self):
        return Personal(["email"], self.secrets())

    def secrets(self):
        return frozenset()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    import sys

    sys.modules["reports.run.record"].installed_allure = lambda: None
    for phase in PHASES:
        config.addinivalue_line("markers", f"{phase}: a phase")
    incident = find_or_create_incident(Path("incidents").absolute(), "canary", "one")
    worker = hasattr(config, "workerinput")
    run = runs(incident.folder)[-1] if worker else Run.begin(incident.folder, incident.started, gated=True)
    config.stash[VERIFICATION] = Verification(
        profile=Path("canary.toml"),
        target=Profile(),
        incident=incident,
        run=run,
        zero=incident.started,
        started=incident.started,
        gated=True,
        baseline=Path("baseline"),
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    checks = {p: tuple(i.nodeid for i in items if i.get_closest_marker(p)) for p in PHASES}
    plan = {phase: Planned(checks=planned) for phase, planned in checks.items() if planned}
    config.stash[VERIFICATION].run.write_plan(plan)
"""
CHECKS = """
import os
from pathlib import Path

import allure
import pytest

from rollproof.errors import Meaning, Mismatch
from rollproof.stores.contract import Untold
from rollproof.collection import Case
from rollproof.system.steps import step

ERROR = {"what": "kafka", "expected": "an answer", "observed": "none", "source": "here", "hint": "look"}


@pytest.fixture
def tidy():
    yield


@pytest.mark.phase1
@pytest.mark.parametrize("container", ["mysql", "redis"])
def test_running(container, evidence, expect, note, tidy):
    '''Every service has a container
    that *runs*.'''
    with step("container engine: containers"):
        expect(container, what="container", expected="running", observed=f"running as {container}",
               source="engine", hint="look")
    note("seen once")
    evidence("state", f'{{"container": "{container}"}}', "application/json")


@allure.severity("minor")
@pytest.mark.phase2
@pytest.mark.parametrize("collection", [Case("mysql", "users"), "kafka"], ids=["mysql/users", "kafka"])
def test_answers(collection):
    if Path("die").exists():
        os._exit(9)
    if collection == "kafka" and not Path("mended").exists():
        raise Untold(**ERROR)  # of a module that lies deeper


class OfAnOperator(Mismatch):
    pass


@pytest.mark.phase2
def test_health():
    if not Path("mended").exists():
        raise OfAnOperator(**ERROR, means=Meaning.SERVICE_DOWN)


@pytest.mark.phase2
def test_blocked():
    pytest.skip("blocked: phase1 did not pass")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nstrict = true\nfilterwarnings = error\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_checks=CHECKS)
    return pytester


def results(project: pytest.Pytester) -> list[dict[str, Any]]:
    """Return the results of all runs, oldest first."""
    folder = project.path / "incidents" / "one" / "allure-results"
    loaded = [json.loads(path.read_text()) for path in folder.glob("*-result.json")]
    return sorted(loaded, key=lambda result: int(result["start"]))


def labels(result: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in result["labels"]}


@pytest.mark.parametrize("distribution", [[], ["-n2"]], ids=["alone", "xdist"])
def test_every_check_has_a_labelled_result(project: pytest.Pytester, distribution: list[str]) -> None:
    project.runpytest_subprocess(*distribution).assert_outcomes(passed=3, failed=2, skipped=1)

    found = {result["name"]: result for result in results(project)}
    assert {name: result["status"] for name, result in found.items()} == {
        "Running: mysql": "passed",
        "Running: redis": "passed",
        "Answers: mysql/users": "passed",
        "Answers: kafka": "broken",
        "Health": "failed",
        "Blocked": "skipped",
    }
    running, answers = labels(found["Running: mysql"]), labels(found["Answers: mysql/users"])
    assert (running["epic"], running["feature"], running["story"]) == (
        "one",
        "Phase 1: Infrastructure",
        "mysql",
    )
    assert running["severity"] == "blocker"
    assert running["nodeId"] == "test_checks.py::test_running[mysql]"
    assert (answers["feature"], answers["story"]) == ("Phase 2: Connectivity", "mysql")
    assert answers["severity"] == "minor"
    assert "story" not in labels(found["Health"])
    means = {name: labels(result).get("means") for name, result in found.items()}
    assert {name: code for name, code in means.items() if code} == {
        "Answers: kafka": "other",
        "Blocked": "other",
        "Health": "service-down",
    }
    assert found["Health"]["statusDetails"]["trace"].endswith("\n[means:service-down]")
    assert found["Health"]["statusDetails"]["message"] == (
        "kafka: expected an answer, observed none (from here)\nHINT: look"
    )
    assert found["Answers: kafka"]["statusDetails"]["message"].startswith("kafka: expected an answer")
    (attachment,) = found["Running: redis"]["attachments"]
    folder = project.path / "incidents" / "one" / "allure-results"
    assert (attachment["name"], attachment["type"]) == ("state", "application/json")
    assert (folder / attachment["source"]).read_text() == '{"container": "redis"}'
    containers = [json.loads(path.read_text()) for path in folder.glob("*-container.json")]
    names = {before["name"] for c in containers for before in c.get("befores", [])}
    assert "tidy" in names
    assert not {"evidence", "expect", "note"} & names
    assert all("stop" in after for container in containers for after in container.get("afters", []))
    properties = (folder / "environment.properties").read_text()
    assert "Incident=one\nTarget=canary\n" in properties
    assert "\nProfile=canary.toml\n" in properties


def test_a_result_says_what_was_verified_expected_and_observed(project: pytest.Pytester) -> None:
    project.runpytest_subprocess()

    found = {result["name"]: result for result in results(project)}
    assert found["Running: mysql"]["description"] == (
        "**Verified:** Every service has a container that \\*runs\\*.\n\n"
        "| expected | observed |\n|---|---|\n| running | running as mysql |\n\n"
        "**Noted:** seen once"
    )
    (asked,) = found["Running: mysql"]["steps"]
    assert (asked["name"], asked["status"]) == ("container engine: containers", "passed")
    assert found["Running: mysql"]["start"] <= asked["start"] <= asked["stop"]
    # Also where nobody said it but the error.
    assert "| an answer | none |" in found["Health"]["description"]


def test_a_lost_check_is_broken_and_known_again_when_it_runs(project: pytest.Pytester) -> None:
    (project.path / "die").touch()
    lost = project.runpytest_subprocess("-n1", "--max-worker-restart=0")
    (project.path / "die").unlink()
    found = {labels(result)["nodeId"]: result for result in results(project)}
    (project.path / "mended").touch()
    project.runpytest_subprocess().assert_outcomes(passed=5, skipped=1)

    assert lost.ret != pytest.ExitCode.OK
    assert len(found) == 6
    died = found["test_checks.py::test_answers[mysql/users]"]
    assert died["status"] == "broken"
    assert died["statusDetails"]["message"] == "no result: the check was planned and never reported"
    assert labels(died)["feature"] == "Phase 2: Connectivity"
    identities = Counter((labels(r)["nodeId"], r["testCaseId"], r["historyId"]) for r in results(project))
    assert set(identities.values()) == {2}
    assert all(p["excluded"] for result in results(project) for p in result.get("parameters", []))


def test_without_allure_the_verdict_is_written_all_the_same(project: pytest.Pytester) -> None:
    project.makepyfile(test_checks=CHECKS.replace('@allure.severity("minor")', ""))

    result = project.runpytest_subprocess("-p", "no:allure_pytest", "-k", "health or blocked")

    result.assert_outcomes(failed=1, skipped=1)
    assert results(project) == []
    assert (project.path / "incidents" / "one" / "verdict.json").exists()


def test_the_report_holds_the_latest_result_of_each_check(project: pytest.Pytester) -> None:
    incident = project.path / "incidents" / "one"
    project.runpytest_subprocess("-k", "running or health")
    (project.path / "mended").touch()
    project.runpytest_subprocess("-k", "health or answers")
    before = set(incident.iterdir())

    report = render(incident)

    page = report.read_text()
    assert report == incident / "report.html"
    assert set(incident.iterdir()) - before == {report}
    assert len(page) < 10_000_000
    assert "<title> Rollproof \N{EN DASH} canary \N{EN DASH} incident one </title>" in page
    assert "Content-Security-Policy" in page
    assert "googletagmanager" not in page
    assert "postmortem.md" in json.dumps(_widget(page, "globals.json"))
    assert _widget(page, "statistic.json") == {"total": 5, "passed": 5, "retries": 1}
    tree = _widget(page, "tree.json")
    groups = [tree["groupsById"][group]["name"] for group in tree["root"]["groups"]]
    assert sorted(groups) == ["Phase 1: Infrastructure", "Phase 2: Connectivity"]


def _widget(page: str, name: str) -> dict[str, Any]:
    found = re.search(rf'd\("widgets/{re.escape(name)}","([^"]*)"\)', page)
    assert found is not None, name
    loaded: dict[str, Any] = json.loads(base64.b64decode(found[1]))
    return loaded
