"""Trials: what is wrong after a kill, which trials are chosen, and when a round of them passes."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollproof.errors import UsageProblem
from rollproof.verdict import Verdict
from staging.kills.kill import Fall
from staging.kills.outcome import Expected, RollbackOutcome, judge
from staging.kills.wreckage import Mark
from staging.rounds import Round, RoundResult, chosen
from tests.conftest import ROOT
from tests.stack.fault_round import FAULTS, REFERENCES
from tests.stack.stores.registry import SUBJECTS

RECORDS = {"kept": 140, "restored": 2, "exported": 2, "revived": 3, "unaccounted": 0}
WELL = RollbackOutcome(
    verdict=Verdict.PASSED,
    records=RECORDS,
    exported={"mysql": frozenset({"5", "6"})},
    copies=[{"mysql": {"imagedb.users": 17}}],
)
EXPECTED = Expected(("mysql",), {"mysql": frozenset({"5", "6"})}, WELL)
COMMAND, STEP = "rollback", "restore mysql"
JOURNAL = [
    {"sequence": 0, "event": "started", "id": "rollback", "step": "it says one thing"},
    {"sequence": 1, "event": "started", "id": "keep", "of": "", "step": "or another"},
    {"sequence": 2, "event": "ended", "id": "keep", "of": "", "step": "or the next", "began": 1},
    {"sequence": 3, "event": "started", "id": "restore", "of": "mysql", "step": "no matter which"},
]


def _mark(*, there: bool = False, key: str = "99") -> Mark:
    return Mark("mysql", key, lambda: there, lambda: None)


def _with_records(**counts: int) -> RollbackOutcome:
    return replace(WELL, records={**RECORDS, **counts})


ENDS = [{"event": "ended", "began": number} for number in (3, 0)]


@pytest.mark.parametrize(
    ("code", "journal", "said"),
    [
        (-signal.SIGKILL, JOURNAL, ""),
        *((code, JOURNAL, "was not killed") for code in (0, 1, -signal.SIGTERM)),
        (-signal.SIGKILL, JOURNAL[:3], "was still to begin"),
        (-signal.SIGKILL, [*JOURNAL, *ENDS], "had ended"),
    ],
)
def test_a_kill_is_one_by_the_signal_in_a_step_that_had_begun_and_not_ended(
    code: int, journal: Sequence[Mapping[str, Any]], said: str
) -> None:
    fall = Fall(code, journal)
    assert said in fall.wrong(STEP)
    assert bool(fall.wrong(STEP)) is bool(said)
    assert fall.untouched is (len(journal) < len(JOURNAL))
    assert said or fall.open_steps == (COMMAND, STEP)


@pytest.mark.parametrize(
    "found",
    [
        replace(WELL, verdict=Verdict.FAILED),
        replace(WELL, finished=False),
        replace(WELL, records=None),
        replace(WELL, records={}),
        _with_records(unaccounted=1),
        _with_records(exported=1),
        _with_records(exported=3),
        _with_records(kept=139),
        _with_records(kept=141),
        _with_records(kept=141, restored=1),
        _with_records(kept=141, revived=2),
        replace(WELL, exported={"mysql": frozenset({"5"})}),
        replace(WELL, exported={"redis": frozenset({"5", "6"})}),
        replace(WELL, copies=[]),
        replace(WELL, copies=[{"redis": {"0:*": 17}}]),
        replace(WELL, copies=[{"mysql": {"imagedb.users": 16}}]),
        replace(WELL, copies=[{"mysql": {}}]),
    ],
)
def test_what_is_not_as_undisturbed_is_wrong(found: RollbackOutcome) -> None:
    assert judge(found, EXPECTED)
    assert judge(WELL, EXPECTED) == ""


def test_what_a_killed_restore_put_back_may_count_as_kept() -> None:
    half = replace(EXPECTED, untouched=False)
    assert judge(_with_records(kept=145, restored=0, revived=0), half) == ""
    assert judge(_with_records(kept=144, restored=0, revived=0), half)
    assert judge(_with_records(kept=146, restored=0, revived=0), half)


def test_a_rollback_that_restores_nothing_has_no_records() -> None:
    assert judge(RollbackOutcome(Verdict.PASSED, None), Expected(())) == ""
    assert judge(WELL, Expected(()))
    assert judge(RollbackOutcome(Verdict.PASSED, None), Expected((), marks=[_mark(there=True)])) == ""
    assert "lost: mysql 99" in judge(RollbackOutcome(Verdict.PASSED, None), Expected((), marks=[_mark()]))


@pytest.mark.parametrize(
    ("marks", "exported", "wrong"),
    [
        ([_mark(there=True)], {"5", "6"}, ""),
        ([_mark()], {"5", "6", "99"}, ""),
        ([_mark()], {"5", "6"}, "what was written meanwhile is lost: mysql 99"),
        ([_mark(), _mark(key="98")], {"5", "6", "98"}, "what was written meanwhile is lost: mysql 99"),
    ],
)
def test_what_was_written_meanwhile_is_exported_or_there(
    marks: Sequence[Mark], exported: set[str], wrong: str
) -> None:
    found = replace(WELL, exported={"mysql": frozenset(exported)})
    assert judge(found, replace(EXPECTED, marks=marks)) == wrong


PROFILE = (ROOT / "staging" / "profiles" / "staging.toml").read_text(encoding="utf-8")
RIGHT, WRONG = RoundResult("a", "as before", "", 1.0), RoundResult("b", "", "NOT CAUGHT", 1.0)


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
    tmp_path: Path, results: list[RoundResult], *, finished: bool, passed: bool
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
