"""The monitor: its beat is exact whatever the probes do, and what it cannot know it does not call well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

import pytest

from rollproof.errors import Meaning, Mismatch, Unverifiable
from rollproof.incident.samples import ProbeId, ProbeKind, Sample
from rollproof.monitoring.monitor import Beats
from rollproof.monitoring.probes.probe import Probe, ProbeResult
from tests.unit.monitor.turned_time import TurnedTime, turned

BEAT = 0.2
_ANSWER = "expected an answer by now"
_ASKED = "from a question of the monitor"


class Told(Probe):
    """A probe that does as it is told, and counts how often it is asked at the same time."""

    def __init__(
        self, name: str, passing: TurnedTime, seconds: float = 0.0, error: Exception | None = None
    ) -> None:
        self.id = ProbeId(ProbeKind.STORE, name)
        self.passing = passing
        self.seconds = seconds
        self.error = error
        self.asked = 0
        self.inside = 0
        self.most = 0
        self.closed = False

    def ask(self) -> ProbeResult:
        self.asked += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.passing.take(self.seconds)
        self.inside -= 1
        if self.error is not None:
            raise self.error
        return ProbeResult(ok=True, text=f"asked {self.asked}", value=1.0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def passing() -> Iterator[TurnedTime]:
    with turned() as found:
        yield found


def _problem(kind: type[Unverifiable | Mismatch]) -> Unverifiable | Mismatch:
    return kind(what="it", expected="a", observed="s3cret", source="b", hint="c")


def _late() -> Unverifiable:
    return Unverifiable(
        what="it", expected="a", observed="s3cret", source="b", hint="c", means=Meaning.TIMEOUT
    )


@contextmanager
def _beats(passing: TurnedTime, *probes: Probe) -> Iterator[Iterator[Sample]]:
    redact = lambda text: text.replace("s3cret", "[redacted]")  # noqa: E731
    watched = Beats("t", probes, BEAT, lambda: False, redact, question=passing.question, sleep=passing.sleep)
    with closing(watched):
        yield iter(watched)


def test_the_beat_is_exact_whatever_the_probes_cost(passing: TurnedTime) -> None:
    quick, slow, hung = Told("quick", passing), Told("slow", passing, BEAT * 0.4), Told("hung", passing, 3600)
    with _beats(passing, quick, slow, hung) as beats:
        samples = list(islice(beats, 20))
    assert [sample.beat for sample in samples] == list(range(20))
    # Each is where the first one says, and none is late.
    beginning = samples[0].at
    assert [sample.at.seconds_since(beginning) for sample in samples] == pytest.approx(
        [number * BEAT for number in range(20)]
    )
    assert max(sample.late for sample in samples) < 1e-6
    assert all(sample.probes["store slow"].ok for sample in samples)
    assert hung.most == hung.asked == 1
    for sample in samples:
        assert sample.probes["store hung"].ok is None
        assert sample.probes["store hung"].text.startswith("unknown: still waiting since ")


def test_an_answer_that_comes_late_is_none_and_the_next_one_counts(passing: TurnedTime) -> None:
    probe = Told("late", passing, BEAT * 1.3)
    with _beats(passing, probe) as beats:
        samples = list(islice(beats, 6))
        probe.seconds = 0.0
        samples += list(islice(beats, 3))
    assert [sample.probes["store late"].ok for sample in samples[:6]] == [None] * 6
    assert samples[-1].probes["store late"].ok is True
    assert probe.most == 1


def test_beats_that_were_missed_are_counted(passing: TurnedTime) -> None:
    with _beats(passing, Told("quick", passing)) as beats:
        first = next(beats)
        passing.sleep(3.5 * BEAT)  # as a process that was stopped, or a machine that was suspended
        second, third = next(beats), next(beats)
    assert (first.beat, first.missed) == (0, 0)
    assert second.beat == second.missed + 1 == 4
    assert (third.beat, third.missed) == (second.beat + 1, 0)
    assert third.at.seconds_since(first.at) == pytest.approx(third.beat * BEAT)


@pytest.mark.parametrize(
    ("error", "ok", "text"),
    [
        (_problem(Mismatch), False, "it: expected a, observed [redacted] (from b)"),
        (_problem(Unverifiable), False, "it: expected a, observed [redacted] (from b)"),
        (_late(), None, "unknown: it: expected a, observed [redacted] (from b)"),
        (
            RuntimeError("s3cret"),
            False,
            f"store raises: {_ANSWER}, observed RuntimeError: [redacted] ({_ASKED})",
        ),
    ],
)
def test_what_a_probe_raises_is_its_answer(
    passing: TurnedTime,
    error: Exception,
    ok: bool | None,  # noqa: FBT001 - of a table
    text: str,
) -> None:
    with _beats(passing, Told("raises", passing, error=error), Told("other", passing)) as beats:
        sample = next(beats)
    assert (sample.probes["store raises"].ok, sample.probes["store raises"].text) == (ok, text)
    assert sample.probes["store other"].ok is True


def test_probes_are_closed_at_the_end_but_for_one_that_hangs(passing: TurnedTime) -> None:
    quick, hung = Told("quick", passing), Told("hung", passing, 3600)
    with _beats(passing, quick, hung) as beats:
        next(beats)
        began = passing.now
    assert quick.closed
    assert not hung.closed
    assert passing.now - began < 5
