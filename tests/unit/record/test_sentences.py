"""No program reads a sentence: a record whose every sentence is another one says the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, get_args, get_type_hints

import pytest

from reports.allure.categories import CATEGORIES
from reports.html import html
from reports.incident.incident_record import read_record
from reports.pictures.album import draw_pictures
from reports.run import completion, renewal
from reports.run.renewal import renew
from reports.timeline.timeline import Timeline, timeline_of
from reports.verdict.gate_page import gate_page
from reports.verdict.recount import recounted
from reports.verdict.summary import markdown
from reports.verdict.verdict import read_verdict, write_verdict
from rollback_actions.session.journal import Journal
from rollproof.errors import Meaning
from rollproof.incident.incident import load_incident
from rollproof.incident.journal import DETECTED, FIRST, hash_of
from rollproof.incident.journal_steps import Step, StepId
from rollproof.incident.ledger import Note, NoteKind, Planned, Result, Run
from rollproof.incident.reopening import REOPENED
from rollproof.planning.status import status_of
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target
from rollproof.record_names import (
    CONTACTS,
    JOURNAL,
    LIMITS,
    POST_MORTEM,
    REOPENING,
    REPORT,
    RESPONSE,
    RESULTS,
    ROLLBACK,
    RUN_RESULTS,
    SEAL,
    VERDICT,
)
from rollproof.runbook import STEPS
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.schemas import RECORDS
from tests.unit.clock import Clock
from tests.unit.made_incident import MadeIncident, clock

__all__ = ["clock"]

# What is no text for people, by the keys of records. Whatever else is text is rewritten.
IDS = frozenset(
    {
        *("id", "event", "hash", "previous", "uuid", "historyId", "testCaseId", "fullName", "fingerprint"),
        *("commit", "fix", "head", "revisions", "signature", "boot", "pid", "namespace", "baseline"),
    }
)
NAMES = frozenset(
    {
        *("target", "incident", "name", "names", "by", "user", "host", "store", "of", "band", "channel"),
        *("check", "checks", "phase", "first", "buildName", "reportName", "type", "attachments"),
    }
)
"""Names of things and people, and the paths of checks."""
FIGURES = frozenset({"wall", "started", "finished", "newest"})
"""Times."""
OF_JOURNALS = frozenset({"action", "alert", "ending", "migrated", "rolled_back"})
"""Members of enumerations, in journals: their lines have no model of their own."""
OF_ALLURE = frozenset({"status", "matchedStatuses", "traceRegex", "value"})
SAID_OF: Mapping[str, frozenset[str]] = {DETECTED: frozenset({"severity"})}
"""Others, by the event of the record: who starts the contacts' clock says how bad it is in any words."""


def _enumerated(kind: object, seen: set[object]) -> Iterator[str]:
    """Yield the fields of a record that hold a member of an enumeration."""
    if isinstance(kind, type) and is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        for name, hint in get_type_hints(kind).items():
            inside = [hint, *get_args(hint)]
            if any(isinstance(one, type) and issubclass(one, Enum) for one in inside):
                yield name
            for one in inside:
                yield from _enumerated(one, seen)
    for one in get_args(kind):
        yield from _enumerated(one, seen)


ENUMERATED = frozenset(name for kind, _ in RECORDS.values() for name in _enumerated(kind, set()))
KEPT = IDS | NAMES | FIGURES | OF_JOURNALS | OF_ALLURE | ENUMERATED
DRAWN = re.compile(r'<path d="[^"]*" clip-path[^>]*>|<use xlink:href="#m[^>]*>')
CHAINED = (JOURNAL, RESPONSE, CONTACTS, REOPENING)
WAIVER = Waiver(item="test_a", name="Ada", reason="known", expires=date(2999, 1, 1))


class Rewriter:
    """Puts other words in the place of each sentence, no two alike; `said` has the old by the new."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self.said: dict[str, str] = {}

    def value(self, value: Any, *, kept: bool = False) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return `value` with other sentences in it."""
        match value:
            case str() if value and not kept:
                return self._other(value)
            case list():
                return [self.value(one, kept=kept) for one in value]
            case dict() if value.keys() == {"name", "value"}:
                return value  # a label of Allure
            case dict():
                said = SAID_OF.get(str(value.get("event")), frozenset())
                of_allure = "historyId" in value
                return {
                    key: self._entry(key, one, kept=key in KEPT - said and not (of_allure and key == "name"))
                    for key, one in value.items()
                }
            case _:
                return value

    def back(self, page: str) -> str:
        """Return `page` in the words of before, each sentence on one line."""
        for new, old in self.said.items():
            page = page.replace(new, " ".join(old.split()))
        return page

    def _other(self, text: str) -> str:
        new = " ".join("".join(self._random.choices("abcdefgh", k=6)) for _ in range(5))
        self.said[new] = text
        return new

    def _entry(self, key: str, value: Any, *, kept: bool) -> Any:  # noqa: ANN401 - whatever JSON holds
        if key == "probes" and isinstance(value, dict):
            # Names of probes are for people too: programs read each probe's kind and store.
            return {self._other(name): self.value(probe) for name, probe in value.items()}
        if key == "trace":
            # Its last line is the code of what the result means, if it is alone there.
            said, _, code = value.rpartition("\n")
            code = code if code.startswith("[means:") else self._other(code)
            return "\n".join(filter(None, (self.value(said), code)))
        return self.value(value, kept=kept)

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
    path = made.folder / ROLLBACK
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"blind": {"mysql": "nobody may see its writers"}})
    )
    Journal(made.folder / REOPENING, str).write(
        REOPENED, name="Ada", fix="c" * 40, root_cause="the index was dropped", method="by hand"
    )
    write_verdict(made.folder, recounted(read_record(made.folder)))
    return made


def _events(timeline: Timeline) -> list[tuple[object, ...]]:
    return [
        (e.at, e.kind, e.source, e.verdict, e.severity, e.seconds, e.deadline, e.step, bool(e.ending), e.late)
        for e in timeline.events
    ]


def _categories(folder: Path) -> Mapping[str, str]:
    """Return the category in which Allure shows each result."""
    found = {}
    for path in sorted((folder / RESULTS).glob("*-result.json")):
        result = json.loads(path.read_text())
        trace = result.get("statusDetails", {}).get("trace", "")
        fits = (
            one["name"]
            for one in CATEGORIES
            if result["status"] in one["matchedStatuses"] and re.search(one.get("traceRegex", ""), trace)
        )
        found[path.name] = next(fits, result["status"])
    return found


def _plain(page: str) -> str:
    """Return a page without the marks that keep a text from being Markdown."""
    return page.replace("\\", "")


def _pictures(folder: Path) -> Mapping[str, list[str]]:
    """Return the lines, bars and markers of each picture."""
    return {
        path.name: DRAWN.findall(path.read_text()) for path in sorted((folder / "pictures").glob("*.svg"))
    }


def _said(made: MadeIncident) -> tuple[dict[str, object], dict[str, str]]:
    """Return all that programs make of the record: what is no text, and the texts of pages."""
    folder = made.folder
    for name in (SEAL, LIMITS, POST_MORTEM):
        # What is written in other words is no more what was sealed, and pages are made anew.
        (folder / name).unlink(missing_ok=True)
    shown: list[str] = []

    def draw(folder: Path, _: object) -> list[str]:
        draw_pictures(folder)
        return []

    def render(folder: Path, **_: object) -> Path:
        shown.append(json.dumps(html._configuration(load_incident(folder), folder), ensure_ascii=False))
        return folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renewal, "render", render)
        patch.setattr(completion, "draw", draw)
        verdict = renew(folder, lambda _: None, made.target)
    (folder / SEAL).unlink()
    record = read_record(folder)
    timeline, status = timeline_of(record), status_of(record.incident, running=False)
    facts = {
        "verdict": (verdict.verdict, verdict.found, verdict.rollback, verdict.rto_seconds),
        "late": (verdict.late is not None, verdict.late_phases is not None),
        "doubts": record.doubts,
        "zero": (timeline.zero, timeline.down, timeline.migration_began[0]),
        "events": _events(timeline),
        "status": [(step.state, step.seconds) for step in status.steps],
        "runs": status.runs,
        "pictures": _pictures(folder),
        "categories": _categories(folder),
    }
    pages = {name: (folder / name).read_text() for name in (VERDICT, LIMITS, POST_MORTEM)}
    return facts, {
        **pages,
        REPORT: "".join(shown),
        "summary": markdown(verdict, folder, green=False),
    }


def _deployed(made: MadeIncident) -> None:
    """Nothing was verified wrong: only the downtime was too long."""


def _wrong(made: MadeIncident) -> None:
    """Let checks of another run find data that is lost, and see nothing of some."""
    run = made.check(reported=6, wrong=True)
    path = run.folder / RUN_RESULTS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1]["means"] = Meaning.DATA_LOSS
    lines[-2] |= {"verdict": "broken", "reason": "no answer of redis", "means": Meaning.UNREACHABLE}
    lines[-3]["notes"] = [{"kind": "waived", "by": "Ada", "text": "waived by Ada"}]
    write_lines(path, lines)


@pytest.mark.parametrize("more", [_deployed, _wrong])
@pytest.mark.parametrize("seed", range(2))
def test_an_incident_says_the_same_in_any_words(
    made: MadeIncident, seed: int, more: Callable[[MadeIncident], None]
) -> None:
    more(made)
    before, pages = _said(made)
    drawn, categories = before["pictures"], before["categories"]
    assert isinstance(drawn, dict)
    assert len(drawn) == 4, sorted(drawn)
    assert all(drawn.values())
    assert isinstance(categories, dict)
    expected = (
        {"Verified wrong: late"}
        if more is _deployed
        else {*("Verified wrong: data loss", "Could not verify: unreachable", "Could not verify: crash")}
    )
    assert expected == {*categories.values()} - {"passed"}
    rewriter = Rewriter(seed)
    rewriter.folder(made.folder)
    assert len(rewriter.said) > 100
    assert _categories(made.folder) == categories
    after, others = _said(made)
    for name, said in before.items():
        assert after[name] == said, name
    for name, page in pages.items():
        # The top of the report names what was late or is not covered, and else has figures alone.
        assert others[name] != page or name == REPORT, name
        assert _plain(rewriter.back(others[name])).splitlines() == _plain(page).splitlines(), name


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
    rewriter = Rewriter(0)
    rewriter.folder(run.folder)
    after = gate_page(verdict, run, [WAIVER])
    cells = [
        [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]
        for page in (before, after)
    ]
    assert cells[0] == cells[1]
    assert after != before
    assert _plain(rewriter.back(after)) == _plain(before)
    assert "1 of 2 items hold, 1 waived" in after
    assert " used |" in after


def _rows(page: str) -> list[list[str]]:
    """Return mark and item of each row."""
    return [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]
