"""Pytest plugin: completes the record at the end of a run.

In this order: results for checks that never reported, Allure's environment, `verdict.json`, the pictures,
`postmortem.md` or `gate.md`, `report.html`. Last comes a scan of all that for secrets; then the summary is
printed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from fixtures.gating.verification import VERIFICATION, Verification
from fixtures.target import recorded_facts
from reports.allure.missing import write_missing_results
from reports.allure.results import environment_of_run, write_environment
from reports.html.html import front_page, render, render_front
from reports.incident.record import OTHER_SHAPE, IncidentRecord, read_incident_record
from reports.pictures.album import draw_timeline, remove_timeline
from reports.postmortem.postmortem import Cause, Story, story_of, write_post_mortem
from reports.run.junit import complete_junit
from reports.text.page import MARKS, in_markdown, redactor_of
from reports.tools.node import installed_allure
from reports.verdict.verdict import STYLES, gate_page, known_limits, lines, report_command, write_verdict
from rollproof.baseline.demands import LIGHT_GATE
from rollproof.baseline.facts import Facts
from rollproof.errors import ExitCode, Problem, shortened
from rollproof.home import typed
from rollproof.incident.incident import IncidentKind, report_paths
from rollproof.incident.ledger import Run, runs
from rollproof.incident.tally import tally
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.record_names import GATE_PAGE, REPORT, RESULTS
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.seal import promised
from rollproof.system.files import remove_file, write_page
from rollproof.verdict import RunVerdict, Verdict

_MOST = 5  # causes: the verdict must stay on the screen
_LONGEST_REASON, _LONGEST_HINT = 160, 320


def causes_of(story: Story, run: Run) -> tuple[Cause, ...]:
    """Return the causes of `story` with the checks alone that `run` planned."""
    checks = {check for planned in run.plan().values() for check in planned.checks}
    found = (
        replace(cause, failures=tuple(one for one in cause.failures if one.id in checks))
        for cause in story.causes
    )
    return tuple(cause for cause in found if cause.failures)


def cause_lines(causes: Sequence[Cause]) -> Iterator[tuple[str, str, str]]:
    """Yield the first causes in the form of `reports.verdict.verdict.lines`, and the number of the others."""
    for cause in causes[:_MOST]:
        first, count = cause.failures[0], len(cause.failures)
        name = first.id.partition("::")[2] or first.words
        head = name if count == 1 else f"{count} checks, the first {name}"
        yield f"{cause.verdict.upper():<6}", f"  {head}", STYLES[cause.verdict]
        reasons = dict.fromkeys(" ".join(one.reason.split()) for one in cause.failures)
        yield "", f"  {shortened('; '.join(reasons), _LONGEST_REASON)}", ""
        if first.hint:
            yield "", f"  HINT: {shortened(' '.join(first.hint.split()), _LONGEST_HINT)}", ""
    if others := causes[_MOST:]:
        checks = sum(len(cause.failures) for cause in others)
        yield "", f"  and {len(others)} more causes of {checks} checks: all are in the record", ""


def complete(
    story: Story,
    redactor: Redactor,
    say: Callable[[str], None],
    render: Callable[[str], object],
    *,
    drawn: bool,
    target: Target | None = None,
) -> list[Problem]:
    """Write the pages of a record, and render the report: `render` gets the HTML of its first screen.

    A change has the gate's page, an incident its pictures and its post-mortem. Post-mortem and report are
    made even if the one before failed. Return the reasons for a missing one. `say` shows the pictures that
    cannot be drawn. With `drawn` false, earlier pictures are removed.
    """
    problems: list[Problem] = []
    record = story.record
    if record.incident.kind is IncidentKind.CHANGE:
        _write_gate(story, target, redactor)
    else:
        _draw(story, redactor, say, drawn=drawn)
        try:
            write_post_mortem(record.incident.folder, story, redactor.text)
        except Problem as problem:
            # The verdict is written already, and stays valid.
            problems.append(problem)
    try:
        render(front_page(story, redactor.text))
    except Problem as problem:
        problems.append(problem)
    return problems


def _draw(story: Story, redactor: Redactor, say: Callable[[str], None], *, drawn: bool) -> None:
    folder = story.record.incident.folder
    if drawn:
        for wrong in draw_timeline(folder, story.timeline, redactor):
            say(wrong)
    elif remove_timeline(folder):
        say(f"  to draw the timeline again: {report_command(folder)}")


def _write_gate(story: Story, target: Target | None, redactor: Redactor) -> None:
    """Write the gate's page, if a run has begun; one that promotes nothing if its record cannot be read."""
    folder = story.record.incident.folder
    known = runs(folder)
    if not known:
        return
    try:
        waivers = target.premigration.waivers if target is not None else None
        page = gate_page(story.verdict, known[-1], waivers, redactor.text)
    except OTHER_SHAPE as error:
        unread = f"The record of the run cannot be read: {in_markdown(redactor.text(str(error)))}"
        page = f"# {MARKS[Verdict.FAILED]} Do not promote\n\n{unread}\n"
    write_page(folder / GATE_PAGE, page)


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
        if self._incident.kind is IncidentKind.CHANGE and target.premigration.tier == "light":
            self._notes.append(f"  {LIGHT_GATE}")
        if target.is_light:
            verdict = replace(verdict, partial=(*verdict.partial, "nothing was compared with a baseline"))
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
        from rollproof.application.client import kept_out  # noqa: PLC0415 - an HTTP client at every start

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
        """Render the report; without Allure its first screen alone: an incident is no time to install it."""
        folder = self._incident.folder
        if self._green and UNRENDERED_IF_GREEN in self._config.stash:
            # That of an earlier run.
            remove_file(folder / REPORT)
            self._notes.append(f"  {REPORT} was not made; this makes it: {report_command(folder)}")
        elif installed_allure() is None:
            render_front(folder, front, report_command(folder))
            more = f"{report_command(folder)} fetches Node and Allure"
            self._notes.append(f"  {REPORT} has its first screen alone; for a page of each check, {more}")
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
