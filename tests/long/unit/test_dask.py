"""Comparing by Dask: real schedulers and workers, over TLS; in the place of a store they have a stand-in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import Target, load_target
from rollproof.scale.cluster import Cluster, CollectionDigests
from rollproof.stores.contract import Digest
from rollproof.system.side_by_side import Workers
from tests.conftest import ROOT, write_profile
from tests.dask_cluster import DaskCluster
from tests.long.unit.dask_stand_in import CONTROL, PARTS, bound, digest_of
from tests.world.baseline import FACTS
from tests.world.sandbox import MYSQL

RECORDED = RecordedCollection(
    division=tuple(map(bound, range(PARTS))),
    digests=tuple(map(digest_of, range(PARTS))),
    records="records/mysql.db",
    excluded=(),
    seconds=PARTS * 1.0,
)
EVERY = range(PARTS)
EXPECTED = {part: digest_of(part) for part in EVERY}
SECONDS = 60.0
pytestmark = pytest.mark.long(minutes=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def control(folder: Path) -> Path:
    return folder / "control"


@pytest.fixture(scope="module")
def profile(folder: Path) -> Path:
    return write_profile(folder, MYSQL)


@pytest.fixture(scope="module")
def dask(folder: Path, control: Path) -> Iterator[DaskCluster]:
    # The worker's own profile has another address, and no operator's password that could be read.
    theirs = folder / "workers.toml"
    stores = MYSQL.replace("port = 9}", "port = 10}").replace(
        '{user = "operator", password = {file', "{no = {no"
    )
    theirs.write_text(stores, encoding="utf-8")
    environment = {
        "ROLLPROOF_TARGET": str(theirs),
        CONTROL: str(control),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        # A worker has no part in reserve, which would count as one that it died of.
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",
    }
    preload = str(ROOT / "tests/long/unit/dask_stand_in.py")
    with DaskCluster(folder / "cluster", environment, preload) as running:
        yield running


@pytest.fixture(autouse=True)
def one_part_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollproof.scale.cluster.CHUNK_SECONDS", 1e-6)


@pytest.fixture
def target(profile: Path) -> Target:
    return load_target(profile)


def told_nothing(control: Path) -> None:
    """Remove what the last test has told; a task of it may still write that it was begun."""
    control.mkdir(exist_ok=True)
    for path in control.iterdir():
        path.unlink()


@pytest.fixture
def three(dask: DaskCluster, control: Path) -> DaskCluster:
    """The cluster with three workers at least, told nothing."""
    told_nothing(control)
    living = [worker for worker in dask.workers if worker.poll() is None]
    if len(living) < 3:
        dask.add_workers(3 - len(living))
    return dask


@pytest.fixture
def cluster(target: Target, three: DaskCluster) -> Iterator[Cluster]:
    with Cluster(target, three.profile()) as opened:
        yield opened


def digests_of(
    cluster: Cluster, folder: Path, *, state: str | None = None, seconds: float = SECONDS
) -> CollectionDigests:
    baseline = Baseline(folder / "baselines" / "b1", "shop", "then", FACTS)
    found = cluster.digests_of(
        "mysql", "imagedb.files", RECORDED, baseline, seconds=seconds, incident=folder, state=state
    )
    assert found is not None
    return found


def read(digests: CollectionDigests, parts: Sequence[int] = EVERY) -> dict[int, Digest]:
    pairs = list(digests.digest(parts))
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def once_begun(control: Path, parts: int) -> None:
    """Wait until so many parts were begun: held, each is another worker's."""
    give_up = time.monotonic() + SECONDS
    while len(list(control.glob("did-*"))) < parts:
        assert time.monotonic() < give_up
        time.sleep(0.02)


def held(control: Path) -> Path:
    """Make all parts wait until the file is removed."""
    hold = control / "hold"
    hold.touch()
    return hold


@contextmanager
def collected(found: Iterator[tuple[int, Digest]]) -> Iterator[dict[int, Digest]]:
    """Read on in a thread while the body does something to the workers; all is there when it ends."""
    answers: dict[int, Digest] = {}
    with Workers(1, "reading") as one:
        future = one.begin(lambda: answers.update(found))
        yield answers
        future.result(SECONDS)


def refused(digests: CollectionDigests) -> Unverifiable:
    with pytest.raises(Unverifiable) as caught:
        read(digests)
    return caught.value


def test_what_a_worker_did_that_was_killed_is_done_by_another(
    cluster: Cluster, three: DaskCluster, tmp_path: Path, control: Path
) -> None:
    hold = held(control)
    digests = digests_of(cluster, tmp_path)
    found = digests.digest(EVERY)
    with collected(found) as answers:
        once_begun(control, 3)
        three.workers[-1].kill()
        three.workers[-1].wait(SECONDS)
        hold.unlink()
    assert dict(answers) == EXPECTED
    again = [path.name for path in control.glob("did-*") if len(path.read_text()) > 1]
    assert again, "the parts of the killed worker"


@pytest.mark.parametrize(
    ("told", "text", "means"),
    [
        (
            "die-5",
            "parts 5 to 5 of imagedb.files of mysql: .* observed 2 workers died that had it",
            "crash",
        ),
        (
            "raise-5",
            "parts 5 to 5 of imagedb.files of mysql: .* observed ZeroDivisionError: of ours",
            "crash",
        ),
        (
            "short-5",
            "expected each part that was asked for, once, observed 0 digests for parts 5 to 5",
            "other",
        ),
        (
            "refuse-5",
            r"observed store mysql: expected an answer, .* \(from tls:.*\nHINT: start it",
            "other",
        ),
    ],
)
def test_a_part_that_cannot_be_read_is_broken_by_its_name(
    cluster: Cluster, tmp_path: Path, control: Path, told: str, text: str, means: str
) -> None:
    (control / told).touch()
    error = refused(digests_of(cluster, tmp_path))
    assert error.means is Meaning(means)
    with pytest.raises(Unverifiable, match=text):
        raise error


def test_parts_without_an_answer_in_time_are_broken(
    target: Target, three: DaskCluster, tmp_path: Path, control: Path
) -> None:
    held(control)
    for answer_seconds, seconds in ((0.5, SECONDS), (SECONDS, 0.5)):
        with Cluster(target, three.profile(answer_seconds)) as cluster:
            error = refused(digests_of(cluster, tmp_path, seconds=seconds))
        assert error.means is Meaning.TIMEOUT
        assert f"observed {PARTS} without an answer, as parts 0 to 0 of imagedb.files" in str(error)


def test_a_worker_with_another_profile_is_broken(target: Target, three: DaskCluster, tmp_path: Path) -> None:
    store = target.stores["mysql"].model_copy(update={"exclude": {"*": ("changed",)}})
    other = target.model_copy(update={"stores": {"mysql": store}})
    with Cluster(other, three.profile()) as cluster:
        error = refused(digests_of(cluster, tmp_path))
    assert "section stores.mysql of the worker's profile: expected that of the controller" in str(error)


def test_what_was_answered_is_taken_over_in_the_same_state_alone(
    cluster: Cluster, tmp_path: Path, control: Path
) -> None:
    (control / "refuse-30").touch()
    refused(digests_of(cluster, tmp_path, state="after rollback 1"))
    (control / "refuse-30").unlink()
    done = {path.name for path in control.glob("did-*")}
    for path in control.glob("did-*"):
        path.unlink()
    again = digests_of(cluster, tmp_path, state="after rollback 1")
    assert read(again) == EXPECTED
    twice = done & {path.name for path in control.glob("did-*")}
    assert len(twice) < len(done) / 2, "only what had begun and not answered"
    assert "users were kept out; " in again.evidence
    assert "parts were read by an earlier run, in the same state" in again.evidence
    read(digests_of(cluster, tmp_path, state="after rollback 2"))
    assert len(list(control.glob("did-*"))) == PARTS, "begun again"
