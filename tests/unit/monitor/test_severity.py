"""Severity: which band stands where, told from samples that are made here; the runbook's decision tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from rollproof.incident.samples import ProbeAnswer, Unreached
from rollproof.incident.severity import Assessment, BandFinding, BandState, Severity, assess
from rollproof.planning.tree import Action, Scope, decide
from rollproof.profile.bands import Band, Bands, Percent
from tests.unit.made_samples import BEAT, WELL, Probes, cut_off, requests, samples, unreached, value


def found(assessment: Assessment, band: str, severity: Severity) -> BandFinding:
    (finding,) = [f for f in assessment.findings if (f.band, f.severity) == (band, severity)]
    return finding


def first_met(band: str, severity: Severity, of: Callable[[int], Probes], *, within: int = 90) -> int | None:
    """Return in which of the bad samples, counted from 1, the band is met first."""
    made = samples(within, of, well_before=90)
    for count in range(1, within + 1):
        assessment = assess(Bands(), made[: 90 + count], BEAT)
        if found(assessment, band, severity).state is BandState.MET:
            return count
        # What is bad already is not called healthy; a small share takes some samples to be a share.
        assert count <= 10 or assessment.severity is not Severity.HEALTHY, (count, assessment)
    return None


def test_what_is_well_is_healthy() -> None:
    assessment = assess(Bands(), samples(3, lambda _: {}), BEAT)
    assert assessment.severity is Severity.HEALTHY
    assert len(assessment.findings) == 15
    assert {finding.state for finding in assessment.findings} == {BandState.CLEAR}


CRITICAL, OTHER = Severity.CRITICAL, Severity.NON_CRITICAL
# What is wrong in each sample, and in how many it takes.
BEYOND: dict[str, tuple[str, Severity, Callable[[int], Probes], int]] = {
    "all requests fail": ("errors", CRITICAL, lambda _: {"requests": requests(20)}, 12),
    "four of five fail": ("errors", CRITICAL, lambda n: {"requests": requests(20 * (n % 5 != 0))}, 12),
    "15 % fail": ("errors", OTHER, lambda _: {"requests": requests(3)}, 60),
    "health is down": ("health", CRITICAL, lambda _: {"health": value(20, ok=False)}, 2),
    "health hangs": ("health", CRITICAL, lambda _: {"health": value(None, ok=None)}, 2),
    "a record is gone": ("records lost", CRITICAL, lambda _: {"records": value(1, ok=False)}, 2),
    "nobody gets in": (
        "failed log-ins",
        CRITICAL,
        lambda _: {"requests": requests(3, log_ins=3, failed=3)},
        12,
    ),
    "memory": ("memory", CRITICAL, lambda _: {"memory": value(97, ok=False)}, 2),
    "disk": ("disk", CRITICAL, lambda _: {"disk": value(3, ok=False)}, 2),
    "a store is down": ("stores", CRITICAL, lambda _: {"store redis": value(None, ok=False)}, 7),
    "a store hangs": ("stores", CRITICAL, lambda _: {"store redis": value(None, ok=None)}, 7),
    "connections": ("connections", CRITICAL, lambda _: {"connections": value(100, ok=False)}, 2),
    "requests are slow": ("latency", OTHER, lambda _: {"requests": requests(p95=6000)}, 13),
    "ten times as slow": ("latency ratio", OTHER, lambda _: {"health": value(200, ratio=10)}, 13),
    "the page is slow": ("page", OTHER, lambda _: {"page": value(4000)}, 13),
    "the log lags": ("lag", OTHER, lambda _: {"lag": value(1001)}, 13),
    "a worker is down": ("containers", OTHER, lambda _: {"containers": value(1, ok=False)}, 13),
    "a function fails": ("function", CRITICAL, lambda _: {"function": value(1, ok=False)}, 13),
    "a search hangs": ("vectors", OTHER, lambda _: {"vectors milvus": value(None, ok=None)}, 60),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_band_is_met_when_its_time_is_over_and_not_before(name: str) -> None:
    band, severity, of, samples_needed = BEYOND[name]
    met = first_met(band, severity, of)
    assert met is not None
    assert samples_needed <= met <= samples_needed + 2


def test_a_service_that_flaps_is_not_critical_and_not_missed() -> None:
    made = samples(70, lambda n: {"requests": requests(20 * (n // 2 % 4 == 0))}, well_before=60)
    severities = [assess(Bands(), made[:count], BEAT).severity for count in range(61, 131)]
    assert Severity.CRITICAL not in severities
    assert Severity.NON_CRITICAL in severities[60:68]
    assert assess(Bands(), made[:105], BEAT).severity is Severity.UNKNOWN


@pytest.mark.parametrize(
    ("of", "first"),
    [
        pytest.param(lambda _: {"requests": requests(20)}, 0, id="all fail"),
        pytest.param(lambda n: {"requests": requests(20 * (n % 5 != 0))}, 1, id="four of five"),
        # What fails now and then, as before, is not what made it bad.
        pytest.param(lambda n: {"requests": requests(20 if n > 40 else n % 3)}, 41, id="a few before"),
        pytest.param(lambda n: {"requests": requests(20 * (n < 20 or n > 40))}, 41, id="well between"),
        pytest.param(lambda _: {"health": value(None, ok=False)}, 0, id="health"),
    ],
)
def test_what_is_bad_for_longer_than_its_band_asks_is_bad_since_its_first_sample(
    of: Callable[[int], Probes], first: int
) -> None:
    made = samples(120, of, well_before=30)
    assert assess(Bands(), made, BEAT).first_bad == made[30 + first].at


def test_a_row_ends_with_a_good_sample_one_that_says_nothing_and_a_beat_that_was_missed() -> None:
    def state(probe: ProbeAnswer, *, missed: int = 0) -> BandState:
        made = samples(4, lambda n: {"memory": probe if n == 2 else value(97)})
        made[-1] = replace(made[-1], missed=missed)
        return found(assess(Bands(), made, BEAT), "memory", Severity.CRITICAL).state

    assert state(value(97)) is BandState.MET
    assert state(value(97), missed=1) is BandState.LASTING
    assert state(value(40)) is BandState.LASTING
    assert state(value(None, ok=None)) is BandState.LASTING


@pytest.mark.parametrize(("seconds", "state"), [(9, BandState.MET), (1800, BandState.LASTING)])
def test_a_row_ends_where_no_monitor_ran(seconds: float, state: BandState) -> None:
    """A store that was down half an hour ago, when a monitor ended, is not down since then."""
    *before, last = samples(9, lambda _: {"store redis": value(None, ok=False)})
    later = replace(last.at, since_boot=before[-1].at.since_boot + seconds)
    assessment = assess(Bands(), [*before, replace(last, beat=0, at=later)], BEAT)
    assert found(assessment, "stores", CRITICAL).state is state


def test_a_band_of_which_a_part_is_changed_keeps_the_rest_of_the_runbooks() -> None:
    bands = Bands.model_validate({"critical": {"errors": {"limit": 40}, "stores": {"seconds": 10}}})
    assert bands.critical.errors == Percent(limit=40, seconds=60)
    assert bands.critical.stores == Band(limit=1, seconds=10)
    assert bands.critical.memory == Bands().critical.memory
    assert Bands.model_validate({"critical": {"errors": Percent(limit=3)}}).critical.errors.seconds == 0


@pytest.mark.parametrize(
    "name", sorted(set(WELL) - {"page", "store redis", "vectors milvus", "vectors qdrant"})
)
def test_what_nobody_knows_is_not_healthy(name: str) -> None:
    assessment = assess(Bands(), samples(3, lambda _: {name: value(None, ok=None)}), BEAT)
    # A health endpoint that does not answer is worse than unknown, unless nothing does.
    assert assessment.severity is (CRITICAL if name == "health" else Severity.UNKNOWN)
    nothing = samples(3, lambda _: dict.fromkeys(WELL, value(None, ok=None)))
    assert assess(Bands(), nothing, BEAT).severity is Severity.UNKNOWN


def test_no_sample_and_one_of_long_ago_say_nothing() -> None:
    made = samples(3, lambda _: {})
    later = replace(made[-1].at, since_boot=made[-1].at.since_boot + 2 * BEAT + 1)
    for assessment in (assess(Bands(), [], BEAT), assess(Bands(), made, BEAT, later)):
        assert assessment.severity is Severity.UNKNOWN
        assert not assessment.of(BandState.CLEAR)


@pytest.mark.parametrize(
    ("mysql", "state"),
    [(value(20), BandState.CLEAR), (value(None, ok=None), BandState.UNKNOWN), (value(100), BandState.MET)],
)
def test_the_database_nearest_to_its_limit_counts_and_one_unknown_is_not_well(
    mysql: ProbeAnswer, state: BandState
) -> None:
    made = samples(3, lambda _: {"connections redis": value(9), "connections mysql": mysql})
    assert found(assess(Bands(), made, BEAT), "connections", CRITICAL).state is state
    full = samples(3, lambda _: {"connections redis": value(100), "connections mysql": mysql})
    assert found(assess(Bands(), full, BEAT), "connections", CRITICAL).state is BandState.MET


@pytest.mark.parametrize(
    ("milliseconds", "state", "severity"),
    [(4, BandState.UNKNOWN, Severity.UNKNOWN), (4000, BandState.MET, OTHER)],
)
def test_an_error_in_place_of_the_page_is_no_page_that_was_fast(
    milliseconds: float, state: BandState, severity: Severity
) -> None:
    made = samples(14, lambda _: {"page": value(milliseconds, ok=False)})
    assessment = assess(Bands(), made, BEAT)
    assert found(assessment, "page", OTHER).state is state
    assert assessment.severity is severity


def test_the_worst_band_decides_and_says_which_samples_led_to_it() -> None:
    made = samples(14, lambda _: {"page": value(9000), "memory": value(99)})
    assessment = assess(Bands(), made, BEAT)
    assert assessment.severity is Severity.CRITICAL
    assert [(f.band, f.beats, f.text) for f in assessment.of(BandState.MET)] == [
        ("memory", (0, 13), "99 % of a limit, for 65 s"),
        ("page", (0, 13), "9,000 ms, for 65 s"),
    ]


HANGS = unreached(Unreached.SILENT)
NOBODY: dict[str, Probes] = {
    "refused": {},
    "no way there": {"store redis": HANGS, "containers": HANGS, "health": HANGS, "page": HANGS},
    "several stores": {"store mysql": unreached(ok=False), "store s3": HANGS},
    "stores by the engine": {"store redis": unreached(Unreached.UNPLACED)},
    # The way to the users' side is another one: what it says is no reason to restore a store.
    "health by another way": {"health": value(None, ok=False), "page": value(9000, ok=False)},
    "requests by another way": {"requests": requests(20)},
    "what was lost before": {"records": value(3, ok=False)},
}


@pytest.mark.parametrize("name", NOBODY)
def test_a_machine_that_reaches_neither_engine_nor_store_knows_nothing(name: str) -> None:
    assessment = assess(Bands(), samples(90, lambda _: cut_off(NOBODY[name]), well_before=90), BEAT)
    assert (assessment.severity, assessment.cut_off) == (Severity.UNKNOWN, True)
    assert assessment.said.startswith("unknown: this machine may be cut off: ")
    assert {finding.state for finding in assessment.findings} == {BandState.UNKNOWN}
    assert assessment.first_bad is None


REACHED: dict[str, Probes] = {
    "the engine": {"containers": value(0), "memory": value(40)},
    "a part of the engine": {"containers": value(0)},
    "another store": {"store mysql": value(10)},
    # It answered, and wrongly.
    "an error of another store": {"store mysql": value(None, ok=False)},
    "an error of the engine": {"containers": value(None, ok=None)},
}


@pytest.mark.parametrize("name", REACHED)
def test_a_store_that_is_out_of_reach_of_a_machine_that_reaches_others_is_down(name: str) -> None:
    assessment = assess(Bands(), samples(14, lambda _: cut_off(REACHED[name]), well_before=9), BEAT)
    assert (assessment.severity, assessment.cut_off) == (CRITICAL, False)
    assert found(assessment, "stores", CRITICAL).state is BandState.MET


def test_a_store_that_the_engine_did_not_place_is_not_down_but_unknown() -> None:
    """The engine is away; a store by host and port answers, and of the others nobody knows where they are."""
    unplaced = {
        **dict.fromkeys(("store redis", "vectors milvus", "vectors qdrant"), unreached(Unreached.UNPLACED)),
        "store mysql": value(10),
        "health": value(20),
    }
    made = samples(90, lambda _: cut_off(unplaced), well_before=90)
    assessment = assess(Bands(), made, BEAT)
    assert (assessment.severity, assessment.cut_off) == (Severity.UNKNOWN, False)
    assert found(assessment, "stores", CRITICAL).state is BandState.UNKNOWN
    assert found(assessment, "vectors", OTHER).state is BandState.UNKNOWN
    # One that was asked and is down is down all the same.
    made = samples(90, lambda _: cut_off({**unplaced, "store s3": unreached(ok=False)}), well_before=90)
    assessment = assess(Bands(), made, BEAT)
    assert found(assessment, "stores", CRITICAL).text.startswith("1 do not answer")


def test_the_time_in_which_it_was_cut_off_is_no_part_of_what_is_bad_since() -> None:
    down = {"store redis": unreached(ok=False)}
    for bad, state in ((4, BandState.LASTING), (8, BandState.MET)):
        made = samples(60 + bad, lambda n: cut_off() if n < 60 else down, well_before=9)
        assessment = assess(Bands(), made, BEAT)
        assert found(assessment, "stores", CRITICAL).state is state
        assert assessment.severity is (CRITICAL if state is BandState.MET else Severity.UNKNOWN)
        assert assessment.first_bad == (made[69].at if state is BandState.MET else None)


ONE = Scope(services=("backend",))
# What the investigation of something came to, and whether it came to anything.
Answer: TypeAlias = bool | None
BAD = [(CRITICAL, None), (CRITICAL, False), (OTHER, True)]

SECONDS = 300.0
ROLLBACKS = [
    (Scope(services=("backend",)), Action.SERVICE, ("backend",)),
    (Scope(services=("backend", "backend")), Action.SERVICE, ("backend",)),
    (Scope(stores=("mysql",)), Action.DATABASE, ("mysql",)),
    (Scope(services=("backend", "nginx")), Action.FULL, ()),
    (Scope(whole=True), Action.FULL, ()),
    (Scope(services=("backend",), whole=True), Action.FULL, ()),
    (Scope(corrupt=True), Action.EMERGENCY, ()),
    (Scope(services=("backend",), corrupt=True), Action.EMERGENCY, ()),
    (Scope(stores=("mysql",), corrupt=True), Action.EMERGENCY, ()),
    (Scope(whole=True, corrupt=True), Action.EMERGENCY, ()),
    (Scope(stores=("mysql", "redis")), Action.EMERGENCY, ()),
    (Scope(services=("backend",), stores=("mysql",)), Action.EMERGENCY, ()),
    (Scope(stores=("mysql",), whole=True), Action.EMERGENCY, ()),
]


@pytest.mark.parametrize(("scope", "action", "names"), ROLLBACKS)
@pytest.mark.parametrize(("severity", "still_bad"), BAD)
def test_scope_says_which_rollback(
    severity: Severity, still_bad: Answer, scope: Scope, action: Action, names: tuple[str, ...]
) -> None:
    decision = decide(severity, scope, SECONDS, still_bad=still_bad)
    assert (decision.action, decision.names) == (action, names)
    assert decision.reason


@pytest.mark.parametrize("scope", [scope for scope, *_ in ROLLBACKS if not scope.corrupt] + [Scope()])
def test_what_is_not_critical_is_looked_into_first(scope: Scope) -> None:
    decision = decide(OTHER, scope, SECONDS)
    assert decision.action is Action.INVESTIGATE
    assert "5 minutes" in decision.reason


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("still_bad", [None, False, True])
def test_corrupt_data_is_critical_whatever_else_is_well(severity: Severity, still_bad: Answer) -> None:
    assert decide(severity, Scope(corrupt=True), SECONDS, still_bad=still_bad).action is Action.EMERGENCY


@pytest.mark.parametrize("scope", [ONE, Scope()])
def test_what_is_over_is_watched(scope: Scope) -> None:
    assert decide(OTHER, scope, SECONDS, still_bad=False).action is Action.MONITOR


@pytest.mark.parametrize(("severity", "still_bad"), BAD)
def test_nothing_named_is_nothing_to_roll_back(severity: Severity, still_bad: Answer) -> None:
    decision = decide(severity, Scope(), SECONDS, still_bad=still_bad)
    assert decision.action is Action.INVESTIGATE
    assert "name it" in decision.reason


@pytest.mark.parametrize("scope", [ONE, Scope()])
def test_what_is_well_is_watched_and_what_nobody_knows_is_found_out(scope: Scope) -> None:
    assert decide(Severity.HEALTHY, scope, SECONDS).action is Action.MONITOR
    assert decide(Severity.UNKNOWN, scope, SECONDS).action is Action.INVESTIGATE


def test_what_a_target_does_not_have_is_not_asked() -> None:
    made = samples(3, lambda _: {})
    few = {
        name: probe for name, probe in WELL.items() if not name.startswith(("vectors", "lag", "connections"))
    }
    assessment = assess(Bands(), [replace(sample, probes=few) for sample in made], BEAT)
    assert assessment.severity is Severity.HEALTHY
    assert not {"vectors", "lag", "connections"} & {finding.band for finding in assessment.findings}


def test_without_a_probe_of_engine_or_store_nobody_is_cut_off() -> None:
    (sample,) = samples(1, lambda _: cut_off())
    for kind in ("store", "engine"):
        left = {
            name: probe
            for name, probe in sample.probes.items()
            if (name not in {"containers", "memory"} if kind == "engine" else not name.startswith("store"))
        }
        assert sample.cut_off
        assert not replace(sample, probes=left).cut_off
