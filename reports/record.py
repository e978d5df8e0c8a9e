"""Pytest plugin: when a run is over, its record is completed, in this order.

Results for checks that never reported, `verdict.json` and the downtime, what Allure shows beside the results,
the pictures, `postmortem.md`, `report.html`, the checksums of the results, and last a scan of all that for
secrets. Then the summary is printed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.errors import ExitCode, Problem
from fixtures.files import write_whole
from fixtures.final_scan import record_of
from fixtures.given import recorded_facts
from fixtures.incident import CHANGE, JOURNAL
from fixtures.tally import tally
from fixtures.verdict import RunVerdict, Verdict
from fixtures.verification import VERIFICATION, Verification
from reports.allure_metadata import RESULTS, write_metadata
from reports.allure_results import write_unreported
from reports.checksums import add_checksums
from reports.downtime_result import downtime_result
from reports.drawing import draw, remove_pictures
from reports.environment import environment, executor
from reports.gate_page import GATE_PAGE, gate_page
from reports.history import history_of
from reports.html import REPORT, render
from reports.journal_end import JOURNAL_END, journal_end
from reports.known_limits import LIMITS, limits_page
from reports.node import installed_allure
from reports.postmortem import write_post_mortem
from reports.processes import NoReport
from reports.redactor import redactor_of
from reports.summary import append_job_summary, lines, markdown
from reports.verdict import write_verdict


def pytest_configure(config: pytest.Config) -> None:
    """Keep the record in the controller, for a run that belongs to an incident."""
    verification = config.stash.get(VERIFICATION, None)
    if verification is not None and not config.option.collectonly and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Record(config, verification), "rollproof-record")


class _Record:
    def __init__(self, config: pytest.Config, verification: Verification) -> None:
        self._config = config
        self._verification = verification
        self._incident = verification.incident
        self._reported: set[str] = set()
        self._verdict: RunVerdict | None = None
        self._notes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a check was torn down: its process has written its result."""
        if report.when == "teardown":
            self._reported.add(report.nodeid)

    # A wrapper ends after the ledger is closed and JUnit's file written, and before the terminal's summary.
    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Complete the record."""
        yield
        self._complete_results()
        self._verdict = tally(self._incident, self._verification.target.windows)
        write_verdict(self._incident.folder, self._verdict)
        self._show_downtime(self._verdict)
        page = self._page(self._verdict)
        self._write_beside(self._verdict)
        self._draw(self._verdict)
        self._write_post_mortem()
        self._render()
        if (self._incident.folder / RESULTS).exists():
            add_checksums(self._incident.folder)
        wrong = redactor_of(self._config).wrong_in(self._places())
        self._notes += wrong
        if wrong:
            self._incident.reopen()
            self._verdict = _with_secret(self._verdict)
            write_verdict(self._incident.folder, self._verdict)
            if session.exitstatus == ExitCode.VERIFIED:
                session.exitstatus = ExitCode.FAILED
                page = self._blocked(page)
        try:
            append_job_summary(redactor_of(self._config).text(page))
        except OSError as error:
            self._notes.append(f"  the job's summary page was not written: {error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdict on the incident so far."""
        if self._verdict is None:
            return
        terminalreporter.section(f"incident {self._incident.id}")
        for lead, rest, style in lines(self._verdict, self._incident.folder):
            terminalreporter.write(lead, **dict.fromkeys(style.split(), True))
            terminalreporter.line(rest)
        for note in self._notes:
            terminalreporter.line(redactor_of(self._config).text(note))

    def _page(self, verdict: RunVerdict) -> str:
        """Return the Markdown of this run; of the gate before a migration it is kept in the record too."""
        if self._incident.kind != CHANGE:
            return markdown(verdict, self._incident.folder)
        waivers = self._verification.target.premigration.waivers
        page = gate_page(verdict, self._verification.run, waivers)
        page = redactor_of(self._config).text(page)
        write_whole(self._incident.folder / GATE_PAGE, page.encode(), mode=0o644)
        return page

    def _write_beside(self, verdict: RunVerdict) -> None:
        """Write what the report shows beside the results: known limits, and the end of the journal."""
        folder = self._incident.folder
        limits = limits_page(verdict, self._verification.target, recorded_facts(self._config))
        texts = {LIMITS: limits, JOURNAL_END: journal_end(folder / JOURNAL)}
        for name, text in texts.items():
            if text is not None:
                clean = redactor_of(self._config).text(text).encode("utf-8", "backslashreplace")
                write_whole(folder / name, clean, mode=0o644)

    def _blocked(self, page: str) -> str:
        """Return the page of a run whose record holds a secret, and keep it so: it must promote nothing."""
        page = f"# ❌ A secret is in the record of this run: see what its checks printed last\n\n{page}"
        if self._incident.kind == CHANGE:
            write_whole(self._incident.folder / GATE_PAGE, page.encode(), mode=0o644)
        return page

    def _complete_results(self) -> None:
        results = getattr(self._config.option, "allure_report_dir", None)
        if results is None:
            # Allure was switched off on the command line.
            return
        run = self._verification.run
        recorded = run.results()
        for phase, planned in run.plan().items():
            for node_id in planned.checks:
                if node_id not in self._reported:
                    write_unreported(self._verification, phase, node_id, recorded.get(node_id))
        rows = environment(self._verification, recorded_facts(self._config))
        write_metadata(Path(results), self._incident, rows, executor(self._incident.id))

    def _show_downtime(self, verdict: RunVerdict) -> None:
        """Show the downtime among the checks: it is judged as they are, when the last of them has ended."""
        if getattr(self._config.option, "allure_report_dir", None) is None:
            return
        result = downtime_result(self._incident, verdict)
        if result is not None:
            write_unreported(self._verification, result.phase, result.check, result)

    def _draw(self, verdict: RunVerdict) -> None:
        """Draw the pictures when all was verified: a run of one phase alone takes no longer than they do."""
        folder = self._incident.folder
        try:
            if verdict.partial or self._incident.kind == CHANGE:
                if remove_pictures(folder):
                    self._notes.append(f"  the pictures are to be drawn anew: python -m reports {folder}")
            else:
                self._notes += draw(folder, redactor_of(self._config))
        except NoReport as problem:
            self._notes.append(str(problem))

    def _write_post_mortem(self) -> None:
        """Write what happened; a change has not happened yet, and has its page."""
        if self._incident.kind == CHANGE:
            return
        try:
            write_post_mortem(self._incident.folder, redactor_of(self._config).text)
        except Problem as problem:
            # The verdict stands, and is printed.
            self._notes.append(str(problem))

    def _render(self) -> None:
        """Render the report where that takes a second; an incident is no time to install what does it."""
        folder = self._incident.folder
        try:
            if installed_allure() is None:
                self._notes.append(f"  {REPORT} was not made; this makes it: python -m reports {folder}")
            else:
                render(folder)
        except NoReport as problem:
            # The verdict stands, and is printed: it does not depend on a page.
            self._notes.append(str(problem))

    def _places(self) -> Iterator[Path]:
        """Yield where this run wrote."""
        option = self._config.option
        written = [getattr(option, name, None) for name in ("allure_report_dir", "xmlpath", "log_file")]
        folder = self._incident.folder.resolve()
        yield from record_of(folder)
        if history_of(self._incident).exists():
            # It outlives the incident.
            yield history_of(self._incident)
        for path in dict.fromkeys(Path(path).resolve() for path in written if path):
            if path.exists() and not path.is_relative_to(folder):
                yield path


def _with_secret(verdict: RunVerdict) -> RunVerdict:
    """Return the verdict of an incident in whose record a secret was found: it is not to be handed on."""
    kept = verdict.verdict if verdict.verdict is Verdict.BROKEN else Verdict.FAILED
    late = () if verdict.late is None else (verdict.late,)
    notes = (*verdict.notes, *late, "a secret is in the record of this incident: hand nothing of it on")
    return replace(verdict, verdict=kept, notes=notes, late=None)
