"""The newest backup set of a target: the set or its fault, but never an older set in its place.

A rollback takes the newest set that is whole. Before a migration that is not good enough: today's data would
come back from the newest set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollproof.backups.images import kept_image
from rollproof.backups.sets import BackupSet, sets_in, whole_package, wrong_backup
from rollproof.errors import ActionFailed
from rollproof.profile.sections import StoreProfile
from rollproof.stores.package import Package
from rollproof.stores.policy import in_proportion, policy_of

KeptStoreOf = Callable[[str], Package]
"""Reads a store's backup, by name; raises `Mismatch` if it is incomplete."""


def newest_backup(backups: Path, target: str) -> BackupSet:
    """Return the backup set of `target` below the folder `backups` that finished last.

    Its folder may have been renamed, as for `find_backup`, which passes a damaged set over: this does not.

    Raises:
        Mismatch: there is none, or the newest set is truncated, damaged, or another target's.
        Unverifiable: the folder cannot be read.
    """
    found = sets_in(backups, target)
    if not found:
        raise wrong_backup(target, "a complete set", "none", backups)
    _, folder, backup = found[-1]
    if isinstance(backup, str):
        raise wrong_backup(target, "a complete newest set", backup, folder)
    return backup


def read_store(backup: BackupSet, name: str, profile: StoreProfile) -> Package:
    """Return the backup of store `name`, after reading and comparing every byte, and those of its index.

    Raises:
        Mismatch: it is not whole.
    """
    try:
        return whole_package(backup, name, profile)
    except ActionFailed as problem:
        raise wrong_backup(name, problem.expected, problem.observed, problem.source) from None


def read_image(backups: Path, image: str) -> int:
    """Return the bytes of the kept copy of the image with the id `image`, after reading and comparing them.

    Raises:
        Mismatch: it is missing or damaged.
    """
    try:
        return kept_image(backups, image).stat().st_size
    except ActionFailed as problem:
        raise wrong_backup(f"image {image}", problem.expected, problem.observed, problem.source) from None


@dataclass(frozen=True, slots=True)
class Proportion:
    """One row per live collection, the rows that are out of proportion, and the totals in words."""

    rows: tuple[str, ...]
    wrong: tuple[str, ...]
    said: str


def proportion_of(
    kept: Package,
    live: Mapping[str, int],
    recorded: Mapping[str, int],
    profile: StoreProfile,
    percent: float,
) -> Proportion:
    """Compare a backup with the records that are there now, which may differ by `percent`.

    `recorded` are those of the baseline: a collection may have grown or shrunk since as its policy allows.
    """
    rows = {name: f"{name}: {kept.records.get(name, 'none')} of {count}" for name, count in live.items()}
    wrong = [
        rows[name]
        for name, count in live.items()
        if not in_proportion(
            kept.records.get(name), count, percent, policy_of(profile, name), recorded.get(name)
        )
    ]
    if any(kept.records.values()) and not kept.size:
        wrong.append(f"{sum(kept.records.values())} records in 0 bytes")
    held = sum(kept.records.get(name, 0) for name in live)
    said = f"{held:,} of {sum(live.values()):,} records in {len(live)} collections"
    return Proportion(tuple(rows.values()), tuple(wrong), said)
