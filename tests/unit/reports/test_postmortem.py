"""The post-mortem: what the record says, nothing of a clock or a place, and what people wrote is kept."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from reports.incident.incident_record import read_record
from reports.postmortem.postmortem import BY_PEOPLE, post_mortem, write_post_mortem
from reports.text.page import Page
from reports.verdict.recount import recounted
from reports.verdict.verdict import write_verdict
from rollback_actions.session.journal import Journal
from rollproof.errors import ExitCode, Unverifiable
from rollproof.incident.downtime import record_downtime
from rollproof.incident.journal import DETECTED
from rollproof.incident.tally import tally
from rollproof.monitoring.samples import SampleWriter
from rollproof.profile.bands import Bands
from rollproof.profile.profile import Windows, load_target
from rollproof.record_names import CONTACTS, JOURNAL, POST_MORTEM, SAMPLES
from rollproof.redaction.redactor import Redactor
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.unit.clock import Clock
from tests.unit.made_incident import SECRET_KEY, MadeIncident, clock
from tests.unit.made_samples import samples, value
from tests.unit.record.test_ledger import late

__all__ = ["clock"]
HEADINGS = (
    "Timeline",
    "Emergency flow",
    "Severity and decision",
    "Actions",
    "Downtime",
    "Data",
    "Contacts and acknowledgements",
    "What failed, and why",
    "What could not be verified",
    "Root cause analysis",
    "Documentation",
    "Re-migration plan",
)


@pytest.fixture
def made(profile: Path, clock: Clock) -> MadeIncident:
    return MadeIncident(load_target(profile), clock)


def section(page: str, name: str) -> str:
    """Return the section with that heading."""
    return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def rows(page: str, name: str) -> list[list[str]]:
    """Return the cells of the tables in a section."""
    lines = [line for line in section(page, name).splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines]


def test_a_whole_incident_is_told(made: MadeIncident) -> None:
    made.tell()
    made.respond()

    path = write_post_mortem(made.folder)

    page = path.read_text(encoding="utf-8")
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == list(HEADINGS)
    assert page.startswith("# Post-mortem of incident one\n\n✅ Passed: every check")
    assert "cannot be trusted" not in page
    flow = {row[0]: row[1:] for row in rows(page, "Emergency flow")}
    assert flow["ASSESS SEVERITY"] == ["30 s", "critical, T+1:05"]
    assert flow["EXECUTE ROLLBACK"] == ["\\< 300 s", "emergency rollback to aaaaaaaaaaaa: passed, 62.0 s"]
    assert flow["VERIFY ROLLBACK"] == ["\\< 180 s", "passed; run 1: 12.0 s"]
    assert "resume operations" in flow["RESUME OPERATIONS or MANUAL INTERVENTION"][1]
    milestones = {row[1]: row[2:4] for row in rows(page, "Timeline") if row[0].startswith("T+1")}
    # The runbook has the issue detected at its T+10, the page at T+0: both are said, as is which is which.
    assert milestones["ISSUE DETECTED"] == ["T+10:00", "T+0:00"]
    assert milestones["ROLLBACK COMPLETE"] == ["T+12:37", "T+2:37"]
    assert "On its clock T+10 is the first bad sample, 26 November 2026" in section(page, "Timeline")
    assert "errors: 100 % of 60" in section(page, "Severity and decision")
    assert "18 samples" in section(page, "Severity and decision")


def test_without_a_response_the_monitor_s_samples_are_the_early_checks(made: MadeIncident) -> None:
    made.watch(14, 200)
    made.clock.turn(2)
    made.roll_back()
    made.check()

    write_post_mortem(made.folder)
    page = (made.folder / POST_MORTEM).read_text()

    severity = section(page, "Severity and decision")
    assert (
        "By the 214 samples of the monitor that are kept in samples.jsonl, until the rollback began"
        in severity
    )
    assert "it was critical: critical, errors: 100 % of" in severity
    assert "from T+0:00 on. The bands are the profile's." in severity
    timeline = section(page, "Timeline")
    assert "| T+10 min | ISSUE DETECTED | T+10:00 | T+0:00 |  |" in timeline
    assert "| T+5 min | EARLY CHECKS | T+0:00 | T-10:00 |" in timeline
    # Before the record begins, and after that.
    assert timeline.count("| sample |") == 2
    assert "from the first bad sample of the monitor to the end" in section(page, "Downtime")
    write_post_mortem(made.folder)
    assert (made.folder / POST_MORTEM).read_text() == page


def test_a_phase_that_came_late_is_among_what_failed(made: MadeIncident) -> None:
    made.roll_back()
    late(made.check(), "phase1", 500)
    write_verdict(made.folder, tally(made.incident, made.target.windows))
    assert "phase1: expected done within 120 s, observed begun after 500.0 s" in section(
        post_mortem(made.folder), "What failed, and why"
    )


def test_every_rollback_of_an_incident_is_told(made: MadeIncident) -> None:
    made.roll_back()
    made.check(wrong=True)
    made.roll_back_backend()
    made.check()

    page = post_mortem(made.folder)

    timeline = section(page, "Timeline")
    emergency, service = "emergency rollback to aaaaaaaaaaaa", "service rollback of backend to aaaaaaaaaaaa"
    for what, took in ((emergency, "62.0 s"), (service, "23.0 s")):
        assert f"| rollback | {what}, from bbbbbbbbbbbb begins | — |" in timeline
        assert f"| rollback | ✅ {what}: passed | {took} |" in timeline
    flow = {row[0]: row[2] for row in rows(page, "Emergency flow")}
    assert flow["EXECUTE ROLLBACK"] == f"{emergency}: passed, 62.0 s; {service}: passed, 23.0 s"
    data = section(page, "Data")
    assert "A service rollback, the last of this incident, puts no data back." in data
    assert f"### What the {emergency} came to\n\n" in data
    assert "| kept | 1,683 | there before" in data
    assert "The counts of the whole are not recorded" not in data


def test_an_earlier_rollback_that_cannot_be_read_is_a_doubt(made: MadeIncident) -> None:
    made.roll_back()
    made.roll_back_backend()
    (made.folder / "earlier-rollback-01.json").write_text("{")

    page = post_mortem(made.folder)

    assert "earlier-rollback-01.json: how the rollback ended is not known" in page
    assert "| rollback | ✅ service rollback of backend to aaaaaaaaaaaa: passed | 23.0 s |" in page


def test_what_the_monitor_does_not_say_is_told_as_such(made: MadeIncident) -> None:
    made.watch()
    made.clock.turn(20)
    made.roll_back()
    said = section(post_mortem(made.folder), "Severity and decision")
    assert "it was unknown: no band is met, and 10 are unknown (no sample of now)." in said


def test_bands_that_no_run_recorded_are_the_runbooks(made: MadeIncident) -> None:
    made.watch()
    made.roll_back()

    page = post_mortem(made.folder)

    assert "The bands are the runbook's: none are recorded." in section(page, "Severity and decision")


def test_the_profile_s_bands_count(clock: Clock, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "[severity.critical]\nerrors = {limit = 100.0, seconds = 600}\n")
    made = MadeIncident(load_target(profile), clock)
    made.watch()
    made.roll_back()
    made.check()

    assert "it was unknown: no band is met. The bands are the profile's." in post_mortem(made.folder)


def test_a_monitor_that_says_another_thing_with_each_beat_fills_no_page(made: MadeIncident) -> None:
    made.watch(0, 0)
    writer = SampleWriter(made.folder / SAMPLES)
    for sample in samples(600, lambda beat: {"health": value(1, ok=beat % 2 == 0)}):
        writer.write(sample)
    writer.close()

    timeline = section(post_mortem(made.folder), "Timeline")

    assert timeline.count("| sample |") == 41
    assert "(and 559 more, which say one thing and another: see samples.jsonl)" in timeline


def test_actions_stand_beside_their_deadlines(made: MadeIncident) -> None:
    made.roll_back()

    actions = {row[1].partition(": ")[0][2:]: row[2:] for row in rows(post_mortem(made.folder), "Actions")}

    assert actions["restore mysql"] == ["40.0 s", "60.0 s", "\N{EM DASH}"]
    assert actions["start the application on the recorded images"] == ["20.0 s", "15.0 s", "LATE"]
    assert "20.0 s of 15.0 s" in section(post_mortem(made.folder), "What failed, and why")


@pytest.mark.parametrize(("slow", "judged"), [(0.0, "within"), (600.0, "EXCEEDED")])
def test_the_downtime_is_held_against_the_objective(made: MadeIncident, slow: float, judged: str) -> None:
    made.clock.turn(slow)
    made.roll_back()
    made.clock.turn(slow)
    made.check()

    (row,) = [row for row in rows(post_mortem(made.folder), "Downtime") if row[0].startswith("downtime")]

    assert row[1:] == [f"{74 + slow:.0f} s", "600 s", judged]


def test_the_objective_is_the_profiles(clock: Clock, tmp_path: Path) -> None:
    path = write_profile(tmp_path)
    path.write_text(f"rto_seconds = 70\n{path.read_text()}")
    made = MadeIncident(load_target(path), clock)
    made.roll_back()
    made.check()

    (row,) = [row for row in rows(post_mortem(made.folder), "Downtime") if row[0].startswith("downtime")]

    assert row[1:] == ["74 s", "70 s", "EXCEEDED"]


def test_a_late_downtime_is_judged_as_the_verification_did(clock: Clock, tmp_path: Path) -> None:
    path = write_profile(tmp_path)
    path.write_text(f"rto_seconds = 70\n{path.read_text()}")
    made = MadeIncident(load_target(path), clock)
    made.roll_back()
    made.check()
    found = record_downtime(made.target, made.incident, 71.5)
    assert found is not None

    page = post_mortem(made.folder)

    assert "❌ Failed: every check of all four phases ran and passed, but the target was down" in page
    (row,) = [row for row in rows(page, "Downtime") if row[0].startswith("downtime")]
    assert row[1:] == [f"{found.seconds:.0f} s", "70 s", "EXCEEDED"]
    assert row[0].endswith("to the verified end")
    assert "verified, later than the objective; nobody ran a response" in section(page, "Emergency flow")
    # The checks are complete, and have passed: what has failed is the objective.
    assert "| VERIFY ROLLBACK | \\< 180 s | passed; run 1" in section(page, "Emergency flow")
    assert "not complete" not in section(page, "Timeline")
    failed = section(page, "What failed, and why")
    assert "- downtime, from the first bad sample" in failed or "- downtime, from the beginning" in failed


def _downtime_of(page: str) -> list[str]:
    """Return the row of the downtime."""
    (row,) = [row for row in rows(page, "Downtime") if row[0].startswith("downtime")]
    return row


def test_the_verdict_and_the_page_count_from_the_same_detection(made: MadeIncident) -> None:
    made.tell()
    made.clock.turn(500)
    made.roll_back()
    made.check()
    counted = _downtime_of(post_mortem(made.folder))
    found = record_downtime(made.target, made.incident, 74.0)
    assert found is not None
    page = post_mortem(made.folder)
    assert found.late
    assert found.since_is == "the detection"
    assert "T+0 is the detection" in page
    assert _downtime_of(page)[1:] == counted[1:] == ["754 s", "600 s", "EXCEEDED"]


def test_another_outage_of_the_incident_is_counted_by_itself(made: MadeIncident) -> None:
    made.roll_back()
    made.check()
    first = record_downtime(made.target, made.incident, 74.0)
    assert first is not None
    made.incident.close()
    made.clock.turn(3600)
    made.roll_back_backend()
    row = _downtime_of(post_mortem(made.folder))
    assert row == ["downtime", "no verified end; 23 s to the end of the record", "600 s", "not known"]
    made.check()
    counted = _downtime_of(post_mortem(made.folder))
    assert counted[1:] == ["35 s", "600 s", "within"]
    again = record_downtime(made.target, made.incident, 35.0)
    assert again is not None
    assert again.since != first.since
    assert _downtime_of(post_mortem(made.folder))[1:] == counted[1:]


def test_looser_bands_of_a_later_run_move_no_recorded_beginning(made: MadeIncident) -> None:
    made.watch()
    made.clock.turn(2)
    made.roll_back()
    made.check()
    found = record_downtime(made.target, made.incident, 74.0)
    assert found is not None
    before = post_mortem(made.folder)
    loose = made.target.severity.model_dump()
    loose["critical"]["errors"]["limit"] = loose["non_critical"]["errors"]["limit"] = 90.0
    made.target = made.target.model_copy(update={"severity": Bands.model_validate(loose)})
    made.check()
    page = post_mortem(made.folder)
    assert f"T+0 is {found.since_is}, " in before
    assert f"T+0 is {found.since_is}, " in page
    assert _downtime_of(page) == _downtime_of(before)


@pytest.mark.parametrize(("passed", "judged"), [(538.04, "not known"), (538.06, "exceeded")])
def test_what_has_no_end_is_judged_as_it_is_shown(made: MadeIncident, passed: float, judged: str) -> None:
    made.roll_back()
    made.clock.turn(passed)
    Journal(made.folder / JOURNAL, str).write("noted", text="the end of the record")
    made.clock.turn(-passed)
    row = _downtime_of(post_mortem(made.folder))
    assert row[3] == judged


def test_a_rollback_that_nobody_verified_has_no_end(made: MadeIncident) -> None:
    made.roll_back()

    page = post_mortem(made.folder)

    assert "⚠️ Broken" in page
    assert "no verified end; 62 s to the end of the record" in section(page, "Downtime")
    assert "- phase1 has not run" in section(page, "What could not be verified")
    assert "no check has run" in section(page, "Emergency flow")


def test_the_data_is_accounted_for_without_a_key_of_it(made: MadeIncident) -> None:
    made.roll_back()

    page = post_mortem(made.folder)

    data = {row[0]: row[1:] for row in rows(page, "Data")}
    assert data["kept"][0] == "1,683"
    assert data["mysql"] == ["1,683", "3", "4", "292", "0"]
    assert "mysql, imagedb.big: no time" in page
    assert "lost-window" in section(page, "Data")
    assert SECRET_KEY not in page
    assert "someone@example.org" not in page


def test_people_who_were_late_and_alerts_that_did_not_arrive_are_named(made: MadeIncident) -> None:
    made.tell()
    made.clock.turn(3600)
    Journal(made.folder / JOURNAL, str).write("noted", text="an hour later")

    page = post_mortem(made.folder)

    people = {row[0]: row[1:] for row in rows(page, "Contacts and acknowledgements")}
    assert people["acknowledged"] == ["T+2:00", "T+3:00", "LATE", "by Ada"]
    assert people["tech lead alerted"][2:] == ["OVERDUE", "NOT DELIVERED: json://here: HTTP 502"]
    assert people["post-mortem called"][2] == "OVERDUE"
    assert "2 overdue" in section(page, "Contacts and acknowledgements")
    assert "tech lead alert by json://here: not delivered: HTTP 500" in page


def test_minutes_that_the_record_has_count(made: MadeIncident) -> None:
    minutes = made.target.contacts.minutes.model_copy(update={"post_mortem": 45.0}).model_dump()
    Journal(made.folder / CONTACTS, str).write(DETECTED, severity="critical", minutes=minutes)
    record = read_record(made.folder)
    assert record.doubts == ()
    assert record.contact_minutes["post_mortem"] == 45


def test_what_failed_and_what_is_not_known_is_named(made: MadeIncident) -> None:
    made.roll_back()
    made.check(reported=5, wrong=True)

    page = post_mortem(made.folder)

    failed = rows(page, "What failed, and why")
    assert [
        "T+1:08",
        "check",
        "checks/phase3.py::test\\_a: users: expected 3, observed 2",
        "ledger/0001",
    ] in failed
    unknown = section(page, "What could not be verified")
    assert unknown.count("it was planned and never reported") == 3
    assert "- blind spot: updated\\_at is excluded" in unknown
    assert "❌ Failed" in page
    # What has ended badly is no milestone that was reached.
    assert "| VERIFICATION COMPLETE | T+11:09 | T+1:09 | ❌ not complete: it has failed |" in page
    assert re.search(r"\\| ROLLBACK COMPLETE \\| [^|]+ \\| [^|]+ \\|  \\|", page)


def test_where_a_writer_may_have_been_unseen_is_named(made: MadeIncident) -> None:
    made.roll_back()
    rollback = made.incident.rollback()
    assert rollback is not None
    made.write_rollback(rollback.started, blind={"redis": "app@10.0.0.9 may have written"})
    made.check()
    unknown = section(post_mortem(made.folder), "What could not be verified")
    assert "- redis: app@10.0.0.9 may have written" in unknown
    verdict = tally(made.incident, Windows())
    assert verdict.blind == {"redis": "app@10.0.0.9 may have written"}


def test_a_rollback_that_failed_is_not_complete(made: MadeIncident) -> None:
    made.roll_back()
    rollback = made.incident.rollback()
    assert rollback is not None
    made.write_rollback(rollback.started, Verdict.FAILED)

    assert "| ROLLBACK COMPLETE | T+11:02 | T+1:02 | ❌ not complete: it has failed |" in post_mortem(
        made.folder
    )


def test_twice_and_elsewhere_it_is_the_same(
    made: MadeIncident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.tell()
    made.respond()
    text = (made.folder / JOURNAL).read_bytes()
    (made.folder / JOURNAL).write_bytes(text + b"torn")
    first = write_post_mortem(made.folder).read_bytes()
    copy = tmp_path / "elsewhere" / made.identity
    shutil.copytree(made.folder, copy)
    (copy / POST_MORTEM).unlink()
    made.clock.turn(1_000_000)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.chdir("/")

    assert write_post_mortem(made.folder).read_bytes() == first
    assert write_post_mortem(copy).read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_what_people_wrote_is_kept(made: MadeIncident) -> None:
    made.roll_back()
    path = write_post_mortem(made.folder)
    before, _, _ = path.read_text().partition(BY_PEOPLE)
    path.write_text(f"{before}edited above\n{BY_PEOPLE}\n\n## Root cause analysis\n\nThe index, *dropped*.\n")

    made.check()
    write_post_mortem(made.folder)

    after = path.read_text()
    assert after.endswith(f"{BY_PEOPLE}\n\n## Root cause analysis\n\nThe index, *dropped*.\n")
    assert "edited above" not in after
    assert "✅ Passed" in after
    path.write_text("all of it by hand\n")
    write_post_mortem(made.folder)
    assert path.read_text().endswith(f"{BY_PEOPLE}\nall of it by hand\n")


def test_what_people_wrote_in_no_known_letters_is_not_overwritten(made: MadeIncident) -> None:
    path = made.folder / POST_MORTEM
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(Unverifiable, match="post-mortem") as refused:
        write_post_mortem(made.folder)
    assert refused.value.exit_code is ExitCode.BROKEN
    assert path.read_bytes() == b"\xff\xfe"


EVIL = "| `x` <script>alert(1)</script> &lt; [a](http://b) **b** # h\n\n## not ours\r\n- \x1b[31m\u202e ~~s~~"


def test_foreign_text_is_shown_as_it_is(made: MadeIncident) -> None:
    made.tell(name=EVIL)
    with Journal(made.folder / JOURNAL, str).step(f"deploy {EVIL}"):
        pass
    made.check(reported=0)

    page = post_mortem(made.folder)

    ours = page.partition("## Root")[0]
    assert "<" not in re.sub(r"\\<", "", ours)
    assert "&" not in re.sub(r"\\&", "", ours)
    assert "`" not in re.sub(r"\\`", "", ours)
    assert "\n## not ours" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    widths = {len(row) for row in rows(page, "Contacts and acknowledgements")}
    assert widths == {3, 5}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("+", "\\+"),
        ("===", "\\==="),
        ("0.1 s", "0.1 s"),
        ("2026-11-26", "2026-11-26"),
        ("-0.5", "-0.5"),
        ("a\\&b", "a\\\\\\&b"),
        ("\udcff", "\\\\udcff"),
    ],
)
def test_no_text_begins_a_list_or_an_entity(text: str, shown: str) -> None:
    assert Page(str).shown(text) == shown


def test_a_secret_is_redacted_before_it_is_escaped(made: MadeIncident) -> None:
    secret = "pa_ss*word<1>"  # noqa: S105 - what must not be seen
    made.tell(name=f"Ada {secret}")

    page = post_mortem(made.folder, Redactor([secret]).text)

    assert "Ada \\[redacted\\]" in page
    assert "pa\\_ss" not in page
    assert secret not in page


def test_what_cannot_be_trusted_is_said_first(made: MadeIncident) -> None:
    made.roll_back()
    path = made.folder / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"145 records", b"999 records"))

    page = post_mortem(made.folder)

    assert page.index("cannot be trusted") < page.index("## Timeline")
    assert "its hash chain holds for 5 records only" in page
    assert "999" not in page


@pytest.mark.parametrize("killed", [False, True])
def test_the_verdict_is_the_one_of_the_run(made: MadeIncident, *, killed: bool) -> None:
    made.roll_back()
    made.check(reported=5 if killed else 8)

    verdict = recounted(read_record(made.folder))

    assert verdict == tally(made.incident, made.target.windows)
    assert verdict.verdict is (Verdict.BROKEN if killed else Verdict.PASSED)


@pytest.mark.parametrize("name", ["rollback.json", "ledger/0001/run.json", "ledger/0001/results.jsonl"])
def test_a_verdict_that_cannot_be_counted_is_broken(made: MadeIncident, name: str) -> None:
    made.roll_back()
    made.check()
    (made.folder / name).write_bytes(b"{]\n")

    verdict = recounted(read_record(made.folder))

    assert verdict.verdict is Verdict.BROKEN
    assert len(verdict.partial) == 1
    assert "⚠️ Broken" in post_mortem(made.folder)
