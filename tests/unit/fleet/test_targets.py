from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import UsageProblem
from rollproof.fleet.targets import find_targets


def write(folder: Path, **texts: str) -> None:
    """Write a profile of each text."""
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def test_each_profile_is_found_once_by_the_name_of_its_target(tmp_path: Path) -> None:
    write(tmp_path, b='name = "shop"', a='name = "books"', c='name = "../x"', d="name =")
    found = find_targets([f"{tmp_path}/*.toml", f"{tmp_path}/[ab].toml"])
    named = {path.name: name for name, path in found.items()}
    of_a_path = "-".join(tmp_path.parts[1:])
    # A name that no file could have, or none that can be read, is for the profile's own run to report.
    assert named == {
        "a.toml": "books",
        "b.toml": "shop",
        "c.toml": f"{of_a_path}-c",
        "d.toml": f"{of_a_path}-d",
    }
    assert [path.name for path in found.values()] == ["a.toml", "b.toml", "c.toml", "d.toml"]


def test_two_targets_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, a='name = "shop"', b='name = "shop"')
    with pytest.raises(UsageProblem, match=r"observed shop twice \(from .*a.toml, .*b.toml\)"):
        find_targets([f"{tmp_path}/*.toml"])


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a='name = "shop"')
    wanted = r"none that matches '.*/\*.tml' \(from .*\)\nHINT: see what is there"
    with pytest.raises(UsageProblem, match=wanted):
        find_targets([f"{tmp_path}/*.toml", f"{tmp_path}/*.tml"])
