"""Pictures in the record of a run: drawn when all was verified, gone when not, and scanned."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import pytest

from reports.html.html import render
from reports.pictures.album import EVERY, TIMELINE
from rollproof.record_names import PICTURES
from tests.pytester.test_reports_allure import CONFTEST, ROOT

pytest_plugins = ["pytester"]

CANARY = "correct-horse-battery-staple"
CHECKS = """
import sys

import pytest


@pytest.mark.phase1
def test_running():
    pass


@pytest.mark.phase2
def test_answers():
    pass


@pytest.mark.phase3
def test_functions():
    pass


@pytest.mark.phase4
def test_intact():
    assert "matplotlib" not in sys.modules
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    pytester.makeini("[pytest]\nstrict = true\nfilterwarnings = error\n")
    four = CONFTEST.replace('("phase1", "phase2")', '("phase1", "phase2", "phase3", "phase4")')
    pytester.makeconftest(four.replace("frozenset()", f'frozenset({{"{CANARY}"}})'))
    pytester.makepyfile(test_checks=CHECKS)
    return pytester


def pictures(project: pytest.Pytester) -> list[str]:
    return sorted(path.name for path in (project.path / "incidents" / "one" / PICTURES).glob("*"))


def test_pictures_are_drawn_when_all_was_verified_and_go_when_not(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("-m", "phase1").assert_outcomes(passed=1, deselected=3)
    of_a_phase = pictures(project)
    project.runpytest_subprocess().assert_outcomes(passed=4)
    of_all = pictures(project)
    again = project.runpytest_subprocess("-m", "phase1")

    assert of_a_phase == []
    assert of_all == [TIMELINE]
    assert pictures(project) == []
    again.stdout.fnmatch_lines(["  to draw the pictures again: rollproof report *incidents/one"])


def test_a_secret_beside_the_pictures_fails_the_run(project: pytest.Pytester) -> None:
    folder = project.path / "incidents" / "one" / PICTURES
    folder.mkdir(parents=True)
    (folder / "drawn-by-hand.svg").write_text(f"<svg><text>{CANARY}</text></svg>")

    result = project.runpytest_subprocess()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["secret in the record: expected none*drawn-by-hand.svg:1)"])


def test_the_report_shows_them_first_and_within_itself(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("-m", "phase1")
    incident = project.path / "incidents" / "one"
    (incident / PICTURES).mkdir()
    for name in EVERY:
        (incident / PICTURES / name).write_text(
            f"<svg xmlns='http://www.w3.org/2000/svg'><title>{name}</title></svg>"
        )

    page = render(incident).read_text()

    found = re.search(r'd\("widgets/globals.json","([^"]*)"\)', page)
    assert found is not None
    attached = [one for one in json.loads(b64decode(found[1]))["attachments"] if one["ext"] == ".svg"]
    assert [one["name"] for one in attached] == list(EVERY)
    assert {one["contentType"] for one in attached} == {"image/svg+xml"}
    for one in attached:
        data = re.search(rf'd\("data/attachments/{one["id"]}.svg","([^"]*)"\)', page)
        assert data is not None
        assert f"<title>{one['name']}</title>" in b64decode(data[1]).decode()
