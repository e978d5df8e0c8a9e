"""The monitor: asks its probes on an exact beat, and writes down what they say.

A beat comes at zero + n times its length, whatever the probes cost: each has a thread of its own, and one
that has not answered by the next beat is left waiting, never asked twice at the same time. Time is counted by
the clock that goes on while the machine is suspended, so that the beats of that time are counted as missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import SimpleQueue

from fixtures.clock import Moment
from fixtures.errors import Mismatch, Problem
from fixtures.samples import Monitor, Sample
from fixtures.samples import Probe as Probed
from rollback_actions.reading import Probe

# By this part of a beat the sample is made of what has answered. The rest is for writing and showing it.
COLLECTED = 0.8
# A beat that has been missed by less than this part of it is not given up.
_LATE = 0.1
# How long the end, or the end of a suspension, may go unseen.
_SLICE_SECONDS = 0.2
_WARMING = -1  # the round before the first beat


def clock() -> float:
    """Return the seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _Asker:
    """Asks one probe, in a thread of its own, each time that it is free."""

    def __init__(self, probe: Probe, changed: threading.Condition) -> None:
        self.name = probe.name
        self._probe = probe
        self._changed = changed
        self._beats: SimpleQueue[int | None] = SimpleQueue()
        self._since: datetime | None = None
        self._asked_at = 0.0
        self._beat = _WARMING
        self._answer: tuple[int, Probed] | None = None
        # A probe that hangs for good must not keep the monitor from ending.
        self._thread = threading.Thread(target=self._run, name=f"probe {probe.name}", daemon=True)
        self._thread.start()

    def ask(self, beat: int) -> None:
        """Ask for `beat`, unless the question of an earlier one has not been answered yet."""
        with self._changed:
            if self._since is not None:
                return
            self._since, self._asked_at, self._beat = datetime.now(UTC), clock(), beat
        self._beats.put(beat)

    def waiting(self, beat: int) -> bool:
        """Return whether the answer for `beat` may still come; the condition's lock is held."""
        return self._since is not None and self._beat == beat

    def answer(self, beat: int) -> Probed:
        """Return what was said for `beat`; the condition's lock is held."""
        if self._since is not None:
            text = f"unknown: still waiting since {self._since:%H:%M:%S} UTC"
            return Probed(None, clock() - self._asked_at, text)
        if self._answer is None:
            raise RuntimeError("a probe is free, and has never been asked")
        asked, said = self._answer
        if asked != beat:
            return Probed(None, said.seconds, f"unknown: an answer that was late by now ({said.text})")
        return said

    def end(self) -> None:
        """Let the thread end, and the probe be closed, once it is free."""
        self._beats.put(None)

    def join(self, seconds: float) -> None:
        """Wait for that, up to `seconds`."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (beat := self._beats.get()) is not None:
            answer = self._asked()
            with self._changed:
                self._answer, self._since = (beat, answer), None
                self._changed.notify_all()
        with suppress(Mismatch, Problem, OSError):  # nothing is left to be asked of it
            self._probe.close()

    def _asked(self) -> Probed:
        started = clock()
        try:
            reading = self._probe.ask()
        except Mismatch as wrong:
            return Probed(False, clock() - started, str(wrong).splitlines()[0])
        except Problem as problem:
            return Probed(None, clock() - started, f"unknown: {problem.summary}")
        except Exception as error:  # noqa: BLE001 - a probe that breaks is one that says nothing; the beat goes on
            return Probed(None, clock() - started, f"unknown: {type(error).__name__}: {error}")
        return Probed(
            ok=reading.ok,
            seconds=clock() - started,
            text=reading.text,
            value=reading.value,
            figures=reading.figures,
            services=reading.services,
        )


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
        self._changed = threading.Condition()
        self._askers = [_Asker(probe, self._changed) for probe in probes]

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
        """End the threads of all probes that are free, and close these."""
        for asker in self._askers:
            asker.end()
        give_up = clock() + 1.0
        for asker in self._askers:
            asker.join(max(0.0, give_up - clock()))

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
        with self._changed:
            while any(asker.waiting(beat) for asker in self._askers):
                left = until - clock()
                if left <= 0 or self._stopped():
                    break
                self._changed.wait(min(left, _SLICE_SECONDS))
            if self._stopped():
                return None
            answers = {asker.name: asker.answer(beat) for asker in self._askers}
        return {name: replace(said, text=self._redact(said.text)) for name, said in answers.items()}
