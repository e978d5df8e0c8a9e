"""What counts as a kill, and what is wrong after one."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rollproof.verdict import Verdict
from staging.kills.kill import Fall
from staging.kills.outcome import Expected, Outcome, judge
from staging.kills.wreckage import Mark

RECORDS = {"kept": 140, "restored": 2, "exported": 2, "revived": 3, "unaccounted": 0}
WELL = Outcome(
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


def _with_records(**counts: int) -> Outcome:
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
def test_what_is_not_as_undisturbed_is_wrong(found: Outcome) -> None:
    assert judge(found, EXPECTED)
    assert judge(WELL, EXPECTED) == ""


def test_what_a_killed_restore_put_back_may_count_as_kept() -> None:
    half = replace(EXPECTED, untouched=False)
    assert judge(_with_records(kept=145, restored=0, revived=0), half) == ""
    assert judge(_with_records(kept=144, restored=0, revived=0), half)
    assert judge(_with_records(kept=146, restored=0, revived=0), half)


def test_a_rollback_that_restores_nothing_has_no_records() -> None:
    assert judge(Outcome(Verdict.PASSED, None), Expected(())) == ""
    assert judge(WELL, Expected(()))
    assert judge(Outcome(Verdict.PASSED, None), Expected((), marks=[_mark(there=True)])) == ""
    assert "lost: mysql 99" in judge(Outcome(Verdict.PASSED, None), Expected((), marks=[_mark()]))


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
