"""The timeline of an incident: in order, from its folder alone, and honest about what cannot be trusted.

Whole ones are in the golden pages of `test_postmortem`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reports.incident.events import Kind, Timeline, timeline_of
from reports.incident.record import read_incident_record
from rollback_actions.session.journal import Journal
from rollproof.monitoring.rollback_request import Kind as Rollback
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.record_names import JOURNAL, SUPERSEDED, UNFINISHED
from rollproof.system.record_files import write_record
from rollproof.verdict import Verdict
from tests.unit.made_incident import MadeIncident


def texts(timeline: Timeline, *kinds: Kind) -> list[str]:
    return [event.text for event in timeline.of(*kinds)]


def test_a_wall_clock_that_is_set_back_does_not_turn_the_order_around(made: MadeIncident) -> None:
    journal = Journal(made.folder / JOURNAL, str)
    with journal.step("first"):
        made.clock.turn(5)
        made.clock.set_back(2 * 3600)
    with journal.step("second"):
        made.clock.turn(1)

    timeline = timeline_of(read_incident_record(made.folder))

    assert texts(timeline, Kind.ACTION) == ["first", "second"]
    assert [timeline.after(event.at) for event in timeline.of(Kind.ACTION)] == [0, 5]


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"145 records", b"146 records"))


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"at": {"wall": "2026')


def _foul(path: Path) -> None:
    path.write_bytes(b"\xff\x00not json\n" * 3)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "said", "restored"),
    [
        (_edit, "its hash chain holds for 5 records only", False),
        (_tear, "its last line is torn", True),
        (_foul, "its hash chain holds for 0 records only", False),
        (_make_folder, "journal", False),
    ],
)
def test_a_damaged_journal_is_read_as_far_as_it_can_be_trusted(
    made: MadeIncident, damage: Callable[[Path], None], said: str, *, restored: bool
) -> None:
    made.roll_back()
    whole = timeline_of(read_incident_record(made.folder))
    damage(made.folder / JOURNAL)

    timeline = timeline_of(read_incident_record(made.folder))

    assert whole.doubts == ()
    assert any(doubt.startswith(JOURNAL) and said in doubt for doubt in timeline.doubts)
    assert ("restore mysql: 145 records" in texts(timeline, Kind.ACTION)) is restored
    assert "146" not in "".join(texts(timeline, *Kind))
    # The end of the rollback is in a file of its own.
    assert any(event.verdict is Verdict.PASSED for event in timeline.of(Kind.ROLLBACK))


# Every file that lies in an incident, and what is left of it.
FILES = (
    "rollback.json",
    "closed.json",
    UNFINISHED,
    SUPERSEDED,
    "contacts.jsonl",
    "response.jsonl",
    "lost-window/accounting.json",
    "ledger/0001/run.json",
    "ledger/0001/plan.json",
    "ledger/0001/results.jsonl",
)


@pytest.mark.parametrize("content", [b"[", b'{"at": 1}\n'])
def test_whatever_is_damaged_the_timeline_is_made_and_says_so(made: MadeIncident, content: bytes) -> None:
    made.respond()
    made.tell()
    made.incident.close()
    unfinished = UnfinishedFile("a" * 40, made.incident.started, Rollback.EMERGENCY)
    write_record(made.folder / UNFINISHED, unfinished)
    write_record(
        made.folder / SUPERSEDED,
        SupersededFile("a" * 40, made.incident.started, Rollback.EMERGENCY, by="another"),
    )
    for path in map(made.folder.joinpath, FILES):
        whole = path.read_bytes()
        path.write_bytes(content)
        timeline = timeline_of(read_incident_record(made.folder))
        path.write_bytes(whole)
        assert "restore mysql: 145 records" in texts(timeline, Kind.ACTION)
        (first, *_) = path.relative_to(made.folder).parts
        assert any(first in doubt for doubt in timeline.doubts), path
