"""A report in a real browser, opened from the disk with the network off: it shows all, and calls nobody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from reports.run.renewal import renew
from reports.text.stages import TITLES
from tests.conftest import ROOT, write_profile
from tests.pytester.conftest import DRAWN, SETTINGS

SECONDS = 120
CONFTEST = """
pytest_plugins = [
    "fixtures.gating.evidence", "fixtures.gating.windows",
    "fixtures.gating.phases", "fixtures.gating.recorder",
    "reports.run.scrubbing", "reports.allure.results", "reports.run.record",
]
"""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1400,1000", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
LOCAL = ("file:", "data:", "blob:", "about:")
# Who begins a request that is no page's.
OF_BROWSER = "not an origin"
CHECKS = """
import pytest

from rollproof.errors import Meaning, Unverifiable
from fixtures.gating.evidence import CSV, table
from rollproof.system.steps import step

FROM = {"source": "container engine", "hint": "look at its log"}


@pytest.mark.phase1
@pytest.mark.parametrize("service", ["mysql", "redis"])
def test_container_is_running(service, expect):
    "Every service that was recorded has a container that runs."
    with step("container engine: containers"):
        expect(True, what=f"container {service}", expected="running", observed="running", **FROM)


@pytest.mark.phase2
@pytest.mark.parametrize("store", ["mysql", "kafka"])
def test_store_answers(store, expect):
    "The store answers an authenticated query that touches real data."
    with step(f"query: {store}"):
        if store == "kafka":
            error = {"expected": "an answer within 5 s", "observed": "Connection refused"}
            raise Unverifiable(what="store kafka as reader", **error, **FROM, means=Meaning.UNREACHABLE)
    expect(True, what="store", expected="an answer with real data", observed="812 records", **FROM)


@pytest.mark.phase3
def test_login():
    "The canary logs in with its password, and the token is its own."


@pytest.mark.phase3
def test_wrong_password_is_refused():
    "A wrong password is refused."
    pytest.skip("blocked: phase2: store answers: kafka could not be verified")


@pytest.mark.phase4
def test_collection_content(evidence, expect):
    "Every record of the collection is what it was."
    with step("compare: mysql/shop.users"):
        pass
    # Joined here, so that the page does not hold them as a part of this source.
    rows = [("missing", "7", ""), ("changed", "9", "-".join(["cell", "of", "table"]))]
    evidence("differences", table(("difference", "record", "fields"), rows), CSV)
    log = "-".join(["line", "of", "log"])
    evidence("log of mysql-1, last 50 lines", f"2026-01-01 [ERROR] {log}\\n" * 20)
    sides = {
        "expected": "the records of the baseline, policy exact",
        "observed": "missing 1 (7), changed 1 (9: email) differs",
    }
    expect(False, what="records of shop.users of mysql", **sides, **FROM, means=Meaning.DATA_LOSS)


@pytest.mark.phase4
def test_schema():
    "What the records live in is what it was."
"""


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The browser and its driver; without them the tests are skipped, or fail where they were required."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if found[0] is not None and found[1] is not None:
        return found[0], found[1]
    reason = "no chromium and chromedriver: apt-get install chromium chromium-driver, or ./run tests"
    if request.config.getoption("--require-browser"):
        pytest.fail(reason)
    pytest.skip(reason)


class Page:
    """A page in a browser of its own, which wrote down whom it called."""

    def __init__(self, programs: tuple[str, str], folder: Path) -> None:
        """Start the browser with a new profile."""
        browser, driver = programs
        self._net_log = folder / "net.json"
        options = ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={self._net_log}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = Chrome(options=options, service=Service(driver))
        self.driver.set_page_load_timeout(SECONDS)
        self.requests: list[str] = []

    def open(self, path: Path) -> None:
        """Open a file of the disk."""
        self.driver.get(path.as_uri())

    def wait_for(self, text: str) -> None:
        """Wait until the page shows `text`."""
        WebDriverWait(self.driver, SECONDS).until(lambda _: text in self.text(), text)

    def text(self) -> str:
        """Return all that the page shows."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def framed(self) -> str:
        """Return what the first frame of the page shows: the description of a check."""
        frame = WebDriverWait(self.driver, SECONDS).until(lambda d: d.find_element(By.TAG_NAME, "iframe"))
        self.driver.switch_to.frame(frame)
        text = self.text()
        self.driver.switch_to.default_content()
        return text

    def click(self, text: str) -> None:
        """Click what shows `text` in Allure's part of the page, and nothing larger that holds it."""
        path = f"//*[not(ancestor::*[@id='incident']) and contains(text(), {json.dumps(text)})]"
        element = WebDriverWait(self.driver, SECONDS).until(lambda d: d.find_element(By.XPATH, path))
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def errors(self) -> list[str]:
        """Return the errors since this was asked last; what the page's policy forbids is one."""
        return self._log("browser")

    def close(self) -> None:
        """Close the browser; from then on its whole log is there."""
        for text in self._log("performance"):
            message = json.loads(text)["message"]
            asked = message["params"]
            if message["method"] == "Network.requestWillBeSent" and asked["documentURL"].startswith("file:"):
                self.requests.append(asked["request"]["url"])
        self.driver.quit()

    def _log(self, kind: str) -> list[str]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def left(self) -> list[str]:
        """Return every address beyond this disk that the pages of the closed browser asked for.

        By the page's own account, and by the log of the browser's network, which knows who began a request:
        this browser asks for things of its own, whatever it is told.
        """
        log: dict[str, Any] = json.loads(self._net_log.read_text(encoding="utf-8"))
        parameters = [event.get("params", {}) for event in log["events"]]
        begun = [p["url"] for p in parameters if p.get("initiator", OF_BROWSER) != OF_BROWSER]
        return [url for url in [*self.requests, *begun] if not url.startswith(LOCAL)]


@pytest.fixture
def page(programs: tuple[str, str], tmp_path: Path) -> Iterator[Page]:
    page = Page(programs, tmp_path)
    yield page
    page.driver.quit()


@pytest.fixture
def report(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The report of an incident with checks of every outcome, in all phases."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("GITHUB_STEP_SUMMARY", "ROLLPROOF_TARGET"):
        monkeypatch.delenv(name, raising=False)
    profile = write_profile(pytester.path)
    pytester.path.joinpath("pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    pytester.makeconftest(f"{CONFTEST}{DRAWN}")
    checks = pytester.mkdir("checks") / "test_checks.py"
    checks.write_text(CHECKS, encoding="utf-8")
    run = pytester.runpytest_subprocess(f"--target={profile}", "--incident=one", "--no-gate")
    run.assert_outcomes(passed=5, failed=2, skipped=1)
    renew(pytester.path / "incidents" / "one", print)
    return pytester.path / "incidents" / "one" / "report.html"


@pytest.mark.long(minutes=0.5)
@pytest.mark.timeout(900)
def test_it_opens_without_a_network_shows_all_and_calls_nobody(
    report: Path, page: Page, tmp_path: Path
) -> None:
    page.open(report)
    page.wait_for(TITLES["phase1"])
    page.wait_for("What did not pass")
    tree = page.text()
    for phase in ("phase1", "phase2", "phase3", "phase4"):
        assert TITLES[phase] in tree
    assert "FAILED" in tree
    assert "Store answers: kafka" in tree
    page.click("Collection content")
    page.wait_for("Verified wrong: data loss")
    described = page.framed()
    assert "Verified: Every record of the collection is what it was." in described
    assert "the records of the baseline, policy exact" in described
    assert "compare: mysql/shop.users" in page.text()
    assert "line-of-log" not in page.text()
    page.click("log of mysql-1")
    page.wait_for("[ERROR] line-of-log")
    page.click("differences")
    page.wait_for("cell-of-table")
    shot = tmp_path / "report.png"
    assert page.driver.save_screenshot(str(shot))
    assert shot.stat().st_size > 20_000
    # Nothing was even tried.
    assert page.errors() == []

    # A page that calls somebody is seen by the same browser, or nothing of this could fail.
    bad = tmp_path / "bad.html"
    bad.write_text('<body>here<img src="http://example.invalid/a.png"></body>', encoding="utf-8")
    page.open(bad)
    page.wait_for("here")
    assert any("ERR_NAME_NOT_RESOLVED" in error for error in page.errors())
    page.close()

    assert page.requests[0] == report.as_uri()
    # Once by the page's own account, and once by the network's.
    assert page.left() == ["http://example.invalid/a.png"] * 2
