"""Counts and schemas of phase 4, by their cases: red for each way to be wrong, each with its meaning."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from checks.verification import test_phase4_data_integrity as phase4
from fixtures.collection import Case, Json
from fixtures.errors import Meaning, Mismatch, Unverifiable
from fixtures.gating.evidence import Expect, Sides
from fixtures.given.cases import CountCase, SchemaCase
from fixtures.target.sections import Policy


def test_a_case_is_named_as_its_parameter_and_in_words() -> None:
    case = Case("s3", "bucket/with/slashes")
    assert (case.id, repr(case)) == ("s3/bucket/with/slashes", "'s3/bucket/with/slashes'")
    assert str(CountCase("mysql", "shop.users", "exact", 3)) == "shop.users of mysql"


def _count(policy: Policy, counts: Mapping[str, int], expired: int = 0) -> list[Sides]:
    sides: list[Sides] = []
    case = CountCase("mysql", "users", policy, 100)
    phase4.test_collection_count(case, lambda _: counts, lambda _: expired, Expect(sides))
    return sides


@pytest.mark.parametrize("policy", ["exact", "grows"])
def test_records_that_have_expired_since_are_not_missed(policy: Policy) -> None:
    assert _count(policy, {"users": 97}, expired=3)[-1].observed == "97 (-3, 3 expired since)"
    assert _count(policy, {"users": 98}, expired=3)
    with pytest.raises(Mismatch, match=r"observed 96 \(-4, 3 expired since\)") as raised:
        _count(policy, {"users": 96}, expired=3)
    assert raised.value.means is Meaning.DATA_LOSS
    # More records than before are none that expired.
    if policy == "exact":
        with pytest.raises(Mismatch):
            _count(policy, {"users": 101}, expired=3)


@pytest.mark.parametrize(("policy", "live"), [("exact", 100), ("grows", 101), ("volatile", 3)])
def test_a_right_count_is_green_and_kept(policy: Policy, live: int) -> None:
    assert _count(policy, {"users": live})[-1].observed == f"{live} ({live - 100:+d})"


@pytest.mark.parametrize(
    ("policy", "counts", "means", "said"),
    [
        (
            "exact",
            {"users": 98},
            Meaning.DATA_LOSS,
            "records in users of mysql: expected 100 records, policy exact, observed 98 (-2)",
        ),
        (
            "exact",
            {"users": 101},
            Meaning.DATA_CHANGED,
            "expected 100 records, policy exact, observed 101 (+1)",
        ),
        (
            "grows",
            {"users": 99},
            Meaning.DATA_LOSS,
            "expected 100 records or more, policy grows, observed 99 (-1)",
        ),
        (
            "grows",
            {},
            Meaning.DATA_LOSS,
            "expected 100 records or more, policy grows, observed no such collection",
        ),
        (
            "volatile",
            {},
            Meaning.DATA_LOSS,
            "expected 100 records, policy volatile, observed no such collection",
        ),
    ],
)
def test_a_wrong_count_is_red(policy: Policy, counts: Mapping[str, int], means: Meaning, said: str) -> None:
    with pytest.raises(Mismatch) as raised:
        _count(policy, counts)
    assert said in str(raised.value)
    assert raised.value.means is means


@pytest.mark.parametrize(
    ("live", "means"),
    [({"users": {"columns": 2}}, Meaning.DATA_CHANGED), ({"other": {"columns": 1}}, Meaning.DATA_LOSS)],
)
def test_a_schema_that_differs_or_is_gone_is_red(live: Mapping[str, Json], means: Meaning) -> None:
    kept: list[str] = []
    case = SchemaCase("mysql", "users", {"columns": 1})
    with pytest.raises(Mismatch) as raised:
        phase4.test_schema(case, lambda _: live, lambda _: [], Expect([]), lambda *said: kept.append(said[0]))
    assert raised.value.means is means
    assert kept == (["differences"] if means is Meaning.DATA_CHANGED else [])


def test_a_schema_that_the_account_cannot_see_is_not_verified() -> None:
    """A trigger that is not shown may be there still, and a new one would not be shown either."""
    case, hidden = (
        SchemaCase("mysql", "trigger shop.t", {"body": "x"}),
        "triggers of shop, for want of TRIGGER",
    )
    with pytest.raises(Unverifiable, match=hidden) as raised:
        phase4.test_schema(case, lambda _: {}, lambda _: [hidden], Expect([]), lambda *_: None)
    assert "rollback_actions grants" in raised.value.hint
    phase4.test_schema(
        case, lambda _: {case.name: case.recorded}, lambda _: [hidden], Expect([]), lambda *_: None
    )
    with pytest.raises(Unverifiable, match=hidden):
        phase4.test_account_sees_as_much_as_at_the_capture("mysql", lambda _: [hidden], Expect([]))
    phase4.test_account_sees_as_much_as_at_the_capture("mysql", lambda _: [], Expect([]))
