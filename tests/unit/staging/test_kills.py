"""What counts as a kill, and what is wrong after one: each fault that a kill is to show is shown."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollproof.profile.profile import PREFIX
from rollproof.record_names import UNFINISHED
from rollproof.verdict import Verdict
from staging.kills.kill import Action, Fall, Killer, Undisturbed
from staging.kills.outcome import Expected, Outcome, judge, read_outcome
from staging.kills.wreckage import Mark
from staging.rounds import Result
from staging.stack.stack import Stack

ROOT = Path(__file__).parents[3]
# Killed in place of the actions: it ends by itself, or waits in a step until it is killed; `resume` ends.
STAND_IN = """
import json, os, sys, time
from pathlib import Path
from typing import Any

from rollback_actions.session.journal import Journal

incidents = Path(os.environ[PREFIX + "FOLDERS__INCIDENTS"])
first = sys.argv[1]
if first == "rollback":
    (unfinished,) = incidents.glob("*/" + UNFINISHED)
    folder = unfinished.parent
    (folder / "rollback.json").write_text(json.dumps({"verdict": "passed", "records": RECORDS}))
    unfinished.unlink()
else:
    folder = incidents / f"{len(list(incidents.glob('*')))}-staging-0"
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.jsonl", str)
    (folder / "incident.json").write_text("{}")
    (folder / UNFINISHED).write_text("{}")
    with journal.step("a command", id="rollback"):
        if first == "waits":
            with journal.step("a sentence", id="restore", of="mysql"):
                time.sleep(600)
"""
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


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    package = tmp_path / "rollproof"
    package.mkdir()
    lines = (
        f"import pathlib, sys\nsys.path.append({str(ROOT)!r})",
        f"__path__.append({str(ROOT / package.name)!r})",
        f"SUITE = pathlib.Path({str(ROOT)!r})",
    )
    (package / "__init__.py").write_text("\n".join(lines))
    names = f"PREFIX, UNFINISHED, RECORDS = {(PREFIX, UNFINISHED, RECORDS)!r}\n"
    (package / "__main__.py").write_text(names + STAND_IN)
    return Killer(Stack(tmp_path), tmp_path)


def _kill(killer: Killer, first: str, *marks: Mark) -> Result:
    action = Action("database mysql", (first,), dict, ("mysql",), lambda: list(marks))
    undisturbed = Undisturbed({STEP: 0.1}, replace(WELL, copies=()))
    return killer.kill(action, STEP, 0.1, undisturbed)


def test_what_ends_by_itself_is_tried_three_times_and_is_wrong(killer: Killer) -> None:
    kill = _kill(killer, "ends")
    assert kill.wrong == "was not killed: it ended by itself with exit code 0"
    assert len(list((killer.folder / "incidents").iterdir())) == 3


def test_what_is_lost_that_was_written_before_it_was_gone_on_with_is_wrong(killer: Killer) -> None:
    kill = _kill(killer, "waits", _mark())
    assert (kill.facts["code"], kill.facts["open_steps"]) == (-signal.SIGKILL, (STEP,))
    assert kill.facts["marks"] == ["mysql 99"]
    assert "what was written meanwhile is lost: mysql 99" in kill.wrong
    assert "no safety copy" in kill.wrong
    assert len(list((killer.folder / "incidents").iterdir())) == 1


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


def test_what_was_written_meanwhile_may_be_exported_besides() -> None:
    found = replace(_with_records(exported=3), exported={"mysql": frozenset({"5", "6", "99"})})
    assert judge(found, replace(EXPECTED, marks=[_mark()])) == ""
    assert judge(found, EXPECTED)


def test_an_outcome_is_read_from_sealed_windows_and_whole_copies(tmp_path: Path) -> None:
    incident, backups = tmp_path / "i-1", tmp_path / "backups"
    for folder, sealed, lines in (
        ("lost-window", True, [{"key": "5", "change": "new"}]),
        ("lost-window-2", True, [{"key": "6", "change": "changed"}]),
        ("lost-window-3", False, [{"key": "7", "change": "new"}]),
    ):
        store = incident / folder / "mysql"
        store.mkdir(parents=True)
        (store / "0001-users.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        (store / "revived.jsonl").write_text('{"collection": "users", "key": "8"}\n')
        if sealed:
            (store.parent / "window.json").write_text("{}")
    for name, package in (("i-1-01", "mysql"), ("i-1-02", ""), ("i-2-01", "mysql")):
        copy = backups / "safety" / name
        (copy / "mysql").mkdir(parents=True)
        (copy / "set.json").write_text(json.dumps({"stores": {"mysql": {"records": {"users": 2}}}}))
        if package:
            (copy / "mysql" / "package").write_text("")
    assert read_outcome(incident, backups).verdict is None
    (incident / "rollback.json").write_text(json.dumps({"verdict": "passed", "records": RECORDS}))
    (incident / UNFINISHED).write_text("{}")
    found = read_outcome(incident, backups)
    assert (found.verdict, found.records, found.finished) == ("passed", RECORDS, False)
    assert found.exported == {"mysql": frozenset({"5", "6"})}
    assert list(found.copies) == [{"mysql": {"users": 2}}, {}]
