"""What comparing with a baseline finds, on stand-ins of readers; what is gone before its time is lost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fixtures.cases import of_baseline
from reports.answers.comparison import Comparison, comparison_lines
from rollproof.baseline.demands import demands_of
from rollproof.baseline.folder import MANIFEST, recorded_collection
from rollproof.baseline.recording import record_content
from rollproof.cli.command_line import main
from rollproof.collection import Case, Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, ExitCode, Unverifiable
from rollproof.judgement.finding import Aspect, Finding
from rollproof.monitoring.probes import record_probe
from rollproof.monitoring.probes.record_probe import Missed, missed_records
from rollproof.observation.observation import findings_on
from rollproof.observation.store import StoreReading
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import Policy
from rollproof.runbook import store_in
from rollproof.stores.contract import LOAD_STATE, LOADED, RecordHash
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.unit.command_line import read_document
from tests.unit.stores.test_readers_reach import section
from tests.world.sandbox import MYSQL
from tests.world.stores import BaselineRecorder, Content, Searchable, opener

ENGINE = cast("ContainerEngine", None)
RECORDS = [RecordHash("k1", 1), RecordHash("k2", 2)]
BOTH = {"a": RECORDS, "b": RECORDS}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.abcDEF123456789"


def with_policy(folder: Path, policy: str) -> Target:
    return load_target(write_profile(folder, f"policy = {policy}\n"))


def finding_on(name: str, verdict: Verdict, observed: str) -> Finding:
    """Return a finding on the records of a collection."""
    return Finding(
        *("redis", name, Aspect.RECORDS, verdict, f"records of {name}"),
        *("those of the baseline", observed, "redis", "restore it"),
    )


def found(target: Target, recorder: BaselineRecorder, content: Content) -> list[tuple[str, Verdict]]:
    """Return the aspects that did not pass, and those of records."""
    reading = StoreReading(target, ENGINE, lambda: recorder.baseline, open_reader=opener(content))
    return [
        (f"{one.store}/{one.name} {one.aspect}", one.verdict)
        for one in findings_on(reading)
        if one.verdict is not Verdict.PASSED or one.aspect is Aspect.RECORDS
    ]


def test_what_was_volatile_at_the_capture_and_is_exact_now(target: Target, tmp_path: Path) -> None:
    recorder = BaselineRecorder(tmp_path, volatile=frozenset("b")).add(Content("redis", BOTH))
    emptied = Content("redis", {"a": RECORDS, "b": []})
    assert ("redis/b records", Verdict.BROKEN) in found(target, recorder, emptied)
    assert of_baseline(target, recorder.baseline.facts)["content"] == [Case("redis", "a"), Case("redis", "b")]
    with pytest.raises(Unverifiable, match=r"content of b of redis: .*\nHINT: .*capture a new baseline"):
        recorded_collection(recorder.baseline, target, "redis", "b")


def test_what_was_exact_at_the_capture_and_is_volatile_now(tmp_path: Path) -> None:
    demands = demands_of(with_policy(tmp_path, '{b = "exact"}'))
    target = with_policy(tmp_path, '{b = "volatile"}')
    recorder = BaselineRecorder(tmp_path, demands=demands).add(Searchable("redis", BOTH))
    emptied = Searchable("redis", {"a": RECORDS, "b": []})
    wanted = [("redis/redis profile", Verdict.BROKEN), ("redis/a records", Verdict.PASSED)]
    assert found(target, recorder, emptied) == wanted
    names = of_baseline(target, recorder.baseline.facts)
    assert names["content"] == names["searched"] == [Case("redis", "a")]


def test_a_store_that_the_profile_gave_up(target: Target, tmp_path: Path) -> None:
    recorder = BaselineRecorder(tmp_path).add(Content("redis", BOTH)).add(Searchable("old", BOTH))
    assert found(target, recorder, Content("redis", BOTH))[0] == ("old/old profile", Verdict.BROKEN)
    names = of_baseline(target, recorder.baseline.facts)
    assert names["store"] == ["redis", "old"]
    others = [name for fixture, several in names.items() if fixture != "store" for name in several]
    assert not [name for name in others if store_in(name) == "old"], "nothing can be asked of it"


def test_one_collection_that_is_gone_hides_no_other_finding(target: Target, tmp_path: Path) -> None:
    recorder = BaselineRecorder(tmp_path).add(Searchable("redis", BOTH))
    damaged = Searchable("redis", {"b": RECORDS[1:]}, astray=None)
    assert found(target, recorder, damaged) == [
        ("redis/a schema", Verdict.FAILED),
        ("redis/a count", Verdict.FAILED),
        ("redis/b count", Verdict.FAILED),
        ("redis/b records", Verdict.FAILED),
        ("redis/b recall", Verdict.FAILED),
        ("redis/positions positions", Verdict.BROKEN),
    ]


def test_a_store_that_is_of_another_kind_now(target: Target, tmp_path: Path) -> None:
    demands = {"redis": {**demands_of(target)["redis"], "kind": "qdrant"}}
    recorder = BaselineRecorder(tmp_path, demands=demands).add(Searchable("redis", {"a": RECORDS}))
    assert found(target, recorder, Content("redis", {"a": RECORDS})) == [
        ("redis/redis profile", Verdict.BROKEN),
        ("redis/a records", Verdict.PASSED),
        ("redis/a recall", Verdict.FAILED),
    ]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.PASSED, ExitCode.VERIFIED),
        (Verdict.FAILED, ExitCode.FAILED),
        (Verdict.BROKEN, ExitCode.BROKEN),
    ],
)
def test_programs_get_each_finding(
    profile: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verdict: Verdict,
    code: ExitCode,
) -> None:
    """A blind spot and the finding hold a secret."""
    secret = "s3cret-of-the-canary"  # noqa: S105 - what must not be seen
    finding = finding_on("0:token:*", verdict, f"missing 2 (token:{JWT}, {secret})")
    recorder = BaselineRecorder(tmp_path).add(Content("redis", BOTH, blind_spots=(f"not {secret}",)))
    (tmp_path / MANIFEST).touch()
    monkeypatch.setattr("rollproof.baseline.folder.load_baseline", lambda *_: recorder.baseline)
    monkeypatch.setattr("rollproof.engines.engine.open_engine", lambda _: ENGINE)
    monkeypatch.setattr("rollproof.observation.observation.findings_on", lambda *_, **__: [finding])
    monkeypatch.setattr("sys.argv", ["x", "compare", str(tmp_path), f"--target={profile}", "--json"])
    assert main() is code
    redacted = replace(finding, observed="missing 2 (token:[redacted], [redacted])")
    assert read_document(*capsys.readouterr(), code).result == Comparison(
        tmp_path.name, verdict, {"redis": ("not [redacted]",)}, (redacted,)
    )


def test_a_capture_reads_all_that_was_counted(target: Target, tmp_path: Path) -> None:
    # Of a store that keeps versions.
    target = target.model_copy(update={"stores": {"redis": section("s3")}})
    content = Content("redis", {**BOTH, "versions a": RECORDS, "view c": []}, hidden=frozenset("b"))
    opened = opener(content)
    with pytest.raises(ActionFailed, match="no schema of b"):
        record_content(target, ENGINE, "redis", {"a": 2, "b": 2}, tmp_path, opened)
    recorded = record_content(target, ENGINE, "redis", {"a": 2}, tmp_path, opened)
    assert list(recorded.collections) == ["a", "versions a"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "records").rglob("*.db")} == {0o600}
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o700


def test_a_collection_that_was_loading_is_recorded_as_it_came_to_be(target: Target, tmp_path: Path) -> None:
    class Loading(Content):
        """Its collection is loaded once its records have been read."""

        def schemas(self) -> Mapping[str, Json]:
            return {name: {LOAD_STATE: LOADED if read else "loading"} for name in self.content}

        def found(self, collection: str) -> Sequence[RecordHash]:
            read.append(collection)
            return super().found(collection)

    read = list[str]()
    recorded = record_content(
        target, ENGINE, "redis", {"a": 2}, tmp_path, opener(Loading("redis", {"a": RECORDS}))
    )
    assert recorded.schemas == {"a": {LOAD_STATE: LOADED}}


@pytest.mark.parametrize("limits", [False, True])
def test_the_verdict_is_the_first_line_and_then_what_is_wrong(limits: bool) -> None:  # noqa: FBT001 - a case
    findings = (
        finding_on("a", Verdict.PASSED, "nothing"),
        replace(
            finding_on("b", Verdict.FAILED, "missing 2"), users_policy=Policy.DELETES, notes=("sampled",)
        ),
    )
    comparison = Comparison("20261203", Verdict.FAILED, {"redis": ("a blind spot",)}, findings)
    verdict, wrong, hint, right, note, proposal, last = comparison_lines(comparison, limits=limits)
    assert 'policy = {"b" = "deletes"}' in proposal
    assert verdict == "compared with 20261203: failed"
    assert wrong == "failed records of b: expected those of the baseline, observed missing 2 (from redis)"
    assert (hint.strip(), note) == ("HINT: restore it", "note: sampled")
    assert right == "passed records of a: nothing"
    assert ("a blind spot" in last) is limits


PAST, FUTURE = 1.0, time.time() + 1e6
BEFORE = {
    "a": [RecordHash("1", 1), RecordHash("2", 2), RecordHash("3", 3, expires=PAST), RecordHash("4", 4)],
    "b": [RecordHash("5", 5, expires=PAST), RecordHash("6", 6, expires=FUTURE)],
}


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        ({**BEFORE, "a": [BEFORE["a"][place] for place in (0, 1, 3)]}, Missed({}, 1)),
        ({**BEFORE, "a": [BEFORE["a"][place] for place in (0, 2, 3)]}, Missed({"a": 1}, 0)),
        ({**BEFORE, "a": BEFORE["a"][:2]}, Missed({"a": 1}, 1)),
        ({**BEFORE, "a": [RecordHash("9", 9), *BEFORE["a"][:2]]}, Missed({"a": 1}, 1)),
        ({"a": BEFORE["a"], "b": []}, Missed({"b": 1}, 1)),
        ({"a": BEFORE["a"]}, Missed({"b": 1}, 1)),
        ({}, Missed({"a": 3, "b": 1}, 2)),
    ],
    ids=["expired", "gone", "both", "another came", "emptied", "dropped", "all dropped"],
)
def test_what_is_gone_is_lost_unless_it_had_expired(
    now: Mapping[str, Sequence[RecordHash]], missed: Missed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = BaselineRecorder(tmp_path).add(Content("mysql", BEFORE)).baseline
    target = load_target(write_profile(tmp_path, MYSQL))
    monkeypatch.setattr(record_probe, "open_reader", lambda *_: Content("mysql", now))
    fewer = {name: len(now.get(name, ())) for name in BEFORE if len(now.get(name, ())) < len(BEFORE[name])}
    engine = cast("ContainerEngine", None)
    assert missed_records(target, engine, baseline, "mysql", fewer) == missed


def test_what_users_may_have_deleted_is_not_lost_from_an_emptied_collection(tmp_path: Path) -> None:
    baseline = BaselineRecorder(tmp_path).add(Content("mysql", BEFORE)).baseline
    target = load_target(write_profile(tmp_path, f'{MYSQL}policy = {{"*" = "deletes"}}\n'))
    engine = cast("ContainerEngine", None)
    assert missed_records(target, engine, baseline, "mysql", {"a": 0, "b": 0}) == Missed({}, 2)
