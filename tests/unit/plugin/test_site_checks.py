"""Checks of the operator's own: ordered, gated, timed and recorded like the suite's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from tests.conftest import write_profile
from tests.plugin_sandbox import IMPORTS, Here

OURS = """
@pytest.mark.verification
@pytest.mark.phase{0}
def test_ours_{0}(): note("ours{0}")
"""
SITE = """
@pytest.mark.phase1
def test_site_1(): note("site1")
@pytest.mark.phase3
@pytest.mark.parametrize("part", ["a", "b"])
def test_site_3(part): note(f"site3{part}")
"""


@pytest.fixture
def site(sandbox: Here) -> Here:
    """A sandbox whose profile names a folder beside the project, with the report's plugins."""
    sandbox.recorded()
    sandbox.checks(**{f"test_{phase}": OURS.format(phase) for phase in range(1, 5)})
    folder(sandbox).mkdir()
    write_profile(sandbox.folder, f'[checks]\nfolders = ["{folder(sandbox)}"]\n')
    return sandbox


def folder(site: Here) -> Path:
    """The folder of the site's checks: outside of the project."""
    return site.folder.parent / f"{site.folder.name}-site"


def write(site: Here, text: str, name: str = "test_site.py") -> None:
    (folder(site) / name).write_text(f"{IMPORTS}{text}\n", encoding="utf-8")


def test_they_are_ordered_and_recorded_like_ours(site: Here) -> None:
    write(site, SITE)
    outcome = site.run("-m", "verification")
    assert outcome.code == ExitCode.VERIFIED, outcome.text
    phases = [int(note.strip("abcdefghijklmnopqrstuvwxyz")) for note in site.notes()]
    assert phases == sorted(phases)
    assert set(site.notes()) == {"ours1", "site1", "ours2", "ours3", "site3a", "site3b", "ours4"}
    assert {"test_site_1", "test_site_3[a]", "test_site_3[b]"} <= outcome.verdicts().keys()
    assert outcome.incident is not None
    verdict = json.loads((outcome.incident / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["phases"]["phase3"]["checks"]["passed"] == 3


UNMARKED = "checks.folders: expected a marker of a phase on each, observed none on test_site.py::test_site"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_site(): note('site')", UNMARKED),
        (OURS.format(2), "expected names that no other check has, observed test_ours_2"),
        (
            "@pytest.mark.phase2\ndef helper(): pass",
            "expected at least one check in each folder, observed none in",
        ),
    ],
)
def test_what_could_not_be_told_apart_is_refused(site: Here, text: str, said: str) -> None:
    write(site, text)
    outcome = site.run("-m", "phase2", "--no-gate")
    assert outcome.code == ExitCode.USAGE, outcome.text
    assert said in outcome.text
    assert site.notes() == []


def test_they_are_given_no_secret_of_an_operator(site: Here) -> None:
    write(
        site,
        """
pytest_plugins = ["fixtures.target"]

@pytest.mark.phase1
def test_secrets(target):
    store = target.stores["redis"]
    for identity in (store.reader, store.operator):
        note(f"{identity.user}={len(identity.password.get_secret_value())}")
""",
    )
    assert site.run("-m", "phase1").code == ExitCode.VERIFIED
    assert site.notes() == ["ours1", f"reader={len('s3cret-of-the-canary')}", "operator=0"]
