"""Pytest plugin: completes the record at the end of a run.

In this order: results for checks that never reported, Allure's environment, `verdict.json`, the pictures,
`postmortem.md` or `gate.md`, `report.html`. Last comes a scan of all that for secrets; then the summary is
printed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from fixtures.gating.verification import VERIFICATION, Verification
from fixtures.target import recorded_facts
from reports.allure.metadata import environment_of_run, write_environment
from reports.allure.missing import write_missing_results
from reports.html.html import render
from reports.incident.record import IncidentRecord, read_incident_record
from reports.postmortem.story import Cause, story_of
from reports.run.causes import cause_lines, causes_of
from reports.run.completion import complete
from reports.run.junit import complete_junit
from reports.text.page import MARKS
from reports.text.redactor import redactor_of
from reports.tools.node import installed_allure
from reports.verdict.limits import known_limits
from reports.verdict.summary import lines, report_command
from reports.verdict.verdict import write_verdict
from rollproof.baseline.facts import Facts
from rollproof.errors import ExitCode, Problem
from rollproof.home import typed
from rollproof.incident.incident import IncidentKind, report_paths
from rollproof.incident.tally import tally
from rollproof.reading import read_regular
from rollproof.record_names import GATE_PAGE, REPORT, RESULTS
from rollproof.sealing.seal import promised
from rollproof.system.files import remove_file, write_page
from rollproof.verdict import RunVerdict, Verdict

# What pytest shows unless somebody asks for something else.
_TRACEBACKS, _SHORT_SUMMARY = "auto", "fE"
_NO_TRACEBACKS = "no"

UNRENDERED_IF_GREEN = pytest.StashKey[bool]()
"""Set for one run of many: `report.html` takes longer than the checks, and is read where one did not pass."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the record's plugin in the controller, for a run that belongs to an incident.

    Its causes take the place of pytest's tracebacks, which are in the record, unless somebody asks for those.
    """
    verification = config.stash.get(VERIFICATION, None)
    if verification is None or config.option.collectonly or hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(_Record(config, verification), "rollproof-record")
    if config.option.tbstyle == _TRACEBACKS:
        config.option.tbstyle = _NO_TRACEBACKS
    if config.option.reportchars == _SHORT_SUMMARY:
        config.option.reportchars = ""


class _Record:
    def __init__(self, config: pytest.Config, verification: Verification) -> None:
        self._config = config
        self._verification = verification
        self._incident = verification.incident
        self._shown: RunVerdict | None = None
        self._causes: tuple[Cause, ...] = ()
        self._green = False
        self._notes: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a module was not collected: its checks are in no plan."""
        if report.failed:
            # An error of import is the end of its text: before it are the modules that led there.
            why = (report.longreprtext.strip().splitlines() or ["it cannot be imported"])[-1]
            self._notes.append(f"  not collected  {report.nodeid}: {why.removeprefix('E ').strip()}")

    # A wrapper ends after the ledger is closed and JUnit's file written, but before the terminal's summary.
    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Complete the record, unless a usage error ended the run: that is no part of any record."""
        yield
        if session.exitstatus != ExitCode.USAGE:
            self._complete(session)

    def _complete(self, session: pytest.Session) -> None:
        target, folder = self._verification.target, self._incident.folder
        redactor, recorded = redactor_of(self._config), recorded_facts(self._config)
        # Read before there is a verdict: from then on a record that nobody has signed yet would be doubted.
        record = read_incident_record(folder, target.signing)
        self._complete_results(record, recorded)
        signature, unsigned = promised(target.signing)
        verdict = tally(self._incident, target.windows, self._verification.wrong)
        notes = tuple(dict.fromkeys([*verdict.notes, *known_limits(target, recorded)]))
        verdict = replace(verdict, signature=signature, notes=notes)
        write_verdict(folder, verdict)
        self._shown = verdict
        if self._verification.wrong:
            # What earlier runs found cannot be trusted: this one alone verifies no rollback.
            self._worsen(session, ExitCode.BROKEN)
        self._green = session.exitstatus == ExitCode.VERIFIED
        # Draw only when everything was verified, so that a run of a single phase takes no longer.
        drawn = not verdict.partial and self._incident.kind is not IncidentKind.CHANGE
        say, render_it = self._notes.append, self._render
        story = story_of(record, verdict)
        self._causes = causes_of(story, self._verification.run)
        problems = complete(story, redactor, say, render_it, drawn=drawn, target=target)
        self._notes += map(str, problems)
        if wrong := redactor.wrong_in(self._places()):
            self._notes += wrong
            self._incident.reopen()
            self._shown = _with_secret(verdict)
            write_verdict(folder, self._shown)
            if self._green:
                self._mark_gate_page()
            self._green = False
            self._worsen(session, ExitCode.FAILED)
        self._complete_junit(self._shown)
        self._note_users_kept_out()
        if unsigned := self._unsealed() or unsigned:
            # A record that was to be signed and is not is no green result.
            self._notes.append(str(unsigned))
            self._worsen(session, ExitCode.BROKEN)

    def _worsen(self, session: pytest.Session, code: ExitCode) -> None:
        """Let a run that would end green end with `code`."""
        if session.exitstatus == ExitCode.VERIFIED:
            session.exitstatus = code

    def _unsealed(self) -> Problem | None:
        """Seal the record; return why it cannot be."""
        try:
            if self._verification.sealing is not None:
                self._verification.sealing.seal(f"checks, run {self._verification.run.number}")
        except Problem as problem:
            return problem
        return None

    def _note_users_kept_out(self) -> None:
        """Say who is to be let in, once all is verified."""
        application = self._verification.target.application
        if not self._incident.closed or application.way_in is None:
            return
        from rollproof.application.maintenance import kept_out  # noqa: PLC0415 - an HTTP client at every start

        if kept_out(application):
            self._notes.append(f"  users are still kept out: {typed('rollback let-in')}")

    def _complete_junit(self, shown: RunVerdict) -> None:
        """Add to JUnit's file, if this run wrote one, what only its end knows."""
        written = getattr(self._config.option, "xmlpath", None)
        if not written or not Path(written).is_file():
            return
        folder = redactor_of(self._config).text(str(self._incident.folder.resolve()))
        properties = {"incident": self._incident.id, "verdict": shown.verdict.value, "record": folder}
        try:
            complete_junit(Path(written), properties)
        except (OSError, ParseError) as error:
            self._notes.append(f"  JUnit's file does not say the verdict: {error}")

    def pytest_unconfigure(self) -> None:
        """Print the verdict on the incident so far, after all that pytest prints, also under -q."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._shown is None or terminal is None:
            return
        terminal.section(f"incident {self._incident.id}")
        notes = map(redactor_of(self._config).text, self._notes)
        # Where pytest prints tracebacks, the causes are on the screen already.
        causes = self._causes if self._config.option.tbstyle == _NO_TRACEBACKS else ()
        summary = lines(
            self._shown, self._incident.folder, notes=notes, green=self._green, subject=self._subject()
        )
        for lead, rest, style in (*cause_lines(causes), *summary):
            terminal.write(lead, **dict.fromkeys(style.split(), True))
            terminal.line(rest)

    def _subject(self) -> str:
        """Return what was verified: the target as it is, or after which rollback."""
        target, rollback = self._incident.target, self._incident.rollback()
        if self._incident.kind is IncidentKind.CHANGE:
            return target
        return f"{target}, {f'after rollback {rollback.request}' if rollback else 'without a rollback'}"

    def _mark_gate_page(self) -> None:
        """Mark the gate's page of a run whose record holds a secret: it may promote nothing."""
        path = self._incident.folder / GATE_PAGE
        if path.exists():
            page = read_regular(path).decode()
            warning = "A secret is in the record of this run: see what its checks printed last"
            write_page(path, f"# {MARKS[Verdict.FAILED]} {warning}\n\n{page}")

    def _complete_results(self, record: IncidentRecord, recorded: Facts | None) -> None:
        results = getattr(self._config.option, "allure_report_dir", None)
        if results is None:
            # Allure was switched off on the command line.
            return
        if Path(results).resolve() == (self._incident.folder / RESULTS).resolve():
            write_missing_results(record, redactor_of(self._config))
        this = self._verification
        rows = environment_of_run(self._incident, this.profile, this.migration, recorded)
        write_environment(Path(results), rows)

    def _render(self, front: str) -> None:
        """Render the report if Allure is installed: an incident is no time to install it."""
        folder = self._incident.folder
        spared = self._green and UNRENDERED_IF_GREEN in self._config.stash
        if spared:
            # That of an earlier run.
            remove_file(folder / REPORT)
        if spared or installed_allure() is None:
            self._notes.append(f"  {REPORT} was not made; this makes it: {report_command(folder)}")
        else:
            render(folder, front)

    def _places(self) -> Iterator[Path]:
        """Yield the paths that this run wrote."""
        option = self._config.option
        written = [getattr(option, name, None) for name in ("allure_report_dir", "xmlpath", "log_file")]
        folder = self._incident.folder.resolve()
        yield from report_paths(folder)
        for path in dict.fromkeys(Path(path).resolve() for path in written if path):
            if path.exists() and not path.is_relative_to(folder):
                yield path


def _with_secret(verdict: RunVerdict) -> RunVerdict:
    """Return the verdict of an incident whose record holds a secret and must not be handed on."""
    kept = verdict.verdict if verdict.verdict is Verdict.BROKEN else Verdict.FAILED
    late = () if verdict.late is None else (verdict.late,)
    notes = (*verdict.notes, *late, "a secret is in the record of this incident: hand nothing of it on")
    return replace(verdict, verdict=kept, notes=notes, late=None, found=verdict.found and kept)
