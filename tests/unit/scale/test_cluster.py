"""What is sent to workers, and what never is; with workers: `tests/long/unit/test_dask.py`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from distributed.protocol import pickle

from rollproof.baseline.facts import RecordedCollection
from rollproof.baseline.folder import Baseline
from rollproof.profile.profile import Target, load_target
from rollproof.profile.scheduling import Scheduling
from rollproof.scale.chunk import Chunk, digest_chunk, terms_of
from rollproof.scale.cluster import Cluster
from rollproof.stores.contract import Digest
from tests.conftest import write_profile
from tests.world.baseline import FACTS
from tests.world.sandbox import MYSQL, SECRET

SMALL = RecordedCollection(
    division=("", "key-1"), digests=(Digest(1, 1),) * 2, records="mysql.db", excluded=(), seconds=4e-7
)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return write_profile(tmp_path, MYSQL)


@pytest.fixture
def target(profile: Path) -> Target:
    return load_target(profile)


def test_a_task_holds_no_secret_and_no_path(target: Target, profile: Path) -> None:
    chunk = Chunk("mysql", "imagedb.files", 0, 1, ("", "key-1"), terms_of(target.stores["mysql"]))
    task = pickle.dumps((digest_chunk, chunk))
    assert b"imagedb.files" in task
    assert not [word for word in (SECRET, "operator", "reader", str(profile)) if word.encode() in task]


def test_a_small_collection_is_read_without_workers(target: Target, tmp_path: Path) -> None:
    baseline = Baseline(tmp_path, "shop", "2026-12-03T12:00:00+00:00", FACTS)
    cluster = Cluster(target, cast("Scheduling", None))
    assert cluster.digests_of("mysql", "imagedb.files", SMALL, baseline) is None
