"""The post-mortem and its timeline: what the record says, whatever is damaged; what people wrote is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.incident.events import EventKind, Timeline, timeline_of
from reports.incident.record import read_incident_record
from reports.postmortem.postmortem import BY_PEOPLE, Story, post_mortem, story_of, write_post_mortem
from reports.verdict.verdict import recounted
from rollback_actions.session.session import Journal
from rollproof.errors import ExitCode, Meaning, Unverifiable
from rollproof.incident.ledger import CheckResult, Planned, Run
from rollproof.incident.rehearsals import WRITES
from rollproof.incident.rollback_request import RollbackKind as Rollback
from rollproof.incident.tally import tally
from rollproof.planning.unfinished import SupersededFile, UnfinishedFile
from rollproof.record_names import JOURNAL, POST_MORTEM, SUPERSEDED, UNFINISHED
from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import Moment
from rollproof.system.record_files import write_record
from rollproof.verdict import Verdict
from tests.unit.made_incident import MadeIncident
from tests.unit.record.test_ledger import late

GOLDEN = Path(__file__).parent / "golden"
SCREEN = 50


def story(made: MadeIncident) -> Story:
    record = read_incident_record(made.folder)
    return story_of(record, recounted(record))


def page_of(made: MadeIncident, redact: Callable[[str], str] = str) -> str:
    return post_mortem(story(made), redact)


def write(made: MadeIncident) -> Path:
    return write_post_mortem(made.folder, story(made), Redactor().text)


def passed(made: MadeIncident) -> None:
    made.tell()
    made.respond()
    made.incident.close()


def failed(made: MadeIncident) -> None:
    """Records are lost, the checks come late and find more of it, and a store is gone."""
    made.watch(14, 30)
    made.clock.turn(2)
    made.roll_back()
    rollback = made.incident.rollback()
    assert rollback is not None
    blind = {"redis": "app@10.0.0.9 may have written"}
    made.write_rollback(rollback.started, records={"kept": 5, "unaccounted": 2}, blind=blind)
    Journal(made.folder / JOURNAL, str).write(WRITES, text="Of 9 writes of live users, none vanished.")
    run = Run.begin(made.folder, Moment.now(), gated=True)
    users = [
        f"checks/test_phase4.py::test_collection_content[mysql/shop.{name}]" for name in ("users", "orders")
    ]
    topics = [f"checks/test_phase2.py::test_topic_answers[kafka/t{number}]" for number in range(8)]
    runs = ["checks/test_phase1.py::test_runs[mysql]"]
    plan = {"phase1": runs, "phase2": topics, "phase3": [], "phase4": users}
    run.write_plan({phase: Planned(tuple(checks)) for phase, checks in plan.items()})
    writer = run.writer()
    gone = "kafka: expected an answer within 5 s, observed Connection refused (from kafka:9092)"
    made.clock.turn(4)
    writer.write(CheckResult(runs[0], "phase1", Verdict.PASSED, 1.0, "", Moment.now()))
    for check in topics:
        result = CheckResult(
            check, "phase2", Verdict.BROKEN, 5.0, gone, Moment.now(), means=Meaning.UNREACHABLE
        )
        writer.write(result)
    for number, check in enumerate(users):
        reason = f"records of shop: expected the baseline's, observed missing {number + 1}"
        writer.write(
            CheckResult(check, "phase4", Verdict.FAILED, 2.0, reason, Moment.now(), means=Meaning.DATA_LOSS)
        )
    writer.close()
    late(run, "phase1", 500)


def broken(made: MadeIncident) -> None:
    """A rollback is killed, and so are the checks that somebody ran all the same."""
    made.watch()
    made.cut_off()
    made.clock.turn(30)
    made.check(reported=3)


@pytest.mark.parametrize("tell", [passed, failed, broken])
def test_the_page_of_an_incident_is_the_golden_one(
    made: MadeIncident, tell: Callable[[MadeIncident], None]
) -> None:
    tell(made)
    page = write(made).read_text(encoding="utf-8")
    golden = GOLDEN / f"{tell.__name__}.md"
    assert page == golden.read_text(encoding="utf-8"), f"read the page; if it is right: {golden}"
    assert page.count("\n", 0, page.index("## Timeline")) <= 2 * SCREEN
    assert story(made).verdict.verdict == tell.__name__
    assert page.count("## Root cause analysis") == 1


def test_what_people_wrote_is_kept_and_redacted(made: MadeIncident) -> None:
    made.roll_back()
    path = write(made)
    before, _, _ = path.read_text().partition(BY_PEOPLE)
    theirs = "\n## Root cause analysis\n\nThe index, *dropped* by hunter2-of-the-team.\n"
    path.write_text(f"{before}edited above\n{BY_PEOPLE}\n{theirs}")

    made.check()
    write_post_mortem(made.folder, story(made), Redactor(["hunter2-of-the-team"]).text)

    after = path.read_text()
    assert after.endswith(f"{BY_PEOPLE}\n{theirs.replace('hunter2-of-the-team', '[redacted]')}")
    assert "edited above" not in after
    assert "✅ **Passed" in after
    path.write_text("all of it by hand\n")
    write(made)
    assert path.read_text().endswith(f"{BY_PEOPLE}\nall of it by hand\n")


def test_what_people_wrote_in_no_known_letters_is_not_overwritten(made: MadeIncident) -> None:
    path = made.folder / POST_MORTEM
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(Unverifiable, match="post-mortem") as refused:
        write(made)
    assert refused.value.exit_code is ExitCode.BROKEN
    assert path.read_bytes() == b"\xff\xfe"


EVIL = "| `x` <script>alert(1)</script> &lt; [a](http://b) **b** # h\n\n## not ours\r\n- \x1b[31m\u202e ~~s~~"
OURS = re.compile(r"</?(details|summary|sub)>")


def test_foreign_text_is_shown_as_it_is(made: MadeIncident) -> None:
    made.tell(name=EVIL)
    with Journal(made.folder / JOURNAL, str).step(f"deploy {EVIL}"):
        pass
    made.check(reported=0)

    page = page_of(made)

    assert "<" not in re.sub(r"\\<", "", OURS.sub("", page))
    assert "&" not in re.sub(r"\\&", "", page)
    assert "`" not in re.sub(r"\\`", "", page)
    assert "\n## not ours" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_secret_is_redacted_before_it_is_escaped(made: MadeIncident) -> None:
    secret = "pa_ss*word<1>"  # noqa: S105 - what must not be seen
    made.tell(name=f"Ada {secret}")

    page = page_of(made, Redactor([secret]).text)

    assert "Ada \\[redacted\\]" in page
    assert "pa\\_ss" not in page
    assert secret not in page


def test_what_cannot_be_trusted_is_said_first(made: MadeIncident) -> None:
    made.roll_back()
    path = made.folder / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"145 records", b"999 records"))

    page = page_of(made)

    assert page.index("cannot be trusted") < page.index("## Timeline")
    assert "its hash chain holds for 5 records only" in page
    assert "999" not in page


@pytest.mark.parametrize("killed", [False, True])
def test_the_verdict_is_the_one_of_the_run(made: MadeIncident, *, killed: bool) -> None:
    made.roll_back()
    made.check(reported=5 if killed else 8)

    verdict = recounted(read_incident_record(made.folder))

    assert verdict == tally(made.incident, made.target.windows)
    assert verdict.verdict is (Verdict.BROKEN if killed else Verdict.PASSED)


@pytest.mark.parametrize("name", ["rollback.json", "ledger/0001/run.json", "ledger/0001/results.jsonl"])
def test_a_verdict_that_cannot_be_counted_is_broken(made: MadeIncident, name: str) -> None:
    made.roll_back()
    made.check()
    (made.folder / name).write_bytes(b"{]\n")

    verdict = recounted(read_incident_record(made.folder))

    assert verdict.verdict is Verdict.BROKEN
    assert len(verdict.partial) == 1
    assert "⚠️ **Broken" in page_of(made)


def texts(timeline: Timeline, *kinds: EventKind) -> list[str]:
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
        assert "restore mysql: 145 records" in texts(timeline, EventKind.ACTION)
        (first, *_) = path.relative_to(made.folder).parts
        assert any(first in doubt for doubt in timeline.doubts), path
