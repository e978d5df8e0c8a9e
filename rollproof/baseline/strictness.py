"""The demands of the profile, now and when the baseline was captured.

A profile that asks for less makes checks green: a collection called volatile is not compared. Such a profile
is refused as a measure: nothing about the target is wrong, but nothing is verified either. What is asked for
in addition is no matter: it is asked of the target as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollproof.baseline.containers import shown_json
from rollproof.baseline.facts import Facts, RecordedStrictness
from rollproof.errors import Unverifiable, listed
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.stores.policy import excluded_of, policy_of


def capture_hint() -> str:
    """Return what to do about a profile that asks for less than its baseline."""
    return (
        "change the profile back; or, if it is meant so and the target is in a good state, capture a new"
        f" baseline: {typed('capture')}"
    )


# How a store is reached and backed up, not what is read there; and what is compared by collection.
_ACCESS = frozenset(
    {
        *("address", "deadline_seconds", "load", "reader", "operator", "bystanders"),
        *("risk", "backup", "restore", "ready_seconds"),
    }
)
_BY_COLLECTION = frozenset({"policy", "exclude"})
_CANARY = ("user", "knowledge_base", "question", "expected_file")
# Later than the first baselines with a record of the profile, which do not have them.
_LATER = ("expected_text", "other")
_STRENGTH: Mapping[Policy, int] = {"volatile": 0, "changes": 1, "grows": 2, "exact": 3}
# By the part of a key before its dot: a number may only be as high as it was, or only as low.
_AT_MOST = (
    "limits.memory_percent", "limits.cpu_percent", "limits.pids_percent", "limits.restarts",
    "health.latency_milliseconds",
)  # fmt: skip
_AT_LEAST = ("limits.disk_free_percent", "limits.inodes_free_percent")


@dataclass(frozen=True, slots=True)
class Weaker:
    """One thing that the profile asks less of than at the capture, or asks otherwise; `store` may be ""."""

    store: str
    collection: str
    what: str
    before: str
    now: str

    def __str__(self) -> str:
        """Return both sides in words."""
        return f"{self.what}: {self.before} at the capture, {self.now} now"


def record_strictness(target: Target) -> RecordedStrictness:
    """Return what the profile of `target` asks for, in the form that a baseline holds; no secret is in it."""
    return RecordedStrictness(
        services=target.services,
        stores={name: _section(store) for name, store in target.stores.items()},
        references={name: one.model_dump(mode="json") for name, one in target.references.items()},
        asked=_asked(target),
    )


def weaker(facts: Facts, target: Target) -> list[Weaker]:
    """Return all that the profile asks less of than when `facts` were captured.

    Without a record of the profile, only what the facts themselves show is found.
    """
    found = [one for name, store in target.stores.items() for one in _in_collections(facts, name, store)]
    if facts.profile is not None:
        found += _in_profile(facts.profile, target)
    return found


def require_as_strict(weaknesses: Iterable[Weaker], store: str, collection: str = "") -> None:
    """Check that `store`, or one collection of it, is compared no less than at the capture.

    `weaknesses` are all that `weaker` found.

    Raises:
        Unverifiable: it is; both sides are in the text.
    """
    found = [
        one
        for one in weaknesses
        if one.store == store and (not one.collection or one.collection == collection)
    ]
    if found:
        of = f"{collection} of {store}" if collection else store
        raise weakened(f"what the profile asks of {of}", found)


def weakened(what: str, found: list[Weaker]) -> Unverifiable:
    """Return the error for a profile that asks for less."""
    return Unverifiable(
        what=what,
        expected=f"as at the capture: {listed([f'{one.what} {one.before}' for one in found], between='; ')}",
        observed=listed([f"{one.what} {one.now}" for one in found], between="; "),
        source="the profile, against the baseline",
        hint=capture_hint(),
    )


def _in_collections(facts: Facts, name: str, store: StoreProfile) -> Iterator[Weaker]:
    content = facts.contents.get(name)
    compared = content.collections if content else {}
    counted = facts.stores[name].counts if name in facts.stores else {}
    recorded = facts.profile.stores.get(name) if facts.profile else None
    then = store.model_copy(update={"policy": dict(recorded["policy"])}) if recorded is not None else None
    for collection in dict.fromkeys((*counted, *compared)):
        now = policy_of(store, collection)
        before = policy_of(then, collection) if then is not None else None
        if before is None and collection in compared:
            before = "changes"  # at least: the content of a volatile one is not recorded
        if before is not None and _STRENGTH[now] < _STRENGTH[before]:
            yield Weaker(name, collection, f"policy of {collection} of {name}", before, now)
        if collection in compared:
            left_out = sorted(excluded_of(store, collection) - set(compared[collection].excluded))
            if left_out:
                yield Weaker(
                    name, collection, f"fields of {collection} of {name} that are left out",
                    ", ".join(compared[collection].excluded) or "none", ", ".join(left_out),
                )  # fmt: skip


def _in_profile(recorded: RecordedStrictness, target: Target) -> Iterator[Weaker]:
    now = record_strictness(target)
    for service in recorded.services:
        if service not in now.services:
            yield Weaker("", "", f"service {service}", "in the profile", "not in it")
    for name, section in recorded.stores.items():
        if name not in now.stores:
            yield Weaker(name, "", f"store {name}", "in the profile", "not in it")
            continue
        yield from _changed(name, f"of {name}", section, now.stores[name], _BY_COLLECTION)
    yield from _changed("", "of references", recorded.references, now.references, frozenset(), added=False)
    yield from _changed("", "of the profile", recorded.asked, now.asked, frozenset(), added=False)


def _changed(
    store: str,
    of: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    apart: frozenset[str],
    *,
    added: bool = True,
) -> Iterator[Weaker]:
    for key in sorted({*before, *(now if added else ())} - apart):
        was, is_now = before.get(key), now.get(key)
        if was != is_now and not _is_stricter(key, was, is_now):
            yield Weaker(store, "", f"{key} {of}", shown_json(was, 160), shown_json(is_now, 160))


def _is_stricter(key: str, before: object, now: object) -> bool:
    if not isinstance(before, int | float) or not isinstance(now, int | float):
        return False
    return (key in _AT_MOST and now < before) or (key in _AT_LEAST and now > before)


def _section(store: StoreProfile) -> dict[str, Any]:
    found: dict[str, Any] = store.model_dump(mode="json", exclude=set(_ACCESS))
    if not store.made_by_users:
        del found["made_by_users"]  # which earlier baselines do not have
    # The first pattern that matches counts, and a mapping on disk has no order.
    return {**found, "policy": [list(pair) for pair in store.policy.items()]}


def _asked(target: Target) -> dict[str, Any]:
    application = target.application
    canary = application.canary
    return {
        "project": target.engine.project,
        "changing": list(target.engine.changing),
        "writers": list(application.writers),
        "interface": application.interface,
        "health.path": application.health.path,
        "health.latency_milliseconds": application.health.latency_milliseconds,
        **{f"health.expect.{name}": value for name, value in application.health.expect.items()},
        **{f"canary.{name}": getattr(canary, name) for name in _CANARY},
        **{f"canary.{name}": getattr(canary, name) for name in _LATER if getattr(canary, name)},
        **{
            f"functions.{name}": one
            for name, one in application.functions.model_dump(mode="json", exclude={"api"}).items()
            # An upload is verified only where the canary has a document for it.
            if one and (name != "upload" or canary.upload)
        },
        **{
            f"canary.references.{name}": one.model_dump(mode="json")
            for name, one in canary.references.items()
        },
        **{f"limits.{name}": value for name, value in target.limits.model_dump(mode="json").items()},
    }
