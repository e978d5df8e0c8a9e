"""Rounds of trials: which are chosen, and when a round passes; and that the data faults name real checks."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from staging.faults.catalogue import FAULTS
from staging.rounds import Result, Round, chosen
from tests.conftest import ROOT

CHECKS = ROOT / "checks" / "verification" / "test_phase4_data_integrity.py"
PROFILE = (ROOT / "targets" / "staging.toml").read_text(encoding="utf-8")
RIGHT, WRONG = Result("a", "as before", "", 1.0), Result("b", "", "NOT CAUGHT", 1.0)


@pytest.mark.parametrize(
    ("results", "finished", "passed"),
    [
        ([RIGHT], True, True),
        ([RIGHT], False, False),
        ([RIGHT, WRONG], True, False),
        ([], True, False),
    ],
)
def test_a_round_passes_only_finished_with_every_result_right(
    tmp_path: Path, results: list[Result], *, finished: bool, passed: bool
) -> None:
    found = Round("a round", tmp_path / "round.json")
    for result in results:
        found.add(result)
    if finished:
        found.finish()
    assert found.passed is passed
    if results:
        record = json.loads(found.record.read_text())
        assert (record["passed"], record["finished"], len(record["results"])) == (
            passed,
            finished,
            len(results),
        )


def test_trials_are_chosen_by_name_and_by_pattern() -> None:
    assert chosen(FAULTS, []) == list(FAULTS)
    assert [fault.name for fault in chosen(FAULTS, ["redis-key-lost"])] == ["redis-key-lost"]
    assert chosen(FAULTS, ["kafka-*"]) == [fault for fault in FAULTS if fault.store == "kafka"]
    with pytest.raises(UsageProblem, match="mysql-nothing"):
        chosen(FAULTS, ["mysql-*", "mysql-nothing"])


def test_every_check_of_data_has_faults_in_every_store_and_relation() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 100
    stores = set(re.findall(r"^\[stores\.(\w+)\]$", PROFILE, re.MULTILINE))
    relations = set(re.findall(r"^\[references\.(\w+)\]$", PROFILE, re.MULTILINE))
    assert Counter(fault.store for fault in FAULTS).keys() == stores
    assert {fault.case for fault in FAULTS if fault.kind == "references"} == relations
    tree = ast.parse(CHECKS.read_text(encoding="utf-8"))
    checks = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    # These alone are about the baseline, and about accounts; others are no checks.
    of_others = {
        "test_store_was_compared",
        "test_account_sees_as_much_as_at_the_capture",
        "test_accounts_and_settings",
    }
    used = {fault.caught_by.partition("[")[0] for fault in FAULTS}
    assert used == {name for name in checks if name.startswith("test_")} - of_others
