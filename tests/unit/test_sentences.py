"""No program reads a sentence: a record whose every sentence is another one says the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fixtures.incident.journal import DETECTED, FIRST, hash_of, head_of
from fixtures.incident.journal_steps import Step, StepId
from fixtures.incident.ledger import Note, NoteKind, Planned, Result, Run
from fixtures.record_names import JOURNAL
from fixtures.rollback.status import status_of
from fixtures.stages import STEPS
from fixtures.system.clock import Moment
from fixtures.system.record_files import record_of
from fixtures.target.premigration import Waiver
from fixtures.target.profile import load_target
from fixtures.verdict import Verdict
from reports.incident.incident_record import read_record
from reports.pictures.album import draw_pictures
from reports.postmortem.postmortem import post_mortem
from reports.timeline.timeline import Timeline, timeline_of
from reports.verdict.gate_page import gate_page
from reports.verdict.recount import recounted
from reports.verdict.verdict import read_verdict, write_verdict
from rollback_actions.session.journal import Journal
from tests.unit.made_incident import Clock, MadeIncident, clock

__all__ = ["clock"]

SENTENCES = frozenset(
    {"step", "result", "error", "text", "reason", "because", "message", "since_is", "partial", "why", "notes"}
)
"""Keys of records whose values people read."""
SAID_OF: Mapping[str, frozenset[str]] = {DETECTED: frozenset({"severity"})}
"""Others, by the event of the record: who starts the contacts' clock says how bad it is in any words."""
DRAWN = re.compile(r'<path d="[^"]*" clip-path[^>]*>|<use xlink:href="#m[^>]*>')
CHAINED = ("journal.jsonl", "response.jsonl", "contacts.jsonl")
WAIVER = Waiver(item="test_a", name="Ada", reason="known", expires=date(2999, 1, 1))


class Rewriter:
    """Puts other words in the place of each sentence, no two alike."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self.rewritten = 0

    def value(self, value: Any, *, sentence: bool = False) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return `value` with other sentences in it."""
        match value:
            case str() if sentence:
                self.rewritten += 1
                return " ".join("".join(self._random.choices("abcdefgh", k=6)) for _ in range(5))
            case list():
                return [self.value(one, sentence=sentence) for one in value]
            case dict():
                said = SENTENCES | SAID_OF.get(str(value.get("event")), frozenset())
                return {key: self._entry(key, one, said) for key, one in value.items()}
            case _:
                return value

    def _entry(self, key: str, value: Any, said: frozenset[str]) -> Any:  # noqa: ANN401 - whatever JSON holds
        if key == "findings" and isinstance(value, str):
            return json.dumps(self.value(json.loads(value)))
        if key == "unknown" and isinstance(value, dict):
            return {name: self.value(one, sentence=True) for name, one in value.items()}
        if key == "probes" and isinstance(value, dict):
            # Names of probes are for people too: programs read each probe's kind and store.
            return {self.value(name, sentence=True): self.value(probe) for name, probe in value.items()}
        return self.value(value, sentence=key in said)

    def folder(self, folder: Path) -> None:
        """Rewrite every record in `folder`, and seal the journals again."""
        for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.jsonl")]):
            if path.name in CHAINED:
                chain(path, [self.value(json.loads(line)) for line in path.read_text().splitlines()])
            elif path.suffix == ".jsonl":
                lines = [self.value(json.loads(line)) for line in path.read_text().splitlines()]
                write_lines(path, lines)
            else:
                path.write_text(json.dumps(self.value(json.loads(path.read_text()))))


def write_lines(path: Path, records: Iterable[object]) -> None:
    """Write a file of JSON lines."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def chain(path: Path, records: list[dict[str, Any]]) -> None:
    """Write the journal at `path` anew, of `records`."""
    previous = FIRST
    for record in records:
        record["previous"] = previous
        record["hash"] = previous = hash_of({key: one for key, one in record.items() if key != "hash"})
    write_lines(path, records)
    head_of(path).write_text(f"{records[-1]['sequence']:012d} {previous}\n")


@pytest.fixture
def made(profile: Path, clock: Clock) -> MadeIncident:
    """An incident with all that one can hold: deployed, responded to, rolled back, verified too late."""
    made = MadeIncident(load_target(profile).model_copy(update={"rto_seconds": 60}), clock)
    journal = Journal(made.folder / JOURNAL, str)
    for step in (
        StepId(Step.BACK_UP, "mysql"),
        StepId(Step.SAVE_COMMIT),
        StepId(Step.DEPLOY, "b: deploy.sh"),
    ):
        with made.step(journal, step, 5.0, 9.0):
            pass
    with pytest.raises(ValueError, match="gone"), made.step(journal, StepId(Step.CANARY), 1.0, 9.0):
        raise ValueError("gone")
    journal.write("noted", text="waived by nobody; blocked: late: deploy ")
    made.watch()
    made.tell()
    made.respond()
    write_verdict(made.folder, recounted(read_record(made.folder)))
    return made


def _events(timeline: Timeline) -> list[tuple[object, ...]]:
    return [
        (e.at, e.kind, e.source, e.verdict, e.severity, e.seconds, e.deadline, e.step, bool(e.ending), e.late)
        for e in timeline.events
    ]


def _without_texts(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {
            key: ... if key in {*SENTENCES, "late"} else _without_texts(one) for key, one in value.items()
        }
    return value


def _shape(page: str) -> Iterator[str]:
    """Yield what is no sentence of a page: headings, times, the cells of tables that are marks or figures."""
    for line in page.splitlines():
        if line.startswith("#"):
            yield line
        elif line.startswith("|"):
            yield "|".join(
                cell for cell in line.split("|") if re.fullmatch(r" *(T[+-].*|\S+|LATE|[\d.]+ s) *", cell)
            )
        elif line.startswith("- "):
            yield "-"


def _pictures(folder: Path) -> Mapping[str, list[str]]:
    """Return the lines, bars and markers of each picture."""
    draw_pictures(folder)
    return {
        path.name: DRAWN.findall(path.read_text()) for path in sorted((folder / "pictures").glob("*.svg"))
    }


def _said(folder: Path) -> dict[str, object]:
    """Return all that programs make of the record in `folder`."""
    record = read_record(folder)
    write_verdict(folder, recounted(record))
    timeline = timeline_of(read_record(folder))
    status = status_of(record.incident, running=False)
    return {
        "verdict": _without_texts(json.loads((folder / "verdict.json").read_text())),
        "late": read_verdict(folder).late is not None,
        "doubts": record.doubts,
        "zero": (timeline.zero, timeline.migration_began[0]),
        "events": _events(timeline),
        "status": [(step.state, step.seconds) for step in status.steps],
        "runs": status.runs,
        "post-mortem": list(_shape(post_mortem(folder))),
        "pictures": _pictures(folder),
    }


@pytest.mark.parametrize("seed", range(2))
def test_an_incident_says_the_same_in_any_words(made: MadeIncident, seed: int) -> None:
    before, rewriter = _said(made.folder), Rewriter(seed)
    drawn = before["pictures"]
    assert isinstance(drawn, dict)
    assert len(drawn) == 4
    assert all(drawn.values())
    assert before["late"]
    rewriter.folder(made.folder)
    assert rewriter.rewritten > 40
    after = _said(made.folder)
    for name, said in before.items():
        assert after[name] == said, name


def test_without_ids_it_does_not(made: MadeIncident) -> None:
    before = _events(timeline_of(read_record(made.folder)))
    path = made.folder / JOURNAL
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert status_of(made.incident, running=False).runs == 1
    chain(path, [{key: one for key, one in record.items() if key != "id"} for record in records])
    assert _events(timeline_of(read_record(made.folder))) != before
    assert status_of(made.incident, running=False).runs == 0


def test_the_gate_decides_the_same_in_any_words(made: MadeIncident) -> None:
    checks = ("checks/premigration/test_a.py::test_a", "checks/premigration/test_a.py::test_b")
    run = Run.begin(made.folder, Moment.now(), gated=True)
    run.write_plan({step: Planned(checks) if step == STEPS[0] else Planned(()) for step in STEPS})
    writer = run.writer()
    waived = Note("waived by Ada until 2999-01-01 (known): it is wrong", NoteKind.WAIVED, "Ada")
    for check, notes in zip(checks, ((waived,), (Note("waived by hand"),)), strict=True):
        writer.append(Result(check, STEPS[0], Verdict.PASSED, 1.0, "", Moment.now(), notes))
    writer.close()
    verdict = read_verdict(made.folder)
    before = gate_page(verdict, run, [WAIVER])
    assert "1 of 2 items hold, 1 waived" in before
    assert "| 🏳️ | a |" in before
    assert "| ✅ | b |" in before
    assert " used |" in before
    Rewriter(0).folder(run.folder)
    after = gate_page(verdict, run, [WAIVER])
    cells = [
        [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]
        for page in (before, after)
    ]
    assert cells[0] == cells[1]
    assert "1 of 2 items hold, 1 waived" in after
    assert " used |" in after


def _rows(page: str) -> list[list[str]]:
    """Return mark and item of each row."""
    return [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]


def test_a_note_of_before_kinds_is_read_as_said() -> None:
    assert record_of(Note, "waived by Ada") == Note("waived by Ada", NoteKind.SAID)
