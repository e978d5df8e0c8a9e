"""The change document: what counts as something said under a heading, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import Mismatch, Unverifiable
from rollproof.profile.profile import load_target
from rollproof.team.change_document import ChangeDocument, read_document
from tests.conftest import write_profile

SECTIONS = ("Expected changes", "Impact", "Rollback plan")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAID = "Tables of users are consolidated into one."
WHOLE = f"""# Migration {COMMIT}

## Expected changes
{SAID}
## Impact
Sign-in is slower for a minute or two.
## Rollback plan
    ./deploy/rollback/emergency_rollback.sh HASH
"""


def _wrong(folder: Path, text: str) -> list[str]:
    return _read(folder, text.encode()).wrong_with(SECTIONS)


def _read(folder: Path, content: bytes) -> ChangeDocument:
    (folder / "change.md").write_bytes(content)
    return read_document(load_target(_profile(folder)))


def _profile(folder: Path) -> Path:
    return write_profile(folder, '[premigration.team]\ndocument = "change.md"\n')


def test_a_whole_one_is_whole(tmp_path: Path) -> None:
    assert _wrong(tmp_path, WHOLE) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("TODO: describe at length what is expected to change here", "says nothing"),
        ("<!-- say what is expected to change in this release -->", "says nothing"),
        ("nothing much", "says no more than 'nothing much'"),
    ],
)
def test_a_placeholder_says_nothing(tmp_path: Path, text: str, wrong: str) -> None:
    (found,) = _wrong(tmp_path, WHOLE.replace(SAID, text))
    assert found.startswith(f"Expected changes {wrong}")


def test_every_section_is_named(tmp_path: Path) -> None:
    assert _wrong(tmp_path, "hello") == [f"{name} is missing" for name in SECTIONS]


@pytest.mark.parametrize(
    ("named", "is_named"),
    [
        (COMMIT, True),
        (COMMIT[:12], True),
        (f"`{COMMIT[:20]}`", True),
        (COMMIT[:11], False),
        (COMMIT[:12] + "f", False),
        (COMMIT + "0", False),
    ],
)
def test_the_commit_is_named_by_enough_of_its_digits(tmp_path: Path, named: str, is_named: bool) -> None:  # noqa: FBT001 - of a table
    assert _read(tmp_path, WHOLE.replace(COMMIT, named).encode()).names(COMMIT) is is_named


def test_none_is_none(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="observed no such file"):
        read_document(load_target(_profile(tmp_path)))
    with pytest.raises(Mismatch, match="observed no file that the profile names"):
        read_document(load_target(write_profile(tmp_path)))
    (tmp_path / "change.md").mkdir()
    with pytest.raises(Unverifiable, match="observed Is a directory"):
        read_document(load_target(_profile(tmp_path)))
