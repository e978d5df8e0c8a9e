"""The timeline of an incident: in order, from its folder alone, and honest about what cannot be trusted.

Whole ones are in the golden pages of `test_postmortem`.
"""

from __future__ import annotations

import pytest

from reports.incident.events import Kind, Timeline, timeline_of
from reports.incident.record import read_incident_record
from rollproof.monitoring.rollback_request import Kind as Rollback
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.record_names import SUPERSEDED, UNFINISHED
from rollproof.system.record_files import write_record
from tests.unit.made_incident import MadeIncident


def texts(timeline: Timeline, *kinds: Kind) -> list[str]:
    return [event.text for event in timeline.of(*kinds)]


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
