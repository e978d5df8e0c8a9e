"""The state folder: secrets that stay, and are nobody else's to read; slots; files and engines of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import Problem
from staging.releases.release_repository import create_repository


def test_files_of_another_origin_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Problem, match="files of another origin"):
        create_repository(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"
