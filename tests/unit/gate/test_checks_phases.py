"""Phase 1 by its replicas and restarts, phase 4 by its cases: red for each way to be wrong."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from checks.verification import test_phase1_infrastructure as phase1
from checks.verification import test_phase4_data_integrity as phase4
from fixtures import stores
from fixtures import target as containers
from fixtures.cases import ContentCase, CountCase, SchemaCase, of_baseline
from fixtures.gating.evidence import Expect, Sides
from fixtures.gating.verification import VERIFICATION
from rollproof.baseline.comparison import Comparison, Keys
from rollproof.baseline.configuration import ConfigurationKey, record_container
from rollproof.baseline.facts import Facts, RecordedCollection, RecordedContainer
from rollproof.baseline.folder import Baseline
from rollproof.baseline.sampling import Coverage
from rollproof.engines.engine import Container, Inside, Usage
from rollproof.errors import Meaning, Mismatch, Unverifiable
from rollproof.incident.incident import new_incident
from rollproof.profile.profile import Target
from rollproof.profile.sections import Place, Policy, Reference
from rollproof.runbook import Replica
from rollproof.stores.contract import Beside, Digest
from rollproof.stores.references import MOST_TOLERATED, Followed
from tests.world.baseline import FACTS
from tests.world.containers import container

EXPECT = Expect([]).of("container engine")
USED = Usage(memory=1, memory_percent=1.0, cpu_percent=1.0, pids=1, pids_limit=0)


def recorded_container(found: Container) -> RecordedContainer:
    return record_container(found, Inside(), ConfigurationKey(bytes(32)))


def ended(code: int = 0, restart: str = "no", **changes: Any) -> Container:  # noqa: ANN401
    return container(running=False, status="exited", exit_code=code, restart=restart, **changes)


@pytest.mark.parametrize(
    ("one", "completed"),
    [
        (ended(), True),
        (ended(restart=""), True),
        (ended(restart="on-failure"), True),
        (ended(1), False),
        (ended(137), False),
        (ended(restart="always"), False),
        (ended(restart="unless-stopped"), False),
        (container(), False),
        (container(status="created", running=False), False),
    ],
)
def test_a_one_shot_completed_if_it_ended_well_and_nothing_starts_it_again(
    one: Container, *, completed: bool
) -> None:
    assert recorded_container(one).completed is completed


def judged(was: RecordedContainer, now: Container, target: Target) -> None:
    """Run all checks that a container's state decides."""
    expect = EXPECT
    phase1.test_container_is_running(now, was, expect)
    phase1.test_container_is_healthy(now, was, expect)
    phase1.test_container_is_not_restarting(now, was, target, expect)
    usages = {now.id: USED} if now.running else {}
    usage = inspect.unwrap(containers.usage)(now, was, usages)
    phase1.test_container_memory(now, usage, target, expect)
    phase1.test_container_cpu(now, usage, target, expect)
    phase1.test_container_processes(now, usage, target, expect)


def test_a_one_shot_is_well_as_long_as_it_completes(target: Target) -> None:
    was = recorded_container(ended())
    judged(was, ended(), target)
    with pytest.raises(Mismatch, match="expected completed, exit code 0, observed exited, exit code 3"):
        judged(was, ended(3), target)


@pytest.mark.parametrize(
    ("was", "now", "restarts"),
    [
        (container(restarts=4), container(restarts=4), 0),
        (container(restarts=4), container(restarts=6), 2),
        (container(restarts=4), container(restarts=1), 1),
        (container(restarts=4), container(restarts=4, id="another"), 4),
    ],
    ids=["of before", "since", "counted anew", "of another"],
)
def test_restarts_count_since_the_baseline(was: Container, now: Container, restarts: int) -> None:
    assert recorded_container(was).restarts_of(now) == restarts


def facts(*found: Container) -> Facts:
    return replace(FACTS, containers=tuple(map(recorded_container, found)), stores={}, contents={})


def test_a_volume_without_a_name_of_its_own_need_not_be_there_again(target: Target) -> None:
    """A container that is created anew has another; that it has one there is part of its configuration."""
    recorded = facts(container("backend-1"))
    (backend,) = recorded.containers
    recorded = replace(recorded, containers=(replace(backend, volumes=("c" * 64, "data", "cafe")),))
    assert of_baseline(target, recorded)["volume"] == ["cafe", "data"]


def test_each_replica_is_a_case_of_its_own(target: Target, tmp_path: Path) -> None:
    recorded = facts(container("worker-2"), container("worker-1"), container("backend-1"))
    replicas = of_baseline(target, recorded)["replica"]
    assert replicas == [Replica("backend"), Replica("redis"), Replica("worker", 1), Replica("worker", 2)]
    assert [*map(str, replicas)] == ["backend", "redis", "worker/1", "worker/2"]
    baseline = Baseline(tmp_path, "sandbox", "2026-12-03T12:00:00+00:00", recorded)
    second = replace(ended(2), name="worker-2", service="worker")
    live = {"worker": (container("worker-1"), second), "backend": (container("backend-1"),)}

    def of(replica: Replica) -> tuple[RecordedContainer, Container]:
        service = inspect.unwrap(containers.service)(replica)
        was = inspect.unwrap(containers.recorded)(replica, service, baseline)
        return was, inspect.unwrap(containers.container)(was, baseline, live, target)

    for name in (Replica("backend"), Replica("worker", 1)):
        was, now = of(name)
        assert was.name == now.name
        phase1.test_container_is_running(now, was, EXPECT)
    was, now = of(Replica("worker", 2))
    with pytest.raises(Mismatch, match="container worker-2: expected running, observed exited"):
        phase1.test_container_is_running(now, was, EXPECT)
    # Containers that were re-created may have other names; one that is missing is missed by each case.
    live["worker"] = (container("worker-2"), container("worker-3"))
    assert [of(Replica("worker", number))[1].name for number in (1, 2)] == ["worker-3", "worker-2"]
    live["worker"] = (container("worker-1"),)
    with pytest.raises(Mismatch, match=r"containers of service worker: expected 2, .* observed 1: worker-1"):
        of(Replica("worker", 1))


def _count(policy: Policy, counts: Mapping[str, int], *, expired: int = 0) -> list[Sides]:
    sides: list[Sides] = []
    case = CountCase("mysql", "users", policy, 100)
    phase4.test_collection_count(case, lambda _: counts, lambda _: expired, Expect(sides), lambda _: None)
    return sides


@pytest.mark.parametrize(
    ("policy", "counts", "expired", "means", "said"),
    [
        ("exact", {"users": 100}, 0, None, "100 (+0)"),
        ("exact", {"users": 97}, 3, None, "97 (-3, 3 expired since)"),
        ("exact", {"users": 98}, 3, None, "98 (-2, 3 expired since)"),
        ("exact", {"users": 96}, 3, Meaning.DATA_LOSS, "observed 96 (-4, 3 expired since)"),
        ("exact", {"users": 101}, 3, Meaning.DATA_CHANGED, "observed 101 (+1"),
        ("grows", {"users": 101}, 0, None, "101 (+1)"),
        ("grows", {"users": 97}, 3, None, "97 (-3, 3 expired since)"),
        ("grows", {"users": 99}, 0, Meaning.DATA_LOSS, "policy grows, observed 99"),
        ("grows", {}, 0, Meaning.DATA_LOSS, "policy grows, observed no such collection"),
        ("volatile", {"users": 3}, 0, None, "3 (-97)"),
        ("volatile", {}, 0, Meaning.DATA_LOSS, "policy volatile, observed no such collection"),
    ],
)
def test_a_count_is_judged_by_the_policy(
    policy: Policy, counts: Mapping[str, int], expired: int, means: Meaning | None, said: str
) -> None:
    if means is None:
        assert _count(policy, counts, expired=expired)[-1].observed == said
        return
    with pytest.raises(Mismatch, match=re.escape(said)) as raised:
        _count(policy, counts, expired=expired)
    assert raised.value.means is means


def _content(coverage: Coverage, target: Target, missing: int = 0) -> list[str]:
    """Run the check of content where `coverage` was compared; return its notes."""
    notes: list[str] = []
    recorded = RecordedCollection(("",), (Digest(1, 1),), "records/x", (), 1.0)
    case = ContentCase("mysql", "users", "exact", recorded)
    comparison = Comparison(coverage, missing=Keys(missing))
    phase4.test_collection_content(case, comparison, lambda *_: None, target, Expect([]), notes.append)
    return notes


ONE_OF_A_THOUSAND = Coverage(parts=1000, covered=1, records=1_000_000, unseen=999_000)


def test_content_of_which_too_little_was_compared_is_not_verified(target: Target) -> None:
    with pytest.raises(Unverifiable, match=r"expected at least 50 %, observed 0\.1 %"):
        _content(ONE_OF_A_THOUSAND, target)
    # Many small parts are not many records.
    with pytest.raises(Unverifiable, match="observed 1 %"):
        _content(Coverage(parts=100, covered=99, records=100_000, unseen=99_000), target)
    with pytest.raises(Unverifiable, match="observed 0 %"):
        _content(Coverage(parts=2, covered=1, records=0), target)


def test_what_differs_is_wrong_however_little_was_compared(target: Target) -> None:
    with pytest.raises(Mismatch):
        _content(ONE_OF_A_THOUSAND, target, missing=1)


def test_a_profile_says_what_is_enough(target: Target) -> None:
    assert len(_content(Coverage(parts=2, covered=1, records=10, unseen=5), target)) == 1
    assert _content(Coverage(parts=2, covered=2, records=10), target) == []
    less = target.model_copy(update={"limits": target.limits.model_copy(update={"coverage_percent": 0.1})})
    assert len(_content(ONE_OF_A_THOUSAND, less)) == 1


def test_a_position_that_strayed_is_red() -> None:
    moving = MagicMock()
    moving.strayed.return_value = []
    phase4.test_positions("kafka", moving, MagicMock(), Expect([]))
    moving.strayed.return_value = ["group g t 0: gone"]
    with pytest.raises(Mismatch, match="group g t 0: gone"):
        phase4.test_positions("kafka", moving, MagicMock(), Expect([]))


def test_a_schema_that_the_account_cannot_see_is_not_verified() -> None:
    """A trigger that is not shown may be there still, and a new one would not be shown either."""
    case, hidden = (SchemaCase("mysql", "trigger shop.t", {"body": "x"}), "triggers of shop, lacking TRIGGER")
    with pytest.raises(Unverifiable, match=hidden):
        phase4.test_schema(case, lambda _: {}, lambda _: [hidden], Expect([]), lambda *_: None)
    phase4.test_schema(
        case, lambda _: {case.name: case.recorded}, lambda _: [hidden], Expect([]), lambda *_: None
    )


def _beside(recorded: Beside, now: Beside) -> list[str]:
    """Run the check of what a store holds beside its collections; return its notes."""
    notes: list[str] = []
    baseline, sharing = MagicMock(), MagicMock()
    baseline.facts.contents = {"mysql": MagicMock(beside=recorded)}
    sharing.beside.return_value = now
    phase4.test_accounts_and_settings("mysql", baseline, sharing, lambda *_: None, Expect([]), notes.append)
    return notes


def test_what_cannot_be_read_beside_is_said_and_less_than_before_is_not_verified() -> None:
    unread = Beside(unread=("accounts: SELECT on mysql.*",))
    assert _beside(unread, unread) == ["mysql: not read, lacking a right: accounts: SELECT on mysql.*"]
    # What could not be read then is nothing new.
    assert _beside(unread, Beside({"account 'a'@'%'": {}})) == []
    with pytest.raises(Unverifiable, match=re.escape("observed accounts: SELECT on mysql.*")):
        _beside(Beside(), unread)


def test_collections_that_users_made_are_said_and_any_other_is_red() -> None:
    notes: list[str] = []
    target, recorded = MagicMock(), MagicMock(counts={"users": 1})
    target.stores = {"mysql": MagicMock(made_by_users=("of_*",))}

    def checked(*live: str) -> None:
        phase4.test_store_holds_no_unrecorded_collection(
            "mysql", recorded, lambda _: dict.fromkeys(live, 1), target, Expect([]), notes.append
        )

    checked("users", "of_eve", "of_ada")
    assert notes == ["mysql: made by users since the baseline, and not compared: of_ada, of_eve"]
    with pytest.raises(Mismatch, match="expected none, observed left_over"):
        checked("users", "of_eve", "left_over")


MAIL = "anna@example.org"
USERS = Reference(
    referencing=Place(store="mysql", collection="shop.rows", fields=("email", "id")),
    referenced=Place(store="redis", collection="shop.users", fields=("email", "id")),
)


def _followed(
    target: Target, followed: Followed, tolerated: int, notes: list[str], kept: list[tuple[str, ...]]
) -> None:
    target = target.model_copy(update={"references": {"users": USERS}})
    phase4.test_references(
        "users",
        target,
        lambda _: followed,
        lambda: tolerated,
        lambda *said: kept.append(said),
        Expect([]),
        notes.append,
    )


def test_a_name_that_the_backup_may_have_cut_is_green_and_told_by_its_pseudonym(target: Target) -> None:
    notes, kept = list[str](), list[tuple[str, ...]]()
    shown = f"{target.personal.pseudonym(MAIL)}/7"
    _followed(target, Followed(9, 0, 0, (), tolerated={(MAIL, "7"): 2}), 1, notes, kept)
    assert notes == [f"users: 1 names dangle that moved while the backup was taken: {shown}"]
    assert kept == [("names that the backup may have cut", f"name\n{shown}\n", "text/csv")]
    # None is told where none is tolerated, and nobody counts.
    notes.clear()
    _followed(target, Followed(9, 0, 0, ()), MOST_TOLERATED + 1, notes, kept)
    assert (notes, len(kept)) == ([], 1)


def test_a_red_reference_tells_what_is_tolerated_too_and_nobody_s_name(target: Target) -> None:
    notes, kept = list[str](), list[tuple[str, ...]]()
    for dangling, tolerated in ((1, 1), (0, MOST_TOLERATED + 1)):
        followed = Followed(9, 0, dangling, ((MAIL, "8"),) * dangling, tolerated={(MAIL, "7"): 1})
        with pytest.raises(Mismatch, match="observed 1 dangling") as raised:
            _followed(target, followed, tolerated, notes, kept)
        assert raised.value.means is Meaning.DATA_LOSS
        assert MAIL not in str(raised.getrepr(style="long", showlocals=True, funcargs=True))
    assert len(notes) == len(kept) == 2


def test_each_reference_is_followed_once_and_those_that_cannot_be_count_no_name(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def look(reference: Reference, *_: object) -> Followed:
        name = next(name for name, one in references.items() if one is reference)
        asked.append(name)
        if name == "down":
            raise Unverifiable(what="w", expected="e", observed="o", source="s", hint="h")
        return Followed(1, 0, 0, (), tolerated={(name, "1"): 3, (name, "2"): 1})

    references = {name: USERS.model_copy(update={"where": {"of": name}}) for name in ("a", "down", "b")}
    target = target.model_copy(update={"references": references})
    monkeypatch.setattr(stores, "look", look)
    config = MagicMock(stash={VERIFICATION: MagicMock(incident=new_incident(tmp_path, target.name))})
    live = stores.LiveStores(target, MagicMock())
    begin_following = inspect.unwrap(stores.begin_following)(config, target, live)
    followed_of = inspect.unwrap(stores.followed_of)(begin_following, None)
    followed_of("b")
    counted = inspect.unwrap(stores.tolerated)(target, followed_of)
    assert (counted(), counted()) == (4, 4)
    with pytest.raises(Unverifiable):
        followed_of("down")
    assert asked == ["b", "a", "down"]
