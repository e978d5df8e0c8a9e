"""What workers are sent, and when their answers are taken over; the rest: `tests/long/unit/test_dask.py`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from distributed.protocol import pickle

from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.incident.ledger import CheckResult, Planned, Run
from rollproof.profile.profile import Target, load_target
from rollproof.profile.scheduling import Scheduling
from rollproof.record_names import JOURNAL
from rollproof.scale.chunk import Chunk, digest_chunk, terms_of
from rollproof.scale.cluster import Cluster
from rollproof.scale.ledger import PartLedger, state_of
from rollproof.stores.contract import Digest
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.world.baseline import FACTS
from tests.world.sandbox import MYSQL, SECRET

SMALL = RecordedCollection(
    division=("", "key-1"), digests=(Digest(1, 1),) * 2, records="mysql.db", excluded=(), seconds=4e-7
)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return write_profile(tmp_path, MYSQL)


def test_a_task_holds_no_secret_and_no_path(target: Target, profile: Path) -> None:
    chunk = Chunk("mysql", "imagedb.files", 0, 1, ("", "key-1"), terms_of(target.stores["mysql"]))
    task = pickle.dumps((digest_chunk, chunk))
    assert b"imagedb.files" in task
    assert not [word for word in (SECRET, "operator", "reader", str(profile)) if word.encode() in task]


def test_a_small_collection_is_read_without_workers(target: Target, tmp_path: Path) -> None:
    baseline = Baseline(tmp_path, "shop", "2026-12-03T12:00:00+00:00", FACTS)
    cluster = Cluster(target, cast("Scheduling", None))
    assert cluster.digests_of("mysql", "imagedb.files", SMALL, baseline) is None


DIGESTS = [Digest(10, 1 << 70), Digest(0, 0), Digest(3, 7)]


def ledger(folder: Path, *terms: str) -> PartLedger:
    return PartLedger(folder / "parts" / "mysql-1.jsonl", "imagedb.files", 9, terms)


def test_answers_of_the_same_terms_are_taken_over(tmp_path: Path) -> None:
    assert ledger(tmp_path, "a").answered() == {}
    ledger(tmp_path, "a").append(4, DIGESTS, "tls://127.0.0.2:1")
    ledger(tmp_path, "b").append(0, DIGESTS[:1], "tls://127.0.0.2:1")
    assert ledger(tmp_path, "a").answered() == {4: DIGESTS[0], 5: DIGESTS[1], 6: DIGESTS[2]}
    assert ledger(tmp_path, "b").answered() == {0: DIGESTS[0]}
    assert ledger(tmp_path, "a", "b").answered() == {}


def test_of_a_torn_line_nothing_is_taken_and_of_a_damaged_file_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "parts" / "mysql-1.jsonl"
    ledger(tmp_path, "a").append(0, DIGESTS, "w")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert set(ledger(tmp_path, "a").answered()) == {0, 1, 2}
    ledger(tmp_path, "a").append(7, DIGESTS[:1], "w")
    assert set(ledger(tmp_path, "a").answered()) == {0, 1, 2, 7}
    path.write_bytes(whole.replace(b'"first": 0', b'"first": -1') + whole)
    assert ledger(tmp_path, "a").answered() == {}


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    incident = new_incident(tmp_path / "incidents", "shop")
    now = Moment.now()
    incident.write_rollback(RollbackRecord("0" * 40, Verdict.PASSED, 1.0, now, now))
    return incident


def test_a_state_has_a_name_while_users_are_kept_out_after_a_rollback_and_nothing_writes(
    incident: Incident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = load_target(write_profile(tmp_path, MYSQL)).application
    out = [True]
    monkeypatch.setattr("rollproof.scale.ledger.kept_out", lambda _: out[0])
    names = [state_of(incident, application)]
    assert names[0] is not None
    assert state_of(incident, application) == names[0]
    # The canary writes in phase 3, and a restore or a replay in a journal, be it of another incident.
    Run.begin(incident.folder, Moment.now(), gated=True).begin_phase("phase3", Moment.now())
    names.append(state_of(incident, application))
    other = new_incident(tmp_path / "incidents", "shop")
    (other.folder / JOURNAL).write_text("{}\n", encoding="utf-8")
    names.append(state_of(incident, application))
    again = Moment.now()
    incident.write_rollback(RollbackRecord("0" * 40, Verdict.PASSED, 1.0, again, again))
    names.append(state_of(incident, application))
    # A run that reported each check of phase 4 has its verdict; what a later one asks, it reads. One that was
    # cut off before is taken over.
    run = Run.begin(incident.folder, Moment.now(), gated=True)
    run.write_plan({"phase4": Planned(("a", "b"))})
    with closing(run.writer()) as results:
        results.write(CheckResult("a", "phase4", Verdict.PASSED, 1.0, "", Moment.now()))
        assert state_of(incident, application) == names[-1]
        results.write(CheckResult("b", "phase4", Verdict.FAILED, 1.0, "", Moment.now()))
    names.append(state_of(incident, application))
    assert len(set(names)) == 5
    out[0] = False
    assert state_of(incident, application) is None
    out[0] = True
    assert state_of(other, application) is None, "no rollback"
