"""The post-mortem: what the record says, nothing of a clock or a place, and what people wrote is kept."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.incident.record import read_incident_record
from reports.postmortem.postmortem import BY_PEOPLE, post_mortem, write_post_mortem
from reports.postmortem.story import Story, story_of
from reports.text.page import in_markdown
from reports.verdict.verdict import recounted
from rollback_actions.session.journal import Journal
from rollproof.errors import ExitCode, Meaning, Unverifiable
from rollproof.incident.journal_steps import Step
from rollproof.incident.ledger import Planned, Result, Run
from rollproof.incident.rehearsals import WRITES
from rollproof.incident.response_record import ENDED, Ending
from rollproof.incident.tally import tally
from rollproof.profile.profile import load_target
from rollproof.record_names import JOURNAL, POST_MORTEM, RESPONSE
from rollproof.redaction.redactor import Redactor
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.unit.clock import Clock
from tests.unit.made_incident import SECRET_KEY, MadeIncident, clock
from tests.unit.record.test_ledger import late

__all__ = ["clock"]
GOLDEN = Path(__file__).parent / "golden"
SCREEN = 50


@pytest.fixture
def made(profile: Path, clock: Clock) -> MadeIncident:
    return MadeIncident(load_target(profile), clock)


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
    writer.append(Result(runs[0], "phase1", Verdict.PASSED, 1.0, "", Moment.now()))
    for check in topics:
        result = Result(check, "phase2", Verdict.BROKEN, 5.0, gone, Moment.now(), means=Meaning.UNREACHABLE)
        writer.append(result)
    for number, check in enumerate(users):
        reason = f"records of shop: expected the baseline's, observed missing {number + 1}"
        writer.append(
            Result(check, "phase4", Verdict.FAILED, 2.0, reason, Moment.now(), means=Meaning.DATA_LOSS)
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


def test_the_page_is_the_same_twice_and_elsewhere(
    made: MadeIncident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed(made)
    first = write(made).read_bytes()
    copy = tmp_path / "elsewhere" / made.identity
    shutil.copytree(made.folder, copy)
    (copy / POST_MORTEM).unlink()
    made.clock.turn(1_000_000)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.chdir("/")

    assert write(made).read_bytes() == first
    record = read_incident_record(copy)
    write_post_mortem(copy, story_of(record, recounted(record)), Redactor().text)
    assert (copy / POST_MORTEM).read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_the_data_is_accounted_for_without_a_key_of_it(made: MadeIncident) -> None:
    made.roll_back()

    page = page_of(made)

    assert "| kept | 1,683 | there before" in page
    assert "| mysql | 1683 | 3 | 4 | 292 | 0 | 0 |" in page
    assert "mysql, imagedb.big: not known, no time" in page
    assert SECRET_KEY not in page
    assert "someone@example.org" not in page


def test_a_failure_that_a_later_run_passed_is_none(made: MadeIncident) -> None:
    made.roll_back()
    made.check(wrong=True)
    assert [cause.verdict for cause in story(made).causes] == [Verdict.FAILED]
    made.check()
    assert story(made).causes == ()


def test_a_rollback_that_failed_names_its_step(made: MadeIncident) -> None:
    journal = Journal(made.folder / JOURNAL, str)
    began = Moment.now()
    made.begin(journal)
    with pytest.raises(OSError, match="no room"), journal.step("restore mysql", id=Step.RESTORE, of="mysql"):
        raise OSError("no room")
    made.write_rollback(began, Verdict.FAILED)
    (cause,) = story(made).causes
    assert (cause.title, cause.failures[0].words) == ("the rollback", "restore mysql")
    assert "no room" in cause.failures[0].reason


def test_a_step_that_contains_the_checks_is_not_taken_for_a_killed_one(made: MadeIncident) -> None:
    made.roll_back()
    Journal(made.folder / JOURNAL, str).write("started", step="verify the rollback", id=Step.VERIFY)
    made.check()
    page = page_of(made)
    assert "| verify the rollback: not ended when this was written |" in page
    assert "What did not pass" not in page


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("===", "\\==="),
        ("0.1 s", "0.1 s"),
        ("2026-11-26", "2026-11-26"),
        ("a\\&b", "a\\\\\\&b"),
        ("\udcff", "\\\\udcff"),
    ],
)
def test_no_text_begins_a_list_or_an_entity(text: str, shown: str) -> None:
    assert in_markdown(text) == shown


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


def test_a_trouble_that_was_over_needed_no_rollback_until_one_is_checked(made: MadeIncident) -> None:
    made.watch(errors=5)
    ended = {"ending": Ending.MONITORING, "reason": "nothing is beyond its limit"}
    objective = float(made.target.rto_seconds)
    Journal(made.folder / RESPONSE, str).write(
        ENDED, **ended, downtime_seconds=None, objective_seconds=objective
    )
    page = page_of(made)
    assert "No rollback was needed: nothing is beyond its limit." in page
    assert not [text for text in ("Not covered", "verify again", "No verified end") if text in page]
    made.check()
    assert "No rollback was needed" not in page_of(made)
