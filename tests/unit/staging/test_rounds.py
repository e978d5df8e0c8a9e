"""Rounds of trials: which are chosen, and when a round passes; and that data faults leave no store out."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from staging.rounds import Result, Round, chosen
from tests.conftest import ROOT
from tests.stack.fault_round import FAULTS, REFERENCES
from tests.stack.stores.registry import SUBJECTS

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
    assert [fault.name for fault in chosen(FAULTS, ["redis-lost"])] == ["redis-lost"]
    assert chosen(FAULTS, ["kafka-*"]) == [fault for fault in FAULTS if fault.subject == "kafka"]
    with pytest.raises(UsageProblem, match="mysql-nothing"):
        chosen(FAULTS, ["mysql-*", "mysql-nothing"])


def test_every_store_and_every_reference_of_the_profile_has_faults() -> None:
    profile = tomllib.loads(PROFILE)
    subjects = SUBJECTS.keys() & {fault.subject for fault in FAULTS}
    # PostgreSQL is no store of the profile: its faults are of a server of their own.
    assert {SUBJECTS[name].store for name in subjects} - {"postgresql"} == profile["stores"].keys()
    references = profile["references"]
    both_ways = {f"{name}-complete" for name, reference in references.items() if reference.get("complete")}
    assert REFERENCES.keys() == references.keys() | both_ways
