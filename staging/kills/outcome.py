"""Compares a rollback's results in its incident with an undisturbed rollback's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollproof.losses.lost_window import MANIFEST
from rollproof.record_names import LOST_WINDOW, ROLLBACK, UNFINISHED
from rollproof.verdict import Verdict
from staging.kills.wreckage import Mark

_SET = "set.json"
_BACK = ("kept", "restored", "revived")
_GROWING = frozenset({"minio", "kafka"})
Keys = Mapping[str, frozenset[str]]
"""Keys of records, by their store."""


@dataclass(frozen=True, slots=True)
class RollbackOutcome:
    """A rollback's results. `exported` are the keys of the records in its sealed lost windows.

    `copies` are its safety copies: the counts of records of each collection, by store.
    """

    verdict: Verdict | None
    records: Mapping[str, int] | None
    finished: bool = True
    exported: Keys = field(default_factory=dict)
    copies: Sequence[Mapping[str, Mapping[str, int]]] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected results: `stores` were restored, and held the records `written` since the backup.

    `undisturbed` are the results of a rollback that was not killed. `untouched` means that no restore had
    begun at the kill. `marks` were written between the kill and the resume.
    """

    stores: Sequence[str]
    written: Keys = field(default_factory=dict)
    undisturbed: RollbackOutcome | None = None
    untouched: bool = True
    marks: Sequence[Mark] = ()


def read_outcome(incident: Path, backups: Path) -> RollbackOutcome:
    """Read the rollback's results from `incident`, and its safety copies from below `backups`."""
    path = incident / ROLLBACK
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    exported: dict[str, set[str]] = {}
    # A window without a manifest was interrupted: a resume ignores it, and so does this.
    for manifest in sorted(incident.glob(f"{LOST_WINDOW}*/{MANIFEST}")):
        for file in manifest.parent.glob("*/*.jsonl"):
            # A line without a change lists a record that came back, without its content.
            lines = map(json.loads, file.read_bytes().splitlines())
            keys = (line["key"] for line in lines if "change" in line)
            exported.setdefault(file.parent.name, set()).update(keys)
    copies = []
    # A folder without a manifest is no copy; an unfinished copy has another name.
    for path in sorted((backups / "safety").glob(f"{incident.name}-*/{_SET}")):
        stores = json.loads(path.read_text(encoding="utf-8"))["stores"]
        copies.append(
            {name: kept["records"] for name, kept in stores.items() if any((path.parent / name).iterdir())}
        )
    return RollbackOutcome(
        verdict=Verdict(record["verdict"]) if "verdict" in record else None,
        records=record.get("records"),
        finished=not (incident / UNFINISHED).exists(),
        exported={store: frozenset(keys) for store, keys in exported.items()},
        copies=copies,
    )


def judge(found: RollbackOutcome, expected: Expected) -> str:
    """Return the deviations of `found` from `expected`, "" if there are none."""
    if found.verdict is not Verdict.PASSED:
        return f"rollback {found.verdict or 'not recorded'}, records {found.records}"
    if not found.finished:
        return "the incident is unfinished"
    lost = [
        str(mark)
        for mark in expected.marks
        if mark.key not in found.exported.get(mark.store, frozenset()) and not mark.stays()
    ]
    reasons = [f"what was written meanwhile is lost: {', '.join(lost)}" if lost else ""]
    if expected.stores:
        reasons += [
            _wrong_counts(found.records, expected),
            _not_exported(found.exported, expected.written),
            _wrong_copies(found.copies, expected),
        ]
    elif found.records is not None:
        reasons.append(f"records {found.records}, and no data was to be restored")
    return "; ".join(filter(None, reasons))


def _wrong_counts(records: Mapping[str, int] | None, expected: Expected) -> str:
    """Compare the counts of the records' fates with an undisturbed rollback's.

    Records written meanwhile may be exported in addition. A restore that a kill interrupted has already put
    back a part of the records, which a later account may count as kept. After such a kill only their sum is
    the same, also if the kill came so late that nothing was left to restore. With each restore, an S3 server
    keeps one more version; a log that is left alone keeps one more record of each wreckage. Their sums may
    therefore be larger.
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
    """Check that one safety copy holds all the stores' records: they are wrecked the same way each time."""
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
