"""What checks ask of a store's backup: whether it is there, and has about as many records as the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Mismatch
from rollproof.home import typed
from rollproof.profile.sections import StoreProfile
from rollproof.stores.package import Package
from rollproof.stores.policy import in_proportion, policy_of


def backup_hint() -> str:
    """Return what to do about a backup that cannot be used."""
    return f"take another one: {typed('backup')}"


KeptStoreOf = Callable[[str], Package]
"""Reads a store's backup, by name; raises `Mismatch` if it is incomplete."""


def missing_backup(name: str, stores: Iterable[str], folder: Path) -> Mismatch:
    """Return the error for a store that is missing from the backup set `folder`, which holds `stores`."""
    return Mismatch(
        what=f"backup of {name}",
        expected="a backup in the set",
        observed=f"none: the set holds {', '.join(stores) or 'no store'}",
        source=str(folder),
        hint=backup_hint(),
    )


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
