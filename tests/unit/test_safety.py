"""The data safety matrix: a profile may be stricter than it, and is refused where it is weaker."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.profile_errors import ProfileProblem
from fixtures.safety import means_of
from fixtures.stores.profiles import AnyStore
from fixtures.target import load_target
from rollback_actions.stores import kafka, milvus, qdrant
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


def store(folder: Path, kind: str, risk: str, more: str = "") -> AnyStore:
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
        ("mongodb", "low", "", "expected medium, as the data safety matrix has it for mongodb, observed low"),
        ("qdrant", "low", "", "expected medium, as"),
        ("milvus", "low", "", "expected high, as"),
        (
            "milvus",
            "medium",
            "",
            "expected high, as the data safety matrix has it for milvus, observed medium",
        ),
        *((kind, "high", "", "expected low or medium, since volume") for kind in MORE if kind != "milvus"),
        ("redis", "medium", FLUSHED, "expected low beside restore = 'flush', which keeps no backup"),
        ("s3", "medium", VERSIONS, "expected low beside backup = 'versions', which keeps no copy"),
    ],
)
def test_what_is_weaker_is_refused(tmp_path: Path, kind: str, risk: str, more: str, said: str) -> None:
    with pytest.raises(ProfileProblem) as raised:
        store(tmp_path, kind, risk, more)
    (text,) = raised.value.texts
    assert text.startswith(f"stores.one.risk: {said}")


@pytest.mark.parametrize(
    ("kind", "more", "method", "fits"),
    [
        ("mysql", "", "mysqldump --single-transaction, with routines, triggers and events", True),
        ("mysql", "", "mysqldump --single-transaction; not of one moment, having no transactions: a", False),
        ("mysql", "", "mysqldump --single-transaction; left out: view a", False),
        ("mysql", "", "mysqldump --lock-tables", False),
        ("mongodb", "", "raw BSON of each document, read at one moment (snapshot session)", True),
        ("mongodb", "", "mongoexport of some", False),
        ("qdrant", "", qdrant.METHOD, True),
        ("qdrant", "", "nothing", False),
        ("milvus", "", milvus.METHOD, True),
        ("milvus", "", f"{milvus.METHOD}, as they lay: it did not start", False),
        ("milvus", "", "export of each collection", False),
        ("kafka", "", kafka.METHOD, True),
        ("kafka", "", "offsets alone", False),
        ("redis", "", "DUMP of each key with its expiry (each key whole; not all keys at one moment)", True),
        ("redis", "", "nothing kept: a cache", False),
        ("redis", FLUSHED, "nothing kept: a cache", True),
        ("s3", "", "listing of all objects with versions and SHA-256, and a copy of each", True),
        ("s3", "", "listing of all objects, whose contents are the bucket's own versions (a copy)", False),
        ("s3", "", "listing of all objects, and a copy of each; bucket a is not there", False),
        ("s3", VERSIONS, "listing of all objects, whose contents are the bucket's own versions", True),
        ("s3", VERSIONS, "listing of all objects, and a copy of each", False),
    ],
)  # fmt: skip
def test_the_means_of_a_backup_are_told_apart(
    tmp_path: Path, kind: str, more: str, method: str, *, fits: bool
) -> None:
    risk = {"mongodb": "medium", "qdrant": "medium", "milvus": "high"}.get(kind, "low")
    assert means_of(store(tmp_path, kind, risk, more)).fits(method) is fits
