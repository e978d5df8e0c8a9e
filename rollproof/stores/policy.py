"""The profile's rules for reading a store: each collection's policy and excluded fields, and the pace."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from rollproof.profile.kinds import descriptor_of
from rollproof.profile.sections import Policy, StoreProfile
from rollproof.stores.contract import ByUsers, Pace, nobody

_Value = TypeVar("_Value")
# What users of an application delete of its records, where the profile says nothing else.
_USUAL_PERCENT, _USUAL_PER_HOUR, _HOUR = 1.0, 10.0, 3600.0


def chosen(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the `names` that match a shell-style pattern, sorted."""
    patterns = tuple(patterns)
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def _first_match(by_pattern: Mapping[str, _Value], collection: str) -> _Value | None:
    """Return the value of the first pattern that matches `collection`, or None without one."""
    return next((one for pattern, one in by_pattern.items() if fnmatchcase(collection, pattern)), None)


def policy_of(store: StoreProfile, collection: str) -> Policy:
    """Return the policy of the first pattern that matches `collection`.

    Without a match it is `exact`, or `grows` for versions.
    """
    default = Policy.EXACT if descriptor_of(store).history_of(collection) is None else Policy.GROWS
    return _first_match(store.policy, collection) or default


def by_users_of(store: StoreProfile, collection: str) -> ByUsers:
    """Return what tells whether a record of `collection` may differ from the baseline's: see `ByUsers`.

    By the policies `changes` and `deletes` it may if the application wrote it since, as `touched` names it.
    Without such a field any may.
    """
    if policy_of(store, collection) not in {Policy.CHANGES, Policy.DELETES}:
        return nobody
    field = _first_match(store.touched, collection)
    if field is None:
        return lambda _, __: True
    # A record that lost the field, or never had it, was not written by what sets it.
    return lambda old, new: new.fields.get(field) not in {None, old.fields.get(field)}


def deletable(store: StoreProfile, collection: str, records: int, seconds: float) -> int:
    """Return how many of `records` users may have deleted in the `seconds` since they were recorded."""
    if policy_of(store, collection) is not Policy.DELETES:
        return 0
    percent = _first_match(store.deletions, collection) or _USUAL_PERCENT
    return int(max(records * percent / 100, _USUAL_PER_HOUR * seconds / _HOUR))


# A name that ends in a UUID, with whatever a kind of store lets stand for its dashes.
_WITH_UUID = re.compile(r"(?i).*[0-9a-f]{8}([-_])([0-9a-f]{4}\1){3}[0-9a-f]{12}")


def made_by_users_of(collections: Iterable[str]) -> list[str]:
    """Return the patterns of collections that users seem to make, one for each of something of theirs."""
    found = {match[1] for name in collections if (match := _WITH_UUID.fullmatch(name))}
    return [f"*{mark.join('?' * length for length in (8, 4, 4, 4, 12))}" for mark in sorted(found)]


def is_made_by_users(store: StoreProfile, collection: str) -> bool:
    """Return whether the profile says that users make collections of such a name."""
    return bool(chosen([collection], store.made_by_users))


def unrecorded(
    store: StoreProfile, now: Iterable[str], recorded: Container[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names that are not among `recorded`: left-overs, and those that users make."""
    added = sorted(name for name in now if name not in recorded)
    users_own = [name for name in added if is_made_by_users(store, name)]
    return [name for name in added if name not in users_own], users_own


def pace_of(store: StoreProfile) -> Pace:
    """Return the load that the profile allows on the store."""
    return Pace(connections=store.load.connections, chunk_seconds=store.load.chunk_seconds)


def in_proportion(kept: int | None, live: int, percent: float, policy: Policy, recorded: int | None) -> bool:
    """Return True if a backup holds enough of `live` records; `recorded` is the baseline's number.

    Of a volatile collection one is enough. Where users add records, those of the baseline are; a collection
    that was not there then need not be in the backup.
    """
    if not policy.compares_content:
        return bool(kept) or not live
    if not policy.allows_added:
        return kept is not None and abs(kept - live) <= live * percent / 100
    if recorded is None:
        return True
    return kept is not None and kept >= min(live, recorded) * (1 - percent / 100)


def compared_of(store: StoreProfile, counted: Iterable[str], schemas: Iterable[str]) -> list[str]:
    """Return the collections whose records are compared: all that are not `volatile`.

    Collections are the counted ones, and versions of others. Other schemas, such as views and aliases, have
    no records.
    """
    history_of = descriptor_of(store).history_of
    names = dict.fromkeys([*counted, *(name for name in schemas if history_of(name) is not None)])
    return [name for name in names if policy_of(store, name).compares_content]


def excluded_of(store: StoreProfile, collection: str) -> frozenset[str]:
    """Return the fields of `collection` that a matching pattern excludes from digests."""
    return frozenset(
        field
        for pattern, fields in store.exclude.items()
        if fnmatchcase(collection, pattern)
        for field in fields
    )
