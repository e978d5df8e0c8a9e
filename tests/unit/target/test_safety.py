"""The data safety matrix, which a profile may not be weaker than; and whether a backup holds enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.profile.kinds import means_of
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.profile.store_descriptor import Means
from rollproof.stores.policy import in_proportion
from tests.conftest import write_profile

ACCOUNT = '{user = "reader", password = {file = "canary_password"}}'
ACCOUNTS = f"reader = {ACCOUNT}\noperator = {ACCOUNT}"
MORE = {
    "mysql": f'databases = ["imagedb"]\n{ACCOUNTS}',
    "mongodb": f'databases = ["mongodb"]\n{ACCOUNTS}',
    "redis": ACCOUNTS,
    "s3": f'buckets = ["files"]\n{ACCOUNTS}',
    "kafka": 'topics = ["*"]',
    "qdrant": "",
    "milvus": "",
}
FLUSHED, VERSIONS = 'restore = "flush"', 'backup = "versions"'


def store(folder: Path, kind: str, risk: str, more: str = "") -> StoreProfile:
    """Load a profile with a store of that kind and risk."""
    text = (
        f'[stores.one]\nkind = "{kind}"\naddress = {{host = "127.0.0.1", port = 9}}\n'
        f'services = ["one"]\nrisk = "{risk}"\n{MORE[kind]}\n{more}\n'
    )
    return load_target(write_profile(folder, text)).stores["one"]


@pytest.mark.parametrize(
    ("kind", "risk", "more"),
    [
        *((kind, risk, "") for kind in ("mysql", "redis", "s3", "kafka") for risk in ("low", "medium")),
        *(("mongodb", "medium", ""), ("qdrant", "medium", ""), ("milvus", "high", "")),
        *(("redis", "low", FLUSHED), ("s3", "low", VERSIONS)),
    ],
)
def test_what_is_as_strict_as_the_matrix_loads(tmp_path: Path, kind: str, risk: str, more: str) -> None:
    assert store(tmp_path, kind, risk, more).risk == risk


@pytest.mark.parametrize(
    ("kind", "risk", "more", "said"),
    [
        ("mongodb", "low", "", "expected medium or stricter, by the data safety matrix for mongodb"),
        ("qdrant", "low", "", "expected medium or stricter"),
        ("milvus", "low", "", "expected high or stricter"),
        ("milvus", "medium", "", "expected high or stricter, by the data safety matrix for milvus"),
        *((kind, "high", "", "expected low or medium, since no snap") for kind in MORE if kind != "milvus"),
        ("redis", "medium", FLUSHED, "expected low beside restore = 'flush', which keeps no backup"),
        ("s3", "medium", VERSIONS, "expected low beside backup = 'versions', which keeps no copy"),
    ],
)
def test_what_is_weaker_is_refused(tmp_path: Path, kind: str, risk: str, more: str, said: str) -> None:
    with pytest.raises(ProfileProblem) as raised:
        store(tmp_path, kind, risk, more)
    assert str(raised.value).startswith(f"stores.one.risk: {said}")


@pytest.mark.parametrize(
    ("kind", "more", "means"),
    [
        ("mysql", "", Means.TRANSACTION),
        ("mongodb", "", Means.DOCUMENTS),
        ("qdrant", "", Means.COLLECTIONS),
        ("milvus", "", Means.VOLUMES),
        ("kafka", "", Means.LOG),
        ("redis", "", Means.KEYS),
        ("redis", FLUSHED, Means.NOTHING),
        ("s3", "", Means.COPIES),
        ("s3", VERSIONS, Means.VERSIONS),
    ],
)
def test_what_a_backup_must_be_follows_from_the_settings_of_a_store(
    tmp_path: Path, kind: str, more: str, means: Means
) -> None:
    risk = {"mongodb": "medium", "qdrant": "medium", "milvus": "high"}.get(kind, "low")
    assert means_of(store(tmp_path, kind, risk, more)) is means


@pytest.mark.parametrize(
    ("policy", "kept", "live", "recorded", "enough"),
    [
        ("exact", 95, 100, 100, True),
        ("exact", 94, 100, 100, False),
        ("exact", 106, 100, 100, False),
        ("exact", None, 0, None, False),
        # Users add records, before the backup and after it.
        ("grows", 56, 99, 50, True),
        ("changes", 56, 99, 50, True),
        ("grows", 47, 99, 50, False),
        ("grows", None, 99, 50, False),
        ("grows", None, 0, 0, False),
        # Made since the baseline.
        ("grows", None, 1, None, True),
        # Users removed some since.
        ("changes", 20, 20, 50, True),
        ("volatile", 1, 100, 100, True),
        ("volatile", 0, 100, 100, False),
        ("volatile", None, 0, 100, True),
    ],
)
def test_what_users_add_is_no_lack_of_a_backup(
    policy: Policy, kept: int | None, live: int, recorded: int | None, *, enough: bool
) -> None:
    assert in_proportion(kept, live, 5.0, policy, recorded) is enough
