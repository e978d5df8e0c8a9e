"""The data safety matrix: a profile may be stricter than it, and is refused where it is weaker."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.profile.kinds import means_of
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target
from rollproof.profile.sections import StoreProfile
from rollproof.profile.store_descriptor import Means
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
        (
            "mongodb",
            "low",
            "",
            "expected medium or stricter, by the data safety matrix for mongodb, observed low",
        ),
        ("qdrant", "low", "", "expected medium or stricter"),
        ("milvus", "low", "", "expected high or stricter"),
        (
            "milvus",
            "medium",
            "",
            "expected high or stricter, by the data safety matrix for milvus, observed medium",
        ),
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
