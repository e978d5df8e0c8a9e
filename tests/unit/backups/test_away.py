"""What is said before a backup of the store that it stops."""

from __future__ import annotations

from pathlib import Path

from rollback_actions.backup.whole_backup import away_during_backup
from rollproof.profile.profile import Target, load_target
from tests.conftest import write_profile

MILVUS = """
[stores.milvus]
kind = "milvus"
address = {host = "127.0.0.1", port = 9}
services = ["milvus"]
risk = "high"
"""
STOPPED = "milvus is stopped while it is copied, and answers nobody meanwhile"


def _target(folder: Path) -> Target:
    return load_target(write_profile(folder, MILVUS))


def test_a_store_that_is_away_is_named_and_no_other(tmp_path: Path) -> None:
    assert list(away_during_backup(_target(tmp_path))) == [STOPPED]
