"""The lock of a target, kept by a stand-in: who gets it, who is refused, who may take it over."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from itertools import count

import pytest

from rollback_actions.session.session import TargetLock
from rollproof.errors import Unverifiable, UsageProblem
from rollproof.planning.status import LockState
from rollproof.system.holder import Holder
from rollproof.system.process import Life
from tests.world.lock import StandInPlace, elsewhere, ended, held

FREE = {"free": "yes"}
AWAY = Unverifiable(what="lock", expected="an answer", observed="none", source="stand-in", hint="start it")


def _lock(place: StandInPlace, *, take_over: bool = False) -> TargetLock:
    return TargetLock(place, "sandbox", "backup", take_over=take_over)


def _true(place: StandInPlace) -> dict[str, str]:
    return dict(place.kept[max(place.kept)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_it_is_given_back_however_the_body_ends(error: type[BaseException]) -> None:
    place = StandInPlace()
    with pytest.raises(error), held(place):
        raise error
    assert list(place.kept.values()) == [FREE]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), AWAY, ZeroDivisionError()])
def test_what_comes_between_while_it_is_taken_gives_it_back(error: BaseException) -> None:
    place = StandInPlace()

    def interrupt() -> None:
        if place.kept:
            place.before = lambda: None
            raise error

    place.before = interrupt
    with pytest.raises(type(error)):
        _lock(place).__enter__()
    assert list(place.kept.values()) == [FREE]


def test_one_that_lives_is_never_taken_from() -> None:
    place = StandInPlace()
    with held(place) as holder:
        with pytest.raises(UsageProblem, match="which still runs"):
            _lock(place, take_over=True).__enter__()
        assert _true(place) == holder.record()


@pytest.mark.parametrize(("holder", "hint"), [(ended(), "add --take-over"), (elsewhere(), "ask anna")])
def test_it_is_taken_over_on_demand_only(holder: Holder, hint: str) -> None:
    place = StandInPlace({3: holder.record()})
    with pytest.raises(UsageProblem, match=f"HINT: .*{hint}"):
        _lock(place).__enter__()
    assert place.kept == {3: holder.record()}
    with _lock(place, take_over=True) as lock:
        assert lock.taken_from == holder
        assert _true(place) == lock.holder.record()
    assert list(place.kept.values()) == [FREE]


def test_one_that_cannot_be_given_back_fails_no_action(capsys: pytest.CaptureFixture[str]) -> None:
    place = StandInPlace()

    def away() -> None:
        raise AWAY

    with _lock(place):
        place.before = away
    assert "the lock was not given back" in capsys.readouterr().err


@pytest.mark.parametrize("gives_back", [False, True])
@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("at", range(8))
def test_never_two_whenever_another_comes_between(at: int, *, dead: bool, gives_back: bool) -> None:
    """The other one does all that it does right before question `at` of the first one to the engine."""
    place, questions = StandInPlace({7: ended().record()} if dead else {}), count()
    inside: list[TargetLock] = []
    with ExitStack() as held_by:

        def take() -> None:
            with suppress(UsageProblem):
                inside.append(held_by.enter_context(_lock(place, take_over=True)))

        def come_between() -> None:
            if next(questions) == at:
                place.before = lambda: None
                take()
                if gives_back and inside:
                    held_by.close()
                    inside.clear()

        place.before = come_between
        take()
        place.before = lambda: None
        (one,) = inside
        one.require()
    assert list(place.kept.values()) == [FREE]


@pytest.mark.parametrize(
    ("what", "life", "rolls_back"),
    [
        ("rollback full", Life.RUNS, True),
        ("rehearse 1a2b", Life.RUNS, True),
        ("backup", Life.RUNS, False),
        ("rollback full", Life.ENDED, False),
        ("rollback full", Life.UNKNOWN, None),
    ],
)
def test_whether_a_rollback_runs(what: str, life: Life, *, rolls_back: bool | None) -> None:
    assert LockState(Holder.doing(what), life).rolls_back is rolls_back
