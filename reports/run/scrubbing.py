"""Pytest plugin: keeps secrets out of everything that a run prints or writes.

Reports are scrubbed at their source, in the process that ran the check. The terminal, JUnit, Allure, and the
way from an xdist worker to its controller then only get clean reports. `reports.run.record` scans the
run's files all the same.

Not covered: a check's output under ``-s``, which pytest never sees.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest

from fixtures.gating.verification import VERIFICATION
from reports.text.page import REDACTOR, redactor_of
from rollproof.redaction.redactor import SHORTEST, Redactor
from rollproof.system.files import encodable

_FROM_WORKER = "rollproof_secrets"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start scrubbing before any other plugin writes something."""
    config.stash[REDACTOR] = Redactor()
    config.pluginmanager.register(_Scrubber(config), "rollproof-scrubber")


# Outermost wrapper: it sees what other plugins add to the report, such as a check's verdict and reason.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Scrub the parts that plugins added to a check's report."""
    report = yield
    for name, value in vars(report).items():
        if isinstance(value, dict) or name == "wasxfail":
            setattr(report, name, _scrubbed(value, redactor_of(item.config)))
    return report


@pytest.fixture(scope="session")
def redact(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Keep a secret issued during the run, such as a session's token, out of every report."""
    return redactor_of(pytestconfig).add


class _Scrubber:
    """The scrubbing hooks, in a class because some hooks do not receive the configuration."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._redactor = redactor_of(config)

    def pytest_report_header(self) -> str | None:
        """Return a line with the count of secrets that are too short to redact."""
        count = self._redactor.too_short
        if not count:
            return None
        return f"redaction: {count} secret(s) of fewer than {SHORTEST} characters cannot be redacted"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Learn the profile's secrets; scrub the live log and the log file, which bypass reports."""
        verification = self._config.stash.get(VERIFICATION, None)
        if verification is not None:
            for secret in verification.target.secrets():
                self._redactor.add(secret)
        plugin = self._config.pluginmanager.getplugin("logging-plugin")
        for name in ("log_cli_handler", "log_file_handler"):
            handler = getattr(plugin, name, None)
            if isinstance(handler, logging.Handler):
                handler.setFormatter(_Formatter(handler.formatter, self._redactor))

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """Scrub a parameter, which becomes a part of its check's name."""
        text = str(val)
        clean = self._redactor.text(text)
        return clean if clean != text else None

    # Innermost wrapper: all other readers of the report, such as Allure and JUnit, get it scrubbed.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Scrub a check's own report."""
        report = yield
        self._scrub(report)
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Scrub the report of a module's import."""
        report = yield
        self._scrub(report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: object) -> None:
        """Scrub the error of a plugin that failed."""
        _scrubbed(excrepr, self._redactor)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Scrub a warning's text before the summary shows it."""
        message = warning_message.message
        if isinstance(message, Warning):
            message.args = _scrubbed(message.args, self._redactor)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist may not be installed
        """Learn the secrets issued to a worker's checks, for the last scan."""
        for secret in getattr(node, "workeroutput", {}).pop(_FROM_WORKER, ()):
            self._redactor.add(secret)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Send this worker's secrets to the controller."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_FROM_WORKER] = list(self._redactor.known())

    def _scrub(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        report.longrepr = _scrubbed(report.longrepr, self._redactor)
        report.sections = _scrubbed(report.sections, self._redactor)
        if isinstance(report, pytest.TestReport):
            report.user_properties = _scrubbed(report.user_properties, self._redactor)


class _Formatter(logging.Formatter):
    """Formats by another formatter, and scrubs its text."""

    def __init__(self, inner: logging.Formatter | None, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(self._inner.format(record))


def _scrubbed(value: Any, redactor: Redactor) -> Any:  # noqa: ANN401 - pytest's reports hold anything
    """Return `value` without secrets; pytest's exception representations are changed in place."""
    if isinstance(value, str):
        # A lone surrogate, from a file name that is no UTF-8, would break the way from worker to controller.
        return encodable(redactor.text(value))
    if isinstance(value, list):
        return [_scrubbed(item, redactor) for item in value]
    if isinstance(value, tuple):
        return tuple(_scrubbed(item, redactor) for item in value)
    if isinstance(value, dict):
        return {_scrubbed(key, redactor): _scrubbed(item, redactor) for key, item in value.items()}
    if hasattr(value, "toterminal"):
        for name, part in vars(value).items():
            setattr(value, name, _scrubbed(part, redactor))
    return value
