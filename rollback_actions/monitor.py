"""The monitor: asks its probes on an exact beat, and writes down what they say.

A beat comes at zero + n times its length, whatever the probes cost: each has a thread of its own, and one
that has not answered by the next beat is left waiting, never asked twice at the same time. Time is counted by
the clock that goes on while the machine is suspended, so that the beats of that time are counted as missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fixtures.clock import Moment
from fixtures.errors import Mismatch, Problem
from fixtures.samples import Monitor, Sample
from fixtures.samples import Probe as Probed
from rollback_actions.reading import Probe, Reading
from rollback_actions.side_by_side import Question, wait_for

# By this part of a beat the sample is made of what has answered. The rest is for writing and showing it.
COLLECTED = 0.8
# A beat that has been missed by less than this part of it is not given up.
_LATE = 0.1
# How long the end, or the end of a suspension, may go unseen.
_SLICE_SECONDS = 0.2
# So long the end waits for what is still asked, and then for what is being closed.
_END_SECONDS = 1.0
_WARMING = -1  # the round before the first beat


def clock() -> float:
    """Return the seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Asker:
    """One probe, and the beat that it was last asked for."""

    def __init__(self, probe: Probe) -> None:
        self.name = probe.name
        self.question: Question[Reading] = Question(probe.name, probe.ask)
        self.closing: Question[None] = Question(f"end of {probe.name}", probe.close)
        self._beat = _WARMING

    def ask(self, beat: int) -> None:
        """Ask for `beat`, unless the question of an earlier one has not been answered yet."""
        if not self.question.waiting:
            self._beat = beat
            self.question.start()

    def waiting(self, beat: int) -> bool:
        """Return whether the answer for `beat` may still come."""
        return self._beat == beat and self.question.waiting

    def answer(self, beat: int) -> Probed:
        """Return what was said for `beat`."""
        if self.question.waiting:
            asked = self.question.asked
            text = f"unknown: still waiting since {datetime.fromisoformat(asked.wall):%H:%M:%S} UTC"
            return Probed(None, asked.seconds_ago(), text)
        said = self._said()
        if self._beat != beat:
            return Probed(None, said.seconds, f"unknown: an answer that was late by now ({said.text})")
        return said

    def _said(self) -> Probed:
        seconds = self.question.seconds
        try:
            reading = self.question.answer()
        except Mismatch as wrong:
            return Probed(False, seconds, str(wrong).splitlines()[0])
        except Problem as problem:
            return Probed(None, seconds, f"unknown: {problem.summary}")
        return Probed(reading.ok, seconds, reading.text, reading.value, reading.figures, reading.services)


@dataclass
class Summary:
    """What a monitor has seen: beats, those that it missed, how late the latest came, how many were well."""

    beats: int = 0
    missed: int = 0
    latest: float = 0.0
    well: int = 0

    def add(self, sample: Sample) -> None:
        """Count a sample."""
        self.beats += 1
        self.missed += sample.missed
        self.latest = max(self.latest, sample.late)
        self.well += all(probe.ok for probe in sample.probes.values())

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"{self.beats} beats, {self.well} of them all well, {self.missed} missed,"
            f" the latest {self.latest:.3f} s late"
        )


class Beats:
    """The beats of one monitor, as an iterator of samples."""

    def __init__(
        self,
        target: str,
        probes: Sequence[Probe],
        beat_seconds: float,
        stopped: Callable[[], bool],
        redact: Callable[[str], str],
    ) -> None:
        """Ask nothing yet; the beats end when `stopped` says so, wherever they are."""
        self._target = target
        self._seconds = beat_seconds
        self._stopped = stopped
        self._redact = redact
        self._monitor = Monitor.this()
        self._askers = [_Asker(probe) for probe in probes]

    def __iter__(self) -> Iterator[Sample]:
        """Yield a sample a beat until it is stopped.

        Before the first one all are asked once: what is imported and connected then would make it look slow.
        """
        self._ask(_WARMING)
        if self._collect(_WARMING, clock() + self._seconds) is None:
            return
        zero, beat, before = clock(), 0, -1
        while self._waited(zero + beat * self._seconds):
            at, late = Moment.now(), clock() - (zero + beat * self._seconds)
            # The clock may have gone on for many beats, while the machine was suspended.
            overslept = int(late / self._seconds)
            beat, late = beat + overslept, late - overslept * self._seconds
            self._ask(beat)
            probes = self._collect(beat, zero + (beat + COLLECTED) * self._seconds)
            if probes is None:
                return
            yield Sample(self._target, self._monitor, beat, at, late, beat - before - 1, probes)
            # What comes next is the first beat that is still to come: one that was missed is not made up for.
            before, beat = beat, max(beat + 1, int((clock() - zero) / self._seconds + 1 - _LATE))

    def close(self) -> None:
        """Close all probes that are free, or soon are; what hangs, also while it is closed, is left."""
        wait_for([asker.question for asker in self._askers], _END_SECONDS)
        free = [asker.closing for asker in self._askers if not asker.question.waiting]
        for closing in free:
            closing.start()
        wait_for(free, _END_SECONDS)

    def _ask(self, beat: int) -> None:
        for asker in self._askers:
            asker.ask(beat)

    def _waited(self, due: float) -> bool:
        """Wait until `due`; return whether it has come, and not the end."""
        while (left := due - clock()) > 0 and not self._stopped():
            time.sleep(min(left, _SLICE_SECONDS))
        return not self._stopped()

    def _collect(self, beat: int, until: float) -> Mapping[str, Probed] | None:
        """Return what was said until then; None when the end has come first."""
        for asker in self._askers:
            while asker.waiting(beat) and (left := until - clock()) > 0 and not self._stopped():
                asker.question.wait(min(left, _SLICE_SECONDS))
        if self._stopped():
            return None
        answers = {asker.name: asker.answer(beat) for asker in self._askers}
        return {name: replace(said, text=self._redact(said.text)) for name, said in answers.items()}
