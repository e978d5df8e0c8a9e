"""The lint's findings as SARIF: by the schema beside this file, that of OASIS (SARIF 2.1.0, errata 01)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft4Validator

from rollproof.migrations.finding import Finding, Judgement, Linted, sarif
from rollproof.system.files import canonical_json, strict_json

SCHEMA = Path(__file__).with_name("sarif-2.1.0.schema.json")
FINDINGS = (
    Finding("migrations/1 é.sql", 7, "DROP COLUMN email", "its values are gone", Judgement.LOST),
    Finding("migrations/2.py", 0, "Python code", "only its SQL is read", Judgement.UNJUDGED),
    Finding("migrations/2.py", 3, "change of a file", "it does not run again", Judgement.NOTED),
    Finding("migrations/1 é.sql", 9, "DROP COLUMN email", "its values are gone", Judgement.LOST),
)


def _of(findings: tuple[Finding, ...]) -> Linted:
    return Linted("m" * 40, ("*.sql",), tuple(one.file for one in findings), findings)


def _valid(linted: Linted | None) -> dict[str, Any]:
    """Return the run of a file that the format's schema allows."""
    written = strict_json(canonical_json(sarif(linted, lambda text: text.replace("email", "[redacted]"))))
    Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(written)
    (run,) = written["runs"]
    found: dict[str, Any] = run
    return found


def test_each_finding_has_rule_level_and_place() -> None:
    run = _valid(_of(FINDINGS))
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    seen = []
    for one in run["results"]:
        assert rules[one["ruleIndex"]] == one["ruleId"]
        place = one["locations"][0]["physicalLocation"]
        seen.append(
            (
                one["ruleId"],
                one["level"],
                unquote(place["artifactLocation"]["uri"]),
                place["region"]["startLine"],
            )
        )
    assert seen == [
        ("cannot-be-undone", "error", "migrations/1 é.sql", 7),
        ("cannot-be-judged", "warning", "migrations/2.py", 1),
        ("noted", "note", "migrations/2.py", 3),
        ("cannot-be-undone", "error", "migrations/1 é.sql", 9),
    ]
    assert run["results"][0]["message"]["text"] == "DROP COLUMN [redacted]: its values are gone"
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_a_finding_keeps_its_fingerprint_when_lines_move() -> None:
    def prints(findings: tuple[Finding, ...]) -> list[Any]:
        return [one["partialFingerprints"] for one in _valid(_of(findings))["results"]]

    moved = tuple(replace(one, line=one.line + 5) for one in FINDINGS)
    assert prints(moved) == prints(FINDINGS)
    assert len({str(one) for one in prints(FINDINGS)}) == len(FINDINGS)
    assert prints((replace(FINDINGS[0], why="another"),)) != prints(FINDINGS[:1])


def test_a_migration_that_was_not_judged_is_no_clean_one() -> None:
    run = _valid(None)
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is False


@pytest.mark.parametrize("name", ["caf\udce9.sql", "a b#?%.sql", "\0\x1b\u202e.sql", "x" * 1_000_000])
def test_hostile_names_stay_valid(name: str) -> None:
    (one,) = _valid(_of((Finding(name, 1, name, name, Judgement.LOST),)))["results"]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].isascii()


def test_the_schema_refuses_what_is_no_sarif() -> None:
    wrong = sarif(_of(FINDINGS), str)
    wrong["runs"][0]["results"][0]["level"] = "bad"
    assert not Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).is_valid(wrong)
