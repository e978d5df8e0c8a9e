"""Allure results of a run: in the incident, labelled, one a check."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin_sandbox import Here

CHECKS = """
from pathlib import Path

import allure

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
@pytest.mark.phase1
@pytest.mark.parametrize("collection", [Case("mysql", "users"), "kafka"], ids=["mysql/users", "kafka"])
def test_answers(collection):
    if collection == "kafka" and not Path("mended").exists():
        raise Untold(**ERROR)  # of a module that lies deeper


class OfAnOperator(Mismatch):
    pass


@pytest.mark.phase1
def test_health():
    if not Path("mended").exists():
        raise OfAnOperator(**ERROR, means=Meaning.SERVICE_DOWN)


@pytest.mark.phase2
def test_blocked():
    raise AssertionError
"""


@pytest.fixture
def project(sandbox: Here) -> Here:
    sandbox.recorded(then=["fixtures.gating.evidence"])
    sandbox.checks(test_checks=CHECKS)
    return sandbox


def results(project: Here) -> list[dict[str, Any]]:
    """Return the results of all runs, oldest first."""
    folder = project.folder / "incidents"
    loaded = [json.loads(path.read_text()) for path in folder.glob("*/allure-results/*-result.json")]
    return sorted(loaded, key=lambda result: int(result["start"]))


def labels(result: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in result["labels"]}


def test_every_check_has_a_labelled_result(project: Here) -> None:
    incident = project.run("-m", "phase1").incident
    assert incident is not None

    found = {result["name"]: result for result in results(project)}
    assert {name: result["status"] for name, result in found.items()} == {
        "Running: mysql": "passed",
        "Running: redis": "passed",
        "Answers: mysql/users": "passed",
        "Answers: kafka": "broken",
        "Health": "failed",
    }
    running, answers = labels(found["Running: mysql"]), labels(found["Answers: mysql/users"])
    assert (running["epic"], running["feature"], running["story"]) == (
        incident.name,
        "Phase 1: Infrastructure",
        "mysql",
    )
    assert running["severity"] == "blocker"
    assert running["nodeId"] == "checks/test_checks.py::test_running[mysql]"
    assert (answers["feature"], answers["story"]) == ("Phase 1: Infrastructure", "mysql")
    assert answers["severity"] == "minor"
    assert "story" not in labels(found["Health"])
    means = {name: labels(result).get("means") for name, result in found.items()}
    assert {name: code for name, code in means.items() if code} == {
        "Answers: kafka": "other",
        "Health": "service-down",
    }
    assert found["Health"]["statusDetails"]["trace"].endswith("\n[means:service-down]")
    assert found["Health"]["statusDetails"]["message"] == (
        "kafka: expected an answer, observed none (from here)\nHINT: look"
    )
    assert found["Answers: kafka"]["statusDetails"]["message"].startswith("kafka: expected an answer")
    (attachment,) = found["Running: redis"]["attachments"]
    folder = incident / "allure-results"
    assert (attachment["name"], attachment["type"]) == ("state", "application/json")
    assert (folder / attachment["source"]).read_text() == '{"container": "redis"}'
    containers = [json.loads(path.read_text()) for path in folder.glob("*-container.json")]
    names = {before["name"] for c in containers for before in c.get("befores", [])}
    assert "tidy" in names
    assert not {"evidence", "expect", "note"} & names
    assert all("stop" in after for container in containers for after in container.get("afters", []))
    properties = (folder / "environment.properties").read_text()
    assert f"Incident={incident.name}\nTarget=sandbox\n" in properties
    assert "\nProfile=profile.toml\n" in properties
