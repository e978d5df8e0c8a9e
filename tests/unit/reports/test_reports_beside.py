"""What is shown beside the results: environment, executor, known limits, the journal's end, checksums."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from fixtures.gating.verification import Verification
from reports.allure.checksums import add_checksums, broken_seals
from reports.incident.journal_end import LONGEST, RECORDS, journal_end
from reports.run.environment import environment, executor
from reports.verdict.known_limits import limits_page
from rollback_actions.session.journal import Journal
from rollproof.baseline.facts import Facts, RecordedCanary, RecordedContent, Surroundings
from rollproof.incident.incident import Incident, RollbackRecord
from rollproof.incident.ledger import Run
from rollproof.incident.origin import Origin
from rollproof.monitoring.wish import Kind
from rollproof.profile.premigration import Waiver
from rollproof.profile.profile import load_target
from rollproof.system.clock import Moment
from rollproof.verdict import RunVerdict, Verdict

COMMIT, OTHER = "a" * 40, "b" * 40


def facts(*blind_spots: str) -> Facts:
    contents = {"redis": RecordedContent(collections={}, schemas={}, positions={}, blind_spots=blind_spots)}
    canary = RecordedCanary(files=(), grounded_in=())
    return Facts(COMMIT, "", (), {}, canary, Surroundings("0"), {}, contents)


@pytest.fixture
def verification(profile: Path, tmp_path: Path) -> Verification:
    folder = tmp_path / "incidents" / "one"
    folder.mkdir(parents=True)
    moment = Moment.now()
    return Verification(
        profile=profile,
        target=load_target(profile),
        incident=Incident("one", folder, "sandbox", moment),
        run=Run(1, folder),
        zero=moment,
        started=moment,
        gated=True,
        baseline=tmp_path / "baseline",
    )


def test_the_environment_names_target_commits_and_versions(verification: Verification) -> None:
    bare = environment(verification, None)
    assert (bare["Target"], bare["Incident"], bare["Profile"]) == ("sandbox", "one", "profile.toml")
    assert bare["Rollproof"] == "0.1.0"
    assert not {"Rolled back to", "Baseline of commit", "Migration to"} & bare.keys()

    moment = Moment.now()
    rollback = RollbackRecord(
        COMMIT, Verdict.PASSED, 2.0, moment, moment, Kind.DATABASE, ("redis",), None, Origin(OTHER)
    )
    verification.incident.write_rollback(rollback)
    full = environment(replace(verification, migration=OTHER), facts())
    assert (full["Rollback"], full["Rolled back to"], full["Rolled back from"]) == (
        "database redis",
        COMMIT,
        OTHER,
    )
    assert (full["Baseline of commit"], full["Migration to"]) == (COMMIT, OTHER)


def test_the_executor_is_the_job_or_a_person() -> None:
    job = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://example.org",
        "GITHUB_REPOSITORY": "team/app",
        "GITHUB_RUN_ID": "7",
        "GITHUB_WORKFLOW": "rollback",
    }
    found = executor("one", job)
    assert (found["name"], found["buildUrl"]) == (
        "GitHub Actions",
        "https://example.org/team/app/actions/runs/7",
    )
    assert found["buildName"] == "rollback 7, incident one"
    person = executor("one", {})
    assert " at " in person["name"]
    assert "url" not in person


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", none)
    assert executor("one", {})["name"].startswith("user ")


def test_known_limits_say_waivers_exclusions_and_blind_spots(verification: Verification) -> None:
    target = verification.target
    waivers = (
        Waiver(item="test_a", name="Ada", reason="it *is* known", expires=date(2999, 1, 1)),
        Waiver(item="test_b", name="Bob", reason="was", expires=date(2000, 1, 1)),
    )
    redis = target.stores["redis"].model_copy(
        update={"exclude": {"user:*": ("seen",)}, "policy": {"session:*": "volatile"}}
    )
    changed = target.model_copy(
        update={
            "premigration": target.premigration.model_copy(update={"waivers": waivers}),
            "stores": {"redis": redis},
        }
    )
    verdict = RunVerdict(
        *("one", "sandbox", Verdict.BROKEN, {}, None, None, "", ""),
        partial=("phase4 has not run",),
        notes=("sampled",),
        blind={"redis": "nobody *has* looked"},
    )

    page = limits_page(verdict, changed, facts("time to live of keys"))

    assert "- test\\_a: waived by Ada, until 2999-01-01: it \\*is\\* known" in page
    assert "- test\\_b: waived by Bob, EXPIRED 2000-01-01, so without effect: was" in page
    assert "- redis/user:\\*: fields not compared: seen" in page
    assert "- redis/session:\\*: counted, not compared (policy volatile)" in page
    assert "- redis: time to live of keys" in page
    assert "- phase4 has not run" in page
    assert "- redis: nobody \\*has\\* looked" in page
    assert "- sampled" in page
    assert "there is no baseline that could be read" in limits_page(verdict, changed, None)


def test_the_journals_end_is_its_last_records_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert journal_end(path) is None
    journal = Journal(path, lambda text: text)
    for number in range(RECORDS + 2):
        journal.write("step", number=number, output="one\ntwo" if number < RECORDS else "x" * (2 * LONGEST))

    text = journal_end(path)

    assert text is not None
    lines = text.splitlines()
    assert len(lines) == RECORDS + 1
    assert lines[0] == "[2 records before these are in journal.jsonl]"
    assert "step number: 2, output: one two" in lines[1]
    assert (
        lines[-1].endswith(f"[the first {LONGEST} of {len(lines[-1]) * 2} characters]") or "… [" in lines[-1]
    )
    assert "hash" not in text


def test_a_journal_that_was_edited_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, lambda text: text)
    journal.write("first")
    journal.write("second")
    path.write_bytes(path.read_bytes().replace(b"second", b"forged"))

    text = journal_end(path)

    assert text is not None
    assert "first" in text
    assert "forged" not in text
    assert "[what follows cannot be trusted: record 1 of the journal: expected" in text


def test_a_journal_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    assert "journal: expected a file that can be read" in str(journal_end(tmp_path / "journal.jsonl"))


def test_checksums_hold_until_a_result_changes(tmp_path: Path) -> None:
    results = tmp_path / "allure-results"
    results.mkdir()
    for name in ("b-result.json", "a-attachment.txt"):
        (results / name).write_text(name)

    written = add_checksums(tmp_path)

    names = [line.split("  ")[1] for line in written.read_text().splitlines()]
    assert names == ["allure-results/a-attachment.txt", "allure-results/b-result.json"]
    assert _checked(tmp_path) == 0
    (results / "b-result.json").write_text("changed")
    assert _checked(tmp_path) == 1


def test_what_was_sealed_stays_so_when_results_are_added(tmp_path: Path) -> None:
    results = tmp_path / "allure-results"
    results.mkdir()
    (results / "b-result.json").write_text("b")
    add_checksums(tmp_path)
    (results / "a-result.json").write_text("a")
    added = add_checksums(tmp_path)
    assert len(added.read_text().splitlines()) == 2
    assert _checked(tmp_path) == 0
    (results / "b-result.json").write_text("changed")
    add_checksums(tmp_path)
    assert _checked(tmp_path) == 1


def test_a_result_that_was_changed_or_taken_away_since_is_named(tmp_path: Path) -> None:
    results = tmp_path / "allure-results"
    results.mkdir()
    for name in ("a-result.json", "b-result.json", "c-attachment.txt", "environment.properties"):
        (results / name).write_text(name)
    written = add_checksums(tmp_path)
    assert list(broken_seals(tmp_path)) == []

    (results / "a-result.json").write_text("made anew")
    add_checksums(tmp_path, {"a-result.json"})
    (results / "environment.properties").write_text("of another run")
    assert list(broken_seals(tmp_path)) == []

    (results / "b-result.json").write_text('{"status": "passed"}')
    (results / "c-attachment.txt").unlink()
    written.write_bytes(written.read_bytes() + b"\xff torn")
    wrong = list(broken_seals(tmp_path))
    assert [text.partition(":")[0] for text in wrong] == [
        "1 lines are damaged",
        "changed since the run that wrote them",
        "missing since the run that wrote them",
    ]
    assert "b-result.json" in wrong[1]
    assert "c-attachment.txt" in wrong[2]
    add_checksums(tmp_path)
    assert list(broken_seals(tmp_path)) == wrong


def _checked(folder: Path) -> int:
    command = ["sha256sum", "--check", "--strict", "--quiet", "allure-results.sha256"]
    return subprocess.run(command, cwd=folder, check=False, timeout=60, capture_output=True).returncode
