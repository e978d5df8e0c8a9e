"""The monitor: asks its probes on an exact beat, and records their answers.

A beat comes at zero + n times its length, however long the probes take. Each probe has its own thread. A
probe that has not answered by the next beat keeps waiting, and is never asked twice at the same time. Time
is counted by the clock that runs on while the machine is suspended, so that the beats in that time count
as missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from rollproof.errors import Mismatch, Problem
from rollproof.incident.samples import ProbeAnswer as Probed
from rollproof.incident.samples import ProbeId, ProbeKind, Sample, Unreached
from rollproof.monitoring.probes.probe import COLLECTED, Probe, ProbeResult, unreached_by
from rollproof.system.clock import Moment
from rollproof.system.process import Process
from rollproof.system.side_by_side import Question, wait_for

# A beat that is late by less than this part of its length is still made.
_LATE = 0.1
# The end, or the end of a suspension, may go unseen for this long.
_SLICE_SECONDS = 0.2
# The end waits this long for open questions, and then for probes that are being closed.
_END_SECONDS = 1.0
# What is down without an answer, unless there is none in time, or the engine does not tell where it is.
_MUST_ANSWER = frozenset({ProbeKind.HEALTH, ProbeKind.PAGE, ProbeKind.STORE})
_WARMING = -1  # the round before the first beat


class _Asker:
    """One probe, and the beat that it was last asked for."""

    def __init__(self, probe: Probe, question: Callable[[str, Callable[[], Any]], Question[Any]]) -> None:
        self.id: ProbeId = probe.id
        self.question: Question[ProbeResult] = question(str(probe.id), probe.ask)
        self.closing: Question[None] = question(f"end of {probe.id}", probe.close)
        self._beat = _WARMING

    def ask(self, beat: int) -> None:
        """Ask for `beat`, unless the question of an earlier beat is still unanswered."""
        if not self.question.waiting:
            self._beat = beat
            self.question.start()

    def waiting(self, beat: int) -> bool:
        """Return True if the answer for `beat` may still come."""
        return self._beat == beat and self.question.waiting

    def answer(self, beat: int) -> Probed:
        """Return the probe's answer for `beat`."""
        seconds = self.question.seconds
        if self.question.waiting:
            asked = self.question.asked
            text = f"unknown: still waiting since {datetime.fromisoformat(asked.wall):%H:%M:%S} UTC"
            said, seconds = ProbeResult(None, text, unreached=Unreached.SILENT), asked.seconds_ago()
        else:
            said = self._said()
            if self._beat != beat:
                text = f"unknown: an answer that was late by now ({said.text})"
                said = ProbeResult(None, text, unreached=said.unreached)
        return Probed(
            said.ok,
            seconds,
            said.text,
            said.value,
            said.figures,
            said.services,
            kind=self.id.kind,
            store=self.id.store,
            unreached=said.unreached,
        )

    def _said(self) -> ProbeResult:
        try:
            return self.question.answer()
        except Mismatch as wrong:
            return ProbeResult(False, wrong.summary)
        except Problem as problem:
            unreached = unreached_by(problem, self.id.kind)
            if self.id.kind in _MUST_ANSWER and unreached not in {Unreached.SILENT, Unreached.UNPLACED}:
                return ProbeResult(False, problem.summary, unreached=unreached)
            return ProbeResult(None, f"unknown: {problem.summary}", unreached=unreached)


class Beats:
    """The beats of one monitor, as an iterator of samples."""

    def __init__(
        self,
        target: str,
        probes: Iterable[Probe],
        beat_seconds: float,
        stopped: Callable[[], bool],
        redact: Callable[[str], str],
        *,
        question: Callable[[str, Callable[[], Any]], Question[Any]] = Question,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Ask nothing yet; the beats end when `stopped` says so, wherever they are."""
        self._target = target
        self._seconds = beat_seconds
        self._stopped = stopped
        self._redact = redact
        self._monitor = Process.this()
        self._sleep = sleep
        self._askers = [_Asker(probe, question) for probe in probes]

    def __iter__(self) -> Iterator[Sample]:
        """Yield a sample for each beat until stopped.

        Before the first beat all probes are asked once: imports and connections would make it look slow.
        """
        self._ask(_WARMING)
        if self._collect(_WARMING, _now() + self._seconds) is None:
            return
        zero, beat, before = _now(), 0, -1
        while self._waited(zero + beat * self._seconds):
            # One reading for both: between two of them a busy machine may do something else.
            at = Moment.now()
            late = at.since_boot - (zero + beat * self._seconds)
            # The clock may have run on for many beats, while the machine was suspended.
            overslept = int(late / self._seconds)
            beat, late = beat + overslept, late - overslept * self._seconds
            self._ask(beat)
            probes = self._collect(beat, zero + (beat + COLLECTED) * self._seconds)
            if probes is None:
                return
            yield _sample(Sample(self._target, self._monitor, beat, at, late, beat - before - 1, probes))
            # Next comes the first future beat: a missed beat is not made up for.
            before, beat = beat, max(beat + 1, int((_now() - zero) / self._seconds + 1 - _LATE))

    def close(self) -> None:
        """Close all probes that are free, or soon are; a hanging probe is left, even while it is closed."""
        wait_for([asker.question for asker in self._askers], _END_SECONDS)
        free = [asker.closing for asker in self._askers if not asker.question.waiting]
        for closing in free:
            closing.start()
        wait_for(free, _END_SECONDS)

    def _ask(self, beat: int) -> None:
        for asker in self._askers:
            asker.ask(beat)

    def _waited(self, due: float) -> bool:
        """Wait until `due`; tell whether it came before the end."""
        while (left := due - _now()) > 0 and not self._stopped():
            self._sleep(min(left, _SLICE_SECONDS))
        return not self._stopped()

    def _collect(self, beat: int, until: float) -> Mapping[str, Probed] | None:
        """Return the answers so far at `until`, or None if the end came first."""
        for asker in self._askers:
            while asker.waiting(beat) and (left := until - _now()) > 0 and not self._stopped():
                asker.question.wait(min(left, _SLICE_SECONDS))
        if self._stopped():
            return None
        answers = {str(asker.id): asker.answer(beat) for asker in self._askers}
        return {name: replace(said, text=self._redact(said.text)) for name, said in answers.items()}


def _now() -> float:
    """Return the seconds since boot, suspension included."""
    return Moment.now().since_boot


def _sample(made: Sample) -> Sample:
    """Return the sample; what a machine that may be cut off did not reach is unknown in it, and not down."""
    if not made.cut_off:
        return made
    down = {name: one for name, one in made.probes.items() if one.unreached and one.ok is not None}
    unknown = {
        name: replace(one, ok=None, text=f"unknown: {one.text}", services=()) for name, one in down.items()
    }
    return replace(made, probes={**made.probes, **unknown})
