"""The data faults: enough of them, in every store, each with a check that exists."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from rollproof.errors import UsageProblem
from staging.faults.fault import Fault
from staging.faults.fault_catalogue import FAULTS, NOT_MADE, chosen
from staging.faults.fault_round import Round
from staging.faults.fault_trial import Outcome, Trial
from tests.conftest import ROOT

CHECKS = ROOT / "checks" / "verification" / "test_phase4_data_integrity.py"
STAGING = ROOT / "targets" / "staging.toml"
FEWEST = 45


@pytest.fixture
def stores() -> set[str]:
    """The names of the stores of the staging stack, as its profile has them."""
    found = re.findall(r"^\[stores\.(\w+)\]$", STAGING.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 7
    return set(found)


@pytest.fixture
def relations() -> set[str]:
    """The names of the references between stores."""
    return set(re.findall(r"^\[references\.(\w+)\]$", STAGING.read_text(encoding="utf-8"), re.MULTILINE))


def test_there_are_enough_in_every_store(stores: set[str]) -> None:
    assert len(FAULTS) >= FEWEST
    counts = Counter(fault.store for fault in FAULTS)
    assert counts.keys() == stores
    assert min(counts.values()) >= 5
    assert NOT_MADE.keys() <= stores


def test_each_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        assert fault.name.startswith(f"{fault.store}-"), fault.name
        assert len(fault.what.split()) >= 3, fault.name


def test_each_names_a_check_that_exists_with_a_case_of_its_store(relations: set[str]) -> None:
    tree = ast.parse(CHECKS.read_text(encoding="utf-8"))
    checks = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    used = set()
    for fault in FAULTS:
        match = re.fullmatch(r"(test_\w+)\[(.+)\]", fault.caught_by)
        assert match, fault.name
        check, case = match.groups()
        used.add(check)
        assert check in checks, fault.name
        if check == "test_references":
            assert case in relations, fault.name
        else:
            assert case.partition("/")[0] == fault.store, fault.name
    # Of all checks, these alone are about the baseline, and about accounts; others are no checks.
    of_others = {
        "test_store_was_compared",
        "test_account_sees_as_much_as_at_the_capture",
        "test_accounts_and_settings",
    }
    assert used == {name for name in checks if name.startswith("test_")} - of_others


def test_every_reference_between_stores_is_broken_by_one(relations: set[str]) -> None:
    broken = {f.caught_by for f in FAULTS if f.caught_by.startswith("test_references")}
    assert broken == {f"test_references[{name}]" for name in relations}


def test_faults_are_chosen_by_name_and_by_pattern() -> None:
    assert chosen([]) == list(FAULTS)
    assert [fault.name for fault in chosen(["redis-key-lost"])] == ["redis-key-lost"]
    assert chosen(["kafka-*"]) == [fault for fault in FAULTS if fault.store == "kafka"]
    with pytest.raises(UsageProblem, match="mysql-nothing"):
        chosen(["mysql-*", "mysql-nothing"])


CLEAN = Outcome(checks=3, red={}, seconds=1.0)
ALARM = Outcome(checks=3, red={"test_a": "failed: x"}, seconds=1.0)


def _trial(reason: str) -> Trial:
    fault: Fault = FAULTS[0]
    return Trial(fault, reason, also=(), seconds=1.0)


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        (Round(1.0, [CLEAN], [_trial("failed: x")], [CLEAN], finished=True), True),
        (Round(1.0, [CLEAN], [_trial("failed: x")], [CLEAN], finished=False), False),
        (Round(1.0, [CLEAN], [_trial("failed: x"), _trial("")], [CLEAN], finished=True), False),
        (Round(1.0, [ALARM], [_trial("failed: x")], [CLEAN], finished=True), False),
        (Round(1.0, [CLEAN], [_trial("failed: x")], [ALARM], finished=True), False),
        (Round(1.0, [CLEAN], [], [CLEAN], finished=True), False),
    ],
    ids=["all well", "not finished", "one missed", "an alarm before", "an alarm after", "no fault"],
)
def test_a_round_passes_only_when_all_were_caught_and_nothing_else_was_red(
    found: Round, *, passed: bool
) -> None:
    assert found.passed is passed
    record = found.record()
    assert record["passed"] is passed
    assert len(record["faults"]) == len(found.trials)
    assert len(record["missed"]) == sum(not trial.caught for trial in found.trials)
