"""Allure results of a run: in the incident, labelled, one a check."""

from __future__ import annotations

import json
from typing import Any

from tests.plugin_sandbox import Here

CHECKS = """
import allure
from rollproof.errors import Meaning, Mismatch
from rollproof.stores.contract import Untold
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
        raise Untold(**ERROR)


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
    sandbox.checks(test_checks=CHECKS)
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
