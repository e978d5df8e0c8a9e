"""`rollproof verify --targets`: which targets, and the exit code of the worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rollproof.cli import fleet
from rollproof.errors import ExitCode, UsageProblem
from rollproof.fleet.side_by_side import RunEnd, TargetOutcome, find_targets
from rollproof.verdict import Verdict

PASSED, FAILED, BROKEN = Verdict.PASSED, Verdict.FAILED, Verdict.BROKEN


def verify(folder: Path, *words: str) -> ExitCode:
    return fleet.verify_fleet(
        [f"{folder}/*.toml"], words, list, folder=folder / "out", junit=None, at_once=None
    )


@pytest.mark.parametrize(
    ("verdicts", "interrupted", "code"),
    [
        ([PASSED, PASSED], False, ExitCode.VERIFIED),
        ([PASSED, FAILED], False, ExitCode.FAILED),
        ([BROKEN, PASSED], False, ExitCode.BROKEN),
        ([PASSED, BROKEN, FAILED], False, ExitCode.FAILED),
        ([PASSED, PASSED], True, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_is_that_of_the_worst_target(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verdicts: Sequence[Verdict],
    *,
    interrupted: bool,
    code: ExitCode,
) -> None:
    for number in range(len(verdicts)):
        (tmp_path / f"t{number}.toml").write_text(f'name = "t{number}"')
    ends = [
        TargetOutcome(f"t{number}", verdict, RunEnd(cause="" if verdict is PASSED else "a loss"))
        for number, verdict in enumerate(verdicts)
    ]
    monkeypatch.setattr(fleet, "import_all", lambda _: None)
    monkeypatch.setattr(fleet, "verify_targets", lambda *_: (ends, interrupted))
    assert verify(tmp_path, "phase1") == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("INTERRUPTED: " if interrupted else f"{code.name.replace('VERIFIED', 'PASSED')}: ")


@pytest.mark.parametrize(
    ("words", "observed"),
    [
        (["--target=a.toml"], "observed --target=a.toml"),
        (["phase1", "--incident", "one"], "observed --incident"),
        (["b.toml"], "observed b.toml"),
        (["phase1"], "observed none that matches"),
    ],
)
def test_what_cannot_be_of_many_targets_is_refused_before_anything_runs(
    words: list[str], observed: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem, match=observed):
        verify(tmp_path, *words)
    assert not [*tmp_path.iterdir()]


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
