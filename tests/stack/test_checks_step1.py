"""Step 1 on the real stack: a backup that is not as it should be is red, and a good one restores.

Faults of the backup are made in a copy of the set, faults of the stores in the stores.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from fixtures.files import sha256_of
from fixtures.git import git
from rollback_actions.backup import MANIFEST, manifest_text
from rollback_actions.stores import package
from staging.operators import Operators, undone
from staging.stack import Stack
from tests.pytester.conftest import Outcome
from tests.stack import damage
from tests.stack.kafka_scratch import Scratch as KafkaScratch
from tests.stack.scratch_project import docker
from tests.stack.verifier import Red, Verifier, expect

STORES = ("mysql", "mongodb", "redis", "qdrant", "milvus", "minio", "kafka")
RESTORES = "test_backup_restores"
WITHOUT_RESTORE = ("-k", f"not {RESTORES}")
OF_THE_PACKAGE = (
    "test_backup_is_whole",
    "test_backup_is_of_the_kind_that_its_risk_demands",
    "test_backup_is_in_proportion",
)
RECENT, POINT, COMMIT = (
    "test_backup_is_recent",
    "test_backups_are_of_one_recovery_point",
    "test_backup_is_of_this_commit",
)
WHOLE, KIND, PROPORTION = OF_THE_PACKAGE
RETAINED, VERSIONED = "test_log_is_retained_past_the_replay_horizon", "test_bucket_keeps_versions"
DAY = 24 * 3600.0
OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRATCH = "rollproof-staging-scratch"
WAIT_SECONDS = 120.0
Record = dict[str, Any]


def of(check: str, store: str) -> str:
    return f"{check}[{store}]"


@dataclass(frozen=True)
class Backups:
    """A copy of the folder of backups, in which one set may be damaged."""

    verifier: Verifier
    migration: str
    folder: Path

    @property
    def set(self) -> Path:
        """The folder of the set."""
        (manifest,) = self.folder.glob(f"*/{MANIFEST}")
        return manifest.parent

    def run(self, *options: str, **variables: str) -> Outcome:
        """Run step 1 on this copy, without restoring it."""
        folders = {"FOLDERS__BACKUPS": str(self.folder)}
        given = (f"--migration={self.migration}", *WITHOUT_RESTORE, *options)
        return self.verifier.run("step1", *given, **{**folders, **variables})

    def reseal(self, change: Callable[[Record], object]) -> None:
        """Have the set say something else, as if it had been written so."""
        manifest = json.loads((self.set / MANIFEST).read_text())
        change(manifest)
        (self.set / MANIFEST).write_bytes(manifest_text(manifest))

    def repack(self, store: str, change: Callable[[Record], object], *, seal: bool = True) -> None:
        """Have the backup of a store say something else; without `seal` the set does not know of it."""
        path = self.set / store / package.MANIFEST
        content = json.loads(path.read_text())["content"]
        change(content)
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps({"content": content, "sha256": digest}))
        if seal:
            self.reseal(lambda manifest: manifest["sealed"].update({store: sha256_of(path)}))

    def file(self, store: str, suffix: str) -> Path:
        """Return the largest data file of a store with that suffix."""
        found = [path for path in (self.set / store).rglob("*") if path.is_file() and path.suffix == suffix]
        return max((p for p in found if p.name != package.MANIFEST), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def backup(verifier: Verifier) -> Path:
    """A backup and a baseline of the stack as it is."""
    return verifier.back_up()


@pytest.fixture(scope="module")
def migration(stack: Stack) -> str:
    """The commit that is to be promoted; step 1 does not look into it."""
    return git(stack.state.application, "rev-parse", "release-2")


@pytest.fixture
def backups(verifier: Verifier, migration: str, backup: Path, tmp_path: Path) -> Backups:
    """A copy that may be damaged."""
    shutil.copytree(backup, tmp_path / "backups" / backup.name)
    return Backups(verifier, migration, tmp_path / "backups")


def update(record: Record, **fields: str) -> None:
    record.update(fields)


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


def cut(path: Path, left: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(left)


def of_the_package(store: str, *words: str) -> dict[str, Red]:
    """Return the checks that read all of the backup of a store, red for one reason."""
    return {of(check, store): ("failed", f"backup of {store}: ", *words) for check in OF_THE_PACKAGE}


def all_of_the_set(*words: str) -> dict[str, Red]:
    """Return all checks that need a set, red for one reason."""
    names = [COMMIT, POINT, *(of(check, store) for check in (*OF_THE_PACKAGE, RECENT) for store in STORES)]
    return dict.fromkeys(names, ("failed", "newest backup of staging: expected a complete set", *words))


def test_a_backup_of_now_is_in_order(backups: Backups) -> None:
    outcome = backups.run()
    expect(outcome, {})
    notes = {name: " ".join(result["notes"]) for name, result in outcome.results().items()}
    assert " records in 4 collections" in notes[of(PROPORTION, "mongodb")]
    assert "risk high: snapshot of all volumes" in notes[of(KIND, "milvus")]
    assert "all 7 stores within" in notes[POINT]
    assert "task_generation: 604800 s" in notes[of(RETAINED, "kafka")]


def test_one_flipped_bit_is_refused(backups: Backups) -> None:
    red: dict[str, Red] = {}
    for store, suffix in (
        *(("mysql", ".sql"), ("mongodb", ".bson"), ("qdrant", ".snapshot"), ("kafka", ".jsonl")),
        *(("minio", ""), ("redis", ".jsonl"), ("milvus", ".tar")),
    ):
        path = backups.file(store, suffix)
        flip_a_bit(path)
        name = str(path.relative_to(backups.set / store))
        red |= of_the_package(store, f"expected {name} with SHA-256 ", "it was changed")
    expect(backups.run(), red)


def test_a_file_that_was_cut_is_refused(backups: Backups) -> None:
    dump = backups.file("mysql", ".sql")
    cut(dump, dump.stat().st_size - 40)
    expect(backups.run(), of_the_package("mysql", "expected dump.sql of ", ": it was cut"))


def test_a_dump_that_was_cut_before_it_was_sealed_is_refused(backups: Backups) -> None:
    dump = backups.file("mysql", ".sql")
    cut(dump, dump.stat().st_size - 40)
    sealed = {"size": dump.stat().st_size, "sha256": sha256_of(dump)}
    backups.repack("mysql", lambda content: content["files"].update({"dump.sql": sealed}))
    expect(backups.run(), of_the_package("mysql", "expected a dump with its trailer", "it was cut"))


def test_an_index_that_was_changed_is_refused(backups: Backups) -> None:
    flip_a_bit(backups.set / "index" / "qdrant.json")
    expect(backups.run(), of_the_package("qdrant", "expected an index with SHA-256", "it was changed"))


def test_the_package_of_another_set_is_refused(backups: Backups) -> None:
    backups.repack("mongodb", lambda content: content.update(method=f"{content['method']} "), seal=False)
    expect(
        backups.run(), of_the_package("mongodb", "backup.json that the set was sealed with", "another one")
    )


def test_a_set_that_was_cut_is_refused_though_an_older_one_is_whole(backups: Backups) -> None:
    newer = backups.folder / "29990101T000000000Z-staging"
    shutil.copytree(backups.set, newer)
    (newer / MANIFEST).unlink()
    expect(backups.run(), all_of_the_set(f"one without {MANIFEST}: it was cut", newer.name))
    newer.rename(newer.with_name(f".{newer.name}.part"))
    expect(backups.run(), all_of_the_set("one that was begun and is not finished: it was cut, or it runs"))


def test_a_damaged_or_foreign_manifest_is_refused(backups: Backups) -> None:
    manifest = backups.set / MANIFEST
    text = manifest.read_text()
    backups.reseal(lambda record: record.update(target="production"))
    expect(backups.run(), all_of_the_set("observed one of target production"))
    manifest.write_text(text.replace('"size": ', '"size": 1', 1))
    expect(backups.run(), all_of_the_set("observed a damaged one"))
    manifest.write_text("{")
    expect(backups.run(), all_of_the_set("observed a damaged one"))


def test_no_backup_at_all_is_refused(backups: Backups, tmp_path: Path) -> None:
    for folder in ("empty", "nowhere"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        outcome = backups.run(FOLDERS__BACKUPS=str(tmp_path / folder))
        expect(outcome, all_of_the_set("observed none"))


def test_a_store_that_is_not_in_the_set_is_refused(backups: Backups) -> None:
    def leave_out(record: Record) -> None:
        for key in ("stores", "sealed", "taken"):
            del record[key]["qdrant"]

    shutil.rmtree(backups.set / "qdrant")
    backups.reseal(leave_out)
    absent = ("failed", "backup of qdrant: ", "observed none: ")
    expect(
        backups.run(),
        {**of_the_package("qdrant", "none: the set holds"), of(RECENT, "qdrant"): absent, POINT: absent},
    )


def test_yesterdays_backup_is_refused(backups: Backups) -> None:
    def age(record: Record) -> None:
        for moments in record["taken"].values():
            for moment in moments:
                moment["since_boot"] -= DAY

    backups.reseal(age)
    red = {
        of(RECENT, store): ("failed", "expected begun at most 21600 s ago, observed 86") for store in STORES
    }
    expect(backups.run(), red)


def test_a_backup_from_the_future_is_refused(backups: Backups) -> None:
    backups.reseal(lambda record: record["taken"]["redis"][0].update(since_boot=1e9))
    outcome = backups.run(PREMIGRATION__BACKUP__SKEW_SECONDS="2000000000")
    expect(outcome, {of(RECENT, "redis"): ("failed", "expected begun at most 21600 s ago, observed -")})


def test_stores_of_two_recovery_points_are_refused(backups: Backups) -> None:
    def set_back(record: Record) -> None:
        for moment in record["taken"]["minio"]:
            moment["since_boot"] -= 400

    backups.reseal(set_back)
    expect(backups.run(), {POINT: ("failed", "expected at most 300 s, observed 4")})


def test_a_backup_of_another_commit_is_refused(backups: Backups) -> None:
    backups.reseal(lambda record: record.update(commit=OTHER_COMMIT))
    expect(backups.run(), {COMMIT: ("failed", f"observed {OTHER_COMMIT}")})


@pytest.mark.parametrize(
    ("methods", "variables"),
    [
        (
            {
                "mysql": "mysqldump --lock-tables",
                "mongodb": "mongoexport",
                "qdrant": "scrolled points",
                "milvus": "export of each collection",
                "kafka": "offsets",
                "redis": "nothing kept",
                "minio": "listing of all objects",
            },
            {},
        ),
        (
            {
                "mysql": "mysqldump --single-transaction; not of one moment, having no transactions: x",
                "redis": "DUMP of each key",
            },
            {"STORES__REDIS__RESTORE": "flush"},
        ),
    ],
    ids=["others", "weaker"],
)
def test_a_backup_by_other_means_is_refused(
    backups: Backups, methods: dict[str, str], variables: dict[str, str]
) -> None:
    red: dict[str, Red] = {}
    for store, method in methods.items():
        backups.repack(store, partial(update, method=method))
        red[of(KIND, store)] = ("failed", f"backup of {store}, risk ", f"observed {method} ")
    expect(backups.run(**variables), red)


def test_a_profile_weaker_than_the_matrix_is_refused(backups: Backups) -> None:
    outcome = backups.run(STORES__MILVUS__RISK="medium")
    assert outcome.code == 4
    assert "stores.milvus.risk: expected high, as the data safety matrix has it" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_collection_that_is_missing_or_too_small_is_refused(backups: Backups, operators: Operators) -> None:
    documents = operators.mongodb["mongodb"]
    half = documents["model_config"].count_documents({}) // 2
    with undone(lambda: documents.drop_collection("later")):
        documents["later"].insert_many([{"n": n} for n in range(3)])
        outcome = backups.run()
    expect(outcome, {of(PROPORTION, "mongodb"): ("failed", "mongodb.later: none of 3")})
    with undone(lambda: documents["model_config"].delete_many({"later": True})):
        documents["model_config"].insert_many(
            [{"username": f"later-{n}", "later": True} for n in range(half)]
        )
        outcome = backups.run()
    expect(outcome, {of(PROPORTION, "mongodb"): ("failed", "mongodb.model_config: ", "but for 5 %")})


def test_a_log_that_forgets_too_soon_is_refused(backups: Backups, operators: Operators) -> None:
    outcome = backups.run(PREMIGRATION__BACKUP__REPLAY_SECONDS="999999")
    short = ("failed", "expected 999999 s or longer, whatever the size, observed task_generation: 604800 s")
    expect(outcome, {of(RETAINED, "kafka"): short})

    scratch = KafkaScratch(operators.kafka, "scratch_step1_")
    for configurations, verdict, words in (
        ([{}], "broken", ("scratch_step1_jobs0",)),
        (
            [
                {"retention.ms": "-1", "retention.bytes": "1000"},
                {"cleanup.policy": "compact", "retention.ms": "-1"},
            ],
            "failed",
            ("scratch_step1_jobs0: for ever, at most 1000 bytes", "scratch_step1_jobs1: for ever, compacted"),
        ),
    ):
        topics = [f"{scratch.topic}{number}" for number in range(len(configurations))]
        with ExitStack() as deleted:
            for topic, configuration in zip(topics, configurations, strict=True):
                scratch.create(topic, 1, configuration)
                deleted.callback(scratch.delete, topic)
            outcome = backups.run(STORES__KAFKA__TOPICS=json.dumps(["task_generation", *topics]))
        expect(
            outcome,
            {
                of(RETAINED, "kafka"): (verdict, *words),
                of(PROPORTION, "kafka"): ("failed", f"{topics[0]}: none of 0"),
            },
        )
    outcome = backups.run(STORES__KAFKA__TOPICS='["nothing_of_that_name"]')
    nothing = {
        of(RETAINED, "kafka"): ("failed", "topics of kafka: expected one at least"),
        of(PROPORTION, "kafka"): ("broken", "collections of kafka: expected one at least"),
    }
    expect(outcome, nothing)


def test_a_bucket_that_is_its_own_backup_keeps_versions(
    backups: Backups, operators: Operators, stack: Stack
) -> None:
    name = "scratch-step1"
    variables = {
        "STORES__MINIO__BACKUP": "versions",
        "STORES__MINIO__BUCKETS": json.dumps(["minio-file", name]),
        # The stack's reader may read the application's bucket alone.
        "STORES__MINIO__READER__USER": "operator",
        "STORES__MINIO__READER__PASSWORD__FILE": str(stack.root / ".staging/secrets/s3_operator"),
    }
    kind = {
        of(KIND, "minio"): ("failed", "whose contents are versions that the bucket keeps", "a copy of each")
    }
    absent = {of(PROPORTION, "minio"): ("failed", f"{name}: none of 0")}
    operators.s3.make_bucket(name)
    with undone(lambda: operators.s3.remove_bucket(name)):
        off = {of(VERSIONED, "minio"): ("failed", "expected Enabled for every bucket", name)}
        expect(backups.run(**variables), {**kind, **absent, **off})
        operators.s3.set_bucket_versioning(name, VersioningConfig(ENABLED))
        expect(backups.run(**variables), {**kind, **absent})


def test_a_store_that_is_down_is_unknown(backups: Backups, stack: Stack) -> None:
    qdrant = f"{stack.project}-qdrant-1"
    docker("pause", qdrant)
    with undone(lambda: docker("unpause", qdrant)):
        outcome = backups.run(STORES__QDRANT__DEADLINE_SECONDS="2")
    expect(outcome, {of(PROPORTION, "qdrant"): ("broken", "store qdrant")})


@pytest.fixture
def killed(verifier: Verifier, backup: Path, migration: str) -> None:
    """A run of the check was killed while its scratch instance was there."""
    assert backup.is_dir()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "step1",
        "-k",
        RESTORES,
        f"--migration={migration}",
    ]
    process = subprocess.Popen(
        [*command, "--incident=killed"],
        cwd=verifier.root,
        env=verifier.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    give_up = time.monotonic() + WAIT_SECONDS
    while len(scratch_containers()) < len(STORES):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert scratch_containers()


def scratch_containers() -> list[str]:
    return docker("ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={SCRATCH}").split()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("killed")
def test_a_whole_backup_restores_beside_the_target_once_a_run(verifier: Verifier, migration: str) -> None:
    outcome = verifier.run("step1", f"--migration={migration}", "-k", RESTORES, "-n", "2")
    expect(outcome, {})
    results = outcome.results()
    assert set(results) == {of(RESTORES, store) for store in STORES}
    assert all("comparisons hold" in " ".join(results[of(RESTORES, s)]["notes"]) for s in ("mysql", "milvus"))
    assert outcome.incident is not None
    (record,) = outcome.incident.glob("restores/*.json")
    assert set(json.loads(record.read_text())["stores"]) == set(STORES)
    assert not scratch_containers()
    volumes = docker("volume", "ls", "--quiet", f"--filter=label=com.docker.compose.project={SCRATCH}")
    assert not volumes.split()


@pytest.fixture
def other_baseline(verifier: Verifier, operators: Operators, backup: Path) -> Iterator[Path]:
    """A baseline of a user more than there is, and than the backup has."""
    assert backup.is_dir()
    with damage.row_added(operators, "later"):
        verifier.capture()
    yield verifier.baseline.folder
    verifier.capture()


@pytest.mark.timeout(900)
def test_what_does_not_come_back_as_it_was_is_red(backups: Backups, other_baseline: Path) -> None:
    flip_a_bit(backups.file("qdrant", ".snapshot"))
    backups.file("minio", "").unlink()
    outcome = backups.verifier.run(
        "step1",
        *("-k", RESTORES, f"--migration={backups.migration}", f"--baseline={other_baseline}"),
        FOLDERS__BACKUPS=str(backups.folder),
    )
    expect(
        outcome,
        {
            of(RESTORES, "mysql"): ("failed", "imagedb.users", "differing: missing 1 "),
            of(RESTORES, "qdrant"): ("failed", "with SHA-256"),
            of(RESTORES, "minio"): ("failed", "it is missing"),
        },
    )
    assert not scratch_containers()
