"""Step 1 on the real stack: a deficient backup turns its checks red.

A round is one run with faults of several checks and stores: each fault turns its own check red, and no other.
Faults of the backup are made in a copy of the set, faults of the stores in the stores.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from rollproof.backups.images import FILE, image_folder
from rollproof.backups.images import FOLDER as IMAGES
from rollproof.git.repository import git
from rollproof.profile.store_descriptor import Means
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.stack.backup_copies import STORES, Backups, Record, cut, flip_a_bit, of
from tests.stack.kafka_scratch import Scratch as KafkaScratch
from tests.stack.scratch_project import docker, pause
from tests.stack.verifier import Red, Verifier, expect

OF_THE_PACKAGE = (
    "test_backup_is_whole",
    "test_backup_is_of_the_kind_that_its_risk_demands",
    "test_backup_is_in_proportion",
)
KEPT, RECENT, POINT, COMMIT = (
    "test_images_of_the_application_are_kept",
    "test_backup_is_recent",
    "test_backups_are_of_one_recovery_point",
    "test_backup_is_of_this_commit",
)
WHOLE, KIND, PROPORTION = OF_THE_PACKAGE
RETAINED, VERSIONED = "test_log_is_retained_past_the_replay_horizon", "test_bucket_keeps_versions"
DAY = 24 * 3600.0
OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUCKET = "scratch-step1"


@pytest.fixture
def backups(verifier: Verifier, stack: Stack, backup: Path, tmp_path: Path) -> Iterator[Backups]:
    """A copy that may be damaged. Step 1 does not look into the commit that is to be promoted."""
    shutil.copytree(backup, tmp_path / "backups" / backup.name)
    # Images are large: faults put others in the place of what is linked here.
    images = tmp_path / "backups" / IMAGES
    images.mkdir()
    for image in (backup.parent / IMAGES).iterdir():
        (images / image.name).symlink_to(image.resolve())
    migration = git(stack.state.application, "rev-parse", "release-2")
    with ExitStack() as undo:
        yield Backups(verifier, migration, tmp_path / "backups", undo)


def update(record: Record, **fields: str) -> None:
    record.update(fields)


def of_the_package(store: str, *words: str) -> dict[str, Red]:
    """Return the checks that read all of the backup of a store, red for one reason."""
    return {of(check, store): ("failed", f"backup of {store}: ", *words) for check in OF_THE_PACKAGE}


# A fault: it damages the copy or a store, and says which checks are red for it.
Fault = Callable[[Backups, Operators], dict[str, Red]]


def flipped_bit(store: str, suffix: str) -> Fault:
    """One bit of the largest file of a store is another."""

    def inject(backups: Backups, _: Operators) -> dict[str, Red]:
        path = backups.file(store, suffix)
        flip_a_bit(path)
        name = str(path.relative_to(backups.set / store))
        return of_the_package(store, f"expected {name} with SHA-256 ", "it was changed")

    return inject


def file_that_was_cut(backups: Backups, _: Operators) -> dict[str, Red]:
    dump = backups.file("mysql", ".sql")
    cut(dump, dump.stat().st_size - 40)
    return of_the_package("mysql", "expected dump.sql of ", ": it was cut")


def index_that_was_changed(backups: Backups, _: Operators) -> dict[str, Red]:
    flip_a_bit(backups.set / "index" / "qdrant.db")
    return of_the_package("qdrant", "expected the file that the backup wrote", "another content")


def image_that_was_cut(backups: Backups, _: Operators) -> dict[str, Red]:
    image = backups.verifier.baseline.facts.images(["frontend"])["frontend"]
    folder = image_folder(backups.folder, image)
    whole = folder.resolve()
    folder.unlink()
    shutil.copytree(whole, folder)
    cut(folder / FILE, (whole / FILE).stat().st_size - 1)
    return {KEPT: ("failed", f"backup of image {image}: ", ": it was cut")}


def image_that_is_gone(backups: Backups, _: Operators) -> dict[str, Red]:
    image = backups.verifier.baseline.facts.images(["nginx"])["nginx"]
    image_folder(backups.folder, image).unlink()
    return {KEPT: ("failed", f"backup of image {image}: expected a backup.json, observed none")}


def image_of_another_service(backups: Backups, _: Operators) -> dict[str, Red]:
    backups.reseal(lambda record: record["images"].update(backend=record["images"]["frontend"]))
    return {KEPT: ("failed", "expected those that the baseline recorded", "none, of backend")}


def package_of_another_set(backups: Backups, _: Operators) -> dict[str, Red]:
    backups.repack("mongodb", lambda content: content.update(method=f"{content['method']} "), seal=False)
    return of_the_package("mongodb", "backup.json that the set was sealed with", "another one")


def store_that_is_not_in_the_set(backups: Backups, _: Operators) -> dict[str, Red]:
    def leave_out(record: Record) -> None:
        for key in ("stores", "sealed", "taken"):
            del record[key]["qdrant"]

    shutil.rmtree(backups.set / "qdrant")
    backups.reseal(leave_out)
    absent: Red = ("failed", "backup of qdrant: ", "expected a backup in the set, observed those of kafka")
    return {
        **of_the_package("qdrant", "expected a backup.json, observed none"),
        of(RECENT, "qdrant"): absent,
        POINT: absent,
    }


def yesterdays_in_two_recovery_points(backups: Backups, _: Operators) -> dict[str, Red]:
    """All of it was taken a day ago, and MinIO's some minutes before the rest."""

    def age(record: Record) -> None:
        for store, moments in record["taken"].items():
            for moment in moments:
                moment["since_boot"] -= DAY + (400 if store == "minio" else 0)

    backups.reseal(age)
    old: Red = ("failed", "expected begun at most 21600 s ago, observed 8")
    return {
        **{of(RECENT, store): old for store in STORES},
        POINT: ("failed", "expected at most 300 s, observed "),
    }


def one_from_the_future(backups: Backups, _: Operators) -> dict[str, Red]:
    backups.reseal(lambda record: record["taken"]["redis"][0].update(since_boot=1e9))
    backups.variables["PREMIGRATION__BACKUP__SKEW_SECONDS"] = "2000000000"
    return {of(RECENT, "redis"): ("failed", "expected begun at most 21600 s ago, observed -")}


def of_another_commit(backups: Backups, _: Operators) -> dict[str, Red]:
    backups.reseal(lambda record: record.update(commit=OTHER_COMMIT))
    return {COMMIT: ("failed", f"observed {OTHER_COMMIT}")}


def by_other_means(**taken: Means) -> Fault:
    """The backups of some stores were taken otherwise than their risk demands."""

    def inject(backups: Backups, _: Operators) -> dict[str, Red]:
        red: dict[str, Red] = {}
        for store, means in taken.items():
            backups.repack(store, partial(update, means=means))
            red[of(KIND, store)] = ("failed", f"backup of {store}, risk ", f"observed {means}: ")
        return red

    return inject


def redis_that_keeps_what_a_restore_flushes(backups: Backups, operators: Operators) -> dict[str, Red]:
    backups.variables["STORES__REDIS__RESTORE"] = "flush"
    return by_other_means(redis=Means.KEYS)(backups, operators)


def collection_that_is_missing(backups: Backups, operators: Operators) -> dict[str, Red]:
    database = operators.mongodb["mongodb"]
    backups.undo.callback(database.drop_collection, "later")
    database["later"].insert_many([{"n": n} for n in range(3)])
    return {of(PROPORTION, "mongodb"): ("failed", "mongodb.later: none of 3")}


def collection_that_is_too_small(backups: Backups, operators: Operators) -> dict[str, Red]:
    collection = operators.mongodb["mongodb"]["model_config"]
    half = collection.count_documents({}) // 2
    backups.undo.callback(collection.delete_many, {"later": True})
    collection.insert_many([{"username": f"later-{n}", "later": True} for n in range(half)])
    return {of(PROPORTION, "mongodb"): ("failed", "mongodb.model_config: ", "except 5 %")}


def log_that_forgets_too_soon(backups: Backups, _: Operators) -> dict[str, Red]:
    backups.variables["PREMIGRATION__BACKUP__REPLAY_SECONDS"] = "999999"
    words = "of 999999 s or longer, whatever the size, observed task_generation: 604800 s"
    return {of(RETAINED, "kafka"): ("failed", words)}


def topics_that_may_forget(verdict: str, *configurations: dict[str, str], words: tuple[str, ...]) -> Fault:
    """There are topics of other settings, made since the baseline: the backup need not have them."""

    def inject(backups: Backups, operators: Operators) -> dict[str, Red]:
        scratch = KafkaScratch(operators.kafka, "scratch_step1_")
        topics = [f"{scratch.topic}{number}" for number in range(len(configurations))]
        for topic, configuration in zip(topics, configurations, strict=True):
            scratch.create(topic, 1, configuration)
            backups.undo.callback(scratch.delete, topic)
        backups.variables["STORES__KAFKA__TOPICS"] = json.dumps(["task_generation", *topics])
        return {of(RETAINED, "kafka"): (verdict, *words)}

    return inject


def bucket(*, versioned: bool) -> Fault:
    """The buckets are to be their own backup, and one of them is new; what the set has is no listing."""

    def inject(backups: Backups, operators: Operators) -> dict[str, Red]:
        backups.undo.callback(operators.s3.remove_bucket, BUCKET)
        operators.s3.make_bucket(BUCKET)
        if versioned:
            operators.s3.set_bucket_versioning(BUCKET, VersioningConfig(ENABLED))
        secrets = backups.verifier.stack.state.secrets
        backups.variables |= {
            "STORES__MINIO__BACKUP": "versions",
            "STORES__MINIO__BUCKETS": json.dumps(["minio-file", BUCKET]),
            # The stack's reader may read the application's bucket alone.
            "STORES__MINIO__READER__USER": "operator",
            "STORES__MINIO__READER__PASSWORD__FILE": str(secrets / "s3_operator"),
        }
        kind = "expected versions, observed copies"
        off: Red = ("failed", "expected kept in all its buckets", BUCKET)
        return {
            of(KIND, "minio"): ("failed", kind, "a copy of each"),
            of(PROPORTION, "minio"): ("failed", f"{BUCKET}: none of 0"),
            **({} if versioned else {of(VERSIONED, "minio"): off}),
        }

    return inject


def store_that_hangs(backups: Backups, _: Operators) -> dict[str, Red]:
    qdrant = f"{backups.verifier.stack.project}-qdrant-1"
    pause(qdrant)
    backups.undo.callback(docker, "unpause", qdrant)
    backups.variables["STORES__QDRANT__DEADLINE_SECONDS"] = "2"
    return {of(PROPORTION, "qdrant"): ("broken", "store qdrant")}


ROUNDS: dict[str, tuple[Fault, ...]] = {
    "what the set says": (
        image_of_another_service,
        of_another_commit,
        yesterdays_in_two_recovery_points,
        by_other_means(
            mysql=Means.DOCUMENTS,
            mongodb=Means.PARTIAL,
            qdrant=Means.DOCUMENTS,
            milvus=Means.PARTIAL,
            redis=Means.NOTHING,
            minio=Means.VERSIONS,
        ),
        collection_that_is_missing,
        log_that_forgets_too_soon,
        flipped_bit("kafka", ".jsonl"),
        store_that_hangs,
    ),
    "weaker means": (
        image_that_was_cut,
        one_from_the_future,
        by_other_means(mysql=Means.PARTIAL),
        redis_that_keeps_what_a_restore_flushes,
        collection_that_is_too_small,
        topics_that_may_forget("broken", {}, words=("scratch_step1_jobs0",)),
        bucket(versioned=True),
        index_that_was_changed,
    ),
    "what was changed": (
        image_that_is_gone,
        file_that_was_cut,
        package_of_another_set,
        store_that_is_not_in_the_set,
        bucket(versioned=False),
        topics_that_may_forget(
            "failed",
            {"retention.ms": "-1", "retention.bytes": "1000"},
            {"cleanup.policy": "compact", "retention.ms": "-1"},
            words=(
                "scratch_step1_jobs0: for ever, at most 1000 bytes",
                "scratch_step1_jobs1: for ever, compacted",
            ),
        ),
    ),
}


@pytest.mark.parametrize("faults", ROUNDS.values(), ids=ROUNDS)
def test_each_check_is_red_for_its_own_fault(
    backups: Backups, operators: Operators, faults: tuple[Fault, ...]
) -> None:
    red: dict[str, Red] = {}
    for fault in faults:
        found = fault(backups, operators)
        assert not red.keys() & found.keys(), "one fault would hide another"
        red |= found
    expect(backups.run(), red)
