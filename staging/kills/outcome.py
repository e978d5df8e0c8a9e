"""What a rollback left in its incident, and whether that is what an undisturbed one leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixtures.files import read_lines
from fixtures.incident import ROLLBACK, UNFINISHED
from rollback_actions.lost_window import FOLDER, MANIFEST
from staging.kills.mark import Mark

_SET = "set.json"
_BACK = ("kept", "restored", "revived")
_GROWING = frozenset({"minio", "kafka"})

Keys = Mapping[str, frozenset[str]]
"""Keys of records, by their store."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rollback left. `exported` are the records in its sealed lost windows.

    `copies` are its safety copies: of each store, how many records of each collection it holds.
    """

    verdict: str
    records: Mapping[str, int] | None
    finished: bool = True
    exported: Keys = field(default_factory=dict)
    copies: Sequence[Mapping[str, Mapping[str, int]]] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What there is to be: `stores` were restored, and had the records `written` that the backup has not.

    `undisturbed` is what was left when nobody killed it; `untouched` says that no restore had begun when it
    was killed. `marks` were written between the kill and going on.
    """

    stores: Sequence[str]
    written: Keys = field(default_factory=dict)
    undisturbed: Outcome | None = None
    untouched: bool = True
    marks: Sequence[Mark] = ()


def read_outcome(incident: Path, backups: Path) -> Outcome:
    """Return what the rollback of `incident` left in it, and in its safety copies below `backups`."""
    path = incident / ROLLBACK
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return Outcome(
        verdict=record.get("verdict", "not recorded"),
        records=record.get("records"),
        finished=not (incident / UNFINISHED).exists(),
        exported=_exported(incident),
        copies=list(_copies(incident.name, backups / "safety")),
    )


def judge(found: Outcome, expected: Expected) -> str:
    """Return what is wrong with `found`, "" when nothing is."""
    if found.verdict != "passed":
        return f"rollback {found.verdict}, records {found.records}"
    if not found.finished:
        return "the incident is unfinished"
    if not expected.stores:
        return "" if found.records is None else f"records {found.records}, and no data was to be restored"
    reasons = (
        _wrong_counts(found.records, expected),
        _not_exported(found.exported, expected.written),
        _wrong_copies(found.copies, expected),
        _lost(found.exported, expected.marks),
    )
    return "; ".join(reason for reason in reasons if reason)


def _wrong_counts(records: Mapping[str, int] | None, expected: Expected) -> str:
    """Compare what became of the records with what becomes of them undisturbed.

    What was written meanwhile may be exported besides. A restore that a kill cut short has put back a part of
    the records already, which a later account may well count as kept: after such a kill only their sum is
    the same, and so it is where the kill came so late that nothing was left to restore. An S3 server keeps a
    version more with each restore, and a log that is left alone the record of each wreckage, so there may be
    more of those.
    """
    if records is None:
        return "what became of the records is not recorded"
    if records.get("unaccounted", 0) or "unaccounted" not in records:
        return f"records unaccounted for: {records}"
    usual = expected.undisturbed.records if expected.undisturbed is not None else None
    if usual is None:
        return ""
    wrong = not 0 <= records["exported"] - usual["exported"] <= len(expected.marks)
    more = sum(records[name] for name in _BACK) - sum(usual[name] for name in _BACK)
    wrong |= more < 0 or (more > 0 and _GROWING.isdisjoint(expected.stores))
    if expected.untouched:
        wrong |= any(records[name] != usual[name] for name in ("restored", "revived"))
    return f"records {dict(records)}, undisturbed {dict(usual)}" if wrong else ""


def _not_exported(exported: Keys, written: Keys) -> str:
    missing = [
        f"{store} {key}"
        for store, keys in written.items()
        for key in sorted(keys - exported.get(store, frozenset()))
    ]
    return f"not in the lost window: {', '.join(missing)}" if missing else ""


def _wrong_copies(copies: Sequence[Mapping[str, Mapping[str, int]]], expected: Expected) -> str:
    """See that one safety copy holds all that the stores held: they are wrecked the same way each time."""
    undisturbed = expected.undisturbed
    held = undisturbed.copies[0] if undisturbed is not None and undisturbed.copies else {}
    for copy in copies:
        if set(expected.stores) <= set(copy) and all(
            copy[store].get(collection, 0) >= count
            for store in expected.stores
            for collection, count in held.get(store, {}).items()
        ):
            return ""
    return f"no safety copy holds what the stores held; there are {len(copies)}"


def _lost(exported: Keys, marks: Sequence[Mark]) -> str:
    lost = [
        f"{mark.store} {mark.key}"
        for mark in marks
        if mark.key not in exported.get(mark.store, frozenset()) and not mark.stays()
    ]
    return f"what was written meanwhile is lost: {', '.join(lost)}" if lost else ""


def _exported(incident: Path) -> Keys:
    found: dict[str, set[str]] = {}
    for window in sorted(incident.glob(f"{FOLDER}*")):
        # One without its manifest was cut short: going on reads nothing from it, so nobody else need.
        if not (window / MANIFEST).exists():
            continue
        for file in window.glob("*/*.jsonl"):
            # A line without a change lists a record that came back: it holds nothing of it.
            keys = (line["key"] for line in read_lines(file) if "change" in line)
            found.setdefault(file.parent.name, set()).update(keys)
    return {store: frozenset(keys) for store, keys in found.items()}


def _copies(incident: str, safety: Path) -> Iterator[Mapping[str, Mapping[str, int]]]:
    # What lacks its manifest is no copy, and one that is being made has another name.
    for path in sorted(safety.glob(f"{incident}-*/{_SET}")):
        stores = json.loads(path.read_text(encoding="utf-8"))["stores"]
        yield {name: kept["records"] for name, kept in stores.items() if any((path.parent / name).iterdir())}
